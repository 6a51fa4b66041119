"""Links between nodes that are processes: each direction of a connection is cut, slowed and mended for itself."""

from __future__ import annotations

import socket
from random import Random
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from streamline.testing.embedded.legs import LATE_BYTES_MAX, OPEN, Leg, Link
from streamline.testing.embedded.ports import LOOPBACK, ReservedPort
from streamline.testing.embedded.proxies import Proxy
from streamline.testing.embedded.reactors import NodeReactor
from streamline.testing.embedded.turning import Turner
from streamline.wire.header import write_request_header

CUT = Link(is_cut=True)
SLOW = Link(delay_s=(0.1, 0.3))
PATIENCE_S = 30.0
SILENCE_S = 0.05
HEARD_KEY = 55


class LegTests(SynchronousTestCase):
    """Two halves of a connection, and what one says to the other."""

    def setUp(self) -> None:
        """Join them."""
        self.clock = Clock()
        self.one, self.other = self.leg(), self.leg()
        self.one.join(self.other)

    def leg(self) -> Leg:
        """Make a half."""
        leg = Leg(self.clock, Random(1))
        leg.makeConnection(StringTransport())
        return leg

    def heard(self, leg: Leg) -> bytes:
        """Return what arrived at a half's node since this was asked last."""
        transport: Any = leg.transport
        data: bytes = transport.value()
        transport.clear()
        return data

    def is_read(self, leg: Leg) -> bool:
        """Say whether anybody listens to a half's node."""
        transport: Any = leg.transport
        return bool(transport.producerState == "producing")

    def end(self, leg: Leg) -> None:
        """Have a node hang up."""
        leg.connectionLost(Failure(ConnectionDone()))

    def has_hung_up(self, leg: Leg) -> bool:
        """Say whether the proxy hung up on a half's node."""
        transport: Any = leg.transport
        return bool(transport.disconnecting)

    def test_open(self) -> None:
        """Everything arrives at once, in both directions, the end included."""
        self.one.dataReceived(b"there")
        self.other.dataReceived(b"back")
        self.assertEqual((self.heard(self.other), self.heard(self.one)), (b"there", b"back"))
        self.end(self.one)
        self.assertTrue(self.has_hung_up(self.other))

    def test_cut_in_one_direction(self) -> None:
        """Nobody reads what the one says; it still hears the other."""
        self.one.travel(CUT)
        self.assertEqual((self.is_read(self.one), self.is_read(self.other)), (False, True))
        self.other.dataReceived(b"back")
        self.assertEqual(self.heard(self.one), b"back")
        self.one.travel(OPEN)
        self.assertTrue(self.is_read(self.one))

    def test_an_end_that_cannot_be_told(self) -> None:
        """It is told when the link is mended."""
        self.one.travel(CUT)
        self.end(self.one)
        self.assertFalse(self.has_hung_up(self.other))
        self.one.travel(OPEN)
        self.assertTrue(self.has_hung_up(self.other))

    def test_late(self) -> None:
        """What takes its time arrives in its order, and the end after all of it."""
        self.one.travel(SLOW)
        said = [b"%d " % number for number in range(20)]
        for data in said:
            self.one.dataReceived(data)
        self.end(self.one)
        self.assertEqual(self.heard(self.other), b"")
        self.clock.advance(0.09)
        self.assertEqual(self.heard(self.other), b"")
        self.clock.advance(0.1)
        first = self.heard(self.other)
        self.assertTrue(b"".join(said).startswith(first))
        self.assertFalse(self.has_hung_up(self.other))
        self.clock.advance(0.11)
        self.assertEqual(first + self.heard(self.other), b"".join(said))
        self.assertTrue(self.has_hung_up(self.other))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_late_then_open(self) -> None:
        """What was said later does not overtake what is still on its way."""
        self.one.travel(SLOW)
        self.one.dataReceived(b"first ")
        self.one.travel(OPEN)
        self.one.dataReceived(b"second")
        self.clock.advance(0.3)
        self.assertEqual(self.heard(self.other), b"first second")

    def test_late_then_cut(self) -> None:
        """What is on its way stays there."""
        self.one.travel(SLOW)
        self.one.dataReceived(b"first")
        self.one.travel(CUT)
        self.clock.advance(1.0)
        self.assertEqual(self.heard(self.other), b"")
        self.one.travel(OPEN)
        self.assertEqual(self.heard(self.other), b"first")

    def test_much_on_its_way(self) -> None:
        """It is not read without end."""
        self.one.travel(SLOW)
        self.one.dataReceived(bytes(LATE_BYTES_MAX + 1))
        self.assertFalse(self.is_read(self.one))
        self.clock.advance(0.3)
        self.assertTrue(self.is_read(self.one))

    def test_who_cannot_take_more(self) -> None:
        """What the one says is not read meanwhile, and also not once he can, while the link is cut."""
        transport: Any = self.other.transport
        transport.producer.pauseProducing()
        self.assertFalse(self.is_read(self.one))
        self.one.travel(CUT)
        transport.producer.resumeProducing()
        self.assertFalse(self.is_read(self.one))
        self.one.travel(OPEN)
        self.assertTrue(self.is_read(self.one))


