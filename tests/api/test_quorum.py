"""DescribeQuorum, AddRaftVoter, RemoveRaftVoter and UnregisterBroker: the quorum as Kafka's tools see it."""

from __future__ import annotations

from typing import Any, cast

from attrs import evolve
from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import alsoProvides

from streamline.api.call import Call
from streamline.api.quorum import LOOK_S, add_raft_voter, describe_quorum, remove_raft_voter
from streamline.errors import ErrorCode, Refused
from streamline.interfaces import IQuorum
from streamline.model import ZERO_UUID
from streamline.raft import AddVoter, Configuration, QuorumStatus, Remove, Replica, ReplicaKey
from streamline.raft.ready import ReplicaStatus
from streamline.wire.messages.cluster import UnregisterBrokerRequest
from streamline.wire.messages.quorum import (
    AddRaftVoterRequest,
    DescribeQuorumRequest,
    DescribeQuorumResponse,
    DescribeQuorumResponsePartitionData,
    PartitionData,
    RemoveRaftVoterRequest,
    TopicData,
)
from streamline.wire.messages.topics import DeleteTopicsRequest, DeleteTopicState
from tests.api.controller_case import ControllerCase
from tests.broker import Broker, batch_of
from tests.services.quorum_case import key_of


def described(*partitions: int, topic: str = "__cluster_metadata") -> DescribeQuorumRequest:
    """Return a request for a topic's quorums."""
    asked = [PartitionData(partition_index=index) for index in partitions or (0,)]
    return DescribeQuorumRequest(topics=[TopicData(topic_name=topic, partitions=asked)])


class AloneTests(SynchronousTestCase):
    """A quorum of one, whichever way it agrees with itself."""

    def check(self, broker: Broker, directory_id: bytes) -> None:
        """See that it is shown in every version."""
        for version in range(3):
            answer: DescribeQuorumResponse = broker.ask(described(), version)
            (shown,) = answer.topics[0].partitions
            (voter,) = shown.current_voters
            consensus = broker.node.broker.metadata.consensus
            self.assertEqual((answer.error_code, shown.error_code, shown.leader_id), (0, 0, 1))
            self.assertEqual((shown.leader_epoch, voter.replica_id), (consensus.term, 1))
            self.assertEqual(voter.log_end_offset, shown.high_watermark)
            self.assertGreaterEqual(voter.log_end_offset, broker.node.broker.metadata.image.index)
            if version >= 1:
                now_ms = broker.node.broker.host.clock.wall_ms()
                self.assertEqual((voter.last_fetch_timestamp, voter.last_caught_up_timestamp), (now_ms, now_ms))
            self.assertEqual(voter.replica_directory_id, directory_id if version >= 2 else ZERO_UUID)

    def test_raft(self) -> None:
        broker = Broker().start()
        meta = broker.node.directory.meta
        assert meta is not None
        self.check(broker, meta.directory_uuid)

    def test_single(self) -> None:
        broker = Broker(consensus="single").start()
        meta = broker.node.directory.meta
        assert meta is not None
        self.check(broker, meta.directory_uuid)
        for request in (AddRaftVoterRequest(cluster_id=None), RemoveRaftVoterRequest(cluster_id=None)):
            self.assertEqual(broker.ask(request).error_code, ErrorCode.UNSUPPORTED_VERSION)

    def test_others(self) -> None:
        """There is one partition that has a quorum of this kind."""
        broker = Broker().start()
        broker.create("t")
        for request in (described(1), described(topic="t")):
            (shown,) = broker.ask(request).topics[0].partitions
            self.assertEqual(shown.error_code, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)


class Quorum:
    """
    Nodes 1 and 2 vote, 3 follows; the test says what is known of them.

    @ivar changes: what was asked for.
    """

    tick_s = 0.05
    term = 7
    applied_index = 0

    def __init__(self) -> None:
        alsoProvides(self, IQuorum)
        self.leader_id: int | None = 1
        self.configuration = Configuration(
            (Replica(key_of(1), "h1:1"), Replica(key_of(2), "h2:2")), (Replica(key_of(3), "h3:3"),)
        )
        self.heard = {1: (9, 100, 100), 2: (8, 99, 60), 3: (9, 98, -1)}
        self.changes: list[Any] = []
        self.refusal: Refused | None = None

    def describe(self) -> QuorumStatus:
        """Say how far everybody is."""
        states = {node: ReplicaStatus(key_of(node), *heard) for node, heard in self.heard.items()}
        return QuorumStatus(
            leader=key_of(1),
            term=self.term,
            high_watermark=9,
            tick=100,
            configuration=self.configuration,
            voters=(states[1], states[2]),
            observers=(states[3],),
        )

    def change_members(self, changes: Any) -> Deferred[None]:
        """Note it."""
        self.changes += changes
        return succeed(None) if self.refusal is None else fail(self.refusal)


