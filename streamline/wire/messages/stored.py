"""
What brokers keep in logs and files, in Kafka's own formats, so that Kafka's tools can read them.

A stored message begins with two bytes: values with their version, keys with the number of their kind (C{KEY}), which
tells an offset from a group.  Kafka once wrote 0 for an offset, too.
"""

from collections.abc import Sequence
from struct import Struct
from typing import TypeVar

from streamline.errors import ProtocolError
from streamline.model import Buffer
from streamline.wire.codec import decode, encode, reader
from streamline.wire.crc import crc32c
from streamline.wire.schema import Message, message, struct, wire
from streamline.wire.types import (
    ARRAY,
    BYTES,
    INT8,
    INT16,
    INT32,
    INT64,
    NULLABLE_ARRAY,
    NULLABLE_STRING,
    STRING,
    UINT32,
    UUID,
)

M = TypeVar("M", bound=Message)

OFFSET_COMMIT_VALUE_VERSION = 3
GROUP_METADATA_VALUE_VERSION = 3
TRANSACTION_LOG_VALUE_VERSION = 0
PRODUCER_SNAPSHOT_VERSION = 1
ABORT, COMMIT = 0, 1
"""The types of control records that end a transaction."""

_PREFIX = Struct(">h")
_CRC = Struct(">I")
_CRC_END = 6
_EVERY = 1 << 31


@message(key=1, versions="0")
class OffsetCommitKey(Message):
    """The key of a committed offset in C{__consumer_offsets}."""

    group: str = wire(STRING)
    topic: str = wire(STRING)
    partition: int = wire(INT32)


@message(key=1, versions="0-4", flexible="4+")
class OffsetCommitValue(Message):
    """A committed offset.  Kafka 4.3 writes version 4, and 1 where the offset has a time of expiry (KIP-211)."""

    offset: int = wire(INT64)
    leader_epoch: int = wire(INT32, "3+", default=-1, ignorable=True)
    metadata: str = wire(STRING)
    commit_timestamp: int = wire(INT64)
    expire_timestamp: int = wire(INT64, "1", default=-1, ignorable=True)
    topic_id: bytes = wire(UUID, "4+", tag=0, ignorable=True)


@message(key=2, versions="0")
class GroupMetadataKey(Message):
    """The key of a classic group in C{__consumer_offsets}."""

    group: str = wire(STRING)


@struct
class MemberMetadata:
    member_id: str = wire(STRING)
    group_instance_id: str | None = wire(NULLABLE_STRING, "3+", default=None, ignorable=True)
    client_id: str = wire(STRING)
    client_host: str = wire(STRING)
    rebalance_timeout: int = wire(INT32, "1+", default=-1, ignorable=True)
    session_timeout: int = wire(INT32)
    subscription: bytes = wire(BYTES)
    assignment: bytes = wire(BYTES)


@message(key=2, versions="0-4", flexible="4+")
class GroupMetadataValue(Message):
    """A classic group: its generation, and its members with what they are assigned."""

    protocol_type: str = wire(STRING)
    generation: int = wire(INT32)
    protocol: str | None = wire(NULLABLE_STRING)
    leader: str | None = wire(NULLABLE_STRING)
    current_state_timestamp: int = wire(INT64, "2+", default=-1, ignorable=True)
    members: Sequence[MemberMetadata] = wire(ARRAY(MemberMetadata))


@message(key=0, versions="0")
class TransactionLogKey(Message):
    """The key of a transactional id in C{__transaction_state}."""

    transactional_id: str = wire(STRING)


@struct
class PartitionsSchema:
    topic: str = wire(STRING)
    partition_ids: Sequence[int] = wire(ARRAY(INT32))


@message(key=0, versions="0-1", flexible="1+")
class TransactionLogValue(Message):
    """A transactional id: its producer and how far its transaction has come."""

    producer_id: int = wire(INT64)
    previous_producer_id: int = wire(INT64, "1+", default=-1, tag=0)
    next_producer_id: int = wire(INT64, "1+", default=-1, tag=1)
    producer_epoch: int = wire(INT16)
    next_producer_epoch: int = wire(INT16, "1+", default=-1, tag=3)
    transaction_timeout_ms: int = wire(INT32)
    transaction_status: int = wire(INT8)
    transaction_partitions: Sequence[PartitionsSchema] | None = wire(NULLABLE_ARRAY(PartitionsSchema))
    transaction_last_update_timestamp_ms: int = wire(INT64)
    transaction_start_timestamp_ms: int = wire(INT64)
    client_transaction_version: int = wire(INT16, "1+", tag=2)


