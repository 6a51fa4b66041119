"""
The links between nodes that are processes of their own: every byte between two of them passes here.

A node tells others the address of its proxy.  Whose connection it is that comes in, its first request says: nodes name
themselves as the client (L{streamline.services.peer_link.client_id}).  While a process is dead its proxy listens no
more, so that whoever connects is refused as he would be without it, also where the link to it is cut.

Who connects over a link that is cut is let in by the kernel, which does not know him, and then hears nothing: nobody is
connected to the node before the link is mended.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from struct import Struct
from typing import Any

from twisted.internet.defer import Deferred, DeferredLock, maybeDeferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory

from streamline.testing.embedded.legs import OPEN, Leg, Link
from streamline.testing.embedded.ports import LOOPBACK, ReservedPort
from streamline.testing.embedded.reactors import NodeReactor

NOBODY = -1
_CLIENT_AT = 12
"""Where a request has its client id: after the length, key, version and correlation id."""
_LENGTH = Struct(">h")
CONNECT_S = 1.0
ROLL_S = 0.1
"""How often the dice are rolled for resets."""


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


class _NamedLeg(Leg):
    """Half of a connection between two nodes that are known."""

    def __init__(self, proxy: Proxy) -> None:
        super().__init__(proxy.reactor, proxy.rng)
        self.proxy = proxy
        self.ends = (NOBODY, NOBODY)

    def between(self, source: int, target: int) -> None:
        """Hear whose half this is, and whose the other one."""
        self.ends = (source, target)
        self.travel(self.proxy.link(source, target))

    def gone(self) -> None:
        """Be forgotten."""
        self.proxy.forget(self)


class _Incoming(_NamedLeg):
    """The half that a node opened; it says who that is."""

    def __init__(self, proxy: Proxy) -> None:
        super().__init__(proxy)
        self.caller: int | None = None
        self.is_connecting = False
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
                self.proxy.named(self, self.caller)

    def go_on(self, other: Leg) -> None:
        """Pass on what came first, now that there is somebody to take it."""
        self.join(other)
        first, self._first = self._first, b""
        super().dataReceived(first)


class Proxy(Factory[_Incoming]):
    """
    Stands in front of one node's cluster listener.

    @ivar reactor: that of all proxies.
    @ivar rng: what delays and resets are drawn from.
    @param port: where it listens; C{behind} is where the node does.
    @param links: those that are not open, by source and target; L{changed} says that they have changed.
    """

    noisy = False

    def __init__(
        self,
        reactor: NodeReactor,
        node_id: int,
        port: ReservedPort,
        behind: ReservedPort,
        links: Mapping[tuple[int, int], Link],
        rng: Random,
    ) -> None:
        self.reactor = reactor
        self.rng = rng
        self._node_id = node_id
        self._port = port
        self._behind = behind
        self._links = links
        self._turning = DeferredLock()
        self._listening: Any = None
        self._legs: dict[_NamedLeg, None] = {}
        self._is_rolling = False

    async def open(self) -> None:
        """Let nodes in; fine where that is so."""
        async with self._turning:  # a port is free a turn after it was closed
            if self._listening is None:
                self._listening = self.reactor.listenTCP(self._port.number, self, interface=LOOPBACK)

    async def close(self) -> None:
        """Let nobody in: there is nobody behind."""
        async with self._turning:
            listening, self._listening = self._listening, None
            if listening is not None:
                await maybeDeferred(listening.stopListening)

    def buildProtocol(self, addr: IAddress | None) -> _Incoming:
        """Take a connection."""
        return _Incoming(self)

    def link(self, source: int, target: int) -> Link:
        """Return the link from one node to another."""
        return self._links.get((source, target), OPEN)

    def changed(self) -> None:
        """Hear that links have changed."""
        for leg in list(self._legs):
            leg.travel(self.link(*leg.ends))
            if isinstance(leg, _Incoming):
                self._connect(leg)
        self._begin_rolling()

    def reset(self) -> None:
        """Reset the connections over links that are not open, those that nobody was connected for included."""
        for leg in list(self._legs):
            if self._is_hindered(leg):
                leg.reset()

    def named(self, incoming: _Incoming, caller: int) -> None:
        """Hear who connects, and connect him as soon as the links let that be."""
        self._legs[incoming] = None
        incoming.between(caller, self._node_id)
        self._connect(incoming)

    def forget(self, leg: _NamedLeg) -> None:
        """Hear that half a connection has ended."""
        self._legs.pop(leg, None)

    def _is_hindered(self, leg: _NamedLeg) -> bool:
        source, target = leg.ends
        return (source, target) in self._links or (target, source) in self._links

    def _connect(self, incoming: _Incoming) -> None:
        """Connect the other half, unless the answer to that would not get back."""
        if incoming.is_connecting or incoming.has_ended:
            return
        source, target = incoming.ends
        if self.link(source, target).is_cut or self.link(target, source).is_cut:
            return
        incoming.is_connecting = True
        endpoint = TCP4ClientEndpoint(self.reactor, LOOPBACK, self._behind.number, CONNECT_S)
        connecting: Deferred[Any] = endpoint.connect(Factory.forProtocol(lambda: _NamedLeg(self)))
        connecting.addCallbacks(self._connected, lambda _: incoming.transport.abortConnection(), (incoming,))

    def _connected(self, outgoing: _NamedLeg, incoming: _Incoming) -> None:
        if incoming not in self._legs or incoming.has_ended:
            outgoing.transport.abortConnection()
            return
        self._legs[outgoing] = None
        source, target = incoming.ends
        outgoing.between(target, source)
        incoming.go_on(outgoing)

    # Resets

    def _begin_rolling(self) -> None:
        if not self._is_rolling and any(link.resets_per_s for link in self._links.values()):
            self._is_rolling = True
            self.reactor.callLater(ROLL_S, self._roll)

    def _roll(self) -> None:
        self._is_rolling = False
        for leg in list(self._legs):
            if self.rng.random() < leg.link.resets_per_s * ROLL_S:
                leg.reset()
        self._begin_rolling()
