"""
What the controller pushes to whom, once it was agreed on: LeaderAndIsr (4), StopReplica (5) and UpdateMetadata (6).

A push says earlier what the agreed log is about to say, to those whom it concerns: their roles to the replicas of
partitions that changed, to everybody else what clients are told.  Whatever is lost of it, the log brings; what is taken
of it, and when, is decided by whoever hears it (L{streamline.cluster.foresight}, and C{docs/adr/0013}).

# Note [Settled]

A leader counts by more than the state of its partition: C{min.insync.replicas} as agreed on says what commits, and the
registrations of brokers which process is meant by an ISR.  Those are not pushed.  So a role comes with the index at
which they changed last, and is for those who have applied that; and what changes them and roles at one stroke is left
to the log.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from streamline.cluster.delta import Delta, PartitionDelta
from streamline.cluster.image import MetadataImage
from streamline.model import Broker, PartitionState, Topic
from streamline.values import frozen
from streamline.wire.messages.peer import KAFKA_LISTENER
from streamline.wire.messages.peer_pushes import (
    EPOCH_DURING_DELETE,
    INCREMENTAL,
    LeaderAndIsrLiveLeader,
    LeaderAndIsrPartitionState,
    LeaderAndIsrRequest,
    LeaderAndIsrTopicState,
    StopReplicaPartitionState,
    StopReplicaRequest,
    StopReplicaTopicState,
    UpdateMetadataBroker,
    UpdateMetadataEndpoint,
    UpdateMetadataPartitionState,
    UpdateMetadataRequest,
    UpdateMetadataTopicState,
)

PARTITIONS_MAX: Final = 1000
"""What concerns more partitions than this is left to the log, which brings it in one piece."""

Push = LeaderAndIsrRequest | StopReplicaRequest | UpdateMetadataRequest


@frozen(kw_only=True)
class Pusher:
    """
    Who pushes.

    @ivar epoch: the term in which it leads.
    @ivar settled_index: see Note [Settled].
    """

    node_id: int
    epoch: int
    settled_index: int


def unsettles(old: MetadataImage, new: MetadataImage) -> bool:
    """Say whether something changed that roles depend on and that is not pushed.  See Note [Settled]."""
    if old.configs is not new.configs or old.broker_configs is not new.broker_configs:
        return True
    return old.brokers is not new.brokers and _registrations(old) != _registrations(new)


def _registrations(image: MetadataImage) -> dict[int, int]:
    return {node: broker.epoch for node, broker in image.brokers.items()}


def pushes(delta: Delta, pusher: Pusher) -> list[tuple[int, Push]]:
    """
    Return what to push: the node that it is for, and the message, in the order in which they are best sent.

    Whoever is to lead comes first, so that those who follow find it leading.

    @param delta: what was agreed on since the last time, in one piece.
    """
    changed = [part for part in delta.partitions if part.old is not None]
    if not (changed or delta.brokers or delta.deleted) or len(changed) > PARTITIONS_MAX:
        return []
    new = delta.new
    targets = [node for node, broker in sorted(new.brokers.items()) if not broker.fenced and node != pusher.node_id]
    roles = [] if unsettles(delta.old, new) else changed
    leading = {part.new.leader: None for part in roles if part.is_new_leadership}
    said: list[tuple[int, Push]] = []
    for node in sorted(targets, key=lambda one: one not in leading):
        of_node = [part for part in roles if node in part.new.replicas]
        if of_node:
            said.append((node, _leader_and_isr(delta, pusher, node, of_node)))
    for node in targets:
        stopped = _stopped(node, delta.deleted, changed)
        if stopped:
            said.append((node, _stop_replica(delta, pusher, node, stopped)))
    if changed or delta.brokers:
        said += [(node, _update_metadata(delta, pusher, node, changed)) for node in targets]
    return said


def _leader_and_isr(delta: Delta, pusher: Pusher, node: int, parts: Sequence[PartitionDelta]) -> LeaderAndIsrRequest:
    new = delta.new
    leaders = (new.brokers.get(leader) for leader in sorted({part.new.leader for part in parts}))
    return LeaderAndIsrRequest(
        controller_id=pusher.node_id,
        is_kraft_controller=True,
        controller_epoch=pusher.epoch,
        broker_epoch=new.brokers[node].epoch,
        type=INCREMENTAL,
        topic_states=[
            LeaderAndIsrTopicState(
                topic_name=topic.name,
                topic_id=topic.topic_id,
                partition_states=[_role(state, pusher.epoch) for state in states],
            )
            for topic, states in _by_topic(parts)
        ],
        live_leaders=[
            LeaderAndIsrLiveLeader(broker_id=one.node_id, host_name=one.endpoint.host, port=one.endpoint.port)
            for one in leaders
            if one is not None
        ],
        cluster_id=new.cluster_id,
        metadata_index=new.index,
        settled_index=pusher.settled_index,
    )


def _role(state: PartitionState, epoch: int) -> LeaderAndIsrPartitionState:
    return LeaderAndIsrPartitionState(
        partition_index=state.index,
        controller_epoch=epoch,
        leader=state.leader,
        leader_epoch=state.leader_epoch,
        isr=state.isr,
        partition_epoch=state.partition_epoch,
        replicas=state.replicas,
        adding_replicas=state.adding,
        removing_replicas=state.removing,
        leader_recovery_state=int(state.is_recovering),
        elr=state.elr,
        last_known_elr=state.last_known_elr,
    )


def _stopped(
    node: int, deleted: Iterable[Topic], changed: Iterable[PartitionDelta]
) -> list[tuple[Topic, list[StopReplicaPartitionState]]]:
    """Return what a node has no replica of any more; a topic that is deleted is so in every epoch."""
    stopped = []
    for topic in deleted:
        states = [
            StopReplicaPartitionState(
                partition_index=state.index, leader_epoch=EPOCH_DURING_DELETE, delete_partition=True
            )
            for state in topic.partitions
            if node in state.replicas
        ]
        stopped.append((topic, states))
    gone = [part for part in changed if part.old is not None and node in part.old.replicas]
    for topic, parts in _by_topic([part for part in gone if node not in part.new.replicas]):
        states = [
            StopReplicaPartitionState(
                partition_index=state.index,
                leader_epoch=state.leader_epoch,
                delete_partition=True,
                partition_epoch=state.partition_epoch,
            )
            for state in parts
        ]
        stopped.append((topic, states))
    return [(topic, states) for topic, states in stopped if states]


def _stop_replica(
    delta: Delta, pusher: Pusher, node: int, stopped: Sequence[tuple[Topic, Sequence[StopReplicaPartitionState]]]
) -> StopReplicaRequest:
    return StopReplicaRequest(
        controller_id=pusher.node_id,
        is_kraft_controller=True,
        controller_epoch=pusher.epoch,
        broker_epoch=delta.new.brokers[node].epoch,
        topic_states=[
            StopReplicaTopicState(topic_name=topic.name, topic_id=topic.topic_id, partition_states=states)
            for topic, states in stopped
        ],
        cluster_id=delta.new.cluster_id,
        metadata_index=delta.new.index,
    )


def _update_metadata(
    delta: Delta, pusher: Pusher, node: int, changed: Sequence[PartitionDelta]
) -> UpdateMetadataRequest:
    new = delta.new
    brokers = [broker for one in delta.brokers if (broker := new.brokers.get(one)) is not None]
    return UpdateMetadataRequest(
        controller_id=pusher.node_id,
        is_kraft_controller=True,
        type=INCREMENTAL,
        controller_epoch=pusher.epoch,
        broker_epoch=new.brokers[node].epoch,
        topic_states=[
            UpdateMetadataTopicState(
                topic_name=topic.name,
                topic_id=topic.topic_id,
                partition_states=[_shown(new, state, pusher.epoch) for state in states],
            )
            for topic, states in _by_topic(changed)
        ],
        live_brokers=[_broker(broker) for broker in brokers],
        cluster_id=new.cluster_id,
        metadata_index=new.index,
    )


def _shown(image: MetadataImage, state: PartitionState, epoch: int) -> UpdateMetadataPartitionState:
    offline = [one for one in state.replicas if (known := image.brokers.get(one)) is None or known.fenced]
    return UpdateMetadataPartitionState(
        partition_index=state.index,
        controller_epoch=epoch,
        leader=state.leader,
        leader_epoch=state.leader_epoch,
        isr=state.isr,
        zk_version=state.partition_epoch,
        replicas=state.replicas,
        offline_replicas=offline,
        elr=state.elr,
        last_known_elr=state.last_known_elr,
    )


def _broker(broker: Broker) -> UpdateMetadataBroker:
    address = broker.endpoint
    return UpdateMetadataBroker(
        id=broker.node_id,
        endpoints=[UpdateMetadataEndpoint(port=address.port, host=address.host, listener=KAFKA_LISTENER)],
        rack=broker.rack,
        epoch=broker.epoch,
        fenced=broker.fenced,
    )


def _by_topic(parts: Iterable[PartitionDelta]) -> Iterator[tuple[Topic, list[PartitionState]]]:
    topics: dict[bytes, tuple[Topic, list[PartitionState]]] = {}
    for part in parts:
        topics.setdefault(part.topic.topic_id, (part.topic, []))[1].append(part.new)
    yield from topics.values()
