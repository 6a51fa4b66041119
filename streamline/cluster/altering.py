"""
AlterPartition: a leader asks for another ISR, and the controller says what it is (KIP-497, KIP-841, KIP-903).

The controller trusts a leader's word about who has caught up, and nothing else:
that it is still the leader, that it knows the partition as it is, and that
everybody it counts is there, as the process that it has counted, is checked
against the image.

An ISR that is in force already is agreed on as well, as a change of nothing but the
partition's epoch: the leader that asks for it wants to be sure that nothing which it
asked for earlier, and had no answer to, will happen any more.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import evolve

from streamline.cluster.commands import ChangePartitions
from streamline.cluster.failover import change_of
from streamline.cluster.image import MetadataImage
from streamline.cluster.leadership import Aim, settle
from streamline.cluster.rules import rules_of
from streamline.errors import ErrorCode, Refused
from streamline.model import PartitionState
from streamline.values import frozen


@frozen
class Member:
    """A member of an ISR, and the broker epoch under which it fetched what it has."""

    node_id: int
    broker_epoch: int


@frozen(kw_only=True)
class IsrChange:
    """
    What a leader asks for.

    @ivar leader_epoch: the epoch that it leads in.
    @ivar partition_epoch: of the state that it knows, and wants to be replaced.
    @ivar is_recovering: whether it has yet to come to terms with an unclean election (KIP-704).
    """

    topic_id: bytes
    index: int
    leader_epoch: int
    partition_epoch: int
    isr: Sequence[Member]
    is_recovering: bool = False


@frozen
class Altered:
    """
    What the leader is answered.

    @ivar state: the partition once C{command} is agreed on.
    @ivar command: what to agree on.
    """

    state: PartitionState
    command: ChangePartitions


def alter_partition(
    image: MetadataImage, node: int, broker_epoch: int, wanted: IsrChange
) -> Altered:
    """
    Decide on what a leader asks for.

    @raise Refused: with the error that Kafka gives in that case.
    """
    image.broker_at(node, broker_epoch)
    topic = image.topic_of(wanted.topic_id)
    if topic is None:
        raise Refused(ErrorCode.UNKNOWN_TOPIC_ID)
    state = image.partition(topic.name, wanted.index)
    if state is None:
        raise Refused(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    _check_epochs(state, node, wanted)
    _check_members(state, node, wanted)
    _check_eligible(image, wanted)
    aim = Aim(
        min_isr=rules_of(image, topic.name).min_isr,
        can_lead=image.is_active,
        isr=_ordered(state, wanted),
        has_recovered=not wanted.is_recovering,
    )
    after = settle(state, aim)
    if after is state:
        after = evolve(state, partition_epoch=state.partition_epoch + 1)
    return Altered(after, ChangePartitions(topic_id=topic.topic_id, partitions=[change_of(image, state, after)]))


def _check_epochs(state: PartitionState, node: int, wanted: IsrChange) -> None:
    """Only the leader of now speaks for the partition, and only of the state that it is in (KR13)."""
    if wanted.leader_epoch > state.leader_epoch or wanted.partition_epoch > state.partition_epoch:
        raise Refused(ErrorCode.NOT_CONTROLLER, "the leader knows of later changes than this controller")
    if wanted.leader_epoch < state.leader_epoch:
        raise Refused(ErrorCode.FENCED_LEADER_EPOCH)
    if node != state.leader:
        raise Refused(ErrorCode.INVALID_REQUEST, f"node {node} does not lead the partition")
    if wanted.partition_epoch < state.partition_epoch:
        raise Refused(ErrorCode.INVALID_UPDATE_VERSION)


def _check_members(state: PartitionState, node: int, wanted: IsrChange) -> None:
    members = [member.node_id for member in wanted.isr]
    if len(dict.fromkeys(members)) != len(members) or any(member not in state.replicas for member in members):
        raise Refused(ErrorCode.INVALID_REQUEST, f"an ISR of {members} is not made of the partition's replicas")
    if node not in members:
        raise Refused(ErrorCode.INVALID_REQUEST, "a leader is in sync with itself")
    if wanted.is_recovering and (len(members) > 1 or not state.is_recovering):
        raise Refused(ErrorCode.INVALID_REQUEST, "a leader that recovers is alone in its ISR")


def _check_eligible(image: MetadataImage, wanted: IsrChange) -> None:
    """KR16 and KR18: everybody is there, as the process that has caught up."""
    for member in wanted.isr:
        if not image.is_active(member.node_id):
            raise Refused(ErrorCode.INELIGIBLE_REPLICA, f"node {member.node_id} is fenced or shutting down")
        if image.brokers[member.node_id].epoch != member.broker_epoch:
            raise Refused(ErrorCode.INELIGIBLE_REPLICA, f"node {member.node_id} has registered again since")


def _ordered(state: PartitionState, wanted: IsrChange) -> tuple[int, ...]:
    """Return the wanted ISR in the order of the replicas."""
    members = [member.node_id for member in wanted.isr]
    return tuple(node for node in state.replicas if node in members)
