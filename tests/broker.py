"""
A production node in a simulated world, and clients that talk to it byte by byte.

The node is what C{assembly.build} makes, on the simulator's clock and disk.  A
L{Client} is a real L{KafkaConnection} on a transport in memory: frames in,
frames out, nothing in between that could be kinder than a socket.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar, cast

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IProtocol, IPushProducer, IReactorTime
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from streamline.assembly import Node, build
from streamline.config import BrokerConfig, NodeConfig
from streamline.errors import ErrorCode
from streamline.model import ZERO_UUID
from streamline.net.connection import KafkaConnection
from streamline.services.replica import Replica
from streamline.testing.simulation import Fabric, Machine, Simulation, Weather
from streamline.testing.simulation.machine import Process
from streamline.wire.codec import decode, encode
from streamline.wire.header import flexible_of, read_response_header, write_request_header
from streamline.wire.messages import REQUESTS, RESPONSES
from streamline.wire.messages.fetch import FetchPartition, FetchRequest, FetchResponse, FetchTopic, PartitionData
from streamline.wire.messages.produce import (
    PartitionProduceData,
    PartitionProduceResponse,
    ProduceRequest,
    TopicProduceData,
)
from streamline.wire.messages.topics import (
    CreatableTopic,
    CreatableTopicConfig,
    CreateTopicsRequest,
    CreateTopicsResponse,
)
from streamline.wire.records import Record, build_batch
from streamline.wire.schema import Message

M = TypeVar("M", bound=Message)

HOST = "10.0.0.1"
DATA = "/data"
SOON_S = 0.05
"""Enough for every sync that nothing holds up."""
QUIET = {"log_space_reserve_bytes": 0}


class Wire(StringTransport):
    """
    A transport that closes as a socket does: in a turn of its own, and once everything has been taken.

    @ivar is_stuck: whether the client takes nothing, so that only an abort closes it.
    """

    def __init__(self, clock: IReactorTime, address: str, port: int = 50_000) -> None:
        super().__init__(IPv4Address("TCP", HOST, 9092), IPv4Address("TCP", address, port))
        self.protocol: IProtocol | None = None
        self.aborted = False
        self.is_stuck = False
        self._clock = clock

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Nothing waits here."""

    def loseConnection(self) -> None:
        """Close once everything has been taken."""
        if not self.disconnecting:
            self.disconnecting = True
            self.is_closable()

    def is_closable(self) -> None:
        """Close, if that was asked for and nothing is stuck."""
        if self.disconnecting and not self.is_stuck:
            self._clock.callLater(0, self._lost)

    def abortConnection(self) -> None:
        """Close at once."""
        if not self.aborted:
            self.aborted = self.disconnecting = True
            self._clock.callLater(0, self._lost)

    def _lost(self) -> None:
        protocol, self.protocol = self.protocol, None
        if protocol is not None:
            self.connected = False
            protocol.connectionLost(Failure(ConnectionDone()))


