"""CreateTopics and DeleteTopics: each topic succeeds or fails by itself, and a made one can be used."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from streamline.errors import ErrorCode
from streamline.model import OFFSETS_TOPIC, ZERO_UUID
from streamline.wire.messages.topics import (
    CreatableReplicaAssignment,
    CreatableTopic,
    CreateTopicsRequest,
    CreateTopicsResponse,
    DeletableTopicResult,
    DeleteTopicsRequest,
    DeleteTopicsResponse,
    DeleteTopicState,
)
from tests.broker import Broker, as_configs, batch_of


def topic(name: str = "t", partitions: int = 1, factor: int = 1, **configs: str) -> CreatableTopic:
    """Return a topic as a client asks for it."""
    return CreatableTopic(
        name=name, num_partitions=partitions, replication_factor=factor, configs=as_configs(configs)
    )


def assigned(*replicas: tuple[int, list[int]], name: str = "t") -> CreatableTopic:
    """Return a topic whose partitions the client places."""
    given = [CreatableReplicaAssignment(partition_index=index, broker_ids=nodes) for index, nodes in replicas]
    return CreatableTopic(name=name, num_partitions=-1, replication_factor=-1, assignments=given)


class TopicsCase(SynchronousTestCase):
    """A node."""

    settings: dict[str, Any] = {}

    def setUp(self) -> None:
        """Start it."""
        self.broker = Broker(broker=self.settings).start()

    @property
    def topics(self) -> list[str]:
        """The topics that there are."""
        return list(self.broker.node.broker.metadata.image.topics)

    def create(self, *topics: CreatableTopic, version: int = 7, **more: Any) -> dict[str, int]:
        """Ask for topics; return the error of each."""
        request = CreateTopicsRequest(topics=topics, timeout_ms=10_000, **more)
        response: CreateTopicsResponse = self.broker.ask(request, version)
        return {result.name: result.error_code for result in response.topics}

    def refuses(self, code: ErrorCode, wanted: CreatableTopic) -> None:
        """Expect a topic to be refused with a sentence, validated or made."""
        for validate_only in (True, False):
            result = self.broker.try_to_create(wanted, validate_only=validate_only)
            self.assertEqual(ErrorCode(result.error_code), code, result.error_message)
            self.assertTrue(result.error_message)
        self.assertNotIn(wanted.name, self.topics)


class CreateTests(TopicsCase):
    """What is made, and what is said of it."""

    settings = {"num_partitions": 4}

    def test_every_version(self) -> None:
        for version in range(2, 8):
            name = f"t{version}"
            result = self.broker.try_to_create(topic(name, 2, retention_ms="5"), version=version)
            self.assertEqual((result.error_code, result.name), (ErrorCode.NONE, name))
            made = self.broker.node.broker.metadata.image.topics[name]
            self.assertEqual(result.topic_id, made.topic_id if version >= 7 else ZERO_UUID)
            if version >= 5:
                self.assertEqual((result.num_partitions, result.replication_factor), (2, 1))
                configs = {config.name: (config.value, config.config_source) for config in result.configs or ()}
                self.assertEqual(configs["retention.ms"], ("5", 1))
                self.assertEqual(configs["segment.bytes"], ("1073741824", 5))

    def test_broker_defaults(self) -> None:
        """KIP-464."""
        result = self.broker.try_to_create(topic("t", -1, -1))
        self.assertEqual((result.num_partitions, result.replication_factor), (4, 1))

    def test_usable_at_once(self) -> None:
        self.create(topic("t", 3))
        for index in range(3):
            self.assertEqual(self.broker.produce("t", batch_of(b"v"), index=index).error_code, ErrorCode.NONE)

    def test_side_by_side(self) -> None:
        self.create(topic("old"))
        found = self.create(topic("new"), topic("old"), topic("a/b"), topic("other", 0))
        self.assertEqual(
            found,
            {
                "new": ErrorCode.NONE,
                "old": ErrorCode.TOPIC_ALREADY_EXISTS,
                "a/b": ErrorCode.INVALID_TOPIC_EXCEPTION,
                "other": ErrorCode.INVALID_PARTITIONS,
            },
        )

    def test_named_twice(self) -> None:
        self.assertEqual(self.create(topic("t"), topic("u"), topic("t", 2)), {"t": ErrorCode.INVALID_REQUEST, "u": 0})
        self.assertEqual(self.topics, ["u"])

    def test_validate_only(self) -> None:
        result = self.broker.try_to_create(topic("t", 2, cleanup_policy="compact"), validate_only=True)
        self.assertEqual((result.error_code, result.num_partitions, result.topic_id), (0, 2, ZERO_UUID))
        configs = {config.name: config.value for config in result.configs or ()}
        self.assertEqual(configs["cleanup.policy"], "compact")
        self.assertEqual(self.topics, [])

    def test_assigned_by_hand(self) -> None:
        result = self.broker.try_to_create(assigned((1, [1]), (0, [1])))
        self.assertEqual((result.error_code, result.num_partitions), (0, 2))

    def test_refused(self) -> None:
        self.refuses(ErrorCode.INVALID_TOPIC_EXCEPTION, topic(""))
        self.refuses(ErrorCode.INVALID_TOPIC_EXCEPTION, topic("x" * 250))
        self.refuses(ErrorCode.INVALID_REQUEST, topic("__cluster_metadata"))
        self.refuses(ErrorCode.INVALID_PARTITIONS, topic("t", 0))
        self.refuses(ErrorCode.INVALID_PARTITIONS, topic("t", -2))
        self.refuses(ErrorCode.INVALID_REPLICATION_FACTOR, topic("t", 1, 2))
        self.refuses(ErrorCode.INVALID_REPLICATION_FACTOR, topic("t", 1, 0))
        self.refuses(ErrorCode.INVALID_CONFIG, topic("t", retention="5"))
        self.refuses(ErrorCode.INVALID_CONFIG, topic("t", retention_ms="soon"))
        self.refuses(ErrorCode.INVALID_REPLICA_ASSIGNMENT, assigned((0, [1]), (0, [1])))
        self.refuses(ErrorCode.INVALID_REPLICA_ASSIGNMENT, assigned((1, [1])))
        self.refuses(ErrorCode.INVALID_REPLICA_ASSIGNMENT, assigned((0, [2])))

    def test_names_may_be_long(self) -> None:
        """SE19: as long as Kafka's, on a disk too, and deleting one is no trouble."""
        broker = Broker(storage="segments").start()
        name = "n" * 249
        broker.create(name)
        self.assertEqual(broker.produce(name, batch_of(b"v")).error_code, ErrorCode.NONE)
        response = broker.ask(DeleteTopicsRequest(topics=[DeleteTopicState(name=name)], timeout_ms=1000), 6)
        self.assertEqual(response.responses[0].error_code, ErrorCode.NONE)
        broker.wait(1)
        broker.create(name)
        self.assertEqual(broker.fetch(name).high_watermark, 0)

    def test_metadata_that_cannot_be_written(self) -> None:
        self.broker.machine.platter.faults.full = True
        self.assertEqual(self.create(topic("t")), {"t": ErrorCode.KAFKA_STORAGE_ERROR})
        self.broker.machine.platter.faults.full = False
        self.assertEqual(self.create(topic("t")), {"t": ErrorCode.NONE})


