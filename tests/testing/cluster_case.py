"""What tests say to a cluster, in bytes of our own: no client library has a part in what they show."""

from __future__ import annotations

import os
from collections.abc import Sequence

from streamline.model import Endpoint
from streamline.testing import Cluster
from streamline.testing.embedded.conversation import Conversation
from streamline.wire.messages.metadata import MetadataRequest, MetadataResponse
from streamline.wire.messages.produce import (
    PartitionProduceData,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
)
from streamline.wire.messages.topics import CreatableTopic, CreateTopicsRequest, CreateTopicsResponse
from streamline.wire.records import Record, build_batch

PATIENCE_S = 10.0
CREATE_VERSION, METADATA_VERSION, PRODUCE_VERSION = 5, 8, 8
ACKS_ALL = -1


def address_of(cluster: Cluster, node_id: int) -> Endpoint:
    """Return where clients reach a node."""
    [address] = [node.address for node in cluster.nodes if node.node_id == node_id]
    return address


def talk_to(cluster: Cluster, node_id: int, timeout_s: float = PATIENCE_S) -> Conversation:
    """Connect to a node."""
    return Conversation(address_of(cluster, node_id), timeout_s)


def create(cluster: Cluster, topic: str, partitions: int = 1, replicas: int = 1) -> None:
    """Make a topic, and wait until each partition has a leader."""
    wanted = CreatableTopic(
        name=topic, num_partitions=partitions, replication_factor=replicas, assignments=[], configs=[]
    )
    with talk_to(cluster, cluster.controller()) as talk:
        request = CreateTopicsRequest(topics=[wanted], timeout_ms=5000, validate_only=False)
        [made] = talk.ask(request, CreateTopicsResponse, CREATE_VERSION).topics
    assert made.error_code == 0, made
    for partition in range(partitions):
        cluster.leader(topic, partition)


def produce(cluster: Cluster, topic: str, values: Sequence[bytes], partition: int = 0) -> None:
    """Have a partition's leader take records, and see them acknowledged."""
    batch = build_batch([Record(value=value, timestamp=0) for value in values])
    wanted = TopicProduceData(name=topic, partition_data=[PartitionProduceData(index=partition, records=batch)])
    with talk_to(cluster, cluster.leader(topic, partition)) as talk:
        request = ProduceRequest(acks=ACKS_ALL, timeout_ms=5000, topic_data=[wanted])
        [said] = talk.ask(request, ProduceResponse, PRODUCE_VERSION).responses[0].partition_responses
    assert said.error_code == 0, said


def values_of(cluster: Cluster, topic: str, partition: int = 0) -> list[bytes]:
    """Return the values of a partition's records."""
    return [bytes(record.value or b"") for record in cluster.records(topic, partition)]


def metadata(talk: Conversation) -> MetadataResponse:
    """Ask a node what it knows."""
    return talk.ask(MetadataRequest(topics=[], allow_auto_topic_creation=False), MetadataResponse, METADATA_VERSION)


def open_files() -> set[str]:
    """Return what this process has open, but for what it opens to see that."""
    found = set()
    for number in os.listdir("/proc/self/fd"):
        try:
            found.add(os.readlink(f"/proc/self/fd/{number}"))
        except FileNotFoundError:
            continue
    return found
