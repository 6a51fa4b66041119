"""
One consumer group of the classic protocol, as a deterministic state machine.

Its face: one method for each thing that can happen, each with the time at
which it did, each returning what must be done about it, in order.  The rules
are in C{joining}, C{rebalancing}, C{syncing} and C{storing}, the tables in
C{states}.

The promises that hold after every input:

 - a parked JoinGroup has an end: a join timer is set, or its record is on its way to the log;
 - a parked SyncGroup has an end: a sync timer is set, or the assignment is on its way to the log;
 - every member, and every member id given out, either has a request parked or a session timer;
 - every request is answered exactly once.
"""

from __future__ import annotations

from streamline.config import BrokerConfig
from streamline.errors import ErrorCode
from streamline.groups.entries import GroupMetadata, MemberMetadata
from streamline.groups.group import Group
from streamline.groups.joining import join
from streamline.groups.members import Member
from streamline.groups.messages import (
    CONSUMER_PROTOCOL,
    NO_GENERATION,
    Decision,
    DescribedGroup,
    DescribedMember,
    Heartbeat,
    HeartbeatAnswer,
    Join,
    JoinAnswer,
    Leave,
    LeaveAnswer,
    Leaving,
    Left,
    ListedGroup,
    Protocol,
    Store,
    Sync,
    SyncAnswer,
    Timer,
    TimerKind,
)
from streamline.groups.rebalancing import (
    join_wait_expired,
    maybe_complete,
    prepare,
    prepare_or_complete,
    sync_wait_expired,
)
from streamline.groups.states import COMMIT_ANSWERS, HEARTBEAT_ANSWERS, Cause, GroupState
from streamline.groups.storing import store_failed, stored
from streamline.groups.subscriptions import subscribed_topics
from streamline.groups.syncing import sync


