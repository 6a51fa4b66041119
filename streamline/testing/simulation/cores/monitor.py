"""
What must hold after every event (reliability 3.1), whatever goes wrong.

The monitor sees what no replica does: all of them at once, and their disks.  It is told
of every L{Ready}, of every start and of every report of a disk.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any, Protocol

from attrs import Factory, define

from streamline.raft import Entry, Fate, HardState, Proposal, RaftNode, Ready, ReplicaKey, Snapshot
from streamline.raft.messages import AppendResponse, Message, VoteResponse
from streamline.raft.quorum import majority


class Violation(Exception):
    """
    An invariant does not hold.

    @ivar rule: its name.
    """

    def __init__(self, rule: str, text: str) -> None:
        super().__init__(f"{rule}: {text}")
        self.rule = rule


class Durable(Protocol):
    """What is durable of one replica."""

    @property
    def key(self) -> ReplicaKey:
        """Whose it is."""

    @property
    def hard_state(self) -> HardState:
        """Its term and its vote."""

    @property
    def last_index(self) -> int:
        """The index of the last entry, as such or in a snapshot."""

    def has(self, index: int, term: int) -> bool:
        """Say whether the entry of this index and term is there, or in a snapshot."""


@define
class Watched:
    """
    One process, as the monitor remembers it.

    @ivar applied_index: what its state machine has, and must get one after the other.
    @ivar led_term: the last term that it led.
    @ivar written_index: of the last entry that it wanted written.
    """

    node: RaftNode
    disk: Durable
    term: int = 0
    commit_index: int = 0
    applied_index: int = 0
    led_term: int = 0
    written_index: int = 0


@define
class Committed:
    """
    An entry that is committed for good.

    @ivar seen_in_term: of the replica that first knew; whoever leads a higher term has the entry.
    """

    entry: Entry
    seen_in_term: int


@define
class Monitor:
    """
    Everything that ever happened, as far as an invariant speaks of it.

    @ivar disks: of everybody that ever was, as they were when they were taken out.
    @ivar committed: what is committed, from index 1 on.
    @ivar states: what applying up to an index comes to.
    @ivar elections: how many leaders there were.
    """

    disks: MutableMapping[ReplicaKey, Durable] = Factory(dict)
    committed: list[Committed] = Factory(list)
    states: dict[int, Any] = Factory(dict)
    leaders: dict[int, ReplicaKey] = Factory(dict)
    votes: dict[tuple[ReplicaKey, int], ReplicaKey] = Factory(dict)
    entries: dict[tuple[int, int], tuple[bytes, int | None]] = Factory(dict)
    dropped: dict[Proposal, bool] = Factory(dict)
    elections: int = 0

    @property
    def committed_index(self) -> int:
        """The highest index that anybody knows to be committed."""
        return len(self.committed)

    # A Ready

    def handed_out(self, watched: Watched, ready: Ready) -> None:
        """Check all that a replica wants done."""
        self._check_entries(watched, ready)
        for message in ready.messages:
            self._check_promise(watched, message)
        for entry in ready.committed:
            self._check_applied(watched, entry)
        for outcome in ready.outcomes:
            self._check_outcome(outcome.proposal, outcome.fate)
        if ready.snapshot is not None and watched.node.is_leader:
            raise Violation("LeaderNeverLoadsSnapshot", f"{watched.node.key} installs {ready.snapshot.index}")

    def _check_entries(self, watched: Watched, ready: Ready) -> None:
        node = watched.node
        if not ready.entries:
            return
        if node.is_leader and ready.entries[0].index <= watched.written_index:
            raise Violation("LeaderAppendOnly", f"{node.key} rewrites entry {ready.entries[0].index}")
        watched.written_index = ready.entries[-1].index
        before = node.term_at(ready.entries[0].index - 1)
        for entry in ready.entries:
            known = self.entries.setdefault((entry.index, entry.term), (entry.payload, before))
            if known != (entry.payload, before):
                raise Violation("LogMatching", f"{node.key} has another entry {entry.index} of term {entry.term}")
            before = entry.term

    def _check_promise(self, watched: Watched, message: Message) -> None:
        """RF1, RF2: nothing is said before it is durable."""
        disk = watched.disk
        if message.term > disk.hard_state.term:
            raise Violation("TermIsDurable", f"{disk.key} speaks of term {message.term} before it is synced")
        if isinstance(message, AppendResponse) and message.matched_index > disk.last_index:
            raise Violation(
                "AcknowledgedIsDurable",
                f"{disk.key} acknowledges {message.matched_index} with {disk.last_index} on its disk",
            )
        if isinstance(message, VoteResponse) and message.granted and not message.pre:
            voted = self.votes.setdefault((disk.key, message.term), message.to)
            if voted != message.to:
                raise Violation("OneVote", f"{disk.key} votes in term {message.term} for {voted} and {message.to}")

    def _check_applied(self, watched: Watched, entry: Entry) -> None:
        if entry.index != watched.applied_index + 1:
            raise Violation("InOrder", f"{watched.node.key} applies {entry.index} after {watched.applied_index}")
        watched.applied_index = entry.index
        if not watched.disk.has(entry.index, entry.term):
            raise Violation("AppliedIsDurable", f"{watched.node.key} applies {entry.index}, which a crash would take")
        if entry.index > self.committed_index:
            raise Violation("CommittedBeforeApplied", f"{watched.node.key} applies {entry.index} too early")
        agreed = self.committed[entry.index - 1].entry
        if (agreed.term, agreed.payload) != (entry.term, entry.payload):
            raise Violation("StateMachineSafety", f"{watched.node.key} applies another entry {entry.index}: {entry}")
        if Proposal(entry.index, entry.term) in self.dropped:
            raise Violation("DroppedIsDropped", f"{entry} was reported as dropped")

    def _check_outcome(self, proposal: Proposal, fate: Fate) -> None:
        """RF17: what is said of a proposal is true for ever."""
        place = self.committed[proposal.index - 1].entry if proposal.index <= self.committed_index else None
        is_committed = place is not None and place.term == proposal.term
        if fate is Fate.COMMITTED and not is_committed:
            raise Violation("CommittedIsCommitted", f"{proposal} was reported as committed")
        if fate is Fate.DROPPED:
            self.dropped[proposal] = True
            if is_committed:
                raise Violation("DroppedIsDropped", f"{proposal} was reported as dropped")

    def restored(self, watched: Watched, snapshot: Snapshot, state: Any) -> None:
        """Hear that a state machine starts over from a snapshot."""
        if snapshot.index and self.states.get(snapshot.index) != state:
            raise Violation("SnapshotIsState", f"{watched.node.key} restores another state at {snapshot.index}")
        if snapshot.index < watched.applied_index:
            raise Violation("SnapshotIsNews", f"{watched.node.key} goes back to {snapshot.index}")
        watched.applied_index = snapshot.index

    def applied(self, index: int, state: Any) -> None:
        """Hear what applying up to C{index} came to."""
        if self.states.setdefault(index, state) != state:
            raise Violation("EqualImages", f"applying up to {index} comes to different states")

    # Its state

    def moved(self, watched: Watched) -> None:
        """Check a replica after something happened to it."""
        node = watched.node
        if node.term < watched.term or node.hard_state.term < watched.disk.hard_state.term:
            raise Violation("MonotonicEpoch", f"{node.key} goes from term {watched.term} to {node.term}")
        is_new_leader = node.is_leader and watched.led_term != node.term
        watched.term = node.term
        if is_new_leader:
            self._elected(watched)
        if node.commit_index != watched.commit_index:
            self._committed(watched)

    def _elected(self, watched: Watched) -> None:
        node = watched.node
        self.elections += 1
        watched.led_term = node.term
        if self.leaders.setdefault(node.term, node.key) != node.key:
            raise Violation("ElectionSafety", f"{node.key} and {self.leaders[node.term]} lead term {node.term}")
        if node.term_at(node.last_index) != node.term:
            raise Violation("LeaderBegins", f"{node.key} leads term {node.term} without an entry of it")
        for index in range(node.boundary_index + 1, self.committed_index + 1):
            known = self.committed[index - 1]
            if known.seen_in_term < node.term and node.term_at(index) != known.entry.term:
                raise Violation("LeaderCompleteness", f"{node.key} leads term {node.term} without entry {index}")

    def _committed(self, watched: Watched) -> None:
        node = watched.node
        if node.commit_index < watched.commit_index:
            raise Violation("MonotonicHighWatermark", f"{node.key}: {watched.commit_index} to {node.commit_index}")
        watched.commit_index = node.commit_index
        if node.is_leader and node.term_at(node.commit_index) != node.term:
            raise Violation("CommitsItsOwn", f"{node.key} commits {node.commit_index} of an earlier term (figure 8)")
        for index in range(self.committed_index + 1, node.commit_index + 1):
            term = node.term_at(index)
            assert term is not None, "whoever knows first has it"
            self._check_durable(node, index, term)
            self.committed.append(Committed(Entry(index, term, payload=self.entries[index, term][0]), node.term))
        term = node.term_at(node.commit_index)
        if node.commit_index and term not in (None, self.committed[node.commit_index - 1].entry.term):
            raise Violation("CommittedIsAgreed", f"{node.key} takes another entry {node.commit_index} as committed")

    def _check_durable(self, node: RaftNode, index: int, term: int) -> None:
        for voters in node.configuration.voter_sets:
            holders = sum(self.disks[voter].has(index, term) for voter in voters)
            if holders < majority(len(voters)):
                raise Violation(
                    "CommittedIsDurable", f"entry {index} is committed on {holders} disks of {len(voters)} voters"
                )

    def read(self, asked_index: int, index: int, key: ReplicaKey) -> None:
        """Hear that a read is answered, which began when C{asked_index} was known to be committed (RF11)."""
        if index < asked_index:
            raise Violation("ReadIsFresh", f"{key} may read at {index}, after {asked_index} was committed")


def summary(node: RaftNode) -> Mapping[str, Any]:
    """Return what a failure report shows of a replica."""
    return {
        "role": node.role_name,
        "term": node.term,
        "leader": str(node.leader),
        "boundary": node.boundary_index,
        "commit": node.commit_index,
        "last": node.last_index,
        "members": str(node.configuration),
    }
