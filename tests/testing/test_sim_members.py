"""Members of groups, and those who look around, in the simulated world."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from streamline.errors import ErrorCode
from streamline.testing.history import History
from streamline.testing.simulation.clients.connection import Gone
from streamline.testing.simulation.clients.member import PROTOCOL, PROTOCOL_TYPE, Member
from streamline.testing.simulation.clients.onlooker import BadView, Onlooker
from streamline.wire.messages.cluster import DescribeClusterBroker, DescribeClusterRequest, DescribeClusterResponse
from streamline.wire.messages.configs import (
    DescribeConfigsRequest,
    DescribeConfigsResourceResult,
    DescribeConfigsResponse,
    DescribeConfigsResult,
)
from streamline.wire.messages.coordinator import FindCoordinatorRequest, FindCoordinatorResponse
from streamline.wire.messages.groups import (
    DescribeGroupsRequest,
    DescribeGroupsResponse,
    HeartbeatRequest,
    HeartbeatResponse,
    JoinGroupRequest,
    JoinGroupResponse,
    JoinGroupResponseMember,
    LeaveGroupRequest,
    LeaveGroupResponse,
    ListGroupsRequest,
    ListGroupsResponse,
    SyncGroupRequest,
    SyncGroupResponse,
)
from streamline.wire.messages.metadata import (
    DescribeTopicPartitionsRequest,
    DescribeTopicPartitionsResponse,
    MetadataRequest,
)
from streamline.wire.messages.offsets import (
    OffsetCommitRequest,
    OffsetCommitResponse,
    OffsetCommitResponsePartition,
    OffsetCommitResponseTopic,
    OffsetFetchRequest,
    OffsetFetchResponse,
    OffsetFetchResponsePartition,
    OffsetFetchResponseTopic,
)
from tests.testing.scripted import ScriptedBroker

TOPIC = "topic"


class MemberTests(SynchronousTestCase):
    """One member, alone in its group."""

    def setUp(self) -> None:
        """Make a broker with a group."""
        self.broker = ScriptedBroker(
            {
                FindCoordinatorRequest: 3,
                JoinGroupRequest: 5,
                SyncGroupRequest: 3,
                HeartbeatRequest: 3,
                LeaveGroupRequest: 3,
                OffsetCommitRequest: 7,
                OffsetFetchRequest: 5,
                MetadataRequest: 12,
            }
        )
        self.history = History()
        self.committed = 7
        self.generation = 0
        self.beats: list[int] = []
        self.broker.answers |= {
            FindCoordinatorRequest: lambda _: FindCoordinatorResponse(node_id=1, host="", port=0),
            JoinGroupRequest: self.join,
            SyncGroupRequest: lambda request: SyncGroupResponse(assignment=request.assignments[0].assignment),
            HeartbeatRequest: lambda _: HeartbeatResponse(error_code=self.beats.pop(0) if self.beats else 0),
            LeaveGroupRequest: lambda _: LeaveGroupResponse(members=[]),
            OffsetCommitRequest: self.commit,
            OffsetFetchRequest: self.fetch,
        }

    def join(self, request: JoinGroupRequest) -> JoinGroupResponse:
        """Let it in, as the leader."""
        self.generation += 1
        return JoinGroupResponse(
            generation_id=self.generation,
            protocol_type=PROTOCOL_TYPE,
            protocol_name=PROTOCOL,
            leader="me",
            member_id="me",
            members=[JoinGroupResponseMember(member_id="me", metadata=b"")],
        )

    def commit(self, request: OffsetCommitRequest) -> OffsetCommitResponse:
        """Keep the offset."""
        self.committed = request.topics[0].partitions[0].committed_offset
        part = OffsetCommitResponsePartition(partition_index=0)
        return OffsetCommitResponse(topics=[OffsetCommitResponseTopic(name=TOPIC, partitions=[part])])

    def fetch(self, _: object) -> OffsetFetchResponse:
        """Say what was committed."""
        part = OffsetFetchResponsePartition(partition_index=0, committed_offset=self.committed, metadata="")
        return OffsetFetchResponse(topics=[OffsetFetchResponseTopic(name=TOPIC, partitions=[part])])

    def member(self, instance: str | None = None) -> Member:
        """Let a member work for a while."""
        member = Member(
            self.broker.client_host, self.broker.address, "m", "group", (TOPIC, 1), self.history, instance
        )
        member.start()
        self.broker.later(5)
        return member

    def changes(self, what: str) -> list[int]:
        """Return the details of the changes of a kind."""
        return [change.detail for change in self.history.changes if change.what == what]

    def test_commits_grow(self) -> None:
        """It goes on from what was committed, and every commit is greater than the one before."""
        self.member().stop()
        commits = self.changes("commit")
        self.assertEqual((self.changes("assigned"), self.changes("fetched")), ([1], [7]))
        self.assertGreater(len(commits), 2)
        self.assertEqual(commits, sorted(set(commits)))
        self.assertGreater(commits[0], 7)

    def test_rejoins(self) -> None:
        """Told that its generation is over, it joins again."""
        self.beats = [0, ErrorCode.ILLEGAL_GENERATION]
        self.member().stop()
        self.assertEqual(self.changes("assigned"), [1, 2])

    def test_leaves(self) -> None:
        """It says goodbye, under its name where it has one, and is heard of no more."""
        member = self.member("static")
        member.leave()
        self.broker.later(1)
        (leave,) = self.broker.of(LeaveGroupRequest)
        self.assertEqual((leave.members[0].member_id, leave.members[0].group_instance_id), ("me", "static"))
        count = len(self.broker.asked)
        self.broker.later(20)
        self.assertEqual((len(self.broker.asked), self.broker.open), (count, []))
        self.assertEqual({request.group_instance_id for request in self.broker.of(JoinGroupRequest)}, {"static"})

    def test_fenced(self) -> None:
        """Whose name another has now, stops."""
        self.beats = [ErrorCode.FENCED_INSTANCE_ID]
        self.member("static")
        self.broker.later(20)
        self.assertEqual(len(self.broker.of(HeartbeatRequest)), 1)


class OnlookerTests(SynchronousTestCase):
    """Somebody who asks about everything."""

    def setUp(self) -> None:
        """Make a broker that gives good answers."""
        versions = {
            DescribeClusterRequest: 0,
            DescribeTopicPartitionsRequest: 0,
            DescribeConfigsRequest: 4,
            ListGroupsRequest: 4,
            DescribeGroupsRequest: 5,
        }
        self.broker = ScriptedBroker(versions)
        self.segment_ms = "700"
        me = DescribeClusterBroker(broker_id=1, host="", port=0)
        self.broker.answers |= {
            DescribeClusterRequest: lambda _: DescribeClusterResponse(cluster_id="c", brokers=[me]),
            DescribeTopicPartitionsRequest: lambda _: DescribeTopicPartitionsResponse(topics=[]),
            DescribeConfigsRequest: self.configs,
            ListGroupsRequest: lambda _: ListGroupsResponse(groups=[]),
            DescribeGroupsRequest: lambda _: DescribeGroupsResponse(groups=[]),
        }
        wanted = {TOPIC: {"segment.ms": "700"}}
        history = History()
        self.onlooker = Onlooker(self.broker.client_host, self.broker.address, "o", history, wanted, ["group"])

    def configs(self, _: Any) -> DescribeConfigsResponse:
        """Give the only setting."""
        found = DescribeConfigsResourceResult(name="segment.ms", value=self.segment_ms, synonyms=[])
        result = DescribeConfigsResult(resource_type=2, resource_name=TOPIC, configs=[found])
        return DescribeConfigsResponse(results=[result])

    def look(self) -> Deferred[None]:
        """Look once."""
        looked = Deferred.fromCoroutine(self.onlooker.look())
        self.broker.later(1)
        return looked

    def test_all_is_as_it_should_be(self) -> None:
        """A whole look around is counted."""
        self.successResultOf(self.look())
        self.assertEqual(self.onlooker.looks, 1)

    def test_lost_setting(self) -> None:
        """A setting that is not as it was made is no passing trouble."""
        self.segment_ms = "604800000"
        self.failureResultOf(self.look(), BadView)
        self.onlooker.start()
        self.broker.later(1)
        self.assertEqual(len(self.flushLoggedErrors(BadView)), 1)

    def test_no_answer(self) -> None:
        """A connection that ends is."""
        self.broker.answers[ListGroupsRequest] = lambda _: self.broker.open[0].hang_up()
        self.failureResultOf(self.look(), Gone)