class ClassicGroup:
    """
    A group as its coordinator sees it.

    C{now_ms} is milliseconds since 1970 and ends up in records; time-outs are
    spans that the service counts, so a clock that steps disturbs nobody.
    """

    def __init__(self, group_id: str, config: BrokerConfig, now_ms: int) -> None:
        self._group = Group(group_id, config, now_ms)

    @classmethod
    def restored(cls, group_id: str, config: BrokerConfig, metadata: GroupMetadata) -> ClassicGroup:
        """
        Return a group as its last record left it: stable if somebody is in it, else empty.

        No timer is set before L{loaded}.
        """
        self = cls(group_id, config, metadata.state_timestamp_ms)
        group = self._group
        group.generation_id = metadata.generation_id
        group.protocol_type = metadata.protocol_type
        group.protocol = metadata.protocol
        for kept in metadata.members:
            group.roster.add(_revived(kept, metadata.protocol))
        if metadata.members:
            group.state = GroupState.STABLE
        if metadata.leader_id in group.roster.members:
            group.roster.leader_id = metadata.leader_id
        return self

    # What can be seen.

    @property
    def group_id(self) -> str:
        """The group's name."""
        return self._group.group_id

    @property
    def state(self) -> GroupState:
        """Where the group stands."""
        return self._group.state

    @property
    def generation_id(self) -> int:
        """The current generation."""
        return self._group.generation_id

    @property
    def protocol_type(self) -> str:
        """What kind of clients share the group; empty for one that only keeps offsets."""
        return self._group.protocol_type

    @property
    def state_timestamp_ms(self) -> int:
        """When the state last changed; negative where the log does not say."""
        return self._group.state_timestamp_ms

    @property
    def is_unused(self) -> bool:
        """Whether nobody is in the group and nobody was asked to come back."""
        return self.state is GroupState.EMPTY and not self._group.roster.pending

    def subscribed_topics(self) -> frozenset[str] | None:
        """
        Return the topics that members of a stable group of consumers read.

        C{None} where that cannot be told: between generations, of other
        protocols, of metadata that cannot be read.
        """
        group = self._group
        if group.state is not GroupState.STABLE or group.protocol_type != CONSUMER_PROTOCOL:
            return None
        return subscribed_topics(member.metadata(group.protocol) for member in group.roster.members.values())

    def describe(self) -> DescribedGroup:
        """Return the group as DescribeGroups shows it."""
        group = self._group
        stable = group.state is GroupState.STABLE
        return DescribedGroup(
            group_id=group.group_id,
            state=group.state,
            protocol_type=group.protocol_type,
            protocol=(group.protocol or "") if stable else "",
            members=tuple(
                DescribedMember(
                    member_id=member.member_id,
                    instance_id=member.instance_id,
                    client_id=member.client_id,
                    client_host=member.client_host,
                    metadata=member.metadata(group.protocol) if stable else b"",
                    assignment=member.assignment,
                )
                for member in group.roster.members.values()
            ),
        )

    def listed(self) -> ListedGroup:
        """Return the group as ListGroups shows it."""
        return ListedGroup(self.group_id, self.protocol_type, self.state)

    def metadata(self) -> GroupMetadata:
        """Return the group as the log keeps it."""
        return self._group.metadata(self._group.assignments())

    # What can happen: requests.

    def join_received(self, request: Join, now_ms: int) -> list[Decision]:
        """Somebody sent JoinGroup."""
        self._group.now_ms = now_ms
        join(self._group, request)
        return self._group.take_decisions()

    def sync_received(self, request: Sync, now_ms: int) -> list[Decision]:
        """Somebody sent SyncGroup."""
        self._group.now_ms = now_ms
        sync(self._group, request)
        return self._group.take_decisions()

    def heartbeat_received(self, request: Heartbeat, now_ms: int) -> list[Decision]:
        """Somebody sent Heartbeat."""
        group = self._group
        group.now_ms = now_ms
        error = group.why_not_current(request.member_id, request.instance_id, request.generation_id)
        if error is ErrorCode.NONE:
            error = HEARTBEAT_ANSWERS[group.state]
            group.renew_session(group.roster.members[request.member_id])
        group.answer(request.token, HeartbeatAnswer(error))
        return group.take_decisions()

    def leave_received(self, request: Leave, now_ms: int) -> list[Decision]:
        """Somebody sent LeaveGroup, for itself or, as an administrator, for others."""
        group = self._group
        group.now_ms = now_ms
        if group.state is GroupState.DEAD:
            group.answer(request.token, LeaveAnswer(error=ErrorCode.COORDINATOR_NOT_AVAILABLE))
            return group.take_decisions()
        size_before = len(group.roster)
        left = tuple(self._let_go(leaving) for leaving in request.members)
        group.answer(request.token, LeaveAnswer(members=left))
        if group.state is GroupState.PREPARING_REBALANCE:
            maybe_complete(group)
        elif len(group.roster) < size_before:
            prepare(group)
        return group.take_decisions()

    def why_not_commit(self, member_id: str, instance_id: str | None, generation_id: int) -> ErrorCode:
        """
        Return what to tell somebody who wants to commit offsets; NONE if it may.

        A negative generation comes from an administrator or from a consumer
        that manages its partitions itself; it may commit while nobody is in
        the group.
        """
        group = self._group
        if group.state is GroupState.DEAD:
            return COMMIT_ANSWERS[group.state]
        named = bool(member_id) or instance_id is not None or generation_id > NO_GENERATION
        if group.state is GroupState.EMPTY and generation_id <= NO_GENERATION:
            return ErrorCode.NONE
        if not named:
            return ErrorCode.UNKNOWN_MEMBER_ID
        error = group.why_not_current(member_id, instance_id, generation_id)
        return COMMIT_ANSWERS[group.state] if error is ErrorCode.NONE else error

    def commit_received(self, member_id: str, now_ms: int) -> list[Decision]:
        """Somebody committed offsets, which L{why_not_commit} did not object to; that is a sign of life."""
        group = self._group
        group.now_ms = now_ms
        member = group.roster.members.get(member_id)
        if member is not None:
            group.renew_session(member)
        return group.take_decisions()

    # What can happen: time, the log, the coordinator.

    def timer_expired(self, timer: Timer, now_ms: int) -> list[Decision]:
        """A timer has run its length; one that was cancelled meanwhile means nothing."""
        group = self._group
        group.now_ms = now_ms
        if group.has_expired(timer):
            if timer.kind is TimerKind.JOIN:
                join_wait_expired(group)
            elif timer.kind is TimerKind.SYNC:
                sync_wait_expired(group)
            else:
                self._session_expired(timer.member_id)
        return group.take_decisions()

    def stored(self, store: Store, now_ms: int) -> list[Decision]:
        """What was to be stored is in the log, on every in-sync replica."""
        self._group.now_ms = now_ms
        stored(self._group, store)
        return self._group.take_decisions()

    def store_failed(self, store: Store, error: ErrorCode, now_ms: int) -> list[Decision]:
        """What was to be stored is not in the log, or nobody can tell."""
        self._group.now_ms = now_ms
        store_failed(self._group, store, error)
        return self._group.take_decisions()

    def loaded(self, now_ms: int) -> list[Decision]:
        """This node coordinates the group from now on: sessions begin, and too large a group shrinks."""
        group = self._group
        group.now_ms = now_ms
        for member in group.roster.members.values():
            group.renew_session(member)
        if len(group.roster) > group.config.group_max_size:
            prepare(group)
        return group.take_decisions()

    def unloaded(self, now_ms: int) -> list[Decision]:
        """This node coordinates the group no longer: whoever waits is sent to look for who does."""
        group = self._group
        group.now_ms = now_ms
        error = ErrorCode.NOT_COORDINATOR
        for member in group.roster.members.values():
            group.answer_join(member, JoinAnswer(error=error, member_id=member.member_id))
            group.answer_sync(member, SyncAnswer(error=error))
        return self._die()

    def why_not_delete(self) -> ErrorCode:
        """Return what to tell somebody who wants to delete the group; NONE if that can be done."""
        if self.state is GroupState.DEAD:
            return ErrorCode.GROUP_ID_NOT_FOUND
        return ErrorCode.NONE if self.state is GroupState.EMPTY else ErrorCode.NON_EMPTY_GROUP

    def deleted(self, now_ms: int) -> list[Decision]:
        """The group, which was empty, is deleted."""
        self._group.now_ms = now_ms
        return self._die()

    # Steps of the above.

    def _let_go(self, leaving: Leaving) -> Left:
        """Remove one member that a LeaveGroup names."""
        group, instance_id = self._group, leaving.instance_id
        if not leaving.member_id and instance_id is not None:
            member = group.roster.instance(instance_id)
            error = ErrorCode.NONE if member is not None else ErrorCode.UNKNOWN_MEMBER_ID
        elif leaving.member_id in group.roster.pending:
            group.forget_pending(leaving.member_id)
            member, error = None, ErrorCode.NONE
        else:
            member = group.roster.members.get(leaving.member_id)
            error = group.roster.why_not_member(leaving.member_id, instance_id)
        if member is not None and error is ErrorCode.NONE:
            group.dismiss(member)
        return Left(leaving.member_id, instance_id, error)

    def _session_expired(self, member_id: str) -> None:
        group = self._group
        if member_id in group.roster.pending:
            group.forget_pending(member_id)
            maybe_complete(group)
            return
        member = group.roster.members[member_id]
        if member.is_waiting:
            # Its session is counted anew when it is answered.
            return
        group.dismiss(member)
        prepare_or_complete(group)

    def _die(self) -> list[Decision]:
        group = self._group
        group.disarm_all()
        group.roster.pending.clear()
        group.stores.clear()
        group.move(Cause.GROUP_REMOVED)
        return group.take_decisions()


def _revived(kept: MemberMetadata, protocol: str | None) -> Member:
    """
    Return a member as the log kept it.

    The log keeps only the protocol that was chosen; a member that rejoins
    says the others again.
    """
    return Member(
        member_id=kept.member_id,
        instance_id=kept.instance_id,
        client_id=kept.client_id,
        client_host=kept.client_host,
        rebalance_timeout_ms=(kept.session_timeout_ms if kept.rebalance_timeout_ms < 0 else kept.rebalance_timeout_ms),
        session_timeout_ms=kept.session_timeout_ms,
        protocols=(Protocol(protocol or "", kept.subscription),),
        assignment=kept.assignment,
    )
