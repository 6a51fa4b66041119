"""Three production nodes in a simulated world that form a cluster, and clients of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from streamline.assembly import Node, build
from streamline.config import BrokerConfig, NodeConfig
from streamline.model import Endpoint
from streamline.testing.simulation import Fabric, Machine, Simulation, Weather
from streamline.wire.schema import Message
from tests.broker import QUIET, Client

PATIENCE_S = 20.0


class Cluster:
    """
    Nodes 1 to 3.

    @ivar nodes: those that run, by id.
    """

    def __init__(
        self, seed: int = 1, storage: str = "memory", options: Mapping[str, Any] | None = None, **broker: Any
    ) -> None:
        self.simulation = Simulation(seed)
        self._fabric = fabric = Fabric.of(self.simulation, Weather())
        self.nodes: dict[int, Node] = {}
        self.machines = {node_id: Machine(fabric, f"n{node_id}", f"10.0.0.{node_id}") for node_id in (1, 2, 3)}
        self._storage = storage
        self._options = options or {}
        self._settings = BrokerConfig(**{**QUIET, **broker})
        for node_id in self.machines:
            self.start(node_id)
        self.all_serve()

    def _has_everybody(self, node: Node) -> bool:
        brokers = node.broker.metadata.image.brokers
        return node.factory.is_serving and sum(broker.is_active for broker in brokers.values()) == len(self.nodes)

    def all_serve(self) -> None:
        """Wait until every node that runs serves, and sees all the others take part."""
        self.until(lambda: all(self._has_everybody(node) for node in self.nodes.values()))

    def replace(self, node_id: int, host: str) -> None:
        """Give a node that does not run another machine, with an empty disk."""
        self.machines[node_id] = Machine(self._fabric, f"m{node_id}", host)

    def start(self, node_id: int) -> None:
        """Start a node."""
        machine = self.machines[node_id]
        config = NodeConfig(
            node_id=node_id,
            listen=f"tcp:9092:interface={machine.host}",
            cluster_listen=f"tcp:9093:interface={machine.host}",
            http_listen=None,
            rack=f"r{node_id}",
            seed_nodes=tuple(Endpoint(one.host, 9092) for one in self.machines.values()),
            data_dir="/data",
            storage=self._storage,
            broker=self._settings,
            **self._options,
        )
        node = self.nodes[node_id] = build(config, machine.start().host)
        started: Deferred[None] = node.startService()
        started.addErrback(lambda failure: failure.printTraceback())

    def kill(self, node_id: int, *, power: bool = False) -> None:
        """End a node's process, or take its machine's power, and with it what was not synced."""
        self.machines[node_id].crash(power=power)
        del self.nodes[node_id]

    def _others(self, node_id: int) -> list[Machine]:
        return [machine for other, machine in self.machines.items() if other != node_id]

    def isolate(self, node_id: int) -> None:
        """Cut a node off from the others; clients still reach it."""
        self._fabric.cut([self.machines[node_id]], self._others(node_id))

    def heal(self) -> None:
        """Have everybody reach everybody again."""
        self._fabric.heal()

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.simulation.run(self.simulation.now + seconds)

    def until(self, enough: Any, seconds: float = PATIENCE_S) -> None:
        """Let time pass until something is so."""
        if not enough():
            self.simulation.run(self.simulation.now + seconds, enough)
        assert enough(), f"it did not come to that within {seconds} s"

    @property
    def controller(self) -> Node:
        """The node that is the controller; wait for one."""
        self.until(lambda: any(node.broker.controllership.is_active for node in self.nodes.values()))
        return next(node for node in self.nodes.values() if node.broker.controllership.is_active)

    @property
    def others(self) -> list[Node]:
        """The other nodes."""
        controller = self.controller
        return [node for node in self.nodes.values() if node is not controller]

    def ask(self, node: Node, request: Message, version: int | None = None) -> Any:
        """Have a client ask one of them; return its answer."""
        client = Client(node)
        client.send(request, version)
        found: list[Any] = []

        def has_come() -> bool:
            found.extend(answer for _, answer in client.answers())
            return bool(found) or client.is_closed

        self.until(has_come)
        assert found, "the node closed the connection"
        return found[0]


class ClusterCase(SynchronousTestCase):
    """Three nodes."""

    settings: dict[str, Any] = {}

    def setUp(self) -> None:
        """Start them."""
        self.cluster = Cluster(**self.settings)
