"""Reading from memory, from the page cache, and from a device that takes its time while the log goes on."""

from __future__ import annotations

import random

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from streamline.errors import ErrorCode, Refused
from streamline.model import LogSlice
from streamline.storage.log import SegmentLog
from streamline.testing.contracts.storage_harness import make_batch
from streamline.testing.simulation.files import SimFile
from streamline.testing.worlds import EPOCH_MS
from tests.storage.machines import DAY_MS, Station, segment_name, started


class ReadingTests(SynchronousTestCase):
    """Reads that wait for the device, and what happens meanwhile."""

    def test_along(self) -> None:
        """Who waits at the end gets what comes next from memory; a closed log keeps nothing there."""
        station = started()
        log = station.log
        assert isinstance(log, SegmentLog)
        log.read(0, 1000, end_offset=0, at_least_one=True)
        batches = station.fill(2)
        self.patch(SimFile, "read", None)
        found = log.read(0, 1000, end_offset=2, at_least_one=True)
        assert isinstance(found, LogSlice)
        self.assertEqual([b"".join(found.parts), found.next_offset, found.size_bytes],
                         [b"".join(batches), 2, len(b"".join(batches))])
        self.assertGreater(log._commons.tails.used_bytes, 0)
        log.abandon()
        self.assertEqual(log._commons.tails.used_bytes, 0)

    def read(self, station: Station, offset: int = 0) -> Deferred[LogSlice]:
        """Begin a read that has to wait."""
        station.faults.uncached_chance = 1.0
        found = station.log.read(offset, 1000, end_offset=station.log.end_offset, at_least_one=True)
        assert isinstance(found, Deferred), "it did not have to wait"
        return found

    def parts(self, station: Station, reading: Deferred[LogSlice]) -> bytes:
        """Wait for a read."""
        station.faults.uncached_chance = 0.0
        return b"".join(station.wait(reading).parts)

    def test_waits(self) -> None:
        """The batches come when the device has given them."""
        station = started()
        batches = station.fill(3)
        self.assertEqual(self.parts(station, self.read(station, 1)), b"".join(batches[1:]))

    def test_cold_index(self) -> None:
        """An index that is not near is loaded elsewhere as well."""
        station = started()
        batches = station.fill(30, value_bytes=100_000)
        station.stop()
        station.start()
        self.assertEqual(self.parts(station, self.read(station, 5)), batches[5])

    def test_cut_meanwhile(self) -> None:
        """What is cut while it is read is not handed out."""
        station = started()
        batches = station.fill(5)
        station.faults.thread_mean_s = 10.0
        read: list[int] = []
        read_file = SimFile.read

        def seen(file: SimFile, at: int, length: int) -> bytes:
            read.append(length)
            return read_file(file, at, length)

        self.patch(SimFile, "read", seen)
        reading = self.read(station, 1)
        read.clear()
        station.pass_time(1000, lambda: sum(read) > 2 * len(batches[0]))
        self.assertFalse(reading.called, "it was read, and is on its way")
        station.log.truncate(2)
        station.append(make_batch(2, leader_epoch=1))
        self.assertEqual(self.parts(station, reading), batches[1] + make_batch(2, leader_epoch=1))

    def test_gone_meanwhile(self) -> None:
        """A segment that is dropped while it is read is out of range then."""
        station = started(segment_ms=500)
        station.fill(25)
        station.pass_time(1)
        station.log.high_watermark = 25
        reading = self.read(station, 3)
        station.log.retain(EPOCH_MS + 8 * DAY_MS)
        station.pass_time(100)
        refusal = self.failureResultOf(reading, Refused).value
        self.assertEqual(refusal.code, ErrorCode.OFFSET_OUT_OF_RANGE)

    def test_rot(self) -> None:
        """Where the log is damaged, its readers are told so; other offsets can still be had (DK7)."""
        station = started()
        batches = station.fill(40)
        station.stop()
        data = bytearray(b"".join(batches))
        at = sum(map(len, batches[:20]))
        data[at + 16] = 9  # the magic of batch 20
        station.write_file(segment_name(0), bytes(data))
        station.start()
        read = station.log.read
        refusal = self.assertRaises(Refused, read, 20, 10, end_offset=40, at_least_one=True)
        self.assertEqual(refusal.code, ErrorCode.CORRUPT_MESSAGE)
        found = read(3, len(batches[0]), end_offset=40, at_least_one=True)
        self.assertEqual(b"".join(found.parts), batches[3])  # type: ignore[union-attr]
        self.assertRaises(Refused, list, station.log.headers(0))
        station.append(make_batch(40, timestamp=EPOCH_MS + 99_000), flush=False)
        self.assertRaises(Refused, read, 20, 10, end_offset=40, at_least_one=True)
        station.log.flush()
        refusal = self.assertRaises(Refused, station.log.batch_of_max_timestamp)
        self.assertEqual(refusal.code, ErrorCode.CORRUPT_MESSAGE)
        assert isinstance(station.log, SegmentLog)
        self.assertEqual(station.log._chain.active.newest, (EPOCH_MS + 99_000, 40), "retention still knows")


