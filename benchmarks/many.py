"""
Fail-over of very many partitions: a node of three is killed, and each partition that it led takes an acks=all produce.

Two times from each kill: until both others name other leaders for all of them, and until those have acknowledged a
record for each.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from streamline.errors import ErrorCode, ProtocolError
from streamline.model import Endpoint, TopicPartition
from streamline.testing import Cluster
from streamline.testing.chaos.trial import REPLICAS
from streamline.testing.contracts.storage_harness import make_batch
from streamline.testing.embedded.conversation import Conversation
from streamline.wire.messages.metadata import MetadataRequest, MetadataResponse
from streamline.wire.messages.produce import (
    PartitionProduceData,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
)

TOPIC_PARTITIONS = 1000
METADATA_VERSION = 12
PRODUCE_VERSION = 9
ACKS_ALL = -1
PATIENCE_S = 120.0


def make(cluster: Cluster, partitions: int) -> None:
    """Make topics with so many partitions together, and wait until all of them are in sync everywhere."""
    for first in range(0, partitions, TOPIC_PARTITIONS):
        admin = AdminClient({"bootstrap.servers": cluster.bootstrap, "log_level": 0})
        topic = NewTopic(f"many-{first}", min(TOPIC_PARTITIONS, partitions - first), REPLICAS)
        admin.create_topics([topic], request_timeout=PATIENCE_S)[topic.topic].result()
    in_sync(cluster)


def addresses(cluster: Cluster) -> dict[int, Endpoint]:
    """Return where clients find each node."""
    return {node.node_id: node.address for node in cluster.nodes}


def described(address: Endpoint) -> MetadataResponse:
    """Return all that a node tells clients."""
    with Conversation(address, PATIENCE_S) as talk:
        return talk.ask(MetadataRequest(topics=None), MetadataResponse, METADATA_VERSION)


def leaders(address: Endpoint) -> Iterator[tuple[TopicPartition, int]]:
    """Yield each partition and who leads it, as a node says."""
    for topic in described(address).topics:
        for part in topic.partitions:
            yield TopicPartition(str(topic.name), part.partition_index), part.leader_id


def in_sync(cluster: Cluster) -> None:
    """Wait until every replica of everything is in sync."""
    address = addresses(cluster)[cluster.controller()]
    end_s = time.monotonic() + PATIENCE_S
    while any(len(part.isr_nodes) < REPLICAS for topic in described(address).topics for part in topic.partitions):
        if time.monotonic() > end_s:
            raise TimeoutError("some replica does not get in sync")
        time.sleep(0.2)


def produce(address: Endpoint, keys: Iterable[TopicPartition]) -> list[TopicPartition]:
    """Have a node take one record for each of these; return those that it did not."""
    batch = make_batch(0)
    topics: dict[str, list[PartitionProduceData]] = {}
    for key in keys:
        topics.setdefault(key.topic, []).append(PartitionProduceData(index=key.partition, records=batch))
    data = [TopicProduceData(name=name, partition_data=parts) for name, parts in topics.items()]
    request = ProduceRequest(acks=ACKS_ALL, timeout_ms=10_000, topic_data=data)
    with Conversation(address, PATIENCE_S) as talk:
        answer = talk.ask(request, ProduceResponse, PRODUCE_VERSION)
    return [
        TopicPartition(topic.name, part.index)
        for topic in answer.responses
        for part in topic.partition_responses
        if part.error_code != ErrorCode.NONE
    ]


def fail_over(cluster: Cluster, dead: int) -> tuple[float, float]:
    """Kill a node; return the seconds until others were named for all that it led, and until they took records."""
    known = addresses(cluster)
    others = [node for node in known if node != dead]
    led = [key for key, leader in leaders(known[others[0]]) if leader == dead]
    cluster.kill(dead)
    began_s = time.monotonic()
    for node in others:
        while any(leader not in others for _, leader in leaders(known[node])):
            pass
    named_s = time.monotonic() - began_s
    left = dict.fromkeys(led)
    while left:
        if time.monotonic() - began_s > PATIENCE_S:
            raise TimeoutError(f"{len(left)} partitions take nothing")
        now = dict(leaders(known[others[0]]))
        for node in others:
            wanted = [key for key in left if now[key] == node]
            if wanted:
                failed = dict.fromkeys(_produced(known[node], wanted))
                left = {key: None for key in left if key not in wanted or key in failed}
    return named_s, time.monotonic() - began_s


def _produced(address: Endpoint, wanted: list[TopicPartition]) -> list[TopicPartition]:
    try:
        return produce(address, wanted)
    except (OSError, ProtocolError):
        return wanted


def fail_overs(cluster: Cluster, partitions: int, trials: int) -> Iterator[tuple[float, float]]:
    """Make partitions, and yield both times for each of so many kills, of one node after the other."""
    make(cluster, partitions)
    for number in range(trials):
        dead = cluster.node_ids[number % len(cluster.node_ids)]
        yield fail_over(cluster, dead)
        cluster.restart(dead, timeout_s=PATIENCE_S)
        in_sync(cluster)
