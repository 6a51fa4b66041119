"""Produce at a node that does not lead, in a simulated cluster of three."""

from __future__ import annotations

from typing import Any, cast

from attrs import evolve
from twisted.internet.defer import Deferred

from streamline.api.relayed import RelayedProduces, Taken, call_of
from streamline.assembly import Node
from streamline.errors import ErrorCode, ProtocolError
from streamline.raft import ReplicaKey
from streamline.services import lanes
from streamline.services.peer_protocol import UNSENT_BYTES_MAX
from streamline.services.peers import Peers
from streamline.services.relaying import PARTING_S, SETTLED_S, Relay
from streamline.wire.batch import headers
from streamline.wire.compress import GZIP, NO_COMPRESSION, ZSTD
from streamline.wire.messages.peer_produce import RelayedProduceRequest, RelayedProduceResponse
from streamline.wire.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from streamline.wire.messages.topics import CreatePartitionsRequest, CreatePartitionsTopic
from tests.api.replication_case import ReplicationCase
from tests.broker import Client, batch_of, produce_request

OLD = 9
"""The last version of Produce that cannot be told who leads."""
MANY = 20_000
"""Records of different sizes in one batch, which take more than one turn to look at."""


class RelayCase(ReplicationCase):
    """A topic t with one partition, and clients of nodes that do not lead it."""

    forwarding = "auto"

    def setUp(self) -> None:
        """Have the nodes do as the setting says."""
        self.settings = {"options": {"produce_forwarding": self.forwarding}}
        super().setUp()
        self.all_know()

    def all_know(self) -> None:
        """Wait until every node knows who leads."""
        leader = self.node_id()
        self.cluster.until(lambda: all(self._leader_at(node) == leader for node in self.cluster.nodes.values()))

    def _leader_at(self, node: Node) -> int:
        state = node.broker.metadata.image.partition("t", 0)
        return -1 if state is None else state.leader

    def other(self) -> Node:
        """Return a node that does not lead."""
        leader = self.leader()
        return next(node for node in self.cluster.nodes.values() if node is not leader)

    def produce_at(self, node: Node, batch: bytes | None, acks: int = -1, version: int = OLD, **more: Any) -> Any:
        """Produce a batch at some node; return what it says of it."""
        request = produce_request("t", batch, acks=acks, **more)
        return self.cluster.ask(node, request, version).responses[0].partition_responses[0]

    def values(self, node: Node) -> list[bytes]:
        """Return the keys of the batches of a node's log, each with one record, whose number is its key's."""
        log = self.log_of(self.copies()[node.config.node_id])
        return [log[at : at + header.size] for at, header in headers(log)]

    def answers_of(self, client: Client, count: int, seconds: float = 20.0) -> list[Any]:
        """Wait for so many answers of a client."""
        found: list[Any] = []

        def have_come() -> bool:
            found.extend(answer.responses[0].partition_responses[0] for _, answer in client.answers())
            return len(found) >= count or client.is_closed

        self.cluster.until(have_come, seconds)
        return found


