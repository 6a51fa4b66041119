"""
What must still be true when a command is applied, although it was true when the command was decided on.

Between deciding and applying, other commands come: a broker that was there may
have been fenced, or have come back as another incarnation without its records.
Each check here compares what a command assumes with the image that it meets, so
a decision that is out of date changes nothing, on every node alike, and is made
again.  How the controller came to a decision never matters for what these hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from streamline.cluster.commands import (
    ChangeBroker,
    PartitionChange,
    PartitionPlacement,
    RegisterBroker,
    UnregisterBroker,
)
from streamline.errors import ErrorCode, Refused
from streamline.model import NO_LEADER, Broker, PartitionState, Topic
from streamline.wire.schema import Message

Brokers = Mapping[int, Broker]


def is_active(brokers: Brokers, node: int) -> bool:
    """Say whether a node is there to lead and to be in sync."""
    return node in brokers and brokers[node].is_active


def check_placement(brokers: Brokers, placed: PartitionPlacement) -> None:
    """
    Refuse a new partition whose in-sync replicas are not there any more.

    @raise Refused: INELIGIBLE_REPLICA.
    """
    for node in placed.isr:
        if not is_active(brokers, node):
            raise Refused(ErrorCode.INELIGIBLE_REPLICA, f"node {node} has gone meanwhile")


def check_change(brokers: Brokers, known: PartitionState, change: PartitionChange) -> None:
    """
    Refuse a change that was decided on another state than the partition is in.

    @raise Refused: INVALID_UPDATE_VERSION, INELIGIBLE_REPLICA, or INVALID_REQUEST for one that makes no sense.
    """
    if change.partition_epoch != known.partition_epoch + 1:
        raise Refused(ErrorCode.INVALID_UPDATE_VERSION, f"partition {known.index} has changed meanwhile")
    _check_sense(known, change)
    if change.leader != NO_LEADER and change.leader_epoch > known.leader_epoch:
        _check_leader(brokers, known, change)
    _check_joining(brokers, known, change)


def _check_sense(known: PartitionState, change: PartitionChange) -> None:
    everyone = [*change.isr, *change.elr, *change.last_known_elr]
    is_sound = (
        len(dict.fromkeys(everyone)) == len(everyone)
        and len(dict.fromkeys(change.replicas)) == len(change.replicas)
        and all(node in change.replicas for node in everyone)
        and change.leader in (NO_LEADER, *change.isr)
        and change.leader_epoch >= known.leader_epoch + (change.leader != known.leader)
    )
    if not is_sound:
        raise Refused(ErrorCode.INVALID_REQUEST, f"partition {known.index} cannot be as {change}")


def _check_leader(brokers: Brokers, known: PartitionState, change: PartitionChange) -> None:
    """A leader has every committed record, or the election says that it may not have."""
    if not is_active(brokers, change.leader):
        raise Refused(ErrorCode.INELIGIBLE_REPLICA, f"node {change.leader} cannot lead any more")
    if not change.is_recovering and change.leader not in (*known.isr, *known.elr):
        raise Refused(ErrorCode.INELIGIBLE_REPLICA, f"node {change.leader} may lack records")


def _check_joining(brokers: Brokers, known: PartitionState, change: PartitionChange) -> None:
    """KR16 and KR18: whoever joins the ISR is there, and is still the incarnation that has caught up."""
    epochs = {member.node_id: member.epoch for member in change.joining}
    for node in change.isr:
        if node in known.isr or node == change.leader != known.leader:
            continue
        if not is_active(brokers, node) or epochs.get(node) != brokers[node].epoch:
            raise Refused(ErrorCode.INELIGIBLE_REPLICA, f"node {node} is not the one that has caught up")


def check_aftermath(brokers: Brokers, topics: Iterable[Topic], command: Message) -> None:
    """
    Refuse that a node goes while partitions still count on it; what was agreed on with it left one out.

    @raise Refused: INVALID_UPDATE_VERSION.
    """
    match command:
        case RegisterBroker(fenced=True) | ChangeBroker():
            node, spoils_elr = command.node_id, not getattr(command, "is_clean", True)
        case UnregisterBroker():
            node, spoils_elr = command.node_id, True
        case _:
            return
    if is_active(brokers, node):
        return
    for topic in topics:
        for state in topic.partitions:
            if node in state.isr or node == state.leader or (spoils_elr and node in state.elr):
                raise Refused(
                    ErrorCode.INVALID_UPDATE_VERSION, f"{topic.name}-{state.index} has come to count on node {node}"
                )
