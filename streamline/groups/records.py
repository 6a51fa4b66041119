"""
Entries as records of C{__consumer_offsets}, byte for byte as Kafka 4.3 writes them, and back.

What C{kafka-dump-log --offsets-decoder} shows of a log of ours it shows as of
one of Kafka's.  Records of kinds that are not ours, such as those of the newer
group protocols (KIP-848), are passed over.
"""

from __future__ import annotations

from streamline.groups.entries import CommittedOffset, Entry, GroupEntry, GroupMetadata, MemberMetadata, OffsetEntry
from streamline.model import NO_TIMESTAMP, Buffer, TopicPartition
from streamline.wire.messages import stored

OFFSET_VERSION = 4
"""The version of an offset's value: the first with a topic id, in a tagged field."""

OFFSET_VERSION_WITH_EXPIRY = 1
"""The one version that has a time of expiry (KIP-211)."""

GROUP_VERSION = 3
"""The version of a group's value: the first with static members (KIP-345)."""


def to_record(entry: Entry) -> tuple[bytes, bytes | None]:
    """Return the key and the value of the record that says this; a tombstone has no value."""
    if isinstance(entry, OffsetEntry):
        topic, partition = entry.partition
        key = stored.write_key(stored.OffsetCommitKey(group=entry.group_id, topic=topic, partition=partition))
        return key, None if entry.committed is None else _write_offset(entry.committed)
    key = stored.write_key(stored.GroupMetadataKey(group=entry.group_id))
    return key, None if entry.metadata is None else _write_group(entry.metadata)


def to_entry(key: Buffer, value: Buffer | None) -> Entry | None:
    """
    Return what a record says; C{None} if it is of a kind that is not ours.

    @raise streamline.errors.ProtocolError: it is malformed.
    """
    about = stored.read_offsets_key(key)
    if isinstance(about, stored.OffsetCommitKey):
        committed = None if value is None else _read_offset(value)
        return OffsetEntry(about.group, TopicPartition(about.topic, about.partition), committed)
    if isinstance(about, stored.GroupMetadataKey):
        return GroupEntry(about.group, None if value is None else _read_group(value))
    return None


def _write_offset(committed: CommittedOffset) -> bytes:
    expires = committed.expire_timestamp_ms != NO_TIMESTAMP
    message = stored.OffsetCommitValue(
        offset=committed.offset,
        leader_epoch=committed.leader_epoch,
        metadata=committed.metadata,
        commit_timestamp=committed.commit_timestamp_ms,
        expire_timestamp=committed.expire_timestamp_ms,
        topic_id=committed.topic_id,
    )
    # The old version drops the leader's epoch and the topic's id, as in Kafka: few clients still ask for it.
    return stored.write_versioned(message, OFFSET_VERSION_WITH_EXPIRY if expires else OFFSET_VERSION)


def _read_offset(value: Buffer) -> CommittedOffset:
    message = stored.read_versioned(stored.OffsetCommitValue, value)
    return CommittedOffset(
        offset=message.offset,
        commit_timestamp_ms=message.commit_timestamp,
        leader_epoch=message.leader_epoch,
        metadata=message.metadata,
        expire_timestamp_ms=message.expire_timestamp,
        topic_id=message.topic_id,
    )


def _write_group(metadata: GroupMetadata) -> bytes:
    message = stored.GroupMetadataValue(
        protocol_type=metadata.protocol_type,
        generation=metadata.generation_id,
        protocol=metadata.protocol,
        leader=metadata.leader_id,
        current_state_timestamp=metadata.state_timestamp_ms,
        members=[
            stored.MemberMetadata(
                member_id=member.member_id,
                group_instance_id=member.instance_id,
                client_id=member.client_id,
                client_host=member.client_host,
                rebalance_timeout=member.rebalance_timeout_ms,
                session_timeout=member.session_timeout_ms,
                subscription=member.subscription,
                assignment=member.assignment,
            )
            for member in metadata.members
        ],
    )
    return stored.write_versioned(message, GROUP_VERSION)


def _read_group(value: Buffer) -> GroupMetadata:
    message = stored.read_versioned(stored.GroupMetadataValue, value)
    return GroupMetadata(
        generation_id=message.generation,
        protocol_type=message.protocol_type,
        protocol=message.protocol,
        leader_id=message.leader,
        state_timestamp_ms=message.current_state_timestamp,
        members=tuple(
            MemberMetadata(
                member_id=member.member_id,
                instance_id=member.group_instance_id,
                client_id=member.client_id,
                client_host=member.client_host,
                rebalance_timeout_ms=member.rebalance_timeout,
                session_timeout_ms=member.session_timeout,
                subscription=bytes(member.subscription),
                assignment=bytes(member.assignment),
            )
            for member in message.members
        ),
    )
