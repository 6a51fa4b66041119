"""
Moving a partition's replicas to other nodes while it is in use (KIP-455).

Beginning one adds the new replicas to the old ones.  It ends, in
L{streamline.cluster.leadership.settle}, with the change of the ISR in which all
new ones are in sync.  Cancelling takes back those that were added.
"""

from __future__ import annotations

from collections.abc import Sequence

from streamline.cluster.commands import ChangePartitions, Command
from streamline.cluster.failover import change_of
from streamline.cluster.image import MetadataImage
from streamline.cluster.leadership import Aim, Move, settle
from streamline.cluster.rules import rules_of
from streamline.errors import ErrorCode, Refused
from streamline.model import PartitionState, TopicPartition


def reassign(
    image: MetadataImage, partition: TopicPartition, target: Sequence[int] | None
) -> list[Command]:
    """
    Begin to move a partition, or cancel (C{target} is None) what has begun; nothing where nothing is to do.

    A move that needs no new replica ends at once, and another target replaces one that is under way.

    @param target: the replicas that it is to have, the preferred leader first.
    @raise Refused: INVALID_REPLICA_ASSIGNMENT, NO_REASSIGNMENT_IN_PROGRESS or UNKNOWN_TOPIC_OR_PARTITION.
    """
    state = image.partition(partition.topic, partition.partition)
    if state is None:
        raise Refused(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"there is no partition {partition}")
    if target is None:
        move = _back(state, partition)
    else:
        _check_target(image, target)
        move = _onward(state, tuple(target))
    if state.isr and not any(node in move.replicas for node in state.isr):
        raise Refused(ErrorCode.INVALID_REPLICA_ASSIGNMENT, f"nobody who stays of {partition} is in sync")
    min_isr = rules_of(image, partition.topic).min_isr
    after = settle(state, Aim(min_isr=min_isr, can_lead=image.is_active, move=move))
    if after is state:
        return []
    topic = image.topics[partition.topic]
    return [ChangePartitions(topic_id=topic.topic_id, partitions=[change_of(image, state, after)])]


def _onward(state: PartitionState, target: tuple[int, ...]) -> Move:
    """Return the way to C{target}; who was on the way in and is not part of it is dropped."""
    settled = tuple(node for node in state.replicas if node not in state.adding)
    removing = tuple(node for node in settled if node not in target)
    adding = tuple(node for node in target if node not in settled)
    return Move(target + removing, adding, removing)


def _back(state: PartitionState, partition: TopicPartition) -> Move:
    if not state.adding and not state.removing:
        raise Refused(ErrorCode.NO_REASSIGNMENT_IN_PROGRESS, f"{partition} is not being moved")
    return Move(tuple(node for node in state.replicas if node not in state.adding))


def _check_target(image: MetadataImage, target: Sequence[int]) -> None:
    if not target or len(dict.fromkeys(target)) != len(target):
        raise Refused(ErrorCode.INVALID_REPLICA_ASSIGNMENT, f"{list(target)} is empty or names a node twice")
    for node in target:
        if node not in image.brokers:
            raise Refused(ErrorCode.INVALID_REPLICA_ASSIGNMENT, f"node {node} is not in the cluster")
