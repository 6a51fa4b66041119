"""Requests between nodes that begin like one that was read, and so need not be read."""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from streamline.net.peer import USUAL_BYTES_MAX, PeerConnection
from streamline.net.peer_apis import Guest, PeerApi
from streamline.testing.simulation import Fabric, Machine, Simulation, Weather
from streamline.wire.codec import encode
from streamline.wire.header import write_request_header
from streamline.wire.messages.peer import BrokerHeartbeatRequest, BrokerHeartbeatResponse
from tests.net.peer_case import Node, heartbeat, identity
from tests.net.test_peer import Wire, frame, hello

VERSION = BrokerHeartbeatRequest.VERSIONS[1]


class Took:
    """What was taken, and waits."""

    is_cancelled = False

    def cancel(self) -> None:
        """Hear that nobody waits any more."""
        self.is_cancelled = True


class UsualTests(SynchronousTestCase):
    """
    Node 2 asks node 1 again and again.

    @ivar read: the requests that were read.
    @ivar taken: what was taken from its bytes: the request's number, and its body.
    """

    def setUp(self) -> None:
        """Have it greeted."""
        simulation = Simulation(1)
        machine = Machine(Fabric.of(simulation, Weather()), "n1", "10.0.0.1")
        self.node = Node(machine.start().host, identity(1))
        self.read: list[Any] = []
        self.taken: list[tuple[int, bytes]] = []
        self.took = Took()
        self.takes = True
        self.node.factory.answer(
            PeerApi(
                request=BrokerHeartbeatRequest, response=BrokerHeartbeatResponse, answer=self.answer, take=self.take
            )
        )
        connection = self.node.factory.buildProtocol(None)
        assert connection is not None
        self.connection: PeerConnection = connection
        self.wire = Wire()
        connection.makeConnection(self.wire)
        connection.dataReceived(hello())
        self.wire.clear()

    def answer(self, guest: Guest, request: Any) -> Any:
        """Take one that was read."""
        self.read.append(request)
        return heartbeat(guest, request)

    def take(self, guest: Guest, asker: Any, number: int, data: bytes, at: int) -> Took | None:
        """Take one that was not, and answer it at once."""
        if not self.takes:
            return None
        self.taken.append((number, data[at:]))
        asker.respond([number.to_bytes(4, "big"), b"\0short"])
        return self.took

    def ask(self, number: int, client_id: str = "n2", broker_id: int = 2) -> bytes:
        """Send one; return the frame that came back."""
        self.wire.clear()
        body = encode(BrokerHeartbeatRequest(broker_id=broker_id), VERSION)
        header = write_request_header(BrokerHeartbeatRequest.KEY, VERSION, number, client_id, flexible=True)
        self.connection.dataReceived(frame(header, body))
        came: bytes = self.wire.value()
        return came

    def test_taken(self) -> None:
        """The first is read; others that begin so are not, whatever their numbers and their bodies are."""
        self.ask(5)
        for number in (6, 1 << 29):
            body = encode(BrokerHeartbeatRequest(broker_id=number), VERSION)
            self.assertEqual(self.ask(number, broker_id=number), frame(number.to_bytes(4, "big"), b"\0short"))
            self.assertEqual(self.taken[-1], (number, body))
        self.assertEqual([len(self.read), len(self.taken)], [1, 2])

    def test_not_taken(self) -> None:
        """What whoever takes them does not know is read."""
        self.takes = False
        answers = [self.ask(number) for number in (5, 6)]
        self.assertEqual([len(self.read), len(self.taken)], [2, 0])
        self.assertEqual(answers[0][8:], answers[1][8:])

    def test_another_beginning(self) -> None:
        """Another client id is another beginning; so is one that is long."""
        self.ask(5)
        self.ask(6, "n3")
        self.assertEqual(len(self.read), 2)
        self.ask(7, "n3")
        self.assertEqual([len(self.read), len(self.taken)], [2, 1])
        long = "n" * USUAL_BYTES_MAX
        self.ask(8, long)
        self.ask(9, long)
        self.assertEqual(len(self.read), 4)

    def test_a_node_that_takes_part_no_more(self) -> None:
        """It says that it is in no cluster, and may ask nothing of this kind."""
        self.ask(5)
        self.connection.dataReceived(hello(""))
        self.ask(6)
        self.assertEqual([len(self.taken), self.connection.is_closed], [0, True])

    def test_its_end(self) -> None:
        """Whoever waits hears that the connection has ended."""
        self.ask(5)
        self.ask(6)
        self.assertFalse(self.took.is_cancelled)
        self.connection.connectionLost(Failure(ConnectionDone()))
        self.assertTrue(self.took.is_cancelled)
