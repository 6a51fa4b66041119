"""The cluster listener, over simulated and over real sockets: who is let in, and what becomes of all others."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from streamline.cluster.greeting import Identity, Reason
from streamline.interfaces import IInbox, IMessenger
from streamline.net.peer import GREETING_S, GUEST_BYTES_MAX, UNGREETED_MAX, PeerConnection
from streamline.net.peer_apis import PeerApi
from streamline.raft import Replica, translation
from streamline.services.deadlines import Deadlines
from streamline.services.peer_call import NoAnswer, PeerCall
from streamline.services.peer_link import LONGEST_WAIT_S, greeting, wait_s
from streamline.services.peer_protocol import FRAME_BYTES_MAX, UNSENT_BYTES_MAX
from streamline.testing.simulation import Fabric, Machine, Simulation, Weather
from streamline.wire.codec import encode
from streamline.wire.header import write_request_header
from streamline.wire.messages.api_versions import ApiVersionsRequest
from streamline.wire.messages.peer import BrokerHeartbeatRequest, BrokerHeartbeatResponse
from streamline.wire.messages.peer_raft import GreetingRequest, GreetingResponse, JoinRequest, JoinResponse
from tests.net.peer_case import Node, identity, key_of, word

PORT = 9093


class PeerCase(SynchronousTestCase):
    """Machines of a simulated network, and nodes on them."""

    def setUp(self) -> None:
        """Make the network."""
        self.simulation = Simulation(1)
        self.fabric = Fabric.of(self.simulation, Weather(split_chance=0.3))
        self.machines: dict[int, Machine] = {}

    def node(self, node_id: int, *, who: Identity | None = None, place: int | None = None) -> Node:
        """Start a node, or start it again, in its own place or in another's."""
        place = node_id if place is None else place
        if place not in self.machines:
            self.machines[place] = Machine(self.fabric, f"n{place}", f"10.0.0.{place}")
        machine = self.machines[place]
        host = machine.start().host
        node = Node(host, who or identity(node_id))
        self.successResultOf(host.network.listen(f"tcp:{PORT}:interface={machine.host}", node.factory))
        return node

    def later(self, seconds: float) -> None:
        """Let time pass."""
        self.simulation.run(self.simulation.now + seconds)

    def at(self, node_id: int, place: int | None = None, disk: int = 0) -> Replica:
        """Return a node as others know it."""
        return Replica(key_of(node_id, disk), f"10.0.0.{place or node_id}:{PORT}")

    def two(self) -> tuple[Node, Node]:
        """Start two nodes that know each other."""
        one, two = self.node(1), self.node(2)
        one.peers.know([self.at(2)])
        two.peers.know([self.at(1)])
        self.later(0.5)
        return one, two


