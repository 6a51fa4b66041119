"""
What a node takes from pushes: what was agreed on, and has not been applied here yet.

A push is sent once it is committed, so what it says is in the log, at the index that it names.  Of each partition the
latest state counts that is known from the log or from a push: it is the one with the greatest partition epoch, which
grows with every change (KR13).  So it does not matter in which order pushes come, how often, or whether; and as soon as
the log has been applied up to a push's index, nothing is left of that push.

Roles come from LeaderAndIsr and StopReplica, and only where everything else that they depend on has been applied (see
Note [Settled] in L{streamline.cluster.pushing}); what clients are told of partitions and brokers comes from
UpdateMetadata.  Which topics there are, what their settings are and what is on the disk is for the log alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from attrs import evolve

from streamline.cluster.image import MetadataImage
from streamline.errors import ErrorCode, Refused
from streamline.model import NO_LEADER, Broker, Endpoint, PartitionState, Topic
from streamline.values import frozen
from streamline.wire.messages.peer import KAFKA_LISTENER
from streamline.wire.messages.peer_pushes import (
    EPOCH_DURING_DELETE,
    LeaderAndIsrPartitionState,
    LeaderAndIsrRequest,
    StopReplicaPartitionState,
    StopReplicaRequest,
    UpdateMetadataBroker,
    UpdateMetadataPartitionState,
    UpdateMetadataRequest,
)

ENDLESS: Final = 1 << 62
"""The partition epoch of what is deleted: nothing comes after it."""

Key = tuple[bytes, int]
"""A topic's id and a partition's number."""


@frozen
class Told:
    """
    What a push said of a partition.

    @ivar index: it is in the log by there.
    @ivar epoch: the partition epoch.
    @ivar state: None where this node's replica is wanted no more.
    """

    index: int
    epoch: int
    state: PartitionState | None


@frozen(kw_only=True)
class Here:
    """
    Where a push arrived.

    @ivar broker_epoch: of this process by its image; -1 where that does not know it.
    @ivar term: the latest of which this node's replica knows.
    """

    node_id: int
    image: MetadataImage
    broker_epoch: int
    term: int


@frozen(kw_only=True)
class PartitionOutcome:
    """
    What became of one partition in a push.

    @ivar is_taken: whether it said something that was not known here.
    """

    name: str
    topic_id: bytes
    index: int
    code: ErrorCode
    is_taken: bool = False


class Foresight:
    """
    All that is known from pushes and not from the log.

    @ivar controller_epoch: the latest that a push came with.
    @ivar taken: how many partitions took a role early, since the start.
    """

    def __init__(self) -> None:
        self.controller_epoch = 0
        self.taken = 0
        self._roles: dict[Key, Told] = {}
        self._shown: dict[Key, Told] = {}
        self._brokers: dict[int, tuple[int, Broker]] = {}

    # Fences

    def admit(self, push: Any, node_id: int, directory_id: bytes, here: Here) -> bool:
        """
        Say whether a push is about something that this node has not applied.

        @param node_id: of whoever is connected and sent it; C{directory_id} likewise.
        @raise Refused: CLUSTER_AUTHORIZATION_FAILED where somebody else sent it than it says, or no registered broker
            on its own disk; INCONSISTENT_CLUSTER_ID; STALE_BROKER_EPOCH where it is for another process than this one;
            STALE_CONTROLLER_EPOCH where another controller is known by now.
        """
        known = here.image.brokers.get(node_id)
        if push.controller_id != node_id or known is None or known.directory_id != directory_id:
            raise Refused(ErrorCode.CLUSTER_AUTHORIZATION_FAILED, f"node {node_id} is no controller")
        if push.cluster_id != here.image.cluster_id:
            raise Refused(ErrorCode.INCONSISTENT_CLUSTER_ID, f"this is the cluster {here.image.cluster_id}")
        if push.broker_epoch < 0 or push.broker_epoch != here.broker_epoch:
            raise Refused(ErrorCode.STALE_BROKER_EPOCH, "this is for another process of the node")
        if push.controller_epoch < max(here.term, self.controller_epoch):
            raise Refused(ErrorCode.STALE_CONTROLLER_EPOCH, f"node {node_id} is the controller no more")
        self.controller_epoch = push.controller_epoch
        return bool(push.metadata_index > here.image.index)

    # Roles

    def lead_and_follow(self, push: LeaderAndIsrRequest, here: Here) -> list[PartitionOutcome]:
        """Take roles from a push that was admitted; say what became of each."""
        is_settled = 0 <= push.settled_index <= here.image.index

        def take(topic: Topic, said: LeaderAndIsrPartitionState) -> bool:
            if here.node_id not in said.replicas:
                raise Refused(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, "this node has no replica of it")
            if not is_settled:
                raise Refused(ErrorCode.OPERATION_NOT_ATTEMPTED, "what it depends on has not been applied")
            known = self.expected(topic, topic.partitions[said.partition_index])
            if said.leader_epoch < known.leader_epoch:
                raise Refused(ErrorCode.STALE_CONTROLLER_EPOCH, "a later leader is known")
            told = Told(push.metadata_index, said.partition_epoch, _role(said))
            return self._note(self._roles, topic, said.partition_index, told)

        return self._each(push.topic_states, here.image, take)

    def stop(self, push: StopReplicaRequest, here: Here) -> list[PartitionOutcome]:
        """Lead and follow no more what a push that was admitted names; the copy stays until the log is applied."""

        def take(topic: Topic, said: StopReplicaPartitionState) -> bool:
            known = self.expected(topic, topic.partitions[said.partition_index])
            is_deleted = said.leader_epoch == EPOCH_DURING_DELETE
            if not is_deleted and said.leader_epoch < known.leader_epoch:
                raise Refused(ErrorCode.FENCED_LEADER_EPOCH, "a later leader is known")
            epoch = ENDLESS if is_deleted else said.partition_epoch
            return self._note(self._roles, topic, said.partition_index, Told(push.metadata_index, epoch, None))

        return self._each(push.topic_states, here.image, take)

    def expected(self, topic: Topic, state: PartitionState) -> PartitionState:
        """
        Return what this node's replica is to follow.

        @param state: of the partition, by the image.
        """
        told = self._roles.get((topic.topic_id, state.index))
        if told is None or told.epoch <= state.partition_epoch:
            return state
        return evolve(state, leader=NO_LEADER) if told.state is None else told.state

    def _each(
        self, topics: Iterable[Any], image: MetadataImage, take: Callable[[Topic, Any], bool]
    ) -> list[PartitionOutcome]:
        outcomes = []
        for said in topics:
            for part in said.partition_states:
                is_taken, code = False, ErrorCode.NONE
                try:
                    is_taken = take(_topic(image, said.topic_name, said.topic_id, part.partition_index), part)
                except Refused as refusal:
                    code = refusal.code
                self.taken += is_taken
                outcomes.append(
                    PartitionOutcome(
                        name=said.topic_name,
                        topic_id=said.topic_id,
                        index=part.partition_index,
                        code=code,
                        is_taken=is_taken,
                    )
                )
        return outcomes

    def _note(self, where: dict[Key, Told], topic: Topic, index: int, told: Told) -> bool:
        """Keep what is later than all that is known; return whether it is."""
        key = topic.topic_id, index
        before = where.get(key)
        latest = topic.partitions[index].partition_epoch
        if told.epoch <= (latest if before is None else max(latest, before.epoch)):
            return False
        where[key] = told
        return True

    # What clients are told

    def show(self, push: UpdateMetadataRequest, image: MetadataImage) -> bool:
        """Take from a push that was admitted what clients are told; return whether there is anything new."""
        is_new = False
        for said in push.topic_states:
            topic = image.topic_of(said.topic_id)
            for part in said.partition_states if topic is not None else ():
                assert topic is not None
                if 0 <= part.partition_index < len(topic.partitions):
                    state = _shown(topic.partitions[part.partition_index], part)
                    told = Told(push.metadata_index, part.zk_version, state)
                    is_new = self._note(self._shown, topic, part.partition_index, told) or is_new
        for one in push.live_brokers:
            before = self._brokers.get(one.id)
            if before is None or before[0] < push.metadata_index:
                broker = _broker(image.brokers.get(one.id), one)
                if broker is not None:
                    self._brokers[one.id] = push.metadata_index, broker
                    is_new = True
        return is_new

    def shown(self, image: MetadataImage) -> MetadataImage:
        """Return what clients are told: the image, and on it what is known to come, this node's roles included."""
        if self.is_empty:
            return image
        brokers = {**image.brokers, **{node: broker for node, (_, broker) in self._brokers.items()}}
        told = (*self._shown.items(), *self._roles.items())
        return evolve(image, brokers=brokers, topics=_laid_over(image, told))

    # The log

    def applied(self, image: MetadataImage) -> None:
        """Forget what the log has brought."""
        index = image.index
        self._roles = {key: told for key, told in self._roles.items() if told.index > index}
        self._shown = {key: told for key, told in self._shown.items() if told.index > index}
        self._brokers = {node: told for node, told in self._brokers.items() if told[0] > index}

    @property
    def is_empty(self) -> bool:
        """Whether all that is known is known from the log."""
        return not (self._roles or self._shown or self._brokers)


