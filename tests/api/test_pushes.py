"""LeaderAndIsr, StopReplica and UpdateMetadata: a node acts on what is agreed on before its own log has brought it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import evolve

from streamline.api import pushes
from streamline.assembly import Node
from streamline.cluster.commands import ChangePartitions
from streamline.cluster.failover import fence
from streamline.cluster.image import MetadataImage, change_to
from streamline.errors import ErrorCode
from streamline.model import PartitionState
from streamline.raft import ReplicaKey
from streamline.replication.roles import Role
from streamline.services.replica import Replica
from streamline.wire.messages import RESPONSES
from streamline.wire.messages.api_versions import ApiVersionsRequest
from streamline.wire.messages.metadata import MetadataRequest, MetadataRequestTopic, MetadataResponsePartition
from streamline.wire.messages.peer_pushes import (
    EPOCH_DURING_DELETE,
    ControlledShutdownRequest,
    LeaderAndIsrPartitionState,
    LeaderAndIsrRequest,
    LeaderAndIsrTopicState,
    StopReplicaPartitionState,
    StopReplicaRequest,
    StopReplicaTopicState,
    UpdateMetadataRequest,
)
from streamline.wire.messages.topics import DeleteTopicsRequest
from streamline.wire.schema import Message
from tests.api.replication_case import ReplicationCase
from tests.broker import Client

LATE_S = 5.0
"""How long a slow disk takes for what others have agreed on by then."""


class PushCase(ReplicationCase):
    """
    A topic t, and a node whose disk is slow: it hears what is agreed on, and applies it much later.

    @ivar slow: that node, which is not the controller.
    """

    def setUp(self) -> None:
        """Choose it."""
        super().setUp()
        self.in_sync(1, 2, 3)
        self.cluster.wait(1.0)
        self.slow = self.cluster.others[-1]
        self.me = self.slow.config.node_id
        if self.state().leader == self.me:
            self.decide(lambda state: evolve(state, leader=self.controller_id, leader_epoch=state.leader_epoch + 1))
            self.cluster.until(lambda: self.copy.is_followed)
        self.cluster.wait(0.5)

    @property
    def controller_id(self) -> int:
        """Who decides."""
        return self.cluster.controller.config.node_id

    @property
    def copy(self) -> Replica:
        """What the slow node has of the partition."""
        return self.copies()[self.me]

    @property
    def image(self) -> MetadataImage:
        """What the slow node has applied."""
        return self.slow.broker.metadata.image

    def applied(self) -> PartitionState:
        """Return the partition, as the slow node has applied it."""
        state = self.image.partition("t", 0)
        assert state is not None
        return state

    def decide(self, change: Callable[[PartitionState], PartitionState]) -> None:
        """Have another state of the partition agreed on."""

        def plan(image: MetadataImage) -> list[ChangePartitions]:
            state = image.topics["t"].partitions[0]
            changed = evolve(change(state), partition_epoch=state.partition_epoch + 1)
            return [ChangePartitions(topic_id=image.topics["t"].topic_id, partitions=[change_to(changed)])]

        self.plan(plan)

    def plan(self, plan: Any) -> None:
        """Have something agreed on."""
        done: list[Any] = []
        self.cluster.controller.broker.controllership.decide(plan).addBoth(done.append)
        self.cluster.until(lambda: bool(done))
        self.assertIsInstance(done[0], list, str(done))

    def hold(self) -> None:
        """Make the slow node slow."""
        faults = self.cluster.machines[self.me].platter.faults
        faults.stuck_until = self.cluster.simulation.now + LATE_S

    def catch_up(self) -> None:
        """Wait until the slow node has applied everything."""
        target = self.cluster.controller.broker.metadata
        self.cluster.until(lambda: self.image.index == target.image.index)

    def say(self, push: Message, sender: int | None = None) -> Any:
        """Have a node, the controller by default, say something to the slow node."""
        answers: dict[int, Any] = {request.KEY: answer for request, _, answer in pushes.ANSWERS}
        self.assertIn(push.KEY, answers)
        node = self.cluster.nodes[sender or self.controller_id]
        assert node.room is not None
        key = self.key_of(self.slow)
        came: list[Any] = []
        node.room.peers.ask(key, push, RESPONSES[push.KEY], 1.0).addBoth(came.append)
        self.cluster.until(lambda: bool(came))
        return came[0]

    def key_of(self, node: Node) -> ReplicaKey:
        """Return what a node is called by others."""
        return ReplicaKey(node.config.node_id, self.image.brokers[node.config.node_id].directory_id)

    def fence(self, **other: Any) -> dict[str, Any]:
        """Return what every push says, up to date but for what the test says."""
        fields = {
            "controller_id": self.controller_id,
            "controller_epoch": self.cluster.controller.broker.controllership.epoch,
            "broker_epoch": self.image.brokers[self.me].epoch,
            "cluster_id": self.image.cluster_id,
            "metadata_index": self.image.index + 1,
        }
        return {**fields, **other}

    def role(self, *states: LeaderAndIsrPartitionState, topic: str = "t", **other: Any) -> LeaderAndIsrRequest:
        """Return a LeaderAndIsr."""
        topic_id = other.pop("topic_id", self.image.topics["t"].topic_id)
        said = LeaderAndIsrTopicState(topic_name=topic, topic_id=topic_id, partition_states=states)
        return LeaderAndIsrRequest(
            topic_states=[said], **{"settled_index": self.image.index, **self.fence(**other)}
        )

    def leading(self, **other: Any) -> LeaderAndIsrPartitionState:
        """Return the state in which the slow node leads, but for what the test says."""
        state = self.applied()
        fields: dict[str, Any] = {
            "leader": self.me,
            "leader_epoch": state.leader_epoch + 1,
            "partition_epoch": state.partition_epoch + 1,
            "isr": state.isr,
            "replicas": state.replicas,
        }
        return LeaderAndIsrPartitionState(**{**fields, **other})

    def codes(self, answer: Any) -> list[int]:
        """Return what is said of each partition; the whole must not have been refused."""
        self.assertEqual(answer.error_code, ErrorCode.NONE)
        return [part.error_code for topic in answer.topics for part in topic.partition_errors]


class EarlyTests(PushCase):
    """What is agreed on takes effect before a slow disk has it."""

    def shown(self) -> MetadataResponsePartition:
        """Return the partition as clients of the slow node are told of it."""
        request = MetadataRequest(topics=[MetadataRequestTopic(name="t")])
        found: MetadataResponsePartition = self.cluster.ask(self.slow, request, 12).topics[0].partitions[0]
        return found

    def test_lead(self) -> None:
        """It leads, and acknowledges, while its log is not there yet; in the end nothing is different."""
        self.hold()
        self.decide(lambda state: evolve(state, leader=self.me, leader_epoch=state.leader_epoch + 1))
        self.cluster.wait(0.1)
        self.assertNotEqual(self.applied().leader, self.me)
        self.assertTrue(self.copy.is_led)
        self.assertEqual(self.copy.state, self.state())
        self.assertEqual((self.shown().leader_id, self.shown().leader_epoch), (self.me, self.state().leader_epoch))
        self.produce(3)
        self.assertNotEqual(self.applied().leader, self.me)
        leadership = self.copy.leadership
        self.catch_up()
        self.assertIs(self.copy.leadership, leadership, "the log says the same, and changes nothing")
        self.assertTrue(self.slow.broker.metadata.foresight.is_empty)
        self.all_the_same()
        self.nothing_is_lost()

    def test_follow(self) -> None:
        """Whoever led lets go at once."""
        self.decide(lambda state: evolve(state, leader=self.me, leader_epoch=state.leader_epoch + 1))
        self.cluster.until(lambda: self.copy.is_led)
        self.hold()
        self.decide(lambda state: evolve(state, leader=self.controller_id, leader_epoch=state.leader_epoch + 1))
        self.cluster.wait(0.1)
        self.assertEqual(self.applied().leader, self.me)
        self.assertTrue(self.copy.is_followed)
        self.produce(2)
        self.assertEqual(self.copy.log.end_offset, 2)
        self.catch_up()
        self.all_the_same()

    def test_move_away(self) -> None:
        """A copy that is wanted no more stops at once, and goes when the log says so."""
        self.hold()
        staying = tuple(node for node in self.state().replicas if node != self.me)
        self.decide(lambda state: evolve(state, replicas=staying, isr=staying))
        self.cluster.wait(0.1)
        self.assertIs(self.copy.role, Role.WAITING)
        self.assertIn(self.copy, list(self.slow.broker.replicas))
        self.catch_up()
        self.assertNotIn(self.me, self.copies())

    def test_deleted(self) -> None:
        """A topic that is deleted is there until the log says so, and takes nothing any more."""
        self.decide(lambda state: evolve(state, leader=self.me, leader_epoch=state.leader_epoch + 1))
        self.cluster.until(lambda: self.copy.is_led)
        self.hold()
        request = DeleteTopicsRequest(topic_names=["t"], timeout_ms=1000)
        (deleted,) = self.cluster.ask(self.cluster.controller, request, 5).responses
        self.assertEqual(deleted.error_code, ErrorCode.NONE)
        self.cluster.wait(0.1)
        self.assertIn("t", self.image.topics)
        self.assertIs(self.copy.role, Role.WAITING)
        self.catch_up()
        self.assertNotIn(self.me, self.copies())

    def test_fenced_brokers_are_not_shown(self) -> None:
        """Clients are told early who can be asked."""
        third = next(node for node in self.cluster.others if node is not self.slow).config.node_id
        self.hold()
        self.plan(lambda image: fence(image, third))
        metadata = self.slow.broker.metadata
        self.cluster.until(lambda: metadata.shown.brokers[third].fenced, 0.1)  # until it says that it lives
        self.assertFalse(self.image.brokers[third].fenced)
        self.assertNotIn(third, metadata.shown.topics["t"].partitions[0].isr)
        self.catch_up()
        self.assertIs(metadata.shown, self.image)

    def test_settings_come_first(self) -> None:
        """A role that was agreed on together with settings, or after others than these, waits for the log."""
        self.cluster.wait(0.5)
        push = self.role(self.leading(), settled_index=self.image.index + 1, metadata_index=self.image.index + 2)
        self.assertEqual(self.codes(self.say(push)), [ErrorCode.OPERATION_NOT_ATTEMPTED])
        push = self.role(self.leading(), settled_index=-1)
        self.assertEqual(self.codes(self.say(push)), [ErrorCode.OPERATION_NOT_ATTEMPTED])
        self.assertFalse(self.copy.is_led)


class FenceTests(PushCase):
    """Only what the present controller says to this very process counts."""

    def refused(self, code: ErrorCode, sender: int | None = None, **other: Any) -> None:
        """Expect each of the three to be refused, and to change nothing."""
        stop = StopReplicaTopicState(topic_name="t", topic_id=self.image.topics["t"].topic_id)
        stop.partition_states = [StopReplicaPartitionState(leader_epoch=EPOCH_DURING_DELETE)]
        for push in (
            self.role(self.leading(), **other),
            StopReplicaRequest(topic_states=[stop], **self.fence(**other)),
            UpdateMetadataRequest(**self.fence(**other)),
        ):
            self.assertEqual(self.say(push, sender).error_code, code, push)
        self.assertTrue(self.copy.is_followed)
        self.assertTrue(self.slow.broker.metadata.foresight.is_empty)

    def test_another_process(self) -> None:
        epoch = self.image.brokers[self.me].epoch
        self.refused(ErrorCode.STALE_BROKER_EPOCH, broker_epoch=epoch - 1)
        self.refused(ErrorCode.STALE_BROKER_EPOCH, broker_epoch=-1)

    def test_another_cluster(self) -> None:
        self.refused(ErrorCode.INCONSISTENT_CLUSTER_ID, cluster_id="other")

    def test_an_earlier_controller(self) -> None:
        epoch = self.cluster.controller.broker.controllership.epoch
        self.refused(ErrorCode.STALE_CONTROLLER_EPOCH, controller_epoch=epoch - 1)

    def test_a_later_controller_is_remembered(self) -> None:
        epoch = self.cluster.controller.broker.controllership.epoch
        later = UpdateMetadataRequest(**self.fence(controller_epoch=epoch + 1))
        self.assertEqual(self.say(later).error_code, ErrorCode.NONE)
        self.refused(ErrorCode.STALE_CONTROLLER_EPOCH)

    def test_speaking_for_another(self) -> None:
        third = next(node for node in self.cluster.others if node is not self.slow).config.node_id
        self.refused(ErrorCode.CLUSTER_AUTHORIZATION_FAILED, sender=third)

    def test_applied_long_ago(self) -> None:
        """It says nothing then, whatever it says."""
        answer = self.say(self.role(self.leading(), metadata_index=self.image.index))
        self.assertEqual((answer.error_code, list(answer.topics)), (ErrorCode.NONE, []))
        self.assertTrue(self.copy.is_followed)

    def test_partitions(self) -> None:
        others = tuple(node for node in self.state().replicas if node != self.me)
        for push, code in (
            (self.role(self.leading(), topic="u"), ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
            (self.role(self.leading(partition_index=1)), ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
            (self.role(self.leading(replicas=others, isr=others)), ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
            (self.role(self.leading(), topic_id=b"u" * 16), ErrorCode.INCONSISTENT_TOPIC_ID),
            (self.role(self.leading(leader_epoch=self.applied().leader_epoch - 1)), ErrorCode.STALE_CONTROLLER_EPOCH),
            (self.role(self.leading(partition_epoch=self.applied().partition_epoch)), ErrorCode.NONE),
        ):
            self.assertEqual(self.codes(self.say(push)), [code])
            self.assertTrue(self.copy.is_followed, code)

    def test_stopping_in_an_earlier_epoch(self) -> None:
        state = self.applied()
        part = StopReplicaPartitionState(leader_epoch=state.leader_epoch - 1, partition_epoch=state.partition_epoch + 1)
        topic = StopReplicaTopicState(topic_name="t", topic_id=self.image.topics["t"].topic_id, partition_states=[part])
        (error,) = self.say(StopReplicaRequest(topic_states=[topic], **self.fence())).partition_errors
        self.assertEqual(error.error_code, ErrorCode.FENCED_LEADER_EPOCH)
        self.assertTrue(self.copy.is_followed)


class ClientListenerTests(PushCase):
    """Clients are never answered."""

    def test_refused(self) -> None:
        advertised = {api.api_key for api in self.cluster.ask(self.slow, ApiVersionsRequest(), 0).api_keys}
        for request in (
            LeaderAndIsrRequest(), StopReplicaRequest(), UpdateMetadataRequest(), ControlledShutdownRequest(),
        ):  # fmt: skip
            self.assertNotIn(request.KEY, advertised)
            client = Client(self.slow)
            client.send(request, request.VERSIONS[1])
            self.assertTrue(client.is_closed, request.KEY)
