"""Nodes of a simulated world that form a cluster and have brokers in it: everything but what they do for clients."""

from __future__ import annotations

from typing import Any

from twisted.python.failure import Failure

from streamline.api.membership import ControllerServices, broker_heartbeat, broker_registration
from streamline.cluster.membership import Registration
from streamline.config import BrokerConfig
from streamline.interfaces import Host
from streamline.model import Broker, Endpoint
from streamline.net.peer import PeerApi
from streamline.services.controller_line import ControllerLine
from streamline.services.controllership import Controllership
from streamline.services.membership import Membership
from streamline.services.registering import Registrar
from streamline.storage.segments import SegmentStorage
from streamline.testing.simulation import Weather
from streamline.wire.messages.peer import (
    BrokerHeartbeatRequest,
    BrokerHeartbeatResponse,
    BrokerRegistrationRequest,
    BrokerRegistrationResponse,
)
from tests.services.founders import CLUSTER_PORT, KAFKA_PORT, FoundingNode, FoundingWorld

SESSION_S = 3.0


class BrokerNode(FoundingNode):
    """
    A node with a broker.

    @ivar services: what it answers other nodes with.
    """

    storage: SegmentStorage
    controllership: Controllership
    membership: Membership
    line: ControllerLine
    registrar: Registrar

    async def _form(self, host: Host) -> None:
        self.storage = SegmentStorage(host, self.config)
        await self.storage.start()
        await super()._form(host)
        self.registrar.startService()

    def made_quorum(self, host: Host) -> None:
        """Have the controller's services listen before anything is agreed on."""
        metadata, config = self.metadata, self.config
        self.controllership = Controllership(host, self.node_id, metadata)
        self.membership = Membership(host, config, metadata, self.controllership)
        self.line = ControllerLine(self.node_id, self.quorum)
        incarnation_id = host.rng.randbytes(16)
        self.registrar = Registrar(
            host, config, metadata, self.controllership, self.membership, self.line, self.storage,
            lambda: self._introduce(incarnation_id),
        )  # fmt: skip

    def opened_room(self) -> None:
        """Answer other nodes."""
        peers = self.room.peers
        self.line.connect(peers)
        self.membership.meet(peers)
        self.services = services = ControllerServices(self.controllership, self.membership)
        self.room.factory.answer(
            PeerApi(
                request=BrokerRegistrationRequest,
                response=BrokerRegistrationResponse,
                answer=lambda guest, request: broker_registration(services, guest.key, request),
            ),
            PeerApi(
                request=BrokerHeartbeatRequest,
                response=BrokerHeartbeatResponse,
                answer=lambda guest, request: broker_heartbeat(services, guest.key, request),
            ),
        )
        self.controllership.startService()

    def _introduce(self, incarnation_id: bytes) -> Registration:
        identity = self.room.peers.identity
        return Registration(
            node_id=self.node_id,
            cluster_id=self.metadata.image.cluster_id,
            incarnation_id=incarnation_id,
            directory_id=identity.directory_id,
            endpoint=Endpoint(self.machine.host, KAFKA_PORT),
            peer_endpoint=Endpoint(self.machine.host, CLUSTER_PORT),
        )

    @property
    def broker(self) -> Broker:
        """This node's broker, as it sees it."""
        return self.metadata.image.brokers[self.node_id]

    @property
    def active(self) -> list[int]:
        """The brokers that take part, as this node sees it."""
        return sorted(key for key, broker in self.metadata.image.brokers.items() if broker.is_active)


class BrokerWorld(FoundingWorld):
    """Some nodes with brokers."""

    nodes: list[BrokerNode]  # type: ignore[assignment]

    def __init__(self, seed: int = 1, weather: Weather | None = None, max_voters: int = 5, **broker: Any) -> None:
        super().__init__(seed, weather)
        self.max_voters = max_voters
        self.settings = BrokerConfig(**broker)

    def node(self, node_id: int, seeds: Any = (), **more: Any) -> BrokerNode:
        """Make a node."""
        made = BrokerNode(self.fabric, node_id, seeds, broker=self.settings, max_voters=self.max_voters, **more)
        self.nodes.append(made)
        return made

    def cluster(self, count: int = 3) -> list[BrokerNode]:
        """Start so many nodes together, and wait until all of them take part."""
        numbers = list(range(1, count + 1))
        for node_id in numbers:
            self.node(node_id, numbers if count > 1 else ())
        for node in self.nodes:
            node.start()
        assert self.run(20.0, lambda: self.agrees(*numbers)), [node.ended for node in self.nodes]
        return self.nodes

    @property
    def up(self) -> list[BrokerNode]:
        """The nodes that run."""
        return [node for node in self.nodes if node.machine.running and node.ended == [None]]

    def agrees(self, *active: int) -> bool:
        """Say whether all nodes that run see these brokers take part, and no others."""
        return bool(self.up) and all(node.active == list(active) for node in self.up)

    @property
    def controller(self) -> BrokerNode:
        """The node that is the controller; wait for one."""
        self.run(20.0, lambda: any(node.controllership.is_active for node in self.up))
        return next(node for node in self.up if node.controllership.is_active)

    def result_of(self, deferred: Any, within_s: float = 20.0) -> Any:
        """Wait for a Deferred; return its result, or raise its failure."""
        results: list[Any] = []
        deferred.addBoth(results.append)
        assert self.run(within_s, lambda: bool(results)), "nothing came"
        if isinstance(results[0], Failure):
            results[0].raiseException()
        return results[0]


