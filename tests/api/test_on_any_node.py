"""Three nodes: whichever a client asks, the controller does it, and that node has seen it when the client goes on."""

from __future__ import annotations

from streamline.errors import ErrorCode
from streamline.model import OFFSETS_TOPIC
from streamline.wire.messages.configs import (
    IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsRequestAlterableConfig,
    IncrementalAlterConfigsRequestAlterConfigsResource,
)
from streamline.wire.messages.coordinator import FindCoordinatorRequest
from streamline.wire.messages.metadata import MetadataRequest, MetadataRequestTopic, MetadataResponse
from streamline.wire.messages.quorum import DescribeQuorumRequest, PartitionData, TopicData
from streamline.wire.messages.topics import (
    CreatableTopic,
    CreatePartitionsRequest,
    CreatePartitionsTopic,
    CreateTopicsRequest,
    DeleteTopicsRequest,
    DeleteTopicState,
)
from tests.api.cluster_case import ClusterCase
from tests.broker import Client


def creation(*names: str) -> CreateTopicsRequest:
    """Return a request for topics."""
    topics = [CreatableTopic(name=name, num_partitions=3, replication_factor=1) for name in names]
    return CreateTopicsRequest(topics=topics, timeout_ms=10_000)


class AnyNodeTests(ClusterCase):
    """Clients of nodes that are not the controller."""

    settings = {"offsets_topic_num_partitions": 3, "offsets_topic_replication_factor": 1}

    def metadata(self, node: object, *names: str, make: bool = False) -> MetadataResponse:
        """Ask for topics."""
        topics = [MetadataRequestTopic(name=name) for name in names]
        request = MetadataRequest(topics=topics, allow_auto_topic_creation=make)
        answer: MetadataResponse = self.cluster.ask(node, request)  # type: ignore[arg-type]
        return answer

    def test_topics(self) -> None:
        for number, node in enumerate(self.cluster.others):
            name = f"t{number}"
            (made,) = self.cluster.ask(node, creation(name)).topics
            self.assertEqual((made.error_code, made.num_partitions), (ErrorCode.NONE, 3), made.error_message)
            (seen,) = self.metadata(node, name).topics
            self.assertEqual((seen.error_code, seen.topic_id, len(seen.partitions)), (0, made.topic_id, 3))
            more = CreatePartitionsRequest(topics=[CreatePartitionsTopic(name=name, count=5, assignments=None)])
            self.assertEqual(self.cluster.ask(node, more).results[0].error_code, ErrorCode.NONE)
            self.assertEqual(len(self.metadata(node, name).topics[0].partitions), 5)
            gone = DeleteTopicsRequest(topics=[DeleteTopicState(name=name)], timeout_ms=10_000)
            self.assertEqual(self.cluster.ask(node, gone).responses[0].error_code, ErrorCode.NONE)
            (seen,) = self.metadata(node, name).topics
            self.assertEqual(seen.error_code, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)

    def test_made_when_first_asked_for(self) -> None:
        """By two nodes at once: both show the same topic."""
        clients = [Client(node) for node in self.cluster.others]
        request = MetadataRequest(topics=[MetadataRequestTopic(name="t")], allow_auto_topic_creation=True)
        for client in clients:
            client.send(request)
        found: list[MetadataResponse] = []

        def have_come() -> bool:
            found.extend(answer for client in clients for _, answer in client.answers())
            return len(found) == 2

        self.cluster.until(have_come)
        topics = [answer.topics[0] for answer in found]
        self.assertEqual([topic.error_code for topic in topics], [ErrorCode.NONE] * 2)
        self.assertEqual(len({topic.topic_id for topic in topics}), 1)

    def test_coordinators(self) -> None:
        node = self.cluster.others[0]
        answer = self.cluster.ask(node, FindCoordinatorRequest(key_type=0, coordinator_keys=["g"]))
        self.assertEqual([one.error_code for one in answer.coordinators], [ErrorCode.NONE])
        self.assertIn(OFFSETS_TOPIC, node.broker.metadata.image.topics)

    def test_settings_reach_every_node(self) -> None:
        """A partition follows, whichever node has it."""
        node = self.cluster.others[0]
        self.cluster.ask(node, creation("t"))
        change = IncrementalAlterConfigsRequestAlterableConfig(name="retention.ms", config_operation=0, value="5")
        resource = IncrementalAlterConfigsRequestAlterConfigsResource(
            resource_type=2, resource_name="t", configs=[change]
        )
        answer = self.cluster.ask(node, IncrementalAlterConfigsRequest(resources=[resource]))
        self.assertEqual(answer.responses[0].error_code, ErrorCode.NONE)
        self.cluster.wait(0.2)
        found = [part.config.retention_ms for one in self.cluster.nodes.values() for part in one.broker.replicas]
        self.assertEqual(found, [5, 5, 5])

    def test_the_quorum(self) -> None:
        """Every node shows the same one."""
        self.cluster.wait(1.0)
        controller = self.cluster.controller
        topics = [TopicData(topic_name="__cluster_metadata", partitions=[PartitionData(partition_index=0)])]
        for node in self.cluster.nodes.values():
            answer = self.cluster.ask(node, DescribeQuorumRequest(topics=topics))
            (shown,) = answer.topics[0].partitions
            self.assertEqual((answer.error_code, shown.error_code), (ErrorCode.NONE, ErrorCode.NONE))
            self.assertEqual(shown.leader_id, controller.config.node_id)
            self.assertEqual(sorted(one.replica_id for one in shown.current_voters), [1, 2, 3])
            now_ms = controller.broker.host.clock.wall_ms()
            for voter in shown.current_voters:
                self.assertGreaterEqual(voter.log_end_offset, shown.high_watermark)
                self.assertLess(abs(now_ms - voter.last_fetch_timestamp), 500)
                self.assertLess(abs(now_ms - voter.last_caught_up_timestamp), 500)
                self.assertNotEqual(voter.replica_directory_id, bytes(16))
            addresses = {one.node_id: (one.listeners[0].host, one.listeners[0].port) for one in answer.nodes}
            self.assertEqual(addresses, {node_id: (f"10.0.0.{node_id}", 9093) for node_id in (1, 2, 3)})

    def test_the_controller_dies(self) -> None:
        """What was asked for in between comes to the next one, without the client noticing."""
        node = self.cluster.others[0]
        self.cluster.kill(self.cluster.controller.config.node_id)
        (made,) = self.cluster.ask(node, creation("t")).topics
        self.assertEqual(made.error_code, ErrorCode.NONE, made.error_message)
        self.cluster.until(lambda: all("t" in one.broker.metadata.image.topics for one in self.cluster.nodes.values()))

    def test_no_quorum(self) -> None:
        """Nobody says that nothing was done where that is not known."""
        node = self.cluster.others[0]
        for node_id in [node_id for node_id, one in self.cluster.nodes.items() if one is not node]:
            self.cluster.kill(node_id)
        (made,) = self.cluster.ask(node, creation("t")).topics
        self.assertIn(made.error_code, (ErrorCode.NOT_CONTROLLER, ErrorCode.REQUEST_TIMED_OUT))
