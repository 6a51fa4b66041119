"""ElectLeaders, AlterPartitionReassignments and ListPartitionReassignments: each partition by itself."""

from __future__ import annotations

from typing import Any

from attrs import evolve

from streamline.cluster.commands import ChangePartitions
from streamline.cluster.image import change_to
from streamline.errors import ErrorCode
from streamline.wire.messages.reassignment import (
    AlterPartitionReassignmentsRequest,
    AlterPartitionReassignmentsResponse,
    ElectLeadersRequest,
    ElectLeadersResponse,
    ListPartitionReassignmentsRequest,
    ListPartitionReassignmentsTopics,
    ReassignablePartition,
    ReassignableTopic,
    TopicPartitions,
)
from tests.api.controller_case import ControllerCase

PREFERRED, UNCLEAN = 0, 1


class ElectionTests(ControllerCase):
    """A person wants other leaders."""

    def setUp(self) -> None:
        """Make a topic that node 1 leads in place of node 2."""
        super().setUp()
        self.assign("u", [2, 1], [3, 2])
        self.change(leader=1)

    def change(self, **changes: Any) -> None:
        """Change the first partition of C{u} as no controller would."""
        state = self.state("u")
        changed = evolve(
            state, leader_epoch=state.leader_epoch + 1, partition_epoch=state.partition_epoch + 1, **changes
        )
        topic_id = self.image.topics["u"].topic_id
        self.agree(ChangePartitions(topic_id=topic_id, partitions=[change_to(changed)]))

    def elect(self, kind: int, wanted: dict[str, list[int]] | None, version: int = 2) -> ElectLeadersResponse:
        """Ask for elections."""
        topics = None
        if wanted is not None:
            topics = [TopicPartitions(topic=topic, partitions=indexes) for topic, indexes in wanted.items()]
        request = ElectLeadersRequest(election_type=kind, topic_partitions=topics, timeout_ms=1000)
        response: ElectLeadersResponse = self.broker.ask(request, version)
        return response

    def codes(self, response: ElectLeadersResponse) -> dict[tuple[str, int], int]:
        """Return the error of each partition."""
        self.assertEqual(response.error_code, ErrorCode.NONE)
        return {
            (topic.topic, one.partition_id): one.error_code
            for topic in response.replica_election_results
            for one in topic.partition_result
        }

    def test_every_version(self) -> None:
        for version in range(3):
            self.assertEqual(self.codes(self.elect(PREFERRED, {"u": [0]}, version)), {("u", 0): ErrorCode.NONE})
            self.assertEqual(self.state("u").leader, 2)
            self.change(leader=1)

    def test_all_that_need_it(self) -> None:
        self.assertEqual(self.codes(self.elect(PREFERRED, None)), {("u", 0): ErrorCode.NONE})
        self.assertEqual(self.codes(self.elect(PREFERRED, None)), {})

    def test_each_by_itself(self) -> None:
        found = self.codes(self.elect(PREFERRED, {"u": [0, 0, 1, 7], "missing": [0]}))
        self.assertEqual(
            found,
            {
                ("u", 0): ErrorCode.NONE,
                ("u", 1): ErrorCode.ELECTION_NOT_NEEDED,
                ("u", 7): ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
                ("missing", 0): ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
            },
        )

    def test_not_in_sync(self) -> None:
        self.change(isr=(1,))
        found = self.codes(self.elect(PREFERRED, {"u": [0]}))
        self.assertEqual(found, {("u", 0): ErrorCode.PREFERRED_LEADER_NOT_AVAILABLE})

    def test_unclean(self) -> None:
        self.assertEqual(self.codes(self.elect(UNCLEAN, {"u": [0]})), {("u", 0): ErrorCode.ELECTION_NOT_NEEDED})

    def test_no_such_elections(self) -> None:
        refused = self.elect(2, None)
        self.assertEqual(refused.error_code, ErrorCode.INVALID_REQUEST)
        named = self.codes(self.elect(-1, {"u": [0]}))
        self.assertEqual(named, {("u", 0): ErrorCode.INVALID_REQUEST})


