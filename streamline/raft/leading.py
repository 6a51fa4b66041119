"""
Leading: sending entries, counting who has them, and letting go when nobody listens.

An entry is committed when a majority has it durably and it is of the leader's own
term; entries of earlier terms are committed by what follows them (RF6).
"""

from __future__ import annotations

from streamline.raft import installing, membership, reading
from streamline.raft.configuration import ReplicaKey
from streamline.raft.core import Core
from streamline.raft.log import InvariantBroken
from streamline.raft.messages import AppendRejection, AppendRequest, AppendResponse, Entry, EntryKind
from streamline.raft.progress import Progress
from streamline.raft.quorum import Tally, agreed, tally
from streamline.raft.ready import NotProposed, Proposal, Reason
from streamline.raft.roles import Leader


def begin(core: Core) -> None:
    """Lead: what the others have is not known yet, and an entry of this term commits what came before (RF6)."""
    start_index = core.log.last_index + 1
    core.role = Leader(peers={}, start_index=start_index)
    membership.know_peers(core, core.role)
    core.append(EntryKind.NO_OP, b"")


def propose(core: Core, leader: Leader, command: bytes) -> Proposal:
    """
    Add a command to the log.

    @raise NotProposed: it is too large, or not now.
    """
    log, settings = core.log, core.settings
    if leader.transfer is not None:
        raise NotProposed(Reason.TRANSFERRING, core.me)
    if len(command) > settings.entry_bytes_max:
        raise NotProposed(Reason.TOO_LARGE, core.me)
    if log.size_between(log.commit_index, log.last_index) >= settings.uncommitted_bytes_max:
        raise NotProposed(Reason.TOO_MUCH_UNCOMMITTED, core.me)
    return core.proposed(core.append(EntryKind.COMMAND, command))


# Time


def tick(core: Core, leader: Leader) -> None:
    """Give signs of life, and see whether there are any."""
    leader.heartbeat_ticks += 1
    if leader.heartbeat_ticks >= core.settings.heartbeat_ticks:
        leader.heartbeat_ticks = 0
        for peer in leader.peers.values():
            peer.heartbeat_passed()
    leader.check_ticks += 1
    if leader.check_ticks >= core.settings.election_ticks:
        leader.check_ticks = 0
        if not _hears_quorum(core, leader):
            core.follow(core.term, None)
            return
    membership.transfer_tick(core, leader)


def _hears_quorum(core: Core, leader: Leader) -> bool:
    """Say whether a majority was heard from since this was last asked; without one, somebody else may lead (RF8)."""
    heard = {core.me: True}
    for key, peer in leader.peers.items():
        heard[key] = peer.is_active
        peer.is_active = False
    return tally(core.configuration.voter_sets, heard) is Tally.WON


# Sending


def flush(core: Core, leader: Leader, *, tells: bool) -> None:
    """
    Send whatever may be sent: what was proposed in the meantime goes together.

    @param tells: whether who has nothing else to be told is told what has been committed.
    """
    reading.begin_round(leader)
    for key, peer in (*leader.peers.items(), *leader.leaving.items()):
        _send_to(core, leader, key, peer, tells)
    if core.configurations.latest.index <= core.log.commit_index:
        leader.leaving.clear()
    reading.confirm(core, leader)


def _send_to(core: Core, leader: Leader, key: ReplicaKey, peer: Progress, tells: bool) -> None:
    if peer.next_index <= core.log.boundary_index:
        _send_snapshot_to(core, leader, key, peer)
        return
    while peer.next_index <= core.log.last_index and (entries := peer.next_batch(core.log, core.settings)):
        _send_entries(core, leader, key, peer, entries, prev_index=peer.next_index - 1)
    if peer.is_due or (tells and peer.sent_commit_index < min(core.log.commit_index, peer.next_index - 1)):
        _send_entries(core, leader, key, peer, (), prev_index=peer.next_index - 1)


def _send_snapshot_to(core: Core, leader: Leader, key: ReplicaKey, peer: Progress) -> None:
    """Send what stands for entries that are gone; heartbeats meanwhile follow on index 0, which every log has."""
    installing.begin(core, peer)
    if peer.transmission is not None:
        installing.send_piece(core, key, peer.transmission)
    if peer.is_due:
        _send_entries(core, leader, key, peer, (), prev_index=0)


def _send_entries(
    core: Core, leader: Leader, key: ReplicaKey, peer: Progress, entries: tuple[Entry, ...], *, prev_index: int
) -> None:
    core.send(
        AppendRequest(
            term=core.term,
            sender=core.me,
            to=key,
            prev_index=prev_index,
            prev_term=core.log.term_at(prev_index) or 0,
            entries=entries,
            commit_index=core.log.commit_index,
            round=leader.round,
            wants_answer=bool(entries) or leader.transfer is not None or peer.wants_answer(leader.round),
        )
    )
    peer.sent(prev_index, len(entries), core.log.commit_index)


# Hearing


def append_responded(core: Core, message: AppendResponse) -> None:
    """Note how far a replica has come, and what that commits."""
    leader = core.role
    if not isinstance(leader, Leader) or (peer := leader.peers.get(message.sender)) is None:
        return
    if message.matched_index > core.log.last_index:
        raise InvariantBroken(
            f"{message.sender} has entry {message.matched_index} of a leader's log that ends at {core.log.last_index}"
        )
    peer.heard(core.ticks, message.round)
    if peer.matched(message.matched_index, core.log, core.ticks):
        commit(core, leader)
    if core.role is leader:  # it may have committed that it leads no longer
        membership.handed_over(core, leader, message.sender)
        reading.confirm(core, leader)


def append_rejected(core: Core, message: AppendRejection) -> None:
    """Send that replica something earlier."""
    leader = core.role
    if not isinstance(leader, Leader) or (peer := leader.peers.get(message.sender)) is None:
        return
    peer.heard(core.ticks, message.round)
    peer.rejected(message, core.log)
    reading.confirm(core, leader)


def commit(core: Core, leader: Leader) -> None:
    """Commit what a majority has durably, this replica's own log counted by what is synced of it (RF2)."""
    durable = {key: peer.matched_index for key, peer in leader.peers.items()}
    durable[core.me] = core.log.persisted_index
    index = agreed(core.configuration.voter_sets, durable)
    if core.log.term_at(index) != core.term:
        return  # RF6: an entry of an earlier term may still be replaced, however many have it (Raft paper, figure 8)
    if core.log.commit_to(index):
        membership.committed(core, leader)
