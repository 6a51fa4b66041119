"""Metadata, DescribeTopicPartitions and DescribeCluster: who there is and who leads what."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from streamline.api.metadata import CREATIONS_PER_TURN
from streamline.cluster.planning import PARTITIONS_PER_REQUEST_MAX
from streamline.errors import ErrorCode
from streamline.model import OFFSETS_TOPIC, ZERO_UUID
from streamline.wire.messages.cluster import DescribeClusterRequest
from streamline.wire.messages.metadata import (
    Cursor,
    DescribeTopicPartitionsRequest,
    DescribeTopicPartitionsResponse,
    MetadataRequest,
    MetadataRequestTopic,
    MetadataResponse,
    TopicRequest,
)
from streamline.wire.messages.produce import ProduceResponse
from tests.broker import HOST, Broker, batch_of, produce_request

NOT_ASKED = -(2**31)


class MetadataCase(SynchronousTestCase):
    """A node with two topics."""

    settings: dict[str, Any] = {}
    options: dict[str, Any] = {}

    def setUp(self) -> None:
        """Start it."""
        self.broker = Broker(broker=self.settings, **self.options).start()
        self.ids = {"a": self.broker.create("a", 2), "b": self.broker.create("b")}

    def ask(self, version: int = 12, *names: str, **more: Any) -> MetadataResponse:
        """Ask for topics by name."""
        topics = [MetadataRequestTopic(name=name, topic_id=ZERO_UUID) for name in names]
        request = MetadataRequest(**{"topics": topics, "allow_auto_topic_creation": version < 4, **more})
        answer: MetadataResponse = self.broker.ask(request, version)
        return answer

    def codes(self, response: MetadataResponse) -> dict[str | None, int]:
        """Return the error of each topic."""
        return {topic.name: topic.error_code for topic in response.topics}


class MetadataTests(MetadataCase):
    """What every client begins with."""

    def test_every_version(self) -> None:
        for version in range(14):
            response = self.ask(version, "a")
            (broker,) = response.brokers
            self.assertEqual((broker.node_id, broker.host, broker.port), (1, HOST, 9092))
            self.assertEqual(response.controller_id, 1 if version >= 1 else -1)
            self.assertEqual(bool(response.cluster_id), version >= 2)
            topic = response.topics[0]
            self.assertEqual((topic.name, topic.error_code, topic.is_internal), ("a", ErrorCode.NONE, False))
            self.assertEqual(topic.topic_id, self.ids["a"] if version >= 10 else ZERO_UUID)
            parts = [(part.partition_index, part.leader_id, part.error_code) for part in topic.partitions]
            self.assertEqual(parts, [(0, 1, 0), (1, 1, 0)])
            self.assertEqual(list(topic.partitions[0].replica_nodes), [1])
            self.assertEqual(list(topic.partitions[0].isr_nodes), [1])
            self.assertEqual(list(topic.partitions[0].offline_replicas), [])
            self.assertEqual(topic.partitions[0].leader_epoch, 0 if version >= 7 else -1)

    def test_all_topics(self) -> None:
        """With an empty list in version 0, with null later; there an empty list means none."""
        self.assertEqual(self.codes(self.ask(0)), {"a": 0, "b": 0})
        for version in range(1, 14):
            self.assertEqual(self.codes(self.ask(version)), {})
            self.assertEqual(self.codes(self.ask(version, topics=None)), {"a": 0, "b": 0})

    def test_by_id(self) -> None:
        wanted = [MetadataRequestTopic(name=None, topic_id=topic_id) for topic_id in (self.ids["b"], b"\1" * 16)]
        known, unknown = self.ask(12, topics=wanted).topics
        self.assertEqual((known.name, known.error_code), ("b", ErrorCode.NONE))
        self.assertEqual((unknown.name, unknown.error_code), (None, ErrorCode.UNKNOWN_TOPIC_ID))

    def test_bad_names(self) -> None:
        """SE19."""
        for name in ("", ".", "..", "../x", "a/b", "a\0b", "x" * 250):
            for version in (1, 12):
                response = self.ask(version, name, allow_auto_topic_creation=True)
                self.assertEqual(self.codes(response), {name: ErrorCode.INVALID_TOPIC_EXCEPTION})
        self.assertEqual(list(self.broker.node.broker.metadata.image.topics), ["a", "b"])

    def test_operations_only_where_asked(self) -> None:
        for version in range(8, 11):
            self.assertEqual(self.ask(version, "a").topics[0].topic_authorized_operations, NOT_ASKED)
            response = self.ask(
                version, "a", include_topic_authorized_operations=True, include_cluster_authorized_operations=True
            )
            self.assertGreater(response.topics[0].topic_authorized_operations, 0)
            self.assertGreater(response.cluster_authorized_operations, 0)

    def test_very_many(self) -> None:
        client = self.broker.connect()
        topics = [MetadataRequestTopic(name=f"t{number}", topic_id=ZERO_UUID) for number in range(5000)]
        client.send(MetadataRequest(topics=topics, allow_auto_topic_creation=False), 12)
        self.assertEqual(client.answers(), [], "it takes several turns")
        self.assertEqual(self.codes(self.ask(12, "a")), {"a": 0})
        self.broker.wait()
        ((_, answer),) = client.answers()
        self.assertEqual(len(answer.topics), 5000)


class AutoCreationTests(MetadataCase):
    """A topic that is asked for is made, where client and node allow it."""

    settings = {"num_partitions": 3}

    def test_made_and_usable(self) -> None:
        """The answer waits until it can be produced to."""
        response = self.ask(12, "new", allow_auto_topic_creation=True)
        self.assertEqual(self.codes(response), {"new": ErrorCode.NONE})
        self.assertEqual(len(response.topics[0].partitions), 3)
        produced: ProduceResponse = self.broker.ask(produce_request("new", batch_of(b"v"), index=2), 9)
        self.assertEqual(produced.responses[0].partition_responses[0].error_code, ErrorCode.NONE)

    def test_waits_until_it_is_open(self) -> None:
        """On a disk that takes its time."""
        broker = Broker(storage="segments").start()
        broker.machine.platter.faults.thread_mean_s = 0.1
        topics = [MetadataRequestTopic(name="new", topic_id=ZERO_UUID)]
        broker.ask(MetadataRequest(topics=topics, allow_auto_topic_creation=True), 12)
        self.assertEqual(broker.produce("new", batch_of(b"v")).error_code, ErrorCode.NONE)

    def test_declined_by_the_client(self) -> None:
        """From version 4 on it can; before, it always wants it."""
        self.assertEqual(self.codes(self.ask(4, "new")), {"new": ErrorCode.UNKNOWN_TOPIC_OR_PARTITION})
        self.assertEqual(self.codes(self.ask(3, "new")), {"new": ErrorCode.NONE})

    def test_once_for_many(self) -> None:
        clients = [self.broker.connect() for _ in range(5)]
        topics = [MetadataRequestTopic(name=name, topic_id=ZERO_UUID) for name in ("new", "new", "other")]
        for client in clients:
            client.send(MetadataRequest(topics=topics, allow_auto_topic_creation=True), 12)
        self.broker.wait()
        for client in clients:
            ((_, answer),) = client.answers()
            self.assertEqual([topic.error_code for topic in answer.topics], [0, 0, 0])
        self.assertEqual(list(self.broker.node.broker.metadata.image.topics), ["a", "b", "new", "other"])

    def test_internal_topics_are_not_made_this_way(self) -> None:
        response = self.ask(12, OFFSETS_TOPIC, allow_auto_topic_creation=True)
        self.assertEqual(self.codes(response), {OFFSETS_TOPIC: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION})

    def test_colliding_names(self) -> None:
        self.broker.create("x.y")
        response = self.ask(12, "x_y", allow_auto_topic_creation=True)
        self.assertEqual(self.codes(response), {"x_y": ErrorCode.INVALID_TOPIC_EXCEPTION})

    def test_metadata_that_cannot_be_written(self) -> None:
        self.broker.machine.platter.faults.full = True
        response = self.ask(12, "new", "a", allow_auto_topic_creation=True)
        self.assertEqual(self.codes(response), {"new": ErrorCode.KAFKA_STORAGE_ERROR, "a": ErrorCode.NONE})

    def test_a_few_in_a_turn(self) -> None:
        """A node that was to make thousands at once did nothing else for many seconds (SE11)."""
        client = self.broker.connect()
        topics = [MetadataRequestTopic(name=f"new{number}") for number in range(40)]
        client.send(MetadataRequest(topics=topics, allow_auto_topic_creation=True), 12)
        self.assertEqual(len(self.broker.node.broker.controller._creating), CREATIONS_PER_TURN)
        self.broker.wait()
        ((_, answer),) = client.answers()
        self.assertEqual({topic.error_code for topic in answer.topics}, {ErrorCode.NONE})

    def test_bounded(self) -> None:
        """One request makes no more partitions than CreateTopics would; for the rest the client asks again."""
        names = [f"t{number}" for number in range(PARTITIONS_PER_REQUEST_MAX // 3 + 100)]
        response = self.ask(12, *names, allow_auto_topic_creation=True)
        codes = [topic.error_code for topic in response.topics]
        self.assertEqual(codes, [ErrorCode.NONE] * 3333 + [ErrorCode.UNKNOWN_TOPIC_OR_PARTITION] * 100)


class ForbiddenTests(MetadataCase):
    """auto.create.topics.enable=false."""

    settings = {"auto_create_topics_enable": False}

    def test_not_made(self) -> None:
        response = self.ask(12, "new", allow_auto_topic_creation=True)
        self.assertEqual(self.codes(response), {"new": ErrorCode.UNKNOWN_TOPIC_OR_PARTITION})


class DescribeTopicPartitionsTests(MetadataCase):
    """Pages of partitions (KIP-966)."""

    def page(self, *names: str, limit: int = 2000, cursor: Cursor | None = None) -> DescribeTopicPartitionsResponse:
        """Ask for a page."""
        request = DescribeTopicPartitionsRequest(
            topics=[TopicRequest(name=name) for name in names], response_partition_limit=limit, cursor=cursor
        )
        answer: DescribeTopicPartitionsResponse = self.broker.ask(request, 0)
        return answer

    def found(self, response: DescribeTopicPartitionsResponse) -> list[tuple[str | None, list[int]]]:
        """Return topics and partitions."""
        return [(topic.name, [part.partition_index for part in topic.partitions]) for topic in response.topics]

    def test_all(self) -> None:
        response = self.page()
        self.assertEqual(self.found(response), [("a", [0, 1]), ("b", [0])])
        self.assertIsNone(response.next_cursor)

    def test_named_sorted_once(self) -> None:
        self.assertEqual(self.found(self.page("b", "a", "b")), [("a", [0, 1]), ("b", [0])])

    def test_unknown(self) -> None:
        codes = {topic.name: topic.error_code for topic in self.page("a", "missing", "a/b").topics}
        expected = {
            "a": 0, "missing": ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, "a/b": ErrorCode.INVALID_TOPIC_EXCEPTION,
        }  # fmt: skip
        self.assertEqual(codes, expected)

    def test_page_by_page(self) -> None:
        """Every partition comes once, however small the pages."""
        for limit in (1, 2, 3, -5):
            cursor, seen = None, []
            for _ in range(9):
                response = self.page(limit=limit, cursor=cursor)
                seen += [(name, index) for name, indexes in self.found(response) for index in indexes]
                cursor = response.next_cursor
                if cursor is None:
                    break
            self.assertEqual(seen, [("a", 0), ("a", 1), ("b", 0)], limit)

    def test_cursor_at_a_topic_that_is_gone(self) -> None:
        self.assertEqual(self.found(self.page(cursor=Cursor(topic_name="aa", partition_index=5))), [("b", [0])])
        self.assertEqual(self.found(self.page(cursor=Cursor(topic_name="z", partition_index=0))), [])


class DescribeClusterTests(MetadataCase):
    """The cluster's id, controller and nodes."""

    def test_every_version(self) -> None:
        for version in range(3):
            response = self.broker.ask(DescribeClusterRequest(), version)
            self.assertEqual((response.error_code, response.controller_id), (ErrorCode.NONE, 1))
            self.assertEqual(response.cluster_id, self.broker.node.broker.metadata.image.cluster_id)
            self.assertEqual([(one.broker_id, one.host, one.port) for one in response.brokers], [(1, HOST, 9092)])
            self.assertEqual(response.cluster_authorized_operations, NOT_ASKED)

    def test_endpoint_types(self) -> None:
        """KIP-919: controllers are asked elsewhere."""
        for kind, code in ((2, ErrorCode.MISMATCHED_ENDPOINT_TYPE), (3, ErrorCode.UNSUPPORTED_ENDPOINT_TYPE)):
            response = self.broker.ask(DescribeClusterRequest(endpoint_type=kind), 1)
            self.assertEqual((response.error_code, list(response.brokers)), (code, []))


class WildcardTests(MetadataCase):
    """A node that listens everywhere tells each client the address that this one reached it at."""

    options = {"listen": "tcp:9092"}

    def test_address(self) -> None:
        (broker,) = self.ask(12, "a").brokers
        self.assertEqual((broker.host, broker.port), (HOST, 9092))
