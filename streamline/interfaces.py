"""
The walls of the house: what a node asks of the world, and what a plugin can replace.

Two groups.  The *four doors* (L{IClock}, L{IDisk}, L{INetwork}, L{IRandom}) are
all that a node knows of the world outside; the simulator gives its own.  The
*plugin points* are chosen by name when a node starts; each has a contract suite
in C{streamline.testing.contracts} that says by running what its docstrings say
in words.

An interface call has happened when it returns.  Where it must wait, it returns
a L{Deferred}; nothing returns a bare coroutine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IListeningPort, IProtocol, IProtocolFactory, IReactorTime
from zope.interface import Attribute, Interface

from streamline.model import Buffer, LogIdentity, LogSlice, PartitionState

if TYPE_CHECKING:
    from streamline.config import TopicConfig
    from streamline.raft import Change, Configuration, Message, QuorumStatus, Replica, ReplicaKey
    from streamline.wire.batch import BatchHeader


# The four doors


class IClock(IReactorTime):
    """
    Time.  C{seconds()} is monotonic and says nothing about the date.

    Calls that fall due together run in an order nobody may rely on.
    """

    def wall_ms() -> int:
        """Return the date as milliseconds since 1970 UTC; it may jump."""


class IRandom(Interface):
    """Chance.  C{random.Random} provides it as it stands."""

    def random() -> float:
        """Return a float in [0, 1)."""

    def randrange(start: int, stop: int) -> int:
        """Return an integer in [start, stop)."""

    def randbytes(n: int) -> bytes:
        """Return C{n} random bytes."""

    def shuffle(x: list[Any]) -> None:
        """Shuffle a list in place."""


class INetwork(Interface):
    """Sockets."""

    sockets_max: int = Attribute("How many sockets this process may have open at once.")

    def listen(endpoint: str, factory: IProtocolFactory) -> Deferred[IListeningPort]:
        """
        Listen on a Twisted server endpoint string such as C{tcp:9092:interface=127.0.0.1}.

        @raise twisted.internet.error.CannotListenError: through the Deferred.
        """

    def connect(host: str, port: int, factory: IProtocolFactory, timeout_s: float) -> Deferred[IProtocol]:
        """Connect a client protocol; fails with a L{twisted.internet.error.ConnectError}."""


class IFile(Interface):
    """
    One open file, used by one log at a time.

    Every call but L{sync_later} has happened when it returns.  Failures are
    L{OSError}.  What was written survives the death of the process at once, and
    the loss of power once a sync that began later has ended.
    """

    def size() -> int:
        """Return the length of the file in bytes."""

    def write(parts: Sequence[Buffer], at: int) -> int:
        """Write all the parts one after another from byte C{at}; return their length together."""

    def read(at: int, length: int) -> bytes:
        """Read up to C{length} bytes from byte C{at}; shorter only at the end of the file."""

    def is_cached(at: int, length: int) -> bool:
        """Say whether reading this range would (most likely) not wait for the device."""

    def truncate(size: int) -> None:
        """Cut or extend (with zeros) the file to C{size} bytes."""

    def allocate(size: int) -> None:
        """Reserve space for C{size} bytes without changing what L{size} says; a hint."""

    def sync() -> None:
        """Make everything written so far durable; blocks."""

    def sync_later() -> Deferred[None]:
        """
        Make everything written so far durable, without blocking.

        Group commit: at most one sync of a file is in flight; calls that come
        meanwhile share the next one.  After a failure the file accepts nothing
        more: a second sync would report success for pages that were lost.
        """

    def close() -> None:
        """Close it; calling it twice is allowed."""


class IDisk(Interface):
    """
    Files and directories, by absolute path.

    A created, renamed or removed name survives the loss of power once
    L{sync_directory} of its directory has returned.
    """

    def open(path: str, *, create: bool = False, write: bool = True) -> IFile:
        """Open a file; C{create} makes a new empty one and fails where one exists."""

    def exists(path: str) -> bool:
        """Say whether a file or directory is there."""

    def is_directory(path: str) -> bool:
        """Say whether a directory is there."""

    def list_directory(path: str) -> list[str]:
        """Return the names in a directory, sorted."""

    def make_directories(path: str) -> None:
        """Make a directory and its parents, durably; fine where it exists."""

    def rename(source: str, target: str) -> None:
        """Rename a file or directory within its file system, replacing a file."""

    def remove(path: str) -> None:
        """Remove a file."""

    def remove_tree(path: str) -> None:
        """Remove a directory with all it holds."""

    def sync_directory(path: str) -> None:
        """Make the names in a directory durable."""

    def read_file(path: str) -> bytes:
        """Return all of a (small) file."""

    def replace_file(path: str, data: bytes) -> None:
        """Put C{data} under this name: write aside, sync, rename, sync the directory.  Old or new, never neither."""

    def space(path: str) -> tuple[int, int]:
        """Return (free bytes for us, total bytes) of the file system that holds C{path}."""

    def lock(path: str) -> Callable[[], None]:
        """
        Take an exclusive lock on a file that is made if need be; return what releases it.

        @raise BlockingIOError: somebody else holds it.
        """

    def elsewhere(function: Callable[..., Any], *args: Any) -> Deferred[Any]:
        """Run a blocking call where it does not hold up the reactor; fire with its result."""


@frozen
class Host:
    """The four doors together: all that a node has of the world outside."""

    clock: IClock
    disk: IDisk
    network: INetwork
    rng: IRandom


# The plugin points.  Each is made as C{maker(host, config, **options)}: a L{Host}, the node's
# L{streamline.config.NodeConfig}, and the C{key=value} options of C{name:key=value} as text.


class IPartitionLog(Interface):
    """
    The record batches of one partition, as bytes that nobody has to decode.

    A log is written by one caller.  Appends take effect in call order; L{flush}
    and L{sync} say how safe they are.  Offsets are given by the caller, in the
    batches; the log keeps them as they are.
    """

    identity: LogIdentity = Attribute("Which partition this is.")
    start_offset: int = Attribute("The first offset that may be read.")
    end_offset: int = Attribute("The offset after the last record appended.")
    flushed_offset: int = Attribute("The offset after the last record that survives the process; readable up to here.")
    recovery_point: int = Attribute("Everything below survives the loss of power.")
    segment_offset: int = Attribute("The first offset of the part now being written; it moves when the log rolls.")
    size_bytes: int = Attribute("The bytes of all batches kept.")
    high_watermark: int = Attribute(
        "The last high watermark that was set here.  After a restart: a hint that may lag, never one that leads."
    )

    def append(header: BatchHeader, parts: Sequence[Buffer]) -> None:
        """
        Take one whole batch whose base offset is at or after L{end_offset}.

        @param header: the batch's header as it stands in C{parts}.
        @param parts: buffers that together are the batch; they are kept, not copied, and never change later.
        @raise streamline.errors.StorageFailed: nothing of this batch counts.  If what was appended before and not
            flushed was lost with it, the next L{flush} says so, and nothing is taken until then.
        """

    def flush() -> None:
        """
        Give everything appended to the operating system, so that it survives C{kill -9}.

        @raise streamline.errors.StorageFailed: nothing counts of what was appended since the last flush that
            succeeded, and L{end_offset} is L{flushed_offset} again.  The log is closed, unless there was just no
            space: then it goes on once there is some.
        """

    def sync() -> Deferred[int]:
        """Flush, then fire with an offset below which everything survives the loss of power."""

    def read(offset: int, max_bytes: int, *, end_offset: int, at_least_one: bool) -> LogSlice | Deferred[LogSlice]:
        """
        Return whole batches, the first being the one that holds C{offset}.

        No batch that reaches C{end_offset} or beyond is returned.  Batches fit
        in C{max_bytes}, except the first one where C{at_least_one} is true.  A
        Deferred comes back only where the device must be waited for.

        @raise streamline.errors.Refused: OFFSET_OUT_OF_RANGE, or KAFKA_STORAGE_ERROR for a closed log.
        """

    def headers(offset: int) -> Iterator[BatchHeader]:
        """Yield the headers of all flushed batches from the one that holds C{offset}, in order; reads as it goes."""

    def batch_at_timestamp(timestamp_ms: int) -> LogSlice:
        """Return the first batch with a max timestamp of at least C{timestamp_ms}; no parts if there is none."""

    def batch_of_max_timestamp() -> LogSlice:
        """Return the first batch that holds the greatest timestamp of the log; no parts if it is empty."""

    def truncate(end_offset: int) -> None:
        """Drop every batch that reaches beyond C{end_offset}, durably; blobs stay, their owner knows better."""

    def restart_at(offset: int) -> None:
        """Drop everything; the log is empty and starts at C{offset}."""

    def advance_start(offset: int) -> None:
        """
        Hide everything below C{offset}, durably; space is freed when L{retain} next runs.

        L{high_watermark} and L{recovery_point} rise with it (KAFKA-9491).

        @raise streamline.errors.Refused: OFFSET_OUT_OF_RANGE, the log ends before C{offset}.
        """

    def retain(now_ms: int) -> int:
        """
        Roll by age and drop what the topic's retention no longer wants, never at or above L{high_watermark}.

        @return: the bytes freed.
        """

    def configure(config: TopicConfig) -> None:
        """Follow new settings from now on."""

    def put_checkpoint(name: str, data: bytes) -> None:
        """
        Keep a small blob beside the log, durably, replacing one of that name: old or new, never neither.

        It blocks until the blob is durable, which on a disk takes two syncs.

        @raise streamline.errors.StorageFailed: the old one stays.
        """

    def get_checkpoint(name: str) -> bytes | None:
        """Return a blob kept beside the log."""

    def checkpoint_names() -> list[str]:
        """Return the names of the blobs kept beside the log, sorted."""

    def drop_checkpoint(name: str) -> None:
        """Forget a blob; fine where there is none."""

    def close() -> Deferred[None]:
        """Flush, sync and close; reading and appending end here."""


class IStorage(Interface):
    """
    Where partitions' bytes live.

    Made with the node's host and settings, started once, stopped once.
    Nothing that looks unknown is ever deleted (KR30).
    """

    clean_epoch: int | None = Attribute("The broker epoch that a clean stop left behind; None after any other (KR21).")
    broker_epoch: int = Attribute("What the next clean stop leaves behind; set when this process has registered.")

    def start() -> Deferred[None]:
        """
        Make ready, and learn whether the last stop was clean.

        @raise streamline.errors.StartRefused: through the Deferred, with a sentence for people.
        """

    def stop() -> Deferred[None]:
        """Close every log, then record, last of all, that this stop was clean."""

    def identities() -> Sequence[LogIdentity]:
        """Return the partitions that have a log here, sorted."""

    def open(identity: LogIdentity, config: TopicConfig) -> Deferred[IPartitionLog]:
        """
        Open a partition's log, making it if need be; recover it first if the last stop was not clean.

        A log of the same name with another topic id is set aside, not used and not deleted.

        @raise streamline.errors.StorageFailed: through the Deferred; other partitions are not concerned.
        """

    def discard(identity: LogIdentity) -> Deferred[None]:
        """Close and delete a partition's log because its topic was deleted."""

    def checkpoint() -> Deferred[None]:
        """Sync what was written since the last call and note recovery points, starts and high watermarks."""


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
    configuration: Configuration = Attribute("Who takes part, by the latest word in the log; once it has started.")

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


