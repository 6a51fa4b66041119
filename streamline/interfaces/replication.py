"""How partitions are copied, where to, and when a produce is answered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

from streamline.interfaces.storage import IPartitionLog
from streamline.model import Broker, Buffer, LogIdentity, PartitionState

if TYPE_CHECKING:
    from streamline.cluster.altering import IsrChange
    from streamline.replication.epochs import LeaderEpochs
    from streamline.replication.followers import FollowerFetch
    from streamline.replication.throttle import Throttle
    from streamline.wire.batch import BatchHeader
    from streamline.wire.schema import Message


class IReplica(Interface):
    """
    This node's copy of one partition, as its replicator may use it.

    While this node leads, records come from producers.  While it follows, its replicator copies the leader's.
    """

    log: IPartitionLog = Attribute("The records; a replicator reads here, and writes through the methods below only.")
    epochs: LeaderEpochs = Attribute("Where each leader epoch begins in the log.")
    counted_offset: int = Attribute("Our own copy counts up to here: flushed, or synced where the topic asks for that.")

    def copy(header: BatchHeader, batch: Buffer) -> None:
        """
        Take the next batch as the leader has it; L{write} must follow.

        @raise streamline.errors.StorageFailed: it was not taken.
        """

    def write() -> None:
        """
        Write what was copied; L{IFollowing.appended} is called once it counts, maybe before this returns.

        @raise streamline.errors.StorageFailed: nothing counts of what was copied since the last time.
        """

    def cut(end_offset: int) -> None:
        """
        Drop every batch that reaches beyond C{end_offset}, and all that is known because of it, durably.

        @raise streamline.errors.StorageFailed: the copy is out of order until the node has started anew.
        """

    def begin_anew(offset: int) -> None:
        """Drop everything; the log is empty and starts at C{offset}; fails as L{cut} does."""

    def advance_start(offset: int) -> None:
        """Hide everything below C{offset}, as the leader does; fails as L{cut} does."""


class ILeadership(Interface):
    """One partition that this node leads, in one leader epoch, as its replicator sees it."""

    high_watermark: int = Attribute("Records below it are on every in-sync replica.")
    isr: tuple[int, ...] = Attribute("The in-sync replicas, this node among them.")
    min_isr: int = Attribute("How many of them acks=all takes: no more than there are replicas.")

    def latest_offset() -> int:
        """
        Return what may be told as the end of the log.

        @raise streamline.errors.Refused: OFFSET_NOT_AVAILABLE while more may be committed than is known here (KR9).
        """

    def appended(end_offset: int) -> None:
        """Hear that our own copy counts up to C{end_offset}; L{high_watermark} may move before this returns."""

    def fetched(follower: FollowerFetch) -> tuple[int, int] | None:
        """
        Hear that a follower fetches; L{high_watermark} may move before this returns.

        @return: the (epoch, end offset) at which its log and ours part, or None where it may read on.
        @raise streamline.errors.Refused: it may not fetch, or cannot be given what it asks for.
        """

    def low_watermark() -> int:
        """
        Return the lowest offset at which any replica's log begins, apart from those whose nodes are not there.

        It is -1 while one of them has not said where that is.  L{fetched} and L{changed} may change it.
        """

    def lags() -> Mapping[int, int]:
        """Return how many records each other replica lacks, by node id, as far as is known; for people only."""

    def changed(state: PartitionState, min_isr: int) -> None:
        """Follow the metadata, in their order; the leader epoch is the same.  Brokers may have changed as well."""

    def close() -> None:
        """Stop; nothing is reported from now on."""


class IFollowing(Interface):
    """One partition that this node follows, in one leader epoch, as its replicator sees it."""

    high_watermark: int = Attribute("Records below it are committed, as far as we have them.")

    def appended(end_offset: int) -> None:
        """Hear that our own copy counts up to C{end_offset}."""

    def close() -> None:
        """Stop; nothing is copied from now on."""


class ICluster(Interface):
    """The other nodes, as a replicator sees them."""

    broker_epoch: int = Attribute("That of this process; -1 before it is registered.")
    brokers: Mapping[int, Broker] = Attribute("All nodes, by the metadata that this node has applied.")

    def ask(node_id: int, request: Message, response: type[Message], timeout_s: float) -> Deferred[Any]:
        """Ask another node something; fails, through the Deferred, with an L{Exception} where no answer comes."""

    def alter(change: IsrChange) -> Deferred[int]:
        """
        Ask the controller, whoever that is, for another ISR (KIP-497); fire with the partition's epoch then.

        @raise streamline.errors.Refused: through the Deferred: what the controller says.  Any other failure means that
            the outcome is unknown.
        """

    def throttle(identity: LogIdentity) -> Throttle | None:
        """Return how fast this node may copy a partition of which it lacks something; None for any speed (KIP-73)."""

    def listen(reachable: Callable[[int], None]) -> None:
        """Call this with the id of a node each time that a connection to it can be used."""


class IReplicator(Interface):
    """How a partition's bytes reach other nodes, and when they count as committed."""

    def join(cluster: ICluster) -> None:
        """Hear of the other nodes; called once, before L{start}."""

    def start() -> Deferred[None]:
        """Begin to replicate."""

    def stop() -> Deferred[None]:
        """End it."""

    def lead(
        replica: IReplica, state: PartitionState, min_isr: int, advanced: Callable[[int], None]
    ) -> ILeadership:
        """
        Lead a partition from now on.

        @param min_isr: C{min.insync.replicas} as it is agreed on.
        @param advanced: called with each new high watermark, which never falls, from within
            L{ILeadership.appended} or later.
        """

    def follow(replica: IReplica, state: PartitionState, advanced: Callable[[int], None]) -> IFollowing:
        """Copy a partition from its leader from now on; C{advanced} is called as in L{lead}."""

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
