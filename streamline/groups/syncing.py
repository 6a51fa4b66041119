"""SyncGroup: the leader hands in the assignment, the others wait for theirs."""

from __future__ import annotations

from streamline.errors import ErrorCode
from streamline.groups.group import AssignmentStore, Group
from streamline.groups.members import Member
from streamline.groups.messages import Sync, SyncAnswer
from streamline.groups.states import SYNC_ANSWERS, GroupState


def sync(group: Group, request: Sync) -> None:
    """Answer a SyncGroup or park it."""
    error = _why_not(group, request)
    if error is not ErrorCode.NONE:
        group.answer(request.token, SyncAnswer(error=error))
        return
    member = group.roster.members[request.member_id]
    _note_synced(group, member)
    if group.state is GroupState.STABLE:
        group.answer(request.token, group.synced(member))
        return
    group.park_sync(member, request.token)
    if group.roster.leader_id == member.member_id and not _is_storing(group):
        _store_assignment(group, request)


def _why_not(group: Group, request: Sync) -> ErrorCode:
    """Return what to tell a member that gets neither an assignment nor a place to wait."""
    error = group.why_not_current(request.member_id, request.instance_id, request.generation_id)
    if error is not ErrorCode.NONE:
        return error
    if _differs(request.protocol_type, group.protocol_type) or _differs(request.protocol, group.protocol):
        return ErrorCode.INCONSISTENT_GROUP_PROTOCOL
    return SYNC_ANSWERS[group.state] or ErrorCode.NONE


def _differs(said: str | None, known: str | None) -> bool:
    """Compare what a request of version 5 says, or an older one does not, with what the group has (KIP-559)."""
    return said is not None and known is not None and said != known


def _note_synced(group: Group, member: Member) -> None:
    group.roster.unsynced.pop(member.member_id, None)
    if not group.roster.unsynced:
        group.disarm(group.sync_timer)


def _is_storing(group: Group) -> bool:
    """Say whether this generation's assignment is on its way to the log: a repeated request starts no second."""
    return any(
        isinstance(pending, AssignmentStore) and pending.generation_id == group.generation_id
        for pending in group.stores.values()
    )


def _store_assignment(group: Group, request: Sync) -> None:
    """Have the assignment recorded; a member that the leader left out gets an empty one."""
    assignments = {key: bytes(request.assignments.get(key, b"")) for key in group.roster.members}
    group.store(AssignmentStore(group.generation_id, assignments), assignments)
