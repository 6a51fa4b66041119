"""
The contract of L{IStorage}, with that of the logs in it.

A storage that keeps what it has when it stops runs L{DurableStorageContract},
one that does not L{StorageContract}::

    from streamline.testing.contracts import storage

    class AcmeTests(storage.DurableStorageContract):
        def make(self, host, config):
            return AcmeStorage(host, config)
"""

from __future__ import annotations

from zope.interface.verify import verifyObject

from streamline.config import TopicConfig
from streamline.errors import StorageFailed
from streamline.interfaces import IStorage
from streamline.model import LogIdentity
from streamline.testing.contracts import partition_log, storage_harness
from streamline.testing.contracts.storage_harness import (
    IDENTITY,
    OTHER_TOPIC_ID,
    SMALL_SEGMENTS,
    TOPIC_ID,
    make_batch,
)
from streamline.testing.worlds import EPOCH_MS

DAY_MS = 86_400_000


class RetentionContract(storage_harness.StorageHarness):
    """What retention drops, and what it never does."""

    def segmented(self, **settings: object) -> list[int]:
        """Fill a log with four parts, all of it below the high watermark; return where the later ones begin."""
        self.log.configure(TopicConfig(segment_bytes=SMALL_SEGMENTS, **settings))  # type: ignore[arg-type]
        begun = self.fill_segments(3)
        self.log.high_watermark = self.log.end_offset
        return begun

    def test_nothing_to_drop(self) -> None:
        """Young and small, everything stays."""
        self.segmented()
        self.assertEqual([self.log.retain(self.host.clock.wall_ms()), self.log.start_offset], [0, 0])

    def test_by_size(self) -> None:
        """The oldest parts go as long as what is left has retention.bytes."""
        self.segmented(retention_bytes=2 * SMALL_SEGMENTS)
        before = self.log.size_bytes
        freed = self.log.retain(self.host.clock.wall_ms())
        self.assertGreater(freed, 0)
        self.assertEqual(self.log.size_bytes, before - freed)
        self.assertGreaterEqual(self.log.size_bytes, 2 * SMALL_SEGMENTS)
        self.assertEqual(self.offsets(), list(range(self.log.start_offset, self.log.end_offset)))
        self.assertGreater(self.log.start_offset, 0)

    def test_by_age(self) -> None:
        """Parts whose youngest record is older than retention.ms go, also the last one."""
        self.segmented(retention_ms=DAY_MS)
        before, end_offset = self.log.size_bytes, self.log.end_offset
        self.assertEqual(self.log.retain(EPOCH_MS + DAY_MS), 0)
        self.assertEqual(self.log.retain(EPOCH_MS + DAY_MS + 1), before)
        self.assertEqual([self.log.start_offset, self.log.end_offset, self.log.size_bytes],
                         [end_offset, end_offset, 0])
        self.fill(1)
        self.assertEqual(self.offsets(), [end_offset])

    def test_not_above_the_high_watermark(self) -> None:
        """What is not committed stays, however old it is."""
        second, third, _ = self.segmented(retention_ms=DAY_MS)
        self.log.high_watermark = third + 1
        self.log.retain(EPOCH_MS + 10 * DAY_MS)
        self.assertTrue(second < self.log.start_offset <= third + 1, "whole parts, or finer")
        self.assertEqual(self.offsets(), list(range(self.log.start_offset, self.log.end_offset)))

    def test_below_the_start(self) -> None:
        """Parts wholly below the start go, whatever the policy."""
        second, third, _ = self.segmented(cleanup_policy="compact", retention_ms=DAY_MS)
        self.log.retain(EPOCH_MS + 10 * DAY_MS)
        self.assertEqual(self.log.start_offset, 0)
        self.log.advance_start(third - 1)
        self.assertGreater(self.log.retain(EPOCH_MS), 0)
        self.assertEqual([self.log.start_offset, self.offsets()[0]], [third - 1, third - 1])
        self.assertGreater(third - 1, second)

    def test_unlimited(self) -> None:
        """-1 means for ever."""
        self.segmented(retention_ms=-1, retention_bytes=-1)
        self.assertEqual(self.log.retain(EPOCH_MS + 10_000 * DAY_MS), 0)

    def test_rolls_by_age(self) -> None:
        """An idle log begins a new part once the last one is older than segment.ms."""
        self.log.configure(TopicConfig(segment_ms=DAY_MS))
        self.fill(2)
        self.advance(DAY_MS / 1000 - 60)
        self.log.retain(self.host.clock.wall_ms())
        self.assertEqual(self.log.segment_offset, 0)
        self.advance(120)
        self.log.retain(self.host.clock.wall_ms())
        self.assertEqual([self.log.segment_offset, self.offsets()], [2, [0, 1]])


