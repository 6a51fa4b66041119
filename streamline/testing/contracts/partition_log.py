"""
The contract of L{IPartitionLog}: what a log does while it is open.
"""

from __future__ import annotations

from zope.interface.verify import verifyObject

from streamline.config import TopicConfig
from streamline.errors import ErrorCode, StorageFailed
from streamline.interfaces import IPartitionLog
from streamline.testing.contracts.storage_harness import (
    IDENTITY,
    SMALL_SEGMENTS,
    StorageHarness,
    joined,
    make_batch,
)
from streamline.testing.worlds import EPOCH_MS
from streamline.wire.batch import read_header

HOUR_MS = 3_600_000


class PartitionLogContract(StorageHarness):
    """Appending, reading, cutting and keeping."""

    # Appending

    def test_interface(self) -> None:
        """The log has everything that its interface names."""
        verifyObject(IPartitionLog, self.log)
        self.assertEqual(self.log.identity, IDENTITY)

    def test_empty(self) -> None:
        """A new log begins and ends at 0 and holds nothing."""
        log = self.log
        self.assertEqual(
            [log.start_offset, log.end_offset, log.flushed_offset, log.recovery_point, log.segment_offset,
             log.size_bytes, log.high_watermark], [0] * 7,
        )  # fmt: skip
        self.assertEqual(joined(self.read(0)), b"")
        self.assertEqual(list(log.headers(0)), [])
        self.assertEqual([log.batch_at_timestamp(0).parts, log.batch_of_max_timestamp().parts], [(), ()])

    def test_append_counts_after_flush(self) -> None:
        """An append moves the end at once; it can be read once it is flushed."""
        batch = make_batch(0, 3)
        self.append(batch, flush=False)
        self.assertEqual([self.log.end_offset, self.log.flushed_offset], [3, 0])
        self.assertEqual(joined(self.read(0)), b"")
        self.log.flush()
        self.assertEqual([self.log.end_offset, self.log.flushed_offset, self.log.size_bytes], [3, 3, len(batch)])
        self.assertEqual(joined(self.read(0)), batch)

    def test_bytes_stay_as_they_are(self) -> None:
        """Whatever parts a batch comes in, the same bytes come back, in the order of the appends."""
        batches = [make_batch(0, 2), make_batch(2, 1, value_bytes=70_000), make_batch(3, 5)]
        for batch in batches:
            view = memoryview(bytearray(batch))
            self.log.append(read_header(batch), [view[:1], bytes(view[1:61]), view[61:]])
        self.log.flush()
        self.assertEqual(self.read_all(), b"".join(batches))

    def test_flush_of_nothing(self) -> None:
        """Flushing twice, or an empty log, changes nothing."""
        self.log.flush()
        batches = self.fill(1)
        self.log.flush()
        self.assertEqual(self.read_all(), batches[0])

    def test_offsets_may_have_gaps(self) -> None:
        """Compaction leaves gaps; reading in one gives what follows it."""
        self.log.configure(TopicConfig(cleanup_policy="compact"))
        self.append(make_batch(0, 2), make_batch(10, 2))
        self.assertEqual(self.log.end_offset, 12)
        self.assertEqual(joined(self.read(5)), make_batch(10, 2))

    def test_offsets_do_not_go_back(self) -> None:
        """A batch below the end is a mistake of the caller's and changes nothing."""
        batches = self.fill(3)
        self.assertRaises(ValueError, self.append, make_batch(2))
        self.log.flush()
        self.assertEqual(self.read_all(), b"".join(batches))

    def test_sync(self) -> None:
        """A sync flushes, and fires with an offset that the recovery point has reached."""
        self.append(make_batch(0, 4), flush=False)
        self.assertGreaterEqual(self.result_of(self.log.sync()), 4)
        self.assertEqual([self.log.flushed_offset, self.log.recovery_point], [4, 4])

    def test_syncs_can_overlap(self) -> None:
        """Each sync covers what was appended before it."""
        waiting = []
        for number in range(5):
            self.append(make_batch(number))
            waiting.append(self.log.sync())
        reached = [self.result_of(one) for one in waiting]
        self.assertTrue(all(offset >= number + 1 for number, offset in enumerate(reached)), reached)

    def test_rolls_by_size(self) -> None:
        """A part of the log ends before it would grow beyond segment.bytes; no byte is lost by that."""
        self.log.configure(TopicConfig(segment_bytes=SMALL_SEGMENTS))
        batches = self.fill(30, value_bytes=100_000)
        self.assertGreater(self.log.segment_offset, 10)
        self.assertEqual(self.read_all(), b"".join(batches))

    def test_rolls_by_time(self) -> None:
        """A batch that is segment.ms younger than the first of its part begins another one."""
        self.log.configure(TopicConfig(segment_ms=HOUR_MS))
        self.append(make_batch(0, timestamp=EPOCH_MS), make_batch(1, timestamp=EPOCH_MS + HOUR_MS))
        self.assertEqual(self.log.segment_offset, 0)
        self.append(make_batch(2, timestamp=EPOCH_MS + HOUR_MS + 1))
        self.assertEqual([self.log.segment_offset, self.offsets()], [2, [0, 1, 2]])

    # Reading

    def test_read_whole_batches(self) -> None:
        """An offset in the middle of a batch gives all of that batch."""
        batches = self.fill(3, records=4)
        found = self.read(6)
        self.assertEqual([joined(found), found.size_bytes, found.next_offset],
                         [b"".join(batches[1:]), len(batches[1]) + len(batches[2]), 12])

    def test_read_fits(self) -> None:
        """No more comes than fits, and the next offset leads on."""
        batches = self.fill(4)
        size = len(batches[0])
        found = self.read(0, 2 * size + size // 2)
        self.assertEqual([joined(found), found.next_offset], [b"".join(batches[:2]), 2])

    def test_read_at_least_one(self) -> None:
        """The first batch comes whole though it does not fit, if at least one shall come."""
        batches = self.fill(2)
        self.assertEqual(joined(self.read(0, 1, at_least_one=True)), batches[0])
        found = self.read(0, len(batches[0]) - 1, at_least_one=False)
        self.assertEqual([joined(found), found.size_bytes, found.next_offset], [b"", 0, 0])

    def test_read_up_to(self) -> None:
        """No batch comes that reaches the end that was named, not even the first."""
        batches = self.fill(3, records=3)
        self.assertEqual(joined(self.read(0, end_offset=6)), b"".join(batches[:2]))
        self.assertEqual(joined(self.read(0, end_offset=8)), b"".join(batches[:2]))
        self.assertEqual(joined(self.read(3, end_offset=5)), b"")
        self.assertEqual(joined(self.read(7, end_offset=3)), b"")

    def test_read_from_anywhere(self) -> None:
        """From every offset, in many parts, with small and large answers, the same batches come."""
        self.log.configure(TopicConfig(segment_bytes=SMALL_SEGMENTS))
        batches = self.fill(40, records=3, value_bytes=20_000)
        self.append(make_batch(120, 7, value_bytes=5))
        batches.append(make_batch(120, 7, value_bytes=5))
        for offset in range(0, self.log.end_offset, 5):
            expected = batches[min(offset // 3, 40)]
            self.assertEqual(joined(self.read(offset, 1)), expected, offset)
            self.assertTrue(joined(self.read(offset, 150_000)).startswith(expected), offset)

    def test_read_at_the_end(self) -> None:
        """At the end there is nothing yet."""
        self.fill(2)
        found = self.read(2)
        self.assertEqual([joined(found), found.next_offset], [b"", 2])

    def test_read_out_of_range(self) -> None:
        """Before the start and beyond the end there is nothing to be had."""
        self.fill(4)
        self.log.advance_start(2)
        for offset in (-1, 1, 5):
            self.assert_refused(ErrorCode.OFFSET_OUT_OF_RANGE, self.log.read, offset, 100, end_offset=4,
                                at_least_one=True)

    def test_reading_along(self) -> None:
        """Who reads after each append gets each batch once, however it was asked for."""
        offset, data, batches = 0, b"", []
        for number in range(50):
            batches += self.fill(1 + number % 3, value_bytes=10 + 997 * number)
            found = self.read(offset, 2**20 if number % 2 else 5000)
            data += joined(found)
            offset = found.next_offset
        self.assertEqual(data + joined(self.read(offset)), b"".join(batches))

    def test_headers(self) -> None:
        """Headers come in order from the batch that holds an offset."""
        self.log.configure(TopicConfig(segment_bytes=SMALL_SEGMENTS))
        batches = self.fill(25, records=2, value_bytes=30_000)
        expected = [read_header(batch) for batch in batches]
        self.assertEqual(list(self.log.headers(0)), expected)
        self.assertEqual(list(self.log.headers(31)), expected[15:])
        self.assertEqual(list(self.log.headers(50)), [])

    # Times

    def test_batch_at_timestamp(self) -> None:
        """The first batch with a record at or after a time is found, in any part of the log."""
        self.log.configure(TopicConfig(segment_bytes=SMALL_SEGMENTS))
        batches = self.fill(30, value_bytes=100_000, step_ms=1000)
        for number in (0, 1, 11, 29):
            for before_ms in (0, 999):
                found = self.log.batch_at_timestamp(EPOCH_MS + number * 1000 - before_ms)
                self.assertEqual([joined(found), found.next_offset], [batches[number], number + 1])
        self.assertEqual(self.log.batch_at_timestamp(EPOCH_MS + 29_001).parts, ())

    def test_times_out_of_order(self) -> None:
        """Where timestamps fall and rise, the first batch in the order of the log is meant."""
        times = [5, 9, 2, 9, 30, 1, 30, 12]
        batches = [make_batch(offset, timestamp=EPOCH_MS + time) for offset, time in enumerate(times)]
        self.append(*batches)
        self.assertEqual([joined(self.log.batch_at_timestamp(EPOCH_MS + time)) for time in (0, 6, 9, 10, 30)],
                         [batches[0], batches[1], batches[1], batches[4], batches[4]])
        self.assertEqual(joined(self.log.batch_of_max_timestamp()), batches[4])

    def test_hidden_times(self) -> None:
        """Batches wholly below the start are not found by their time."""
        batches = [make_batch(offset, timestamp=EPOCH_MS + time) for offset, time in enumerate((9, 3, 5))]
        self.append(*batches)
        self.log.advance_start(1)
        self.assertEqual(joined(self.log.batch_at_timestamp(0)), batches[1])
        self.assertEqual(joined(self.log.batch_of_max_timestamp()), batches[2])

    # Cutting

    def test_truncate(self) -> None:
        """Everything from an offset on is gone, and the log goes on from there."""
        batches = self.fill(5, records=2)
        self.log.high_watermark = 8
        self.result_of(self.log.sync())
        self.log.truncate(6)
        self.assertEqual([self.log.end_offset, self.log.flushed_offset, self.log.recovery_point,
                          self.log.high_watermark, self.log.size_bytes], [6, 6, 6, 6, 3 * len(batches[0])])
        self.append(make_batch(6, 1, leader_epoch=1))
        self.assertEqual(self.read_all(), b"".join(batches[:3]) + make_batch(6, 1, leader_epoch=1))

    def test_truncate_in_a_batch(self) -> None:
        """A batch that reaches beyond the offset goes as a whole."""
        batches = self.fill(3, records=4)
        self.log.truncate(6)
        self.assertEqual([self.log.end_offset, self.read_all()], [4, batches[0]])

    def test_truncate_beyond_the_end(self) -> None:
        """Nothing happens."""
        batches = self.fill(2)
        self.log.truncate(2)
        self.log.truncate(99)
        self.assertEqual([self.log.end_offset, self.read_all()], [2, b"".join(batches)])

    def test_truncate_what_was_not_flushed(self) -> None:
        """Batches that were only appended are cut like others."""
        self.append(make_batch(0), make_batch(1), make_batch(2), flush=False)
        self.log.truncate(1)
        self.assertEqual([self.log.end_offset, self.offsets()], [1, [0]])

    def test_truncate_across_parts(self) -> None:
        """A cut may take several parts of the log with it, to their very beginning or not."""
        self.log.configure(TopicConfig(segment_bytes=SMALL_SEGMENTS))
        second, third, _ = self.fill_segments(3)
        for end_offset in (third, second + 1, 1):
            self.log.truncate(end_offset)
            self.assertEqual([self.log.end_offset, self.offsets()], [end_offset, list(range(end_offset))])
            self.assertLessEqual(self.log.segment_offset, end_offset)
        self.fill(1)
        self.assertEqual(self.offsets(), [0, 1])

    def test_truncate_to_the_beginning(self) -> None:
        """Nothing is left, and offset 0 comes next."""
        self.fill(3)
        self.log.truncate(0)
        self.assertEqual([self.log.start_offset, self.log.end_offset, self.log.size_bytes], [0, 0, 0])
        self.fill(1)
        self.assertEqual(self.offsets(), [0])

    def test_truncate_the_batch_that_holds_the_start(self) -> None:
        """Nothing is left, and the start stays where it was."""
        self.fill(2, records=5)
        self.log.advance_start(2)
        self.log.truncate(4)
        self.assertEqual([self.log.start_offset, self.log.end_offset, self.log.size_bytes], [2, 2, 0])
        self.fill(1)
        self.assertEqual(self.offsets(), [2])

    def test_headers_end_at_a_cut(self) -> None:
        """Who walks along the log while it is cut sees nothing that came later."""
        self.fill(5, value_bytes=100_000)
        walk = self.log.headers(0)
        self.assertEqual(next(walk).base_offset, 0)
        self.log.truncate(3)
        self.append(*[make_batch(offset, leader_epoch=1, value_bytes=100_000) for offset in (3, 4, 5)])
        self.assertNotIn(1, [header.partition_leader_epoch for header in walk])

    def test_restart_at(self) -> None:
        """Everything is gone, and the log begins and ends at the offset, be it higher or lower."""
        self.fill(4)
        self.log.high_watermark = 3
        for offset in (100, 7):
            self.log.restart_at(offset)
            log = self.log
            self.assertEqual([log.start_offset, log.end_offset, log.flushed_offset, log.recovery_point,
                              log.high_watermark, log.segment_offset, log.size_bytes], [offset] * 6 + [0])
            self.append(make_batch(offset, 2))
            self.assertEqual(self.read_all(), make_batch(offset, 2))

    def test_advance_start(self) -> None:
        """What is below the start cannot be read; high watermark and recovery point are not below it."""
        self.fill(6)
        self.log.advance_start(4)
        self.assertEqual(self.log.start_offset, 4)
        self.assertGreaterEqual(min(self.log.high_watermark, self.log.recovery_point), 4)
        self.log.advance_start(2)
        self.assertEqual([self.log.start_offset, self.offsets()], [4, [4, 5]])

    def test_advance_start_beyond_the_end(self) -> None:
        """That is refused and changes nothing."""
        self.fill(2)
        self.assert_refused(ErrorCode.OFFSET_OUT_OF_RANGE, self.log.advance_start, 3)
        self.assertEqual(self.log.start_offset, 0)

    # The end

    def test_closed(self) -> None:
        """A closed log takes nothing and gives nothing; closing it again is allowed."""
        self.fill(1)
        self.result_of(self.log.close())
        self.result_of(self.log.close())
        self.assertRaises(StorageFailed, self.append, make_batch(1))
        self.assertRaises(StorageFailed, self.log.flush)
        self.failureResultOf(self.log.sync(), StorageFailed)
        self.assert_refused(ErrorCode.KAFKA_STORAGE_ERROR, self.log.read, 0, 100, end_offset=1, at_least_one=True)

    def test_close_flushes(self) -> None:
        """What was appended is there when the log is opened again."""
        self.append(make_batch(0, 2), flush=False)
        self.result_of(self.log.close())
        self.log = self.opened()
        self.assertEqual(self.read_all(), make_batch(0, 2))