class QuorumTests(SynchronousTestCase):
    """What is made of what the quorum says of itself."""

    def setUp(self) -> None:
        """Ask on the leader."""
        self.broker = Broker().start()
        services = self.broker.node.broker
        self.quorum = Quorum()
        metadata = cast(Any, type("Asked", (), {"consensus": self.quorum, "image": services.metadata.image}))
        self.call = Call(evolve(services, metadata=metadata), cast(Any, None), 2, "test")

    def test_described(self) -> None:
        answer = cast(DescribeQuorumResponse, describe_quorum(self.call, described()))
        (shown,) = cast("list[DescribeQuorumResponsePartitionData]", answer.topics[0].partitions)
        now_ms = self.broker.node.broker.host.clock.wall_ms()
        self.assertEqual((shown.leader_id, shown.leader_epoch, shown.high_watermark), (1, 7, 9))
        self.assertEqual(
            [
                (one.replica_id, one.log_end_offset, one.last_fetch_timestamp, one.last_caught_up_timestamp)
                for one in (*shown.current_voters, *shown.observers)
            ],
            [(1, 9, now_ms, now_ms), (2, 8, now_ms - 50, now_ms - 2000), (3, 9, now_ms - 100, -1)],
        )
        found = [(one.node_id, one.listeners[0].host, one.listeners[0].port) for one in answer.nodes]
        self.assertEqual(found, [(1, "h1", 1), (2, "h2", 2)])

    def add(self, key: ReplicaKey, timeout_ms: int = 1000, cluster_id: str | None = None) -> Deferred[Any]:
        """Ask for a voter."""
        request = AddRaftVoterRequest(
            cluster_id=cluster_id, timeout_ms=timeout_ms, voter_id=key.node_id, voter_directory_id=key.directory_id
        )
        return add_raft_voter(self.call, request)

    def remove(self, key: ReplicaKey, cluster_id: str | None = None) -> Deferred[Any]:
        """Ask for one fewer."""
        request = RemoveRaftVoterRequest(
            cluster_id=cluster_id, voter_id=key.node_id, voter_directory_id=key.directory_id
        )
        return remove_raft_voter(self.call, request)

    def refused(self, asked: Deferred[Any]) -> ErrorCode:
        """Return why it was not done."""
        refusal = self.failureResultOf(asked, Refused).value
        assert isinstance(refusal, Refused)
        return refusal.code

    def test_added(self) -> None:
        self.successResultOf(self.add(key_of(3), cluster_id=self.call.broker.metadata.image.cluster_id))
        self.assertEqual(self.quorum.changes, [AddVoter(Replica(key_of(3), "h3:3"))])

    def test_added_once_it_has_caught_up(self) -> None:
        """Until then nothing could be agreed on without the others."""
        self.quorum.heard[3] = (5, 100, -1)
        adding = self.add(key_of(3))
        self.broker.wait(2 * LOOK_S)
        self.assertNoResult(adding)
        self.assertEqual(self.quorum.changes, [])
        self.quorum.heard[3] = (9, 100, -1)
        self.broker.wait(2 * LOOK_S)
        self.successResultOf(adding)
        self.assertEqual(len(self.quorum.changes), 1)

    def test_never_caught_up(self) -> None:
        self.quorum.heard[3] = (5, 100, -1)
        adding = self.add(key_of(3))
        self.broker.wait(2.0)
        self.assertEqual(self.refused(adding), ErrorCode.REQUEST_TIMED_OUT)
        self.assertEqual(self.quorum.changes, [])

    def test_another_leads_meanwhile(self) -> None:
        self.quorum.heard[3] = (5, 100, -1)
        adding = self.add(key_of(3))
        self.broker.node.broker.metadata.consensus.leader_id = None
        self.broker.wait(2 * LOOK_S)
        self.assertEqual(self.refused(adding), ErrorCode.NOT_CONTROLLER)

    def test_not_added(self) -> None:
        self.assertEqual(self.refused(self.add(key_of(2))), ErrorCode.DUPLICATE_VOTER)
        self.assertEqual(self.refused(self.add(ReplicaKey(2, bytes(16)))), ErrorCode.DUPLICATE_VOTER)
        self.assertEqual(self.refused(self.add(key_of(4))), ErrorCode.INVALID_REQUEST)
        self.assertEqual(self.refused(self.add(ReplicaKey(3, bytes(16)))), ErrorCode.INVALID_REQUEST)
        self.assertEqual(self.refused(self.add(key_of(3), cluster_id="other")), ErrorCode.INCONSISTENT_CLUSTER_ID)
        self.assertEqual(self.quorum.changes, [])
        self.quorum.refusal = Refused(ErrorCode.REASSIGNMENT_IN_PROGRESS)
        self.assertEqual(self.refused(self.add(key_of(3))), ErrorCode.REASSIGNMENT_IN_PROGRESS)

    def test_removed(self) -> None:
        """One that has gone, whether or not it was ever heard of."""
        for heard in (-1, 50):
            self.quorum.heard[2] = (8, heard, -1)
            self.successResultOf(self.remove(key_of(2)))
        self.assertEqual(self.quorum.changes, [Remove(key_of(2))] * 2)

    def test_not_removed(self) -> None:
        self.assertEqual(self.refused(self.remove(key_of(2))), ErrorCode.INVALID_REQUEST, "it is there")
        self.assertEqual(self.refused(self.remove(key_of(1))), ErrorCode.INVALID_REQUEST, "it leads")
        self.assertEqual(self.refused(self.remove(key_of(3))), ErrorCode.VOTER_NOT_FOUND)
        self.assertEqual(self.refused(self.remove(ReplicaKey(2, bytes(16)))), ErrorCode.VOTER_NOT_FOUND)
        self.assertEqual(self.refused(self.remove(key_of(2), "other")), ErrorCode.INCONSISTENT_CLUSTER_ID)
        self.assertEqual(self.quorum.changes, [])

    def test_those_who_would_be_left_cannot_agree(self) -> None:
        """Whoever is gone then or lags counts among the voters, and agrees to nothing."""
        voters = tuple(Replica(key_of(node), f"h{node}:{node}") for node in (1, 2, 4, 5))
        self.quorum.configuration = Configuration(voters, self.quorum.configuration.learners)
        self.quorum.heard[2] = (9, 50, -1)
        self.assertEqual(self.refused(self.remove(key_of(2))), ErrorCode.INVALID_REQUEST)
        self.assertEqual(self.refused(self.add(key_of(3))), ErrorCode.INVALID_REQUEST)
        self.quorum.heard[2] = (5, 100, -1)
        self.assertEqual(self.refused(self.add(key_of(3))), ErrorCode.INVALID_REQUEST)
        self.assertEqual(self.quorum.changes, [])
        self.quorum.heard[2] = (9, 100, 100)
        self.successResultOf(self.add(key_of(3)))

    def test_not_the_leader(self) -> None:
        self.broker.node.broker.metadata.consensus.leader_id = 2
        self.assertEqual(self.refused(self.add(key_of(3))), ErrorCode.NOT_CONTROLLER)
        self.assertEqual(self.refused(self.remove(key_of(2))), ErrorCode.NOT_CONTROLLER)
        refusal = self.assertRaises(Refused, describe_quorum, self.call, described())
        self.assertEqual(refusal.code, ErrorCode.NOT_CONTROLLER)


