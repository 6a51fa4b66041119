"""How partitions are copied, where to, and when a produce is answered."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

from streamline.interfaces.storage import IPartitionLog
from streamline.model import LogIdentity, PartitionState


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