class OldVersionTests(RelayCase):
    """What cannot be told who leads is passed on to who does."""

    def test_taken_by_the_leader(self) -> None:
        """It is acknowledged with the leader's own words, and is in its log once."""
        first = self.produce_at(self.other(), batch_of(b"one"))
        second = self.produce_at(self.other(), batch_of(b"two"), acks=1, version=5)
        self.assertEqual((first.error_code, first.base_offset, first.log_start_offset), (0, 0, 0))
        self.assertEqual((second.error_code, second.base_offset), (0, 1))
        self.assertEqual(len(self.values(self.leader())), 2)
        self.all_the_same()

    def test_no_answer_wanted(self) -> None:
        """With acks=0 it is taken all the same, and nothing is said."""
        client = Client(self.other())
        client.send(produce_request("t", batch_of(b"one"), acks=0), OLD)
        self.cluster.until(lambda: len(self.values(self.leader())) == 1)
        self.cluster.wait(0.1)
        self.assertEqual((list(client.frames()), client.is_closed), ([], False))

    def test_no_answer_wanted_and_refused(self) -> None:
        """With acks=0 a closed connection says that something was wrong."""
        client = Client(self.other())
        client.send(produce_request("t", batch_of(b"one")[:-1], acks=0), OLD)
        self.cluster.until(lambda: client.is_closed)

    def test_refused_by_the_leader(self) -> None:
        """What the leader says of a damaged batch is said to the client."""
        damaged = bytearray(batch_of(b"one"))
        damaged[-1] ^= 1
        self.assertEqual(self.produce_at(self.other(), bytes(damaged)).error_code, ErrorCode.CORRUPT_MESSAGE)

    def test_version_of_the_client(self) -> None:
        """The leader judges it by the version in which the client sent it: zstd came with version 7."""
        batch = batch_of(b"one", compression=ZSTD)
        refused = self.produce_at(self.other(), batch, version=6)
        taken = self.produce_at(self.other(), batch, version=7)
        self.assertEqual(refused.error_code, ErrorCode.UNSUPPORTED_COMPRESSION_TYPE)
        self.assertEqual(taken.error_code, ErrorCode.NONE)

    def test_order(self) -> None:
        """What comes over one connection is in the log in that order, be it easy to check or not."""
        client = Client(self.other())
        batches = [batch_of(b"%d" % n, compression=NO_COMPRESSION if n % 3 else GZIP) for n in range(30)]
        client.give(b"".join(client.frame(produce_request("t", batch, acks=1), OLD) for batch in batches))
        answers = self.answers_of(client, 30)
        self.assertEqual([answer.error_code for answer in answers], [0] * 30)
        self.assertEqual([answer.base_offset for answer in answers], list(range(30)))

    def test_nobody_leads(self) -> None:
        """Where there is no such topic, the node says so itself."""
        request = produce_request("nothing", batch_of(b"one"))
        (data,) = self.cluster.ask(self.other(), request, OLD).responses[0].partition_responses
        self.assertEqual(data.error_code, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)

    def test_here_and_there(self) -> None:
        """A request of batches for several leaders, this node among them, is answered in its own order."""
        node = self.other()
        self._more_partitions(6)
        image = node.broker.metadata.image
        leaders = [state.leader for state in image.topics["t"].partitions]
        self.assertEqual(set(leaders), {1, 2, 3})
        parts = [PartitionProduceData(index=index, records=batch_of(b"x")) for index in range(6)]
        request = ProduceRequest(
            acks=1, timeout_ms=5000, topic_data=[TopicProduceData(name="t", partition_data=parts)]
        )
        (topic,) = self.cluster.ask(node, request, OLD).responses
        self.assertEqual([part.index for part in topic.partition_responses], list(range(6)))
        self.assertEqual([part.error_code for part in topic.partition_responses], [0] * 6)

    def _more_partitions(self, count: int) -> None:
        more = CreatePartitionsTopic(name="t", count=count, assignments=None)
        request = CreatePartitionsRequest(topics=[more], timeout_ms=5000)
        (result,) = self.cluster.ask(self.cluster.controller, request).results
        self.assertEqual(result.error_code, ErrorCode.NONE, result.error_message)

        def all_lead() -> bool:
            nodes = self.cluster.nodes.values()
            led = sum(copy.is_led for node in nodes for copy in node.broker.replicas)
            known = [node.broker.metadata.image.topics["t"].partitions for node in nodes]
            return led == count and all(len(states) == count for states in known)

        self.cluster.until(all_lead)

    def test_new_version(self) -> None:
        """What can be told who leads is told so, with where that is (KIP-951)."""
        request = produce_request("t", batch_of(b"one"))
        response = self.cluster.ask(self.other(), request, 12)
        (data,) = response.responses[0].partition_responses
        state = self.state()
        self.assertEqual(data.error_code, ErrorCode.NOT_LEADER_OR_FOLLOWER)
        self.assertEqual(data.current_leader.leader_id, state.leader)
        self.assertEqual(data.current_leader.leader_epoch, state.leader_epoch)
        self.assertEqual([(one.node_id, one.port) for one in response.node_endpoints], [(state.leader, 9092)])
        self.assertEqual(self.values(self.leader()), [])

    def test_not_on_the_clients_listener(self) -> None:
        """What nodes pass on to each other is taken from nobody else."""
        client = Client(self.leader())
        request = relayed(self, 0, b"one")
        body = client.frame(produce_request("t", None), OLD)  # whose header is right but for the key
        self.assertEqual(body[4:6], (0).to_bytes(2, "big"))
        client.give(body[:4] + RelayedProduceRequest.KEY.to_bytes(2, "big") + body[6:])
        self.assertTrue(client.is_closed)
        self.assertEqual(request.KEY, RelayedProduceRequest.KEY)