class BlobContract(storage_harness.StorageHarness):
    """The small blobs beside a log."""

    def test_blobs(self) -> None:
        """A blob is kept, replaced, listed and forgotten; the log does not notice."""
        log = self.log
        self.assertEqual([log.get_checkpoint("a.snapshot"), log.checkpoint_names()], [None, []])
        log.put_checkpoint("b.snapshot", b"one")
        log.put_checkpoint("a.snapshot", b"")
        log.put_checkpoint("b.snapshot", b"two")
        self.assertEqual([log.get_checkpoint("a.snapshot"), log.get_checkpoint("b.snapshot")], [b"", b"two"])
        self.assertEqual(log.checkpoint_names(), ["a.snapshot", "b.snapshot"])
        log.drop_checkpoint("b.snapshot")
        log.drop_checkpoint("b.snapshot")
        self.assertEqual([log.checkpoint_names(), log.end_offset], [["a.snapshot"], 0])

    def test_kafka_names(self) -> None:
        """Kafka's own names for such blobs are fine."""
        names = [f"{0:020d}.txnindex", f"{7:020d}.snapshot", "leader-epoch-checkpoint"]
        for name in names:
            self.log.put_checkpoint(name, name.encode())
        self.assertEqual(self.log.checkpoint_names(), names)

    def test_foreign_names(self) -> None:
        """A name that could mean something else is a mistake of the caller's."""
        for name in ("", "..", "a/b", f"{0:020d}.log", "partition.metadata"):
            self.assertRaises(ValueError, self.log.put_checkpoint, name, b"")

    def test_blobs_outlive_a_cut(self) -> None:
        """Cutting the log is no reason to forget blobs; their owner knows better."""
        self.fill(3)
        self.log.put_checkpoint("a.snapshot", b"x")
        self.log.truncate(1)
        self.assertEqual(self.log.checkpoint_names(), ["a.snapshot"])


class StorageContract(partition_log.PartitionLogContract, RetentionContract, BlobContract):
    """Everything that holds for a storage as long as it runs."""

    def test_storage_interface(self) -> None:
        """The storage has everything that its interface names."""
        verifyObject(IStorage, self.storage)

    def test_open_again(self) -> None:
        """Opening an open log gives the same records, and so does opening it after it was closed."""
        batches = self.fill(3)
        for close in (False, True):
            if close:
                self.result_of(self.log.close())
            self.log = self.opened()
            self.assertEqual(self.read_all(), b"".join(batches))
        self.fill(1)
        self.assertEqual(self.log.end_offset, 4)

    def test_identities(self) -> None:
        """The partitions that have a log are listed in order."""
        others = [LogIdentity("orders", 10, TOPIC_ID), LogIdentity("books", 0, OTHER_TOPIC_ID)]
        for identity in others:
            self.opened(identity)
        self.assertEqual(list(self.storage.identities()), [others[1], IDENTITY, others[0]])

    def test_logs_are_apart(self) -> None:
        """What happens to one log does not happen to another, though their names resemble each other."""
        batches = self.fill(2)
        first = self.log
        self.log = self.opened(LogIdentity("orders-3", 3, OTHER_TOPIC_ID))
        self.fill(1)
        self.log.truncate(0)
        self.log = first
        self.assertEqual(self.read_all(), b"".join(batches))

    def test_discard(self) -> None:
        """A discarded log is closed and gone; one of the same name begins empty."""
        self.fill(2)
        self.log.put_checkpoint("a.snapshot", b"x")
        discarded = self.log
        self.result_of(self.storage.discard(IDENTITY))
        self.assertEqual(list(self.storage.identities()), [])
        self.assertRaises(StorageFailed, discarded.flush)
        again = LogIdentity("orders", 3, OTHER_TOPIC_ID)
        self.log = self.opened(again)
        self.assertEqual([self.log.end_offset, self.log.checkpoint_names()], [0, []])
        self.assertEqual(list(self.storage.identities()), [again])

    def test_discard_what_is_not_there(self) -> None:
        """That is fine, and touches nothing that has the same name only."""
        batches = self.fill(1)
        self.result_of(self.storage.discard(LogIdentity("orders", 3, OTHER_TOPIC_ID)))
        self.result_of(self.storage.discard(LogIdentity("nothing", 0, TOPIC_ID)))
        self.assertEqual(self.read_all(), b"".join(batches))

    def test_another_topic_of_the_name(self) -> None:
        """A log of the same name with another topic id is not used (KR30)."""
        self.fill(2)
        self.log = self.opened(LogIdentity("orders", 3, OTHER_TOPIC_ID))
        self.assertEqual([self.log.end_offset, self.read_all()], [0, b""])

    def test_checkpoint(self) -> None:
        """A checkpoint syncs what was appended."""
        self.append(make_batch(0, 2), flush=False)
        self.result_of(self.storage.checkpoint())
        self.assertEqual([self.log.flushed_offset, self.log.recovery_point], [2, 2])


