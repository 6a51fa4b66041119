"""Three nodes with a topic of three replicas: what was acknowledged is on all of them in the end, and nothing else."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from streamline.assembly import Node
from streamline.errors import ErrorCode
from streamline.model import PartitionState
from streamline.services.replica import Replica
from streamline.wire.batch import headers
from streamline.wire.messages.topics import CreatableTopic, CreatableTopicConfig, CreateTopicsRequest
from tests.api.cluster_case import Cluster, ClusterCase
from tests.broker import Client, batch_of, produce_request

ALL = 1 << 30
FAIL_OVER_S = 20.0


class ReplicationCase(ClusterCase):
    """
    A topic t with one partition on all of them.

    @ivar acked: values that were acknowledged, by offset.
    """

    min_isr = 2

    def setUp(self) -> None:
        """Make it."""
        self.cluster = Cluster(storage="segments", broker_session_timeout_ms=3000, **self.settings)
        configs = [CreatableTopicConfig(name="min.insync.replicas", value=str(self.min_isr))]
        topic = CreatableTopic(name="t", num_partitions=1, replication_factor=3, configs=configs)
        request = CreateTopicsRequest(topics=[topic], timeout_ms=10_000)
        (made,) = self.cluster.ask(self.cluster.controller, request).topics
        self.assertEqual(made.error_code, ErrorCode.NONE, made.error_message)
        self.cluster.until(lambda: len(self.copies()) == 3)
        self.acked: dict[int, bytes] = {}

    # Looking

    def state(self) -> PartitionState:
        """Return the partition, as the controller sees it."""
        state = self.cluster.controller.broker.metadata.image.partition("t", 0)
        assert state is not None
        return state

    def copies(self) -> dict[int, Replica]:
        """Return the copies that there are, by node."""
        return {node_id: copy for node_id, node in self.cluster.nodes.items() for copy in node.broker.replicas}

    def leader(self) -> Node:
        """Return the node that leads and knows it; wait for one."""

        def leads() -> list[Node]:
            nodes = self.cluster.nodes
            return [
                nodes[node_id]
                for node_id, copy in self.copies().items()
                if copy.is_led and copy.state.leader_epoch == self.state().leader_epoch
            ]

        self.cluster.until(lambda: bool(leads()), FAIL_OVER_S)
        return leads()[0]

    def node_id(self) -> int:
        """Return who leads."""
        return self.leader().config.node_id

    def log_of(self, copy: Replica) -> bytes:
        """Return everything in a log."""
        read = copy.log.read(copy.log.start_offset, ALL, end_offset=copy.log.end_offset, at_least_one=True)
        came: list[Any] = []
        if isinstance(read, Deferred):
            read.addBoth(came.append)
            self.cluster.until(lambda: bool(came))
        else:
            came.append(read)
        return b"".join(bytes(part) for part in came[0].parts)

    def in_sync(self, *isr: int) -> None:
        """Wait until these are in sync, and everything that leads or follows says the same."""
        self.cluster.until(lambda: sorted(self.state().isr) == sorted(isr), FAIL_OVER_S)

    def all_the_same(self) -> None:
        """Expect every copy to be byte for byte that of the leader, and all of it to be committed everywhere."""
        self.in_sync(1, 2, 3)
        self.cluster.wait(1.5)
        logs = [self.log_of(copy) for copy in self.copies().values()]
        self.assertEqual(len(logs), 3)
        self.assertTrue(logs[0])
        self.assertEqual(logs, [logs[0]] * 3)
        copies = self.copies().values()
        self.assertEqual(len({tuple(copy.epochs.entries()) for copy in copies}), 1)
        self.assertEqual({copy.high_watermark for copy in copies}, {max(copy.log.end_offset for copy in copies)})

    def nothing_is_lost(self) -> None:
        """Expect everything that was acknowledged at its place, in all copies."""
        for copy in self.copies().values():
            log = self.log_of(copy)
            found = {header.base_offset: log[at : at + header.size] for at, header in headers(log)}
            for offset, value in self.acked.items():
                self.assertIn(value, found.get(offset, b""), f"offset {offset}")

    # Doing

    def produce(self, count: int = 1, acks: int = -1) -> None:
        """Have the leader take records, and expect it to acknowledge them."""
        for _ in range(count):
            value = b"value %d." % len(self.acked)
            request = produce_request("t", batch_of(value), acks=acks)
            (data,) = self.cluster.ask(self.leader(), request, 9).responses[0].partition_responses
            self.assertEqual(data.error_code, ErrorCode.NONE)
            self.acked[data.base_offset] = value

    def join(self, node_id: int) -> None:
        """Start a node again."""
        self.cluster.start(node_id)
        self.cluster.all_serve()

    def strand(self, node: Node, count: int) -> None:
        """Have a leader take records that nobody else will ever get."""
        client = Client(node)
        for number in range(count):
            client.send(produce_request("t", batch_of(b"stranded %d" % number), acks=-1), 9)


class FailOverTests(ReplicationCase):
    """The leader goes, and comes back."""

    def test_replicated(self) -> None:
        self.produce(5)
        self.all_the_same()
        self.nothing_is_lost()
        self.assertEqual(self.state().leader_epoch, 0)

    def test_leader_dies(self) -> None:
        """Nothing that was acknowledged is lost; what was not is cut off when it is back."""
        self.produce(3)
        old = self.node_id()
        stranded = self.leader()
        before = self.state().leader_epoch
        for copy in self.copies().values():
            self.assertEqual(copy.log.end_offset, 3)
        self.cluster.isolate(old)
        self.strand(stranded, 2)
        self.cluster.wait(0.05)
        self.assertEqual(self.copies()[old].log.end_offset, 5)
        self.cluster.kill(old)
        self.produce(4)
        self.cluster.heal()
        self.assertNotEqual(self.node_id(), old)
        self.assertGreater(self.state().leader_epoch, before)
        self.assertNotIn(old, self.state().isr)
        self.join(old)
        self.all_the_same()
        self.nothing_is_lost()
        copy = self.copies()[old]
        self.assertNotIn(b"stranded", self.log_of(copy))
        self.assertEqual(copy.epochs.epoch_at(3), self.copies()[self.node_id()].epochs.epoch_at(3))
        self.assertEqual(copy.log.end_offset, 7)

    def test_power_cut(self) -> None:
        """Without a clean end a replica is out of the ISR until it has caught up, whatever it still has."""
        self.produce(3)
        victim = next(node_id for node_id in self.copies() if node_id != self.node_id())
        self.cluster.kill(victim, power=True)
        self.in_sync(*self.cluster.nodes)
        self.produce(3)
        self.join(victim)
        self.all_the_same()
        self.nothing_is_lost()

    def test_again_and_again(self) -> None:
        """Each leader in turn, so that every log has an end that was cut."""
        for _ in range(3):
            self.produce(2)
            old = self.node_id()
            self.cluster.kill(old)
            self.produce(2)
            self.join(old)
            self.in_sync(1, 2, 3)
        self.all_the_same()
        self.nothing_is_lost()
        epochs = [epoch for epoch, _ in self.copies()[self.node_id()].epochs.entries()]
        self.assertEqual(epochs, sorted(set(epochs)))