def _topic(image: MetadataImage, name: str, topic_id: bytes, index: int) -> Topic:
    """
    Return the topic that a push means.

    @raise Refused: INCONSISTENT_TOPIC_ID or UNKNOWN_TOPIC_OR_PARTITION.
    """
    topic = image.topics.get(name)
    if topic is None or not 0 <= index < len(topic.partitions):
        raise Refused(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"there is no {name}-{index}")
    if topic.topic_id != topic_id:
        raise Refused(ErrorCode.INCONSISTENT_TOPIC_ID, f"{name} has another id")
    return topic


def _laid_over(image: MetadataImage, told: Iterable[tuple[Key, Told]]) -> Mapping[str, Topic]:
    """Return all topics, those of which something later was told made anew; once each, however much that is."""
    later: dict[str, list[PartitionState]] = {}
    for (topic_id, index), one in told:
        name = image.names.get(topic_id)
        if name is None or one.state is None:
            continue
        partitions = later.get(name)
        known = image.topics[name].partitions if partitions is None else partitions
        if one.epoch > known[index].partition_epoch:
            if partitions is None:
                partitions = later[name] = list(known)
            partitions[index] = one.state
    changed = {name: evolve(image.topics[name], partitions=tuple(parts)) for name, parts in later.items()}
    return {**image.topics, **changed}


