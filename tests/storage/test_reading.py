"""Reading from memory, from the page cache, and from a device that takes its time while the log goes on."""

from __future__ import annotations

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
