"""The classic group protocol: members join, agree on an assignment, and prove that they live."""

from collections.abc import Sequence

from streamline.wire.schema import Message, message, struct, wire
from streamline.wire.types import ARRAY, BOOLEAN, BYTES, INT16, INT32, NULLABLE_STRING, STRING


@struct
class JoinGroupRequestProtocol:
    name: str = wire(STRING)
    metadata: bytes = wire(BYTES)


@message(key=11, versions="0-9", flexible="6+")
class JoinGroupRequest(Message):
    """Enter a group, or enter its next generation.  Version 5 has static members (KIP-345)."""

    group_id: str = wire(STRING)
    session_timeout_ms: int = wire(INT32)
    rebalance_timeout_ms: int = wire(INT32, "1+", default=-1, ignorable=True)
    member_id: str = wire(STRING)
    group_instance_id: str | None = wire(NULLABLE_STRING, "5+", default=None)
    protocol_type: str = wire(STRING)
    protocols: Sequence[JoinGroupRequestProtocol] = wire(ARRAY(JoinGroupRequestProtocol))
    reason: str | None = wire(NULLABLE_STRING, "8+", default=None, ignorable=True)


@struct
class JoinGroupResponseMember:
    member_id: str = wire(STRING)
    group_instance_id: str | None = wire(NULLABLE_STRING, "5+", default=None, ignorable=True)
    metadata: bytes = wire(BYTES)


@message(key=11, versions="0-9", flexible="6+")
class JoinGroupResponse(Message):
    """The generation and, for its leader, every member."""

    throttle_time_ms: int = wire(INT32, "2+", ignorable=True)
    error_code: int = wire(INT16)
    generation_id: int = wire(INT32, default=-1)
    protocol_type: str | None = wire(NULLABLE_STRING, "7+", default=None, ignorable=True)
    protocol_name: str | None = wire(STRING, nullable="7+")
    leader: str = wire(STRING)
    skip_assignment: bool = wire(BOOLEAN, "9+")
    member_id: str = wire(STRING)
    members: Sequence[JoinGroupResponseMember] = wire(ARRAY(JoinGroupResponseMember))


@struct
class SyncGroupRequestAssignment:
    member_id: str = wire(STRING)
    assignment: bytes = wire(BYTES)


@message(key=14, versions="0-5", flexible="4+")
class SyncGroupRequest(Message):
    """Ask for this generation's assignment; the leader brings it."""

    group_id: str = wire(STRING)
    generation_id: int = wire(INT32)
    member_id: str = wire(STRING)
    group_instance_id: str | None = wire(NULLABLE_STRING, "3+", default=None)
    protocol_type: str | None = wire(NULLABLE_STRING, "5+", default=None, ignorable=True)
    protocol_name: str | None = wire(NULLABLE_STRING, "5+", default=None, ignorable=True)
    assignments: Sequence[SyncGroupRequestAssignment] = wire(ARRAY(SyncGroupRequestAssignment))


@message(key=14, versions="0-5", flexible="4+")
class SyncGroupResponse(Message):
    """What this member is assigned."""

    throttle_time_ms: int = wire(INT32, "1+", ignorable=True)
    error_code: int = wire(INT16)
    protocol_type: str | None = wire(NULLABLE_STRING, "5+", default=None, ignorable=True)
    protocol_name: str | None = wire(NULLABLE_STRING, "5+", default=None, ignorable=True)
    assignment: bytes = wire(BYTES)


@message(key=12, versions="0-4", flexible="4+")
class HeartbeatRequest(Message):
    """A member says that it lives."""

    group_id: str = wire(STRING)
    generation_id: int = wire(INT32)
    member_id: str = wire(STRING)
    group_instance_id: str | None = wire(NULLABLE_STRING, "3+", default=None)


@message(key=12, versions="0-4", flexible="4+")
class HeartbeatResponse(Message):
    """Whether the member may go on."""

    throttle_time_ms: int = wire(INT32, "1+", ignorable=True)
    error_code: int = wire(INT16)


