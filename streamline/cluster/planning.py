"""
From what a client asks to the commands that do it.

Pure: an image and a request in, a decided and complete command out, or a refusal
that tells the client what is wrong.  Nothing here changes anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import field

from streamline.cluster.commands import AddPartitions, ConfigEntry, CreateTopic, PartitionPlacement
from streamline.cluster.image import MetadataImage
from streamline.cluster.names import check_new_topic_name
from streamline.config import BrokerConfig, topic_config
from streamline.errors import ErrorCode, Refused
from streamline.interfaces import IPlacement
from streamline.values import frozen

PARTITIONS_PER_REQUEST_MAX = 10_000
"""Kafka's bound on what one request may make; a topic is made by one request."""
USE_DEFAULT = -1


@frozen(kw_only=True)
class NewTopic:
    """
    A topic as a client asks for it.

    @ivar partitions: how many, or L{USE_DEFAULT}.
    @ivar replication_factor: replicas of each, or L{USE_DEFAULT}.
    @ivar assignments: partition to replicas, where the client places them itself; the counts are then -1.
    """

    name: str
    partitions: int = USE_DEFAULT
    replication_factor: int = USE_DEFAULT
    assignments: Mapping[int, Sequence[int]] = field(factory=dict)
    configs: Mapping[str, str | None] = field(factory=dict)


def plan_topic(
    image: MetadataImage,
    wanted: NewTopic,
    broker: BrokerConfig,
    placement: IPlacement,
    topic_id: bytes,
    first: int,
) -> CreateTopic:
    """
    Decide everything about a new topic.

    @param topic_id: 16 bytes drawn by chance.
    @param first: drawn by chance: at which node placing begins.
    @raise Refused: with the error that Kafka gives in that case.
    """
    if wanted.name in image.topics:
        raise Refused(ErrorCode.TOPIC_ALREADY_EXISTS, f"topic '{wanted.name}' already exists")
    check_new_topic_name(wanted.name, image.topics)
    configs = _checked_configs(wanted.configs, broker)
    placed = _assigned(image, wanted) if wanted.assignments else _placed(image, wanted, broker, placement, first)
    return CreateTopic(
        name=wanted.name,
        topic_id=topic_id,
        partitions=_placements(image, placed, 0),
        configs=[ConfigEntry(name=name, value=value) for name, value in configs.items()],
    )


def plan_partitions(
    image: MetadataImage,
    name: str,
    count: int,
    assignments: Sequence[Sequence[int]] | None,
    placement: IPlacement,
    first: int,
) -> AddPartitions:
    """
    Decide everything about more partitions of a topic.

    @param count: how many it is to have then.
    @param assignments: the replicas of each new one, where the client places them itself.
    @param first: drawn by chance: at which node placing begins.
    @raise Refused: with the error that Kafka gives in that case.
    """
    topic = image.topics.get(name)
    if topic is None:
        raise Refused(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"there is no topic '{name}'")
    there = len(topic.partitions)
    if count <= there:
        raise Refused(ErrorCode.INVALID_PARTITIONS, f"topic '{name}' has {there} partitions, and {count} are no more")
    if count - there > PARTITIONS_PER_REQUEST_MAX:
        raise too_many(count - there)
    factor = len(topic.partitions[0].target)
    if assignments is None:
        placed = placement.place(_active_racks(image), count - there, factor, first)
    else:
        placed = [tuple(replicas) for replicas in assignments]
        if len(placed) != count - there:
            raise Refused(
                ErrorCode.INVALID_REPLICA_ASSIGNMENT, f"{count - there} new partitions have {len(placed)} assignments"
            )
        for replicas in placed:
            _check_replicas(image, replicas, factor)
    return AddPartitions(topic_id=topic.topic_id, partitions=_placements(image, placed, there))


def _active_racks(image: MetadataImage) -> dict[int, str | None]:
    return {broker.node_id: broker.rack for broker in image.brokers.values() if broker.is_active}


