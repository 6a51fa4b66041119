"""
JoinGroup: who may come in, under which id, and whether that disturbs the others.

Sources: KIP-345 (static members), KIP-389 (size), KIP-394 (member ids are
given out before they count), KIP-814 (a static leader that comes back).
"""

from __future__ import annotations

from streamline.errors import ErrorCode
from streamline.groups.group import Group, ReplacementStore
from streamline.groups.members import Member
from streamline.groups.messages import NO_MEMBER_ID, Join, JoinAnswer, SyncAnswer
from streamline.groups.rebalancing import maybe_complete, prepare, prepare_or_complete
from streamline.groups.states import GroupState

NEW_MEMBER_JOIN_TIMEOUT_MS = 300_000
"""
How long a member that has never been answered may stay parked.

Its client cannot send heartbeats and may be gone; without an end, every retry
of a client would leave one more member to wait for.  Kafka's five minutes.
"""

MAX_PENDING_MEMBERS = 10_000
"""
Ids given out in one group and not yet used.

Kafka has no such limit.  Past it the oldest is taken back; its owner, should it
come, hears UNKNOWN_MEMBER_ID and asks for another.
"""


def join(group: Group, request: Join) -> None:
    """Answer a JoinGroup or park it."""
    if group.state is GroupState.DEAD:
        _refuse(group, request, ErrorCode.COORDINATOR_NOT_AVAILABLE)
    elif not _has_room(group, request.member_id):
        _turn_away(group, request)
    elif not _is_compatible(group, request):
        _refuse(group, request, ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
    elif request.member_id == NO_MEMBER_ID:
        _join_unnamed(group, request)
    else:
        _join_named(group, request)


def _has_room(group: Group, member_id: str) -> bool:
    """
    Say whether the group has a place for this member.

    While members join, those who have joined count, not those who may: the
    last ones to come are left out, also when the limit was lowered.
    """
    roster, limit = group.roster, group.config.group_max_size
    member = roster.members.get(member_id)
    if group.state is GroupState.EMPTY:
        return True
    if group.state is GroupState.PREPARING_REBALANCE:
        return (member is not None and member.joining is not None) or roster.joining_count < limit
    return member is not None or len(roster) < limit


def _turn_away(group: Group, request: Join) -> None:
    group.answer(request.token, JoinAnswer(error=ErrorCode.GROUP_MAX_SIZE_REACHED))
    member = group.roster.members.get(request.member_id)
    if member is not None:
        group.dismiss(member, ErrorCode.GROUP_MAX_SIZE_REACHED)
    group.forget_pending(request.member_id)
    maybe_complete(group)


def _is_compatible(group: Group, request: Join) -> bool:
    """Say whether the member names a protocol that everybody in the group supports."""
    if not request.protocol_type or not request.protocols:
        return False
    if group.state is GroupState.EMPTY:
        return True
    return request.protocol_type == group.protocol_type and group.roster.supports_any(request.protocols)


def _join_unnamed(group: Group, request: Join) -> None:
    """Let in somebody who has no member id yet."""
    prefix = request.client_id if request.instance_id is None else request.instance_id
    member_id = f"{prefix}-{request.member_id_suffix}"
    if request.instance_id is not None:
        known = group.roster.instance(request.instance_id)
        if known is None:
            _add(group, request, member_id)
        else:
            _replace(group, request, known, member_id)
    elif request.requires_known_member_id:
        _give_out(group, request, member_id)
    else:
        _add(group, request, member_id)


def _join_named(group: Group, request: Join) -> None:
    """Let in somebody who claims a member id."""
    roster = group.roster
    if request.member_id in roster.pending and request.instance_id is None:
        _add(group, request, request.member_id)
        return
    error = roster.why_not_member(request.member_id, request.instance_id)
    if error is not ErrorCode.NONE:
        _refuse(group, request, error)
        return
    _rejoin(group, request, roster.members[request.member_id])


def _rejoin(group: Group, request: Join, member: Member) -> None:
    """
    Let a member join again.

    A member that says nothing new is told the current generation once more: it
    may have missed the first answer.  The leader of a stable group always
    causes a rebalance, since it alone sees changes, such as those of topics,
    that no member's metadata shows.
    """
    leads_stable = group.state is GroupState.STABLE and group.roster.leader_id == member.member_id
    settled = group.state in (GroupState.COMPLETING_REBALANCE, GroupState.STABLE)
    if settled and not leads_stable and member.protocols == request.protocols:
        group.answer(request.token, group.joined(member))
        return
    _update(group, request, member)
    prepare_or_complete(group)


def _give_out(group: Group, request: Join, member_id: str) -> None:
    """Hand out a member id and ask for another JoinGroup with it (KIP-394)."""
    pending = group.roster.pending
    while len(pending) >= MAX_PENDING_MEMBERS:
        group.forget_pending(next(iter(pending)))
    pending[member_id] = None
    group.arm(group.session_timer(member_id), request.session_timeout_ms)
    group.answer(request.token, JoinAnswer(error=ErrorCode.MEMBER_ID_REQUIRED, member_id=member_id))


def _add(group: Group, request: Join, member_id: str) -> None:
    """Take in a new member and rebalance."""
    if not group.roster.members:
        group.protocol_type = request.protocol_type
    group.newcomers = True
    group.roster.add(
        Member(
            member_id=member_id,
            instance_id=request.instance_id,
            client_id=request.client_id,
            client_host=request.client_host,
            rebalance_timeout_ms=request.rebalance_timeout_ms,
            session_timeout_ms=request.session_timeout_ms,
            protocols=request.protocols,
            is_new=True,
            joining=request.token,
        )
    )
    group.arm(group.session_timer(member_id), NEW_MEMBER_JOIN_TIMEOUT_MS)
    prepare_or_complete(group)


def _update(group: Group, request: Join, member: Member) -> None:
    """Take over what a member now says about itself, and park its request."""
    group.roster.support(member, request.protocols)
    member.rebalance_timeout_ms = request.rebalance_timeout_ms
    member.session_timeout_ms = request.session_timeout_ms
    group.park_join(member, request.token)


def _replace(group: Group, request: Join, member: Member, member_id: str) -> None:
    """
    Let a static member that was restarted take its old place under a new id (KIP-345).

    Whoever still waits under the old id is fenced.  A stable group whose
    protocol stays the same is not disturbed: the new id is recorded and the
    member gets its old assignment.  While an assignment is being made, the old
    id may be in the leader's hands already, so that is begun again.
    """
    before, leader_before = group.snapshot_of(member), group.roster.leader_id
    fenced = ErrorCode.FENCED_INSTANCE_ID
    group.answer_join(member, JoinAnswer(error=fenced, member_id=member.member_id))
    group.answer_sync(member, SyncAnswer(error=fenced))
    group.disarm(group.session_timer(member.member_id))
    group.roster.rename(member, member_id)
    _update(group, request, member)
    group.renew_session(member)
    if group.state is GroupState.STABLE and group.roster.select_protocol() == group.protocol:
        pending = ReplacementStore(
            generation_id=group.generation_id,
            token=request.token,
            member_id=member_id,
            before=before,
            leader_before=leader_before,
            supports_skipping_assignment=request.supports_skipping_assignment,
        )
        group.store(pending, group.assignments())
    elif group.state is GroupState.PREPARING_REBALANCE:
        maybe_complete(group)
    else:
        prepare(group)


def _refuse(group: Group, request: Join, error: ErrorCode) -> None:
    group.answer(request.token, JoinAnswer(error=error, member_id=request.member_id))
