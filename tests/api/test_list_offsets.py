"""ListOffsets and OffsetForLeaderEpoch: offsets by time, at the ends, and of epochs."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from streamline.errors import ErrorCode
from streamline.model import NO_EPOCH, NO_OFFSET, NO_TIMESTAMP
from streamline.wire.compress import ZSTD
from streamline.wire.messages.leader_epoch import (
    EpochEndOffset,
    OffsetForLeaderEpochRequest,
    OffsetForLeaderPartition,
    OffsetForLeaderTopic,
)
from streamline.wire.messages.list_offsets import (
    ListOffsetsPartition,
    ListOffsetsPartitionResponse,
    ListOffsetsRequest,
    ListOffsetsTopic,
)
from streamline.wire.records import Record, build_batch
from tests.broker import Broker, batch_of

LATEST, EARLIEST, MAX_TIMESTAMP, EARLIEST_LOCAL, LATEST_TIERED, PENDING_UPLOAD = range(-1, -7, -1)


class OffsetsCase(SynchronousTestCase):
    """A node with a topic; its records were made at 1000, 1010, 1020, ... seconds, two in each batch."""

    def setUp(self) -> None:
        """Start it."""
        self.broker = Broker().start()
        self.broker.create("t", 2)
        for first in (1000, 1020, 1040):
            self.append(first, first + 10)

    def append(self, *seconds: int, **more: Any) -> None:
        """Append a batch of records made at these times."""
        batch = build_batch([Record(b"v", b"k", second * 1000) for second in seconds], **more)
        self.assertEqual(self.broker.produce("t", batch).error_code, ErrorCode.NONE)

    def look(
        self, timestamp: int, version: int = 7, *, topic: str = "t", index: int = 0, epoch: int = -1
    ) -> ListOffsetsPartitionResponse:
        """Look an offset up."""
        part = ListOffsetsPartition(partition_index=index, timestamp=timestamp, current_leader_epoch=epoch)
        request = ListOffsetsRequest(replica_id=-1, topics=[ListOffsetsTopic(name=topic, partitions=[part])])
        found: ListOffsetsPartitionResponse = self.broker.ask(request, version).topics[0].partitions[0]
        return found

    def finds(self, timestamp: int, offset: int, of: int = NO_TIMESTAMP, **more: Any) -> None:
        """Expect an offset, and the time of its record."""
        found = self.look(timestamp, **more)
        self.assertEqual((found.error_code, found.offset, found.timestamp), (ErrorCode.NONE, offset, of))

    def lead(self, leader_epoch: int) -> None:
        """Let the node lead the topic's first partition in this epoch."""
        partition = self.broker.partition("t")
        partition.state = evolve(partition.state, leader_epoch=leader_epoch)


class EndTests(OffsetsCase):
    """Where the log begins and ends."""

    def test_every_version(self) -> None:
        for version in range(1, 12):
            self.finds(LATEST, 6, version=version)
            self.finds(EARLIEST, 0, version=version)

    def test_moved_start(self) -> None:
        self.broker.partition("t").log.advance_start(3)
        self.finds(EARLIEST, 3)
        self.finds(EARLIEST_LOCAL, 3, version=8)

    def test_what_has_no_tiers(self) -> None:
        """A log without tiers begins where it begins locally, and has nothing elsewhere."""
        self.finds(EARLIEST_LOCAL, 0, version=8)
        self.finds(LATEST_TIERED, NO_OFFSET, version=9)
        self.finds(PENDING_UPLOAD, NO_OFFSET, version=11)

    def test_what_a_version_does_not_know(self) -> None:
        for timestamp, version in ((EARLIEST_LOCAL, 7), (LATEST_TIERED, 8), (PENDING_UPLOAD, 10), (-7, 11)):
            self.assertEqual(self.look(timestamp, version).error_code, ErrorCode.UNSUPPORTED_VERSION)

    def test_uncommitted_records_are_not_the_end(self) -> None:
        broker = Broker(storage="segments").start()
        broker.create("t", flush_messages="1")
        self.broker = broker
        broker.machine.platter.faults.stuck_until = broker.simulation.now + 30
        receipt = broker.node.broker.replicas.append_now("t", 0, batch_of(b"v", timestamp=1000), 1)
        self.assertEqual(receipt.base_offset, 0)
        self.finds(LATEST, 0)
        self.finds(0, NO_OFFSET)
        self.finds(MAX_TIMESTAMP, NO_OFFSET)


