"""
JoinGroup (11), Heartbeat (12), LeaveGroup (13), SyncGroup (14), DescribeGroups (15), ListGroups (16) and
DeleteGroups (42).

Behaviour: the rules are the group's own, in C{streamline.groups}; here they are
put into Kafka's words.  JoinGroup and SyncGroup wait for the other members.

Version notes: JoinGroup 1 rebalance time-out; 4 member ids are given out first
(KIP-394); 5 static members (KIP-345); 7 protocol type; 9 skipped assignment
(KIP-814).  LeaveGroup 3 several members.  SyncGroup 5 protocol type and name.
DescribeGroups 3 authorized operations; 6 unknown groups are an error.
ListGroups 4 states; 5 types (KIP-848).
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TypeVar

from twisted.internet.defer import Deferred

from streamline.api import operations
from streamline.api.call import Call, Hold, Later, LaterBy, Parked
from streamline.errors import ErrorCode, Refused
from streamline.groups import messages
from streamline.groups.shard import GROUP_TYPE, Filter
from streamline.groups.states import GroupState
from streamline.services.shards import Reply
from streamline.wire.messages.groups import (
    DeletableGroupResult,
    DeleteGroupsRequest,
    DeleteGroupsResponse,
    DescribedGroup,
    DescribedGroupMember,
    DescribeGroupsRequest,
    DescribeGroupsResponse,
    HeartbeatRequest,
    HeartbeatResponse,
    JoinGroupRequest,
    JoinGroupResponse,
    JoinGroupResponseMember,
    LeaveGroupRequest,
    LeaveGroupResponse,
    ListedGroup,
    ListGroupsRequest,
    ListGroupsResponse,
    MemberIdentity,
    MemberResponse,
    SyncGroupRequest,
    SyncGroupResponse,
)

T = TypeVar("T")

GROUPS_PER_TURN = 100
"""How many are described or deleted before others have their turn."""
LEAVES_PER_TURN = 1000
"""Members that leave in one turn."""


def join_group(call: Call, request: JoinGroupRequest) -> JoinGroupResponse | Parked:
    """Let a member in, or let it wait for the others."""
    reply: Reply[messages.JoinAnswer] = Reply()
    try:
        shard = call.broker.groups.shard(request.group_id)
    except Refused as refusal:
        return _joined(call, messages.JoinAnswer(error=refusal.code, member_id=request.member_id))
    join = messages.Join(
        token=reply,
        group_id=request.group_id,
        member_id=request.member_id,
        member_id_suffix=call.broker.groups.new_member_suffix(),
        instance_id=request.group_instance_id,
        client_id=call.client_id or "",
        client_host=f"/{call.caller.address}",  # as Java writes an address
        session_timeout_ms=request.session_timeout_ms,
        rebalance_timeout_ms=request.session_timeout_ms if call.version < 1 else request.rebalance_timeout_ms,
        protocol_type=request.protocol_type,
        protocols=[messages.Protocol(offer.name, bytes(offer.metadata)) for offer in request.protocols],
        requires_known_member_id=call.version >= 4,
        supports_skipping_assignment=call.version >= 9,
    )
    return _parked(shard.join(join, reply).then(lambda answer: _joined(call, answer)))


def _parked(answer: T | Deferred[T]) -> T | Parked:
    """Let a node that stops not wait for members that may never come."""
    return Parked(answer, answer.cancel) if isinstance(answer, Deferred) else answer


def _joined(call: Call, answer: messages.JoinAnswer) -> JoinGroupResponse:
    protocol = answer.protocol
    if protocol is None and call.version < 7:
        protocol = ""
    return JoinGroupResponse(
        error_code=answer.error,
        generation_id=answer.generation_id,
        protocol_type=answer.protocol_type,
        protocol_name=protocol,
        leader=answer.leader_id,
        skip_assignment=answer.skip_assignment,
        member_id=answer.member_id,
        members=[
            JoinGroupResponseMember(
                member_id=member.member_id, group_instance_id=member.instance_id, metadata=member.metadata
            )
            for member in answer.members
        ],
    )


def sync_group(call: Call, request: SyncGroupRequest) -> SyncGroupResponse | Parked:
    """Give a member its assignment, or let it wait for the leader's."""
    reply: Reply[messages.SyncAnswer] = Reply()
    try:
        shard = call.broker.groups.shard(request.group_id)
    except Refused as refusal:
        # The leader's assignment is lost with the coordinator; the members begin again, as in Kafka.
        loading = refusal.code is ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
        return SyncGroupResponse(error_code=ErrorCode.REBALANCE_IN_PROGRESS if loading else refusal.code)
    sync = messages.Sync(
        token=reply,
        group_id=request.group_id,
        member_id=request.member_id,
        generation_id=request.generation_id,
        instance_id=request.group_instance_id,
        protocol_type=request.protocol_type,
        protocol=request.protocol_name,
        assignments={given.member_id: bytes(given.assignment) for given in request.assignments},
    )
    return _parked(shard.sync(sync, reply).then(_synced))