class FloodTests(TopicsCase):
    """SE11: what one request can make is bounded, and is judged before it is made."""

    def test_partitions_without_number(self) -> None:
        for count in (10_001, 10**9, 2**31 - 1):
            self.refuses(ErrorCode.POLICY_VIOLATION, topic("t", count))

    def test_of_all_topics_together(self) -> None:
        found = self.create(topic("a", 6000), topic("b", 4001), topic("c", 5), validate_only=True)
        self.assertEqual(found, {"a": 0, "b": ErrorCode.POLICY_VIOLATION, "c": ErrorCode.POLICY_VIOLATION})

    def test_many_topics(self) -> None:
        """They are made in many turns; others are served in between."""
        client = self.broker.connect()
        topics = [topic(f"t{number}") for number in range(500)]
        client.send(CreateTopicsRequest(topics=topics, timeout_ms=10_000), 7)
        self.assertEqual(client.answers(), [])
        self.assertEqual(self.create(topic("other")), {"other": 0})
        self.broker.wait(5)
        ((_, answer),) = client.answers()
        self.assertEqual([result.error_code for result in answer.topics], [0] * 500)

    def test_more_topics_than_may_be_made(self) -> None:
        topics = [topic(f"t{number}", 1000) for number in range(2000)]
        client = self.broker.connect()
        client.send(CreateTopicsRequest(topics=topics, timeout_ms=10_000, validate_only=True), 7)
        self.assertEqual(client.answers(), [], "it takes several turns")
        self.broker.wait()
        ((_, answer),) = client.answers()
        codes = [result.error_code for result in answer.topics]
        self.assertEqual(codes, [0] * 10 + [ErrorCode.POLICY_VIOLATION] * 1990)