class DurableStorageContract(StorageContract):
    """What a storage keeps when it stops, and what when it is killed."""

    def test_restart(self) -> None:
        """After a stop everything is as it was."""
        batches = self.fill(5, records=2, step_ms=10)
        self.log.high_watermark = 7
        self.log.advance_start(3)
        self.log.put_checkpoint("a.snapshot", b"x")
        self.restart()
        log = self.log
        self.assertEqual([log.start_offset, log.end_offset, log.flushed_offset, log.recovery_point,
                          log.high_watermark, log.size_bytes], [3, 10, 10, 10, 7, 5 * len(batches[0])])
        self.assertEqual(self.read_all(), b"".join(batches[1:]))
        self.assertEqual(log.get_checkpoint("a.snapshot"), b"x")
        self.assertEqual(list(self.storage.identities()), [IDENTITY])

    def test_stop_flushes(self) -> None:
        """What was only appended is there after a stop."""
        self.append(make_batch(0, 2), flush=False)
        self.restart()
        self.assertEqual(self.read_all(), make_batch(0, 2))

    def test_restart_with_several_parts(self) -> None:
        """Parts, times and offsets are found again."""
        self.log.configure(TopicConfig(segment_bytes=SMALL_SEGMENTS))
        batches = self.fill(30, value_bytes=100_000, step_ms=1000)
        self.restart()
        self.log.configure(TopicConfig(segment_bytes=SMALL_SEGMENTS))
        batches += self.fill(15, value_bytes=100_000, step_ms=100_000)
        self.assertEqual(self.read_all(), b"".join(batches))
        self.assertEqual(b"".join(self.log.batch_at_timestamp(EPOCH_MS + 17_000).parts), batches[17])
        self.assertEqual(b"".join(self.log.batch_of_max_timestamp().parts), batches[-1])

    def test_restart_after_cuts(self) -> None:
        """A log that was cut and begun anew stays that way."""
        self.fill(9)
        self.log.truncate(5)
        self.restart()
        self.assertEqual([self.log.end_offset, self.offsets()], [5, [0, 1, 2, 3, 4]])
        self.log.restart_at(2)
        self.restart()
        self.assertEqual([self.log.start_offset, self.log.end_offset], [2, 2])

    def test_kill(self) -> None:
        """What was flushed survives the process, at the offsets that it had; what was not does not count."""
        batches = self.fill(5, records=2)
        self.append(make_batch(10), flush=False)
        self.log.put_checkpoint("a.snapshot", b"x")
        self.kill()
        self.assertEqual([self.log.end_offset, self.log.recovery_point], [10, 10])
        self.assertEqual([self.read_all(), self.log.get_checkpoint("a.snapshot")], [b"".join(batches), b"x"])
        self.fill(1)
        self.assertEqual(self.log.end_offset, 11)

    def test_kill_after_cuts(self) -> None:
        """Cuts and starts survive the process."""
        self.fill(9)
        self.log.truncate(6)
        self.log.advance_start(2)
        self.kill()
        self.assertEqual([self.log.start_offset, self.offsets()], [2, [2, 3, 4, 5]])

    def test_high_watermark_does_not_lead(self) -> None:
        """After a crash the high watermark is one that was set, and not beyond the end."""
        self.fill(4)
        self.log.high_watermark = 3
        self.result_of(self.storage.checkpoint())
        self.log.high_watermark = 4
        self.kill()
        self.assertIn(self.log.high_watermark, (3, 4))
        self.log.truncate(2)
        self.append(make_batch(2, 5, leader_epoch=1))
        self.kill()
        self.assertLessEqual(self.log.high_watermark, 2)

    def test_discard_survives(self) -> None:
        """A discarded log does not come back."""
        self.fill(2)
        self.result_of(self.storage.discard(IDENTITY))
        self.kill()
        self.assertEqual([self.log.start_offset, self.log.end_offset], [0, 0])

    def test_retention_survives(self) -> None:
        """What retention dropped does not come back."""
        self.segmented(retention_bytes=SMALL_SEGMENTS)
        self.log.retain(self.host.clock.wall_ms())
        start_offset, end_offset = self.log.start_offset, self.log.end_offset
        self.assertGreater(start_offset, 0)
        self.kill()
        self.assertEqual([self.log.start_offset, self.offsets()[0]], [start_offset, start_offset])
        self.assertEqual(self.log.end_offset, end_offset)
