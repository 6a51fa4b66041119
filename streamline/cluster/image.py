"""
The image: all metadata at one index, immutable.

L{apply} makes the next image from a command and nothing else, so every node that
applied the same commands has the same image.  It refuses what no longer fits
(a topic of that name came first) in the same way everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attrs import evolve, field, frozen

from streamline.cluster.commands import (
    AllocateProducerIds,
    BrokerImage,
    ChangePartitions,
    ConfigEntry,
    CreateTopic,
    DeleteTopic,
    FoundCluster,
    ImageSnapshot,
    PartitionChange,
    RegisterBroker,
    TopicImage,
)
from streamline.errors import ErrorCode, Refused
from streamline.model import Broker, Endpoint, PartitionState, Topic
from streamline.wire.schema import Message


@frozen(kw_only=True)
class MetadataImage:
    """
    What the cluster has agreed on so far.

    @ivar index: the index of the last command in it.
    @ivar topics: by name; C{names} leads from id to name.
    @ivar configs: the overrides of each topic that has any, by topic name.
    """

    index: int = 0
    cluster_id: str = ""
    next_producer_id: int = 0
    brokers: Mapping[int, Broker] = field(factory=dict)
    topics: Mapping[str, Topic] = field(factory=dict)
    names: Mapping[bytes, str] = field(factory=dict)
    configs: Mapping[str, Mapping[str, str]] = field(factory=dict)

    def topic_of(self, topic_id: bytes) -> Topic | None:
        """Return the topic with this id."""
        name = self.names.get(topic_id)
        return None if name is None else self.topics[name]

    def partition(self, topic: str, index: int) -> PartitionState | None:
        """Return one partition's state."""
        known = self.topics.get(topic)
        if known is None or not 0 <= index < len(known.partitions):
            return None
        return known.partitions[index]


def apply(image: MetadataImage, index: int, command: Message) -> tuple[MetadataImage, Any]:
    """
    Make the next image.

    @return: it, and the command's result for whoever proposed it.
    @raise Refused: the command does not fit any more; the image stays as it is but for its index.
    """
    step = _STEPS[type(command)]
    changed, result = step(image, index, command)
    return evolve(changed, index=index), result


def _found_cluster(image: MetadataImage, _: int, command: FoundCluster) -> tuple[MetadataImage, Any]:
    if image.cluster_id:
        raise Refused(ErrorCode.INVALID_REQUEST, f"the cluster has the id {image.cluster_id} already")
    return evolve(image, cluster_id=command.cluster_id), command.cluster_id


def _register_broker(image: MetadataImage, index: int, command: RegisterBroker) -> tuple[MetadataImage, Any]:
    broker = Broker(
        node_id=command.node_id,
        endpoint=Endpoint(command.host, command.port),
        rack=command.rack,
        epoch=index,
        fenced=command.fenced,
        incarnation_id=command.incarnation_id,
    )
    return evolve(image, brokers={**image.brokers, broker.node_id: broker}), index


def _create_topic(image: MetadataImage, _: int, command: CreateTopic) -> tuple[MetadataImage, Any]:
    if command.name in image.topics:
        raise Refused(ErrorCode.TOPIC_ALREADY_EXISTS, f"topic '{command.name}' already exists")
    if command.topic_id in image.names:
        raise Refused(ErrorCode.INVALID_REQUEST, f"the id of topic '{command.name}' is that of another")
    partitions = tuple(
        PartitionState(
            index=placed.index,
            replicas=tuple(placed.replicas),
            isr=tuple(placed.replicas),
            leader=placed.replicas[0],
        )
        for placed in command.partitions
    )
    topic = Topic(name=command.name, topic_id=command.topic_id, partitions=partitions)
    configs = {entry.name: entry.value for entry in command.configs}
    return _with_topic(image, topic, configs), topic


def _delete_topic(image: MetadataImage, _: int, command: DeleteTopic) -> tuple[MetadataImage, Any]:
    topic = image.topic_of(command.topic_id)
    if topic is None:
        raise Refused(ErrorCode.UNKNOWN_TOPIC_ID, "no topic has this id")
    topics = {name: known for name, known in image.topics.items() if name != topic.name}
    names = {topic_id: name for topic_id, name in image.names.items() if name != topic.name}
    configs = {name: known for name, known in image.configs.items() if name != topic.name}
    return evolve(image, topics=topics, names=names, configs=configs), topic


