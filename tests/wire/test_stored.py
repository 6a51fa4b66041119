"""What is kept in internal topics and files has Kafka's own form."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from streamline.errors import ProtocolError
from streamline.wire.codec import MAX_ELEMENTS
from streamline.wire.messages.assignment import (
    ConsumerProtocolAssignment,
    ConsumerProtocolSubscription,
    TopicPartition,
    read_embedded,
)
from streamline.wire.messages.stored import (
    COMMIT,
    GROUP_METADATA_VALUE_VERSION,
    OFFSET_COMMIT_VALUE_VERSION,
    ControlRecordTypeSchema,
    EndTxnMarker,
    GroupMetadataKey,
    GroupMetadataValue,
    OffsetCommitKey,
    OffsetCommitValue,
    ProducerEntry,
    TransactionLogKey,
    read_offsets_key,
    read_producer_snapshot,
    read_transaction_key,
    read_versioned,
    write_control_key,
    write_key,
    write_producer_snapshot,
    write_versioned,
)
from tests.wire.samples import structs


class InternalTopicTests(SynchronousTestCase):
    """Keys begin with their kind, values with their version."""

    def test_keys(self) -> None:
        offset = OffsetCommitKey(group="g", topic="t", partition=3)
        self.assertEqual(write_key(offset), b"\0\1\0\1g\0\1t\0\0\0\3")
        self.assertEqual(read_offsets_key(write_key(offset)), offset)
        self.assertEqual(read_offsets_key(b"\0\0" + write_key(offset)[2:]), offset, "as Kafka once wrote it")
        group = GroupMetadataKey(group="g")
        self.assertEqual(write_key(group), b"\0\2\0\1g")
        self.assertEqual(read_offsets_key(memoryview(write_key(group))), group)
        transaction = TransactionLogKey(transactional_id="x")
        self.assertEqual(write_key(transaction), b"\0\0\0\1x")
        self.assertEqual(read_transaction_key(write_key(transaction)), transaction)

    def test_kinds_that_are_not_known(self) -> None:
        self.assertIsNone(read_offsets_key(b"\0\3whatever"))
        self.assertIsNone(read_transaction_key(b"\0\1whatever"))

    def test_values(self) -> None:
        value = OffsetCommitValue(offset=5, leader_epoch=2, metadata="m", commit_timestamp=7)
        data = write_versioned(value, OFFSET_COMMIT_VALUE_VERSION)
        self.assertEqual(data, b"\0\3" + b"\0\0\0\0\0\0\0\5" + b"\0\0\0\2" + b"\0\1m" + b"\0\0\0\0\0\0\0\7")
        self.assertEqual(read_versioned(OffsetCommitValue, data), value)
        group = GroupMetadataValue(protocol_type="consumer", generation=1, protocol="range", leader="me")
        data = write_versioned(group, GROUP_METADATA_VALUE_VERSION)
        self.assertEqual(data[:2], b"\0\3")
        self.assertEqual(read_versioned(GroupMetadataValue, data), group)

    def test_control_records(self) -> None:
        self.assertEqual(write_control_key(COMMIT), b"\0\0\0\1")
        self.assertEqual(read_versioned(ControlRecordTypeSchema, b"\0\0\0\1").type, COMMIT)
        self.assertEqual(write_versioned(EndTxnMarker(coordinator_epoch=9), 0), b"\0\0\0\0\0\x09")

    def test_malformed(self) -> None:
        for data in (b"", b"\0", b"\0\1\0\1", b"\0\1\0\1g\0\1t\0\0\0\3\0"):
            self.assertRaises(ProtocolError, read_offsets_key, data)
        for data in (b"", b"\0", b"\0\5", b"\xff\xff", b"\0\3\0"):
            self.assertRaises(ProtocolError, read_versioned, OffsetCommitValue, data)


class ProducerSnapshotTests(SynchronousTestCase):
    """A C{.snapshot} file is a version, a checksum and the producers."""

    @given(st.lists(structs(ProducerEntry, 1), max_size=5))
    def test_survives(self, entries: list[ProducerEntry]) -> None:
        self.assertEqual(read_producer_snapshot(write_producer_snapshot(entries)), entries)

    def test_bytes(self) -> None:
        self.assertEqual(write_producer_snapshot([]).hex(), "0001" + "48674bc7" + "00000000")

    def test_more_producers_than_a_message_may_have_elements(self) -> None:
        entries = [ProducerEntry(producer_id=1)] * (MAX_ELEMENTS + 1)
        self.assertEqual(len(read_producer_snapshot(write_producer_snapshot(entries))), len(entries))

    def test_a_broken_byte_anywhere_is_found(self) -> None:
        data = write_producer_snapshot([ProducerEntry(producer_id=1), ProducerEntry(producer_id=2)])
        for at in range(len(data)):
            broken = bytearray(data)
            broken[at] ^= 1
            self.assertRaises(ProtocolError, read_producer_snapshot, bytes(broken))
            self.assertRaises(ProtocolError, read_producer_snapshot, data[:at])


class ConsumerProtocolTests(SynchronousTestCase):
    """A broker reads what members tell each other, of any age."""

    def test_subscriptions(self) -> None:
        owned = [TopicPartition(topic="t", partitions=[1, 2])]
        for version, wants in (
            (0, ConsumerProtocolSubscription(topics=["t"])),
            (1, ConsumerProtocolSubscription(topics=["t"], owned_partitions=owned)),
            (3, ConsumerProtocolSubscription(topics=["t"], owned_partitions=owned, generation_id=4, rack_id="r")),
        ):
            self.assertEqual(read_embedded(ConsumerProtocolSubscription, write_versioned(wants, version)), wants)

    def test_a_version_of_the_future_is_read_as_far_as_it_is_known(self) -> None:
        gets = ConsumerProtocolAssignment(assigned_partitions=[TopicPartition(topic="t", partitions=[0])])
        data = b"\0\x09" + write_versioned(gets, 3)[2:] + b"something new"
        self.assertEqual(read_embedded(ConsumerProtocolAssignment, data), gets)

    def test_malformed(self) -> None:
        for data in (b"", b"\0", b"\xff\xff\0\0\0\0", b"\0\0\0\0\0\1"):
            self.assertRaises(ProtocolError, read_embedded, ConsumerProtocolSubscription, data)
