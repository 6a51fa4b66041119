"""Leaders ask the controller for other ISRs, and nodes for producer ids (simulated, over the wire)."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, gatherResults

from streamline.api.brokers import ANSWERS
from streamline.cluster.altering import IsrChange, Member
from streamline.errors import ErrorCode, Refused
from streamline.services.altering import AgreedIsr
from streamline.services.peer_call import NoAnswer
from streamline.wire.messages.peer import (
    KAFKA_LISTENER,
    AlterPartitionRequest,
    BrokerHeartbeatRequest,
    BrokerRegistrationRequest,
    BrokerState,
    Listener,
    PartitionData,
    TopicData,
)
from streamline.wire.messages.peer_pushes import ControlledShutdownRequest, ControlledShutdownResponse
from streamline.wire.messages.producer_ids import AllocateProducerIdsRequest
from tests.services.brokers import SOON_S, TOPIC_ID, BrokerCase, BrokerNode


class AlterCase(BrokerCase):
    """Three nodes, and a topic t of two partitions that a node leads which is not the controller."""

    def setUp(self) -> None:
        """Make it."""
        super().setUp()
        self.leader = self.follower()
        controller = self.world.controller.node_id
        (other,) = [node for node in self.others(self.leader) if node != controller]
        self.make_topic(self.leader.node_id, controller, other, partitions=2)

    def change(self, *isr: int, index: int = 0, **more: Any) -> IsrChange:
        """Return what makes this the ISR of a partition, as its leader knows it."""
        state = self.partition(index)
        brokers = self.world.controller.metadata.image.brokers
        members = [Member(node, brokers[node].epoch) for node in isr]
        given: dict[str, Any] = {
            "topic_id": TOPIC_ID, "index": index, "leader_epoch": state.leader_epoch,
            "partition_epoch": state.partition_epoch, "isr": members,
        }  # fmt: skip
        return IsrChange(**(given | more))

    def altered(self, node: BrokerNode, *changes: IsrChange) -> list[AgreedIsr]:
        """Ask for changes from a node, all at once."""
        agreed: list[AgreedIsr] = self.world.result_of(gatherResults([node.altering.alter(one) for one in changes]))
        return agreed

    def refused(self, deferred: Deferred[Any]) -> ErrorCode:
        """Expect a refusal."""
        refusal: Refused = self.assertRaises(Refused, self.world.result_of, deferred)
        return refusal.code


class AlteringTests(AlterCase):
    """One request at a time brings many partitions' changes."""

    def test_shrink_and_grow(self) -> None:
        me = self.leader.node_id
        agreed = self.altered(self.leader, self.change(me), self.change(me, index=1))
        self.assertEqual([(one.leader, one.isr) for one in agreed], [(me, (me,))] * 2)
        self.assertEqual([one.partition_epoch for one in agreed], [1, 1])
        self.assertEqual((self.partition().isr, self.partition(1).isr), ((me,), (me,)))
        everybody = me, *self.others(self.leader)
        (agreed_now,) = self.altered(self.leader, self.change(*everybody))
        self.assertEqual(sorted(agreed_now.isr), [1, 2, 3])

    def test_together(self) -> None:
        """What comes in one turn is one request, and one command."""
        me, index = self.leader.node_id, self.world.controller.metadata.image.index
        self.altered(self.leader, self.change(me), self.change(me, index=1))
        self.assertEqual(self.world.controller.metadata.image.index, index + 1)

    def test_one_under_way(self) -> None:
        """The next request waits for the answer to the first."""
        me = self.leader.node_id
        index = self.world.controller.metadata.image.index
        first = self.leader.altering.alter(self.change(me))
        self.world.run(0.0001)
        rest = [self.leader.altering.alter(self.change(me, index=1))]
        self.assertEqual(self.refused(self.leader.altering.alter(self.change(me, index=1))),
                         ErrorCode.OPERATION_NOT_ATTEMPTED)  # fmt: skip
        self.world.result_of(gatherResults([first, *rest]))
        self.assertEqual(self.world.controller.metadata.image.index, index + 2)

    def test_by_the_controller_itself(self) -> None:
        controller = self.world.controller
        me = controller.node_id
        self.assertEqual(self.refused(controller.altering.alter(self.change(me))), ErrorCode.INVALID_REQUEST)
        self.leader.machine.crash(power=False)
        self.is_soon(*self.others(self.leader))
        (agreed,) = self.altered(controller, self.change(me))
        self.assertEqual(agreed.isr, (me,))

    def test_each_has_its_own_answer(self) -> None:
        """What is wrong about one partition does not keep the other."""
        me = self.leader.node_id
        outdated = self.leader.altering.alter(self.change(me, leader_epoch=-1))
        good = self.leader.altering.alter(self.change(me, index=1))
        self.assertEqual(self.refused(outdated), ErrorCode.FENCED_LEADER_EPOCH)
        self.assertEqual(self.world.result_of(good).isr, (me,))

    def test_another_incarnation_of_a_member(self) -> None:
        """KR18: who has registered again since is not the one that has caught up."""
        me, other = self.leader.node_id, self.others(self.leader)[0]
        self.altered(self.leader, self.change(me))
        change = self.change(me, isr=[Member(me, self.leader.broker.epoch), Member(other, 1)])
        self.assertEqual(self.refused(self.leader.altering.alter(change)), ErrorCode.INELIGIBLE_REPLICA)

    def test_another_incarnation_of_the_leader(self) -> None:
        """KR15: what the process before asks for does not count."""
        self.leader.registrar.broker_epoch -= 1
        change = self.change(self.leader.node_id)
        self.assertEqual(self.refused(self.leader.altering.alter(change)), ErrorCode.STALE_BROKER_EPOCH)

    def test_nobody_leads(self) -> None:
        """It was certainly not asked, so it will certainly not happen."""
        for node in self.nodes:
            if node is not self.leader:
                node.machine.crash(power=True)
        change = IsrChange(topic_id=TOPIC_ID, index=0, leader_epoch=0, partition_epoch=0, isr=())
        lost = self.leader.altering.alter(change)
        self.assertRaises(NoAnswer, self.world.result_of, lost)
        self.world.run(5.0, lambda: self.leader.quorum.leader_id is None)
        self.assertEqual(self.refused(self.leader.altering.alter(change)), ErrorCode.OPERATION_NOT_ATTEMPTED)

    def test_stopping(self) -> None:
        waiting = self.leader.altering.alter(self.change(self.leader.node_id))
        self.leader.altering.stop()
        self.assertEqual(self.refused(waiting), ErrorCode.OPERATION_NOT_ATTEMPTED)
        later = self.leader.altering.alter(self.change(self.leader.node_id))
        self.assertEqual(self.refused(later), ErrorCode.OPERATION_NOT_ATTEMPTED)


