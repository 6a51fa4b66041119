"""From what a client asks to a command, or to the error that Kafka gives."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from streamline.cluster.commands import AddPartitions, CreateTopic, dump, load
from streamline.cluster.image import MetadataImage
from streamline.cluster.placement import RackSpread
from streamline.cluster.planning import PARTITIONS_PER_REQUEST_MAX, NewTopic, plan_partitions, plan_topic
from streamline.config import BrokerConfig
from streamline.errors import ErrorCode, Refused
from streamline.model import Broker, Endpoint, PartitionState, Topic

TOPIC_ID = bytes(range(16))
NODES = {node: Broker(node_id=node, endpoint=Endpoint("h", 9092)) for node in (1, 2, 3)}
TAKEN = Topic(name="taken.name", topic_id=bytes(15) + b"\1", partitions=())
IMAGE = MetadataImage(brokers=NODES, topics={TAKEN.name: TAKEN})


class PlanTopicTests(SynchronousTestCase):
    """Each complaint has Kafka's code; what passes is decided to the last detail."""

    def plan(self, name: str = "t", image: MetadataImage = IMAGE, **wanted: Any) -> CreateTopic:
        """Plan a topic on three nodes."""
        config = BrokerConfig(num_partitions=4, default_replication_factor=2)
        return plan_topic(image, NewTopic(name=name, **wanted), config, RackSpread(), TOPIC_ID, 0)

    def refuses(self, code: ErrorCode, name: str = "t", **wanted: Any) -> None:
        """Expect a refusal."""
        refusal = self.assertRaises(Refused, self.plan, name, **wanted)
        self.assertEqual(refusal.code, code, refusal.message)

    def replicas(self, **wanted: Any) -> list[tuple[int, ...]]:
        """Plan a topic; return its replicas."""
        command = self.plan(**wanted)
        self.assertEqual([placed.index for placed in command.partitions], list(range(len(command.partitions))))
        return [tuple(placed.replicas) for placed in command.partitions]

    def test_defaults(self) -> None:
        self.assertEqual(self.replicas(), [(1, 2), (2, 3), (3, 1), (1, 3)])
        self.assertEqual(self.plan().topic_id, TOPIC_ID)

    def test_counts(self) -> None:
        self.assertEqual(self.replicas(partitions=1, replication_factor=3), [(1, 2, 3)])

    def test_names(self) -> None:
        self.refuses(ErrorCode.INVALID_TOPIC_EXCEPTION, "a/b")
        self.refuses(ErrorCode.TOPIC_ALREADY_EXISTS, "taken.name")
        self.refuses(ErrorCode.INVALID_TOPIC_EXCEPTION, "taken_name")
        self.refuses(ErrorCode.INVALID_REQUEST, "__cluster_metadata")

    def test_bad_counts(self) -> None:
        for count in (0, -2, -(2**31)):
            self.refuses(ErrorCode.INVALID_PARTITIONS, partitions=count)
            self.refuses(ErrorCode.INVALID_REPLICATION_FACTOR, replication_factor=count)
        self.refuses(ErrorCode.INVALID_REPLICATION_FACTOR, replication_factor=4)

    def test_too_many(self) -> None:
        """SE11: the count is judged before anything is made for it."""
        for count in (PARTITIONS_PER_REQUEST_MAX + 1, 10**9):
            self.refuses(ErrorCode.POLICY_VIOLATION, partitions=count)
        assigned = dict.fromkeys(range(PARTITIONS_PER_REQUEST_MAX + 1), (1,))
        self.refuses(ErrorCode.POLICY_VIOLATION, assignments=assigned)

    def test_fenced_nodes_get_nothing(self) -> None:
        fenced = evolve(IMAGE, brokers={**NODES, 2: evolve(NODES[2], fenced=True)})
        self.assertEqual(self.replicas(image=fenced), [(1, 3), (3, 1), (1, 3), (3, 1)])

    def test_nodes_that_shut_down_get_nothing(self) -> None:
        leaving = evolve(IMAGE, brokers={**NODES, 2: evolve(NODES[2], shutting_down=True)})
        self.assertEqual(self.replicas(image=leaving), [(1, 3), (3, 1), (1, 3), (3, 1)])

    def test_an_assigned_node_that_is_not_there_is_not_in_sync(self) -> None:
        fenced = evolve(IMAGE, brokers={**NODES, 2: evolve(NODES[2], fenced=True)})
        (placed,) = self.plan(image=fenced, assignments={0: [2, 3]}).partitions
        self.assertEqual((placed.replicas, placed.isr), ((2, 3), [3]))

    def test_assigned_nodes_of_which_none_is_there(self) -> None:
        fenced = evolve(IMAGE, brokers={**NODES, 2: evolve(NODES[2], fenced=True)})
        self.refuses(ErrorCode.INVALID_REPLICA_ASSIGNMENT, image=fenced, assignments={0: [2]})

    def test_assigned_by_hand(self) -> None:
        self.assertEqual(self.replicas(assignments={1: [3, 1], 0: [2, 3]}), [(2, 3), (3, 1)])

    def test_counts_and_assignments(self) -> None:
        self.refuses(ErrorCode.INVALID_REQUEST, assignments={0: [1]}, partitions=1)
        self.refuses(ErrorCode.INVALID_REQUEST, assignments={0: [1]}, replication_factor=1)

    def test_bad_assignments(self) -> None:
        bad: tuple[dict[int, list[int]], ...] = (
            {1: [1]}, {0: [1], 2: [1]}, {0: []}, {0: [1], 1: [1, 2]}, {0: [1, 1]}, {0: [9]}, {-1: [1], 0: [1]},
        )  # fmt: skip
        for assignments in bad:
            self.refuses(ErrorCode.INVALID_REPLICA_ASSIGNMENT, assignments=assignments)

    def test_configs(self) -> None:
        command = self.plan(configs={"retention.ms": "5", "cleanup.policy": "compact"})
        self.assertEqual(
            [(entry.name, entry.value) for entry in command.configs],
            [("retention.ms", "5"), ("cleanup.policy", "compact")],
        )

    def test_bad_configs(self) -> None:
        for configs in (
            {"retention.ms": None},
            {"retention.ms": "soon"},
            {"cleanup.policy": "burn"},
            {"no.such.thing": "1"},
            {"segment.bytes": "1"},
        ):
            self.refuses(ErrorCode.INVALID_CONFIG, configs=configs)


