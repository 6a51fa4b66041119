"""What is made durable unasked, what is noted, and what a clean stop leaves."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.trial.unittest import SynchronousTestCase

from streamline.config import TopicConfig
from streamline.model import LogIdentity
from streamline.storage import commons, syncing
from streamline.testing.contracts.storage_harness import IDENTITY, OTHER_TOPIC_ID, TOPIC_ID
from streamline.testing.simulation.files import SimFile
from streamline.testing.worlds import EPOCH_MS
from tests.storage.machines import DATA, DAY_MS, DIRECTORY, Station, segment_name, started


class UnaskedTests(SynchronousTestCase):
    """What happens without anybody asking for it."""

    def test_much_is_synced(self) -> None:
        """So many bytes are synced, so that a crash leaves no more to be looked at again."""
        self.patch(syncing, "SYNC_BYTES", 1_000_000)
        station = started()
        station.fill(9, value_bytes=100_000)
        station.pass_time(10)
        self.assertEqual(station.log.recovery_point, 0)
        station.fill(9, value_bytes=100_000)
        station.pass_time(10)
        self.assertGreaterEqual(station.log.recovery_point, 10)

    def test_failure_is_noticed(self) -> None:
        """A sync that nobody asked for fails the log as any other."""
        self.patch(syncing, "SYNC_BYTES", 100)
        station = started()
        station.faults.failing_syncs = 1
        station.fill(2)
        station.pass_time(10)
        self.assertTrue(station.log.is_closed)  # type: ignore[attr-defined]

    def test_recovery_points_are_noted(self) -> None:
        """After much was synced, recovery points are noted, which bounds what a crash leaves to be scanned."""
        self.patch(syncing, "SYNC_BYTES", 100_000)
        self.patch(commons, "NOTE_BYTES", 300_000)
        station = started()
        for _ in range(5):
            station.fill(1, value_bytes=100_000)
            station.pass_time(10)
        noted = station.read_file("recovery-point-offset-checkpoint", DATA)
        self.assertIn(noted, [b"0\n1\norders 3 %d\n" % offset for offset in (3, 4, 5)])

    def test_dropped_files_are_removed_later(self) -> None:
        """Files of dropped segments stay for file.delete.delay.ms, under another name."""
        station = started(segment_ms=500, file_delete_delay_ms=60_000)
        station.fill(25)
        station.log.high_watermark = 25
        station.pass_time(1)
        station.log.retain(EPOCH_MS + 8 * DAY_MS)
        self.assertIn(segment_name(0) + ".deleted", station.files())
        station.pass_time(50)
        self.assertIn(segment_name(0) + ".deleted", station.files())
        station.pass_time(20)
        self.assertEqual([name for name in station.files() if name.endswith(".deleted")], [])

    def test_dropped_files_are_removed_at_the_end(self) -> None:
        """Stopping does not leave them."""
        station = started(segment_ms=500)
        station.fill(25)
        station.log.high_watermark = 25
        station.log.retain(EPOCH_MS + 8 * DAY_MS)
        station.stop()
        self.assertEqual([name for name in station.files() if name.endswith(".deleted")], [])


class SyncedTests(SynchronousTestCase):
    """What a sync says is durable is there after a power cut, and can be found."""

    def test_first_segment(self) -> None:
        """The names of a new log's files are durable with its first record."""
        for seed in range(20):
            station = Station(seed)
            station.start()
            station.fill(3)
            self.assertEqual(station.wait(station.log.sync()), 3)
            station.restart(power=True)
            self.assertEqual(station.log.end_offset, 3, seed)

    def test_behind_a_roll(self) -> None:
        """So is the finished segment, and the name of the one that follows it."""
        for seed in range(20):
            station = Station(seed, segment_ms=500)
            station.start()
            station.fill(8)
            station.wait(station.log.sync())
            station.fill(4)
            self.assertEqual(station.wait(station.log.sync()), 12)
            station.restart(power=True)
            self.assertEqual(station.log.end_offset, 12, seed)