def _synced(answer: messages.SyncAnswer) -> SyncGroupResponse:
    return SyncGroupResponse(
        error_code=answer.error,
        protocol_type=answer.protocol_type,
        protocol_name=answer.protocol,
        assignment=answer.assignment,
    )


def heartbeat(call: Call, request: HeartbeatRequest) -> HeartbeatResponse | Deferred[HeartbeatResponse]:
    """Take a member's sign of life."""
    reply: Reply[messages.HeartbeatAnswer] = Reply()
    try:
        shard = call.broker.groups.shard(request.group_id)
    except Refused as refusal:
        # While the groups are loaded nobody's session runs, and nobody is told to worry.
        loading = refusal.code is ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
        return HeartbeatResponse(error_code=ErrorCode.NONE if loading else refusal.code)
    beat = messages.Heartbeat(
        token=reply,
        group_id=request.group_id,
        member_id=request.member_id,
        generation_id=request.generation_id,
        instance_id=request.group_instance_id,
    )
    return shard.heartbeat(beat, reply).then(lambda answer: HeartbeatResponse(error_code=answer.error))


def leave_group(
    call: Call, request: LeaveGroupRequest
) -> LeaveGroupResponse | Deferred[LeaveGroupResponse] | Hold:
    """Let members go; very many of them some at a time, before the connection's next request is looked at."""
    members = request.members if call.version >= 3 else [MemberIdentity(member_id=request.member_id)]
    if len(members) > LEAVES_PER_TURN:
        return Hold(Deferred.fromCoroutine(_leave_many(call, request.group_id, members)))
    return _leave(call, request.group_id, members)


def _leave(
    call: Call, group_id: str, members: Sequence[MemberIdentity]
) -> LeaveGroupResponse | Deferred[LeaveGroupResponse]:
    reply: Reply[messages.LeaveAnswer] = Reply()
    try:
        shard = call.broker.groups.shard(group_id)
    except Refused as refusal:
        return LeaveGroupResponse(error_code=refusal.code)
    leaving = tuple(messages.Leaving(member.member_id, member.group_instance_id) for member in members)
    leave = messages.Leave(token=reply, group_id=group_id, members=leaving)
    return shard.leave(leave, reply).then(lambda answer: _left(call, answer))


async def _leave_many(call: Call, group_id: str, members: Sequence[MemberIdentity]) -> LeaveGroupResponse:
    left: list[MemberResponse] = []
    for at in range(0, len(members), LEAVES_PER_TURN):
        answer = _leave(call, group_id, members[at : at + LEAVES_PER_TURN])
        some = await answer if isinstance(answer, Deferred) else answer
        if some.error_code != ErrorCode.NONE:
            return some
        left += some.members
        await call.broker.turns.next()
    return LeaveGroupResponse(members=left)


def _left(call: Call, answer: messages.LeaveAnswer) -> LeaveGroupResponse:
    error = answer.error
    if call.version < 3:
        return LeaveGroupResponse(error_code=error or answer.members[0].error)
    return LeaveGroupResponse(
        error_code=error,
        members=[
            MemberResponse(member_id=left.member_id, group_instance_id=left.instance_id, error_code=left.error)
            for left in answer.members
        ],
    )


