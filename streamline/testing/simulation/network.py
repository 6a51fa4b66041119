"""
The network door of a simulated process: listening and connecting.

Endpoint strings are Twisted's; of their kinds only C{tcp:} exists here, because
TLS draws nonces that no seed decides (it is tested over real sockets).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet import error
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IDelayedCall, IListeningPort, IProtocol, IProtocolFactory
from zope.interface import implementer

from streamline.interfaces import INetwork
from streamline.testing.simulation.sockets import Pipe, SimConnection, SimSocket

if TYPE_CHECKING:
    from streamline.testing.simulation.machine import Machine, Process


SOCKETS_MAX = 20_000


@implementer(IListeningPort)
class SimPort:
    """A listening socket of one process."""

    def __init__(self, process: Process, port: int, factory: IProtocolFactory) -> None:
        self.port = port
        self._process = process
        self._factory = factory

    def startListening(self) -> None:
        """
        Begin to listen.

        @raise CannotListenError: the port is taken.
        """
        if self.port == 0:
            self.port = self._process.machine.next_port()
        if self.port in self._process.machine.ports:
            raise error.CannotListenError("", self.port, OSError(98, "Address already in use"))
        self._factory.doStart()
        self._process.machine.ports[self.port] = self

    def stopListening(self) -> Deferred[None]:
        """Stop; connections that are there stay."""
        if self._process.machine.ports.get(self.port) is self:
            del self._process.machine.ports[self.port]
            self._factory.doStop()
        return succeed(None)

    def getHost(self) -> IPv4Address:
        """Return where this listens."""
        return IPv4Address("TCP", self._process.machine.host, self.port)

    def knocked(self, caller: SimSocket) -> None:
        """Answer a connection attempt as the kernel does; the process accepts it when its loop turns."""
        process = self._process
        here = SimSocket(process, caller.remote, caller.local, caller.window)
        fabric = process.machine.fabric
        here.out = Pipe(fabric.link(process.machine, caller.process.machine), caller)
        caller.out = Pipe(fabric.link(caller.process.machine, process.machine), here)
        here.out.push("open")
        process.reactor.callLater(0, self._accept, here)

    def _accept(self, here: SimSocket) -> None:
        if here.closed:
            return
        if self._process.machine.ports.get(self.port) is not self:
            here.close()
            return
        protocol = self._factory.buildProtocol(IPv4Address("TCP", *here.remote))
        if protocol is None:
            here.close()
        else:
            SimConnection(here, protocol, self._process).begin()


class _Attempt:
    """One connection attempt, from the call to its outcome."""

    def __init__(self, network: SimNetwork, sock: SimSocket, factory: IProtocolFactory, timeout_s: float) -> None:
        self._network = network
        self._socket = sock
        self._factory = factory
        self.outcome: Deferred[IProtocol] = Deferred(self._cancelled)
        self._timeout: IDelayedCall = network.process.reactor.callLater(timeout_s, self.failed, error.TimeoutError())
        factory.doStart()

    def succeeded(self) -> None:
        self._over()
        protocol = self._factory.buildProtocol(IPv4Address("TCP", *self._socket.remote))
        if protocol is None:
            self._socket.close()
            self.outcome.errback(error.NoProtocol())
            return
        SimConnection(self._socket, protocol, self._network.process).begin()
        self.outcome.callback(protocol)

    def failed(self, reason: Exception) -> None:
        self._over()
        self._socket.close()
        self.outcome.errback(reason)

    def _cancelled(self, outcome: Deferred[IProtocol]) -> None:
        self._over()
        self._socket.close()
        outcome.errback(error.ConnectingCancelledError(IPv4Address("TCP", *self._socket.remote)))

    def _over(self) -> None:
        self._network.attempts.pop(self._socket, None)
        if self._timeout.active():
            self._timeout.cancel()


@implementer(INetwork)
class SimNetwork:
    """
    Sockets of one process.

    @ivar sockets_max: how many it may have open.
    @ivar attempts: connection attempts without an outcome.
    """

    sockets_max = 20_000

    def __init__(self, process: Process) -> None:
        self.process = process
        self.sockets_max = SOCKETS_MAX
        self.attempts: dict[SimSocket, _Attempt] = {}

    def listen(self, endpoint: str, factory: IProtocolFactory) -> Deferred[IListeningPort]:
        """Listen on C{tcp:PORT} or C{tcp:PORT:interface=HOST}."""
        kind, number, *options = endpoint.split(":")
        hosts = [option.removeprefix("interface=") for option in options if option.startswith("interface=")]
        if kind != "tcp" or not number.isdigit():
            return fail(ValueError(f"the simulation has no endpoint {endpoint!r}"))
        machine = self.process.machine
        if any(machine.fabric.find(host, machine) is not machine for host in hosts if host != "0.0.0.0"):
            return fail(error.CannotListenError(hosts[0], int(number), OSError(99, "Cannot assign requested address")))
        port = SimPort(self.process, int(number), factory)
        try:
            port.startListening()
        except error.CannotListenError as taken:
            return fail(taken)
        return succeed(port)

    def connect(self, host: str, port: int, factory: IProtocolFactory, timeout_s: float) -> Deferred[IProtocol]:
        """Connect to a machine by its address."""
        machine = self.process.machine
        target = machine.fabric.find(host, machine)
        if target is None:
            return fail(error.NoRouteError())
        rng, weather = machine.fabric.rng, machine.fabric.weather
        window = rng.randrange(weather.window_bytes[0], weather.window_bytes[1] + 1)
        sock = SimSocket(self.process, (machine.host, machine.next_port()), (target.host, port), window)
        attempt = _Attempt(self, sock, factory, timeout_s)
        self.attempts[sock] = attempt
        if rng.random() >= weather.hang_chance:
            machine.fabric.link(machine, target).carry(self._knock, target, sock)
        return attempt.outcome

    def _knock(self, target: Machine, sock: SimSocket) -> None:
        if not target.powered or sock.closed:
            return
        machine = self.process.machine
        fabric = machine.fabric
        port = target.ports.get(sock.remote[1])
        if port is None or (target is not machine and fabric.rng.random() < fabric.weather.refuse_chance):
            fabric.link(target, machine).carry(self._refused, sock)
        else:
            port.knocked(sock)

    def _refused(self, sock: SimSocket) -> None:
        self.process.reactor.callLater(0, self._settle, sock, False)

    def opened(self, sock: SimSocket) -> None:
        """Hear that the other side answered a connection attempt of ours."""
        self.process.reactor.callLater(0, self._settle, sock, True)

    def _settle(self, sock: SimSocket, open_: bool) -> None:
        attempt = self.attempts.get(sock)
        if attempt is None:
            return
        if open_:
            attempt.succeeded()
        else:
            attempt.failed(error.ConnectionRefusedError())