class LendingTests(SynchronousTestCase):
    """What is lent to be sent is what would be read."""

    def sizes(self, rng: random.Random) -> list[int]:
        """Draw the sizes of batches: a few kinds, so that an index entry stands for one or for many."""
        kinds = rng.choice(([10], [150, 300], [10, 5000], [20_000], [10, 300, 70_000], [200_000, 10]))
        return [rng.choice(kinds) for _ in range(rng.randrange(1, 400) if max(kinds) < 1000 else 40)]

    def test_the_same(self) -> None:
        """From every offset, up to every end, with every limit."""
        lent = 0
        for seed in range(30):
            rng = random.Random(seed)
            station = started()
            log = station.log
            assert isinstance(log, SegmentLog)
            for size in self.sizes(rng):
                station.append(make_batch(log.end_offset, rng.randrange(1, 4), value_bytes=size))
            for _ in range(60):
                offset, end_offset = sorted(rng.randrange(log.end_offset + 1) for _ in range(2))
                max_bytes, at_least_one = rng.choice((1, 60_000, 65_536, 80_000, 300_000, 1 << 21)), rng.random() < 0.5
                read, found = (
                    ask(offset, max_bytes, end_offset=end_offset, at_least_one=at_least_one)
                    for ask in (log.read, log.lend)
                )
                assert isinstance(read, LogSlice)
                assert isinstance(found, LogSlice)
                self.assertEqual((read.size_bytes, read.next_offset), (found.size_bytes, found.next_offset))
                data = b"".join(found.parts)
                if found.lent is not None:
                    self.assertEqual((found.parts, len(found.lent)), ((), found.size_bytes))
                    data = found.lent.read()
                    lent += 1
                self.assertEqual(data, b"".join(read.parts))
        self.assertGreater(lent, 200)

    def test_little_is_read(self) -> None:
        """It costs less than to lend it."""
        station = started()
        station.fill(3, value_bytes=10_000)
        log = station.log
        assert isinstance(log, SegmentLog)
        found = log.lend(0, 1 << 20, end_offset=3, at_least_one=True)
        assert isinstance(found, LogSlice)
        self.assertIsNone(found.lent)

    def test_what_must_be_waited_for_is_read(self) -> None:
        """Or the reactor would wait for it when it is sent."""
        station = started()
        batches = station.fill(3, value_bytes=100_000)
        station.faults.uncached_chance = 1.0
        log = station.log
        assert isinstance(log, SegmentLog)
        waiting = log.lend(0, 1 << 20, end_offset=3, at_least_one=True)
        assert isinstance(waiting, Deferred)
        found = station.wait(waiting)
        self.assertIsNone(found.lent)
        self.assertEqual(b"".join(found.parts), b"".join(batches))

    def test_rot(self) -> None:
        """An index entry that the log does not confirm is not believed; made anew, it gives the same."""
        station = started()
        batches = station.fill(30, value_bytes=10_000)
        log = station.log
        assert isinstance(log, SegmentLog)
        offsets = log._chain.active.index.offsets
        offsets[-1] -= 1
        found = log.lend(0, 1 << 20, end_offset=30, at_least_one=True)
        assert isinstance(found, LogSlice)
        assert found.lent is not None
        self.assertEqual(found.lent.read(), b"".join(batches))
        self.assertEqual(log._chain.active.index.offsets[-1], 29)