class Notes:
    """Connections to other nodes, over which nothing goes; what would have gone is kept."""

    def __init__(self) -> None:
        self.asked: list[tuple[ReplicaKey, RelayedProduceRequest]] = []

    def ask(self, key: ReplicaKey, request: Any, response: Any, timeout_s: float) -> Deferred[Any]:
        """Keep it."""
        self.asked.append((key, request))
        return Deferred()


class IdentityTests(RelayCase):
    """The leader is told who the client is."""

    def test_who_it_is(self) -> None:
        """Its name, what it calls itself, where it is and what it speaks; and by which connection this goes."""
        node, notes, state = self.other(), Notes(), self.state()
        broker = node.broker
        relay = Relay(
            node.config.node_id, broker.metadata, cast(Peers, notes), broker.deadlines, broker.replicas.gathering,
            lambda: 5, 10,
        )  # fmt: skip
        node.factory.broker = evolve(broker, relay=relay)
        client = Client(node, "10.0.0.77")
        client.connection.caller.principal = "User:ann"
        client.send(produce_request("t", batch_of(b"one"), acks=1, timeout_ms=700), 8)
        ((key, request),) = notes.asked
        self.assertEqual(key.node_id, state.leader)
        said = request.principal, request.client_id, request.client_address, request.client_version
        self.assertEqual(said, ("User:ann", "test", "10.0.0.77", 8))
        self.assertEqual((request.acks, request.timeout_ms, request.broker_epoch, request.line), (1, 700, 5, 0))
        self.assertEqual(request.leader_epochs, [state.leader_epoch])
        leader = self.leader()
        call = call_of(leader.broker, request)
        heard = call.caller.principal, call.client_id, call.caller.address, call.version
        self.assertEqual(heard, said)

    def test_nobody(self) -> None:
        """What is from nobody is passed on by no node."""
        with self.assertRaises(ProtocolError):
            call_of(self.leader().broker, relayed(self, 0, b"x", principal=""))

    def test_an_epoch_for_each(self) -> None:
        """Nor is a batch without its leader epoch."""
        request = relayed(self, 0, b"x", b"y")
        request.leader_epochs = [0]
        leader = self.leader()
        with self.assertRaises(ProtocolError):
            Taken(call_of(leader.broker, request), request)

    def test_from_no_broker(self) -> None:
        """Only brokers pass anything on, known by node and by disk."""
        answer = RelayedProduces(self.leader().broker).answer(ReplicaKey(1, bytes(16)), relayed(self, 0, b"x"))
        assert isinstance(answer, RelayedProduceResponse)
        self.assertEqual(answer.error_code, ErrorCode.CLUSTER_AUTHORIZATION_FAILED)


class AlwaysTests(RelayCase):
    """With C{always} every version is passed on."""

    forwarding = "always"

    def test_newest_version(self) -> None:
        """Also one that could be told who leads, which names topics by id."""
        topic_id = self.leader().broker.metadata.image.topics["t"].topic_id
        data = self.produce_at(self.other(), batch_of(b"one"), version=13, topic_id=topic_id)
        self.assertEqual((data.error_code, data.base_offset), (ErrorCode.NONE, 0))