class DeleteTests(TopicsCase):
    """What is deleted is gone, with all its records."""

    def setUp(self) -> None:
        """Make two topics."""
        super().setUp()
        self.ids = {name: self.broker.create(name) for name in ("a", "b")}

    def delete(self, *wanted: str | bytes, version: int = 6) -> list[DeletableTopicResult]:
        """Delete topics by name or id."""
        topics = [
            DeleteTopicState(name=one) if isinstance(one, str) else DeleteTopicState(name=None, topic_id=one)
            for one in wanted
        ]
        if version >= 6:
            request = DeleteTopicsRequest(topics=topics, timeout_ms=1000)
        else:
            request = DeleteTopicsRequest(topic_names=[str(one) for one in wanted], timeout_ms=1000)
        response: DeleteTopicsResponse = self.broker.ask(request, version)
        return list(response.responses)

    def test_every_version(self) -> None:
        for version in range(1, 7):
            self.broker.create(f"t{version}")
            (found,) = self.delete(f"t{version}", version=version)
            self.assertEqual((found.name, found.error_code), (f"t{version}", ErrorCode.NONE))
        self.assertEqual(self.topics, ["a", "b"])

    def test_by_id(self) -> None:
        (found,) = self.delete(self.ids["a"])
        self.assertEqual((found.name, found.topic_id, found.error_code), ("a", self.ids["a"], ErrorCode.NONE))
        (found,) = self.delete(self.ids["a"])
        self.assertEqual((found.name, found.error_code), (None, ErrorCode.UNKNOWN_TOPIC_ID))

    def test_unknown(self) -> None:
        for version in (1, 5, 6):
            (found,) = self.delete("missing", version=version)
            self.assertEqual(found.error_code, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
            self.assertEqual(found.error_message is not None, version >= 5)

    def test_side_by_side(self) -> None:
        codes = [found.error_code for found in self.delete("a", "missing")]
        self.assertEqual(codes, [ErrorCode.NONE, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION])

    def test_named_twice(self) -> None:
        self.assertEqual([found.error_code for found in self.delete("a", "a")], [ErrorCode.INVALID_REQUEST])
        self.assertEqual(self.topics, ["a", "b"])

    def test_name_and_id(self) -> None:
        topics = [DeleteTopicState(name="a", topic_id=self.ids["b"]), DeleteTopicState(name=None)]
        response = self.broker.ask(DeleteTopicsRequest(topics=topics, timeout_ms=1000), 6)
        self.assertEqual([found.error_code for found in response.responses], [ErrorCode.INVALID_REQUEST] * 2)
        self.assertEqual(self.topics, ["a", "b"])

    def test_the_clusters_own(self) -> None:
        self.broker.create(OFFSETS_TOPIC)
        (found,) = self.delete(OFFSETS_TOPIC)
        self.assertEqual(found.error_code, ErrorCode.INVALID_TOPIC_EXCEPTION)

    def test_made_again(self) -> None:
        """KR30: it has another id and none of the records."""
        self.broker.produce("a", batch_of(b"v"))
        self.delete("a")
        self.assertNotEqual(self.broker.create("a"), self.ids["a"])
        self.assertEqual(self.broker.fetch("a").high_watermark, 0)


class ForbiddenTests(TopicsCase):
    """delete.topic.enable=false."""

    settings = {"delete_topic_enable": False}

    def test_refused(self) -> None:
        self.broker.create("a")
        for version, code in ((2, ErrorCode.INVALID_REQUEST), (3, ErrorCode.TOPIC_DELETION_DISABLED)):
            request = DeleteTopicsRequest(topic_names=["a"], timeout_ms=1000)
            self.assertEqual(self.broker.ask(request, version).responses[0].error_code, code)
        self.assertEqual(self.topics, ["a"])