class TimeTests(OffsetsCase):
    """The first record that is not older, wherever in a batch it lies."""

    def test_each(self) -> None:
        for offset, second in enumerate(range(1000, 1060, 10)):
            self.finds(second * 1000, offset, second * 1000)
            self.finds(second * 1000 - 9999 + 5000, offset, second * 1000)

    def test_before_and_behind(self) -> None:
        self.finds(0, 0, 1_000_000)
        self.finds(1_050_001, NO_OFFSET)

    def test_out_of_order(self) -> None:
        """The first in the log, not the nearest in time."""
        self.append(1005, 1100)
        self.append(1090)
        self.finds(1_055_000, 7, 1_100_000)

    def test_what_lies_before_the_start(self) -> None:
        """It is in the batch, and not in the log any more."""
        self.broker.partition("t").log.advance_start(3)
        self.finds(0, 3, 1_030_000)

    def test_compressed(self) -> None:
        self.append(*range(2000, 2100), compression=ZSTD)
        self.finds(2_050_000, 56, 2_050_000)

    def test_greatest(self) -> None:
        self.finds(MAX_TIMESTAMP, 5, 1_050_000)
        self.append(2000, 3000, 2500)
        self.append(2900)
        self.finds(MAX_TIMESTAMP, 7, 3_000_000)

    def test_greatest_of_nothing(self) -> None:
        self.finds(MAX_TIMESTAMP, NO_OFFSET, index=1)

    def test_a_batch_of_very_many_records_takes_several_turns(self) -> None:
        self.append(*range(10_000, 15_000), compression=ZSTD)
        client = self.broker.connect()
        part = ListOffsetsPartition(partition_index=0, timestamp=14_999_000)
        client.send(ListOffsetsRequest(replica_id=-1, topics=[ListOffsetsTopic(name="t", partitions=[part])]), 7)
        self.assertEqual(client.answers(), [])
        self.broker.wait()
        ((_, answer),) = client.answers()
        self.assertEqual(answer.topics[0].partitions[0].offset, 5005)

    def test_log_append_time(self) -> None:
        self.broker.create("stamped", message_timestamp_type="LogAppendTime")
        found = self.broker.produce("stamped", batch_of(b"a", b"b", timestamp=5))
        self.finds(found.log_append_time_ms, 0, found.log_append_time_ms, topic="stamped")
        self.finds(found.log_append_time_ms + 1, NO_OFFSET, topic="stamped")
        self.finds(MAX_TIMESTAMP, 0, found.log_append_time_ms, topic="stamped")