class NeverTests(RelayCase):
    """With C{never} nothing is passed on."""

    forwarding = "never"

    def test_old_version(self) -> None:
        """A client that cannot be told who leads has to ask."""
        self.assertEqual(self.produce_at(self.other(), batch_of(b"one")).error_code, ErrorCode.NOT_LEADER_OR_FOLLOWER)
        self.assertEqual(self.values(self.leader()), [])


def relayed(case: RelayCase, epoch: int, *values: bytes, **more: Any) -> RelayedProduceRequest:
    """Return what another node would pass on."""
    topic_id = case.leader().broker.metadata.image.topics["t"].topic_id
    parts = [PartitionProduceData(index=0, records=batch_of(value)) for value in values]
    fields: dict[str, Any] = {"broker_epoch": 7, "line": 0, "principal": "User:a", "client_version": OLD, "acks": 1}
    return RelayedProduceRequest(
        **{**fields, **more},
        client_address="10.0.0.9",
        timeout_ms=1000,
        leader_epochs=[epoch] * len(values),
        topics=[TopicProduceData(topic_id=topic_id, partition_data=parts)],
    )


class AtTheLeaderTests(RelayCase):
    """A leader takes what is passed on in its own epoch, in order, and passes nothing on again."""

    def say(self, to: Node, request: RelayedProduceRequest, sender: int = 0) -> RelayedProduceResponse:
        """Have another node pass something on."""
        sender_id = sender or next(node_id for node_id in self.cluster.nodes if node_id != to.config.node_id)
        broker = to.broker.metadata.image.brokers[sender_id]
        way = next(node for node in self.cluster.nodes.values() if node.config.node_id == sender_id)
        assert way.room is not None
        key = ReplicaKey(to.config.node_id, to.broker.metadata.image.brokers[to.config.node_id].directory_id)
        found: list[Any] = []
        way.room.peers.ask(key, request, RelayedProduceResponse, 5.0).addBoth(found.append)
        self.cluster.until(lambda: bool(found))
        self.assertIsInstance(found[0], RelayedProduceResponse, f"{found[0]} of {broker}")
        response: RelayedProduceResponse = found[0]
        return response

    def code(self, to: Node, request: RelayedProduceRequest) -> int:
        """Return what is said of the first batch."""
        code: int = self.say(to, request).topics[0].partition_responses[0].error_code
        return code

    def test_its_own_epoch_only(self) -> None:
        """What was meant for an earlier or a later epoch is refused: its order is that of its epoch."""
        leader, epoch = self.leader(), self.state().leader_epoch
        for other in (epoch - 1, epoch + 1):
            self.assertEqual(self.code(leader, relayed(self, other, b"x")), ErrorCode.NOT_LEADER_OR_FOLLOWER)
        self.assertEqual(self.values(leader), [])
        self.assertEqual(self.code(leader, relayed(self, epoch, b"x")), ErrorCode.NONE)

    def test_one_after_the_other(self) -> None:
        """What takes several turns to look at is in the log before what came after it."""
        leader, epoch = self.leader(), self.state().leader_epoch
        door, sender = RelayedProduces(leader.broker), self.other().config.node_id
        key = ReplicaKey(sender, leader.broker.metadata.image.brokers[sender].directory_id)
        long = relayed(self, epoch, b"x")
        long.topics[0].partition_data[0].records = batch_of(*[b"v" * (n % 7) for n in range(MANY)], compression=GZIP)
        taken: list[Any] = []
        for request in (long, relayed(self, epoch, b"y"), relayed(self, epoch, b"z")):
            answer = door.answer(key, request)
            assert isinstance(answer, Deferred)
            answer.addCallback(taken.append)
        self.assertEqual(taken, [])
        self.cluster.until(lambda: len(taken) == 3)
        offsets = [one.finish().topics[0].partition_responses[0].base_offset for one in taken]
        self.assertEqual(offsets, [0, MANY, MANY + 1])

    def test_not_passed_on_again(self) -> None:
        """A node that does not lead says so, and that is all."""
        epoch = self.state().leader_epoch
        self.assertEqual(self.code(self.other(), relayed(self, epoch, b"x")), ErrorCode.NOT_LEADER_OR_FOLLOWER)
        self.cluster.wait(1.0)
        self.assertEqual(self.values(self.leader()), [])

    def test_late_by_an_old_connection(self) -> None:
        """Once something has come by a later connection, nothing is taken by an earlier one."""
        leader, epoch = self.leader(), self.state().leader_epoch
        self.assertEqual(self.code(leader, relayed(self, epoch, b"x", line=1)), ErrorCode.NONE)
        late = self.say(leader, relayed(self, epoch, b"y", line=0))
        self.assertEqual(late.error_code, ErrorCode.NOT_LEADER_OR_FOLLOWER)
        anew = self.code(leader, relayed(self, epoch, b"z", broker_epoch=8, line=0))
        self.assertEqual(anew, ErrorCode.NONE)
        self.assertEqual(len(self.values(leader)), 2)

    def test_unknown_topic(self) -> None:
        """A topic that is gone, or not yet there, is refused by id."""
        request = relayed(self, self.state().leader_epoch, b"x")
        request.topics[0].topic_id = bytes(15) + b"x"
        self.assertEqual(self.code(self.leader(), request), ErrorCode.UNKNOWN_TOPIC_ID)

    def test_no_answer_wanted(self) -> None:
        """With acks=0 the other node is answered all the same, or it could not tell its client that it was refused."""
        leader, epoch = self.leader(), self.state().leader_epoch
        self.assertEqual(self.code(leader, relayed(self, epoch, b"x", acks=0)), ErrorCode.NONE)
        self.assertEqual(self.code(leader, relayed(self, epoch - 1, b"x", acks=0)), ErrorCode.NOT_LEADER_OR_FOLLOWER)


