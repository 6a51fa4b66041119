"""Whenever the process or the power goes, the disk shows the state before or after, nothing between (DK5, DK15)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from struct import iter_unpack
from typing import cast

from twisted.trial.unittest import SynchronousTestCase

from streamline.interfaces import IKeepsLater
from streamline.model import LogIdentity
from streamline.storage.layout import decode_offsets
from streamline.testing.contracts.storage_harness import IDENTITY, OTHER_TOPIC_ID, make_batch
from streamline.testing.simulation import MachineDown
from streamline.testing.worlds import EPOCH_MS
from tests.storage.machines import DATA, DAY_MS, DIRECTORY, Station, segment_name

CALLS_MAX = 200


class CrashTests(SynchronousTestCase):
    """Every step of what changes a log's files."""

    def deaths(self, prepare: Callable[[Station], object], act: Callable[[Station], object]) -> Iterator[Station]:
        """
        For each disk call of an action, yield a machine that died in it, by kill or by power cut, and started anew.

        At least one call must have been interrupted, and the action complete when none is.
        """
        for power in (False, True):
            for seed in range(3):
                for calls in range(1, CALLS_MAX):
                    station = Station(seed * 1000 + calls, segment_ms=500)
                    station.start()
                    prepare(station)
                    station.faults.dies_in, station.faults.dies_of_power = calls, power
                    try:
                        act(station)
                    except MachineDown:
                        station.restart()
                        yield station
                    else:
                        self.assertGreater(calls, 1, "the action calls the disk")
                        break
                else:
                    self.fail("the action never ends")

    @staticmethod
    def synced(station: Station) -> None:
        """Fill four segments and note that they are durable."""
        station.fill(35)
        station.log.high_watermark = 35
        station.wait(station.storage.checkpoint())

    def assert_sound(self, station: Station, at_least: int = 0) -> None:
        """Assert that there is no gap, that enough is there, and that the log can be used on."""
        log = station.log
        self.assertEqual(station.offsets(), list(range(station.offsets()[0], log.end_offset)) if station.offsets()
                         else [])
        self.assertGreaterEqual(log.end_offset, at_least)
        self.assertLessEqual(log.recovery_point, log.end_offset)
        self.assertTrue(log.start_offset <= log.high_watermark <= log.end_offset)
        headers = list(log.headers(log.start_offset)) if log.start_offset < log.end_offset else []
        if headers:
            newest = max(headers, key=lambda header: header.max_timestamp)
            self.assertEqual(log.batch_of_max_timestamp().next_offset, newest.next_offset)
        station.fill(1)
        self.assertEqual(station.offsets()[-1], log.end_offset - 1)

    def test_roll(self) -> None:
        """Rolling loses nothing that was there before."""

        def act(station: Station) -> None:
            station.fill(12)
            station.wait(station.log.sync())

        for station in self.deaths(self.synced, act):
            self.assert_sound(station, at_least=35)

    def test_truncate(self) -> None:
        """A cut through several segments happened or did not."""
        for target in (12, 18, 20, 1, 0):
            for station in self.deaths(self.synced, partial(_truncate, target)):
                self.assertIn(station.log.end_offset, (35, target))
                self.assertLessEqual(station.log.recovery_point, station.log.end_offset)
                self.assert_sound(station)

    def test_truncate_in_the_last_segment(self) -> None:
        """A cut in the segment being written, below what was noted as durable."""

        def prepare(station: Station) -> None:
            station.fill(39)
            station.log.high_watermark = 39
            station.wait(station.storage.checkpoint())

        for station in self.deaths(prepare, lambda station: station.log.truncate(38)):
            self.assertIn(station.log.end_offset, (38, 39))
            self.assert_sound(station)

    def test_a_cut_is_durable(self) -> None:
        """What a cut took away does not come back, whichever segment it ended in and whatever the power cut loses."""
        for seed in range(10):
            for target in (33, 12):
                station = Station(seed, segment_ms=500)
                station.start()
                self.synced(station)
                station.log.truncate(target)
                station.fill(3, leader_epoch=1)
                station.restart(power=True)
                self.assertLessEqual(station.log.end_offset, target + 3)
                epochs = {header.partition_leader_epoch for header in station.log.headers(target)}
                self.assertLessEqual(epochs, {1})

    def test_truncated_and_filled_again(self) -> None:
        """After a cut below what was noted as durable, other batches in its place are scanned like any."""

        def act(station: Station) -> None:
            station.wait(station.storage.checkpoint())
            station.log.truncate(12)
            station.fill(28, leader_epoch=1)
            station.wait(station.log.sync())
            station.log.truncate(12)
            station.fill(25, leader_epoch=2)

        for station in self.deaths(self.synced, act):
            self.assert_sound(station, at_least=12)
            epochs = [header.partition_leader_epoch for header in station.log.headers(12)][:-1]
            self.assertEqual(len(dict.fromkeys(epochs)), min(1, len(epochs)), "batches of one leader only")

    def test_restart_at(self) -> None:
        """Beginning anew happened or did not, also where the log had another start."""

        def prepare(station: Station) -> None:
            self.synced(station)
            station.log.advance_start(7)

        for target in (3, 100):
            for station in self.deaths(prepare, partial(_restart_at, target)):
                log = station.log
                self.assertIn((log.start_offset, log.end_offset), ((7, 35), (target, target)))
                self.assert_sound(station)

    def test_retain(self) -> None:
        """The start is the old or the new one, whichever files are gone by then, and the rest is there."""
        for high_watermark, start_offset in ((35, 35), (25, 20)):

            def act(station: Station, high_watermark: int = high_watermark) -> None:
                station.log.high_watermark = high_watermark
                station.log.retain(EPOCH_MS + 8 * DAY_MS)

            def prepare(station: Station) -> None:
                station.fill(35)
                station.log.high_watermark = 35
                station.wait(station.log.sync())  # and nothing of it is noted

            for station in self.deaths(prepare, act):
                self.assertIn(station.log.start_offset, (0, start_offset))
                self.assertEqual(station.log.end_offset, 35)
                self.assert_sound(station)

    def test_advance_start(self) -> None:
        """The start is the old or the new one."""
        for station in self.deaths(self.synced, lambda station: station.log.advance_start(15)):
            self.assertIn(station.log.start_offset, (0, 15))
            self.assert_sound(station, at_least=35)

    def test_discard(self) -> None:
        """A discarded log is whole or gone."""
        for station in self.deaths(self.synced, lambda station: station.wait(station.storage.discard(IDENTITY))):
            self.assertIn(station.log.end_offset, (0, 35))
            self.assert_sound(station)

    def test_discarded_for_good(self) -> None:
        """Once it is said to be discarded, a log does not come back, not even after a power cut."""
        for seed in range(20):
            station = Station(seed)
            station.start()
            station.fill(5)
            station.wait(station.log.sync())
            station.wait(station.storage.discard(IDENTITY))
            station.restart(power=True)
            self.assertEqual(station.log.end_offset, 0, seed)

    def test_create(self) -> None:
        """A log that is being made is there or can be made again."""
        other = LogIdentity("books", 0, OTHER_TOPIC_ID)
        for station in self.deaths(self.synced, lambda station: station.open(other)):
            self.assertEqual(station.log.end_offset, 35)
            station.log = station.open(other)
            self.assertEqual([station.log.start_offset, station.log.end_offset], [0, 0])
            self.assertIn(other, station.storage.identities())

    def test_stray(self) -> None:
        """A log of another topic is set aside whole, or still in its place."""
        stray = LogIdentity(IDENTITY.topic, IDENTITY.partition, OTHER_TOPIC_ID)
        seen = 0
        for station in self.deaths(self.synced, lambda station: station.open(stray)):
            aside = [name for name in station.process.disk.list_directory(DATA) if name.endswith("-stray")]
            if not aside:
                self.assertEqual(station.log.end_offset, 35)
                continue
            self.assertEqual(station.log.end_offset, 0)
            kept = [station.process.disk.list_directory(f"{DATA}/{name}") for name in aside]
            self.assertTrue(any(segment_name(0) in names and segment_name(30) in names for names in kept))
            seen += 1
        self.assertGreater(seen, 0)

    def test_put_checkpoint(self) -> None:
        """A blob is the old or the new one."""

        def prepare(station: Station) -> None:
            station.log.put_checkpoint("leader-epoch-checkpoint", b"old")

        for station in self.deaths(prepare, lambda station: station.log.put_checkpoint("leader-epoch-checkpoint",
                                                                                       b"new")):
            self.assertIn(station.log.get_checkpoint("leader-epoch-checkpoint"), (b"old", b"new"))

    def test_put_checkpoints_later(self) -> None:
        """Each is the old or the new one, in their order, and new once it is said to be kept."""
        kept: list[object] = []

        def prepare(station: Station) -> None:
            kept.clear()
            for name in ("a", "b"):
                station.log.put_checkpoint(name, b"old")

        def act(station: Station) -> None:
            log = cast(IKeepsLater, station.log)
            kept.append(station.wait(log.put_checkpoints_later([("a", b"new"), ("b", b"new")])))

        found: list[list[bytes | None]] = []
        for station in self.deaths(prepare, act):
            found.append([station.log.get_checkpoint(name) for name in ("a", "b")])
            possible = [[b"new", b"new"]] if kept else [[b"old", b"old"], [b"new", b"old"], [b"new", b"new"]]
            self.assertIn(found[-1], possible)
        self.assertIn([b"old", b"old"], found)
        self.assertIn([b"new", b"new"], found)

    def test_checkpoint(self) -> None:
        """Noted offsets are old or new, and never ahead of what is there."""

        def act(station: Station) -> None:
            station.fill(14)
            station.log.high_watermark = 49
            station.wait(station.storage.checkpoint())

        for station in self.deaths(self.synced, act):
            for name in ("recovery-point-offset-checkpoint", "replication-offset-checkpoint"):
                self.assertIsNotNone(decode_offsets(station.read_file(name, DATA)), "a whole file, old or new")
            self.assertLessEqual(station.log.high_watermark, station.log.end_offset)
            self.assert_sound(station, at_least=35)

    def test_stop(self) -> None:
        """A stop that was interrupted is no clean one, unless everything was done."""
        for station in self.deaths(self.synced, lambda station: station.wait(station.storage.stop())):
            if station.storage.clean_epoch is not None:
                self.assertEqual(station.log.end_offset, 35)
            self.assert_sound(station, at_least=35)

    def test_cut_in_a_batch(self) -> None:
        """What is noted as durable never leads the end, wherever that comes to be."""
        station = Station()
        station.start()
        station.append(*[make_batch(offset, 3, timestamp=EPOCH_MS + offset) for offset in range(0, 60, 3)])
        station.log.high_watermark = 60
        station.wait(station.storage.checkpoint())
        station.log.truncate(31)
        self.assertEqual(station.log.end_offset, 30)
        for name in ("recovery-point-offset-checkpoint", "replication-offset-checkpoint"):
            self.assertEqual(station.read_file(name, DATA), b"0\n1\norders 3 30\n")
        offsets = [offset for offset, _ in iter_unpack(">ii", station.read_file(segment_name(0, ".index")))]
        times = [time - EPOCH_MS for time, _ in iter_unpack(">qi", station.read_file(segment_name(0, ".timeindex")))]
        self.assertTrue(20 < max(offsets) < 30 and 20 < max(times) < 30, (offsets, times))

    def test_clean_marker_counts_once(self) -> None:
        """The marker of a clean stop is gone, durably, before anything is written."""
        for power in (False, True):
            for seed in range(10):
                station = Station(seed)
                station.start()
                self.synced(station)
                station.stop()
                station.start()
                self.assertIsNotNone(station.storage.clean_epoch)
                station.fill(1)
                station.restart(power=power)
                self.assertIsNone(station.storage.clean_epoch)

    def test_death_leaves_nothing_open(self) -> None:
        """A directory that waits to be removed is removed after the next start."""
        station = Station()
        station.start()
        self.synced(station)
        station.storage.discard(IDENTITY)
        station.kill()
        self.assertEqual(
            [name for name in station.process.disk.list_directory(DATA) if name.startswith("orders")][:1] != [], True
        )
        station.start()
        station.pass_time(10)
        names = station.process.disk.list_directory(DATA)
        self.assertEqual([name for name in names if name.endswith("-delete")], [])
        self.assertTrue(station.process.disk.exists(DIRECTORY))


def _truncate(target: int, station: Station) -> None:
    station.log.truncate(target)


def _restart_at(target: int, station: Station) -> None:
    station.log.restart_at(target)