class ConnectedTests(PeerCase):
    """Two nodes that know each other."""

    def test_interfaces(self) -> None:
        one, _ = self.two()
        verifyObject(IMessenger, one.peers)
        verifyObject(IInbox, one.inbox)

    def test_messages_arrive(self) -> None:
        one, two = self.two()
        message = word(key_of(1), key_of(2))
        one.peers.send(message)
        self.later(0.1)
        self.assertEqual(two.inbox.messages, [message])
        self.assertEqual(one.peers.connected, (key_of(2),))

    def test_back_over_the_other_ones_connection(self) -> None:
        """A node answers whoever called it, though it has no address of that one."""
        one, two = self.node(1), self.node(2)
        one.peers.know([self.at(2)])
        self.later(0.5)
        two.peers.send(word(key_of(2), key_of(1)))
        self.later(0.1)
        self.assertEqual(len(one.inbox.messages), 1)

    def test_requests(self) -> None:
        one, _ = self.two()
        asked = one.peers.ask(key_of(2), BrokerHeartbeatRequest(broker_id=7), BrokerHeartbeatResponse, 1.0)
        nobody = one.peers.ask(key_of(9), BrokerHeartbeatRequest(), BrokerHeartbeatResponse, 1.0)
        self.failureResultOf(nobody, NoAnswer)
        self.later(0.1)
        self.assertEqual(self.successResultOf(asked).error_code, 7)

    def test_no_answer_in_time(self) -> None:
        one, two = self.two()
        never: Deferred[Any] = Deferred()
        api = PeerApi(request=JoinRequest, response=JoinResponse, answer=lambda guest, request: never)
        two.factory.answer(api)
        asked = one.peers.ask(key_of(2), JoinRequest(), JoinResponse, 2.0)
        self.later(1.9)
        self.assertNoResult(asked)
        self.later(0.2)
        self.failureResultOf(asked, NoAnswer)
        never.callback(JoinResponse())
        self.later(0.1)
        self.assertEqual(one.peers.connected, (key_of(2),), "an answer that comes late harms nobody")

    def test_too_much_waits(self) -> None:
        """What a peer does not read is dropped beyond a limit, and that is said."""
        one, two = self.two()
        for connection in two.factory.connections:
            connection.transport.pauseProducing()
        (link,) = one.peers._links.values()
        call = link.call
        assert call is not None
        piece = [bytes(1 << 20)]
        taken = sum(call.send(piece) for _ in range(100))
        self.assertLessEqual(taken << 20, UNSENT_BYTES_MAX + (2 << 20))
        del one.inbox.lost[:]
        for _ in range(3):
            one.peers.send(word(key_of(1), key_of(2)))
        call.drop()
        self.later(1.0)
        self.assertIn(2, one.inbox.lost)

    def test_stops(self) -> None:
        one, two = self.two()
        stopped = one.peers.stopService()
        one.factory.close()
        self.later(0.5)
        self.successResultOf(stopped)
        self.assertEqual(one.peers.connected, ())
        self.assertEqual(len(two.factory.connections), 0)


class LossTests(PeerCase):
    """What is known of a node that is not there: a crash is not a silence."""

    def test_a_crash_is_heard_of_at_once(self) -> None:
        one, _ = self.two()
        self.machines[2].crash(power=False)
        self.later(0.05)
        self.assertEqual(one.inbox.gone, [2])
        self.later(5.0)
        self.assertEqual(one.inbox.gone, [2], "once is enough")

    def test_a_silence_is_no_crash(self) -> None:
        """A machine without power says nothing; the connection is given up, and nobody is said to be gone."""
        one, _ = self.two()
        del one.inbox.lost[:]
        self.machines[2].crash(power=True)
        self.later(10.0)
        self.assertEqual([one.inbox.gone, one.inbox.lost[:1]], [[], [2]])

    def test_back_again(self) -> None:
        one, _ = self.two()
        self.machines[2].crash(power=False)
        self.later(1.0)
        two = self.node(2)
        self.later(1.0)
        one.peers.send(word(key_of(1), key_of(2)))
        self.later(0.1)
        self.assertEqual(len(two.inbox.messages), 1)
        self.machines[2].crash(power=False)
        self.later(0.1)
        self.assertEqual(one.inbox.gone, [2, 2])

    def test_known_no_more(self) -> None:
        one, two = self.two()
        one.peers.know([])
        two.peers.know([])
        self.later(1.0)
        self.assertEqual([len(one.factory.connections), len(two.factory.connections)], [0, 0])

    def test_waits(self) -> None:
        """After a good connection it is tried again at once, then later and later, each node a little differently."""
        self.assertEqual(wait_s(0, 0.5), 0.0)
        waits = [wait_s(failures, 0.0) for failures in range(1, 60)]
        self.assertEqual(waits, sorted(waits))
        self.assertLess(wait_s(60, 0.999), LONGEST_WAIT_S)
        self.assertNotEqual(wait_s(3, 0.1), wait_s(3, 0.2))


