"""
Elections that somebody asks for: back to the preferred leader, or an unclean one.

Answers have the error that Kafka's ElectLeaders gives for each partition.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from streamline.cluster.commands import ChangePartitions, Command
from streamline.cluster.failover import change_of, changes
from streamline.cluster.image import MetadataImage
from streamline.cluster.leadership import Aim, Election, settle
from streamline.cluster.rules import Rules, rules_of
from streamline.errors import ErrorCode, Refused
from streamline.model import NO_LEADER, PartitionState, TopicPartition
from streamline.values import frozen


@frozen
class Elected:
    """
    What became of the election for one partition.

    @ivar refusal: why there was none, or None where there was.
    """

    partition: TopicPartition
    refusal: Refused | None = None


def elect_leaders(
    image: MetadataImage, election: Election, wanted: Sequence[TopicPartition] | None
) -> tuple[list[Command], list[Elected]]:
    """
    Elect leaders as a person asks for (KIP-460).

    @param wanted: the partitions; None for all, of which only those are answered that need it.
    """
    partitions = _all_partitions(image) if wanted is None else dict.fromkeys(wanted)
    elected: list[Elected] = []
    found: dict[str, list[PartitionState]] = {}
    for partition in partitions:
        try:
            after = _elect(image, election, partition)
        except Refused as refusal:
            if wanted is not None or refusal.code is not ErrorCode.ELECTION_NOT_NEEDED:
                elected.append(Elected(partition, refusal.again()))  # the one that was raised keeps this list
        else:
            elected.append(Elected(partition))
            found.setdefault(partition.topic, []).append(after)
    return [_command(image, topic, states) for topic, states in found.items()], elected


def _all_partitions(image: MetadataImage) -> Iterable[TopicPartition]:
    return (
        TopicPartition(topic.name, state.index) for topic in image.topics.values() for state in topic.partitions
    )


def _elect(
    image: MetadataImage, election: Election, partition: TopicPartition
) -> PartitionState:
    state = _known(image, partition)
    is_preferred = election is Election.PREFERRED
    if state.leader == state.replicas[0] if is_preferred else state.leader != NO_LEADER:
        raise Refused(ErrorCode.ELECTION_NOT_NEEDED, f"{partition} has the leader it should have")
    min_isr = rules_of(image, partition.topic).min_isr
    after = settle(state, Aim(min_isr=min_isr, can_lead=image.is_active, election=election))
    if is_preferred and after.leader != state.replicas[0]:
        raise Refused(ErrorCode.PREFERRED_LEADER_NOT_AVAILABLE, f"node {state.replicas[0]} is not in sync")
    if after.leader == NO_LEADER:
        raise Refused(ErrorCode.ELIGIBLE_LEADERS_NOT_AVAILABLE, f"no replica of {partition} is there")
    return after


def balance(image: MetadataImage, limit: int) -> list[Command]:
    """Give up to C{limit} partitions back to their preferred leaders, where those are in sync."""
    left = limit

    def decide(state: PartitionState, rules: Rules) -> PartitionState:
        nonlocal left
        preferred = state.replicas[0]
        if left <= 0 or state.leader == preferred or preferred not in state.isr or not image.is_active(preferred):
            return state
        left -= 1
        return settle(
            state, Aim(min_isr=rules.min_isr, can_lead=image.is_active, election=Election.PREFERRED)
        )

    return changes(image, decide)


def _known(image: MetadataImage, partition: TopicPartition) -> PartitionState:
    state = image.partition(partition.topic, partition.partition)
    if state is None:
        raise Refused(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"there is no partition {partition}")
    return state


def _command(image: MetadataImage, topic: str, states: Iterable[PartitionState]) -> ChangePartitions:
    known = image.topics[topic]
    changed = [change_of(image, known.partitions[state.index], state) for state in states]
    return ChangePartitions(topic_id=known.topic_id, partitions=changed)
