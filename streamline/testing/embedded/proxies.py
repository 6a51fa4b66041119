"""
The links between nodes that are processes of their own: every byte between two of them passes here.

A node tells others the address of its proxy.  Whose connection it is that comes in, its first request says: nodes name
themselves as the client (L{streamline.services.peer_link.client_id}).  While a process is dead its proxy listens no
more, so that whoever connects is refused as he would be without it.
"""

from __future__ import annotations

from struct import Struct
from typing import Any

from twisted.internet.defer import Deferred, DeferredLock, maybeDeferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from streamline.testing.embedded.ports import LOOPBACK, ReservedPort
from streamline.testing.embedded.reactors import NodeReactor

NOBODY = -1
_CLIENT_AT = 12
"""Where a request has its client id: after the length, key, version and correlation id."""
_LENGTH = Struct(">h")
CONNECT_S = 1.0


def caller_of(data: bytes) -> int | None:
    """Return which node sent the request that begins like this, L{NOBODY} for no node; None while it is too short."""
    if len(data) < _CLIENT_AT + _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack_from(data, _CLIENT_AT)
    at = _CLIENT_AT + _LENGTH.size
    if len(data) < at + length:
        return None
    _, _, number = data[at : at + max(length, 0)].rpartition(b"-")
    return int(number) if number.isdigit() else NOBODY


class _Leg(Protocol):
    """Half of a connection that passes through."""

    transport: Any

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self.other: _Leg | None = None

    def dataReceived(self, data: bytes) -> None:
        """Pass it on."""
        if self.other is not None:
            self.other.transport.write(data)

    def join(self, other: _Leg) -> None:
        """Be two halves of one connection: what one cannot send, the other does not read."""
        self.other, other.other = other, self
        self.transport.registerProducer(other.transport, True)
        other.transport.registerProducer(self.transport, True)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Hang up the other half."""
        self.proxy.forget(self)
        other, self.other = self.other, None
        if other is not None:
            other.other = None
            other.transport.unregisterProducer()
            other.transport.loseConnection()


class _Incoming(_Leg):
    """The half that a node opened; it says who that is."""

    def __init__(self, proxy: Proxy) -> None:
        super().__init__(proxy)
        self.caller: int | None = None
        self._first = b""

    def dataReceived(self, data: bytes) -> None:
        """Find out who it is, then pass everything on."""
        if self.other is not None:
            super().dataReceived(data)
            return
        self._first += data
        if self.caller is None:
            self.caller = caller_of(self._first)
            if self.caller is not None:
                self.proxy.connect(self)

    def go_on(self, other: _Leg) -> None:
        """Pass on what came first, now that there is somebody to take it."""
        self.join(other)
        other.transport.write(self._first)
        self._first = b""


class Proxy(Factory[_Incoming]):
    """
    Stands in front of one node's cluster listener.

    @param port: where it listens; C{behind} is where the node does.
    """

    noisy = False

    def __init__(self, reactor: NodeReactor, node_id: int, port: ReservedPort, behind: ReservedPort) -> None:
        self._reactor = reactor
        self._node_id = node_id
        self._port = port
        self._behind = behind
        self._turning = DeferredLock()
        self._listening: Any = None
        self._cut: set[int] = set()
        self._legs: dict[_Leg, int] = {}

    async def open(self) -> None:
        """Let nodes in; fine where that is so."""
        async with self._turning:  # a port is free a turn after it was closed
            if self._listening is None:
                self._listening = self._reactor.listenTCP(self._port.number, self, interface=LOOPBACK)

    async def close(self) -> None:
        """Let nobody in: there is nobody behind."""
        async with self._turning:
            listening, self._listening = self._listening, None
            if listening is not None:
                await maybeDeferred(listening.stopListening)

    def buildProtocol(self, addr: IAddress | None) -> _Incoming:
        """Take a connection."""
        return _Incoming(self)

    def connect(self, incoming: _Incoming) -> None:
        """Connect the other half."""
        assert incoming.caller is not None
        self._legs[incoming] = incoming.caller
        endpoint = TCP4ClientEndpoint(self._reactor, LOOPBACK, self._behind.number, CONNECT_S)
        connecting: Deferred[Any] = endpoint.connect(Factory.forProtocol(lambda: _Leg(self)))
        connecting.addCallbacks(self._connected, lambda _: incoming.transport.abortConnection(), (incoming,))
        self._silence()

    def _connected(self, outgoing: _Leg, incoming: _Incoming) -> None:
        if incoming not in self._legs:
            outgoing.transport.abortConnection()
            return
        self._legs[outgoing] = self._legs[incoming]
        incoming.go_on(outgoing)
        self._silence()

    def forget(self, leg: _Leg) -> None:
        """Hear that half a connection has ended."""
        self._legs.pop(leg, None)

    def cut(self, callers: set[int]) -> None:
        """Let nothing through between these nodes and this one."""
        self._cut |= callers
        self._silence()

    def heal(self) -> None:
        """Let everything through again; the reactor is told by others."""
        self._cut.clear()

    def _silence(self) -> None:
        for leg, caller in self._legs.items():
            if caller in self._cut:
                self._reactor.silence(leg.transport)