class RefusalTests(PeerCase):
    """Both ends look whom they have before them."""

    def refusals(self, who: Identity, reason: Reason, as_known: Replica | None = None) -> tuple[Node, Node]:
        """Have a node call another that does not want it, or that it does not want."""
        one, two = self.node(1), self.node(2, who=who)
        one.peers.know([as_known or self.at(2)])
        self.later(2.0)
        self.assertGreater(one.refused(reason), 0)
        self.assertEqual(one.peers.connected, ())
        return one, two

    def test_wrong_cluster(self) -> None:
        _, two = self.refusals(identity(2, "Y"), Reason.WRONG_CLUSTER)
        self.assertGreater(two.refused(Reason.WRONG_CLUSTER), 0, "both say so")

    def test_another_node_is_there(self) -> None:
        _, two = self.refusals(identity(3), Reason.WRONG_NODE)
        self.assertGreater(two.refused(Reason.WRONG_NODE), 0)

    def test_another_disk_is_there(self) -> None:
        """RF15: the node that was called is gone, and its successor is somebody else."""
        self.refusals(identity(2, disk=1), Reason.WRONG_NODE)

    def test_our_own_id(self) -> None:
        one = self.node(1)
        double = self.node(1, who=identity(1, disk=1), place=2)
        double.peers.know([Replica(key_of(1), f"10.0.0.1:{PORT}")])
        self.later(1.0)
        self.assertGreater(one.refused(Reason.REUSED_ID), 0)

    def test_the_id_of_one_that_lives(self) -> None:
        one, _ = self.two()
        double = self.node(2, who=identity(2, disk=1), place=3)
        double.peers.know([self.at(1)])
        self.later(1.0)
        self.assertGreater(one.refused(Reason.REUSED_ID), 0)
        self.assertEqual(double.peers.connected, ())
        self.assertEqual(one.peers.connected, (key_of(2),))

    def test_logged_once(self) -> None:
        """Somebody who tries again and again is counted each time, and logged now and then."""
        one = self.node(1)
        one.peers.refusals.note(Reason.STRANGER, "10.0.0.9", "first")
        said = dict(one.peers.refusals._said_s)
        self.later(1.0)
        one.peers.refusals.note(Reason.STRANGER, "10.0.0.9", "again")
        self.assertEqual([one.refused(Reason.STRANGER), one.peers.refusals._said_s], [2, said])


class GuestTests(PeerCase):
    """A node that is in no cluster may ask to be let in, and nothing else."""

    def test_guest(self) -> None:
        one, two = self.node(1), self.node(2, who=identity(2, ""))
        two.peers.know([self.at(1)])
        self.later(0.5)
        asked = two.peers.ask(key_of(1), JoinRequest(), JoinResponse, 1.0)
        two.peers.send(word(key_of(2), key_of(1)))
        self.later(0.5)
        self.successResultOf(asked)
        self.assertEqual(one.inbox.messages, [], "what a guest says of the log counts for nothing")
        asked = two.peers.ask(key_of(1), BrokerHeartbeatRequest(), BrokerHeartbeatResponse, 1.0)  # type: ignore[arg-type]
        self.later(0.5)
        self.failureResultOf(asked, NoAnswer)
        self.assertEqual(one.refused(Reason.MALFORMED), 1)

    def test_guest_no_more(self) -> None:
        """It says again who it is when it has got a cluster."""
        one, two = self.node(1), self.node(2, who=identity(2, ""))
        two.peers.know([self.at(1)])
        self.later(0.5)
        two.peers.became("X")
        self.later(0.1)
        two.peers.send(word(key_of(2), key_of(1)))
        self.later(0.1)
        self.assertEqual(len(one.inbox.messages), 1)

    def test_founders_know_each_other(self) -> None:
        """Before there is a cluster id, members are those who are known."""
        one, two = self.node(1, who=identity(1, "")), self.node(2, who=identity(2, ""))
        one.peers.know([self.at(2)])
        two.peers.know([self.at(1)])
        self.later(0.5)
        one.peers.send(word(key_of(1), key_of(2)))
        self.later(0.1)
        self.assertEqual(len(two.inbox.messages), 1)


