"""Nodes meet at real sockets: who is let in, and what both ends say to all others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.protocol import Factory
from twisted.internet.selectreactor import SelectReactor
from twisted.trial.unittest import SynchronousTestCase

from streamline.cluster.greeting import Identity, Reason
from streamline.interfaces import Host
from streamline.model import Endpoint
from streamline.raft import Replica, ReplicaKey
from streamline.services.host import ReactorClock, ReactorNetwork
from streamline.services.peer_call import NoAnswer, PeerCall
from streamline.services.peer_link import greeting
from streamline.testing.worlds import SeededRandom
from streamline.wire.codec import encode
from streamline.wire.header import write_request_header
from streamline.wire.messages.api_versions import ApiVersionsRequest
from streamline.wire.messages.peer_raft import GreetingResponse
from tests.net.peer_case import Node, identity, key_of, word


class RealSocketTests(SynchronousTestCase):
    """The same at real sockets."""

    def setUp(self) -> None:
        """Make a reactor of our own."""
        self.reactor: Any = SelectReactor()
        self.nodes: list[Node] = []
        self.ports: dict[int, Any] = {}

    def tearDown(self) -> None:
        """Close everything."""
        stopping = [node.peers.stopService() for node in self.nodes]
        for node in self.nodes:
            node.factory.close()
        for port in self.ports.values():
            port.stopListening()
        self.until(lambda: all(stopped.called for stopped in stopping))
        self.until(lambda: not any(node.factory.connections for node in self.nodes))
        for reader in [*self.reactor.removeAll(), *self.reactor._internalReaders]:
            reader.connectionLost(None)

    def until(self, done: Callable[[], bool]) -> None:
        """Let the reactor turn."""
        for _ in range(3000):
            if done():
                return
            self.reactor.iterate(0.01)
        raise TimeoutError("that did not happen")

    def node(self, who: Identity) -> Node:
        """Start a node on a port of its own."""
        clock, network = ReactorClock(self.reactor), ReactorNetwork(self.reactor)
        host = Host(clock=clock, disk=None, network=network, rng=SeededRandom(1))  # type: ignore[arg-type]
        node = Node(host, who)
        listening = network.listen("tcp:0:interface=127.0.0.1", node.factory)
        self.ports[len(self.nodes)] = self.successResultOf(listening)
        self.nodes.append(node)
        return node

    def at(self, place: int, key: ReplicaKey) -> Replica:
        """Return a node as others know it."""
        return Replica(key, str(Endpoint("127.0.0.1", self.ports[place].getHost().port)))

    def test_connected_and_gone(self) -> None:
        one, two = self.node(identity(1)), self.node(identity(2))
        one.peers.know([self.at(1, key_of(2))])
        self.until(lambda: bool(one.peers.connected))
        one.peers.send(word(key_of(1), key_of(2)))
        self.until(lambda: bool(two.inbox.messages))
        self.ports.pop(1).stopListening()
        two.factory.close()
        self.until(lambda: one.inbox.gone == [2])

    def test_refusals(self) -> None:
        """Wrong cluster, wrong node, wrong disk: both ends say so, and keep no connection."""
        cases = (
            (identity(2, "Y"), key_of(2), Reason.WRONG_CLUSTER),
            (identity(3), key_of(2), Reason.WRONG_NODE),
            (identity(2, disk=1), key_of(2), Reason.WRONG_NODE),
        )
        one = self.node(identity(1))
        for place, (who, meant, reason) in enumerate(cases, 1):
            there = self.node(who)
            before = one.refused(reason)
            one.peers.know([self.at(place, meant)])
            self.until(lambda there=there, reason=reason: there.refused(reason) > 0)  # type: ignore[misc]
            self.until(lambda before=before, reason=reason: one.refused(reason) > before)  # type: ignore[misc]
            self.assertEqual(one.peers.connected, ())

    def test_a_reused_id(self) -> None:
        one = self.node(identity(1))
        double = self.node(identity(1, disk=1))
        double.peers.know([self.at(0, key_of(1))])
        self.until(lambda: one.refused(Reason.REUSED_ID) > 0)

    def test_a_client_that_wanders_in(self) -> None:
        """It is closed without a word."""
        node = self.node(identity(1))
        ended: list[str] = []
        call = PeerCall(
            node.peers.deadlines, "rdkafka", lambda call: None, lambda message: None,
            lambda call, why: ended.append(why),
        )  # fmt: skip
        port = self.ports[0].getHost().port
        node.factory.host.network.connect("127.0.0.1", port, Factory.forProtocol(lambda: call), 5.0)
        self.until(lambda: bool(call.connected))
        asked = call.ask(greeting(identity(2), key_of(1)), GreetingResponse, 5.0)
        asked.addErrback(lambda failure: failure.trap(NoAnswer))
        self.until(lambda: asked.called)
        other = PeerCall(
            node.peers.deadlines, "rdkafka", lambda call: None, lambda message: None,
            lambda call, why: ended.append(why),
        )  # fmt: skip
        node.factory.host.network.connect("127.0.0.1", port, Factory.forProtocol(lambda: other), 5.0)
        self.until(lambda: bool(other.connected))
        other.send([write_request_header(18, 3, 1, "rdkafka"), encode(ApiVersionsRequest(), 3)])
        self.until(lambda: bool(ended))
        self.assertEqual(node.refused(Reason.STRANGER), 1)
        call.drop()
        self.until(lambda: len(ended) == 2)
