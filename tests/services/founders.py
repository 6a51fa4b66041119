"""Nodes that find each other in a simulated world: everything but what they do for clients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from struct import Struct
from typing import Any

from twisted.internet.defer import ensureDeferred
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure

from streamline.cluster.commands import FoundCluster
from streamline.config import NodeConfig
from streamline.errors import Refused
from streamline.interfaces import Host
from streamline.model import Controllers, Endpoint
from streamline.net.cluster import ClusterRoom
from streamline.services.data_directory import DataDirectory
from streamline.services.metadata import Metadata
from streamline.services.raft import RaftConsensus
from streamline.testing.simulation import Fabric, Machine, Simulation, Weather
from streamline.wire.codec import encode
from streamline.wire.header import read_request_header, response_header
from streamline.wire.messages.cluster import DescribeClusterBroker, DescribeClusterResponse

KAFKA_PORT, CLUSTER_PORT = 9092, 9093
_LENGTH = Struct(">i")


class Doorman(Protocol):
    """The Kafka listener of a node that does not serve yet, as far as other nodes ask it."""

    def __init__(self, controllers: Callable[[], Controllers | None]) -> None:
        self._controllers = controllers
        self._received = b""

    def dataReceived(self, data: bytes) -> None:
        """Answer DescribeCluster."""
        self._received += data
        while len(self._received) >= 4:
            (length,) = _LENGTH.unpack_from(self._received)
            frame, rest = self._received[4 : 4 + length], self._received[4 + length :]
            if len(frame) < length:
                return
            self._received = rest
            header = read_request_header(frame)
            known = self._controllers()
            assert known is not None and self.transport is not None
            answer = DescribeClusterResponse(
                endpoint_type=2,
                cluster_id=known.cluster_id,
                controller_id=known.leader_id,
                brokers=[DescribeClusterBroker(broker_id=key, host=at.host, port=at.port) for key, at in known.nodes],
            )
            head = response_header(header.api_key, header.api_version, header.correlation_id)
            body = head + encode(answer, header.api_version)
            self.transport.write(_LENGTH.pack(len(body)) + body)


class FoundingNode:
    """
    One machine, and a node on it that starts, founds or joins, and agrees with the others.

    @ivar ended: what became of its start, once that is known.
    """

    room: ClusterRoom
    metadata: Metadata
    quorum: RaftConsensus

    def __init__(
        self,
        fabric: Fabric,
        node_id: int,
        seeds: Sequence[int],
        *,
        place: int | None = None,
        name: str = "",
        **settings: Any,
    ) -> None:
        place = node_id if place is None else place
        self.machine = Machine(fabric, name or f"n{place}", f"10.0.0.{place}")
        self.node_id = node_id
        self.config = NodeConfig(
            node_id=node_id,
            listen=f"tcp:{KAFKA_PORT}:interface={self.machine.host}",
            cluster_listen=f"tcp:{CLUSTER_PORT}:interface={self.machine.host}",
            seed_nodes=tuple(Endpoint(f"10.0.0.{seed}", KAFKA_PORT) for seed in seeds),
            data_dir="/data",
            **settings,
        )
        self.ended: list[Any] = []

    def start(self) -> None:
        """Start it, or start it again."""
        process = self.machine.start()
        self.ended = []
        process.reactor.callLater(0, self._begin, process.host)

    def _begin(self, host: Host) -> None:
        ensureDeferred(self._form(host)).addBoth(self.ended.append)

    async def _form(self, host: Host) -> None:
        directory = DataDirectory(host, self.config)
        directory.open()
        self.quorum = RaftConsensus(host, self.config)
        self.metadata = Metadata(self.quorum)
        own = Endpoint(self.machine.host, KAFKA_PORT)
        self.room = room = ClusterRoom(host, self.config, directory, self.quorum, lambda: own)
        await host.network.listen(self.config.listen, Factory.forProtocol(lambda: Doorman(room.controllers)))
        self.made(host)
        await room.startService()
        self.metadata.listen(lambda old, new: self._became(directory, new.cluster_id))
        self.quorum.listen(self._leads)
        await room.form(self.metadata)
        self._leads(self.quorum.leader_id, 0)

    def made(self, host: Host) -> None:
        """Do something with the parts, before any of them has started."""

    def _became(self, directory: DataDirectory, cluster_id: str) -> None:
        if cluster_id:
            self.room.peers.became(cluster_id)
            directory.join(cluster_id)

    def _leads(self, leader_id: int | None, term: int) -> None:
        if leader_id == self.node_id and not self.metadata.image.cluster_id:
            command = FoundCluster(cluster_id=f"cluster-of-{self.node_id}-{term}")
            self.metadata.propose(command).addErrback(_not_agreed)

    @property
    def cluster_id(self) -> str:
        """The cluster that it is in, as far as it knows."""
        return self.metadata.image.cluster_id if self.machine.running and self.ended == [None] else ""

    @property
    def voters(self) -> list[int]:
        """Who votes."""
        return sorted(one.key.node_id for one in self.quorum.configuration.voters)


def _not_agreed(failure: Failure) -> None:
    failure.trap(Refused)


class FoundingWorld:
    """Some of these nodes."""

    def __init__(self, seed: int = 1, weather: Weather | None = None) -> None:
        self.simulation = Simulation(seed)
        self.fabric = Fabric.of(self.simulation, weather or Weather(split_chance=0.1))
        self.nodes: list[FoundingNode] = []

    def node(self, node_id: int, seeds: Sequence[int] = (), **more: Any) -> FoundingNode:
        """Make a node."""
        made = FoundingNode(self.fabric, node_id, seeds, **more)
        self.nodes.append(made)
        return made

    def three(self) -> list[FoundingNode]:
        """Make three that know each other."""
        return [self.node(node_id, [1, 2, 3]) for node_id in (1, 2, 3)]

    def run(self, seconds: float, enough: Callable[[], bool] | None = None) -> bool:
        """Let time pass until something is so; return whether it is."""
        self.simulation.run(self.simulation.now + seconds, enough)
        return enough is None or enough()

    def is_one(self) -> bool:
        """Whether all nodes are in the same cluster."""
        ids = {node.cluster_id for node in self.nodes}
        return len(ids) == 1 and ids != {""}


