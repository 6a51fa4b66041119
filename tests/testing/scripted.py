"""A broker that says what a test tells it to, for clients in the simulated world."""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Any

from twisted.internet.protocol import Factory, Protocol

from streamline.model import Endpoint
from streamline.testing.simulation import Fabric, Machine, Simulation, Weather
from streamline.wire.codec import decode, encode
from streamline.wire.frame import Frames
from streamline.wire.header import flexible_of, read_request_header, response_header_version
from streamline.wire.messages import REQUESTS
from streamline.wire.messages.api_versions import ApiVersion, ApiVersionsRequest, ApiVersionsResponse
from streamline.wire.messages.metadata import (
    MetadataRequest,
    MetadataResponse,
    MetadataResponseBroker,
    MetadataResponsePartition,
    MetadataResponseTopic,
)
from streamline.wire.schema import Message

HOST, PORT = "10.0.0.1", 9092
TOPIC_ID = bytes(range(16))

Answer = Callable[[Any], Any]
"""Takes a request; returns the answer, bytes to be sent as they are, or None to say nothing."""

_ID = Struct(">i").pack


class ScriptedBroker(Factory):
    """
    The broker, on a machine of its own.

    @ivar asked: every request that came, with its version.
    @ivar answers: what to do with requests, by type.
    @ivar open: the connections.
    """

    def __init__(self, versions: dict[type[Message], int]) -> None:
        self.asked: list[tuple[Any, int]] = []
        self.open: list[_Served] = []
        self.simulation = Simulation(1)
        self.fabric = Fabric.of(self.simulation, Weather(split_chance=0.0))
        self.machine = Machine(self.fabric, "n1", HOST)
        self.machine.start().network.listen(f"tcp:{PORT}:interface={HOST}", self)
        client = Machine(self.fabric, "c1", "10.0.1.1").start()
        self.client_host = client.host
        self.address = Endpoint(HOST, PORT)
        keys = [ApiVersion(api_key=cls.KEY, min_version=at, max_version=at) for cls, at in versions.items()]
        self.answers: dict[type[Message], Answer] = {
            ApiVersionsRequest: lambda _: ApiVersionsResponse(error_code=0, api_keys=keys),
            MetadataRequest: _topics,
        }

    def buildProtocol(self, addr: object) -> _Served:
        """Serve a connection."""
        return _Served(self)

    def later(self, seconds: float) -> None:
        """Let time pass."""
        self.simulation.run(self.simulation.now + seconds)

    def of(self, cls: type[Message]) -> list[Any]:
        """Return the requests of one type."""
        return [request for request, _ in self.asked if isinstance(request, cls)]


class _Served(Protocol):
    transport: Any

    def __init__(self, broker: ScriptedBroker) -> None:
        self._broker = broker
        self._frames = Frames(1 << 20)

    def hang_up(self) -> None:
        """End the connection."""
        self.transport.abortConnection()

    def connectionMade(self) -> None:
        self._broker.open.append(self)

    def connectionLost(self, reason: Any = None) -> None:
        self._broker.open.remove(self)

    def dataReceived(self, data: bytes) -> None:
        for frame in self._frames.feed(data):
            header = read_request_header(frame)
            cls = REQUESTS[header.api_key]
            request = decode(cls, header.api_version, memoryview(frame)[header.at :])
            self._broker.asked.append((request, header.api_version))
            answer = self._broker.answers[cls](request)
            if isinstance(answer, bytes):
                self.transport.write(answer)
            elif answer is not None:
                flexible = bool(flexible_of(header.api_key, header.api_version))
                tags = b"\0" * response_header_version(header.api_key, flexible)
                body = _ID(header.correlation_id) + tags + encode(answer, header.api_version)
                self.transport.write(_ID(len(body)) + body)


def _topics(request: MetadataRequest) -> MetadataResponse:
    part = MetadataResponsePartition(partition_index=0, leader_id=1, leader_epoch=0, replica_nodes=[1], isr_nodes=[1])
    topics = [
        MetadataResponseTopic(name=topic.name, topic_id=TOPIC_ID, partitions=[part]) for topic in request.topics or []
    ]
    return MetadataResponse(brokers=[MetadataResponseBroker(node_id=1, host=HOST, port=PORT)], topics=topics)
