"""How metadata is agreed on, by one node or by several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

if TYPE_CHECKING:
    from streamline.raft import Change, CommitTimes, Configuration, Message, QuorumStatus, Replica, ReplicaKey


class IStateMachine(Interface):
    """What consensus agrees on, from its side: commands in the same order on every node."""

    def apply(index: int, command: bytes) -> Any:
        """
        Carry out the command at C{index}; the result goes to whoever proposed it.

        Deterministic.  A L{streamline.errors.Refused} means that the command changed nothing; it goes to the proposer.
        """

    def take_snapshot() -> bytes:
        """Return everything applied so far."""

    def restore(snapshot: bytes) -> None:
        """Start over from what another call of L{take_snapshot} returned."""


class IConsensus(Interface):
    """
    The agreed, ordered, durable log of metadata commands.

    A command counts once it is durable on a majority; no option turns that off (RF1, RF2).
    """

    leader_id: int | None = Attribute("The node that leads now as far as known, or None.")
    term: int = Attribute("Grows with each leader; the controller epoch.")
    applied_index: int = Attribute("The index of the last command applied here; 0 before the first.")

    def start(machine: IStateMachine) -> Deferred[None]:
        """
        Recover, apply everything known to be committed, and begin to take part.

        @raise streamline.errors.StartRefused: through the Deferred, where what is on disk cannot be trusted.
        """

    def stop() -> Deferred[None]:
        """Stop taking part; proposals in flight fail."""

    def propose(command: bytes) -> Deferred[Any]:
        """
        Agree on a command, apply it here, and fire with what applying it returned.

        @raise streamline.errors.Refused: NOT_CONTROLLER where this node does not lead; REQUEST_TIMED_OUT where the
            outcome is unknown (RF17); or what L{IStateMachine.apply} raised.
        """

    def when_failed() -> Deferred[str]:
        """
        Fire with a sentence for people once this node can take part no more, because its disk failed.

        The process ends then, with an error: somebody has to look.  It never fires where the node just stops.
        """

    def read_barrier() -> Deferred[None]:
        """Fire once everything that was committed before this call has been applied here (read-index, RF11)."""


class IMessenger(Interface):
    """
    Carries the quorum's messages to the other replicas.

    It may lose, double, delay and reorder them.  What it must not do is bring one to somebody with another directory
    id (RF15), or say that a process is gone while it lives for long: that is safe, but costs elections.
    """

    def attach(inbox: IInbox) -> None:
        """Bring messages, and news of connections, here from now on; what comes before this is dropped."""

    def detach() -> None:
        """Bring nothing any more, and drop what is sent."""

    def know(replicas: Sequence[Replica]) -> None:
        """
        Hear who else takes part, and where; keep a connection to each of them and to nobody else.

        Called at the start and with each change of members.  The own replica is never among them.
        """

    def send(message: Message) -> None:
        """
        Send to C{message.to}, without waiting.

        Over whatever connection there is to that replica, one that it opened included: who asks for a vote may be
        somebody we have no address of.  Where there is none, or too much waits to be sent, the message is dropped.
        """


class IInbox(Interface):
    """What an L{IMessenger} brings messages to; every call has happened when it returns, and none waits."""

    def received(message: Message) -> None:
        """
        Take a message of another replica.  The messenger has seen to it that C{message.sender} is who is connected.

        @raise streamline.errors.ProtocolError: no replica sends such a message; close the connection it came on.
        """

    def connection_lost(key: ReplicaKey) -> None:
        """Hear that what was last sent to somebody may not have arrived: a connection ended, or messages were lost."""

    def peer_gone(key: ReplicaKey) -> None:
        """Hear that somebody's process is no more: connecting again was refused.  Wrong hints do no harm."""


class IQuorum(IConsensus):
    """
    Consensus of several replicas: what forming, joining and DescribeQuorum need of it beside L{IConsensus}.

    In this order: L{identify}, L{found} where L{is_founded} says no, L{IConsensus.start}.
    """

    key: ReplicaKey = Attribute("Who this replica is, once it was told.")
    tick_s: float = Attribute("How long a tick is, in which L{describe} says when members were heard of.")
    configuration: Configuration = Attribute("Who takes part, by the latest word in the log; once it has started.")
    commit_times: CommitTimes = Attribute("How long it took to agree on what was proposed here, since the start.")

    def identify(directory_id: bytes, messenger: IMessenger | None = None) -> None:
        """Hear which directory this is (KIP-853), and what carries messages; without that it is alone."""

    def is_founded() -> bool:
        """
        Say whether this directory has ever begun a log.

        @raise streamline.errors.StartRefused: it cannot be read.
        """

    def found(voters: Sequence[Replica]) -> None:
        """
        Begin a log with these voters, durably; all founders are told the same.

        @param voters: nobody, for a replica that will be told everything by those it joins.
        @raise streamline.errors.StartRefused: there is a log already, or none can be written.
        """

    def campaign() -> None:
        """Stand for election now, as the first of the founders does; where somebody leads, nothing comes of it."""

    def change_members(changes: Sequence[Change]) -> Deferred[None]:
        """
        Add learners, make voters of them, or remove members; fires when the change can no longer fail.

        @raise streamline.errors.Refused: NOT_CONTROLLER, REQUEST_TIMED_OUT (as for proposals), or INVALID_REQUEST with
            a reason; DUPLICATE_VOTER where nothing changes, VOTER_NOT_FOUND where it is no member, and
            REASSIGNMENT_IN_PROGRESS where another change is under way.
        """

    def transfer_leadership(target: ReplicaKey) -> None:
        """
        Begin to hand over to another voter; it succeeds within an election's time, or nothing has changed.

        @raise streamline.errors.Refused: NOT_CONTROLLER, or VOTER_NOT_FOUND.
        """

    def listen(listener: Callable[[int | None, int], None]) -> None:
        """
        Call this with (C{leader_id}, C{term}) each time that they have changed.

        This node itself is named only once it has applied all that was committed before its term.
        """

    def describe() -> QuorumStatus:
        """Return what DescribeQuorum asks for."""
