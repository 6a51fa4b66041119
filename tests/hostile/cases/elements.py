"""Requests that are small and much work (SE11)."""

from __future__ import annotations

from functools import cache

from streamline.wire.messages.configs import DescribeConfigsRequest, DescribeConfigsResource
from streamline.wire.messages.fetch import FetchPartition, FetchTopic
from streamline.wire.messages.groups import DescribeGroupsRequest
from streamline.wire.messages.metadata import MetadataRequest, MetadataRequestTopic
from streamline.wire.messages.offsets import OffsetFetchRequest, OffsetFetchRequestTopic
from streamline.wire.messages.topics import CreatableTopic, CreateTopicsRequest
from streamline.wire.schema import Message
from tests.broker import fetch_request
from tests.hostile.arena import Arena, Case, framed
from tests.hostile.victim import TOPIC

MOST = 19_900
"""A little less than the elements that a request may have."""

NEW_TOPICS = 1000


@cache
def requests_of_each_api() -> list[bytes]:
    """Return a request of six APIs with as many elements as it may have."""
    fetch = fetch_request(TOPIC)
    parts = [FetchPartition(partition=index, fetch_offset=0, partition_max_bytes=1) for index in range(MOST)]
    fetch.topics = [FetchTopic(topic=TOPIC, partitions=parts)]
    topics = [MetadataRequestTopic(name=f"t{number}", topic_id=bytes(16)) for number in range(MOST)]
    resources = [
        DescribeConfigsResource(resource_type=2, resource_name=f"t{number}", configuration_keys=None)
        for number in range(MOST)
    ]
    offsets = [OffsetFetchRequestTopic(name=TOPIC, partition_indexes=list(range(MOST)))]
    return [
        framed(MetadataRequest(topics=topics, allow_auto_topic_creation=False), 4),
        framed(fetch, 4),
        framed(DescribeConfigsRequest(resources=resources), 1),
        framed(DescribeGroupsRequest(groups=[f"g{number}" for number in range(MOST)]), 4),
        framed(OffsetFetchRequest(group_id="g", topics=offsets), 4),
        framed(_creation(10**9), 2),
    ]


def _creation(partitions: int, name: str = "{}", validate_only: bool = False) -> Message:
    topics = [
        CreatableTopic(name=name.format(number), num_partitions=partitions, replication_factor=1)
        for number in range(NEW_TOPICS)
    ]
    return CreateTopicsRequest(topics=topics, timeout_ms=1000, validate_only=validate_only)


def very_many(arena: Arena) -> None:
    """As many topics, partitions, resources and groups as a request may name, on several connections at once."""
    arena.ask(arena.connect(12), requests_of_each_api(), least=6)


def more_than_any(arena: Arena) -> None:
    """A million topics are not even read: the connection ends."""
    million = framed(MetadataRequest(topics=[MetadataRequestTopic(name="")] * 500_000), 1)
    while arena.is_on:
        with arena.closing(arena.connect(4)) as connections:
            for one in connections:
                one.setblocking(True)
                one.settimeout(10)
                try:
                    one.sendall(million)
                except OSError:  # the node has closed it before all of it was sent
                    continue
            assert arena.ended(connections) == 4


def some_topics(arena: Arena) -> None:
    """Make some for others to collide with."""
    for number in range(100):
        arena.make(f"made.{number}")


def colliding_names(arena: Arena) -> None:
    """Thousands of topics that are only to be judged, each of them against all that there are."""
    arena.ask(arena.connect(4), [framed(_creation(1, "made_{}", validate_only=True), 2)], least=4)


CASES = (
    Case(
        "SE11", "20,000 elements in each request, of six APIs", very_many, memory_mib=400,
        prepare=lambda _: requests_of_each_api(),
    ),
    Case("SE11", "500,000 topics in a Metadata request", more_than_any),
    Case("SE11", "1,000 new topics judged against 100", colliding_names, prepare=some_topics),
)  # fmt: skip