@message(versions="0")
class ControlRecordTypeSchema(Message):
    """The key of a control record: 0 aborts, 1 commits."""

    type: int = wire(INT16)


@message(versions="0")
class EndTxnMarker(Message):
    """The value of a control record that ends a transaction."""

    coordinator_epoch: int = wire(INT32)


@struct
class ProducerEntry:
    producer_id: int = wire(INT64)
    epoch: int = wire(INT16)
    last_sequence: int = wire(INT32)
    last_offset: int = wire(INT64)
    offset_delta: int = wire(INT32)
    timestamp: int = wire(INT64)
    coordinator_epoch: int = wire(INT32)
    current_txn_first_offset: int = wire(INT64)


@message(versions="1")
class ProducerSnapshot(Message):
    """The producers of a partition up to an offset: a C{.snapshot} file."""

    crc: int = wire(UINT32)
    producer_entries: Sequence[ProducerEntry] = wire(ARRAY(ProducerEntry))


OffsetsKey = OffsetCommitKey | GroupMetadataKey
_OFFSETS_KEYS: dict[int, type[OffsetsKey]] = {0: OffsetCommitKey, 1: OffsetCommitKey, 2: GroupMetadataKey}


def write_key(key: Message) -> bytes:
    """Write the key of a record in an internal topic."""
    return _PREFIX.pack(key.KEY) + encode(key, 0)


def read_offsets_key(buf: Buffer) -> OffsetsKey | None:
    """
    Read the key of a record in C{__consumer_offsets}; None for a kind that is not known (KIP-848 has ten more).

    @raise ProtocolError: it is malformed.
    """
    cls = _OFFSETS_KEYS.get(_prefix(buf))
    return None if cls is None else decode(cls, 0, buf[2:])


def read_transaction_key(buf: Buffer) -> TransactionLogKey | None:
    """Read the key of a record in C{__transaction_state}; None for a kind that is not known."""
    return decode(TransactionLogKey, 0, buf[2:]) if _prefix(buf) == TransactionLogKey.KEY else None


def write_versioned(message: Message, version: int) -> bytes:
    """Write a message with its version in front, as values in internal topics are."""
    return _PREFIX.pack(version) + encode(message, version)


def read_versioned(cls: type[M], buf: Buffer) -> M:
    """
    Read a message with its version in front.

    @raise ProtocolError: it is malformed, or of a version that is not known.
    """
    version = _prefix(buf)
    if not cls.VERSIONS[0] <= version <= cls.VERSIONS[1]:
        raise ProtocolError(f"{cls.__name__} has no version {version}")
    return decode(cls, version, buf[2:])


def write_control_key(type: int) -> bytes:
    """Write the key of a control record: L{ABORT} or L{COMMIT}."""
    return write_versioned(ControlRecordTypeSchema(type=type), 0)


def write_producer_snapshot(entries: Sequence[ProducerEntry]) -> bytes:
    """Write a C{.snapshot} file."""
    data = write_versioned(ProducerSnapshot(producer_entries=entries), PRODUCER_SNAPSHOT_VERSION)
    return data[:2] + _CRC.pack(crc32c(data[_CRC_END:])) + data[_CRC_END:]


def read_producer_snapshot(data: bytes) -> Sequence[ProducerEntry]:
    """
    Read a C{.snapshot} file.

    @raise ProtocolError: it is malformed, or its checksum is wrong.
    """
    if _prefix(data) != PRODUCER_SNAPSHOT_VERSION:
        raise ProtocolError(f"there is no producer snapshot of version {_prefix(data)}")
    # Our own file: as many producers as the disk says.
    snapshot, at = reader(ProducerSnapshot, PRODUCER_SNAPSHOT_VERSION, max_elements=_EVERY)(data, 2)
    if at != len(data) or snapshot.crc != crc32c(data[_CRC_END:]):
        raise ProtocolError("the checksum of a producer snapshot is wrong")
    return snapshot.producer_entries


def _prefix(buf: Buffer) -> int:
    if len(buf) < 2:
        raise ProtocolError(f"{len(buf)} bytes are no stored message")
    prefix: int = _PREFIX.unpack_from(buf)[0]
    return prefix
