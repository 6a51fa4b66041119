"""
What must still be true when a command is applied, although it was true when the command was decided on.

Between deciding and applying, other commands come: a broker that was there may
have been fenced, or have come back as another incarnation without its records.
Each check here compares what a command assumes with the image that it meets, so
a decision that is out of date changes nothing, on every node alike, and is made
again.  How the controller came to a decision never matters for what these hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from streamline.cluster.commands import (
    CLUSTER_WIDE,
    TOPIC_CONFIGS,
    ChangeBroker,
    ChangeConfigs,
    PartitionChange,
    PartitionPlacement,
    RegisterBroker,
    UnregisterBroker,
)
from streamline.cluster.rules import rules_of
from streamline.errors import ErrorCode, Refused
from streamline.model import NO_LEADER, Broker, PartitionState, Topic, quorum_of
from streamline.wire.schema import Message

if TYPE_CHECKING:
    from streamline.cluster.image import MetadataImage


def check_placement(image: MetadataImage, placed: PartitionPlacement) -> None:
    """
    Refuse a new partition whose in-sync replicas are not there any more.

    @raise Refused: INELIGIBLE_REPLICA.
    """
    for node in placed.isr:
        if not image.is_active(node):
            raise Refused(ErrorCode.INELIGIBLE_REPLICA, f"node {node} has gone meanwhile")


def check_features(levels: Mapping[str, int], brokers: Iterable[Broker]) -> None:
    """
    Refuse levels that a broker does not know, or a broker that does not know the levels: it could not follow.

    @raise Refused: INVALID_UPDATE_VERSION.
    """
    for broker in brokers:
        for name, level in levels.items():
            lowest, highest = broker.features.get(name, (0, 0))
            if not lowest <= level <= highest:
                raise Refused(
                    ErrorCode.INVALID_UPDATE_VERSION, f"node {broker.node_id} does not know {name} at level {level}"
                )


def check_change(image: MetadataImage, topic: Topic, known: PartitionState, change: PartitionChange) -> None:
    """
    Refuse a change that was decided on another state than the partition is in.

    @raise Refused: INVALID_UPDATE_VERSION, INELIGIBLE_REPLICA, or INVALID_REQUEST for one that makes no sense.
    """
    if change.partition_epoch != known.partition_epoch + 1:
        raise _outdated(f"{topic.name}-{known.index} has changed")
    _check_sense(known, change)
    if change.leader == NO_LEADER and any(image.is_active(node) for node in (*change.isr, *change.elr)):
        raise _outdated(f"somebody has come who can lead {topic.name}-{known.index}")
    if change.elr and len(change.isr) >= quorum_of(rules_of(image, topic.name).min_isr, change.replicas):
        raise _outdated(f"{topic.name}-{known.index} needs no ELR any more")
    if change.leader != NO_LEADER and change.leader_epoch > known.leader_epoch:
        _check_leader(image, known, change)
    _check_joining(image, known, change)


def _outdated(what: str) -> Refused:
    return Refused(ErrorCode.INVALID_UPDATE_VERSION, f"{what} meanwhile")


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


def _check_leader(image: MetadataImage, known: PartitionState, change: PartitionChange) -> None:
    """
    A leader has every committed record, or the election says that it may not have.

    One that stays when a reassignment ends may lead from the moment in which it is in sync, which the last leader,
    who has to go, says with the same change.
    """
    if not image.is_active(change.leader):
        raise Refused(ErrorCode.INELIGIBLE_REPLICA, f"node {change.leader} cannot lead any more")
    must_go = known.leader in known.removing and image.is_active(known.leader)
    is_last_of_move = must_go and change.leader in known.target
    if not (change.is_recovering or is_last_of_move or change.leader in (*known.isr, *known.elr)):
        raise Refused(ErrorCode.INELIGIBLE_REPLICA, f"node {change.leader} may lack records")


def _check_joining(image: MetadataImage, known: PartitionState, change: PartitionChange) -> None:
    """KR16 and KR18: whoever joins the ISR is there, and is still the incarnation that has caught up."""
    epochs = {member.node_id: member.epoch for member in change.joining}
    for node in change.isr:
        if node in known.isr:
            continue
        if not image.is_active(node) or epochs.get(node) != image.brokers[node].epoch:
            raise Refused(ErrorCode.INELIGIBLE_REPLICA, f"node {node} is not the one that has caught up")


Flaw = Callable[[Topic, PartitionState], bool]
"""Says whether a partition is as it must not be."""


def check_aftermath(image: MetadataImage, command: Message) -> None:
    """
    Refuse a command that was agreed on without something which follows from it by now.

    That a node goes and no partition counts on it any more, that it comes and leads what waits for it, that fewer
    replicas are enough and those which are left behind lose their claim: each happens in one moment, or not yet.

    @param image: what the command would make.
    @raise Refused: INVALID_UPDATE_VERSION.
    """
    match command:
        case RegisterBroker() | ChangeBroker() | UnregisterBroker():
            topics: Iterator[Topic] = iter(image.topics.values())
            flaw = _flaw_of_broker(image, command)
        case ChangeConfigs(resource_type=kind, resource_name=name) if kind == TOPIC_CONFIGS or name == CLUSTER_WIDE:
            topics = iter(image.topics.values() if kind != TOPIC_CONFIGS else [image.topics[name]])
            flaw = _flaw_of_rules(image)
        case _:
            return
    for topic in topics:
        for state in topic.partitions:
            if flaw(topic, state):
                raise _outdated(f"{topic.name}-{state.index} has changed")


def _flaw_of_broker(image: MetadataImage, command: RegisterBroker | ChangeBroker | UnregisterBroker) -> Flaw:
    node = command.node_id
    is_there = image.is_active(node)
    is_spoilt = isinstance(command, UnregisterBroker) or (isinstance(command, RegisterBroker) and not command.is_clean)

    def flaw(_: Topic, state: PartitionState) -> bool:
        if is_spoilt and (node in state.isr or node in state.elr):
            return True
        if is_there:
            return state.leader == NO_LEADER and (node in state.isr or node in state.elr)
        return node in state.isr or node == state.leader

    return flaw


def _flaw_of_rules(image: MetadataImage) -> Flaw:
    def flaw(topic: Topic, state: PartitionState) -> bool:
        min_isr = rules_of(image, topic.name).min_isr
        return bool(state.elr) and len(state.isr) >= quorum_of(min_isr, state.replicas)

    return flaw
