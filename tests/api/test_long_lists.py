"""Lists as long as a request may have them: others have the reactor meanwhile, and nothing of the answer is lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from streamline.api.config_changes import SETTINGS_MAX
from streamline.errors import ErrorCode
from streamline.wire.messages.configs import (
    IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsRequestAlterableConfig,
    IncrementalAlterConfigsRequestAlterConfigsResource,
)
from streamline.wire.messages.coordinator import FindCoordinatorRequest
from streamline.wire.messages.groups import LeaveGroupRequest, MemberIdentity
from streamline.wire.messages.offsets import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
    OffsetFetchRequest,
    OffsetFetchRequestTopic,
)
from streamline.wire.messages.quorum import DescribeQuorumRequest, PartitionData, TopicData
from streamline.wire.messages.reassignment import (
    AlterPartitionReassignmentsRequest,
    ElectLeadersRequest,
    ReassignablePartition,
    ReassignableTopic,
    TopicPartitions,
)
from streamline.wire.messages.topics import CreatableTopic, CreateTopicsRequest
from streamline.wire.schema import Message
from tests.node import SimNode

MANY = 4001
"""Enough for each API to pause four times at least, besides pauses for reading and writing them."""
READ_AND_WRITTEN = 8


class LongListTests(SynchronousTestCase):
    """A node with topic C{t} of two partitions, and a client of its coordinator."""

    def setUp(self) -> None:
        """Start it."""
        self.world = SimNode(offsets_topic_num_partitions=1)
        self.client = self.world.client()
        self.client.ask(FindCoordinatorRequest(coordinator_keys=["g"]))
        topic = CreatableTopic(name="t", num_partitions=2, replication_factor=1)
        self.client.ask(CreateTopicsRequest(topics=[topic], timeout_ms=1000))

    def ask(self, request: Message, version: int, least: int) -> Any:
        """Ask, and see that it took so many turns."""
        turns = self.world.broker.turns
        steps: list[object] = []
        later = turns.later

        def seen(step: Callable[[], object]) -> None:
            steps.append(step)
            later(step)

        turns.later = seen  # type: ignore[method-assign]
        answer = self.client.ask(request, version)
        turns.later = later  # type: ignore[method-assign]
        self.assertGreaterEqual(len(steps), least)
        return answer

    def test_offsets_are_looked_up_in_turns(self) -> None:
        wanted = OffsetFetchRequestTopic(name="t", partition_indexes=list(range(MANY)))
        (topic,) = self.ask(OffsetFetchRequest(group_id="g", topics=[wanted]), 7, READ_AND_WRITTEN + 4).topics
        self.assertEqual([part.partition_index for part in topic.partitions], list(range(MANY)))

    def test_offsets_are_committed_in_turns(self) -> None:
        """Those of two topics, the first of them there: each offset has its own answer, in order, and is kept."""
        parts = [OffsetCommitRequestPartition(partition_index=index, committed_offset=7) for index in range(MANY)]
        topics = [OffsetCommitRequestTopic(name="t", partitions=parts[:-600])]
        topics.append(OffsetCommitRequestTopic(name="missing", partitions=parts[-600:]))
        found = self.ask(OffsetCommitRequest(group_id="g", topics=topics), 8, READ_AND_WRITTEN + 4).topics
        self.assertEqual([topic.name for topic in found], ["t", "missing"])
        answered = [part for topic in found for part in topic.partitions]
        self.assertEqual([part.partition_index for part in answered], list(range(MANY)))
        kept = [part.partition_index for part in answered if part.error_code == ErrorCode.NONE]
        self.assertEqual(kept, [0, 1])
        wanted = OffsetFetchRequestTopic(name="t", partition_indexes=[0, 1])
        (topic,) = self.client.ask(OffsetFetchRequest(group_id="g", topics=[wanted]), 7).topics
        self.assertEqual([part.committed_offset for part in topic.partitions], [7, 7])

    def test_coordinators_are_found_in_turns(self) -> None:
        keys = [f"g{number}" for number in range(MANY)]
        found = self.ask(FindCoordinatorRequest(coordinator_keys=keys), 4, READ_AND_WRITTEN + 4).coordinators
        self.assertEqual([one.key for one in found], keys)

    def test_members_leave_in_turns(self) -> None:
        names = [f"m{number}" for number in range(2 * MANY)]
        members = [MemberIdentity(member_id=name) for name in names]
        left = self.ask(LeaveGroupRequest(group_id="g", members=members), 4, 2 * READ_AND_WRITTEN + 4)
        self.assertEqual([one.member_id for one in left.members], names)
        self.assertEqual({one.error_code for one in left.members}, {ErrorCode.UNKNOWN_MEMBER_ID})

    def test_leaders_are_elected_in_turns(self) -> None:
        wanted = TopicPartitions(topic="t", partitions=list(range(MANY)))
        request = ElectLeadersRequest(topic_partitions=[wanted], timeout_ms=1000)
        (found,) = self.ask(request, 2, 8).replica_election_results
        self.assertEqual([one.partition_id for one in found.partition_result], list(range(MANY)))

    def test_moves_are_decided_in_turns(self) -> None:
        """A partition that is named again, thousands of others later, is refused all the same."""
        parts = [ReassignablePartition(partition_index=index, replicas=[1]) for index in [*range(MANY - 1), 0]]
        request = AlterPartitionReassignmentsRequest(
            topics=[ReassignableTopic(name="t", partitions=parts)], timeout_ms=1000
        )
        (found,) = self.ask(request, 0, READ_AND_WRITTEN + 4).responses
        codes = [(one.partition_index, one.error_code) for one in found.partitions]
        self.assertEqual(codes[:2], [(0, ErrorCode.NONE), (1, ErrorCode.NONE)])
        self.assertEqual({code for _, code in codes[2:-1]}, {ErrorCode.UNKNOWN_TOPIC_OR_PARTITION})
        self.assertEqual(codes[-1], (0, ErrorCode.INVALID_REQUEST))

    def test_quorums_are_described_in_turns(self) -> None:
        parts = [PartitionData(partition_index=index) for index in range(MANY)]
        request = DescribeQuorumRequest(topics=[TopicData(topic_name="t", partitions=parts)])
        (found,) = self.ask(request, 2, READ_AND_WRITTEN + 4).topics
        self.assertEqual([one.partition_index for one in found.partitions], list(range(MANY)))

    def test_more_settings_than_there_are(self) -> None:
        """They are not looked at one by one."""
        settings = [
            IncrementalAlterConfigsRequestAlterableConfig(name="retention.ms", config_operation=0, value=str(number))
            for number in range(SETTINGS_MAX + 1)
        ]
        resource = IncrementalAlterConfigsRequestAlterConfigsResource(
            resource_type=2, resource_name="t", configs=settings
        )
        (found,) = self.client.ask(IncrementalAlterConfigsRequest(resources=[resource])).responses
        self.assertEqual(found.error_code, ErrorCode.INVALID_REQUEST)
        self.assertIn(f"{SETTINGS_MAX + 1} settings", found.error_message)