class ErrorTests(OffsetsCase):
    """What is said of each partition."""

    def test_unknown(self) -> None:
        self.assertEqual(self.look(LATEST, topic="missing").error_code, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
        self.assertEqual(self.look(LATEST, index=2).error_code, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)

    def test_an_older_epoch_is_fenced(self) -> None:
        """KR5: whoever asks in it takes somebody for the leader who is none, whatever they ask for."""
        self.lead(3)
        for timestamp in (LATEST, EARLIEST, MAX_TIMESTAMP, 1_020_000):
            found = self.look(timestamp, epoch=2)
            self.assertEqual((found.error_code, found.offset), (ErrorCode.FENCED_LEADER_EPOCH, NO_OFFSET))
        self.finds(LATEST, 6, epoch=3)

    def test_a_newer_epoch_is_not_known_yet(self) -> None:
        """KR5: they have heard of a leader that we have not heard of."""
        self.lead(3)
        for timestamp in (LATEST, EARLIEST, MAX_TIMESTAMP, 1_020_000):
            found = self.look(timestamp, epoch=4)
            self.assertEqual((found.error_code, found.offset), (ErrorCode.UNKNOWN_LEADER_EPOCH, NO_OFFSET))
        self.finds(LATEST, 6, epoch=3)

    def test_who_names_no_epoch_is_answered(self) -> None:
        self.lead(3)
        self.finds(LATEST, 6)
        self.finds(LATEST, 6, version=3)

    def test_twice(self) -> None:
        """As in Kafka: each of them is refused, the others are answered."""
        parts = [ListOffsetsPartition(partition_index=index, timestamp=LATEST) for index in (0, 1, 0)]
        request = ListOffsetsRequest(replica_id=-1, topics=[ListOffsetsTopic(name="t", partitions=parts)])
        found = [part.error_code for part in self.broker.ask(request, 7).topics[0].partitions]
        self.assertEqual(found, [ErrorCode.INVALID_REQUEST, ErrorCode.NONE, ErrorCode.INVALID_REQUEST])

    def test_very_many(self) -> None:
        parts = [ListOffsetsPartition(partition_index=index, timestamp=5) for index in range(2000)]
        request = ListOffsetsRequest(replica_id=-1, topics=[ListOffsetsTopic(name="t", partitions=parts)])
        codes = [part.error_code for part in self.broker.ask(request, 7).topics[0].partitions]
        self.assertEqual(codes, [0, 0] + [ErrorCode.UNKNOWN_TOPIC_OR_PARTITION] * 1998)

    def test_leader_epochs_are_told_from_version_4(self) -> None:
        for version in (3, 4):
            known = 0 if version >= 4 else NO_EPOCH
            for timestamp in (LATEST, EARLIEST, 1_020_000):
                self.assertEqual(self.look(timestamp, version).leader_epoch, known)
        self.assertEqual(self.look(LATEST, index=1).leader_epoch, 0, "an empty log has its leader's epoch")
        self.assertEqual(self.look(9_000_000).leader_epoch, NO_EPOCH)


class EpochEndTests(OffsetsCase):
    """Where an epoch ends (KIP-279, KIP-320)."""

    def end_of(self, epoch: int, version: int = 4, *, current: int = -1, index: int = 0) -> EpochEndOffset:
        """Ask where an epoch ends."""
        part = OffsetForLeaderPartition(partition=index, current_leader_epoch=current, leader_epoch=epoch)
        topic = OffsetForLeaderTopic(topic="t", partitions=[part])
        found: EpochEndOffset
        found = self.broker.ask(OffsetForLeaderEpochRequest(topics=[topic]), version).topics[0].partitions[0]
        return found

    def test_every_version(self) -> None:
        for version in (2, 3, 4):
            found = self.end_of(0, version)
            self.assertEqual((found.error_code, found.leader_epoch, found.end_offset), (ErrorCode.NONE, 0, 6))

    def test_earlier_and_later(self) -> None:
        self.broker.partition("t").epochs.assign(3, 4)
        for epoch, expected in ((0, (0, 4)), (2, (0, 4)), (3, (3, 6)), (4, (NO_EPOCH, NO_OFFSET))):
            found = self.end_of(epoch)
            self.assertEqual((found.leader_epoch, found.end_offset), expected, epoch)

    def test_empty_log(self) -> None:
        """It has its leader's epoch, and that ends where it begins; a consumer does not take it for truncated."""
        found = self.end_of(0, index=1)
        self.assertEqual((found.leader_epoch, found.end_offset), (0, 0))

    def test_errors(self) -> None:
        self.assertEqual(self.end_of(0, index=2).error_code, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)

    def test_an_older_epoch_is_fenced(self) -> None:
        """KR5: the epoch that is asked in, not the one that is asked for."""
        self.lead(3)
        found = self.end_of(0, current=2)
        self.assertEqual((found.error_code, found.end_offset), (ErrorCode.FENCED_LEADER_EPOCH, NO_OFFSET))
        self.assertEqual(self.end_of(0, current=3).error_code, ErrorCode.NONE)

    def test_a_newer_epoch_is_not_known_yet(self) -> None:
        """KR5: an end that was told now might be cut away by the leader that we have not heard of."""
        self.lead(3)
        found = self.end_of(0, current=4)
        self.assertEqual((found.error_code, found.end_offset), (ErrorCode.UNKNOWN_LEADER_EPOCH, NO_OFFSET))
        self.assertEqual(self.end_of(0).error_code, ErrorCode.NONE)

    def test_very_many(self) -> None:
        parts = [OffsetForLeaderPartition(partition=index, leader_epoch=0) for index in range(3000)]
        request = OffsetForLeaderEpochRequest(topics=[OffsetForLeaderTopic(topic="t", partitions=parts)])
        self.assertEqual(len(self.broker.ask(request, 4).topics[0].partitions), 3000)
