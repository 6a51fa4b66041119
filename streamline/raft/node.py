"""
A replica of the agreed log: what comes in, what is to be done.

The theory of operation is in L{streamline.raft}; what to do with a L{Ready}, and in
which order, is on that class.  A L{RaftNode} knows no clock, no chance of its own, no
disk and no network: the same calls give the same Readies, always.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from streamline.raft import election, following, installing, leading, membership, reading
from streamline.raft.configuration import Configuration, ReplicaKey
from streamline.raft.core import Core, Draw
from streamline.raft.membership import Change
from streamline.raft.messages import (
    FROM_LEADER,
    AppendRejection,
    AppendRequest,
    AppendResponse,
    Message,
    ReadRequest,
    ReadResponse,
    Snapshot,
    SnapshotRequest,
    SnapshotResponse,
    TimeoutNow,
    VoteRequest,
    VoteResponse,
)
from streamline.raft.ready import (
    HardState,
    NotProposed,
    Proposal,
    QuorumStatus,
    Ready,
    Reason,
    Recovered,
    ReplicaStatus,
    Written,
)
from streamline.raft.roles import Candidate, Follower, Leader
from streamline.raft.settings import RaftSettings

STEPS: Mapping[type, Callable[[Core, Any], None]] = MappingProxyType(
    {
        VoteResponse: election.vote_responded,
        AppendRequest: following.append_requested,
        AppendResponse: leading.append_responded,
        AppendRejection: leading.append_rejected,
        SnapshotRequest: installing.piece_received,
        SnapshotResponse: installing.piece_responded,
        TimeoutNow: election.timeout_now,
        ReadRequest: reading.requested,
        ReadResponse: reading.responded,
    }
)
"""What each message of the term that a replica is in does; requests for votes have rules of their own about terms."""


class RaftNode:
    """
    One replica.

    @param recovered: what its disk holds; for a new one, a snapshot of nothing with the configuration it begins with.
    @param draw: gives a number from 0 up to and without its argument: how long to wait is left to chance.
    @raise ValueError: what was recovered has a gap.
    @raise streamline.errors.ProtocolError: a configuration in it cannot be read.
    """

    def __init__(self, me: ReplicaKey, recovered: Recovered, settings: RaftSettings, draw: Draw) -> None:
        self._core = Core(me, recovered, settings, draw)
        self._written_state = recovered.hard_state
        self._number = 0
        self._reported = 0

    # What comes in

    def step(self, message: Message) -> None:
        """
        Take a message.

        @raise BadMessage: no replica sends such a message; close the connection it came on.
        @raise InvariantBroken: this replica must stop; see there.
        """
        core = self._core
        if message.to != core.me:
            return  # RF15: it is for somebody with another disk
        if isinstance(message, VoteRequest):
            election.vote_requested(core, message)
            return
        if message.term > core.term:
            core.follow(message.term, message.sender if isinstance(message, FROM_LEADER) else None)
        elif message.term < core.term and not isinstance(message, VoteResponse):
            if isinstance(message, AppendRequest | SnapshotRequest):
                following.refuse_old_leader(core, message)
            return
        STEPS[type(message)](core, message)

    def tick(self) -> None:
        """Let one tick pass."""
        core = self._core
        core.ticks += 1
        reading.tick(core)
        if isinstance(core.role, Leader):
            leading.tick(core, core.role)
        else:
            election.tick(core, core.role)

    def peer_gone(self, key: ReplicaKey) -> None:
        """Hear that somebody's process is no more: a connection to it was refused.  Wrong hints do no harm."""
        role = self._core.role
        if isinstance(role, Follower) and role.leader == key:
            election.leader_gone(self._core)
        self.connection_lost(key)

    def connection_lost(self, key: ReplicaKey) -> None:
        """Hear that what was last sent to somebody may not have arrived."""
        role = self._core.role
        if isinstance(role, Leader) and key in role.peers:
            role.peers[key].connection_lost()

    # What is asked for

    def propose(self, command: bytes) -> Proposal:
        """
        Propose a command; a later L{Ready} says what became of it.

        @raise NotProposed: it was not added to the log, and never takes effect.
        """
        return leading.propose(self._core, self._leading(), command)

    def change_members(self, changes: Sequence[Change]) -> Proposal:
        """
        Change who takes part.

        @raise NotProposed: not now, or the change makes no sense.
        """
        return membership.propose(self._core, self._leading(), changes)

    def transfer_leadership(self, target: ReplicaKey) -> None:
        """
        Hand over to another voter; it takes at most as long as an election, or fails and nothing has changed.

        @raise NotProposed: it is no voter, or another transfer is under way.
        """
        membership.transfer(self._core, self._leading(), target)

    def resign(self) -> None:
        """Prepare to stop: hand over, and stand for no election any more."""
        membership.resign(self._core)

    def read(self, context: bytes) -> None:
        """
        Ask up to where one must have applied to read all that is committed by now.

        @param context: comes back with the answer; no two reads have the same, those before the last restart included.
        """
        reading.ask(self._core, context)

    def campaign(self) -> None:
        """Ask for an election at once, as if the leader had been silent for long."""
        if self._core.may_stand and not isinstance(self._core.role, Leader | Candidate):
            election.leader_gone(self._core)

    def _leading(self) -> Leader:
        role = self._core.role
        if not isinstance(role, Leader):
            raise NotProposed(Reason.NOT_LEADER, self._core.leader)
        return role

    # Snapshots of this replica's own

    def snapshot_at(self, index: int, data: bytes) -> Snapshot:
        """
        Return the snapshot to be written, of a state machine that has applied up to C{index} and no more.

        @raise ValueError: that has not been handed out, or is gone.
        """
        log = self._core.log
        term = log.term_at(index)
        if term is None or not self._core.snapshot.index <= index <= log.delivered_index:
            raise ValueError(f"a snapshot at {index}, between {self._core.snapshot.index} and {log.delivered_index}")
        return Snapshot(index, term, self._core.configurations.at(index), data)

    def snapshot_taken(self, snapshot: Snapshot, keep_entries: int = 0) -> int:
        """
        Hear that a snapshot is durable; drop the entries that it stands for.

        @param keep_entries: so many of these are kept, for replicas that are only a little behind.
        @return: entries up to this index are not needed any more, here or on the disk.
        """
        core = self._core
        if snapshot.index >= core.snapshot.index:
            index = max(core.log.boundary_index, snapshot.index - keep_entries)
            core.compact(snapshot, index)
        # RF12: the log may begin behind a snapshot of the leader's that is not durable yet; this one is.
        return min(core.log.boundary_index, snapshot.index)

    # What is to be done

    def ready(self, *, tells: bool = True) -> Ready | None:
        """
        Return what is to be done by now, or None.  What has been returned is not returned again.

        @param tells: whether messages that only say what is committed are among it.  Any other message, and the next
            heartbeat, says that as well; so who is about to propose more, or may be, puts them off for a moment.
        """
        core = self._core
        if isinstance(core.role, Leader):
            leading.flush(core, core.role, tells=tells)
        is_written = core.hard_state == self._written_state
        if is_written and core.log.is_settled and not core.has_news:
            return None
        committed = core.log.take_deliverable(core.settings.ready_bytes_max)
        core.settle(committed)
        self._number += 1
        self._written_state = core.hard_state
        ready = Ready(
            number=self._number,
            hard_state=None if is_written else core.hard_state,
            snapshot=core.unwritten_snapshot,
            entries=core.log.take_unwritten(),
            written=Written(core.term, core.log.last_index, core.log.last_term),
            messages=tuple(core.outbox),
            committed=committed,
            outcomes=core.take_outcomes(),
            reads=tuple(core.reads),
        )
        core.unwritten_snapshot = None
        core.outbox.clear()
        core.reads.clear()
        return ready

    def advance(self, ready: Ready) -> None:
        """
        Hear that what C{ready} asked to write, and all before it, is durable.

        @raise ValueError: it was reported before, or out of order.
        """
        if ready.number <= self._reported:
            raise ValueError(f"Ready {ready.number} is reported after {self._reported}")
        self._reported = ready.number
        core = self._core
        if ready.written.term == core.term:
            core.log.persisted(ready.written.index, ready.written.entry_term)
        if ready.hard_state is not None:
            core.made_durable(ready.hard_state)
        self._log_or_vote_durable(core)

    def _log_or_vote_durable(self, core: Core) -> None:
        role = core.role
        if isinstance(role, Leader):
            leading.commit(core, role)
        elif isinstance(role, Follower):
            following.own_log_durable(core, role)
        elif isinstance(role, Candidate) and core.durable == core.hard_state:
            election.own_vote_durable(core, role)

    # What it says about itself

    @property
    def key(self) -> ReplicaKey:
        """Who this is."""
        return self._core.me

    @property
    def term(self) -> int:
        """The term it is in; Kafka calls it the leader epoch."""
        return self._core.term

    @property
    def hard_state(self) -> HardState:
        """The term, and its vote there; not durable before it was handed out and reported."""
        return self._core.hard_state

    @property
    def leader(self) -> ReplicaKey | None:
        """Who leads, as far as known."""
        return self._core.leader

    @property
    def is_leader(self) -> bool:
        """Whether it leads, as far as it knows; somebody else may by now."""
        return isinstance(self._core.role, Leader)

    @property
    def role_name(self) -> str:
        """What it is: follower, prospective, candidate or leader."""
        return type(self._core.role).__name__.lower()

    @property
    def configuration(self) -> Configuration:
        """Who takes part, by the latest word in its log."""
        return self._core.configuration

    @property
    def commit_index(self) -> int:
        """Entries up to it are committed, as far as known."""
        return self._core.log.commit_index

    @property
    def boundary_index(self) -> int:
        """The entry at this index and those before it are gone: the snapshot stands for them."""
        return self._core.log.boundary_index

    @property
    def last_index(self) -> int:
        """The index of its last entry, durable or not."""
        return self._core.log.last_index

    def term_at(self, index: int) -> int | None:
        """Return the term of the entry at an index; None where there is none, or none any more."""
        return self._core.log.term_at(index)

    def describe(self) -> QuorumStatus:
        """Return what DescribeQuorum asks for."""
        core = self._core
        statuses = _statuses(core, core.role) if isinstance(core.role, Leader) else {}
        voters = core.configuration.voter_keys
        return QuorumStatus(
            leader=core.leader,
            term=core.term,
            high_watermark=core.log.commit_index + 1,
            tick=core.ticks,
            configuration=core.configuration,
            voters=tuple(statuses[key] for key in voters if key in statuses),
            observers=tuple(status for key, status in statuses.items() if key not in voters),
        )


def _statuses(core: Core, leader: Leader) -> dict[ReplicaKey, ReplicaStatus]:
    statuses = {core.me: ReplicaStatus(core.me, core.log.last_index + 1, core.ticks, core.ticks)}
    for key, peer in leader.peers.items():
        statuses[key] = ReplicaStatus(key, peer.matched_index + 1, peer.heard_tick, peer.caught_up_tick)
    return statuses