class ILeadership(Interface):
    """One partition that this node leads, as its replicator sees it."""

    high_watermark: int = Attribute("Records below it are on every in-sync replica.")
    isr: tuple[int, ...] = Attribute("The in-sync replicas, this node among them.")

    def appended(end_offset: int) -> None:
        """Hear that our own copy counts up to C{end_offset}; L{high_watermark} may move before this returns."""

    def close() -> None:
        """Stop; nothing is reported from now on."""


class IReplicator(Interface):
    """How a partition's bytes reach other nodes, and when they count as committed."""

    def start() -> Deferred[None]:
        """Begin to replicate."""

    def stop() -> Deferred[None]:
        """End it."""

    def lead(
        log: IPartitionLog, state: PartitionState, min_isr: int, advanced: Callable[[int], None]
    ) -> ILeadership:
        """
        Lead a partition from now on.

        @param advanced: called with each new high watermark, which never falls, from within
            L{ILeadership.appended} or later.
        """

    def follow(log: IPartitionLog, state: PartitionState) -> None:
        """Copy a partition from its leader from now on."""

    def forget(identity: LogIdentity) -> None:
        """Neither lead nor follow it any more."""


class IAcksPolicy(Interface):
    """When a produce is answered.  Pure: it keeps no state."""

    def admit(acks: int, isr_count: int, min_isr: int) -> None:
        """
        Say whether an append may happen at all.

        @raise streamline.errors.Refused: INVALID_REQUIRED_ACKS or NOT_ENOUGH_REPLICAS.
        """

    def waits_for_commit(acks: int) -> bool:
        """Say whether the answer waits for the high watermark rather than for this node's own append."""

    def settle(acks: int, isr_count: int, min_isr: int) -> None:
        """
        Look once more when an answer is due.

        @raise streamline.errors.Refused: NOT_ENOUGH_REPLICAS_AFTER_APPEND.
        """