class Client:
    """
    One client of a node.

    @ivar answers: the frames that came and have not been taken, correlation id first.
    """

    def __init__(self, node: Node, address: str = "10.0.0.9") -> None:
        connection = node.factory.buildProtocol(IPv4Address("TCP", address, 50_000))
        self.wire = Wire(node.broker.host.clock, address)
        self.is_let_in = connection is not None
        if connection is None:
            return
        self.connection: KafkaConnection = connection
        self._next_id = 0
        self._asked: dict[int, tuple[int, int]] = {}
        self._buffer = b""
        self.wire.protocol = connection
        connection.makeConnection(self.wire)

    # Bytes

    @property
    def is_closed(self) -> bool:
        """Whether the node has ended the connection."""
        return self.wire.disconnecting or self.wire.aborted

    @property
    def is_read(self) -> bool:
        """Whether the node reads from the socket."""
        return self.wire.producerState == "producing"

    def give(self, data: bytes) -> None:
        """Let bytes arrive; a node that does not read gets none."""
        assert self.is_read, "the node has stopped reading"
        if not self.is_closed:
            self.connection.dataReceived(data)

    def hang_up(self) -> None:
        """Close the connection from our side."""
        self.wire.abortConnection()

    def stop_reading(self) -> None:
        """Fill the socket's buffers, so that the transport asks for a pause."""
        self.wire.is_stuck = True
        cast(IPushProducer, self.wire.producer).pauseProducing()

    def read_on(self) -> None:
        """Empty them again."""
        self.wire.is_stuck = False
        self.wire.is_closable()
        producer: IPushProducer | None = self.wire.producer
        if producer is not None:
            producer.resumeProducing()

    def frames(self) -> Iterator[bytes]:
        """Take the frames that came."""
        self._buffer += self.wire.value()
        self.wire.clear()
        while len(self._buffer) >= 4:
            end = 4 + int.from_bytes(self._buffer[:4], "big")
            if len(self._buffer) < end:
                return
            frame, self._buffer = self._buffer[4:end], self._buffer[end:]
            yield frame

    # Messages

    def frame(self, request: Message, version: int | None = None, client_id: str | None = "test") -> bytes:
        """Return a request as it goes over the wire."""
        key = type(request).KEY
        version = type(request).VERSIONS[1] if version is None else version
        self._next_id += 1
        self._asked[self._next_id] = key, version
        body = write_request_header(key, version, self._next_id, client_id) + encode(request, version)
        return len(body).to_bytes(4, "big") + body

    def send(self, request: Message, version: int | None = None) -> int:
        """Send a request; return its correlation id."""
        self.give(self.frame(request, version))
        return self._next_id

    def answers(self) -> list[tuple[int, Any]]:
        """Take the answers that came, with their correlation ids."""
        found = []
        for frame in self.frames():
            key, version = self._asked.pop(int.from_bytes(frame[:4], "big"))
            correlation_id, at = read_response_header(frame, key, version)
            found.append((correlation_id, decode(RESPONSES[key], version, frame[at:])))
        return found


class Broker:
    """
    A node, its world, and its clients.

    @ivar node: what C{assembly.build} made, started.
    """

    def __init__(
        self, seed: int = 1, *, storage: str = "memory", broker: dict[str, Any] | None = None, **options: Any
    ) -> None:
        self.simulation = Simulation(seed)
        fabric = Fabric.of(self.simulation, Weather())
        self.machine = Machine(fabric, "a", HOST)
        settings = BrokerConfig(**{**QUIET, **(broker or {})})
        listen = options.pop("listen", f"tcp:9092:interface={HOST}")
        self.config = NodeConfig(
            listen=listen, http_listen=None, data_dir=DATA, storage=storage, broker=settings, **options
        )
        self.process: Process
        self.node: Node

    def start(self) -> Broker:
        """Start the node; fails the test where it does not come up."""
        outcome: list[Any] = []
        self.begin().addBoth(outcome.append)
        self.until(lambda: bool(outcome))
        if isinstance(outcome[0], Failure):
            outcome[0].raiseException()
        return self

    def begin(self) -> Deferred[None]:
        """Start the node in a new process."""
        self.process = self.machine.start()
        self.node = build(self.config, self.process.host)
        return self.node.startService()

    def stop(self) -> None:
        """Stop the node cleanly; nothing of it may be left."""
        outcome: list[Any] = []
        self.node.stopService().addBoth(outcome.append)
        self.until(lambda: bool(outcome))
        assert outcome == [None], outcome
        left = self.process.reactor.getDelayedCalls()
        assert not left, f"timers were left: {left}"
        self.machine.crash(power=False)

    def crash(self, *, power: bool = False) -> None:
        """End the process as it stands."""
        self.machine.crash(power=power)

    def wait(self, seconds: float = SOON_S) -> None:
        """Let time pass."""
        self.simulation.run(self.simulation.now + seconds)

    def until(self, enough: Any, seconds: float = 60.0) -> None:
        """Let time pass until something is so."""
        if not enough():
            self.simulation.run(self.simulation.now + seconds, enough)
        assert enough(), f"it did not come to that within {seconds} s"

    def connect(self, address: str = "10.0.0.9") -> Client:
        """Connect a client."""
        return Client(self.node, address)

    def ask(self, request: Message, version: int | None = None, client: Client | None = None) -> Any:
        """Send a request and return its answer."""
        client = client or self.connect()
        wanted = client.send(request, version)
        found: list[tuple[int, Any]] = []

        def has_come() -> bool:
            found.extend(client.answers())
            return bool(found) or client.is_closed

        self.until(has_come)
        assert found, "the node closed the connection"
        assert [wanted] == [correlation_id for correlation_id, _ in found]
        return found[0][1]

    # What most tests begin with

    def create(self, name: str, partitions: int = 1, **configs: str) -> bytes:
        """Make a topic; return its id."""
        result = self.try_to_create(
            CreatableTopic(
                name=name, num_partitions=partitions, replication_factor=1, configs=as_configs(configs)
            )
        )
        assert result.error_code == ErrorCode.NONE, (result.error_code, result.error_message)
        topic_id: bytes = result.topic_id
        return topic_id

    def try_to_create(self, *topics: CreatableTopic, version: int = 7, validate_only: bool = False) -> Any:
        """Ask for topics; return the result of the first."""
        request = CreateTopicsRequest(topics=list(topics), timeout_ms=10_000, validate_only=validate_only)
        response: CreateTopicsResponse = self.ask(request, version)
        return response.topics[0]

    def partition(self, topic: str, index: int = 0) -> Replica:
        """Return a partition as its leader sees it."""
        return self.node.broker.replicas.leading(topic, index)

    def produce(
        self, topic: str, batch: bytes | None, *, index: int = 0, acks: int = -1, version: int = 9, **more: Any
    ) -> PartitionProduceResponse:
        """Produce one batch and return what is said of it."""
        request = produce_request(topic, batch, index=index, acks=acks, **more)
        result: PartitionProduceResponse = self.ask(request, version).responses[0].partition_responses[0]
        return result

    def fetch(self, topic: str, offset: int = 0, *, index: int = 0, version: int = 12, **more: Any) -> PartitionData:
        """Fetch from one partition, without waiting, and return what came."""
        request = fetch_request(topic, offset, index=index, **more)
        response: FetchResponse = self.ask(request, version)
        assert response.error_code == ErrorCode.NONE, response.error_code
        data: PartitionData = response.responses[0].partitions[0]
        return data


    def fetch_later(
        self, topic: str, offset: int = 0, *, client: Client, version: int = 12, min_bytes: int = 1, **more: Any
    ) -> int:
        """Send a fetch that waits for a byte; return its correlation id."""
        return client.send(fetch_request(topic, offset, min_bytes=min_bytes, **more), version)


