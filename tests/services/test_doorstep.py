"""An endpoint is taken before anybody answers there, and nobody who waits is lost."""

from __future__ import annotations

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IProtocol, IProtocolFactory
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from streamline.errors import StartRefused
from streamline.interfaces import INetwork
from streamline.services.doorstep import Doorstep


class Port:
    """A listening socket that can be told to look away."""

    def __init__(self, factory: IProtocolFactory) -> None:
        self.factory = factory
        self.is_reading = True
        factory.doStart()

    def stopReading(self) -> None:
        """Look away."""
        self.is_reading = False

    def startReading(self) -> None:
        """Look."""
        self.is_reading = True


@implementer(INetwork)
class Network:
    """Listens on anything but what is taken."""

    sockets_max = 10

    def __init__(self) -> None:
        self.ports: list[Port] = []
        self.connected: list[tuple[str, int]] = []

    def listen(self, endpoint: str, factory: IProtocolFactory) -> Deferred[IListeningPort]:
        """Listen."""
        if endpoint == "taken":
            return fail(CannotListenError("127.0.0.1", 1, OSError(98, "Address already in use")))
        if endpoint == "slow":
            return Deferred()
        self.ports.append(Port(factory))
        return succeed(self.ports[-1])  # type: ignore[arg-type]

    def connect(self, host: str, port: int, factory: IProtocolFactory, timeout_s: float) -> Deferred[IProtocol]:
        """Note it."""
        self.connected.append((host, port))
        return Deferred()


class Counted(Factory):
    """Counts its starts and stops."""

    protocol = Protocol
    noisy = False

    def __init__(self) -> None:
        self.events: list[str] = []

    def startFactory(self) -> None:
        """Count."""
        self.events.append("start")

    def stopFactory(self) -> None:
        """Count."""
        self.events.append("stop")


class DoorstepTests(SynchronousTestCase):
    """Hold first, listen later."""

    def setUp(self) -> None:
        self.network = Network()
        self.doorstep = Doorstep(self.network)

    def test_interface(self) -> None:
        verifyObject(INetwork, self.doorstep)
        self.assertEqual(self.doorstep.sockets_max, 10)

    def test_who_comes_early_waits_in_the_kernel(self) -> None:
        self.doorstep.hold("a", "--listen")
        [port] = self.network.ports
        self.assertFalse(port.is_reading)
        self.assertIsNone(port.factory.buildProtocol(None))  # type: ignore[arg-type]

    def test_who_waited_is_let_in(self) -> None:
        self.doorstep.hold("a", "--listen")
        factory = Counted()
        got = self.successResultOf(self.doorstep.listen("a", factory))
        [port] = self.network.ports
        self.assertIs(got, port)
        self.assertTrue(port.is_reading)
        protocol = port.factory.buildProtocol(None)  # type: ignore[arg-type]
        assert protocol is not None
        self.assertIs(protocol.factory, factory)  # type: ignore[attr-defined]
        port.factory.doStop()
        self.assertEqual(factory.events, ["start", "stop"])

    def test_two_of_one_name(self) -> None:
        for _ in range(2):
            self.doorstep.hold("tcp:0", "--listen")
        got = [self.successResultOf(self.doorstep.listen("tcp:0", Counted())) for _ in range(3)]
        self.assertEqual(got, self.network.ports)
        self.assertEqual(len(self.network.ports), 3)

    def test_what_is_not_held_is_passed_on(self) -> None:
        factory = Counted()
        self.successResultOf(self.doorstep.listen("b", factory))
        self.assertIs(self.network.ports[0].factory, factory)
        self.doorstep.connect("h", 1, factory, 1.0)
        self.assertEqual(self.network.connected, [("h", 1)])

    def test_taken(self) -> None:
        refusal = self.assertRaises(StartRefused, self.doorstep.hold, "taken", "--http-listen")
        self.assertEqual(
            str(refusal),
            "cannot listen on taken: Address already in use; stop what uses it or choose another with --http-listen",
        )

    def test_what_cannot_say_at_once_is_left_for_later(self) -> None:
        self.doorstep.hold("slow", "--listen")
        self.assertNoResult(self.doorstep.listen("slow", Counted()))