class PlanPartitionsTests(SynchronousTestCase):
    """A topic grows by partitions that are placed as its first ones were."""

    def setUp(self) -> None:
        """A topic of two partitions with two replicas each."""
        states = tuple(PartitionState(index=index, replicas=(1, 2), isr=(1, 2), leader=1) for index in range(2))
        topic = Topic(name="t", topic_id=TOPIC_ID, partitions=states)
        self.image = MetadataImage(brokers=NODES, topics={"t": topic}, names={TOPIC_ID: "t"})

    def plan(self, count: int, assignments: Any = None, name: str = "t") -> AddPartitions:
        """Plan to have so many partitions."""
        return plan_partitions(self.image, name, count, assignments, RackSpread(), 0)

    def refuses(self, code: ErrorCode, count: int, assignments: Any = None, name: str = "t") -> None:
        """Expect a refusal."""
        refusal = self.assertRaises(Refused, self.plan, count, assignments, name)
        self.assertEqual(refusal.code, code, refusal.message)

    def test_placed(self) -> None:
        command = self.plan(4)
        self.assertEqual(command.topic_id, TOPIC_ID)
        self.assertEqual([(one.index, one.replicas) for one in command.partitions], [(2, (1, 2)), (3, (2, 3))])
        stored = load(dump(command))
        assert isinstance(stored, AddPartitions)
        self.assertEqual([list(one.isr) for one in stored.partitions], [[1, 2], [2, 3]])

    def test_assigned_by_hand(self) -> None:
        command = self.plan(4, [[3, 1], [2, 3]])
        self.assertEqual([(one.index, one.replicas) for one in command.partitions], [(2, (3, 1)), (3, (2, 3))])

    def test_no_more_than_there_are(self) -> None:
        for count in (2, 1, 0, -1):
            self.refuses(ErrorCode.INVALID_PARTITIONS, count)

    def test_too_many(self) -> None:
        """SE11."""
        for count in (PARTITIONS_PER_REQUEST_MAX + 3, 2**31 - 1):
            self.refuses(ErrorCode.POLICY_VIOLATION, count)

    def test_unknown(self) -> None:
        self.refuses(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, 3, name="u")

    def test_bad_assignments(self) -> None:
        for assignments in ([], [[1, 2], [2, 3]], [[1]], [[1, 1]], [[1, 9]]):
            self.refuses(ErrorCode.INVALID_REPLICA_ASSIGNMENT, 3, assignments)

    def test_too_few_nodes(self) -> None:
        self.image = evolve(self.image, brokers={1: NODES[1]})
        self.refuses(ErrorCode.INVALID_REPLICATION_FACTOR, 3)