def describe_groups(
    call: Call, request: DescribeGroupsRequest
) -> DescribeGroupsResponse | Deferred[DescribeGroupsResponse]:
    """Describe each group once, however often it is named."""
    return call.broker.turns.work_off(_describe_all(call, request))


def _describe_all(call: Call, request: DescribeGroupsRequest) -> Generator[None, None, DescribeGroupsResponse]:
    allowed = operations.GROUP if request.include_authorized_operations else operations.NOT_ASKED
    described: list[DescribedGroup] = []
    for number, group_id in enumerate(dict.fromkeys(request.groups), 1):
        group = _describe(call, group_id)
        if group.error_code == ErrorCode.NONE:
            group.authorized_operations = allowed
        described.append(group)
        if number % GROUPS_PER_TURN == 0:
            yield
    return DescribeGroupsResponse(groups=described)


def _describe(call: Call, group_id: str) -> DescribedGroup:
    try:
        group = call.broker.groups.shard(group_id).groups.describe(group_id)
    except Refused as refusal:
        return DescribedGroup(group_id=group_id, error_code=refusal.code)
    if group is None:
        return _unknown(call, group_id)
    return DescribedGroup(
        group_id=group_id,
        group_state=group.state.value,
        protocol_type=group.protocol_type,
        protocol_data=group.protocol,
        members=[
            DescribedGroupMember(
                member_id=member.member_id,
                group_instance_id=member.instance_id,
                client_id=member.client_id,
                client_host=member.client_host,
                member_metadata=member.metadata,
                member_assignment=member.assignment,
            )
            for member in group.members
        ],
    )


def _unknown(call: Call, group_id: str) -> DescribedGroup:
    described = DescribedGroup(group_id=group_id, group_state=GroupState.DEAD.value)
    if call.version >= 6:
        described.error_code = ErrorCode.GROUP_ID_NOT_FOUND
        described.error_message = f"Group {group_id} not found."
    return described


def list_groups(call: Call, request: ListGroupsRequest) -> ListGroupsResponse | Deferred[ListGroupsResponse]:
    """List the groups that this node coordinates."""
    return call.broker.turns.work_off(_list(call, request))


def _list(call: Call, request: ListGroupsRequest) -> Generator[None, None, ListGroupsResponse]:
    try:
        shards = call.broker.groups.shards()
    except Refused as refusal:
        return ListGroupsResponse(error_code=refusal.code)
    wanted = Filter.of(request.states_filter, request.types_filter)
    found: list[ListedGroup] = []
    seen = 0
    for shard in shards:
        found += [
            ListedGroup(
                group_id=group.group_id,
                protocol_type=group.protocol_type,
                group_state=group.state.value,
                group_type=GROUP_TYPE,
            )
            for group in shard.groups.listed(wanted)
        ]
        if len(found) - seen >= GROUPS_PER_TURN:
            seen = len(found)
            yield
    return ListGroupsResponse(groups=found)


def delete_groups(call: Call, request: DeleteGroupsRequest) -> Hold:
    """Delete each group that nobody is in, with its offsets; answer when the log has it."""
    return Hold(Deferred.fromCoroutine(_delete_all(call, request)))


async def _delete_all(call: Call, request: DeleteGroupsRequest) -> Later:
    deleting: list[tuple[str, ErrorCode | Deferred[ErrorCode]]] = []
    for number, group_id in enumerate(dict.fromkeys(request.groups_names), 1):
        deleting.append((group_id, _delete(call, group_id)))
        if number % GROUPS_PER_TURN == 0:
            await call.broker.turns.next()
    answer = Deferred.fromCoroutine(_deleted(deleting))
    return LaterBy(lambda: answer)


def _delete(call: Call, group_id: str) -> ErrorCode | Deferred[ErrorCode]:
    try:
        return call.broker.groups.shard(group_id).delete(group_id).then(lambda error: error)
    except Refused as refusal:
        return refusal.code


async def _deleted(deleting: list[tuple[str, ErrorCode | Deferred[ErrorCode]]]) -> DeleteGroupsResponse:
    return DeleteGroupsResponse(
        results=[
            DeletableGroupResult(
                group_id=group_id, error_code=await outcome if isinstance(outcome, Deferred) else outcome
            )
            for group_id, outcome in deleting
        ]
    )
