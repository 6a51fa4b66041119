"""Simulated connections: Twisted's transports over a network that misbehaves."""

from __future__ import annotations

from typing import Any

from twisted.internet import error
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol, IListeningPort, ITCPTransport
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from streamline.interfaces import INetwork
from streamline.testing.simulation import Fabric, Machine, Simulation, Weather


class Recorder(Protocol):
    """Keeps all that it is told."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.lost: type[BaseException] | None = None

    @property
    def data(self) -> bytes:
        """All bytes so far."""
        return b"".join(self.pieces)

    transport: Any

    def dataReceived(self, data: bytes) -> None:
        """Keep them."""
        self.pieces.append(data)

    def connectionLost(self, reason: Any = None) -> None:
        """Keep why."""
        self.lost = reason.type


class Recorders(Factory):
    """Makes recorders and keeps them."""

    protocol = Recorder

    def __init__(self, protocol: type[Recorder] = Recorder) -> None:
        self.made: list[Recorder] = []
        self.protocol = protocol

    def buildProtocol(self, addr: object) -> Recorder:
        """Make one."""
        self.made.append(self.protocol())
        return self.made[-1]


@implementer(IHalfCloseableProtocol)
class HalfCloseable(Recorder):
    """Goes on writing after it read the end."""

    ended = False

    def readConnectionLost(self) -> None:
        """Answer once more."""
        self.ended = True
        self.transport.write(b"answer")
        self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """Nothing."""


class Producer:
    """Counts how often it is paused and resumed."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def pauseProducing(self) -> None:
        """Count."""
        self.calls.append("pause")

    def resumeProducing(self) -> None:
        """Count."""
        self.calls.append("resume")

    def stopProducing(self) -> None:
        """Count."""
        self.calls.append("stop")


class NetworkCase(SynchronousTestCase):
    """Two machines, one of which listens on port 9092."""

    weather = Weather()
    served: type[Recorder] = Recorder

    def setUp(self) -> None:
        """Make them."""
        self.world(1)

    def world(self, seed: int) -> None:
        """Start from scratch."""
        self.simulation = Simulation(seed)
        self.fabric = Fabric.of(self.simulation, self.weather)
        self.server = Machine(self.fabric, "n1", "10.0.0.1")
        self.client = Machine(self.fabric, "c1", "10.0.0.2")
        self.listen()
        self.client.start()

    def listen(self) -> None:
        """Start the server."""
        self.accepted = Recorders(self.served)
        network = self.server.start().network
        self.port: IListeningPort = self.successResultOf(network.listen("tcp:9092:interface=10.0.0.1", self.accepted))

    def connect(self, port: int = 9092, timeout_s: float = 30.0) -> Deferred[Any]:
        """Begin to connect."""
        assert self.client.process is not None
        return self.client.process.network.connect("10.0.0.1", port, Recorders(), timeout_s)

    def connected(self) -> tuple[Recorder, Recorder]:
        """Return the client's and the server's protocol of a new connection."""
        attempt = self.connect()
        self.simulation.run(self.simulation.now + 0.1)
        return self.successResultOf(attempt), self.accepted.made[-1]

    def later(self, seconds: float) -> None:
        """Let time pass."""
        self.simulation.run(self.simulation.now + seconds)


