"""A disk that is full, or fails: nothing counts that is not there, and nothing else stops (DK10, DK12, DK13, DK17)."""

from __future__ import annotations

import contextlib
import errno
from typing import cast

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from streamline.config import NodeConfig
from streamline.errors import ErrorCode, Refused, StartRefused, StorageFailed, StorageStarved
from streamline.interfaces import IKeepsLater, IPartitionLog
from streamline.model import LogIdentity
from streamline.storage.segments import SegmentStorage
from streamline.testing.contracts.storage_harness import IDENTITY, OTHER_TOPIC_ID, make_batch
from streamline.testing.simulation import MachineDown
from streamline.testing.simulation.files import SimFile
from streamline.testing.worlds import EPOCH_MS
from streamline.wire.batch import read_header
from tests.storage.machines import DATA, Station, segment_name

OTHER = LogIdentity("books", 0, OTHER_TOPIC_ID)


class FullDiskTests(SynchronousTestCase):
    """Without space, appends fail, and nothing else does; with space, everything goes on (DK10, KAFKA-13773)."""

    def setUp(self) -> None:
        """Fill some small segments."""
        self.station = Station(segment_ms=500)
        self.station.start()
        self.batches = self.station.fill(15)
        self.station.log.high_watermark = 15

    def assert_goes_on(self) -> None:
        """Assert that nothing was lost, that appends work again, and that all survives the power."""
        station = self.station
        station.faults.full = False
        self.batches += station.fill(12)
        self.assertEqual(station.content(), b"".join(self.batches))
        station.wait(station.log.sync())
        station.restart(power=True)
        self.assertEqual(station.content(), b"".join(self.batches))

    def test_append(self) -> None:
        """What did not fit does not count, whatever part of it was written; reading goes on."""
        station = self.station
        for _ in range(10):
            station.faults.full = True
            with self.assertRaises(StorageFailed):
                station.fill(3, value_bytes=10_000)
            log = station.log
            self.assertEqual([log.end_offset, log.flushed_offset, log.size_bytes],
                             [15, 15, sum(map(len, self.batches))])
            self.assertEqual(station.content(), b"".join(self.batches))
            self.assertEqual(station.wait(log.sync()), 15)
            self.assertEqual(log.batch_of_max_timestamp().next_offset, 14)
        self.assert_goes_on()

    def test_append_that_fits_in_part(self) -> None:
        """A write that ran out of space in its middle leaves nothing behind, not even after a crash."""
        station = self.station
        station.machine.platter.capacity_bytes = station.machine.platter.used_bytes + 150
        with self.assertRaises(StorageFailed):
            station.fill(3)
        self.assertEqual(station.read_file(segment_name(10)), b"".join(self.batches[10:]))
        station.restart()
        self.assertEqual(station.content(), b"".join(self.batches))
        station.machine.platter.capacity_bytes = 2**30
        self.assert_goes_on()

    def test_time_of_what_did_not_fit(self) -> None:
        """The time of a batch that was lost is nobody's, also when others have come in its place."""
        station = self.station
        station.faults.full = True
        with self.assertRaises(StorageFailed):
            station.append(make_batch(15, timestamp=EPOCH_MS + 1400, value_bytes=10_000))
        station.faults.full = False
        newest = make_batch(15, timestamp=EPOCH_MS + 1300)
        station.append(newest, make_batch(16, timestamp=EPOCH_MS + 1100))
        self.assertEqual(b"".join(station.log.batch_of_max_timestamp().parts), newest)

    def test_open(self) -> None:
        """A log for which there is no space is opened when there is; who asked can tell that from damage."""
        self.station.faults.full = True
        with self.assertRaises(StorageStarved):
            self.station.open(OTHER)
        self.station.faults.full = False
        self.assertEqual(self.station.open(OTHER).end_offset, 0)
        self.assert_goes_on()

    def test_roll(self) -> None:
        """No new segment can be made: the old one stays in use, and the log does not end there."""
        station = self.station
        self.batches += station.fill(5)
        station.faults.full = True
        with self.assertRaises(StorageFailed):
            station.fill(1)
        self.assertEqual([station.log.segment_offset, station.log.end_offset], [10, 20])
        self.assert_goes_on()

    def test_roll_with_batches_before_it(self) -> None:
        """Whoever flushes hears of batches that a failing roll took with it; nothing comes in their place before."""
        station = self.station
        station.faults.full = True
        for offset in range(15, 20):
            station.append(make_batch(offset, timestamp=EPOCH_MS + 1000), flush=False)
        for _ in range(2):
            with self.assertRaises(StorageFailed):
                station.append(make_batch(20, timestamp=EPOCH_MS + 2000), flush=False)
        with self.assertRaises(StorageFailed):
            station.append(make_batch(15, timestamp=EPOCH_MS + 1000), flush=False)
        self.assertRaises(StorageFailed, station.log.flush)
        self.assertEqual(station.log.end_offset, 15)
        self.assert_goes_on()

    def test_unasked_flush(self) -> None:
        """Whoever collected batches hears of their loss, though it was somebody else's call that flushed them."""
        station = self.station
        for call in (lambda: station.log.retain(EPOCH_MS), lambda: station.log.truncate(99)):
            station.append(make_batch(15), flush=False)
            station.faults.full = True
            call()
            station.faults.full = False
            self.assertRaises(StorageFailed, station.append, make_batch(15))
            self.assertEqual(station.log.end_offset, 15)
            with self.assertRaises(StorageFailed):
                station.append(make_batch(15), flush=False)
                station.log.flush()
            with contextlib.suppress(StorageFailed):
                station.log.flush()
        self.assert_goes_on()

    def test_retention(self) -> None:
        """A full disk is no reason to drop nothing."""
        station = self.station
        self.batches += station.fill(20)
        station.log.high_watermark = 25
        station.faults.full = True
        self.assertGreater(station.log.retain(EPOCH_MS + 8 * 86_400_000), 0)
        self.assertEqual(station.log.start_offset, 20)
        del self.batches[:20]
        self.assert_goes_on()

    def test_retention_and_a_power_cut(self) -> None:
        """Where the new start cannot be noted, segments go in order."""
        for calls in range(1, 12):
            station = Station(calls, segment_ms=500)
            station.start()
            station.fill(35)
            station.log.high_watermark = 35
            station.wait(station.storage.checkpoint())
            station.faults.full = True
            station.faults.dies_in, station.faults.dies_of_power = calls, True
            with contextlib.suppress(MachineDown):
                station.log.retain(EPOCH_MS + 8 * 86_400_000)
            station.faults.full = False
            station.restart(power=True)
            start_offset, end_offset = station.log.start_offset, station.log.end_offset
            self.assertIn(start_offset, (0, 10, 20, 30))
            self.assertEqual(end_offset, 35)
            self.assertEqual(station.offsets(), list(range(start_offset, 35)))

    def test_cut(self) -> None:
        """However much there is room for: the log is as it was or as it was to be, and can be opened when there is."""
        outcomes = set()
        for room in range(0, 200, 10):
            for cut, kept in ((lambda log: log.truncate(5), (0, 5)), (lambda log: log.restart_at(50), (50, 50))):
                station = Station(segment_ms=500)
                station.start()
                station.fill(15)
                platter = station.machine.platter
                platter.capacity_bytes = platter.used_bytes + room
                try:
                    cut(station.log)
                except StorageStarved:
                    platter.capacity_bytes = 2**30
                    station.log = station.open()
                    outcomes.add("starved")
                else:
                    outcomes.add("cut")
                found = station.log.start_offset, station.log.end_offset
                self.assertIn(found, (kept, (0, 15)))
                outcomes.add("done" if found == kept else "not done")
                platter.capacity_bytes = 2**30
                self.assertEqual(station.offsets(), list(range(*found)))
                station.append(make_batch(found[1]))
                station.restart()
                self.assertEqual((station.log.start_offset, station.log.end_offset), (found[0], found[1] + 1))
        self.assertEqual(outcomes, {"starved", "cut", "done", "not done"})

    def test_stop(self) -> None:
        """Stopping loses what was not flushed, and nothing else."""
        station = self.station
        station.append(make_batch(15), flush=False)
        station.faults.full = True
        station.stop()
        station.faults.full = False
        station.start()
        self.assertEqual(station.content(), b"".join(self.batches))
        self.assert_goes_on()

    def test_close(self) -> None:
        """A log whose last batches cannot be written is closed all the same."""
        station = self.station
        station.append(make_batch(15), flush=False)
        station.faults.full = True
        station.wait(station.log.close())
        self.assertRaises(StorageFailed, station.log.flush)
        station.faults.full = False
        station.log = station.open()
        self.assert_goes_on()

    def test_indexes(self) -> None:
        """Indexes that cannot be saved are made anew at the next start."""
        station = self.station
        station.faults.full = True
        self.assertTrue(station.log.size_bytes)
        station.wait(station.storage.checkpoint())
        station.wait(station.log.close())
        station.kill()
        station.faults.full = False
        station.start()
        self.assert_goes_on()
        self.assertEqual(station.log.batch_at_timestamp(EPOCH_MS + 1000).next_offset, 11)

    def test_checkpoint(self) -> None:
        """Recovery points cannot be noted, which only means that more is scanned; stopping works too."""
        station = self.station
        station.wait(station.storage.checkpoint())
        self.batches += station.fill(3)
        station.faults.full = True
        station.wait(station.storage.checkpoint())
        station.restart()
        self.assertEqual(station.content(), b"".join(self.batches))
        self.assert_goes_on()

    def test_blob(self) -> None:
        """The old blob stays, and the log goes on."""
        self.station.log.put_checkpoint("a.snapshot", b"old")
        self.station.faults.full = True
        self.assertRaises(StorageFailed, self.station.log.put_checkpoint, "a.snapshot", b"new")
        self.assertEqual(self.station.log.get_checkpoint("a.snapshot"), b"old")
        self.assert_goes_on()

    def test_blobs_that_nobody_waits_for(self) -> None:
        """The same: they stay as they were."""
        self.station.log.put_checkpoint("a.snapshot", b"old")
        self.station.faults.full = True
        keeping = cast(IKeepsLater, self.station.log).put_checkpoints_later([("a.snapshot", b"new")])
        self.assertRaises(StorageFailed, self.station.wait, keeping)
        self.assertEqual(self.station.log.get_checkpoint("a.snapshot"), b"old")
        self.assert_goes_on()

    def test_deletes_work(self) -> None:
        """A topic can be deleted, which makes space."""
        station = self.station
        other = station.open(OTHER)
        batch = make_batch(0)
        other.append(read_header(batch), [batch])
        other.flush()
        other.advance_start(1)
        station.wait(station.storage.checkpoint())
        station.faults.full = True
        station.wait(station.storage.discard(OTHER))
        self.assertRaises(StorageFailed, other.flush)
        self.assertNotIn(OTHER, station.storage.identities())
        station.faults.full = False
        again = station.open(OTHER)
        self.assertEqual([again.start_offset, again.end_offset], [0, 0])
        self.assert_goes_on()

    def test_too_many_open_files(self) -> None:
        """Running out of descriptors is no fault of what is stored: the log goes on (DK19)."""
        station = self.station

        def open_none(path: str, *, create: bool = False, write: bool = True) -> SimFile:
            raise OSError(errno.EMFILE, "too many open files", path)

        self.batches += station.fill(5)
        self.patch(station.process.disk, "open", open_none)
        with self.assertRaises(StorageFailed):
            station.fill(1)
        del station.process.disk.open
        self.assert_goes_on()


