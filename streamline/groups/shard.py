"""
All groups of one partition of C{__consumer_offsets}, and their offsets.

Whoever leads the partition coordinates its groups.  A shard is rebuilt by
L{GroupShard.replay}, set going by L{GroupShard.loaded}, and ended by
L{GroupShard.unloaded}.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from attrs import evolve

from streamline.config import BrokerConfig
from streamline.errors import ErrorCode
from streamline.groups.classic import ClassicGroup
from streamline.groups.entries import CommittedOffset, Entry, GroupEntry, OffsetEntry
from streamline.groups.messages import (
    NO_GENERATION,
    NO_MEMBER_ID,
    Answer,
    Decision,
    DescribedGroup,
    Heartbeat,
    HeartbeatAnswer,
    Join,
    JoinAnswer,
    Leave,
    LeaveAnswer,
    Left,
    ListedGroup,
    Store,
    Sync,
    SyncAnswer,
    Timer,
)
from streamline.groups.offsets import Commit, CommitDecided, Offsets, check_offsets
from streamline.groups.states import GroupState
from streamline.model import ZERO_UUID, TopicPartition
from streamline.values import frozen

GROUP_TYPE = "classic"
"""The type of every group here, as ListGroups names it (KIP-848)."""

_MINUTE_MS = 60_000


@frozen(kw_only=True)
class Ended:
    """
    What becomes of a wish to delete a group.

    @ivar entries: what deletes it, once the log has them.
    """

    error: ErrorCode = ErrorCode.NONE
    entries: tuple[Entry, ...] = ()
    decisions: tuple[Decision, ...] = ()


@frozen
class Filter:
    """
    Which groups somebody wants listed; where nothing is given all are.

    @ivar states: their states, C{types} their types, in lower case.
    """

    states: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()

    @classmethod
    def of(cls, states: Iterable[str], types: Iterable[str]) -> Filter:
        """Take names in any letter case."""
        return cls(_plain(states), _plain(types))


def _plain(names: Iterable[str]) -> frozenset[str]:
    return frozenset(name.strip().lower() for name in names)



class GroupShard:
    """The groups whose ids fall on one partition."""

    def __init__(self, config: BrokerConfig) -> None:
        self._config = config
        self._groups: dict[str, ClassicGroup] = {}
        self._offsets = Offsets()

    # From the log, and to it.

    def replay(self, entry: Entry) -> None:
        """Take over one entry of the log, in the log's order, before L{loaded}."""
        if isinstance(entry, OffsetEntry):
            self._apply_offset(entry)
        elif entry.metadata is not None:
            self._groups[entry.group_id] = ClassicGroup.restored(entry.group_id, self._config, entry.metadata)
        else:
            self._groups.pop(entry.group_id, None)
            if self._offsets.has_any(entry.group_id):
                self._simple_group(entry.group_id, 0)

    def loaded(self, now_ms: int) -> list[Decision]:
        """The log is replayed up to its high watermark: this node coordinates from now on."""
        return [decision for group in self._groups.values() for decision in group.loaded(now_ms)]

    def unloaded(self, now_ms: int) -> list[Decision]:
        """This node leads the partition no longer; nothing is to be asked of the shard after this."""
        groups, self._groups = self._groups, {}
        return [decision for group in groups.values() for decision in group.unloaded(now_ms)]

    def applied(self, entry: Entry) -> None:
        """
        Take over an entry of our own that is now in the log, in the log's order.

        A group's own state is ahead of its entries, so only offsets have an
        effect, and the end of a group that meanwhile came back as a mere
        keeper of offsets.
        """
        if isinstance(entry, OffsetEntry):
            self._apply_offset(entry)
        elif entry.metadata is None:
            self._drop_if_bare(entry.group_id)

    def not_applied(self, entry: Entry) -> None:
        """
        Hear that an entry of our own is not in the log, or that nobody can tell.

        A group that should have ended keeps what could not be forgotten, so
        that expiry finds it again.
        """
        if isinstance(entry, OffsetEntry):
            self._offsets.give_up(entry)
        if self._offsets.has_any(entry.group_id) and entry.group_id not in self._groups:
            self._simple_group(entry.group_id, 0)

    def stored(self, store: Store, now_ms: int) -> list[Decision]:
        """The entry of a L{Store} is in the log."""
        group = self._groups.get(store.entry.group_id)
        return [] if group is None else group.stored(store, now_ms)

    def store_failed(self, store: Store, error: ErrorCode, now_ms: int) -> list[Decision]:
        """The entry of a L{Store} is not in the log, or nobody can tell."""
        group = self._groups.get(store.entry.group_id)
        return [] if group is None else group.store_failed(store, error, now_ms)

    # Requests of members.

    def join_received(self, request: Join, now_ms: int) -> list[Decision]:
        """Somebody sent JoinGroup; only someone without a member id can found a group."""
        error = self._why_not_join(request)
        if error is not ErrorCode.NONE:
            return [Answer(request.token, JoinAnswer(error=error, member_id=request.member_id))]
        group = self._groups.get(request.group_id)
        if group is None:
            group = self._simple_group(request.group_id, now_ms)
        decisions = group.join_received(request, now_ms)
        self._drop_if_bare(request.group_id)
        return decisions

    def sync_received(self, request: Sync, now_ms: int) -> list[Decision]:
        """Somebody sent SyncGroup."""
        group = self._groups.get(request.group_id)
        if group is None:
            return [Answer(request.token, SyncAnswer(error=_why_unknown(request.group_id)))]
        return group.sync_received(request, now_ms)

    def heartbeat_received(self, request: Heartbeat, now_ms: int) -> list[Decision]:
        """Somebody sent Heartbeat."""
        group = self._groups.get(request.group_id)
        if group is None:
            return [Answer(request.token, HeartbeatAnswer(_why_unknown(request.group_id)))]
        return group.heartbeat_received(request, now_ms)

    def leave_received(self, request: Leave, now_ms: int) -> list[Decision]:
        """Somebody sent LeaveGroup."""
        group = self._groups.get(request.group_id)
        if group is not None:
            return group.leave_received(request, now_ms)
        error = _why_unknown(request.group_id)
        if error is not ErrorCode.UNKNOWN_MEMBER_ID:
            return [Answer(request.token, LeaveAnswer(error=error))]
        members = tuple(Left(member.member_id, member.instance_id, error) for member in request.members)
        return [Answer(request.token, LeaveAnswer(members=members))]

    def timer_expired(self, timer: Timer, now_ms: int) -> list[Decision]:
        """A timer went off."""
        group = self._groups.get(timer.group_id)
        return [] if group is None else group.timer_expired(timer, now_ms)

    # Offsets.

    def commit_received(self, commit: Commit, now_ms: int) -> CommitDecided:
        """Somebody sent OffsetCommit: a member, or, with a negative generation, someone outside."""
        error, decisions = self._why_not_commit(commit), []
        if error is not ErrorCode.NONE:
            return CommitDecided(errors=(error,) * len(commit.offsets))
        group = self._groups.get(commit.group_id)
        if group is not None:
            decisions = group.commit_received(commit.member_id, now_ms)
        decided = check_offsets(commit, self._config.offset_metadata_max_bytes, now_ms)
        self._offsets.begin(decided.entries)
        return evolve(decided, decisions=tuple(decisions))

    def find_offset(
        self, group_id: str, partition: TopicPartition, topic_id: bytes = ZERO_UUID
    ) -> CommittedOffset | None:
        """Return what a group has committed in a partition; C{None} if nothing."""
        return self._offsets.find(group_id, partition, topic_id)

    def all_offsets(self, group_id: str) -> list[tuple[TopicPartition, CommittedOffset]]:
        """Return all that a group has committed, by topic and partition."""
        return sorted(self._offsets.of(group_id).items(), key=lambda item: item[0])

    # What can be seen.

    def describe(self, group_id: str) -> DescribedGroup | None:
        """Return a group as DescribeGroups shows it; C{None} if there is none."""
        group = self._groups.get(group_id)
        return None if group is None else group.describe()

    def listed(self, wanted: Filter | None = None) -> list[ListedGroup]:
        """Return the groups that are asked for; None for all."""
        if wanted is None:
            return [group.listed() for group in self._groups.values()]
        if wanted.types and GROUP_TYPE not in wanted.types:
            return []
        groups = [group.listed() for group in self._groups.values()]
        return [group for group in groups if not wanted.states or group.state.value.lower() in wanted.states]

    # Ends.

    def delete_received(self, group_id: str, now_ms: int) -> Ended:
        """Somebody wants a group deleted."""
        group = self._groups.get(group_id)
        error = ErrorCode.GROUP_ID_NOT_FOUND if group is None else group.why_not_delete()
        if group is None or error is not ErrorCode.NONE:
            return Ended(error=error)
        entries: list[Entry] = [*self._offsets.tombstones(group_id)]
        decisions = self._end(group, entries, now_ms)
        return Ended(entries=tuple(entries), decisions=tuple(decisions))

    def expire(self, now_ms: int) -> list[Entry]:
        """
        Return the entries that forget offsets, and groups, that nobody has needed for too long.

        A group that nobody is in and that has nothing left to keep ends at once.
        """
        entries: list[Entry] = []
        for group_id, group in list(self._groups.items()):
            if self._offsets.is_writing(group_id):
                # What is on its way to the log would come before the tombstones and be forgotten with the rest.
                continue
            expired = self._expired_offsets(group, now_ms)
            entries.extend(expired)
            if group.is_unused and len(expired) == len(self._offsets.of(group_id)):
                self._end(group, entries, now_ms)
        return entries

    def topics_deleted(self, topics: Sequence[str]) -> list[OffsetEntry]:
        """Return the entries that forget what groups have committed in these topics."""
        return self._offsets.topics_gone(topics)

    # Steps of the above.

    def _why_not_join(self, request: Join) -> ErrorCode:
        config = self._config
        shortest_ms, longest_ms = config.group_min_session_timeout_ms, config.group_max_session_timeout_ms
        if not request.group_id:
            return ErrorCode.INVALID_GROUP_ID
        if not shortest_ms <= request.session_timeout_ms <= longest_ms:
            return ErrorCode.INVALID_SESSION_TIMEOUT
        if request.group_id not in self._groups and request.member_id != NO_MEMBER_ID:
            return ErrorCode.UNKNOWN_MEMBER_ID
        return ErrorCode.NONE

    def _why_not_commit(self, commit: Commit) -> ErrorCode:
        group = self._groups.get(commit.group_id)
        if group is not None:
            return group.why_not_commit(commit.member_id, commit.instance_id, commit.generation_id)
        if commit.generation_id <= NO_GENERATION:
            return ErrorCode.NONE
        if commit.knows_group_id_not_found:
            return ErrorCode.GROUP_ID_NOT_FOUND
        return ErrorCode.ILLEGAL_GENERATION

    def _apply_offset(self, entry: OffsetEntry) -> None:
        self._offsets.apply(entry)
        if entry.committed is not None and entry.group_id not in self._groups:
            self._simple_group(entry.group_id, entry.committed.commit_timestamp_ms)

    def _simple_group(self, group_id: str, now_ms: int) -> ClassicGroup:
        """Return a new group without members: at first it only keeps offsets, and no entry speaks of it."""
        group = self._groups[group_id] = ClassicGroup(group_id, self._config, now_ms)
        return group

    def _drop_if_bare(self, group_id: str) -> None:
        """Forget a group that nobody got into, that keeps nothing and that the log does not know."""
        group = self._groups.get(group_id)
        if group is None or self._offsets.has_any(group_id):
            return
        if group.is_unused and group.generation_id == 0:
            del self._groups[group_id]

    def _expired_offsets(self, group: ClassicGroup, now_ms: int) -> list[OffsetEntry]:
        """
        Return the entries for a group's offsets that have expired.

        An empty group's count from when it was left, a simple group's each from
        its commit, and those of consumers at work only where nobody subscribes
        to the topic any more (KIP-211).
        """
        in_use: frozenset[str] = frozenset()
        since_ms: int | None = None
        if group.protocol_type and group.state is GroupState.EMPTY:
            since_ms = group.state_timestamp_ms if group.state_timestamp_ms >= 0 else None
        elif group.protocol_type:
            subscribed = group.subscribed_topics()
            if subscribed is None:
                return []
            in_use = subscribed
        retention_ms = self._config.offsets_retention_minutes * _MINUTE_MS
        return self._offsets.expired(
            group.group_id, since_ms=since_ms, in_use=in_use, retention_ms=retention_ms, now_ms=now_ms
        )

    def _end(self, group: ClassicGroup, entries: list[Entry], now_ms: int) -> list[Decision]:
        """
        End a group, adding its tombstone to the entries.

        It ends here and now, not when the log has the tombstone: whoever joins
        in between founds a new group, whose entries come after it.
        """
        del self._groups[group.group_id]
        entries.append(GroupEntry(group.group_id, None))
        return group.deleted(now_ms)


def _why_unknown(group_id: str) -> ErrorCode:
    return ErrorCode.UNKNOWN_MEMBER_ID if group_id else ErrorCode.INVALID_GROUP_ID