class ProducerIdTests(AlterCase):
    """KIP-730: no id is given twice, on whatever node."""

    def test_everywhere(self) -> None:
        taken = [self.world.result_of(node.producer_ids.next()) for node in self.nodes for _ in range(1001)]
        self.assertEqual(len(dict.fromkeys(taken)), 3003)

    def test_many_at_once(self) -> None:
        """They share a block, and do not take one each."""
        several = gatherResults([self.leader.producer_ids.next() for _ in range(5)])
        first, *rest = self.world.result_of(several)
        self.assertEqual(rest, [first + 1, first + 2, first + 3, first + 4])
        self.assertEqual(self.world.controller.metadata.image.next_producer_id, first + 1000)

    def test_another_incarnation(self) -> None:
        """KR15, and the client is told to come again."""
        self.leader.registrar.broker_epoch -= 1
        self.assertEqual(self.refused(self.leader.producer_ids.next()), ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)
        self.leader.registrar.broker_epoch += 1
        self.world.result_of(self.leader.producer_ids.next())


class SenderTests(AlterCase):
    """AU6: a broker is whoever is connected as it, whatever a request says."""

    def ask(self, request: Any) -> Any:
        """Ask the controller from the leader's node."""
        response = next(response for asked, response, _ in ANSWERS if asked is type(request))
        return self.world.result_of(self.leader.line.ask(request, response, 1.0))

    def test_nobody_speaks_for_another(self) -> None:
        other = next(node for node in self.nodes if node is not self.leader)
        claims: dict[str, Any] = {"broker_id": other.node_id, "broker_epoch": other.broker.epoch}
        before = self.world.controller.metadata.image
        for kind in (
            BrokerHeartbeatRequest, ControlledShutdownRequest, AllocateProducerIdsRequest, AlterPartitionRequest
        ):  # fmt: skip
            self.assertEqual(self.ask(kind(**claims)).error_code, ErrorCode.INVALID_REQUEST, kind)
        registration = self.registration(broker_id=other.node_id)
        self.assertEqual(self.ask(registration).error_code, ErrorCode.INVALID_REQUEST)
        self.assertIs(self.world.controller.metadata.image, before)

    def registration(self, **more: Any) -> BrokerRegistrationRequest:
        broker = self.leader.broker
        given: dict[str, Any] = {
            "broker_id": broker.node_id, "cluster_id": self.leader.cluster_id, "log_dirs": [broker.directory_id],
            "incarnation_id": broker.incarnation_id, "listeners": [Listener(name=KAFKA_LISTENER, host="h", port=1)],
        }  # fmt: skip
        return BrokerRegistrationRequest(**(given | more))

    def test_another_directory(self) -> None:
        """RF15: nor does it register another disk than the one that it is connected as."""
        for disks in ([], [b"d" * 16], [self.leader.broker.directory_id, b"d" * 16]):
            self.assertEqual(self.ask(self.registration(log_dirs=disks)).error_code, ErrorCode.INVALID_REQUEST)

    def test_an_earlier_process(self) -> None:
        """KR15: what it says does not count for the one that is there now."""
        claims: dict[str, Any] = {"broker_id": self.leader.node_id, "broker_epoch": self.leader.broker.epoch - 1}
        for kind in (
            BrokerHeartbeatRequest, ControlledShutdownRequest, AllocateProducerIdsRequest, AlterPartitionRequest
        ):  # fmt: skip
            self.assertEqual(self.ask(kind(**claims)).error_code, ErrorCode.STALE_BROKER_EPOCH, kind)

    def test_one_partition_twice(self) -> None:
        """One of two wishes at most can be right about the state that it replaces (KR13)."""
        state, me = self.partition(), self.leader
        part = PartitionData(
            partition_index=0, leader_epoch=state.leader_epoch, partition_epoch=state.partition_epoch,
            new_isr_with_epochs=[BrokerState(broker_id=me.node_id, broker_epoch=me.broker.epoch)],
        )  # fmt: skip
        topics = [TopicData(topic_id=TOPIC_ID, partitions=[part, part])]
        request = AlterPartitionRequest(broker_id=me.node_id, broker_epoch=me.broker.epoch, topics=topics)
        (topic,) = self.ask(request).topics
        self.assertEqual([one.error_code for one in topic.partitions], [0, ErrorCode.INVALID_REQUEST])

    def test_no_address(self) -> None:
        self.assertEqual(self.ask(self.registration(listeners=[])).error_code, ErrorCode.INVALID_REQUEST)

    def test_not_the_controller(self) -> None:
        """A node that does not lead decides nothing."""
        me, other = self.leader, next(n for n in self.nodes if n not in (self.leader, self.world.controller))
        key = other.room.peers.identity
        request = BrokerHeartbeatRequest(broker_id=me.node_id, broker_epoch=me.broker.epoch)
        target = next(peer for peer in me.room.peers.connected if peer.node_id == key.node_id)
        response = next(response for asked, response, _ in ANSWERS if asked is BrokerHeartbeatRequest)
        answer = self.world.result_of(me.room.peers.ask(target, request, response, 1.0))
        self.assertEqual(answer.error_code, ErrorCode.NOT_CONTROLLER)

    def test_controlled_shutdown(self) -> None:
        """KR32: others lead, and the answer says what nobody else could take over."""
        me = self.leader
        request = ControlledShutdownRequest(broker_id=me.node_id, broker_epoch=me.broker.epoch)
        answer: ControlledShutdownResponse = self.ask(request)
        self.assertEqual((answer.error_code, list(answer.remaining_partitions)), (0, []))
        self.assertIn(self.partition().leader, self.others(me))
        self.assertTrue(self.world.controller.metadata.image.brokers[me.node_id].shutting_down)
        stale = ControlledShutdownRequest(broker_id=me.node_id, broker_epoch=me.broker.epoch - 1)
        self.assertEqual(self.ask(stale).error_code, ErrorCode.STALE_BROKER_EPOCH)


