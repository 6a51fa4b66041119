"""What is pushed to whom."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from attrs import evolve

from streamline.cluster.commands import DeleteTopic, RegisterBroker
from streamline.cluster.delta import difference
from streamline.cluster.failover import fence, unfence, unregister
from streamline.cluster.foresight import Foresight, Here
from streamline.cluster.image import MetadataImage
from streamline.cluster.pushing import PARTITIONS_MAX, Push, Pusher, pushes, unsettles
from streamline.model import Broker, Endpoint, PartitionState
from streamline.wire.messages.peer_pushes import (
    EPOCH_DURING_DELETE,
    INCREMENTAL,
    LeaderAndIsrRequest,
    StopReplicaRequest,
    UpdateMetadataRequest,
)
from tests.cluster.cluster_case import TOPIC_ID, ClusterCase

CONTROLLER = 4


class PushingCase(ClusterCase):
    """Node 4 is the controller; it was told of everything until now."""

    def setUp(self) -> None:
        """Begin."""
        super().setUp()
        self.told = self.image

    def pushed(self) -> list[tuple[int, Push]]:
        """Return what there is to push by now."""
        pusher = Pusher(node_id=CONTROLLER, epoch=9, settled_index=17)
        return pushes(difference(self.told, self.image), pusher)

    def to(self, kind: type[Push]) -> dict[int, Push]:
        """Return the pushes of a kind by node."""
        return {node: push for node, push in self.pushed() if isinstance(push, kind)}


class WhomTests(PushingCase):
    """Everybody is told what concerns him."""

    def test_leader_goes(self) -> None:
        """Those who are left hear their roles, whoever is to lead first; all who take part hear what to show."""
        self.do(fence(self.image, 1))
        kinds = [(node, type(push)) for node, push in self.pushed()]
        self.assertEqual(
            kinds,
            [
                (2, LeaderAndIsrRequest), (3, LeaderAndIsrRequest),
                (2, UpdateMetadataRequest), (3, UpdateMetadataRequest),
            ],
        )  # fmt: skip

    def test_whoever_leads_is_told_first(self) -> None:
        self.given(leader=3, leader_epoch=6, partition_epoch=8)
        self.assertEqual(list(self.to(LeaderAndIsrRequest)), [3, 1, 2])

    def test_what_a_role_says(self) -> None:
        self.do(fence(self.image, 1))
        push = self.to(LeaderAndIsrRequest)[2]
        assert isinstance(push, LeaderAndIsrRequest)
        said = (push.controller_id, push.controller_epoch, push.broker_epoch, push.type, push.cluster_id)
        self.assertEqual(said, (CONTROLLER, 9, 12, INCREMENTAL, "c"))
        self.assertEqual((push.metadata_index, push.settled_index), (21, 17))
        ((topic,), (leader,)) = push.topic_states, push.live_leaders
        self.assertEqual((topic.topic_name, topic.topic_id), ("t", TOPIC_ID))
        (state,) = topic.partition_states
        self.assertEqual((state.leader, state.leader_epoch, state.partition_epoch, state.isr), (2, 6, 8, (2, 3)))
        self.assertEqual((leader.broker_id, leader.host_name, leader.port), (2, "h", 2))

    def test_what_is_shown(self) -> None:
        self.do(fence(self.image, 1))
        push = self.to(UpdateMetadataRequest)[3]
        assert isinstance(push, UpdateMetadataRequest)
        (state,) = push.topic_states[0].partition_states
        self.assertEqual((state.leader, state.zk_version, list(state.offline_replicas)), (2, 8, [1]))
        (broker,) = push.live_brokers
        self.assertEqual((broker.id, broker.epoch, broker.fenced), (1, 11, True))

    def test_move_away(self) -> None:
        self.given(replicas=(1, 2), isr=(1, 2), partition_epoch=8)
        self.assertEqual(list(self.to(LeaderAndIsrRequest)), [1, 2])
        (node, push), = self.to(StopReplicaRequest).items()
        assert isinstance(push, StopReplicaRequest)
        (state,) = push.topic_states[0].partition_states
        self.assertEqual((node, state.leader_epoch, state.partition_epoch), (3, 5, 8))

    def test_deleted(self) -> None:
        self.do([DeleteTopic(topic_id=TOPIC_ID)])
        stopped = self.to(StopReplicaRequest)
        self.assertEqual([node for node, _ in self.pushed()], [1, 2, 3])
        push = stopped[1]
        assert isinstance(push, StopReplicaRequest)
        (state,) = push.topic_states[0].partition_states
        self.assertEqual((state.leader_epoch, state.delete_partition), (EPOCH_DURING_DELETE, True))

    def test_nothing_to_say(self) -> None:
        """Commands that leave everything as it is, and new topics, whose logs are opened by the log."""
        self.image = evolve(self.image, index=30, next_producer_id=7)
        self.assertEqual(self.pushed(), [])
        self.told = evolve(self.image, topics={}, names={})
        self.assertEqual(self.pushed(), [])

    def test_too_much_to_say(self) -> None:
        """The log brings in one piece what concerns very many partitions."""
        for index in range(1, PARTITIONS_MAX + 1):
            self.given(index)
        self.told = self.image
        for index in range(PARTITIONS_MAX):
            self.given(index, partition_epoch=8)
        self.assertEqual(len(self.to(LeaderAndIsrRequest)), 3)
        self.given(PARTITIONS_MAX, partition_epoch=8)
        self.assertEqual(self.pushed(), [])


class SettledTests(PushingCase):
    """A role is not pushed past what it depends on."""

    def test_together_with_settings(self) -> None:
        self.given(leader=3, leader_epoch=6, partition_epoch=8)
        self.settings(min_insync_replicas="3")
        self.assertEqual({type(push) for _, push in self.pushed()}, {UpdateMetadataRequest})

    def unsettled(self, old: MetadataImage) -> bool:
        """Say whether something has changed on which roles depend."""
        return unsettles(old, self.image)

    def test_what_unsettles(self) -> None:
        before = self.image
        self.settings(min_insync_replicas="3")
        self.assertTrue(self.unsettled(before), "settings of topics")
        before, self.image = self.image, evolve(self.image, broker_configs={"": {"min.insync.replicas": "1"}})
        self.assertTrue(self.unsettled(before), "settings of all")
        before = self.image
        self.do([RegisterBroker(node_id=5, host="h", port=5, fenced=True)])
        self.assertTrue(self.unsettled(before), "a new broker")
        before = self.image
        self.do(unregister(self.image, 5))
        self.assertTrue(self.unsettled(before), "a broker that is gone")

    def test_what_does_not(self) -> None:
        before = self.image
        self.do(fence(self.image, 1))
        self.do(unfence(self.image, 1))
        self.given(1)
        self.assertFalse(self.unsettled(before))
        known = self.image.brokers
        self.image = evolve(self.image, brokers={**known, 1: Broker(node_id=1, endpoint=Endpoint("h", 1), epoch=11)})
        self.assertFalse(self.unsettled(before))


class TakingTests(PushingCase):
    """What is taken of it."""

    def test_the_log_is_right(self) -> None:
        """Should a push say something else than the log up to its index, which no controller does, the log counts."""
        self.given(leader=3, leader_epoch=6, partition_epoch=8)
        push = self.to(LeaderAndIsrRequest)[2]
        assert isinstance(push, LeaderAndIsrRequest)
        push.metadata_index = 99
        foresight, topic = Foresight(), self.told.topics["t"]
        (taken,) = foresight.lead_and_follow(push, Here(node_id=2, image=self.told, broker_epoch=12, term=0))
        self.assertTrue(taken.is_taken)
        self.assertEqual(foresight.expected(topic, topic.partitions[0]).leader, 3)
        self.given(leader=1, leader_epoch=7, partition_epoch=9)
        foresight.applied(self.image)
        self.assertEqual(foresight.expected(self.image.topics["t"], self.state()).leader, 1)


class Counted(tuple[PartitionState, ...]):
    """The partitions of a topic, which count how often somebody goes through them."""

    gone_through = 0

    def __iter__(self) -> Iterator[PartitionState]:
        """Count it."""
        Counted.gone_through += 1
        return super().__iter__()

    def __getitem__(self, at: Any) -> Any:
        """Give one; parts of them stay countable."""
        found = super().__getitem__(at)
        return Counted(found) if isinstance(at, slice) else found


class ShownTests(PushingCase):
    """What was pushed, laid over the image."""

    def test_very_many_of_one_topic(self) -> None:
        """The topic is made anew once, and not once for each of its partitions."""
        for index in range(1, 100):
            self.given(index)
        self.told = told = self.image
        for index in range(100):
            self.given(index, leader=3, leader_epoch=6, partition_epoch=8)
        push = self.to(UpdateMetadataRequest)[2]
        assert isinstance(push, UpdateMetadataRequest)
        topic = evolve(told.topics["t"], partitions=Counted(told.topics["t"].partitions))
        image, foresight = evolve(told, topics={"t": topic}), Foresight()
        self.assertTrue(foresight.show(push, image))
        Counted.gone_through = 0
        shown = foresight.shown(image).topics["t"].partitions
        self.assertEqual([state.leader for state in shown], [3] * 100)
        self.assertEqual(Counted.gone_through, 1)

    def test_nothing_later(self) -> None:
        """What the log has brought meanwhile is what is shown."""
        self.given(leader=3, leader_epoch=6, partition_epoch=8)
        push = self.to(UpdateMetadataRequest)[2]
        assert isinstance(push, UpdateMetadataRequest)
        foresight = Foresight()
        self.assertTrue(foresight.show(push, self.told))
        self.given(leader=2, leader_epoch=7, partition_epoch=9)
        self.assertIs(foresight.shown(self.image).topics["t"], self.image.topics["t"])
