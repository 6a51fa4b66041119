"""What is particular about segments: when they end, what they reserve, and which are open."""

from __future__ import annotations

import random
from typing import cast

from twisted.trial.unittest import SynchronousTestCase

from streamline.interfaces import ITakesRuns
from streamline.model import LogIdentity, PlainBatch
from streamline.storage import segment
from streamline.storage.commons import OpenSegments
from streamline.storage.log import SegmentLog
from streamline.testing.contracts.storage_harness import OTHER_TOPIC_ID, TOPIC_ID, make_batch
from streamline.testing.simulation.files import SimFile
from streamline.testing.worlds import EPOCH_MS
from streamline.wire.batch import read_header
from tests.storage.machines import DAY_MS, Station, segment_name, started


class RunTests(SynchronousTestCase):
    """Many batches taken with one call lie as if each had been appended by itself."""

    def give(self, log: ITakesRuns, batches: list[bytes], runs: random.Random | None) -> None:
        """Append batches that have no place yet, in runs where it is drawn how long they are; flush now and then."""
        while batches:
            taken = 0
            if runs is not None:
                some = batches[: runs.randrange(1, 9)]
                taken = log.append_run([self.plain(batch) for batch in some], 7)
            if not taken:
                header = read_header(batches[0])
                log.append(header, (header.place(log.end_offset, 7), memoryview(batches[0])[16:]))
                taken = 1
            batches = batches[taken:]
            if len(batches) % 3:
                log.flush()

    def plain(self, batch: bytes) -> PlainBatch:
        """Return what is said of a batch in a run."""
        header = read_header(batch)
        return memoryview(batch), header.record_count, header.max_timestamp

    def drawn(self, rng: random.Random) -> list[bytes]:
        """Return batches of all sizes, or small ones only, and of all times, now and then without any."""
        sizes, steps = rng.choice((
            ((10, 10, 100, 300, 5000, 90_000), (0, 0, 1, -5, 100, DAY_MS // 20)),
            ((5000,), (0, 7)),
            ((1, 10), (DAY_MS // 15, -DAY_MS // 50)),
            ((1, 10), (0, 7, -5)),
            ((1, 10), (0,)),
        ))  # fmt: skip
        now = EPOCH_MS if len(steps) > 1 else -1
        found = []
        for _ in range(60):
            now += rng.choice(steps)
            size = rng.choice(sizes)
            found.append(make_batch(0, rng.randrange(1, 4), timestamp=now, value_bytes=size, leader_epoch=-1))
        return found

    def test_the_same_files(self) -> None:
        """The log, its indexes and where segments begin are the same to the byte."""
        rolled = 0
        for seed in range(40):
            batches = self.drawn(random.Random(seed))
            stations = [started(segment_ms=DAY_MS, segment_index_bytes=400) for _ in range(2)]
            for station, runs in zip(stations, (None, random.Random(seed)), strict=True):
                self.give(cast(ITakesRuns, station.log), list(batches), runs)
                station.stop()
            ones, others = (
                {name: data for name, data in station.files().items() if name.endswith(("log", "index"))}
                for station in stations
            )
            self.assertEqual(ones.keys(), others.keys())
            for name, data in ones.items():
                self.assertEqual(data, others[name], f"{name} of seed {seed}")
            rolled += sum(name.endswith(".log") for name in ones) - 1
        self.assertGreater(rolled, 8)

    def test_what_a_run_leaves(self) -> None:
        """It ends before a batch for which the log must roll, and takes nothing once the log is closed."""
        station = started()
        log = cast(ITakesRuns, station.log)
        run = [self.plain(make_batch(0, value_bytes=400_000)) for _ in range(4)]
        self.assertEqual(log.append_run(run, 0), 2)
        self.assertEqual((log.end_offset, log.flushed_offset, log.segment_offset), (2, 0, 0))
        self.assertEqual(log.append_run(run[2:], 0), 0)
        station.append(make_batch(2, value_bytes=400_000))
        self.assertEqual((log.flushed_offset, log.segment_offset), (3, 2))
        self.assertEqual([header.base_offset for header in log.headers(0)], [0, 1, 2])
        station.wait(log.close())
        self.assertEqual(log.append_run(run, 0), 0)


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

    def test_cut_while_finished_segments_are_synced(self) -> None:
        """A finished segment is settled all the same, and can rest."""
        station = started(segment_ms=500)
        station.faults.sync_mean_s = 0.1
        station.fill(15)
        station.log.truncate(12)
        station.pass_time(10)
        log = station.log
        assert isinstance(log, SegmentLog)
        finished, active = log._chain.segments
        self.assertEqual([finished.can_rest, finished.base_offset, active.base_offset], [True, 0, 10])

    def test_settling(self) -> None:
        """A finished segment of which everything was synced before stays open until it has been synced elsewhere."""
        station = Station(segment_ms=500, index_interval_bytes=0)
        station.open_segments = "1"
        station.start()
        other = station.open(LogIdentity("other", 0, OTHER_TOPIC_ID))
        station.fill(3)
        station.wait(station.storage.checkpoint())
        station.faults.sync_mean_s = 0.1
        station.pass_time(1)
        station.log.retain(station.process.host.clock.wall_ms())
        batch = make_batch(0)
        other.append(read_header(batch), [batch])
        other.flush()
        station.pass_time(10)
        station.fill(1)
        self.assertEqual(station.wait(station.log.sync()), 4)

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
