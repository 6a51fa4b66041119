"""CreatePartitions: each topic by itself, and what was added can be used."""

from __future__ import annotations

from typing import Any

from streamline.errors import ErrorCode
from streamline.wire.messages.topics import (
    CreatePartitionsAssignment,
    CreatePartitionsRequest,
    CreatePartitionsTopic,
    CreatePartitionsTopicResult,
)
from tests.api.controller_case import ControllerCase
from tests.broker import batch_of


def more(name: str, count: int, *assignments: list[int]) -> CreatePartitionsTopic:
    """Return what a topic is to have."""
    given = [CreatePartitionsAssignment(broker_ids=nodes) for nodes in assignments] or None
    return CreatePartitionsTopic(name=name, count=count, assignments=given)


class PartitionsTests(ControllerCase):
    """More partitions."""

    def create(self, *topics: CreatePartitionsTopic, version: int = 3, **options: Any) -> list[ErrorCode]:
        """Ask for them; return the error of each."""
        request = CreatePartitionsRequest(topics=topics, timeout_ms=10_000, **options)
        results: list[CreatePartitionsTopicResult] = self.broker.ask(request, version).results
        for result in results:
            self.assertEqual(bool(result.error_code), bool(result.error_message))
        return [ErrorCode(result.error_code) for result in results]

    def test_every_version(self) -> None:
        for version in range(4):
            self.assertEqual(self.create(more("t", 2 + version), version=version), [ErrorCode.NONE])
            self.assertEqual(len(self.image.topics["t"].partitions), 2 + version)

    def test_used_at_once(self) -> None:
        self.assertEqual(self.create(more("t", 3, [1], [1])), [ErrorCode.NONE])
        for index in range(3):
            self.assertEqual(self.broker.produce("t", batch_of(b"v"), index=index).error_code, ErrorCode.NONE)

    def test_placed_by_the_client(self) -> None:
        self.assertEqual(self.create(more("t", 3, [2], [3])), [ErrorCode.NONE])
        self.assertEqual([state.replicas for state in self.image.topics["t"].partitions], [(1,), (2,), (3,)])

    def test_each_topic_by_itself(self) -> None:
        self.assign("u", [1])
        codes = self.create(
            more("t", 1), more("missing", 2), more("u", 2), more("v", 2), more("v", 3), more("t2", -1)
        )
        self.assertEqual(
            codes,
            [
                ErrorCode.INVALID_PARTITIONS,
                ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
                ErrorCode.NONE,
                ErrorCode.INVALID_REQUEST,
                ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
            ],
        )
        self.assertEqual(len(self.image.topics["u"].partitions), 2)

    def test_placed_badly(self) -> None:
        bad: list[list[list[int]]] = [[[1], [1]], [[1, 2]], [[9]], [[]]]
        for assignments in bad:
            self.assertEqual(self.create(more("t", 2, *assignments)), [ErrorCode.INVALID_REPLICA_ASSIGNMENT])

    def test_too_many(self) -> None:
        """Altogether: no request makes more than ten thousand."""
        self.assign("u", [1])
        self.assertEqual(self.create(more("t", 10_002)), [ErrorCode.POLICY_VIOLATION])
        codes = self.create(more("t", 6000), more("u", 6000), validate_only=True)
        self.assertEqual(codes, [ErrorCode.NONE, ErrorCode.POLICY_VIOLATION])

    def test_validated_only(self) -> None:
        index = self.image.index
        self.assertEqual(self.create(more("t", 2), validate_only=True), [ErrorCode.NONE])
        self.assertEqual(self.create(more("t", 1), validate_only=True), [ErrorCode.INVALID_PARTITIONS])
        self.assertEqual(self.image.index, index)

    def test_after_a_restart(self) -> None:
        self.create(more("t", 2, [1]))
        self.broker.produce("t", batch_of(b"v"), index=1)
        self.broker.stop()
        self.broker.start()
        self.broker.until(lambda: self.broker.node.factory.is_serving)
        self.assertEqual(self.broker.partition("t", 1).log.identity.partition, 1)