class ProxyTests(SynchronousTestCase):
    """Connections of node 1 to node 2, through the proxy in front of that one."""

    def setUp(self) -> None:
        """Have node 2 listen, and a proxy before it."""
        self.turner, self.reactor = Turner("test"), NodeReactor("test")
        self.ask(self.turner.put_in, self.reactor)
        self.addCleanup(self.turner.close)
        self.addCleanup(self.reactor.die)
        self.addCleanup(self.ask, self.turner.take_out, self.reactor)
        front, behind = ReservedPort(), ReservedPort()
        self.links: dict[tuple[int, int], Link] = {}
        self.proxy = Proxy(self.reactor, 2, front, behind, self.links, Random(1))
        for port in (front, behind):
            self.addCleanup(port.release)
        self.ask(self.proxy.open)
        self.front = front.number
        self.server = socket.create_server((LOOPBACK, behind.number))
        self.server.settimeout(PATIENCE_S)
        self.addCleanup(self.server.close)

    def ask(self, function: Any, *args: object) -> Any:
        """Call something in the proxy's thread."""
        return self.turner.ask(function, *args, what="a test", timeout_s=PATIENCE_S)

    def change(self, links: dict[tuple[int, int], Link]) -> None:
        """Have these links, and otherwise open ones."""
        self.links.clear()
        self.links.update(links)
        self.ask(self.proxy.changed)

    def call(self) -> socket.socket:
        """Connect as node 1, and say so."""
        caller = socket.create_connection((LOOPBACK, self.front), PATIENCE_S)
        self.addCleanup(caller.close)
        header = write_request_header(HEARD_KEY, 0, 1, "streamline-1")
        caller.sendall(len(header).to_bytes(4, "big") + header)
        return caller

    def taken(self) -> socket.socket:
        """Take a connection as node 2, and what node 1 says first."""
        called, _ = self.server.accept()
        self.addCleanup(called.close)
        called.settimeout(PATIENCE_S)
        self.assertIn(b"streamline-1", called.recv(100))
        return called

    def silent(self, one: socket.socket) -> None:
        """See that nothing comes."""
        one.settimeout(SILENCE_S)
        self.assertRaises(TimeoutError, one.recv, 1)
        one.settimeout(PATIENCE_S)

    def test_one_direction(self) -> None:
        """Node 2 does not hear node 1, which hears it; then it hears all."""
        caller = self.call()
        called = self.taken()
        self.change({(1, 2): CUT})
        caller.sendall(b"there")
        called.sendall(b"back")
        self.assertEqual(caller.recv(9), b"back")
        self.silent(called)
        self.change({})
        self.assertEqual(called.recv(9), b"there")

    def test_the_other_direction(self) -> None:
        """Links have a direction whoever has opened the connection."""
        caller = self.call()
        called = self.taken()
        self.change({(2, 1): CUT})
        caller.sendall(b"there")
        called.sendall(b"back")
        self.assertEqual(called.recv(9), b"there")
        self.silent(caller)
        called.close()
        self.silent(caller)
        self.change({})
        self.assertEqual(caller.recv(9), b"back")
        self.assertEqual(caller.recv(9), b"")

    def test_connecting_over_a_cut_link(self) -> None:
        """Nobody arrives, whichever direction is cut, before it is mended."""
        for link in ((1, 2), (2, 1)):
            self.change({link: CUT})
            caller = self.call()
            self.silent(caller)
            self.server.settimeout(SILENCE_S)
            self.assertRaises(TimeoutError, self.server.accept)
            self.server.settimeout(PATIENCE_S)
            self.change({})
            self.taken()

    def test_others_are_not_concerned(self) -> None:
        """A link between other nodes, or to other nodes, is another one."""
        self.change({(3, 2): CUT, (1, 3): CUT, (2, 3): CUT})
        self.call()
        self.taken()

    def test_reset(self) -> None:
        """Who was cut off finds his connection ended, and nothing of what was said arrives; others go on."""
        caller = self.call()
        called = self.taken()
        self.change({(3, 2): CUT})
        self.ask(self.proxy.reset)
        called.sendall(b"back")
        self.assertEqual(caller.recv(9), b"back")
        self.change({(1, 2): CUT})
        caller.sendall(b"there")
        self.ask(self.proxy.reset)
        self.change({})
        for one in (caller, called):
            self.assertRaises(ConnectionResetError, one.recv, 9)

    def test_resets(self) -> None:
        """They come by themselves where a link is such."""
        caller = self.call()
        self.taken()
        self.change({(1, 2): Link(resets_per_s=10.0)})
        self.assertRaises(ConnectionResetError, caller.recv, 9)
