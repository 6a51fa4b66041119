"""The other nodes as a replicator sees them."""

from __future__ import annotations

from attrs import evolve

from streamline.cluster.altering import IsrChange, Member
from streamline.cluster.membership import NO_BROKER_EPOCH
from streamline.errors import Refused
from streamline.services.neighbours import Neighbours, own_epoch
from streamline.services.peer_call import NoAnswer
from streamline.wire.messages.fetch import FetchResponse
from streamline.wire.messages.peer import AlterPartitionRequest
from tests.services.brokers import TOPIC_ID, BrokerCase, BrokerNode


class NeighboursTests(BrokerCase):
    """Three nodes."""

    def neighbours(self, node: BrokerNode) -> Neighbours:
        """Return what a node's replicator sees."""
        incarnation_id = node.broker.incarnation_id
        peers = node.room.peers
        return Neighbours(node.node_id, incarnation_id, node.metadata, peers, node.altering, node.throttles)

    def test_epoch_of_this_process(self) -> None:
        """An earlier one under the same id has another, and an unknown one none."""
        node = self.follower()
        brokers = node.metadata.image.brokers
        self.assertEqual(self.neighbours(node).broker_epoch, node.broker.epoch)
        self.assertEqual(own_epoch(brokers, node.node_id, b"another" + bytes(9)), NO_BROKER_EPOCH)
        self.assertEqual(own_epoch(brokers, 9, node.broker.incarnation_id), NO_BROKER_EPOCH)

    def test_nobody(self) -> None:
        """A node that is in no metadata cannot be asked; the Deferred says so."""
        asked = self.neighbours(self.follower()).ask(9, AlterPartitionRequest(), FetchResponse, 1.0)
        self.failureResultOf(asked, NoAnswer)

    def test_alter(self) -> None:
        """The new partition epoch comes, or what the controller says."""
        leader = self.follower()
        others = self.others(leader)
        self.make_topic(leader.node_id, *others)
        neighbours, state = self.neighbours(leader), self.partition()
        members = [Member(node.node_id, node.broker.epoch) for node in (leader, self.world.controller)]
        change = IsrChange(
            topic_id=TOPIC_ID, index=0, leader_epoch=state.leader_epoch, partition_epoch=state.partition_epoch,
            isr=members,
        )  # fmt: skip
        self.assertEqual(self.world.result_of(neighbours.alter(change)), state.partition_epoch + 1)
        self.assertRaises(Refused, self.world.result_of, neighbours.alter(evolve(change, leader_epoch=99)))

    def test_connections(self) -> None:
        """Whoever listens hears of each that can be used."""
        node = self.follower()
        neighbours = self.neighbours(node)
        seen: list[int] = []
        neighbours.listen(seen.append)
        (other,) = (one for one in self.nodes if one not in (node, self.world.controller))
        other.machine.crash(power=False)
        self.world.run(5.0, lambda: False)
        seen.clear()
        other.start()
        self.assertTrue(self.world.run(10.0, lambda: bool(seen)))
        self.assertEqual(set(seen), {other.node_id})
