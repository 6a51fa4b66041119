"""
The C{isr} replicator: a record is committed once every in-sync replica has it.

With one replica that is at once.  Every caller goes through it all the same, so
that more replicas change this module and no other.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from streamline.config import NodeConfig
from streamline.errors import StartRefused
from streamline.interfaces import Host, ILeadership, IPartitionLog, IReplicator
from streamline.model import LogIdentity, PartitionState


@implementer(ILeadership)
class SoleLeadership:
    """A partition whose only replica is this node: what counts here is committed."""

    def __init__(self, log: IPartitionLog, state: PartitionState, advanced: Callable[[int], None]) -> None:
        self._log = log
        self._advanced: Callable[[int], None] | None = advanced
        self.isr = state.isr
        # What recovery kept is on disk, and nobody else can have more of it.
        self.high_watermark = log.high_watermark = log.flushed_offset

    def appended(self, end_offset: int) -> None:
        """Commit up to here."""
        if self._advanced is not None and end_offset > self.high_watermark:
            self.high_watermark = self._log.high_watermark = end_offset
            self._advanced(end_offset)

    def close(self) -> None:
        """Report nothing any more."""
        self._advanced = None


@implementer(IReplicator)
class IsrReplicator:
    """Kafka's replication by in-sync replicas."""

    def __init__(self, host: Host, config: NodeConfig) -> None:
        self._node_id = config.node_id
        self._led: dict[LogIdentity, ILeadership] = {}

    def start(self) -> Deferred[None]:
        """Nothing to begin: a node alone fetches from nobody."""
        return succeed(None)

    def stop(self) -> Deferred[None]:
        """Close every leadership."""
        for identity in list(self._led):
            self.forget(identity)
        return succeed(None)

    def lead(
        self, log: IPartitionLog, state: PartitionState, min_isr: int, advanced: Callable[[int], None]
    ) -> ILeadership:
        """Lead a partition."""
        self.forget(log.identity)
        if state.replicas != (self._node_id,):
            raise StartRefused(
                f"{log.identity} has the replicas {list(state.replicas)}; this release runs one node, "
                "so only partitions of this node alone can be led"
            )
        leadership = SoleLeadership(log, state, advanced)
        self._led[log.identity] = leadership
        return leadership

    def follow(self, log: IPartitionLog, state: PartitionState) -> None:
        """Refuse: a node alone has nobody to copy from."""
        raise StartRefused(f"{log.identity} is led by node {state.leader}; this release runs one node")

    def forget(self, identity: LogIdentity) -> None:
        """Close a leadership."""
        leadership = self._led.pop(identity, None)
        if leadership is not None:
            leadership.close()
