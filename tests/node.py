"""A production node in a simulated world, and clients that speak to it in bytes."""

from __future__ import annotations

from struct import Struct
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import ITransport
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from streamline.api.call import BrokerServices
from streamline.assembly import Node, build
from streamline.config import BrokerConfig, NodeConfig
from streamline.testing.simulation import Fabric, Machine, Simulation, Weather
from streamline.wire.codec import decode, encode
from streamline.wire.header import read_response_header, write_request_header
from streamline.wire.messages import RESPONSES
from streamline.wire.records import Record, build_batch
from streamline.wire.schema import Message

HOST = "10.0.0.1"
PORT = 9092
PATIENCE_S = 10.0
"""How long a test waits for an answer, in simulated seconds."""

_LENGTH = Struct(">i")


class Client(Protocol):
    """
    One connection of a client.

    @ivar answers: what came back, by correlation id.
    @ivar is_lost: whether the connection has ended.
    """

    def __init__(self, world: SimNode) -> None:
        self.answers: dict[int, Any] = {}
        self.is_lost = False
        self._world = world
        self._asked: dict[int, tuple[int, int]] = {}
        self._received = b""

    def dataReceived(self, data: bytes) -> None:
        """Take the frames that are whole."""
        self._received += data
        while len(self._received) >= 4:
            (length,) = _LENGTH.unpack_from(self._received)
            if len(self._received) < 4 + length:
                return
            frame, self._received = self._received[4 : 4 + length], self._received[4 + length :]
            (correlation_id,) = _LENGTH.unpack_from(frame)
            key, version = self._asked.pop(correlation_id)
            _, at = read_response_header(frame, key, version)
            self.answers[correlation_id] = decode(RESPONSES[key], version, frame[at:])

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Note it."""
        self.is_lost = True

    def send(self, request: Message, version: int | None = None, client_id: str | None = "tester") -> int:
        """Send a request, by default of the highest version; return its correlation id."""
        key = request.KEY
        version = request.VERSIONS[1] if version is None else version
        correlation_id = self._world.next_correlation_id()
        self._asked[correlation_id] = key, version
        frame = write_request_header(key, version, correlation_id, client_id) + encode(request, version)
        transport: ITransport | None = self.transport
        assert transport is not None
        transport.write(_LENGTH.pack(len(frame)) + frame)
        return correlation_id

    def answer(self, correlation_id: int, patience_s: float = PATIENCE_S) -> Any:
        """Wait for the answer to a request."""
        simulation = self._world.simulation
        simulation.run(simulation.now + patience_s, lambda: correlation_id in self.answers or self.is_lost)
        assert correlation_id in self.answers, "the connection was closed" if self.is_lost else "no answer came"
        return self.answers.pop(correlation_id)

    def ask(self, request: Message, version: int | None = None) -> Any:
        """Send a request and wait for its answer."""
        return self.answer(self.send(request, version))


class SimNode:
    """
    A machine on which a node runs, and another for its clients.

    @ivar node: the node that runs, or ran last.
    @ivar server: the machine that it runs on.
    """

    node: Node

    def __init__(self, seed: int = 1, **broker: Any) -> None:
        self.simulation = Simulation(seed)
        fabric = Fabric.of(self.simulation, Weather(split_chance=0.0))
        self.server = Machine(fabric, "n1", HOST)
        self._clients = Machine(fabric, "c1", "10.0.0.2")
        self._network = self._clients.start().network
        self._config = NodeConfig(
            listen=f"tcp:{PORT}:interface={HOST}",
            data_dir="/data",
            broker=BrokerConfig(**broker),
        )
        self._correlation_id = 0
        self.start()

    @property
    def broker(self) -> BrokerServices:
        """The services of the running node."""
        return self.node.broker

    def start(self) -> None:
        """Start the node and wait until it serves."""
        host = self.server.start().host
        self.node = build(self._config, host)
        started: list[Any] = []
        self.node.startService().addBoth(started.append)
        self.simulation.run(self.simulation.now + PATIENCE_S, lambda: bool(started))
        assert started == [None], started

    def kill(self, *, power: bool = False) -> None:
        """End the process in the middle of whatever it does."""
        self.server.crash(power=power)
        self.later(0.1)

    def stop(self) -> None:
        """Let the node end in peace."""
        stopped: list[Any] = []
        self.node.stopService().addBoth(stopped.append)
        self.simulation.run(self.simulation.now + PATIENCE_S, lambda: bool(stopped))
        assert stopped == [None], stopped
        self.server.crash(power=False)
        self.later(0.1)

    def later(self, seconds: float) -> None:
        """Let time pass."""
        self.simulation.run(self.simulation.now + seconds)

    def client(self) -> Client:
        """Connect a client."""
        made = Client(self)
        connected: Deferred[Any] = self._network.connect(HOST, PORT, Factory.forProtocol(lambda: made), 5.0)
        there: list[Any] = []
        connected.addBoth(there.append)
        self.simulation.run(self.simulation.now + PATIENCE_S, lambda: bool(there))
        assert there == [made], there
        return made

    def next_correlation_id(self) -> int:
        """Return a correlation id that no other request has."""
        self._correlation_id += 1
        return self._correlation_id

    def append(self, topic: str, index: int, *records: Record) -> int:
        """Write records into a partition past every check of the api; return the first one's offset."""
        receipt = self.broker.replicas.append_now(topic, index, build_batch(records), -1)
        assert receipt.refusal is None, receipt.refusal
        return receipt.base_offset
