"""OffsetCommit and OffsetFetch, asked in bytes of a whole node."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from streamline.errors import ErrorCode
from streamline.groups.entries import CommittedOffset, OffsetEntry
from streamline.groups.partitioning import partition_for
from streamline.groups.records import to_record
from streamline.model import OFFSETS_TOPIC, TopicPartition
from streamline.wire.messages.coordinator import FindCoordinatorRequest
from streamline.wire.messages.groups import JoinGroupRequest, JoinGroupRequestProtocol
from streamline.wire.messages.offsets import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
    OffsetFetchRequest,
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopic,
    OffsetFetchRequestTopics,
)
from streamline.wire.messages.topics import (
    CreatableTopic,
    CreateTopicsRequest,
    DeleteTopicsRequest,
    DeleteTopicState,
)
from streamline.wire.records import Record
from tests.node import SimNode

NAME = "readers"
UNKNOWN_ID = b"?" * 16


class OffsetCase(SynchronousTestCase):
    """A node with a topic C{t} of two partitions, and a client that found its coordinator."""

    settings: dict[str, Any] = {"offsets_topic_num_partitions": 4}

    def setUp(self) -> None:
        """Start it."""
        self.world = SimNode(**self.settings)
        self.client = self.world.client()
        self.client.ask(FindCoordinatorRequest(coordinator_keys=[NAME]))
        self.topic_id = self.create("t")

    def create(self, name: str) -> bytes:
        """Make a topic; return its id."""
        topic = CreatableTopic(name=name, num_partitions=2, replication_factor=1)
        (made,) = self.client.ask(CreateTopicsRequest(topics=[topic], timeout_ms=1000)).topics
        self.assertEqual(made.error_code, ErrorCode.NONE)
        topic_id: bytes = made.topic_id
        return topic_id

    def delete(self, name: str) -> None:
        """Delete a topic."""
        request = DeleteTopicsRequest(topics=[DeleteTopicState(name=name)], timeout_ms=1000)
        self.assertEqual(self.client.ask(request).responses[0].error_code, ErrorCode.NONE)

    def commit(self, offsets: dict[int, int], version: int = 9, **fields: Any) -> list[ErrorCode]:
        """Commit in topic C{t}; return the errors."""
        topic = {"name": "t", "topic_id": self.topic_id} | fields.pop("topic", {})
        parts = [
            OffsetCommitRequestPartition(
                partition_index=index,
                committed_offset=offset,
                committed_leader_epoch=3,
                committed_metadata=fields.get("metadata", "mine"),
            )
            for index, offset in offsets.items()
        ]
        fields.pop("metadata", None)
        request = OffsetCommitRequest(
            **{"group_id": NAME, "topics": [OffsetCommitRequestTopic(**topic, partitions=parts)]} | fields
        )
        (answered,) = self.client.ask(request, version).topics
        self.assertEqual([part.partition_index for part in answered.partitions], list(offsets))
        if version >= 10:
            self.assertEqual(answered.topic_id, topic["topic_id"])
        else:
            self.assertEqual(answered.name, topic["name"])
        return [ErrorCode(part.error_code) for part in answered.partitions]

    def fetch(self, *indexes: int, version: int = 9, **topic: Any) -> list[tuple[int, int, str | None, int]]:
        """Fetch from topic C{t}; return (offset, leader epoch, metadata, error) of each."""
        if version < 8:
            old = OffsetFetchRequestTopic(name=topic.get("name", "t"), partition_indexes=indexes)
            answer = self.client.ask(OffsetFetchRequest(group_id=NAME, topics=[old]), version)
            self.assertEqual(answer.error_code, ErrorCode.NONE)
            topics = answer.topics
        else:
            wanted = {"name": "t", "topic_id": self.topic_id} | topic
            new = OffsetFetchRequestTopics(**wanted, partition_indexes=indexes)
            group = OffsetFetchRequestGroup(group_id=NAME, topics=[new])
            (answer,) = self.client.ask(OffsetFetchRequest(groups=[group]), version).groups
            self.assertEqual((answer.group_id, answer.error_code), (NAME, ErrorCode.NONE))
            topics = answer.topics
        (found,) = topics
        self.assertEqual([part.partition_index for part in found.partitions], list(indexes))
        return [
            (part.committed_offset, part.committed_leader_epoch, part.metadata, part.error_code)
            for part in found.partitions
        ]

    def fetch_all(self, version: int) -> dict[str | bytes, list[tuple[int, int]]]:
        """Fetch everything; return (partition, offset) pairs by topic name, or by id where there are no names."""
        if version < 8:
            topics = self.client.ask(OffsetFetchRequest(group_id=NAME, topics=None), version).topics
        else:
            group = OffsetFetchRequestGroup(group_id=NAME, topics=None)
            topics = self.client.ask(OffsetFetchRequest(groups=[group]), version).groups[0].topics
        return {
            topic.topic_id if version >= 10 else topic.name: [
                (part.partition_index, part.committed_offset) for part in topic.partitions
            ]
            for topic in topics
        }


class CommitTests(OffsetCase):
    """OffsetCommit in all versions."""

    def test_every_version(self) -> None:
        """What is committed is found; what the version cannot say is unknown."""
        for version in range(2, 11):
            self.assertEqual(self.commit({0: version, 1: 100 + version}, version), [ErrorCode.NONE] * 2)
            epoch = 3 if version >= 6 else -1
            self.assertEqual(self.fetch(0, 1), [(version, epoch, "mine", 0), (100 + version, epoch, "mine", 0)])

    def test_metadata_is_not_lost(self) -> None:
        """Also none, and none of the basic plane."""
        for metadata, found in (("", ""), (None, ""), ("\U0001f600 at 7", "\U0001f600 at 7")):
            self.commit({0: 1}, metadata=metadata)
            self.assertEqual(self.fetch(0)[0][2], found)
        self.assertEqual(self.commit({0: 5}, metadata="x" * 5000), [ErrorCode.OFFSET_METADATA_TOO_LARGE])
        self.assertEqual(self.fetch(0)[0][0], 1)

    def test_partitions_that_do_not_exist(self) -> None:
        """They are refused one by one."""
        unknown = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        self.assertEqual(self.commit({0: 1, 2: 1, -1: 1}), [ErrorCode.NONE, unknown, unknown])
        self.assertEqual(self.commit({0: 1}, topic={"name": "ghost"}), [unknown])
        self.assertEqual(self.commit({0: 1}, 10, topic={"topic_id": UNKNOWN_ID}), [ErrorCode.UNKNOWN_TOPIC_ID])

    def test_strangers(self) -> None:
        """A generation of a group that nobody knows."""
        self.assertEqual(self.commit({0: 1}, 8, generation_id_or_member_epoch=4), [ErrorCode.ILLEGAL_GENERATION])
        self.assertEqual(self.commit({0: 1}, 9, generation_id_or_member_epoch=4), [ErrorCode.GROUP_ID_NOT_FOUND])

    def test_member_commits_and_outsider_does_not(self) -> None:
        """While somebody is in the group, only members may commit."""
        request = JoinGroupRequest(
            group_id=NAME,
            session_timeout_ms=10_000,
            rebalance_timeout_ms=10_000,
            protocol_type="consumer",
            protocols=[JoinGroupRequestProtocol(name="range", metadata=b"")],
        )
        joined = self.client.ask(request, 3)
        self.assertEqual(self.commit({0: 1}), [ErrorCode.UNKNOWN_MEMBER_ID])
        mine = {"member_id": joined.member_id, "generation_id_or_member_epoch": 1}
        self.assertEqual(self.commit({0: 1}, **mine), [ErrorCode.REBALANCE_IN_PROGRESS])

    def test_nothing_to_commit(self) -> None:
        """An empty request has an empty answer."""
        self.assertEqual(self.client.ask(OffsetCommitRequest(group_id=NAME)).topics, [])

    def test_not_the_coordinator(self) -> None:
        """Each partition says so."""
        world = SimNode()
        client = world.client()
        client.ask(CreateTopicsRequest(topics=[CreatableTopic(name="t", num_partitions=1, replication_factor=1)]))
        part = OffsetCommitRequestPartition(partition_index=0, committed_offset=1, committed_metadata="")
        topic = OffsetCommitRequestTopic(name="t", partitions=[part])
        answer = client.ask(OffsetCommitRequest(group_id=NAME, topics=[topic]), 9)
        self.assertEqual(answer.topics[0].partitions[0].error_code, ErrorCode.NOT_COORDINATOR)


class FetchTests(OffsetCase):
    """OffsetFetch in all versions."""

    def test_every_version(self) -> None:
        """By name, by name in several groups, by id."""
        self.commit({0: 42})
        for version in range(1, 11):
            epoch = 3 if version >= 5 else -1
            self.assertEqual(self.fetch(0, version=version), [(42, epoch, "mine", 0)], version)

    def test_never_committed(self) -> None:
        """Offset -1 and no error, whatever the version, the group or the partition."""
        nothing = (-1, -1, "", 0)
        for version in range(1, 11):
            self.assertEqual(self.fetch(1, 77, version=version), [nothing, nothing])
        self.assertEqual(self.fetch(0, name="ghost"), [nothing])

    def test_unknown_id(self) -> None:
        """An id that no topic has is an error."""
        self.assertEqual(self.fetch(0, version=10, topic_id=UNKNOWN_ID), [(-1, -1, "", ErrorCode.UNKNOWN_TOPIC_ID)])

    def test_all_topics(self) -> None:
        """Null asks for everything."""
        self.create("a")
        self.assertEqual(self.fetch_all(9), {})
        self.commit({1: 5, 0: 4})
        self.commit({0: 9}, topic={"name": "a"})
        for version in range(2, 10):
            self.assertEqual(self.fetch_all(version), {"a": [(0, 9)], "t": [(0, 4), (1, 5)]})
        self.assertEqual(list(self.fetch_all(10).values()), [[(0, 9)], [(0, 4), (1, 5)]])
        self.assertIn(self.topic_id, self.fetch_all(10))

    def test_several_groups(self) -> None:
        """Each has its own answer (KIP-709)."""
        self.commit({0: 1})
        self.commit({0: 2}, group_id="others")
        groups = [OffsetFetchRequestGroup(group_id=name, topics=None) for name in (NAME, "others", "ghost")]
        answered = self.client.ask(OffsetFetchRequest(groups=groups), 9).groups
        self.assertEqual([group.group_id for group in answered], [NAME, "others", "ghost"])
        found = [[part.committed_offset for topic in group.topics for part in topic.partitions] for group in answered]
        self.assertEqual(found, [[1], [2], []])

    def test_group_named_twice_is_answered_once(self) -> None:
        """Else a short request could ask for a huge answer."""
        groups = [OffsetFetchRequestGroup(group_id=NAME, topics=None)] * 3
        self.assertEqual(len(self.client.ask(OffsetFetchRequest(groups=groups), 9).groups), 1)

    def test_not_the_coordinator(self) -> None:
        """Said for each partition, for the whole answer, or for each group, as the version has it."""
        client = SimNode().client()
        topics = [OffsetFetchRequestTopic(name="t", partition_indexes=[0, 1])]
        oldest = client.ask(OffsetFetchRequest(group_id=NAME, topics=topics), 1)
        errors = [part.error_code for part in oldest.topics[0].partitions]
        self.assertEqual(errors, [ErrorCode.NOT_COORDINATOR] * 2)
        for version in range(2, 8):
            answer = client.ask(OffsetFetchRequest(group_id=NAME, topics=topics), version)
            self.assertEqual((answer.error_code, answer.topics), (ErrorCode.NOT_COORDINATOR, []))
        for version in range(8, 11):
            group = OffsetFetchRequestGroup(group_id=NAME, topics=None)
            (answer,) = client.ask(OffsetFetchRequest(groups=[group]), version).groups
            self.assertEqual((answer.group_id, answer.error_code), (NAME, ErrorCode.NOT_COORDINATOR))


class DurabilityTests(OffsetCase):
    """Offsets live in a real log."""

    def restart(self) -> None:
        """Start the node anew and connect."""
        self.world.start()
        self.client = self.world.client()

    def test_found_after_a_crash(self) -> None:
        """What was answered is there, the last of several."""
        for offset in range(10):
            self.commit({0: offset, 1: 100 + offset})
        self.world.kill()
        self.restart()
        self.assertEqual(self.fetch(0, 1), [(9, 3, "mine", 0), (109, 3, "mine", 0)])

    def test_found_after_a_stop(self) -> None:
        """The same after an orderly end."""
        self.commit({0: 7})
        self.world.stop()
        self.restart()
        self.assertEqual(self.fetch(0)[0][0], 7)

    def test_records_are_kafkas(self) -> None:
        """One batch of one record for each partition, in the partition that Kafka would choose."""
        self.commit({0: 7, 1: 8}, group_id="connect-cluster")  # to Java 1440343063
        partitions = [self.world.broker.replicas.leading(OFFSETS_TOPIC, index) for index in range(4)]
        written = [partition for partition in partitions if partition.log.end_offset]
        self.assertEqual([partition.log.identity.partition for partition in written], [3])
        self.assertEqual(written[0].log.end_offset, 2)
        self.assertEqual(len(list(written[0].log.headers(0))), 1)

    def test_topic_made_anew_has_no_offsets(self) -> None:
        """KR30, by name and by id, and after a crash too."""
        self.commit({0: 7})
        self.delete("t")
        self.topic_id = self.create("t")
        nothing = [(-1, -1, "", 0)]
        self.assertEqual(self.fetch(0), nothing)
        self.world.kill()
        self.restart()
        self.assertEqual(self.fetch(0), nothing)
        self.assertEqual(self.fetch(0, version=10), nothing)
        self.assertEqual(self.fetch_all(9), {})

    def test_offset_of_an_earlier_topic_is_passed_over(self) -> None:
        """Also where the node that led when the topic was deleted had no time to forget it."""
        committed = CommittedOffset(offset=9, commit_timestamp_ms=0, topic_id=UNKNOWN_ID)
        key, value = to_record(OffsetEntry(NAME, TopicPartition("t", 0), committed))
        self.world.append(OFFSETS_TOPIC, partition_for(NAME, 4), Record(value, key, 0))
        self.world.kill()
        self.restart()
        self.assertEqual(self.fetch(0), [(-1, -1, "", 0)])
        self.assertEqual(self.fetch_all(9), {})

    def test_group_of_a_deleted_topic_is_empty(self) -> None:
        """Its offsets go with the topic."""
        self.commit({0: 7})
        self.delete("t")
        self.assertEqual(self.fetch_all(9), {})

    def test_offsets_expire(self) -> None:
        """Some time after nobody has needed them; the group goes too, and all of it stays gone."""
        self.world = SimNode(offsets_retention_minutes=5, offsets_retention_check_interval_ms=60_000)
        self.client = self.world.client()
        self.client.ask(FindCoordinatorRequest(coordinator_keys=[NAME]))
        self.create("t")
        self.commit({0: 7})
        self.world.later(298)
        self.assertEqual(self.fetch(0)[0][0], 7)
        self.world.later(70)
        self.assertEqual(self.fetch(0)[0][0], -1)
        self.world.kill()
        self.restart()
        self.assertEqual(self.fetch_all(9), {})