class Wire(StringTransport):
    """A transport in memory."""

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Nothing waits here."""


def frame(*parts: bytes) -> bytes:
    """Return bytes as a frame."""
    body = b"".join(parts)
    return len(body).to_bytes(4, "big") + body


def hello(cluster_id: str = "X", node_id: int = 2) -> bytes:
    """Return the greeting of another node."""
    said = greeting(identity(node_id, cluster_id), key_of(1))
    return frame(write_request_header(GreetingRequest.KEY, 0, 1, "n", flexible=True), encode(said, 0))


class HostileTests(SynchronousTestCase):
    """Bytes that no node sends end one connection."""

    def setUp(self) -> None:
        """Start a node that nobody knows."""
        self.simulation = Simulation(1)
        machine = Machine(Fabric.of(self.simulation, Weather()), "n1", "10.0.0.1")
        self.node = Node(machine.start().host, identity(1))

    def connect(self) -> tuple[PeerConnection, Wire]:
        """Let somebody in."""
        connection = self.node.factory.buildProtocol(None)
        assert connection is not None
        wire = Wire()
        connection.makeConnection(wire)
        return connection, wire

    def ends(self, data: bytes, reason: Reason, greeted: bool = True) -> None:
        before = self.node.refused(reason)
        connection, _ = self.connect()
        if greeted:
            connection.dataReceived(hello())
            self.assertFalse(connection.is_closed)
        connection.dataReceived(data)
        self.assertTrue(connection.is_closed)
        self.assertEqual(self.node.refused(reason), before + 1)

    def test_a_client_that_wanders_in(self) -> None:
        """It is told nothing; the log says where clients are served."""
        header = write_request_header(18, 3, 1, "rdkafka")
        self.ends(frame(header, encode(ApiVersionsRequest(), 3)), Reason.STRANGER, greeted=False)

    def test_not_kafka(self) -> None:
        for data in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"\xff" * 8, frame()):
            self.ends(data, Reason.MALFORMED, greeted=False)

    def test_large_before_the_greeting(self) -> None:
        self.ends((1 << 20).to_bytes(4, "big") + b"\x4e\x84", Reason.MALFORMED, greeted=False)

    def test_what_is_not_answered_here(self) -> None:
        for key, version in ((3, 1), (18, 3), (63, 99), (20_099, 0), (-1, 0)):
            data = key.to_bytes(2, "big", signed=True) + version.to_bytes(2, "big") + bytes(12)
            self.ends(frame(data), Reason.MALFORMED)

    def test_somebody_elses_words(self) -> None:
        """A node speaks for itself, to the one that it called."""
        for message in (word(key_of(3), key_of(1)), word(key_of(2), key_of(1, disk=1))):
            header = write_request_header(translation.key_of(message), 0, 0, None, flexible=True)
            self.ends(frame(header, *map(bytes, translation.write(message))), Reason.MALFORMED)

    def test_somebody_elses_name(self) -> None:
        """Who one is cannot be changed."""
        self.ends(hello(node_id=3), Reason.MALFORMED)

    def test_what_the_quorum_refuses(self) -> None:
        self.node.inbox.refuses = True
        message = word(key_of(2), key_of(1))
        header = write_request_header(translation.key_of(message), 0, 0, None, flexible=True)
        self.ends(frame(header, *map(bytes, translation.write(message))), Reason.MALFORMED)

    def test_bytes_behind_a_request(self) -> None:
        said = hello()
        self.ends(frame(said[4:], b"more"), Reason.MALFORMED, greeted=False)

    def test_says_nothing(self) -> None:
        connection, _ = self.connect()
        self.simulation.run(GREETING_S + 0.1)
        self.assertTrue(connection.is_closed)
        self.assertEqual(self.node.refused(Reason.STRANGER), 1)

    def test_says_nothing_more(self) -> None:
        """A node that has been silent for long is not there any more; its id is free."""
        connection, _ = self.connect()
        connection.dataReceived(hello())
        self.simulation.run(30.0)
        self.assertTrue(connection.is_closed)

    def test_strangers_may_not_send_much(self) -> None:
        """Anybody can say that it is a node without a cluster; a member's frames may be large."""
        for cluster_id, bytes_max in (("", GUEST_BYTES_MAX), ("X", FRAME_BYTES_MAX)):
            for size, ends in ((bytes_max, False), (bytes_max + 1, True)):
                connection, _ = self.connect()
                connection.dataReceived(hello(cluster_id))
                connection.dataReceived(size.to_bytes(4, "big") + bytes(2))
                self.assertEqual(connection.is_closed, ends, (cluster_id, size))

    def test_unfinished_frames_take_so_much_together(self) -> None:
        """Then the largest goes, strangers' first; the others go on."""
        self.node.factory.partial_bytes_max = 1_000_000
        begin = (3_000_000).to_bytes(4, "big") + bytes(2)
        callers = [self.connect()[0] for _ in range(4)]
        for connection, cluster_id, size in zip(callers, ("X", "X", "", ""), (500_000, 100, 100, 300_000), strict=True):
            connection.dataReceived(hello(cluster_id))
            connection.dataReceived(begin + bytes(size))
        for size, left in ((150_000, [0, 1, 2, 3]), (100_000, [0, 1, 2]), (249_850, [0, 1]), (90_000, [1])):
            callers[left[0]].dataReceived(bytes(size))
            self.assertEqual([at for at, one in enumerate(callers) if not one.is_closed], left, size)
        self.assertEqual(self.node.refused(Reason.LIMIT), 3)

    def test_what_is_whole_is_not_counted(self) -> None:
        self.node.factory.partial_bytes_max = 100_000
        connection, _ = self.connect()
        connection.dataReceived(hello())
        for _ in range(10):
            said = hello()
            connection.dataReceived(said[:20])
            self.assertEqual(self.node.factory._partial_bytes, 16)
            connection.dataReceived(said[20:])
            self.assertEqual(self.node.factory._partial_bytes, 0)
        connection.dataReceived(hello()[:20])
        connection.connectionLost()
        self.assertEqual(self.node.factory._partial_bytes, 0)

    def test_many_that_say_nothing(self) -> None:
        """They make room for others, and nobody who has said who it is."""
        good, _ = self.connect()
        good.dataReceived(hello())
        first, _ = self.connect()
        for _ in range(UNGREETED_MAX):
            self.connect()
        self.assertTrue(first.is_closed)
        self.assertFalse(good.is_closed)

    @settings(max_examples=200, deadline=None)
    @given(st.binary(max_size=200), st.booleans())
    def test_anything(self, data: bytes, greeted: bool) -> None:
        connection, _ = self.connect()
        if greeted:
            connection.dataReceived(hello())
        connection.dataReceived(frame(data) if greeted else data)
        self.flushLoggedErrors(AssertionError)

    @settings(max_examples=200, deadline=None)
    @given(st.integers(0, 200), st.integers(0, 255))
    def test_one_byte_of_a_greeting(self, at: int, value: int) -> None:
        data = bytearray(hello())
        data[4 + at % (len(data) - 4)] = value
        connection, _ = self.connect()
        connection.dataReceived(bytes(data))
        self.assertEqual(self.flushLoggedErrors(), [])