class BalancingTests(BrokerCase):
    """Preferred leaders lead again, some time after they have come back."""

    def lead_elsewhere(self) -> BrokerNode:
        """Have a partition led by another than its preferred leader, which is in sync."""
        preferred = self.follower()
        first, second = self.others(preferred)
        self.make_topic(preferred.node_id, first, second)
        self.world.result_of(preferred.registrar.leave(), SOON_S)
        preferred.machine.crash(power=False)
        self.is_soon(first, second)
        preferred.start()
        self.assertTrue(self.world.run(20.0, lambda: preferred in self.world.up and self.world.agrees(1, 2, 3)))
        leader = self.nodes[first - 1]
        state = self.partition()
        members = [Member(node.node_id, node.broker.epoch) for node in self.nodes]
        change = IsrChange(
            topic_id=TOPIC_ID, index=0, leader_epoch=state.leader_epoch, partition_epoch=state.partition_epoch,
            isr=members,
        )  # fmt: skip
        self.world.result_of(leader.altering.alter(change))
        self.assertEqual(self.partition().leader, first)
        return preferred

    def test_balanced(self) -> None:
        self.begin(leader_imbalance_check_interval_seconds=30)
        preferred = self.lead_elsewhere()
        self.world.run(40.0)
        self.assertEqual(self.partition().leader, preferred.node_id)

    def test_switched_off(self) -> None:
        self.begin(leader_imbalance_check_interval_seconds=30, auto_leader_rebalance_enable=False)
        preferred = self.lead_elsewhere()
        self.world.run(100.0)
        self.assertNotEqual(self.partition().leader, preferred.node_id)
