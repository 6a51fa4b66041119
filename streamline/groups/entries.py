"""
What one record of C{__consumer_offsets} says, in our words.

C{records} turns entries into bytes and back.  An entry without content is a
tombstone: what an earlier one said is no longer so.
"""

from __future__ import annotations

from typing import TypeAlias

from streamline.model import NO_EPOCH, NO_TIMESTAMP, ZERO_UUID, TopicPartition
from streamline.values import frozen


@frozen(kw_only=True)
class CommittedOffset:
    """
    How far a group has come in a partition.

    @ivar leader_epoch: of the last record consumed, where the client said it (KIP-320).
    @ivar metadata: whatever the client wants to find again.
    @ivar expire_timestamp_ms: set by clients of OffsetCommit 2 to 4, which name a retention time; it then counts
        instead of the broker's (KIP-211).
    @ivar topic_id: zeros where the client did not say it; a topic made anew has another (KIP-848).
    """

    offset: int
    commit_timestamp_ms: int
    leader_epoch: int = NO_EPOCH
    metadata: str = ""
    expire_timestamp_ms: int = NO_TIMESTAMP
    topic_id: bytes = ZERO_UUID


@frozen(kw_only=True)
class MemberMetadata:
    """A member as the log keeps it."""

    member_id: str
    instance_id: str | None
    client_id: str
    client_host: str
    rebalance_timeout_ms: int
    session_timeout_ms: int
    subscription: bytes
    assignment: bytes


@frozen(kw_only=True)
class GroupMetadata:
    """A whole group as the log keeps it; C{protocol} and C{leader_id} are C{None} when nobody is in it."""

    generation_id: int
    protocol_type: str
    protocol: str | None
    leader_id: str | None
    state_timestamp_ms: int
    members: tuple[MemberMetadata, ...] = ()


@frozen
class GroupEntry:
    """What a group is now, or that it is no more."""

    group_id: str
    metadata: GroupMetadata | None


@frozen
class OffsetEntry:
    """How far a group has come in one partition, or that this is forgotten."""

    group_id: str
    partition: TopicPartition
    committed: CommittedOffset | None


Entry: TypeAlias = GroupEntry | OffsetEntry