class FaultTests(RelayCase):
    """Leaders that die, or stand still, while something is on its way to them."""

    def test_leader_dies(self) -> None:
        """Nobody knows what became of it; when another one leads, that one takes what comes."""
        client, leader = Client(self.other()), self.node_id()
        other = client.connection.factory.broker.config.node_id
        client.send(produce_request("t", batch_of(b"one")), OLD)
        self.cluster.kill(leader)
        (data,) = self.answers_of(client, 1)
        self.assertEqual(data.error_code, ErrorCode.REQUEST_TIMED_OUT)
        relay = self.cluster.nodes[other].broker.relay
        assert relay is not None
        self.assertEqual(relay.lane_to(leader).number, 1, "what comes by the next connection is told apart")
        self.cluster.until(lambda: self.node_id() != leader)
        self.all_know()
        survivor = self.cluster.nodes[other]
        self.assertEqual(self.produce_at(survivor, batch_of(b"two")).error_code, ErrorCode.NONE)

    def test_leader_cannot_be_reached(self) -> None:
        """Where nothing could be sent, nothing has happened, and that is what is said."""
        node, leader = self.other(), self.node_id()
        self.cluster.kill(leader)
        assert node.room is not None
        peers = node.room.peers
        self.cluster.until(lambda: all(key.node_id != leader for key in peers.connected))
        self.assertEqual(self._leader_at(node), leader)
        self.assertEqual(self.produce_at(node, batch_of(b"one")).error_code, ErrorCode.NOT_LEADER_OR_FOLLOWER)

    def test_leader_stands_still(self) -> None:
        """One that is cut off is waited for no longer than until another one leads."""
        node, leader = self.other(), self.node_id()
        client = Client(node)
        self.cluster.isolate(leader)
        client.send(produce_request("t", batch_of(b"one")), OLD)
        self.cluster.until(lambda: self._leader_at(node) != leader, 30.0)
        (data,) = self.answers_of(client, 1, PARTING_S + 0.1)
        self.assertEqual(data.error_code, ErrorCode.REQUEST_TIMED_OUT)

    def test_the_clients_time(self) -> None:
        """It is answered when the client's time is up, wherever it is."""
        node, leader = self.other(), self.node_id()
        client = Client(node)
        self.cluster.isolate(leader)
        client.send(produce_request("t", batch_of(b"one"), timeout_ms=300), OLD)
        (data,) = self.answers_of(client, 1, 0.4)
        self.assertEqual(data.error_code, ErrorCode.REQUEST_TIMED_OUT)

    def test_again_after_nobody_knew(self) -> None:
        """An idempotent producer sends again what may have been taken, and it is there once."""
        node, leader = self.other(), self.node_id()
        batch = batch_of(b"one", producer_id=77, producer_epoch=0, base_sequence=0)
        client = Client(node)
        self.cluster.isolate(leader)
        client.send(produce_request("t", batch, timeout_ms=300), OLD)
        self.answers_of(client, 1)
        self.cluster.heal()
        self.cluster.wait(10.0)
        self.all_know()
        self.assertEqual(self.produce_at(self.other(), batch).base_offset, 0)
        following = batch_of(b"two", producer_id=77, producer_epoch=0, base_sequence=1)
        self.assertEqual(self.produce_at(self.other(), following).base_offset, 1)
        self.all_the_same()