def as_configs(configs: dict[str, str]) -> list[CreatableTopicConfig]:
    """Return settings, underscores for dots, as CreateTopics has them."""
    return [CreatableTopicConfig(name=name.replace("_", "."), value=value) for name, value in configs.items()]


def batch_of(*values: bytes, timestamp: int = -1, key: bytes | None = b"k", **more: Any) -> bytes:
    """Return a batch of records with these values."""
    return build_batch([Record(value, key, timestamp) for value in values], **more)


def produce_request(
    topic: str, batch: bytes | None, *, index: int = 0, acks: int = -1, timeout_ms: int = 30_000,
    topic_id: bytes = ZERO_UUID,
) -> ProduceRequest:  # fmt: skip
    """Return a request that produces one batch."""
    part = PartitionProduceData(index=index, records=batch)
    data = TopicProduceData(name=topic, topic_id=topic_id, partition_data=[part])
    return ProduceRequest(acks=acks, timeout_ms=timeout_ms, topic_data=[data])


def fetch_request(
    topic: str, offset: int = 0, *, index: int = 0, min_bytes: int = 0, max_bytes: int = 1 << 20,
    max_wait_ms: int = 0, partition_max_bytes: int = 1 << 20, epoch: int = -1, last_epoch: int = -1,
    topic_id: bytes = ZERO_UUID, **more: Any,
) -> FetchRequest:  # fmt: skip
    """Return a request that fetches from one partition."""
    part = FetchPartition(
        partition=index, fetch_offset=offset, partition_max_bytes=partition_max_bytes,
        current_leader_epoch=epoch, last_fetched_epoch=last_epoch,
    )  # fmt: skip
    return FetchRequest(
        min_bytes=min_bytes, max_bytes=max_bytes, max_wait_ms=max_wait_ms, isolation_level=0,
        topics=[FetchTopic(topic=topic, topic_id=topic_id, partitions=[part])], **more,
    )  # fmt: skip


def joined(data: PartitionData) -> bytes:
    """Return the records of a fetch as one string of bytes."""
    records = data.records
    if records is None:
        return b""
    return bytes(records) if isinstance(records, bytes | bytearray | memoryview) else b"".join(records)


def is_flexible(key: int, version: int) -> bool:
    """Say whether a request is flexible in a version."""
    return bool(flexible_of(key, version))


def lowest(key: int) -> int:
    """Return the lowest version of an API's requests."""
    return REQUESTS[key].VERSIONS[0]