class ConnectionTests(NetworkCase):
    """What a connection does when all is well."""

    def test_interfaces(self) -> None:
        """Network, port and transport have what their interfaces name."""
        assert self.client.process is not None
        verifyObject(INetwork, self.client.process.network)
        verifyObject(IListeningPort, self.port)
        here, _ = self.connected()
        verifyObject(ITCPTransport, here.transport)

    def test_bytes_both_ways(self) -> None:
        """Bytes arrive in order, later than they were sent, and both ends know where they are."""
        here, there = self.connected()
        here.transport.write(b"to")
        here.transport.writeSequence([b"ge", b"ther"])
        there.transport.write(b"back")
        self.assertEqual(there.data, b"")
        self.later(1)
        self.assertEqual([there.data, here.data], [b"together", b"back"])
        self.assertEqual(there.transport.getPeer(), here.transport.getHost())
        self.assertEqual(there.transport.getHost().port, 9092)
        here.transport.setTcpNoDelay(True)
        here.transport.setTcpKeepAlive(True)

    def test_orderly_close(self) -> None:
        """What was written before the close arrives; both ends hear of a clean end."""
        here, there = self.connected()
        here.transport.write(b"x" * 100_000)
        here.transport.loseConnection()
        self.later(1)
        self.assertEqual(len(there.data), 100_000)
        self.assertEqual([there.lost, here.lost], [error.ConnectionDone, error.ConnectionDone])

    def test_abort(self) -> None:
        """An aborted connection is lost, not closed, for the other end."""
        here, there = self.connected()
        here.transport.abortConnection()
        self.later(1)
        self.assertEqual([here.lost, there.lost], [error.ConnectionAborted, error.ConnectionLost])

    def test_back_pressure(self) -> None:
        """Who does not read stops the sender's producer, and nothing is lost when reading goes on."""
        here, there = self.connected()
        producer = Producer()
        here.transport.registerProducer(producer, True)
        there.transport.pauseProducing()
        for _ in range(10):
            here.transport.write(b"x" * 100_000)
        self.later(1)
        self.assertEqual([producer.calls[0], len(there.data)], ["pause", 0])
        self.assertNotIn("resume", producer.calls)
        there.transport.resumeProducing()
        self.later(5)
        self.assertEqual([producer.calls[-1], len(there.data)], ["resume", 1_000_000])
        here.transport.unregisterProducer()

    def test_refused(self) -> None:
        """Where nobody listens, the attempt fails at once."""
        attempt = self.connect(port=9)
        self.later(1)
        self.failureResultOf(attempt, error.ConnectionRefusedError)
        self.port.stopListening()
        attempt = self.connect()
        self.later(1)
        self.failureResultOf(attempt, error.ConnectionRefusedError)

    def test_unknown_address(self) -> None:
        """An address that no machine has is unreachable."""
        assert self.client.process is not None
        self.failureResultOf(self.client.process.network.connect("10.9.9.9", 1, Recorders(), 1.0), error.NoRouteError)

    def test_port_taken(self) -> None:
        """A port is listened on once; the kernel picks a free one for 0."""
        assert self.server.process is not None
        network = self.server.process.network
        self.failureResultOf(network.listen("tcp:9092:interface=10.0.0.1", Recorders()), error.CannotListenError)
        self.failureResultOf(network.listen("tcp:1:interface=10.0.0.2", Recorders()), error.CannotListenError)
        self.failureResultOf(network.listen("ssl:9093", Recorders()), ValueError)
        port: Any = self.successResultOf(network.listen("tcp:0", Recorders()))
        self.assertGreater(port.getHost().port, 0)

    def test_cancelled(self) -> None:
        """A cancelled attempt fails with that, and leaves no timer."""
        attempt = self.connect()
        attempt.cancel()
        self.failureResultOf(attempt, error.ConnectingCancelledError)
        self.later(1)
        assert self.client.process is not None
        self.assertEqual(self.client.process.reactor.getDelayedCalls(), [])


class HalfCloseTests(NetworkCase):
    """One direction may end before the other."""

    served = HalfCloseable

    def test_half_close(self) -> None:
        """A protocol that can is told, and may still answer."""
        here, there = self.connected()
        here.transport.write(b"question")
        here.transport.loseWriteConnection()
        self.later(1)
        self.assertEqual([there.data, here.data, here.lost], [b"question", b"answer", error.ConnectionDone])


class ChoppedTests(NetworkCase):
    """Pieces do not come as they were sent."""

    weather = Weather(split_chance=0.8, delay_mean_s=0.0001)

    def test_split_and_merged(self) -> None:
        """Writes arrive in other pieces, whose bytes are the same."""
        here, there = self.connected()
        sent = [bytes([number]) * 50 for number in range(100)]
        for number, piece in enumerate(sent):
            self.client.process.reactor.callLater(number * 0.0002, here.transport.write, piece)  # type: ignore[union-attr]
        self.later(1)
        self.assertEqual(there.data, b"".join(sent))
        lengths = {len(piece) for piece in there.pieces}
        self.assertTrue(min(lengths) < 50 < max(lengths), lengths)