def _allocate_producer_ids(image: MetadataImage, _: int, command: AllocateProducerIds) -> tuple[MetadataImage, Any]:
    first = image.next_producer_id
    return evolve(image, next_producer_id=first + command.count), first


def _change_partitions(image: MetadataImage, _: int, command: ChangePartitions) -> tuple[MetadataImage, Any]:
    topic = image.topic_of(command.topic_id)
    if topic is None:
        raise Refused(ErrorCode.UNKNOWN_TOPIC_ID, "no topic has this id")
    partitions = list(topic.partitions)
    for change in command.partitions:
        if not 0 <= change.index < len(partitions):
            raise Refused(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"{topic.name} has no partition {change.index}")
        known = partitions[change.index]
        if change.partition_epoch <= known.partition_epoch:
            raise Refused(ErrorCode.INVALID_UPDATE_VERSION, f"{topic.name}-{change.index} has changed meanwhile")
        partitions[change.index] = _partition(change)
    changed = evolve(topic, partitions=tuple(partitions))
    return evolve(image, topics={**image.topics, topic.name: changed}), changed


_STEPS: dict[type[Message], Callable[..., tuple[MetadataImage, Any]]] = {
    FoundCluster: _found_cluster,
    RegisterBroker: _register_broker,
    CreateTopic: _create_topic,
    DeleteTopic: _delete_topic,
    AllocateProducerIds: _allocate_producer_ids,
    ChangePartitions: _change_partitions,
}


def _with_topic(image: MetadataImage, topic: Topic, configs: Mapping[str, str]) -> MetadataImage:
    return evolve(
        image,
        topics={**image.topics, topic.name: topic},
        names={**image.names, topic.topic_id: topic.name},
        configs={**image.configs, topic.name: configs} if configs else image.configs,
    )


def _partition(change: PartitionChange) -> PartitionState:
    return PartitionState(
        index=change.index,
        replicas=tuple(change.replicas),
        isr=tuple(change.isr),
        leader=change.leader,
        leader_epoch=change.leader_epoch,
        partition_epoch=change.partition_epoch,
    )


def to_snapshot(image: MetadataImage) -> ImageSnapshot:
    """Return an image as one message."""
    return ImageSnapshot(
        index=image.index,
        cluster_id=image.cluster_id,
        next_producer_id=image.next_producer_id,
        brokers=[
            BrokerImage(
                node_id=broker.node_id,
                incarnation_id=broker.incarnation_id,
                epoch=broker.epoch,
                host=broker.endpoint.host,
                port=broker.endpoint.port,
                rack=broker.rack,
                fenced=broker.fenced,
            )
            for broker in image.brokers.values()
        ],
        topics=[_topic_image(image, topic) for topic in image.topics.values()],
    )


def _topic_image(image: MetadataImage, topic: Topic) -> TopicImage:
    return TopicImage(
        name=topic.name,
        topic_id=topic.topic_id,
        partitions=[
            PartitionChange(
                index=state.index,
                replicas=state.replicas,
                isr=state.isr,
                leader=state.leader,
                leader_epoch=state.leader_epoch,
                partition_epoch=state.partition_epoch,
            )
            for state in topic.partitions
        ],
        configs=[ConfigEntry(name=name, value=value) for name, value in image.configs.get(topic.name, {}).items()],
    )


def from_snapshot(snapshot: ImageSnapshot) -> MetadataImage:
    """Return the image that L{to_snapshot} took."""
    return MetadataImage(
        index=snapshot.index,
        cluster_id=snapshot.cluster_id,
        next_producer_id=snapshot.next_producer_id,
        brokers={
            broker.node_id: Broker(
                node_id=broker.node_id,
                endpoint=Endpoint(broker.host, broker.port),
                rack=broker.rack,
                epoch=broker.epoch,
                fenced=broker.fenced,
                incarnation_id=broker.incarnation_id,
            )
            for broker in snapshot.brokers
        },
        topics={
            topic.name: Topic(
                name=topic.name,
                topic_id=topic.topic_id,
                partitions=tuple(_partition(change) for change in topic.partitions),
            )
            for topic in snapshot.topics
        },
        names={topic.topic_id: topic.name for topic in snapshot.topics},
        configs={
            topic.name: {entry.name: entry.value for entry in topic.configs}
            for topic in snapshot.topics
            if topic.configs
        },
    )