class FailingDiskTests(SynchronousTestCase):
    """A disk that fails costs the log that saw it, and nobody else."""

    def setUp(self) -> None:
        """Open two logs."""
        self.station = Station()
        self.station.start()
        self.batches = self.station.fill(5)
        self.other = self.station.open(OTHER)

    def assert_closed(self) -> None:
        """Assert that the log is closed, the other is not, and that the next start will look at everything."""
        station = self.station
        self.assertRaises(StorageFailed, station.append, make_batch(station.log.end_offset))
        self.assertRaises(StorageFailed, station.log.flush)
        self.failureResultOf(station.log.sync(), StorageFailed)
        refusal = self.assertRaises(Refused, self.read, station.log)
        self.assertEqual(refusal.code, ErrorCode.KAFKA_STORAGE_ERROR)
        batch = make_batch(self.other.end_offset)
        self.other.append(read_header(batch), [batch])
        self.other.flush()
        self.assertEqual(station.wait(self.other.sync()), self.other.end_offset)
        station.stop()
        station.start()
        self.assertIsNone(station.storage.clean_epoch, "a stop after a failure is not a clean one")

    @staticmethod
    def read(log: IPartitionLog) -> object:
        """Read the log's beginning."""
        return log.read(0, 1000, end_offset=5, at_least_one=True)

    def test_sync_fails_once(self) -> None:
        """A sync that failed is never said to have succeeded by a later one (DK12)."""
        station = self.station
        waiting = [station.log.sync(), station.log.sync()]
        station.faults.failing_syncs = 1
        for one in waiting:
            self.assertRaises(StorageFailed, station.wait, one)
        self.assertEqual(station.log.recovery_point, 0)
        self.assert_closed()

    def test_write_fails(self) -> None:
        """Nothing of a failed write counts."""
        station = self.station
        station.faults.write_error_chance = 1.0
        with self.assertRaises(StorageFailed):
            station.fill(1)
        station.faults.write_error_chance = 0.0
        self.assertEqual([station.log.end_offset, station.log.flushed_offset], [5, 5])
        self.assert_closed()
        self.assertEqual(station.content(), b"".join(self.batches))

    def test_read_fails(self) -> None:
        """That partition only (DK13)."""
        station = self.station
        station.faults.read_error_chance = 1.0
        refusal = self.assertRaises(Refused, self.read, station.log)
        station.faults.read_error_chance = 0.0
        self.assertEqual(refusal.code, ErrorCode.KAFKA_STORAGE_ERROR)
        self.assert_closed()

    def test_read_elsewhere_fails(self) -> None:
        """The same where the device was waited for."""
        station = self.station
        station.faults.uncached_chance = 1.0
        station.faults.read_error_chance = 1.0
        reading = self.read(station.log)
        assert isinstance(reading, Deferred)
        refusal = self.assertRaises(Refused, station.wait, reading)
        station.faults.read_error_chance = 0.0
        self.assertEqual(refusal.code, ErrorCode.KAFKA_STORAGE_ERROR)
        self.assert_closed()

    def test_finished_segment_cannot_be_synced(self) -> None:
        """What is synced behind the scenes may fail as well; what waits for it hears so."""
        station = Station(segment_ms=500)
        station.start()
        self.station, self.other = station, station.open(OTHER)
        station.faults.sync_mean_s = 1.0
        station.fill(12)
        station.faults.failing_syncs = 1
        self.assertRaises(StorageFailed, station.wait, station.log.sync())
        self.assertEqual(station.log.recovery_point, 0)
        self.assert_closed()

    def test_open_again(self) -> None:
        """A log that failed can be opened again, and is recovered by that."""
        station = self.station
        station.faults.write_error_chance = 1.0
        with self.assertRaises(StorageFailed):
            station.fill(1)
        station.faults.write_error_chance = 0.0
        station.log = station.open()
        self.assertEqual(station.content(), b"".join(self.batches))
        self.batches += station.fill(3)
        self.assertEqual(station.content(), b"".join(self.batches))

    def test_opened_again_is_durable(self) -> None:
        """The recovery point of a log that was opened again tells the truth, though the last stop was clean."""
        for seed in range(10):
            station = Station(seed)
            station.start()
            station.stop()
            station.start()
            station.fill(5)
            station.faults.write_error_chance = 1.0
            with self.assertRaises(StorageFailed):
                station.fill(1)
            station.faults.write_error_chance = 0.0
            recovery_point = station.open().recovery_point
            station.restart(power=True)
            self.assertGreaterEqual(station.log.end_offset, recovery_point)

    def test_cannot_be_opened(self) -> None:
        """A log whose files cannot be read fails to open; others open."""
        station = self.station
        station.kill()
        storage = SegmentStorage(station.process.host, NodeConfig(data_dir=DATA))
        station.wait(storage.start())
        station.faults.read_error_chance = 1.0
        opening = storage.open(IDENTITY, station.config)
        self.assertRaises(StorageFailed, station.wait, opening)
        station.faults.read_error_chance = 0.0
        log = station.wait(storage.open(OTHER, station.config))
        self.assertEqual(log.end_offset, 0)

    def test_data_directory_cannot_be_used(self) -> None:
        """The start ends with a sentence (DK17)."""
        station = self.station
        station.write_file("file", b"", DATA)
        storage = SegmentStorage(station.process.host, NodeConfig(data_dir=f"{DATA}/file/data"))
        failure = self.failureResultOf(storage.start(), StartRefused)
        self.assertIn(f"{DATA}/file/data", failure.getErrorMessage())

