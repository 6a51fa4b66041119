"""
Following: taking over the leader's entries, and saying how far that has come.

A follower says of its log only what is the leader's by what this leader sent, and
durable (RF2); it takes as committed only what it has proven to be the leader's (RF4).
"""

from __future__ import annotations

from streamline.raft.core import Core
from streamline.raft.log import InvariantBroken, Log
from streamline.raft.messages import (
    AppendRejection,
    AppendRequest,
    AppendResponse,
    Entry,
    SnapshotRequest,
    check_entries,
)
from streamline.raft.roles import Follower, Leader


def heard_leader(core: Core, message: AppendRequest | SnapshotRequest) -> Follower:
    """
    Follow whoever sent this, which leads our term.

    @raise InvariantBroken: another one leads it.
    """
    role = core.role
    if isinstance(role, Leader) or (isinstance(role, Follower) and role.leader not in (None, message.sender)):
        raise InvariantBroken(f"term {core.term} has two leaders, {core.leader} and {message.sender}")
    if not isinstance(role, Follower):
        role = core.follow(core.term, message.sender)
    role.leader = message.sender
    role.silent_ticks = 0
    return role


def append_requested(core: Core, message: AppendRequest) -> None:
    """Take over entries, if they follow on what is here, and answer."""
    check_entries(message.prev_index, message.term, message.entries)
    role = heard_leader(core, message)
    role.round = max(role.round, message.round)
    prev_index, prev_term, entries = _beyond_commit(core.log, message)
    if core.log.term_at(prev_index) != prev_term:
        _reject(core, role, message)
        return
    core.splice(entries)
    proven = prev_index + len(entries)
    role.matched_index = max(role.matched_index, proven)
    # RF4: entries behind the proven ones may still be another leader's.
    core.log.commit_to(min(message.commit_index, proven))
    if core.log.persisted_index >= proven if message.entries else message.wants_answer:
        acknowledge(core, role)


def _beyond_commit(log: Log, message: AppendRequest) -> tuple[int, int, tuple[Entry, ...]]:
    """
    Leave off what is committed here: that is the same everywhere, and may be gone from the log (RF13).

    @raise InvariantBroken: it is not the same.
    """
    skipped = log.commit_index - message.prev_index
    if skipped <= 0:
        return message.prev_index, message.prev_term, message.entries
    commit_term = log.term_at(log.commit_index)
    assert commit_term is not None
    if len(message.entries) >= skipped and message.entries[skipped - 1].term != commit_term:
        raise InvariantBroken(f"entry {log.commit_index} is committed with another term than the leader's")
    return log.commit_index, commit_term, message.entries[skipped:]


def _reject(core: Core, role: Follower, message: AppendRequest) -> None:
    """Say that the logs differ, and where it is of use to look next (Raft paper, end of section 5.3)."""
    hint = core.log.highest_not_after(min(message.prev_index - 1, core.log.last_index), message.prev_term)
    core.send(
        AppendRejection(
            term=core.term,
            sender=core.me,
            to=message.sender,
            rejected_index=message.prev_index,
            hint_index=hint,
            hint_term=core.log.term_at(hint) or 0,
            round=role.round,
        )
    )


def refuse_old_leader(core: Core, message: AppendRequest | SnapshotRequest) -> None:
    """Tell the leader of an old term that there is a newer one, or it would never let go of us (RF9)."""
    core.send(
        AppendRejection(
            term=core.term, sender=core.me, to=message.sender, rejected_index=0, hint_index=0, hint_term=0
        )
    )


def acknowledge(core: Core, role: Follower) -> None:
    """Say how far the log is the leader's, as far as that is durable (RF2), and up to which round it was heard."""
    if role.leader is not None:
        role.acknowledged_index = min(role.matched_index, core.log.persisted_index)
        core.send(
            AppendResponse(
                term=core.term,
                sender=core.me,
                to=role.leader,
                matched_index=role.acknowledged_index,
                round=role.round,
            )
        )


def own_log_durable(core: Core, role: Follower) -> None:
    """Acknowledge what has become durable, if that is news."""
    if min(role.matched_index, core.log.persisted_index) > role.acknowledged_index:
        acknowledge(core, role)
