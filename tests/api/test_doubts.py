"""A leader's process dies: what clients who ask right away who leads now are told."""

from __future__ import annotations

from streamline.assembly import Node
from streamline.errors import ErrorCode
from streamline.model import NO_LEADER
from streamline.services.doubts import HOLD_S
from streamline.wire.messages.metadata import (
    DescribeTopicPartitionsRequest,
    MetadataRequest,
    MetadataRequestTopic,
    MetadataResponse,
    TopicRequest,
)
from streamline.wire.messages.topics import CreatableReplicaAssignment, CreatableTopic, CreateTopicsRequest
from tests.api.cluster_case import ClusterCase
from tests.broker import Client

SESSION_S = 3.0
SOON_S = 0.05
TURN_S = 0.001


class Asker:
    """Somebody who asks one node who leads topics, all of them where none is named."""

    def __init__(self, node: Node, *names: str) -> None:
        self._client = Client(node)
        topics = [MetadataRequestTopic(name=name) for name in names] or None
        self._client.send(MetadataRequest(topics=topics))

    def answered(self) -> dict[str, tuple[int, int]] | None:
        """Return leader and error of each topic's partition, or None where there is no answer yet."""
        for _, answer in self._client.answers():
            assert isinstance(answer, MetadataResponse)
            return {str(topic.name): _of(topic) for topic in answer.topics}
        return None


def _of(topic: object) -> tuple[int, int]:
    (part,) = topic.partitions  # type: ignore[attr-defined]
    return part.leader_id, part.error_code


class DoubtCase(ClusterCase):
    """
    Three nodes and a topic for each of them to lead: t1 to t3, with the other two as followers.

    @ivar dead: who is going to die, and is not the controller; C{alive} likewise is not.
    """

    settings = {"broker_session_timeout_ms": int(SESSION_S * 1000)}

    def setUp(self) -> None:
        """Make them."""
        super().setUp()
        topics = [
            CreatableTopic(
                name=f"t{node}",
                num_partitions=-1,
                replication_factor=-1,
                assignments=[CreatableReplicaAssignment(partition_index=0, broker_ids=[node, *others])],
            )
            for node, others in ((1, [2, 3]), (2, [3, 1]), (3, [1, 2]))
        ]
        made = self.cluster.ask(self.cluster.controller, CreateTopicsRequest(topics=topics, timeout_ms=10_000)).topics
        self.assertEqual([topic.error_code for topic in made], [ErrorCode.NONE] * 3)
        self.cluster.until(lambda: all(len(node.broker.metadata.image.topics) == 3 for node in self.nodes()))
        self.dead, self.alive = (node.config.node_id for node in self.cluster.others)
        self.controller = self.cluster.controller.config.node_id

    def nodes(self) -> list[Node]:
        """Return those that run."""
        return list(self.cluster.nodes.values())

    def listed(self, node: Node) -> list[int]:
        """Return which brokers a client is told of."""
        return sorted(broker.node_id for broker in self.cluster.ask(node, MetadataRequest(topics=[])).brokers)

    def doubtful(self, node: Node) -> None:
        """Wait until a node doubts somebody."""
        self.cluster.until(lambda: bool(node.broker.doubts.fresh), SESSION_S + HOLD_S)