class HostileAnswerTests(SynchronousTestCase):
    """SE22: whoever answers may be as hostile as whoever calls."""

    def setUp(self) -> None:
        """Call somebody."""
        self.simulation = Simulation(1)
        host = Machine(Fabric.of(self.simulation, Weather()), "n1", "10.0.0.1").start().host
        self.ended: list[str] = []
        self.call = PeerCall(
            Deadlines(host.clock), "n", lambda call: None, lambda message: None,
            lambda call, why: self.ended.append(why),
        )  # fmt: skip
        self.call.makeConnection(Wire())
        self.asked = self.call.ask(greeting(identity(2), key_of(1)), GreetingResponse, 1.0)

    def test_answers_that_are_none(self) -> None:
        for data in (b"\xff" * 8, frame(b"\0\0\0\x07"), frame(b"\0\0\0\x01\0"), frame(b"\0\0\0\x01\xff\xff"), frame()):
            self.setUp()
            self.call.dataReceived(data)
            self.assertTrue(self.call.is_closed)
            self.call.connectionLost()
            self.failureResultOf(self.asked, NoAnswer)
            self.assertNotEqual(self.ended, [""])

    @settings(max_examples=200, deadline=None)
    @given(st.binary(min_size=4, max_size=200))
    def test_anything(self, data: bytes) -> None:
        self.setUp()
        self.call.dataReceived(frame(data))
        self.call.connectionLost()
        self.asked.addErrback(lambda failure: failure.trap(NoAnswer))
        self.successResultOf(self.asked)