class NotingTests(SynchronousTestCase):
    """Noted offsets and what happens while they are being written."""

    def test_cut_during_a_sync(self) -> None:
        """A sync that began before a cut does not say that what comes after the cut is durable."""
        station = started()
        station.fill(20)
        waiting = station.log.sync()
        station.log.truncate(5)
        station.fill(5)
        self.assertLessEqual(station.wait(waiting), 5)
        self.assertLessEqual(station.log.recovery_point, 5)

    def test_fall_during_a_rise(self) -> None:
        """A log that is cut while its recovery point is being noted is never noted beyond its end."""
        for delay_s in (0.0005, 0.001, 0.002, 0.003, 0.004, 0.006, 0.008):
            station = started()
            station.fill(20)
            station.log.high_watermark = 20
            station.wait(station.storage.checkpoint())
            station.fill(20)
            station.log.high_watermark = 40
            noting = station.storage.checkpoint()
            station.pass_time(delay_s)
            station.log.truncate(10)
            station.wait(noting)
            for name in ("recovery-point-offset-checkpoint", "replication-offset-checkpoint"):
                self.assertEqual(station.read_file(name, DATA), b"0\n1\norders 3 10\n", (name, delay_s))

    def test_discarded_is_forgotten(self) -> None:
        """The next log of the name does not inherit anything."""
        station = started()
        station.fill(20)
        station.log.high_watermark = 20
        station.log.advance_start(5)
        station.wait(station.storage.checkpoint())
        station.wait(station.storage.discard(IDENTITY))
        station.log = station.open(LogIdentity(IDENTITY.topic, IDENTITY.partition, OTHER_TOPIC_ID))
        self.assertEqual([station.log.start_offset, station.log.high_watermark, station.log.recovery_point], [0, 0, 0])
        for name in ("recovery-point", "replication", "log-start"):
            self.assertEqual(station.read_file(f"{name}-offset-checkpoint", DATA), b"0\n0\n")

    def test_broker_epoch(self) -> None:
        """The marker of a clean stop says which epoch it was (KIP-966)."""
        station = started()
        station.storage.broker_epoch = 17
        station.stop()
        self.assertEqual(station.read_file(".kafka_cleanshutdown", DATA), b'{"version":0,"brokerEpoch":17}')
        station.start()
        self.assertEqual(station.storage.clean_epoch, 17)

    def test_clean_start_scans_nothing(self) -> None:
        """After a clean stop hardly anything is read, however much there is."""
        station = started(segment_bytes=2**24)
        station.fill(100, value_bytes=100_000)
        station.stop()
        read: list[int] = []
        read_file = SimFile.read

        def seen(file: SimFile, at: int, length: int) -> bytes:
            data = read_file(file, at, length)
            read.append(len(data))
            return data

        self.patch(SimFile, "read", seen)
        station.start()
        self.assertEqual(station.log.end_offset, 100)
        self.assertLess(sum(read), 20_000)

    def test_two_opens_at_once(self) -> None:
        """A log that is opened twice at the same time is one log."""
        station = started()
        identity = LogIdentity("twice", 0, TOPIC_ID)
        opening = [station.storage.open(identity, TopicConfig()) for _ in range(3)]
        logs = [station.wait(one) for one in opening]
        self.assertIs(logs[0], logs[1])
        self.assertIs(logs[0], logs[2])

    def test_files_of_a_partition(self) -> None:
        """A partition's directory holds what Kafka's does."""
        station = started()
        station.fill(3)
        station.log.put_checkpoint("leader-epoch-checkpoint", b"0\n0\n")
        station.stop()
        self.assertEqual(_names(station), [segment_name(0, ".index"), segment_name(0), segment_name(0, ".timeindex"),
                                           "leader-epoch-checkpoint", "partition.metadata"])
        self.assertEqual(station.read_file("partition.metadata"), b"version: 0\ntopic_id: AAECAwQFBgcICQoLDA0ODw\n")


def _names(station: Station) -> Sequence[str]:
    return station.process.disk.list_directory(DIRECTORY)