class IPlacement(Interface):
    """Which nodes get a new partition's replicas."""

    def place(
        racks: Mapping[int, str | None], partitions: int, replication_factor: int, first: int
    ) -> list[tuple[int, ...]]:
        """
        Return the replicas of each partition, the preferred leader first.

        @param racks: the live nodes and their racks.
        @param first: where in the order of nodes to begin, so that topics spread.
        @raise streamline.errors.Refused: INVALID_REPLICATION_FACTOR.
        """


class IReplicaSelector(Interface):
    """Which replica a consumer is told to read from (KIP-392)."""

    def select(leader: int, replicas: Mapping[int, str | None], client_rack: str | None) -> int:
        """Return the node to read from; C{replicas} are those in sync, with their racks."""


class IAuthenticator(Interface):
    """Who are you?  One SASL mechanism (KIP-152)."""

    mechanism: str = Attribute("Its name on the wire, such as C{PLAIN}.")

    def begin() -> Callable[[bytes], tuple[bytes, str | None]]:
        """
        Return a function for one exchange: client bytes in, (server bytes, principal once known) out.

        @raise streamline.errors.Refused: SASL_AUTHENTICATION_FAILED, from that function.
        """


class IAuthorizer(Interface):
    """May you?"""

    def allows(principal: str, host: str, operation: str, resource_type: str, resource: str) -> bool:
        """Say whether this principal may do this (KIP-11's operations and resource types)."""