@struct
class MemberIdentity:
    member_id: str = wire(STRING)
    group_instance_id: str | None = wire(NULLABLE_STRING, default=None)
    reason: str | None = wire(NULLABLE_STRING, "5+", default=None, ignorable=True)


@message(key=13, versions="0-5", flexible="4+")
class LeaveGroupRequest(Message):
    """A member leaves, or from version 3 several do (KIP-345)."""

    group_id: str = wire(STRING)
    member_id: str = wire(STRING, "0-2")
    members: Sequence[MemberIdentity] = wire(ARRAY(MemberIdentity), "3+")


@struct
class MemberResponse:
    member_id: str = wire(STRING)
    group_instance_id: str | None = wire(NULLABLE_STRING)
    error_code: int = wire(INT16)


@message(key=13, versions="0-5", flexible="4+")
class LeaveGroupResponse(Message):
    """How leaving went, from version 3 for each member."""

    throttle_time_ms: int = wire(INT32, "1+", ignorable=True)
    error_code: int = wire(INT16)
    members: Sequence[MemberResponse] = wire(ARRAY(MemberResponse), "3+")


@message(key=15, versions="0-6", flexible="5+")
class DescribeGroupsRequest(Message):
    """Groups to describe."""

    groups: Sequence[str] = wire(ARRAY(STRING))
    include_authorized_operations: bool = wire(BOOLEAN, "3+")


@struct
class DescribedGroupMember:
    member_id: str = wire(STRING)
    group_instance_id: str | None = wire(NULLABLE_STRING, "4+", default=None, ignorable=True)
    client_id: str = wire(STRING)
    client_host: str = wire(STRING)
    member_metadata: bytes = wire(BYTES)
    member_assignment: bytes = wire(BYTES)


@struct
class DescribedGroup:
    error_code: int = wire(INT16)
    error_message: str | None = wire(NULLABLE_STRING, "6+", default=None)
    group_id: str = wire(STRING)
    group_state: str = wire(STRING)
    protocol_type: str = wire(STRING)
    protocol_data: str = wire(STRING)
    members: Sequence[DescribedGroupMember] = wire(ARRAY(DescribedGroupMember))
    authorized_operations: int = wire(INT32, "3+", default=-(1 << 31))


@message(key=15, versions="0-6", flexible="5+")
class DescribeGroupsResponse(Message):
    """State and members of each group."""

    throttle_time_ms: int = wire(INT32, "1+", ignorable=True)
    groups: Sequence[DescribedGroup] = wire(ARRAY(DescribedGroup))


@message(key=16, versions="0-5", flexible="3+")
class ListGroupsRequest(Message):
    """Which groups to list, by state (version 4) and type (version 5)."""

    states_filter: Sequence[str] = wire(ARRAY(STRING), "4+")
    types_filter: Sequence[str] = wire(ARRAY(STRING), "5+")


@struct
class ListedGroup:
    group_id: str = wire(STRING)
    protocol_type: str = wire(STRING)
    group_state: str = wire(STRING, "4+", ignorable=True)
    group_type: str = wire(STRING, "5+", ignorable=True)


@message(key=16, versions="0-5", flexible="3+")
class ListGroupsResponse(Message):
    """The groups that the answering node coordinates."""

    throttle_time_ms: int = wire(INT32, "1+", ignorable=True)
    error_code: int = wire(INT16)
    groups: Sequence[ListedGroup] = wire(ARRAY(ListedGroup))


@message(key=42, versions="0-2", flexible="2+")
class DeleteGroupsRequest(Message):
    """Groups to delete, with their offsets."""

    groups_names: Sequence[str] = wire(ARRAY(STRING))


@struct
class DeletableGroupResult:
    group_id: str = wire(STRING)
    error_code: int = wire(INT16)


@message(key=42, versions="0-2", flexible="2+")
class DeleteGroupsResponse(Message):
    """How each deletion went."""

    throttle_time_ms: int = wire(INT32)
    results: Sequence[DeletableGroupResult] = wire(ARRAY(DeletableGroupResult))
