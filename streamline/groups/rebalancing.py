"""
From one generation to the next: wait for the members to join, then settle who they are.

A rebalance begins with L{prepare}, which sends everybody back to JoinGroup,
and ends with L{complete}, which answers them all with a new generation.
"""

from __future__ import annotations

from streamline.errors import ErrorCode
from streamline.groups.group import Group
from streamline.groups.messages import SyncAnswer
from streamline.groups.states import Cause, GroupState

REPEATED_WAIT_MIN_MS = 1_000
"""The least time between two looks at a group in which nobody joins, whatever its members ask for."""


def prepare_or_complete(group: Group) -> None:
    """Begin a rebalance; where one is under way, see whether the last member has just joined."""
    if group.state is GroupState.PREPARING_REBALANCE:
        maybe_complete(group)
    else:
        prepare(group)


def prepare(group: Group) -> None:
    """
    Begin a rebalance: members in sync start over, and the wait for joins begins.

    An empty group waits C{group.initial.rebalance.delay.ms} after its first
    member, and as much again for every round in which another one came, but no
    longer than a rebalance may take: a fleet that starts together is then
    assigned to once, not once per member (KIP-134).
    """
    if group.state is GroupState.COMPLETING_REBALANCE:
        reject_syncs(group, ErrorCode.REBALANCE_IN_PROGRESS)
    group.roster.unsynced.clear()
    group.disarm(group.sync_timer)
    was_empty = group.state is GroupState.EMPTY
    group.move(Cause.REBALANCE_NEEDED)
    if was_empty:
        delay_ms = group.config.group_initial_rebalance_delay_ms
        group.newcomers = False
        group.first_wait_left_ms = max(group.roster.rebalance_timeout_ms - delay_ms, 0)
        group.arm(group.join_timer, delay_ms)
    elif group.roster.all_joined:
        complete(group)
    else:
        group.arm(group.join_timer, group.roster.rebalance_timeout_ms)


def maybe_complete(group: Group) -> None:
    """End the wait for joins once everybody is there; the first wait of a group runs its full length."""
    if group.state is GroupState.PREPARING_REBALANCE and group.first_wait_left_ms is None and group.roster.all_joined:
        complete(group)


def join_wait_expired(group: Group) -> None:
    """End the wait for joins, or extend the first one if somebody new came during it."""
    left_ms = group.first_wait_left_ms
    if left_ms and group.newcomers:
        group.newcomers = False
        delay_ms = min(group.config.group_initial_rebalance_delay_ms, left_ms)
        group.first_wait_left_ms = left_ms - delay_ms
        group.arm(group.join_timer, delay_ms)
    else:
        complete(group)


def complete(group: Group) -> None:
    """
    Begin the next generation with those who have joined and with the static members.

    Static members are waited for until their sessions end, so they stay even
    unheard (KIP-345).  Where they alone are left, nobody is there to lead and
    the wait is repeated until somebody joins or their sessions have ended.
    """
    group.disarm(group.join_timer)
    group.first_wait_left_ms = None
    for member in group.roster.laggards:
        group.dismiss(member)
    if not group.roster.members:
        _fall_empty(group)
    elif group.roster.elect_joined_leader():
        _begin_generation(group)
    else:
        group.arm(group.join_timer, max(group.roster.rebalance_timeout_ms, REPEATED_WAIT_MIN_MS))


def sync_wait_expired(group: Group) -> None:
    """Remove the members who took their generation and never came for an assignment, and begin again."""
    late = list(group.roster.unsynced)
    for member_id in late:
        group.dismiss(group.roster.members[member_id])
    if late:
        prepare(group)


def reject_syncs(group: Group, error: ErrorCode) -> None:
    """Take everybody's assignment away and answer those who wait for one with the error."""
    for member in group.roster.members.values():
        member.assignment = b""
        if group.answer_sync(member, SyncAnswer(error=error)):
            group.renew_session(member)


def _fall_empty(group: Group) -> None:
    group.generation_id += 1
    group.protocol = None
    group.move(Cause.MEMBERS_GONE)
    # Nobody waits for this record.  If it is lost, the members of the generation before come back when
    # the log is next loaded, and their sessions end again.
    group.store(None, {})


def _begin_generation(group: Group) -> None:
    group.generation_id += 1
    group.protocol = group.roster.select_protocol()
    group.move(Cause.MEMBERS_JOINED)
    group.roster.unsynced = dict.fromkeys(group.roster.members)
    for member in group.roster.members.values():
        group.answer_join(member, group.joined(member))
        member.is_new = False
        group.renew_session(member)
    group.arm(group.sync_timer, group.roster.rebalance_timeout_ms)