def _role(said: LeaderAndIsrPartitionState) -> PartitionState:
    return PartitionState(
        index=said.partition_index,
        replicas=tuple(said.replicas),
        isr=tuple(said.isr),
        leader=said.leader,
        leader_epoch=said.leader_epoch,
        partition_epoch=said.partition_epoch,
        elr=tuple(said.elr),
        adding=tuple(said.adding_replicas),
        removing=tuple(said.removing_replicas),
        last_known_elr=tuple(said.last_known_elr),
        is_recovering=bool(said.leader_recovery_state),
    )


def _shown(known: PartitionState, said: UpdateMetadataPartitionState) -> PartitionState:
    return evolve(
        known,
        replicas=tuple(said.replicas),
        isr=tuple(said.isr),
        leader=said.leader,
        leader_epoch=said.leader_epoch,
        partition_epoch=said.zk_version,
        elr=tuple(said.elr),
        last_known_elr=tuple(said.last_known_elr),
    )


def _broker(known: Broker | None, said: UpdateMetadataBroker) -> Broker | None:
    """Return a broker as it was pushed; None where that does not say where it is."""
    if known is not None and known.epoch == said.epoch:
        return evolve(known, fenced=said.fenced)
    endpoint = next((one for one in said.endpoints if one.listener == KAFKA_LISTENER), None)
    if endpoint is None:
        return None
    return Broker(
        node_id=said.id,
        endpoint=Endpoint(endpoint.host, endpoint.port),
        rack=said.rack,
        epoch=said.epoch,
        fenced=said.fenced,
    )