class RoomTests(RelayCase):
    """What is on its way to one leader has a limit; what goes beyond it stays with the client."""

    def test_waits_for_room(self) -> None:
        """A client is not read while there is no room, and goes on when there is."""
        self.assertLess(lanes.FLYING_BYTES_MAX, UNSENT_BYTES_MAX)
        node, leader = self.other(), self.node_id()
        relay = node.broker.relay
        assert relay is not None
        lane = relay.lane_to(leader)
        self.assertIsNone(lane.enter(lanes.FLYING_BYTES_MAX))
        client = Client(node)
        client.give(b"".join(client.frame(produce_request("t", batch_of(b"%d" % n)), OLD) for n in range(3)))
        self.cluster.wait(1.0)
        self.assertFalse(client.is_read)
        self.assertEqual(self.values(self.leader()), [])
        lane.leave(lanes.FLYING_BYTES_MAX, 1)
        self.assertEqual([answer.base_offset for answer in self.answers_of(client, 3)], [0, 1, 2])
        self.assertTrue(client.is_read)

    def test_waits_for_others(self) -> None:
        """What a leader has in its log takes no room, however long it waits for followers."""
        node, leader = self.other(), self.node_id()
        relay = node.broker.relay
        assert relay is not None
        lane = relay.lane_to(leader)
        third = next(node_id for node_id in self.cluster.nodes if node_id not in (leader, node.config.node_id))
        self.cluster.isolate(third)
        client = Client(node)
        client.send(produce_request("t", batch_of(b"one")), OLD)
        self.cluster.wait(0.1)
        self.assertIsInstance(waiting := lane.enter(lanes.FLYING_BYTES_MAX), Deferred)
        self.cluster.wait(SETTLED_S)
        self.assertTrue(waiting is not None and waiting.called)
        self.assertEqual(list(client.frames()), [])

    def test_hangs_up_while_it_waits(self) -> None:
        """A client that goes takes no room with it."""
        node, leader = self.other(), self.node_id()
        relay = node.broker.relay
        assert relay is not None
        lane = relay.lane_to(leader)
        self.assertIsNone(lane.enter(lanes.FLYING_BYTES_MAX))
        client = Client(node)
        client.send(produce_request("t", batch_of(b"one")), OLD)
        client.hang_up()
        self.cluster.wait(0.1)
        lane.leave(lanes.FLYING_BYTES_MAX, 1)
        self.assertIsNone(lane.enter(lanes.FLYING_BYTES_MAX))
        self.cluster.wait(1.0)
        self.assertEqual(self.values(self.leader()), [])