class CrashTests(DoubtCase):
    """One is killed, and two are left to decide."""

    def test_waits_for_another_leader(self) -> None:
        """Whoever is asked: the dead one is named no more from the moment in which the connection to it has broken."""
        self.cluster.kill(self.dead)
        askers = []
        for node in self.nodes():
            self.doubtful(node)
            askers += [Asker(node, f"t{self.dead}"), Asker(node, f"t{self.alive}", f"t{self.dead}"), Asker(node)]
            self.cluster.wait(TURN_S)
            self.assertEqual([asker.answered() for asker in askers[-3:]], [None] * 3)
        self.cluster.wait(HOLD_S / 2)
        for asker in askers:
            told = asker.answered()
            assert told is not None, "the others had decided in much less than that"
            leader, error = told[f"t{self.dead}"]
            self.assertIn(leader, (self.alive, self.controller))
            self.assertEqual(error, ErrorCode.NONE)

    def test_what_others_lead(self) -> None:
        """That is as it was, and nobody waits for it; nor for brokers alone."""
        self.cluster.kill(self.dead)
        node = self.cluster.nodes[self.alive]
        self.doubtful(node)
        asker, client = Asker(node, f"t{self.alive}"), Client(node)
        client.send(MetadataRequest(topics=[]))
        self.cluster.wait(TURN_S)
        self.assertEqual(asker.answered(), {f"t{self.alive}": (self.alive, 0)})
        self.assertEqual(len(client.answers()), 1)

    def test_goes_on_to_be_listed(self) -> None:
        """Although it is fenced, until its session would have ended."""
        self.cluster.kill(self.dead)
        node = self.cluster.nodes[self.alive]
        self.cluster.until(lambda: node.broker.metadata.image.brokers[self.dead].fenced)
        self.assertEqual(self.listed(node), [1, 2, 3])
        self.cluster.wait(SESSION_S)
        self.assertEqual(self.listed(node), sorted((self.alive, self.controller)))

    def test_comes_back(self) -> None:
        """It is listed as it is now, whoever it was."""
        self.cluster.kill(self.dead)
        node = self.cluster.nodes[self.alive]
        self.doubtful(node)
        self.cluster.start(self.dead)
        self.cluster.all_serve()
        self.assertEqual((list(node.broker.doubts.fresh), list(node.broker.doubts.gone)), ([], []))

    def test_there_again(self) -> None:
        """A connection that broke and nothing else: the leader is the same."""
        node = self.cluster.nodes[self.alive]
        assert node.room is not None
        (link,) = (link for key, link in node.room.peers._links.items() if key.node_id == self.dead)
        assert link.call is not None
        link.call.drop()
        self.doubtful(node)
        asker = Asker(node, f"t{self.dead}")
        self.assertIsNone(asker.answered())
        self.cluster.wait(SOON_S)
        self.assertEqual(asker.answered(), {f"t{self.dead}": (self.dead, 0)})


class NobodyDecidesTests(DoubtCase):
    """Two are killed, and one is left."""

    def setUp(self) -> None:
        """Kill them."""
        super().setUp()
        self.node = self.cluster.nodes[self.alive]
        self.cluster.kill(self.dead)
        self.cluster.kill(self.controller)
        self.cluster.until(lambda: len(self.node.broker.doubts.fresh) == 2)

    def test_nobody_leads(self) -> None:
        """After a moment clients are told so, and ask again; in the end what the metadata say is all that is known."""
        asker = Asker(self.node, f"t{self.dead}")
        self.cluster.wait(HOLD_S / 2)
        self.assertIsNone(asker.answered())
        self.cluster.wait(HOLD_S)
        nobody = (NO_LEADER, ErrorCode.LEADER_NOT_AVAILABLE)
        self.assertEqual(asker.answered(), {f"t{self.dead}": nobody})
        self.assertEqual(self.told(), nobody)
        request = DescribeTopicPartitionsRequest(topics=[TopicRequest(name=f"t{self.dead}")])
        (described,) = self.cluster.ask(self.node, request).topics
        self.assertEqual(_of(described), nobody)
        self.cluster.wait(SESSION_S)
        self.assertEqual(self.told(), (self.dead, 0))

    def told(self) -> tuple[int, int]:
        """Return what who asks now is told at once."""
        asker = Asker(self.node, f"t{self.dead}")
        self.cluster.wait(TURN_S)
        answer = asker.answered()
        assert answer is not None
        return answer[f"t{self.dead}"]

    def test_stopping(self) -> None:
        """A node that stops keeps nobody waiting."""
        asker = Asker(self.node, f"t{self.dead}")
        self.cluster.until(lambda: len(self.node.broker.doubts.gone) == 2)
        self.assertIsNone(asker.answered())
        for connection in list(self.node.factory.connections):
            connection.finish()
        self.assertEqual(asker.answered(), {f"t{self.dead}": (NO_LEADER, ErrorCode.LEADER_NOT_AVAILABLE)})
