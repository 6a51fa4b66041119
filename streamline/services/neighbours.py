"""
The other nodes as a replicator sees them: who they are, and a way to ask them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import Deferred, fail
from zope.interface import implementer

from streamline.cluster.altering import IsrChange
from streamline.cluster.membership import NO_BROKER_EPOCH
from streamline.interfaces import ICluster
from streamline.model import Broker, LogIdentity
from streamline.raft import ReplicaKey
from streamline.replication.throttle import Throttle
from streamline.services.altering import Altering
from streamline.services.metadata import Metadata
from streamline.services.peer_call import NoAnswer
from streamline.services.peers import Peers
from streamline.services.throttles import Throttles
from streamline.wire.schema import Message


@implementer(ICluster)
class Neighbours:
    """Finds nodes in the image, and asks them over the connections that there are."""

    def __init__(
        self,
        node_id: int,
        incarnation_id: bytes,
        metadata: Metadata,
        peers: Peers,
        altering: Altering,
        throttles: Throttles,
    ) -> None:
        self._node_id = node_id
        self._incarnation_id = incarnation_id
        self._metadata = metadata
        self._peers = peers
        self._altering = altering
        self._throttles = throttles
        self._listeners: list[Callable[[int], None]] = []
        peers.listen(self)

    @property
    def broker_epoch(self) -> int:
        """That of this process, by its own image."""
        return own_epoch(self.brokers, self._node_id, self._incarnation_id)

    @property
    def brokers(self) -> Mapping[int, Broker]:
        """All nodes."""
        return self._metadata.image.brokers

    def ask(self, node_id: int, request: Message, response: type[Message], timeout_s: float) -> Deferred[Any]:
        """Ask another node something."""
        broker = self.brokers.get(node_id)
        if broker is None:
            return fail(NoAnswer(f"node {node_id} is not in the cluster"))
        return self._peers.ask(ReplicaKey(node_id, broker.directory_id), request, response, timeout_s)

    def alter(self, change: IsrChange) -> Deferred[int]:
        """Ask the controller for another ISR."""
        return self._altering.alter(change).addCallback(lambda agreed: agreed.partition_epoch)

    def throttle(self, identity: LogIdentity) -> Throttle | None:
        """Look at the settings."""
        return self._throttles.following(identity.topic, identity.partition)

    def listen(self, reachable: Callable[[int], None]) -> None:
        """Tell of connections."""
        self._listeners.append(reachable)

    # What connections say

    def peer_up(self, key: ReplicaKey) -> None:
        """Tell whoever wants to know."""
        for reachable in self._listeners:
            reachable(key.node_id)

    def peer_down(self, key: ReplicaKey) -> None:
        """Whoever asks will see."""

    def peer_gone(self, key: ReplicaKey) -> None:
        """Whoever asks will see."""


def own_epoch(brokers: Mapping[int, Broker], node_id: int, incarnation_id: bytes) -> int:
    """Return the broker epoch of a process; L{NO_BROKER_EPOCH} where the metadata at hand do not know it."""
    broker = brokers.get(node_id)
    return broker.epoch if broker is not None and broker.incarnation_id == incarnation_id else NO_BROKER_EPOCH
