"""A replica is added under a throttle: as fast as that says, and in nobody's way."""

from __future__ import annotations

from streamline.errors import ErrorCode
from streamline.wire.messages.configs import (
    IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsRequestAlterableConfig,
    IncrementalAlterConfigsRequestAlterConfigsResource,
)
from streamline.wire.messages.reassignment import (
    AlterPartitionReassignmentsRequest,
    ListPartitionReassignmentsRequest,
    ReassignablePartition,
    ReassignableTopic,
)
from streamline.wire.messages.topics import CreatableReplicaAssignment, CreatableTopic, CreateTopicsRequest
from tests.api.cluster_case import Cluster, ClusterCase
from tests.broker import batch_of, produce_request

TOPIC, BROKER = 2, 4
SET, DELETE = 0, 1
BATCHES, BATCH_BYTES = 20, 50_000
RATE = 100_000
PAID_S = (BATCHES - 1) * BATCH_BYTES / RATE
"""The first batch is copied before anything is paid."""
SOON_S = 2.0
NEW = 3


class ThrottleCase(ClusterCase):
    """A topic t on nodes 1 and 2, of a megabyte; a follower asks for one batch of it at a time."""

    def setUp(self) -> None:
        """Write it."""
        self.cluster = Cluster(storage="segments", replica_fetch_max_bytes=BATCH_BYTES, min_insync_replicas=2)
        placed = [CreatableReplicaAssignment(partition_index=0, broker_ids=[1, 2])]
        topic = CreatableTopic(name="t", num_partitions=-1, replication_factor=-1, assignments=placed)
        request = CreateTopicsRequest(topics=[topic], timeout_ms=10_000)
        (made,) = self.cluster.ask(self.cluster.controller, request).topics
        self.assertEqual(made.error_code, ErrorCode.NONE, made.error_message)
        self.cluster.wait(1.0)
        for _ in range(BATCHES):
            self.produce(b"v" * BATCH_BYTES)

    def produce(self, value: bytes) -> None:
        """Have a record acknowledged by all that are in sync."""
        request = produce_request("t", batch_of(value), acks=-1)
        (data,) = self.cluster.ask(self.cluster.nodes[1], request, 9).responses[0].partition_responses
        self.assertEqual(data.error_code, ErrorCode.NONE)

    def change(self, kind: int, name: str, operation: int = SET, **settings: str) -> None:
        """Change settings; underscores stand for dots."""
        changes = [
            IncrementalAlterConfigsRequestAlterableConfig(
                name=key.replace("_", "."), config_operation=operation, value=value
            )
            for key, value in settings.items()
        ]
        resource = IncrementalAlterConfigsRequestAlterConfigsResource(
            resource_type=kind, resource_name=name, configs=changes
        )
        answer = self.cluster.ask(self.cluster.nodes[2], IncrementalAlterConfigsRequest(resources=[resource]))
        self.assertEqual(answer.responses[0].error_code, ErrorCode.NONE, answer.responses[0].error_message)

    def throttle_leaders(self) -> None:
        """As kafka-reassign-partitions does it: everybody who may be the source."""
        self.change(TOPIC, "t", leader_replication_throttled_replicas="0:1,0:2")
        for node_id in (1, 2):
            self.change(BROKER, str(node_id), leader_replication_throttled_rate=str(RATE))

    def move(self, *replicas: int) -> None:
        """Begin to have the partition there."""
        part = ReassignablePartition(partition_index=0, replicas=replicas or None)
        request = AlterPartitionReassignmentsRequest(
            topics=[ReassignableTopic(name="t", partitions=[part])], timeout_ms=10_000
        )
        (topic,) = self.cluster.ask(self.cluster.nodes[1], request).responses
        self.assertEqual(topic.partitions[0].error_code, ErrorCode.NONE, topic.partitions[0].error_message)

    def isr(self) -> tuple[int, ...]:
        """Return who is in sync, as the new node sees it."""
        state = self.cluster.nodes[NEW].broker.metadata.image.partition("t", 0)
        assert state is not None
        return state.isr

    def passed(self, within_s: float) -> float:
        """Return after how many seconds the new replica is in sync."""
        began = self.cluster.simulation.now
        self.cluster.until(lambda: NEW in self.isr(), within_s)
        return self.cluster.simulation.now - began