class UnregisterTests(ControllerCase):
    """A broker that has left for good."""

    def test_gone(self) -> None:
        self.assign("u", [2, 1])
        self.assertEqual(self.broker.ask(UnregisterBrokerRequest(broker_id=2)).error_code, ErrorCode.NONE)
        self.assertEqual(sorted(self.image.brokers), [1, 3])
        self.assertEqual((self.state("u").leader, self.state("u").isr), (1, (1,)))
        again = self.broker.ask(UnregisterBrokerRequest(broker_id=2))
        self.assertEqual(again.error_code, ErrorCode.BROKER_ID_NOT_REGISTERED)
        self.assertTrue(again.error_message)

    def test_it_has_what_nobody_else_has(self) -> None:
        self.broker.produce("t", batch_of(b"v"))
        answer = self.broker.ask(UnregisterBrokerRequest(broker_id=1))
        self.assertEqual(answer.error_code, ErrorCode.INVALID_REQUEST)
        self.assertIn("t-0", answer.error_message)
        self.assertIn(1, self.image.brokers)

    def test_one_that_lives(self) -> None:
        """It registers again, and is a new one."""
        self.broker.ask(DeleteTopicsRequest(topics=[DeleteTopicState(name="t")], timeout_ms=1000))
        epoch = self.image.brokers[1].epoch
        self.assertEqual(self.broker.ask(UnregisterBrokerRequest(broker_id=1)).error_code, ErrorCode.NONE)
        self.broker.until(lambda: 1 in self.image.brokers and not self.image.brokers[1].fenced)
        self.assertGreater(self.image.brokers[1].epoch, epoch)
