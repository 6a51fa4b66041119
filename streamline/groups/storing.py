"""What follows once a record of the group is in the log, or will not be."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from attrs import evolve

from streamline.errors import ErrorCode
from streamline.groups.group import AssignmentStore, Group, ReplacementStore
from streamline.groups.messages import JoinAnswer, Store
from streamline.groups.rebalancing import prepare, reject_syncs
from streamline.groups.states import Cause, GroupState

APPEND_ERRORS: Mapping[ErrorCode, ErrorCode] = MappingProxyType(
    {
        ErrorCode.UNKNOWN_TOPIC_OR_PARTITION: ErrorCode.COORDINATOR_NOT_AVAILABLE,
        ErrorCode.NOT_ENOUGH_REPLICAS: ErrorCode.COORDINATOR_NOT_AVAILABLE,
        ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND: ErrorCode.COORDINATOR_NOT_AVAILABLE,
        ErrorCode.REQUEST_TIMED_OUT: ErrorCode.COORDINATOR_NOT_AVAILABLE,
        ErrorCode.NOT_LEADER_OR_FOLLOWER: ErrorCode.NOT_COORDINATOR,
        ErrorCode.KAFKA_STORAGE_ERROR: ErrorCode.NOT_COORDINATOR,
        ErrorCode.MESSAGE_TOO_LARGE: ErrorCode.UNKNOWN_SERVER_ERROR,
        ErrorCode.RECORD_LIST_TOO_LARGE: ErrorCode.UNKNOWN_SERVER_ERROR,
        ErrorCode.INVALID_FETCH_SIZE: ErrorCode.UNKNOWN_SERVER_ERROR,
    }
)
"""
What a failed append to C{__consumer_offsets} means to a group's client, who did not ask for a produce.

Whatever is not listed is passed on as it is.
"""


def stored(group: Group, store: Store) -> None:
    """Go on now that a record is in the log, unless the group has moved on meanwhile."""
    pending = group.stores.pop(store, None)
    if isinstance(pending, AssignmentStore):
        _assign(group, pending)
    elif isinstance(pending, ReplacementStore):
        _answer_replacement(group, pending)


def store_failed(group: Group, store: Store, error: ErrorCode) -> None:
    """Take back what was waiting for a record that is not in the log."""
    pending = group.stores.pop(store, None)
    told = APPEND_ERRORS.get(error, error)
    if isinstance(pending, AssignmentStore):
        if _awaits_assignment(group, pending):
            reject_syncs(group, told)
            prepare(group)
    elif isinstance(pending, ReplacementStore):
        _revert_replacement(group, pending, told)


def _awaits_assignment(group: Group, pending: AssignmentStore) -> bool:
    return group.state is GroupState.COMPLETING_REBALANCE and group.generation_id == pending.generation_id


def _assign(group: Group, pending: AssignmentStore) -> None:
    if not _awaits_assignment(group, pending):
        return
    group.move(Cause.ASSIGNMENT_STORED)
    for member in group.roster.members.values():
        member.assignment = pending.assignments.get(member.member_id, b"")
        if group.answer_sync(member, group.synced(member)):
            # While it waited, the end of its session counted for nothing.
            group.renew_session(member)


def _awaits_replacement(group: Group, pending: ReplacementStore) -> bool:
    """
    Say whether the static member still waits for its new id to be recorded.

    It does not if it was replaced or removed, which answered it, nor if a
    rebalance has begun, which will.
    """
    member = group.roster.members.get(pending.member_id)
    return (
        member is not None
        and member.joining is pending.token
        and group.state is GroupState.STABLE
        and group.generation_id == pending.generation_id
    )


def _answer_replacement(group: Group, pending: ReplacementStore) -> None:
    """
    Give a restarted static member the generation it had.

    A client that knows C{skip_assignment} may learn that it leads.  An older
    one is shown the leader as it was before, so that a leader takes itself for
    a follower and does not assign anew what nobody will apply.
    """
    if not _awaits_replacement(group, pending):
        return
    member = group.roster.members[pending.member_id]
    if pending.supports_skipping_assignment:
        leads = group.roster.leader_id == member.member_id
        answer = evolve(group.joined(member), skip_assignment=leads)
    else:
        told = group.joined_as(member.member_id, with_members=False)
        answer = evolve(told, leader_id=pending.leader_before)
    group.answer_join(member, answer)
    group.renew_session(member)


def _revert_replacement(group: Group, pending: ReplacementStore, error: ErrorCode) -> None:
    """Give the static member its old id back, which the log still has."""
    if not _awaits_replacement(group, pending):
        return
    member, before = group.roster.members[pending.member_id], pending.before
    group.answer_join(member, JoinAnswer(error=error))
    group.disarm(group.session_timer(member.member_id))
    group.roster.rename(member, before.member_id)
    group.roster.support(member, before.protocols)
    member.rebalance_timeout_ms = before.rebalance_timeout_ms
    member.session_timeout_ms = before.session_timeout_ms
    group.renew_session(member)
