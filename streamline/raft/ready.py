"""
What a replica starts from, what it wants done, and what it says about itself.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from attrs import field

from streamline.raft.configuration import Configuration, ReplicaKey
from streamline.raft.messages import Entry, Message, Snapshot
from streamline.values import frozen


class HardState(NamedTuple):
    """
    What must be durable before anybody hears of it (RF1): the term, and whom this replica voted for in it.
    """

    term: int = 0
    vote: ReplicaKey | None = None


@frozen(kw_only=True)
class Recovered:
    """
    What a disk gave back at a start, each part as it was last reported durable or handed out to be written later.

    A replica that founds a cluster starts from a snapshot with index 0, of term 0, with
    the founders as voters; one that will join another's, from one without voters.

    @ivar entries: without a gap, from behind the snapshot, or from before its index where more was kept.
    """

    snapshot: Snapshot
    hard_state: HardState = HardState()
    entries: tuple[Entry, ...] = ()


@frozen
class Written:
    """
    What is durable once a L{Ready} is: the log up to here (RF3).

    @ivar term: the replica was in when it was handed out; in another, the report is void.
    @ivar index: of the last entry.
    @ivar entry_term: of that entry.
    """

    term: int
    index: int
    entry_term: int


class Fate(Enum):
    """
    What became of a proposal.

    DROPPED is certain: it never takes effect.  UNKNOWN is what it says (RF17).
    """

    COMMITTED = "committed"
    DROPPED = "dropped"
    UNKNOWN = "unknown"


@frozen
class Proposal:
    """A proposal's place in the log, which tells it from all others; it may yet be another's."""

    index: int
    term: int


@frozen
class Outcome:
    """The end of a proposal; one that is committed is also among the entries of the same L{Ready}."""

    proposal: Proposal
    fate: Fate


@frozen
class ReadState:
    """
    The answer to a read: apply up to C{index}, then read.

    @ivar index: None where there was no answer in time, or the leader changed: ask again.
    """

    context: bytes
    index: int | None


@frozen(kw_only=True)
class Ready:
    """
    What is to be done now.  Each part says in which order.

    1. I{Write} C{hard_state}, C{snapshot}, C{entries}, in this order and behind what earlier Readies gave,
       sync, and then call C{advance(ready)}.  It may take its time, off the reactor's thread, and
       more Readies may be taken meanwhile; reports come in the order in which Readies were taken.
       The first entry's index says where the log is cut: what lies there or behind is replaced.
       A snapshot replaces the log as a whole.
    2. I{Send} C{messages}, at any time: what depends on a write is held back until it is reported (RF1, RF2).
       Messages may be lost, doubled, late and out of order.
    3. I{Apply} C{committed}, in order; they are durable here.  A snapshot is restored
       once it is durable, and before any entry that is handed out later.
    4. I{Tell} C{outcomes} and C{reads} to whoever waits, when C{committed} is applied.

    @ivar number: counts the Readies.
    @ivar hard_state: to write, or None.
    @ivar snapshot: to install, or None.
    @ivar entries: to write.
    @ivar written: what is durable after that.
    """

    number: int
    hard_state: HardState | None
    snapshot: Snapshot | None
    entries: tuple[Entry, ...]
    written: Written
    messages: tuple[Message, ...]
    committed: tuple[Entry, ...]
    outcomes: tuple[Outcome, ...]
    reads: tuple[ReadState, ...]
    must_write: bool = field(init=False, repr=False)

    @must_write.default
    def _must_write(self) -> bool:
        return self.hard_state is not None or self.snapshot is not None or bool(self.entries)


class Reason(Enum):
    """Why something was not even tried."""

    NOT_LEADER = "this replica does not lead"
    TRANSFERRING = "leadership is on its way to another replica"
    TOO_LARGE = "the command is larger than allowed"
    TOO_MUCH_UNCOMMITTED = "too much waits to be committed"
    CHANGE_IN_FLIGHT = "another change of members is not yet committed"
    TERM_NOT_COMMITTED = "nothing of this term is committed yet"
    NOTHING_CHANGES = "the members are these already"
    NO_VOTERS = "there would be no voters"
    SAME_NODE_TWICE = "a node would be a member with two directories"
    NOT_A_VOTER = "it is no voter"
    NOT_A_MEMBER = "it is no member"


class NotProposed(Exception):
    """
    What was asked for was not tried and never takes effect.

    @ivar leader: who leads instead, as far as known.
    """

    def __init__(self, reason: Reason, leader: ReplicaKey | None = None) -> None:
        super().__init__(reason.value)
        self.reason = reason
        self.leader = leader


@frozen
class ReplicaStatus:
    """
    One member, as DescribeQuorum shows it.

    @ivar end_offset: one more than the index of its last durable entry, as far as known.
    @ivar heard_tick: when it was last heard from, in this replica's ticks; -1 is never.
    @ivar caught_up_tick: when it last had everything.
    """

    key: ReplicaKey
    end_offset: int
    heard_tick: int
    caught_up_tick: int


@frozen(kw_only=True)
class QuorumStatus:
    """
    The quorum, as DescribeQuorum shows it; voters and observers are there on the leader only.

    @ivar high_watermark: one more than the index of the last committed entry.
    @ivar tick: now.
    """

    leader: ReplicaKey | None
    term: int
    high_watermark: int
    tick: int
    configuration: Configuration
    voters: tuple[ReplicaStatus, ...]
    observers: tuple[ReplicaStatus, ...]