class DeathTests(NetworkCase):
    """What the living see of the dead."""

    def test_killed(self) -> None:
        """A killed process's connections end; new ones are refused until somebody listens again."""
        here, _ = self.connected()
        self.server.crash(power=False)
        attempt = self.connect()
        self.later(1)
        self.assertEqual(here.lost, error.ConnectionDone)
        self.failureResultOf(attempt, error.ConnectionRefusedError)
        self.listen()
        here, there = self.connected()
        there.transport.write(b"again")
        self.later(1)
        self.assertEqual(here.data, b"again")

    def test_killed_with_bytes_unread(self) -> None:
        """A process that dies with bytes unread resets the connection."""
        here, there = self.connected()
        there.transport.pauseProducing()
        here.transport.write(b"x")
        self.later(1)
        self.server.crash(power=False)
        self.later(1)
        self.assertEqual(here.lost, error.ConnectionLost)

    def test_power_cut(self) -> None:
        """A machine without power says nothing; once it is back, senders are reset."""
        here, _ = self.connected()
        self.server.crash(power=True)
        attempt = self.connect(timeout_s=5.0)
        here.transport.write(b"anybody?")
        self.later(10)
        self.assertEqual(here.lost, None)
        self.failureResultOf(attempt, error.TimeoutError)
        self.listen()
        self.later(10)
        self.assertEqual(here.lost, error.ConnectionLost)

    def test_reset_from_the_middle(self) -> None:
        """A connection that breaks in the middle is lost to both, with some of the bytes at most."""
        arrived = set()
        for seed in range(30):
            self.world(seed)
            here, there = self.connected()
            for number in range(5):
                self.client.process.reactor.callLater(number * 0.0002, here.transport.write, b"x" * 100)  # type: ignore[union-attr]
            self.later(0.001)
            here.transport.getHandle().reset()
            self.later(1)
            self.assertEqual([here.lost, there.lost], [error.ConnectionLost] * 2)
            arrived.add(len(there.data))
        self.assertGreater(len(arrived), 2)

    def test_reset_reaches_who_does_not_read(self) -> None:
        """A reset is noticed although reading is paused."""
        here, there = self.connected()
        there.transport.pauseProducing()
        here.transport.abortConnection()
        self.later(1)
        self.assertEqual(there.lost, error.ConnectionLost)

    def test_silence(self) -> None:
        """A half-open connection swallows everything and tells nobody."""
        here, there = self.connected()
        here.transport.getHandle().silence()
        here.transport.write(b"hello?")
        self.later(60)
        self.assertEqual([there.data, here.lost, there.lost], [b"", None, None])


class PartitionTests(NetworkCase):
    """Links that are cut, one way or both, or clogged."""

    def test_cut_and_healed(self) -> None:
        """Nothing passes a cut link; all of it passes once it is healed, in order."""
        here, there = self.connected()
        self.fabric.cut([self.client], [self.server])
        for piece in (b"a", b"b", b"c"):
            here.transport.write(piece)
            self.later(1)
        attempt = self.connect(timeout_s=2.0)
        self.later(3)
        self.assertEqual(there.data, b"")
        self.failureResultOf(attempt, error.TimeoutError)
        self.fabric.heal()
        self.later(3)
        self.assertEqual(there.data, b"abc")

    def test_one_way(self) -> None:
        """A link may be cut in one direction only."""
        here, there = self.connected()
        self.fabric.cut([self.client], [self.server], both_ways=False)
        here.transport.write(b"lost")
        there.transport.write(b"heard")
        self.later(3)
        self.assertEqual([there.data, here.data], [b"", b"heard"])

    def test_clogged(self) -> None:
        """A clogged machine gets everything, late."""
        here, there = self.connected()
        self.fabric.clog(self.server, 5.0)
        here.transport.write(b"late")
        self.later(4.9)
        self.assertEqual(there.data, b"")
        self.later(1)
        self.assertEqual(there.data, b"late")


class MoodyTests(NetworkCase):
    """Networks that refuse or ignore connection attempts by chance."""

    weather = Weather(refuse_chance=0.3, hang_chance=0.3)

    def test_outcomes(self) -> None:
        """Some attempts succeed, some are refused, some time out."""
        found = set()
        for _ in range(40):
            attempt = self.connect(timeout_s=1.0)
            self.later(2)
            outcome: list[Any] = []
            attempt.addBoth(outcome.append)
            found.add(getattr(outcome[0], "type", Recorder))
        self.assertEqual(found, {Recorder, error.ConnectionRefusedError, error.TimeoutError})
