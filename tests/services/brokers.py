"""Nodes of a simulated world that form a cluster and have brokers in it: everything but what they do for clients."""

from __future__ import annotations

from typing import Any

from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from streamline.api.brokers import ANSWERS
from streamline.cluster.commands import CreateTopic, PartitionPlacement
from streamline.cluster.membership import Registration
from streamline.config import BrokerConfig
from streamline.interfaces import Host
from streamline.model import Broker, Endpoint, PartitionState
from streamline.net.peer_apis import PeerApi
from streamline.services.altering import Altering
from streamline.services.brain import Brain
from streamline.services.controller_line import ControllerLine
from streamline.services.controllership import Controllership
from streamline.services.membership import Membership
from streamline.services.producer_ids import ProducerIds
from streamline.services.registering import Registrar
from streamline.services.throttles import Throttles
from streamline.storage.segments import SegmentStorage
from streamline.testing.simulation import Weather
from tests.services.founders import CLUSTER_PORT, KAFKA_PORT, FoundingNode, FoundingWorld

SESSION_S = 3.0
SOON_S = 0.5
"""Much less than a session's time-out."""
TOPIC_ID = b"t" * 16


def _peer_api(brain: Brain, request: Any, response: Any, answer: Any) -> PeerApi:
    return PeerApi(request=request, response=response, answer=lambda guest, asked: answer(brain, guest.key, asked))


class BrokerNode(FoundingNode):
    """A node with a broker."""

    storage: SegmentStorage
    controllership: Controllership
    membership: Membership
    line: ControllerLine
    registrar: Registrar
    producer_ids: ProducerIds
    altering: Altering
    brain: Brain
    throttles: Throttles

    async def _form(self, host: Host) -> None:
        self.storage = SegmentStorage(host, self.config)
        await self.storage.start()
        await super()._form(host)
        self.registrar.startService()
        self.registrar.ready()

    def made(self, host: Host) -> None:
        """Make the controller's services and the broker's, before anything is agreed on."""
        metadata, config = self.metadata, self.config
        self.brain = brain = Brain(host, config, metadata, self.room.peers)
        self.controllership, self.membership, self.line = brain.controllership, brain.membership, brain.line
        incarnation_id = host.rng.randbytes(16)
        self.registrar = Registrar(
            host, config, metadata, brain, self.storage, lambda: self._introduce(incarnation_id)
        )
        self.producer_ids = ProducerIds(self.node_id, brain, lambda: self.registrar.broker_epoch)
        self.altering = Altering(host, self.node_id, brain, lambda: self.registrar.broker_epoch)
        self.throttles = Throttles(host, config, metadata)
        self.room.factory.answer(*(_peer_api(brain, *row) for row in ANSWERS))
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


class BrokerCase(SynchronousTestCase):
    """Three nodes that take part, one of them the controller."""

    def setUp(self) -> None:
        """Start them."""
        self.begin()

    def begin(self, count: int = 3, max_voters: int = 5, seed: int = 1, **settings: Any) -> None:
        """Start so many."""
        self.world = BrokerWorld(seed, max_voters=max_voters, **settings)
        self.nodes = self.world.cluster(count)

    def follower(self) -> BrokerNode:
        """Return a node that is not the controller."""
        controller = self.world.controller
        return next(node for node in self.nodes if node is not controller)

    def others(self, node: BrokerNode) -> list[int]:
        """Return the numbers of all but one."""
        return [other.node_id for other in self.nodes if other is not node]

    def make_topic(self, *replicas: int, partitions: int = 1) -> None:
        """Have a topic t."""
        placed = [PartitionPlacement(index=index, replicas=replicas) for index in range(partitions)]
        command = CreateTopic(name="t", topic_id=TOPIC_ID, partitions=placed)
        self.world.result_of(self.world.controller.controllership.decide(lambda _: [command]))

    def partition(self, index: int = 0) -> PartitionState:
        """Return the state of one of its partitions, as the controller sees it."""
        state = self.world.controller.metadata.image.partition("t", index)
        assert state is not None
        return state

    def is_soon(self, *active: int, within_s: float = SOON_S) -> None:
        """Expect all nodes to see these brokers, soon."""
        seen = self.world.run(within_s, lambda: self.world.agrees(*active))
        self.assertTrue(seen, [node.active for node in self.world.up])
