"""
Committed offsets: what may be committed, what is found again, what expires.

Knows no group's state.  A commit is first an entry for the log; it is C{put}
here once the log has it, in the log's order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from streamline.errors import ErrorCode
from streamline.groups.entries import CommittedOffset, OffsetEntry
from streamline.groups.messages import NO_GENERATION, NO_MEMBER_ID, Decision
from streamline.groups.partitioning import utf16_units
from streamline.model import NO_EPOCH, NO_TIMESTAMP, ZERO_UUID, TopicPartition
from streamline.values import frozen

NO_RETENTION_MS = -1


@frozen(kw_only=True)
class NewOffset:
    """One partition of an OffsetCommit request."""

    partition: TopicPartition
    offset: int
    leader_epoch: int = NO_EPOCH
    metadata: str | None = ""
    topic_id: bytes = ZERO_UUID


@frozen(kw_only=True)
class Commit:
    """
    An OffsetCommit request.

    @ivar retention_ms: how long the offsets shall be kept; versions 2 to 4 only.
    @ivar knows_group_id_not_found: whether the client does (version 9).
    """

    group_id: str
    member_id: str = NO_MEMBER_ID
    instance_id: str | None = None
    generation_id: int = NO_GENERATION
    retention_ms: int = NO_RETENTION_MS
    knows_group_id_not_found: bool = True
    offsets: tuple[NewOffset, ...] = ()


@frozen(kw_only=True)
class CommitDecided:
    """
    What becomes of an OffsetCommit.

    @ivar errors: one for each of the request's offsets, in order.  Those with NONE are in C{entries}, in the
        same order, and are answered so once the log has them.
    @ivar decisions: what the sign of life means to the group's timers.
    """

    errors: tuple[ErrorCode, ...]
    entries: tuple[OffsetEntry, ...] = ()
    decisions: tuple[Decision, ...] = ()


def check_offsets(commit: Commit, metadata_max: int, now_ms: int) -> CommitDecided:
    """
    Decide which of the offsets can be kept.

    @param metadata_max: the longest metadata, in UTF-16 units, as Kafka counts C{offset.metadata.max.bytes}.
    """
    errors: list[ErrorCode] = []
    entries: list[OffsetEntry] = []
    expire_ms = NO_TIMESTAMP if commit.retention_ms == NO_RETENTION_MS else now_ms + commit.retention_ms
    for new in commit.offsets:
        metadata = new.metadata or ""
        if _is_longer(metadata, metadata_max):
            errors.append(ErrorCode.OFFSET_METADATA_TOO_LARGE)
            continue
        errors.append(ErrorCode.NONE)
        committed = CommittedOffset(
            offset=new.offset,
            leader_epoch=new.leader_epoch,
            metadata=metadata,
            commit_timestamp_ms=now_ms,
            expire_timestamp_ms=expire_ms,
            topic_id=new.topic_id,
        )
        entries.append(OffsetEntry(commit.group_id, new.partition, committed))
    return CommitDecided(errors=tuple(errors), entries=tuple(entries))


def _is_longer(text: str, limit: int) -> bool:
    # A character is one or two units: only between those bounds must they be counted.
    if 2 * len(text) <= limit:
        return False
    return len(text) > limit or len(utf16_units(text)) > limit


class Offsets:
    """The committed offsets of the groups of one partition of C{__consumer_offsets}."""

    def __init__(self) -> None:
        self._groups: dict[str, dict[TopicPartition, CommittedOffset]] = {}
        self._writing: dict[str, dict[TopicPartition, int]] = {}

    def begin(self, entries: Iterable[OffsetEntry]) -> None:
        """Note commits on their way to the log; each ends with L{apply} or L{give_up}."""
        for entry in entries:
            counts = self._writing.setdefault(entry.group_id, {})
            counts[entry.partition] = counts.get(entry.partition, 0) + 1

    def give_up(self, entry: OffsetEntry) -> None:
        """Note that a commit is not on its way any more."""
        counts = self._writing.get(entry.group_id, {})
        if entry.committed is None or entry.partition not in counts:
            return
        counts[entry.partition] -= 1
        if not counts[entry.partition]:
            del counts[entry.partition]
        if not counts:
            del self._writing[entry.group_id]

    def is_writing(self, group_id: str) -> bool:
        """Say whether a commit of the group is on its way to the log."""
        return group_id in self._writing

    def apply(self, entry: OffsetEntry) -> None:
        """Take over what an entry says, now that the log has it; the later one counts."""
        self.give_up(entry)
        if entry.committed is not None:
            self._groups.setdefault(entry.group_id, {})[entry.partition] = entry.committed
            return
        kept = self._groups.get(entry.group_id)
        if kept is not None:
            kept.pop(entry.partition, None)
            if not kept:
                del self._groups[entry.group_id]

    def has_any(self, group_id: str) -> bool:
        """Say whether a group has committed anything that is still kept."""
        return group_id in self._groups

    def of(self, group_id: str) -> Mapping[TopicPartition, CommittedOffset]:
        """Return all that a group has committed."""
        return MappingProxyType(self._groups.get(group_id, {}))

    def find(self, group_id: str, partition: TopicPartition, topic_id: bytes = ZERO_UUID) -> CommittedOffset | None:
        """Return what a group has committed in a partition, unless that was in a topic since made anew."""
        committed = self._groups.get(group_id, {}).get(partition)
        if committed is None or _is_other_topic(committed.topic_id, topic_id):
            return None
        return committed

    def tombstones(self, group_id: str) -> list[OffsetEntry]:
        """Return the entries that forget all that a group has committed, be it still on its way to the log."""
        return [OffsetEntry(group_id, partition, None) for partition in self._known(group_id)]

    def topics_gone(self, topics: Iterable[str]) -> list[OffsetEntry]:
        """Return the entries that forget what groups have committed in topics that were deleted."""
        gone = frozenset(topics)
        return [
            OffsetEntry(group_id, partition, None)
            for group_id in self._groups | self._writing
            for partition in self._known(group_id)
            if partition.topic in gone
        ]

    def expired(
        self, group_id: str, *, since_ms: int | None, in_use: frozenset[str], retention_ms: int, now_ms: int
    ) -> list[OffsetEntry]:
        """
        Return the entries that forget what a group has not needed for too long (KIP-211).

        @param since_ms: when the group was left by its last member, which then counts for every offset; C{None}
            to count each from its own commit.
        @param in_use: topics whose offsets stay, however old.
        """
        entries: list[OffsetEntry] = []
        for partition, committed in self._groups.get(group_id, {}).items():
            if partition.topic in in_use:
                continue
            end_ms = (committed.commit_timestamp_ms if since_ms is None else since_ms) + retention_ms
            if committed.expire_timestamp_ms != NO_TIMESTAMP:
                end_ms = committed.expire_timestamp_ms
            if now_ms >= end_ms:
                entries.append(OffsetEntry(group_id, partition, None))
        return entries

    def _known(self, group_id: str) -> Iterable[TopicPartition]:
        return self._groups.get(group_id, {}) | self._writing.get(group_id, {})


def _is_other_topic(committed: bytes, asked: bytes) -> bool:
    return ZERO_UUID not in (committed, asked) and committed != asked
