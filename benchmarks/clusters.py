"""Three nodes on this machine, of either kind, with what a measurement has to know of them and to do to them."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from benchmarks import processes
from streamline.errors import ProtocolError
from streamline.model import Endpoint
from streamline.testing.embedded.conversation import Conversation
from streamline.wire.messages.quorum import (
    DescribeQuorumRequest,
    DescribeQuorumResponse,
    PartitionData,
    TopicData,
)
from tests.clients.brokers import BrokerProcess, KafkaBroker, StreamlineBroker, free_port

NODES = 3
PATIENCE_S = 120.0
ASK_S = 2.0
LOOK_AGAIN_S = 0.02

SETTINGS = {
    "default.replication.factor": "3",
    "min.insync.replicas": "2",
    "offsets.topic.replication.factor": "3",
    "log.segment.delete.delay.ms": "500",
}
TUNED = {"broker.session.timeout.ms": "3000", "broker.heartbeat.interval.ms": "500"}
"""Streamline's defaults, for Kafka: a node is taken for gone after three seconds of silence instead of nine."""
JVM_OPTIONS = ("-Xmx1g", "-Xms1g")

T = TypeVar("T")

_QUORUM = DescribeQuorumRequest(
    topics=[TopicData(topic_name="__cluster_metadata", partitions=[PartitionData(partition_index=0)])]
)


class ThreeNodes:
    """
    Processes 1, 2 and 3 of one cluster.

    @ivar members: by node id.
    """

    def __init__(self, members: Mapping[int, BrokerProcess]) -> None:
        self.members = members
        self._admin: AdminClient | None = None

    @property
    def bootstrap(self) -> str:
        """Where clients start from."""
        return ",".join(member.bootstrap for member in self.members.values())

    @property
    def admin(self) -> AdminClient:
        """A client that asks about the cluster."""
        if self._admin is None:
            self._admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
        return self._admin

    def start(self) -> None:
        """Start all nodes at once, and wait until each answers and all know each other."""
        with ThreadPoolExecutor(NODES) as pool:
            list(pool.map(lambda member: member.start(), self.members.values()))
        self._until(lambda: len(self.admin.list_topics(timeout=ASK_S).brokers) == NODES, "three nodes")

    def kill_all(self) -> None:
        """End all nodes."""
        for member in self.members.values():
            member.kill()

    def cpu_s(self) -> float:
        """Return the processor seconds that all nodes have used."""
        return sum(processes.cpu_s(member.pid) for member in self.members.values())

    def leader(self, topic: str) -> int:
        """Return who leads partition 0."""
        return self._until(lambda: self._isr_and_leader(topic)[1], f"a leader of {topic}")

    def controller(self) -> int:
        """Return who leads the quorum of the metadata; Metadata names any node in a Kafka cluster."""
        return self._until(self._quorum_leader, "a controller")

    def _quorum_leader(self) -> int:
        for member in self.members.values():
            with suppress(OSError, ProtocolError), Conversation(Endpoint("127.0.0.1", member.port), ASK_S) as talk:
                [topic] = talk.ask(_QUORUM, DescribeQuorumResponse, 0).topics
                if topic.partitions[0].leader_id > 0:
                    return topic.partitions[0].leader_id
        return 0

    def wait_isr(self, topic: str, count: int = NODES, partitions: int = 1) -> None:
        """Wait until so many replicas of each partition are in sync."""
        what = f"{count} in-sync replicas of {topic}"
        for index in range(partitions):
            self._until(partial(self._has_isr, topic, index, count), what)

    def _has_isr(self, topic: str, index: int, count: int) -> bool:
        return len(self._isr_and_leader(topic, index)[0]) == count

    def _isr_and_leader(self, topic: str, index: int = 0) -> tuple[list[int], int]:
        described = self.admin.describe_topics(TopicCollection([topic]), request_timeout=ASK_S)[topic].result()
        partition = next(one for one in described.partitions if one.id == index)
        leader = partition.leader
        return [node.id for node in partition.isr], 0 if leader is None else leader.id

    @staticmethod
    def _until(look: Callable[[], T], what: str) -> T:
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                if seen := look():
                    return seen
            except KafkaException:
                pass
            if time.monotonic() > end:
                raise TimeoutError(f"waited {PATIENCE_S:g} s in vain for {what}")
            time.sleep(LOOK_AGAIN_S)

    def wipe(self, node_id: int, topic: str) -> None:
        """Remove a stopped node's replicas of a topic from its disk."""
        for found in list(self.members[node_id].data_dir.rglob(f"{topic}-[0-9]*")):
            if found.is_dir():
                shutil.rmtree(found)

    def log_file(self, node_id: int, topic: str) -> Path:
        """Return the first segment of a node's replica of partition 0."""
        return self.members[node_id].segments(topic) / "00000000000000000000.log"


def three_streamlines(directory: Path, settings: Mapping[str, str]) -> ThreeNodes:
    """Streamline from this source tree."""
    members = {one: StreamlineBroker(directory / f"node{one}", settings, node_id=one) for one in _ids()}
    for one, member in members.items():
        others = ",".join(other.bootstrap for number, other in members.items() if number != one)
        member.cluster_port = free_port()
        member.options = (f"--seed-nodes={others}",)
    return ThreeNodes(members)


def three_kafkas(directory: Path, settings: Mapping[str, str]) -> ThreeNodes:
    """Apache Kafka, each node broker and controller, formatted."""
    members = {one: KafkaBroker(directory / f"node{one}", settings, JVM_OPTIONS) for one in _ids()}
    voters = ",".join(f"{one}@127.0.0.1:{member.controller_port}" for one, member in members.items())
    for one, member in members.items():
        member.cluster_id = members[1].cluster_id
        member.settings |= {
            "node.id": str(one),
            "controller.quorum.voters": voters,
            "transaction.state.log.replication.factor": "3",
            "share.coordinator.state.topic.replication.factor": "3",
        }
        member.prepare()
    return ThreeNodes(members)


def _ids() -> range:
    return range(1, NODES + 1)
