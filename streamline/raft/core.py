"""
What a replica knows, whatever its role, and the few steps that every decision is made of.

The decisions are in the modules around: L{election}, L{following}, L{leading},
L{installing}, L{reading}, L{membership}.  Each is a set of functions of a L{Core}.
Nothing is done here, only noted, for L{streamline.raft.node} to hand out.
"""

from __future__ import annotations

from collections.abc import Callable

from streamline.raft.configuration import (
    Configuration,
    ConfigurationHistory,
    ReplicaKey,
    decode_configuration,
)
from streamline.raft.log import Log
from streamline.raft.messages import Entry, EntryKind, Message, Snapshot
from streamline.raft.ready import Fate, HardState, Outcome, Proposal, ReadState, Recovered
from streamline.raft.roles import Follower, Leader, Role
from streamline.raft.settings import RaftSettings

HELD_MAX = 10_000
"""Messages that wait for the disk; beyond it they are dropped, as any network may do."""

Draw = Callable[[int], int]
"""Draws a number from 0 up to, and without, the one given."""


class Core:
    """
    A replica's state.

    @ivar me: who this is.
    @ivar hard_state: the term it is in, and its vote.
    @ivar durable: what is known to be on disk of that; what depends on the rest is held back (RF1).
    @ivar log: the entries.
    @ivar configurations: who takes part, by the log.
    @ivar snapshot: the latest, to be sent to whoever needs entries that are gone.
    @ivar unwritten_snapshot: one from the leader that is yet to be handed out.
    @ivar role: what it is, with that role's data.
    @ivar ticks: how many there were.
    @ivar resigned: it is stopping, and stands for no election.
    @ivar outbox: messages to be handed out.
    @ivar reads: answers to be handed out.
    @ivar asked: reads that the leader was asked for, with the tick at which there is no more hope.
    """

    def __init__(self, me: ReplicaKey, recovered: Recovered, settings: RaftSettings, draw: Draw) -> None:
        self.me = me
        self.settings = settings
        self._draw = draw
        self.log, is_reset = recovered_log(recovered)
        self.durable = recovered.hard_state
        # A crash may leave entries of a term that was to be written and is not: no vote was given in it.
        is_behind = recovered.hard_state.term < self.log.last_term
        self.hard_state = HardState(self.log.last_term) if is_behind else recovered.hard_state
        self.snapshot = recovered.snapshot
        self.unwritten_snapshot = recovered.snapshot if is_reset else None
        self.configurations = ConfigurationHistory(recovered.snapshot.index, recovered.snapshot.configuration)
        self._note_configurations(recovered.snapshot.index + 1)
        self.ticks = 0
        self.resigned = False
        self.outbox: list[Message] = []
        self.reads: list[ReadState] = []
        self.asked: dict[bytes, int] = {}
        self._held: list[Message] = []
        self._proposals: dict[int, list[Proposal]] = {}
        self._outcomes: list[Outcome] = []
        self.role: Role = self._new_follower(None)

    # Who and when

    @property
    def term(self) -> int:
        """The term it is in."""
        return self.hard_state.term

    @property
    def leader(self) -> ReplicaKey | None:
        """Who leads, as far as known."""
        if isinstance(self.role, Leader):
            return self.me
        return self.role.leader if isinstance(self.role, Follower) else None

    @property
    def configuration(self) -> Configuration:
        """Who takes part: what the log says last, committed or not (RF16)."""
        return self.configurations.latest.configuration

    @property
    def may_stand(self) -> bool:
        """
        Whether it may stand for election: not stopping, not in the middle of a snapshot, and a voter.

        Who is no voter by an entry that is not known to be committed may be the only one who has it, and
        is needed until the others do (Raft dissertation, section 4.2.2).
        """
        is_voter = any(self.me in one.voter_keys for one in self.configurations.since(self.log.commit_index))
        return is_voter and not self.resigned and self.log.is_whole

    def drawn_timeout(self) -> int:
        """Draw how long to wait before an election: chance keeps two from standing again and again together."""
        return self.settings.election_ticks + self._draw(self.settings.spread_ticks)

    @property
    def has_news(self) -> bool:
        """Whether there is something to hand out beside the log, the term and the vote."""
        return bool(self.outbox or self.reads or self._outcomes or self.unwritten_snapshot)

    # Term and vote

    def enter_term(self, term: int, vote: ReplicaKey | None = None) -> None:
        """Go to a higher term; what was held back belongs to the one before and is worth nothing now."""
        assert term > self.term, "terms only grow"
        self.hard_state = HardState(term, vote)
        self._held.clear()

    def vote_for(self, candidate: ReplicaKey) -> None:
        """Give the vote of this term."""
        assert self.hard_state.vote in (None, candidate), "there is one vote in a term"
        self.hard_state = HardState(self.term, candidate)

    def follow(self, term: int, leader: ReplicaKey | None) -> Follower:
        """Be a follower, in this term or a higher one."""
        if term > self.term:
            self.enter_term(term)
        if isinstance(self.role, Leader):
            self._leave_reads(self.role)
        self.role = self._new_follower(leader)
        return self.role

    def _new_follower(self, leader: ReplicaKey | None) -> Follower:
        return Follower(self.drawn_timeout(), matched_index=self.log.commit_index, leader=leader)

    def _leave_reads(self, leader: Leader) -> None:
        """Answer what waited here; whoever else asked asks again."""
        self.reads.extend(ReadState(read.context, None) for read in leader.reads if read.asker is None)

    # Messages

    def send(self, message: Message) -> None:
        """
        Send, once the term and the vote that it speaks of are durable (RF1).

        That a vote or term is durable is the only thing that messages wait for; what
        they say of the log is true when they are made (RF2).
        """
        if self.durable == self.hard_state:
            self.outbox.append(message)
        elif len(self._held) < HELD_MAX:
            self._held.append(message)

    def made_durable(self, hard_state: HardState) -> None:
        """Hear what is on disk now; let go what waited for it."""
        self.durable = hard_state
        if self.durable == self.hard_state:
            self.outbox.extend(self._held)
            self._held.clear()

    # The log

    def append(self, kind: EntryKind, payload: bytes) -> Entry:
        """Add an entry of this term, as its leader."""
        entry = Entry(self.log.last_index + 1, self.term, kind, payload)
        self.log.append(entry)
        self._note_configurations(entry.index)
        return entry

    def splice(self, entries: tuple[Entry, ...]) -> None:
        """Take over a leader's entries; who takes part is what they say, or said before they were cut (RF16)."""
        changed = self.log.splice(entries)
        if changed is not None:
            self.configurations.cut_back(changed)
            self._note_configurations(changed)

    def _note_configurations(self, first_index: int) -> None:
        for entry in self.log.between(first_index, self.log.last_index):
            if entry.kind is EntryKind.CONFIGURATION:
                self.configurations.added(entry.index, decode_configuration(entry.payload))

    def restore(self, snapshot: Snapshot) -> None:
        """Begin anew with a snapshot of the leader's."""
        self.log.restore(snapshot.index, snapshot.term)
        self.configurations = ConfigurationHistory(snapshot.index, snapshot.configuration)
        self.snapshot = self.unwritten_snapshot = snapshot
        for index in sorted(index for index in self._proposals if index <= snapshot.index):
            self._outcomes.extend(Outcome(one, Fate.UNKNOWN) for one in self._proposals.pop(index))

    def compact(self, snapshot: Snapshot, index: int) -> None:
        """Drop the entries up to C{index}; a durable snapshot, as new or newer, stands for them."""
        self.snapshot = snapshot
        self.log.compact(index)
        self.configurations.compacted(index)

    # Proposals

    def proposed(self, entry: Entry) -> Proposal:
        """Remember that somebody waits for what becomes of an entry."""
        proposal = Proposal(entry.index, entry.term)
        self._proposals.setdefault(entry.index, []).append(proposal)
        return proposal

    def settle(self, committed: tuple[Entry, ...]) -> None:
        """See what became of proposals: the place is the proposal's own, or another's for good (RF17)."""
        if self._proposals:
            for entry in committed:
                for one in self._proposals.pop(entry.index, ()):
                    fate = Fate.COMMITTED if one.term == entry.term else Fate.DROPPED
                    self._outcomes.append(Outcome(one, fate))

    def take_outcomes(self) -> tuple[Outcome, ...]:
        """Hand out what became of proposals."""
        outcomes = tuple(self._outcomes)
        self._outcomes.clear()
        return outcomes


def recovered_log(recovered: Recovered) -> tuple[Log, bool]:
    """
    Return the log of a start, and whether the entries on disk are to be dropped.

    The snapshot counts where entries do not fit it: the leader's was being installed, and the
    entries that it replaces were not gone yet; to install it once more ends that (RF12).

    @raise ValueError: entries are missing between the snapshot and the first one.
    """
    snapshot, entries = recovered.snapshot, recovered.entries
    if entries and entries[0].index > snapshot.index + 1:
        raise ValueError(f"the entries begin at {entries[0].index}, and the snapshot ends at {snapshot.index}")
    log = Log(snapshot.index, snapshot.term, entries)
    if entries and entries[0].index <= snapshot.index:
        # More was kept than is needed; the first of it gives the term of the boundary (RF13).
        log = Log(entries[0].index, entries[0].term, entries[1:])
    is_reset = log.term_at(snapshot.index) != snapshot.term
    if is_reset:
        log = Log(snapshot.index, snapshot.term)
    log.delivered_by_snapshot(snapshot.index)
    return log, is_reset
