"""
The image: all metadata at one index, immutable.

L{apply} makes the next image from a command and nothing else, so every node that
applied the same commands has the same image.  It refuses what no longer fits
(a topic of that name came first) in the same way everywhere.  What a command
does not touch is shared with the image before, not copied.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from attrs import evolve, field

from streamline.cluster.commands import (
    TOPIC_CONFIGS,
    AddPartitions,
    AllocateProducerIds,
    ChangeBroker,
    ChangeConfigs,
    ChangeFeatures,
    ChangePartitions,
    CreateTopic,
    DeleteTopic,
    FoundCluster,
    PartitionChange,
    PartitionPlacement,
    RegisterBroker,
    Together,
    UnregisterBroker,
    load,
)
from streamline.cluster.guards import check_aftermath, check_change, check_features, check_placement
from streamline.errors import ErrorCode, Refused
from streamline.model import Broker, Endpoint, PartitionState, Topic
from streamline.values import frozen
from streamline.wire.schema import Message


@frozen(kw_only=True)
class MetadataImage:
    """
    What the cluster has agreed on so far.

    @ivar index: the index of the last command in it.
    @ivar features: the level at which each feature runs; those at level 0 are left out.
    @ivar topics: by name; C{names} leads from id to name.
    @ivar configs: the overrides of each topic that has any, by topic name.
    @ivar broker_configs: the settings of brokers that were changed while they ran, by id as text, and under
        L{CLUSTER_WIDE} those of all brokers.
    """

    index: int = 0
    cluster_id: str = ""
    features: Mapping[str, int] = field(factory=dict)
    next_producer_id: int = 0
    brokers: Mapping[int, Broker] = field(factory=dict)
    topics: Mapping[str, Topic] = field(factory=dict)
    names: Mapping[bytes, str] = field(factory=dict)
    configs: Mapping[str, Mapping[str, str]] = field(factory=dict)
    broker_configs: Mapping[str, Mapping[str, str]] = field(factory=dict)

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

    def broker_at(self, node: int, epoch: int) -> Broker:
        """
        Return a broker, if it is still the incarnation that was meant.

        @raise Refused: BROKER_ID_NOT_REGISTERED or STALE_BROKER_EPOCH.
        """
        broker = self.brokers.get(node)
        if broker is None:
            raise Refused(ErrorCode.BROKER_ID_NOT_REGISTERED, f"node {node} is not in the cluster")
        if broker.epoch != epoch:
            raise Refused(ErrorCode.STALE_BROKER_EPOCH, f"node {node} has registered again since")
        return broker

    def is_active(self, node: int) -> bool:
        """Say whether a node is there to lead and to be in sync."""
        return node in self.brokers and self.brokers[node].is_active


def apply(image: MetadataImage, index: int, command: Message) -> tuple[MetadataImage, Any]:
    """
    Make the next image.

    @return: it, and the command's result for whoever proposed it; of L{Together}, the result of each.
    @raise Refused: the command does not fit any more; the image stays as it is but for its index.
    """
    commands = _each(command)
    changed, results = step(image, index, commands)
    for each in commands:
        check_aftermath(changed, each)
    return evolve(changed, index=index), results if isinstance(command, Together) else results[0]


def step(image: MetadataImage, index: int, commands: Iterable[Message]) -> tuple[MetadataImage, list[Any]]:
    """Return what commands make, before anybody has looked whether what follows from them was agreed on as well."""
    results = []
    for each in commands:
        image, result = _STEPS[type(each)](image, index, each)
        results.append(result)
    return image, results


def _each(command: Message) -> list[Message]:
    return [load(each) for each in command.commands] if isinstance(command, Together) else [command]


Step = Callable[[MetadataImage, int, Any], tuple[MetadataImage, Any]]


def _found_cluster(image: MetadataImage, _: int, command: FoundCluster) -> tuple[MetadataImage, Any]:
    if image.cluster_id:
        raise Refused(ErrorCode.INVALID_REQUEST, f"the cluster has the id {image.cluster_id} already")
    features = {feature.name: feature.level for feature in command.features if feature.level}
    return evolve(image, cluster_id=command.cluster_id, features=features), command.cluster_id


def _change_features(image: MetadataImage, _: int, command: ChangeFeatures) -> tuple[MetadataImage, Any]:
    wanted = {feature.name: feature.level for feature in command.features}
    check_features(wanted, image.brokers.values())
    features = {**image.features, **wanted}
    return evolve(image, features={name: level for name, level in features.items() if level}), None


# Brokers


def _register_broker(image: MetadataImage, index: int, command: RegisterBroker) -> tuple[MetadataImage, Any]:
    broker = Broker(
        node_id=command.node_id,
        endpoint=Endpoint(command.host, command.port),
        rack=command.rack,
        epoch=index,
        fenced=command.fenced,
        incarnation_id=command.incarnation_id,
        peer_endpoint=None if command.peer_host is None else Endpoint(command.peer_host, command.peer_port),
        directory_id=command.directory_id,
        features={feature.name: (feature.lowest, feature.highest) for feature in command.features},
    )
    check_features(image.features, [broker])
    return _with_broker(image, broker), index


def _change_broker(image: MetadataImage, _: int, command: ChangeBroker) -> tuple[MetadataImage, Any]:
    broker = image.broker_at(command.node_id, command.epoch)
    changed = evolve(broker, fenced=command.fenced, shutting_down=command.shutting_down)
    return _with_broker(image, changed), changed


def _unregister_broker(image: MetadataImage, _: int, command: UnregisterBroker) -> tuple[MetadataImage, Any]:
    gone = image.broker_at(command.node_id, command.epoch)
    return evolve(image, brokers=_without(image.brokers, gone.node_id)), gone


def _allocate_producer_ids(image: MetadataImage, _: int, command: AllocateProducerIds) -> tuple[MetadataImage, Any]:
    if command.broker_epoch >= 0:
        image.broker_at(command.node_id, command.broker_epoch)
    first = image.next_producer_id
    return evolve(image, next_producer_id=first + command.count), first


# Topics


def _create_topic(image: MetadataImage, _: int, command: CreateTopic) -> tuple[MetadataImage, Any]:
    if command.name in image.topics:
        raise Refused(ErrorCode.TOPIC_ALREADY_EXISTS, f"topic '{command.name}' already exists")
    if command.topic_id in image.names:
        raise Refused(ErrorCode.INVALID_REQUEST, f"the id of topic '{command.name}' is that of another")
    topic = Topic(
        name=command.name,
        topic_id=command.topic_id,
        partitions=tuple(_new_partition(image, placed) for placed in command.partitions),
    )
    configs = {entry.name: entry.value for entry in command.configs}
    changed = evolve(
        image,
        topics={**image.topics, topic.name: topic},
        names={**image.names, topic.topic_id: topic.name},
        configs={**image.configs, topic.name: configs} if configs else image.configs,
    )
    return changed, topic


def _add_partitions(image: MetadataImage, _: int, command: AddPartitions) -> tuple[MetadataImage, Any]:
    topic = _topic(image, command.topic_id)
    there = len(topic.partitions)
    if [placed.index for placed in command.partitions] != list(range(there, there + len(command.partitions))):
        raise Refused(ErrorCode.INVALID_PARTITIONS, f"topic '{topic.name}' has {there} partitions by now")
    added = tuple(_new_partition(image, placed) for placed in command.partitions)
    changed = evolve(topic, partitions=topic.partitions + added)
    return evolve(image, topics={**image.topics, topic.name: changed}), changed


def _new_partition(image: MetadataImage, placed: PartitionPlacement) -> PartitionState:
    check_placement(image, placed)
    isr = tuple(placed.isr or placed.replicas)
    return PartitionState(index=placed.index, replicas=tuple(placed.replicas), isr=isr, leader=isr[0])


def _delete_topic(image: MetadataImage, _: int, command: DeleteTopic) -> tuple[MetadataImage, Any]:
    topic = _topic(image, command.topic_id)
    changed = evolve(
        image,
        topics=_without(image.topics, topic.name),
        names=_without(image.names, topic.topic_id),
        configs=_without(image.configs, topic.name) if topic.name in image.configs else image.configs,
    )
    return changed, topic


def _change_partitions(image: MetadataImage, _: int, command: ChangePartitions) -> tuple[MetadataImage, Any]:
    topic = _topic(image, command.topic_id)
    partitions = list(topic.partitions)
    for change in command.partitions:
        if not 0 <= change.index < len(partitions):
            raise Refused(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"{topic.name} has no partition {change.index}")
        check_change(image, topic, partitions[change.index], change)
        partitions[change.index] = state_of(change)
    changed = evolve(topic, partitions=tuple(partitions))
    return evolve(image, topics={**image.topics, topic.name: changed}), changed


def _change_configs(image: MetadataImage, _: int, command: ChangeConfigs) -> tuple[MetadataImage, Any]:
    name = command.resource_name
    is_topic = command.resource_type == TOPIC_CONFIGS
    if is_topic and name not in image.topics:
        raise Refused(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"there is no topic '{name}'")
    before = image.configs if is_topic else image.broker_configs
    configs = dict(before.get(name, {}))
    for change in command.changes:
        if change.value is None:
            configs.pop(change.name, None)
        else:
            configs[change.name] = change.value
    after = {**before, name: configs} if configs else _without(before, name)
    return (evolve(image, configs=after) if is_topic else evolve(image, broker_configs=after)), configs


_STEPS: dict[type[Message], Step] = {
    FoundCluster: _found_cluster,
    RegisterBroker: _register_broker,
    CreateTopic: _create_topic,
    DeleteTopic: _delete_topic,
    AllocateProducerIds: _allocate_producer_ids,
    ChangePartitions: _change_partitions,
    ChangeBroker: _change_broker,
    UnregisterBroker: _unregister_broker,
    AddPartitions: _add_partitions,
    ChangeConfigs: _change_configs,
    ChangeFeatures: _change_features,
}


def _topic(image: MetadataImage, topic_id: bytes) -> Topic:
    topic = image.topic_of(topic_id)
    if topic is None:
        raise Refused(ErrorCode.UNKNOWN_TOPIC_ID, "no topic has this id")
    return topic


def _with_broker(image: MetadataImage, broker: Broker) -> MetadataImage:
    return evolve(image, brokers={**image.brokers, broker.node_id: broker})


def _without(mapping: Mapping[Any, Any], key: object) -> dict[Any, Any]:
    left = dict(mapping)
    left.pop(key, None)
    return left


def state_of(change: PartitionChange) -> PartitionState:
    """Return what a partition is after a change."""
    return PartitionState(
        index=change.index,
        replicas=tuple(change.replicas),
        isr=tuple(change.isr),
        leader=change.leader,
        leader_epoch=change.leader_epoch,
        partition_epoch=change.partition_epoch,
        elr=tuple(change.elr),
        last_known_elr=tuple(change.last_known_elr),
        adding=tuple(change.adding),
        removing=tuple(change.removing),
        is_recovering=change.is_recovering,
    )


def change_to(state: PartitionState) -> PartitionChange:
    """Return the change after which a partition is as C{state} says."""
    return PartitionChange(
        index=state.index,
        replicas=state.replicas,
        isr=state.isr,
        leader=state.leader,
        leader_epoch=state.leader_epoch,
        partition_epoch=state.partition_epoch,
        elr=state.elr,
        last_known_elr=state.last_known_elr,
        adding=state.adding,
        removing=state.removing,
        is_recovering=state.is_recovering,
    )