class ReassignmentTests(ControllerCase):
    """A person wants replicas elsewhere."""

    def move(
        self, wanted: dict[str, dict[int, list[int] | None]], version: int = 1, **options: Any
    ) -> dict[tuple[str, int], int]:
        """Ask for moves; return the error of each partition."""
        topics = [
            ReassignableTopic(
                name=name,
                partitions=[ReassignablePartition(partition_index=index, replicas=to) for index, to in parts.items()],
            )
            for name, parts in wanted.items()
        ]
        request = AlterPartitionReassignmentsRequest(topics=topics, timeout_ms=1000, **options)
        response: AlterPartitionReassignmentsResponse = self.broker.ask(request, version)
        self.assertEqual(response.error_code, ErrorCode.NONE)
        return {
            (topic.name, one.partition_index): one.error_code
            for topic in response.responses
            for one in topic.partitions
        }

    def listed(self, topics: dict[str, list[int]] | None = None) -> dict[tuple[str, int], tuple[Any, ...]]:
        """Return the moves that are under way."""
        asked = None
        if topics is not None:
            asked = [ListPartitionReassignmentsTopics(name=name, partition_indexes=at) for name, at in topics.items()]
        response = self.broker.ask(ListPartitionReassignmentsRequest(topics=asked, timeout_ms=1000))
        self.assertEqual(response.error_code, ErrorCode.NONE)
        return {
            (topic.name, one.partition_index): (
                list(one.replicas), list(one.adding_replicas), list(one.removing_replicas)
            )
            for topic in response.topics
            for one in topic.partitions
        }  # fmt: skip

    def test_there_and_back(self) -> None:
        for version in (0, 1):
            self.assertEqual(self.move({"t": {0: [2]}}, version), {("t", 0): ErrorCode.NONE})
            self.assertEqual(self.listed(), {("t", 0): ([2, 1], [2], [1])})
            self.assertEqual(self.move({"t": {0: None}}, version), {("t", 0): ErrorCode.NONE})
            self.assertEqual(self.listed(), {})
            self.assertEqual(self.state().replicas, (1,))

    def test_each_by_itself(self) -> None:
        self.assign("u", [1], [1])
        found = self.move({"u": {0: [3], 1: [9], 5: [1]}, "t": {0: None}, "missing": {0: [1]}})
        self.assertEqual(
            found,
            {
                ("u", 0): ErrorCode.NONE,
                ("u", 1): ErrorCode.INVALID_REPLICA_ASSIGNMENT,
                ("u", 5): ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
                ("t", 0): ErrorCode.NO_REASSIGNMENT_IN_PROGRESS,
                ("missing", 0): ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
            },
        )
        self.assertEqual(list(self.listed()), [("u", 0)])

    def test_several_together(self) -> None:
        self.assign("u", [1], [1])
        self.assertEqual(set(self.move({"u": {0: [2], 1: [3]}, "t": {0: [2]}}).values()), {ErrorCode.NONE})
        self.assertEqual(list(self.listed({"u": [1], "t": [0], "missing": [0]})), [("u", 1), ("t", 0)])
        self.assertEqual(self.listed({}), {})

    def test_twice(self) -> None:
        part = [ReassignablePartition(partition_index=0, replicas=[to]) for to in (2, 3)]
        request = AlterPartitionReassignmentsRequest(topics=[ReassignableTopic(name="t", partitions=part)])
        (topic,) = self.broker.ask(request).responses
        self.assertEqual([one.error_code for one in topic.partitions], [ErrorCode.NONE, ErrorCode.INVALID_REQUEST])
        self.assertEqual(self.state().adding, (2,))

    def test_as_many_replicas_as_before(self) -> None:
        """KIP-860; what is on its way in does not count."""
        insist = {"allow_replication_factor_change": False}
        self.assertEqual(self.move({"t": {0: [1, 2]}}, **insist), {("t", 0): ErrorCode.INVALID_REPLICATION_FACTOR})
        self.assertEqual(self.move({"t": {0: [2]}}, **insist), {("t", 0): ErrorCode.NONE})
        self.assertEqual(self.move({"t": {0: [3]}}, **insist), {("t", 0): ErrorCode.NONE})
        self.assertEqual(self.move({"t": {0: None}}, **insist), {("t", 0): ErrorCode.NONE})