def _placements(image: MetadataImage, placed: Sequence[tuple[int, ...]], first: int) -> list[PartitionPlacement]:
    """Number new partitions, and begin their ISR with the replicas whose node is there."""
    return [
        PartitionPlacement(index=index, replicas=replicas, isr=[node for node in replicas if image.is_active(node)])
        for index, replicas in enumerate(placed, first)
    ]


def partition_count(wanted: NewTopic, broker: BrokerConfig) -> int:
    """Return how many partitions a topic would have."""
    if wanted.assignments:
        return len(wanted.assignments)
    return broker.num_partitions if wanted.partitions == USE_DEFAULT else wanted.partitions


def too_many(partitions: int) -> Refused:
    """Return the refusal of a request that asks for more partitions than any may."""
    return Refused(
        ErrorCode.POLICY_VIOLATION,
        f"one request makes at most {PARTITIONS_PER_REQUEST_MAX} partitions, not {partitions}",
    )


def _checked_configs(given: Mapping[str, str | None], broker: BrokerConfig) -> dict[str, str]:
    configs: dict[str, str] = {}
    for name, value in given.items():
        if value is None:
            raise Refused(ErrorCode.INVALID_CONFIG, f"no value is given for {name}")
        configs[name] = value
    try:
        topic_config(broker, configs)
    except ValueError as error:
        raise Refused(ErrorCode.INVALID_CONFIG, str(error)) from None
    return configs


def _placed(
    image: MetadataImage, wanted: NewTopic, broker: BrokerConfig, placement: IPlacement, first: int
) -> list[tuple[int, ...]]:
    factor = wanted.replication_factor
    if factor == USE_DEFAULT:
        factor = broker.default_replication_factor
    if factor < 1:
        raise Refused(ErrorCode.INVALID_REPLICATION_FACTOR, f"a partition has at least one replica, not {factor}")
    partitions = partition_count(wanted, broker)
    if partitions < 1:
        raise Refused(ErrorCode.INVALID_PARTITIONS, f"a topic has at least one partition, not {partitions}")
    if partitions > PARTITIONS_PER_REQUEST_MAX:
        raise too_many(partitions)
    return placement.place(_active_racks(image), partitions, factor, first)


def _assigned(image: MetadataImage, wanted: NewTopic) -> list[tuple[int, ...]]:
    if wanted.partitions != USE_DEFAULT or wanted.replication_factor != USE_DEFAULT:
        raise Refused(
            ErrorCode.INVALID_REQUEST, "a topic has either a partition count and a replication factor or assignments"
        )
    if len(wanted.assignments) > PARTITIONS_PER_REQUEST_MAX:
        raise too_many(len(wanted.assignments))
    if sorted(wanted.assignments) != list(range(len(wanted.assignments))):
        raise Refused(
            ErrorCode.INVALID_REPLICA_ASSIGNMENT, "partitions must be numbered from 0 without a gap"
        )
    placed = [tuple(wanted.assignments[index]) for index in range(len(wanted.assignments))]
    factor = len(placed[0])
    for replicas in placed:
        _check_replicas(image, replicas, factor)
    return placed


def _check_replicas(image: MetadataImage, replicas: tuple[int, ...], factor: int) -> None:
    if not replicas:
        raise Refused(ErrorCode.INVALID_REPLICA_ASSIGNMENT, "a partition needs at least one replica")
    if len(replicas) != factor:
        raise Refused(ErrorCode.INVALID_REPLICA_ASSIGNMENT, "every partition must have as many replicas as the first")
    if sorted(replicas) != sorted(dict.fromkeys(replicas)):
        raise Refused(ErrorCode.INVALID_REPLICA_ASSIGNMENT, f"a node is named twice in {list(replicas)}")
    for node in replicas:
        if node not in image.brokers:
            raise Refused(ErrorCode.INVALID_REPLICA_ASSIGNMENT, f"node {node} is not in the cluster")
    if not any(image.is_active(node) for node in replicas):
        raise Refused(ErrorCode.INVALID_REPLICA_ASSIGNMENT, f"none of the nodes {list(replicas)} is there now")
