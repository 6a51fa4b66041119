"""What is particular about segments: when they end, what they reserve, keep open and do unasked."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from streamline.config import TopicConfig
from streamline.errors import ErrorCode, Refused
from streamline.model import LogIdentity
from streamline.storage import commons, segment, syncing
from streamline.storage.commons import OpenSegments
from streamline.storage.log import SegmentLog
from streamline.testing.contracts.storage_harness import IDENTITY, OTHER_TOPIC_ID, TOPIC_ID, make_batch
from streamline.testing.simulation.files import SimFile
from streamline.testing.worlds import EPOCH_MS
from streamline.wire.batch import read_header
from tests.storage.machines import DATA, DIRECTORY, Station, segment_name

DAY_MS = 86_400_000


def started(**settings: object) -> Station:
    """Return a machine with a log."""
    station = Station(**settings)
    station.start()
    return station


class RollTests(SynchronousTestCase):
    """When a segment ends and another begins."""

    def bases(self, station: Station) -> list[int]:
        """Return where segments begin."""
        return [int(name[:20]) for name in station.files() if name.endswith(".log")]

    def test_size(self) -> None:
        """A segment never grows beyond segment.bytes, unless a single batch does."""
        station = started()
        station.fill(3, value_bytes=400_000)
        self.assertEqual(self.bases(station), [0, 2])
        station.append(make_batch(3, value_bytes=2**21), make_batch(4))
        self.assertEqual(self.bases(station), [0, 2, 3, 4])

    def test_time_of_records(self) -> None:
        """What counts is the time between the first batch and the one that comes, not the clock's."""
        station = started(segment_ms=DAY_MS)
        station.fill(1, timestamp=5)
        station.pass_time(3 * DAY_MS / 1000)
        station.fill(1, timestamp=5 + DAY_MS)
        self.assertEqual(self.bases(station), [0])
        station.fill(1, timestamp=6 + DAY_MS)
        self.assertEqual(self.bases(station), [0, 2])

    def test_time_after_a_restart(self) -> None:
        """The first batch's time is found again."""
        station = started(segment_ms=DAY_MS)
        station.fill(1, timestamp=5)
        station.stop()
        station.start()
        station.fill(1, timestamp=6 + DAY_MS)
        self.assertEqual(self.bases(station), [0, 1])

    def test_time_without_timestamps(self) -> None:
        """Where records have no time, the clock's counts."""
        station = started(segment_ms=DAY_MS)
        station.fill(1, timestamp=-1)
        station.pass_time(DAY_MS / 1000 - 60)
        station.fill(1, timestamp=-1)
        station.pass_time(120)
        station.fill(1, timestamp=-1)
        self.assertEqual(self.bases(station), [0, 2])
        self.assertEqual(station.log.batch_of_max_timestamp().parts, ())

    def test_jitter(self) -> None:
        """Chance takes something off segment.ms, so that logs made together do not roll together."""
        station = started(segment_ms=1_000_000, segment_jitter_ms=900_000)
        rolled = set()
        for number in range(6):
            station.log = station.open(LogIdentity("jitter", number, TOPIC_ID))
            station.fill(1, timestamp=0)
            station.log.retain(station.process.host.clock.wall_ms())  # the first segment has no jitter, as in Kafka
            step = 0
            while station.log.segment_offset < 2:
                step += 20_000
                station.fill(1, timestamp=2_000_000 + step)
            rolled.add(step)
        self.assertGreater(len(rolled), 3)
        self.assertTrue(all(100_000 < step <= 1_020_000 for step in rolled), rolled)

    def test_full_index(self) -> None:
        """A segment ends when an index is full: 60 bytes are 7 offsets, or 4 times and a place for the last one."""
        station = started(segment_index_bytes=60, index_interval_bytes=0)
        station.append(*[make_batch(offset, timestamp=EPOCH_MS + offset) for offset in range(40)])
        station.stop()
        files = station.files()
        self.assertEqual({len(data) for name, data in files.items() if name.endswith(".timeindex")}, {48})
        station = started(segment_index_bytes=60, index_interval_bytes=0)
        station.append(*[make_batch(offset) for offset in range(40)])
        station.stop()
        files = station.files()
        self.assertEqual({len(data) for name, data in files.items() if name.endswith(".index")}, {56})

    def test_offsets_too_far_apart(self) -> None:
        """Offsets in an index are relative and have 31 bits."""
        station = started(cleanup_policy="compact")
        station.append(make_batch(0), make_batch(2**31 - 1))
        self.assertEqual(self.bases(station), [0])
        station.append(make_batch(2**31))
        self.assertEqual(self.bases(station), [0, 2**31])
        station.append(make_batch(2**33))
        self.assertEqual(self.bases(station), [0, 2**31, 2**33])
        station.wait(station.storage.checkpoint())
        station.restart()
        self.assertEqual(station.offsets(), [0, 2**31 - 1, 2**31, 2**33])

    def test_indexes_when_a_segment_ends(self) -> None:
        """A finished segment's indexes are on the disk, with its greatest time."""
        station = started()
        for number in range(25):
            station.fill(1, value_bytes=100_000, timestamp=EPOCH_MS + number)
        station.pass_time(1)
        files = station.files()
        self.assertEqual(len(files[segment_name(0, ".index")]) // 8, 9)
        self.assertEqual(files[segment_name(0, ".timeindex")][-12:],
                         (EPOCH_MS + 9).to_bytes(8, "big") + (9).to_bytes(4, "big"))


class ReservingTests(SynchronousTestCase):
    """Space that is reserved ahead, and given back."""

    def setUp(self) -> None:
        """Watch what is reserved."""
        self.reserved: list[int] = []
        self.patch(SimFile, "allocate", lambda file, size: self.reserved.append(size))

    def test_small_logs_reserve_nothing(self) -> None:
        """Thousands of small topics shall not fill the disk."""
        station = started(segment_bytes=2**30)
        station.fill(9, value_bytes=100_000)
        self.assertEqual(self.reserved, [])

    def test_growing_logs_reserve_ahead(self) -> None:
        """A log reserves as much as it has, up to a limit, and never beyond segment.bytes."""
        station = started(segment_bytes=5 * 2**20)
        for _ in range(50):
            station.fill(1, value_bytes=100_000)
        self.assertTrue(1 < len(self.reserved) < 6, self.reserved)
        self.assertEqual([self.reserved, max(self.reserved)], [sorted(self.reserved), 5 * 2**20])
        self.patch(segment, "ALLOCATE_BYTES_MAX", 2**16)
        self.reserved.clear()
        station = started(segment_bytes=5 * 2**20)
        for _ in range(30):
            station.fill(1, value_bytes=100_000)
        self.assertLess(max(self.reserved), 3_200_000)

    def test_preallocate(self) -> None:
        """The setting reserves a whole segment at once."""
        started(preallocate=True, segment_bytes=2**22)
        self.assertEqual(self.reserved, [2**22])

    def test_given_back(self) -> None:
        """A segment that ends, and a log that is closed, are cut to their size."""
        station = started(segment_bytes=5 * 2**20)
        cut: list[int] = []
        truncate = SimFile.truncate

        def seen(file: SimFile, size: int) -> None:
            cut.append(size)
            truncate(file, size)

        self.patch(SimFile, "truncate", seen)
        station.fill(75, value_bytes=100_000)
        self.assertEqual(cut, [len(station.read_file(segment_name(0)))])
        station.wait(station.log.close())
        self.assertIn(len(station.read_file(segment_name(52))), cut)


class OpenSegmentsTests(SynchronousTestCase):
    """Files are closed when too many are open, and opened when needed."""

    def open_files(self, station: Station) -> int:
        """Return how many segments have a file open."""
        log = station.log
        assert isinstance(log, SegmentLog)
        return sum(one.is_open for one in log._chain.segments)

    def test_limit(self) -> None:
        """Only so many are open at once, whatever is read."""
        station = Station()
        station.open_segments = "3"
        station.start()
        batches = station.fill(75, value_bytes=100_000)
        station.wait(station.storage.checkpoint())
        for _ in range(2):
            self.assertEqual(station.content(), b"".join(batches))
            self.assertLessEqual(self.open_files(station), 3)

    def test_nothing_to_lose(self) -> None:
        """A file with bytes that are not synced stays open, so that a failing sync is noticed."""
        station = Station()
        station.open_segments = "1"
        station.start()
        logs = [station.open(LogIdentity("many", number, OTHER_TOPIC_ID)) for number in range(5)]
        for log in logs:
            batch = make_batch(0)
            log.append(read_header(batch), [batch])
            log.flush()
        station.faults.failing_syncs = 5
        failed = 0
        for log in logs:
            try:
                station.wait(log.sync())
            except Exception:
                failed += 1
        self.assertEqual(failed, 5)

    def test_order(self) -> None:
        """Those unused for longest rest first."""
        station = started()
        log = station.log
        assert isinstance(log, SegmentLog)
        station.fill(35, value_bytes=100_000)
        station.wait(station.storage.checkpoint())
        segments = log._chain.segments[:4]
        limited = OpenSegments(2)
        for one in (*segments[:2], segments[0], segments[2]):
            limited.touch(one)
            one.view()
        self.assertEqual([one.is_open for one in segments[:3]], [True, False, True])
        self.assertEqual(len(limited), 2)


class ReadingTests(SynchronousTestCase):
    """Reads that wait for the device, and what happens meanwhile."""

    def read(self, station: Station, offset: int = 0) -> Deferred[object]:
        """Begin a read that has to wait."""
        station.faults.uncached_chance = 1.0
        found = station.log.read(offset, 1000, end_offset=station.log.end_offset, at_least_one=True)
        assert isinstance(found, Deferred), "it did not have to wait"
        return found

    def parts(self, station: Station, reading: Deferred[object]) -> bytes:
        """Wait for a read."""
        station.faults.uncached_chance = 0.0
        return b"".join(station.wait(reading).parts)  # type: ignore[attr-defined]

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


class UnaskedTests(SynchronousTestCase):
    """What happens without anybody asking for it."""

    def test_much_is_synced(self) -> None:
        """So many bytes are synced, so that the kernel never has too much to write at once."""
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