class ThrottleTests(ThrottleCase):
    """A third replica comes."""

    def test_no_throttle(self) -> None:
        self.move(1, 2, 3)
        self.passed(SOON_S)

    def test_at_the_leader(self) -> None:
        self.throttle_leaders()
        self.move(1, 2, 3)
        self.assertGreaterEqual(self.passed(1.3 * PAID_S + SOON_S), PAID_S)

    def test_a_fetch_waits_for_room(self) -> None:
        """It is answered when something may be sent, and not over and over with nothing."""
        self.throttle_leaders()
        self.move(1, 2, 3)
        self.cluster.wait(1.0)
        before = self.cluster.simulation.events
        self.cluster.wait(2.0)
        throttled = self.cluster.simulation.events - before
        self.move()
        self.cluster.wait(1.0)
        before = self.cluster.simulation.events
        self.cluster.wait(2.0)
        self.assertLess(throttled, 2 * (self.cluster.simulation.events - before))

    def test_at_the_follower(self) -> None:
        self.change(TOPIC, "t", follower_replication_throttled_replicas="0:3")
        self.change(BROKER, "3", follower_replication_throttled_rate=str(RATE))
        self.move(1, 2, 3)
        self.assertGreaterEqual(self.passed(1.3 * PAID_S + SOON_S), PAID_S)

    def test_others_are_not_throttled(self) -> None:
        """A rate counts for those that topics name, and a name for nodes that have a rate."""
        named = {"leader_replication_throttled_replicas": "1:1", "follower_replication_throttled_replicas": "*"}
        for setting, value in named.items():
            self.change(TOPIC, "t", **{setting: value})  # type: ignore[arg-type]
        for node_id in (1, 2):
            self.change(BROKER, str(node_id), leader_replication_throttled_rate=str(RATE))
        self.move(1, 2, 3)
        self.passed(SOON_S)

    def test_who_is_in_sync_waits_for_nothing(self) -> None:
        """Acknowledgements are as quick as ever, while the new replica is on its way."""
        self.change(TOPIC, "t", leader_replication_throttled_replicas="*", follower_replication_throttled_replicas="*")
        self.change(BROKER, "", leader_replication_throttled_rate="1000", follower_replication_throttled_rate="1000")
        self.move(1, 2, 3)
        began = self.cluster.simulation.now
        for _ in range(20):
            self.produce(b"w" * 1000)
        self.assertLess(self.cluster.simulation.now - began, SOON_S)
        self.assertEqual(self.isr(), (1, 2))

    def test_lifted(self) -> None:
        """Whoever waited goes on at once; with no rate in force nothing is kept of it."""
        self.throttle_leaders()
        self.change(TOPIC, "t", follower_replication_throttled_replicas="*")
        self.change(BROKER, "3", follower_replication_throttled_rate="1")
        self.move(1, 2, 3)
        self.cluster.wait(3.0)
        self.assertNotIn(NEW, self.isr())
        for node_id in (1, 2, 3):
            self.change(
                BROKER, str(node_id), DELETE, leader_replication_throttled_rate="",
                follower_replication_throttled_rate="",
            )  # fmt: skip
        self.passed(SOON_S)
        self.change(TOPIC, "t", DELETE, leader_replication_throttled_replicas="",
                    follower_replication_throttled_replicas="")  # fmt: skip
        self.assertEqual(dict(self.cluster.nodes[2].broker.metadata.image.configs.get("t", {})), {})

    def test_shown_and_called_back(self) -> None:
        """While it lasts a move is listed; called back, it leaves nothing."""
        self.throttle_leaders()
        self.move(1, 2, 3)
        listing = ListPartitionReassignmentsRequest(topics=None, timeout_ms=1000)
        (topic,) = self.cluster.ask(self.cluster.nodes[2], listing).topics
        (part,) = topic.partitions
        self.assertEqual((topic.name, list(part.adding_replicas), list(part.removing_replicas)), ("t", [3], []))
        self.move()
        self.assertEqual(list(self.cluster.ask(self.cluster.nodes[2], listing).topics), [])
        self.assertEqual(sorted(self.isr()), [1, 2])
