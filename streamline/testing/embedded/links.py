"""
The links between nodes of this process, which can be cut.

A cut link is a silence, not an end: what was sent waits, attempts to connect run into their time-out, and neither side
hears that the other one hung up.  Healing brings what still waits, as TCP would.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from twisted.internet.defer import Deferred
from twisted.internet.error import TimeoutError as ConnectTimedOut
from twisted.internet.interfaces import IDelayedCall, IProtocol, IProtocolFactory
from zope.interface import implementer

from streamline.interfaces import INetwork
from streamline.services.host import ReactorNetwork
from streamline.testing.embedded.reactors import NodeReactor


class Links:
    """
    Which nodes hear each other, and whose the ports are.

    @param owners: node ids, by the number of the port.
    @param client_ports: those that are there for clients.
    """

    def __init__(self, owners: Mapping[int, int], client_ports: Collection[int]) -> None:
        self._owners = owners
        self._client_ports = client_ports
        self._reactors: dict[int, NodeReactor] = {}
        self._cut: set[frozenset[int]] = set()
        self._deaf: set[int] = set()
        self._waiting: dict[int, list[Callable[[], object]]] = {}

    def began(self, node_id: int, reactor: NodeReactor) -> None:
        """Hear of a new life of a node."""
        self._reactors[node_id] = reactor
        if node_id in self._deaf:
            self._deafen(node_id)

    def ended(self, node_id: int) -> None:
        """Hear of its end."""
        self._reactors.pop(node_id, None)
        self._waiting.pop(node_id, None)

    def are_cut(self, one: int, port: int) -> bool:
        """Say whether a node cannot reach whoever listens there."""
        other = self._owners.get(port)
        return other is not None and frozenset((one, other)) in self._cut

    def cut(self, pairs: Iterable[tuple[int, int]]) -> None:
        """Let nothing through between the nodes of each pair, in either direction."""
        self._cut |= {frozenset(pair) for pair in pairs}
        callers = {}
        for node_id, reactor in self._reactors.items():
            for caller in reactor.callers():
                if self.are_cut(node_id, caller.getPeer().port):
                    callers[caller.getHost().port] = node_id
                    reactor.silence(caller)
        for reactor in self._reactors.values():
            for called in reactor.called():
                if called.getPeer().port in callers:
                    reactor.silence(called)

    def cut_clients(self, node_id: int) -> None:
        """Let nothing through between a node and anybody who is no node."""
        self._deaf.add(node_id)
        if node_id in self._reactors:
            self._deafen(node_id)

    def _deafen(self, node_id: int) -> None:
        nodes = {caller.getHost().port for reactor in self._reactors.values() for caller in reactor.callers()}
        reactor = self._reactors[node_id]
        for called in reactor.called():
            if called.getPeer().port not in nodes:
                reactor.silence(called)
        for port in reactor.ports():
            if port.getHost().port in self._client_ports:
                reactor.silence(port)

    def heal(self) -> None:
        """Let everything through again."""
        self._cut.clear()
        self._deaf.clear()
        for reactor in self._reactors.values():
            reactor.hear_again()
        waiting, self._waiting = self._waiting, {}
        for node_id, calls in waiting.items():
            for go_on in calls:
                self._reactors[node_id].callLater(0, go_on)

    def when_healed(self, node_id: int, go_on: Callable[[], object]) -> None:
        """Have a node call this when links are healed."""
        self._waiting.setdefault(node_id, []).append(go_on)


@implementer(INetwork)
class CuttableNetwork(ReactorNetwork):
    """The sockets of one node, as far as its links let it connect."""

    def __init__(self, reactor: NodeReactor, node_id: int, links: Links) -> None:
        super().__init__(reactor)
        self._node_id = node_id
        self._links = links

    def connect(self, host: str, port: int, factory: IProtocolFactory, timeout_s: float) -> Deferred[IProtocol]:
        """Connect; where the link is cut, wait for it to be healed, and for no longer than that."""
        if not self._links.are_cut(self._node_id, port):
            return super().connect(host, port, factory, timeout_s)
        connected: Deferred[IProtocol] = Deferred(lambda _: give_up())
        timer: IDelayedCall = self._reactor.callLater(timeout_s, lambda: connected.errback(ConnectTimedOut()))
        connect = super().connect

        def give_up() -> None:
            if timer.active():
                timer.cancel()

        def go_on() -> None:
            if timer.active():
                timer.cancel()
                connect(host, port, factory, timeout_s).chainDeferred(connected)

        self._links.when_healed(self._node_id, go_on)
        return connected
