"""
What follows for partitions when a broker goes, comes back, or asks to go.

Each function takes the image and what has happened, and returns the commands
that are to be agreed on together (L{streamline.cluster.commands.together}): the
change of the broker and everything that must hold from the same moment on.
None changes anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from streamline.cluster.commands import (
    BROKER_CONFIGS,
    TOPIC_CONFIGS,
    BrokerEpoch,
    ChangeBroker,
    ChangeConfigs,
    ChangePartitions,
    Command,
    PartitionChange,
    UnregisterBroker,
    together,
)
from streamline.cluster.image import MetadataImage, apply, change_to, step
from streamline.cluster.leadership import Aim, Election, settle
from streamline.cluster.rules import Rules, rules_of
from streamline.errors import ErrorCode, Refused
from streamline.model import NO_LEADER, Broker, PartitionState, Topic

Decide = Callable[[PartitionState, Rules], PartitionState]
"""From what a partition is, and its topic's rules, to what it is next."""


def fence(image: MetadataImage, node: int) -> list[Command]:
    """A broker is not there: it leaves every ISR, and others lead."""
    broker = image.brokers[node]
    changed = _changed(broker, fenced=True, shutting_down=broker.shutting_down)
    return [changed, *departures(image, node, unclean=True)]


def begin_shutdown(image: MetadataImage, node: int) -> list[Command]:
    """
    A broker wants to stop: others lead first (KR32).

    Nobody is elected uncleanly for that: it is going to come back with everything (KR25).
    """
    broker = image.brokers[node]
    return [_changed(broker, fenced=broker.fenced, shutting_down=True), *departures(image, node)]


def unfence(image: MetadataImage, node: int) -> list[Command]:
    """A broker is there and has caught up: it may lead what nobody leads."""
    changed = _changed(image.brokers[node], fenced=False, shutting_down=False)

    def decide(state: PartitionState, rules: Rules) -> PartitionState:
        if state.leader != NO_LEADER or node not in state.replicas:
            return state
        aim = Aim(
            min_isr=rules.min_isr,
            can_lead=lambda other: other == node or image.is_active(other),
            election=Election.UNCLEAN if rules.unclean else Election.CLEAN,
        )
        return settle(state, aim)

    return [changed, *changes(image, decide)]


def unregister(image: MetadataImage, node: int) -> list[Command]:
    """
    A broker is taken out for good: others lead, and no ISR counts it.  Where it comes back, it is a new one.

    @raise Refused: INVALID_REQUEST where what it has nobody else is known to have.
    """
    needed = [
        f"{topic.name}-{state.index}"
        for topic in image.topics.values()
        for state in topic.partitions
        if _has_alone(state, node)
    ]
    if needed:
        raise Refused(
            ErrorCode.INVALID_REQUEST,
            f"nobody but node {node} is known to have everything of {len(needed)} partitions, {needed[0]} among them; "
            "move them to other nodes first (kafka-reassign-partitions), or, if it is lost, give up what only it has "
            "(kafka-leader-election --election-type UNCLEAN where they have other replicas, else delete the topic)",
        )
    gone = UnregisterBroker(node_id=node, epoch=image.brokers[node].epoch)
    return [gone, *departures(image, node, lost=True, unclean=True)]


def _has_alone(state: PartitionState, node: int) -> bool:
    """Say whether nobody else surely has everything of a partition, or may have most of what is left of it."""
    sure = state.isr + state.elr
    return node in (sure or state.last_known_elr) and not any(other != node for other in sure)


def departures(
    image: MetadataImage, node: int, *, lost: bool = False, unclean: bool = False
) -> list[Command]:
    """
    Take a node out of every ISR, and elect others where it leads.

    @param lost: whether it may have lost records; it then leaves the ELR too (KR21).
    @param unclean: whether one that may lack records may take its place, where the topic allows it.
    """

    def decide(state: PartitionState, rules: Rules) -> PartitionState:
        counts = node in state.isr or node == state.leader or (lost and node in state.elr)
        if not counts:
            return state
        aim = Aim(
            min_isr=rules.min_isr,
            can_lead=lambda other: other != node and image.is_active(other),
            isr=tuple(member for member in state.isr if member != node),
            lost=(node,) if lost else (),
            election=Election.UNCLEAN if unclean and rules.unclean else Election.CLEAN,
        )
        return settle(state, aim)

    return changes(image, decide)


def repair(image: MetadataImage) -> list[Command]:
    """
    Return what is overdue: leaders that are not there, members that are not, partitions that somebody could lead.

    For a controller that has just been elected; what the last one had decided may not have been agreed on.
    """

    def decide(state: PartitionState, rules: Rules) -> PartitionState:
        isr = tuple(node for node in state.isr if image.is_active(node))
        return _resettled(image, state, rules, isr)

    return changes(image, decide)


def change_configs(image: MetadataImage, command: ChangeConfigs) -> list[Command]:
    """
    Change settings, together with what follows from them for partitions.

    With a smaller min.insync.replicas an ISR may commit from now on what its ELR does not get, so they part in the
    same moment (KIP-966).
    """
    changed, _ = step(image, image.index, [command])
    if command.resource_type == BROKER_CONFIGS and command.resource_name:
        return [command]
    only = command.resource_name if command.resource_type == TOPIC_CONFIGS else None
    return [command, *changes(changed, lambda state, rules: _resettled(changed, state, rules, state.isr), only)]


def _resettled(image: MetadataImage, state: PartitionState, rules: Rules, isr: tuple[int, ...]) -> PartitionState:
    election = Election.UNCLEAN if rules.unclean else Election.CLEAN
    return settle(state, Aim(min_isr=rules.min_isr, can_lead=image.is_active, isr=isr, election=election))


def after(image: MetadataImage, commands: Iterable[Command]) -> MetadataImage:
    """
    Return the image as it will be once commands are agreed on, at the index of now.

    Plans that are made one upon the other use it; only broker epochs are not known before the index is.
    """
    command = together(commands)
    return image if command is None else apply(image, image.index, command)[0]


def changes(image: MetadataImage, decide: Decide, only: str | None = None) -> list[Command]:
    """
    Ask for every partition what it is next; return a command for each topic that has one which changes.

    @param only: the name of the one topic to look at.
    """
    topics = image.topics.values() if only is None else [image.topics[only]]
    found: list[Command] = []
    for topic in topics:
        rules = rules_of(image, topic.name)
        changed = list(_changes_of(image, topic, rules, decide))
        if changed:
            found.append(ChangePartitions(topic_id=topic.topic_id, partitions=changed))
    return found


def _changes_of(image: MetadataImage, topic: Topic, rules: Rules, decide: Decide) -> Iterator[PartitionChange]:
    for state in topic.partitions:
        settled = decide(state, rules)
        if settled is not state:
            yield change_of(image, state, settled)


def change_of(image: MetadataImage, old: PartitionState, new: PartitionState) -> PartitionChange:
    """Return the change from one state to another, with the epochs under which those who join were judged."""
    change = change_to(new)
    change.joining = [
        BrokerEpoch(node_id=node, epoch=image.brokers[node].epoch) for node in new.isr if node not in old.isr
    ]
    return change


def _changed(broker: Broker, *, fenced: bool, shutting_down: bool) -> ChangeBroker:
    return ChangeBroker(node_id=broker.node_id, epoch=broker.epoch, fenced=fenced, shutting_down=shutting_down)
