"""
Partitions of which everybody who had everything has lost power: who leads them then (KIP-966's balanced recovery).

# Note [Nothing to wait for]

A leader comes from the ISR or the ELR.  Where power fails in the whole house, nobody is left in either: each replica
comes back without what its machine had not written, and nobody knows which one has most.  Waiting brings nothing
back from then on, once everybody is there who may have something: what is on the disks is all that there is.  So they
are asked how far their logs go, and the best one leads.

The best log is the one whose last record is of the latest leader epoch, and of those the longest.  Whoever has a
record of an epoch has had, at that place, the log of that epoch's leader, and with it everything that was committed in
earlier epochs; within an epoch logs are beginnings of one another.  So no other log that was compared has a committed
record which the best one lacks.

It follows that everybody has to be waited for who may have more than those that have answered.  The last known
eligible replicas are waited for without end: a partition is recovered only when all of them are there.  Other replicas
had fallen behind before the power failed, and what they have was never promised; but a disk that was written back in
time may have more than those that were not, so they are compared as well, and waited for as long as
C{unclean.recovery.timeout.ms} says.  Who was taken out of the cluster is not waited for at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from attrs import evolve

from streamline.cluster.commands import ChangePartitions, Command
from streamline.cluster.failover import change_of
from streamline.cluster.image import MetadataImage
from streamline.cluster.leadership import with_epochs
from streamline.cluster.rules import recovers
from streamline.errors import ErrorCode, Refused
from streamline.model import NO_LEADER, PartitionState, Topic, TopicPartition
from streamline.values import frozen


@frozen(order=True)
class LogEnd:
    """How far a replica's log goes; logs compare by this (KIP-966)."""

    leader_epoch: int
    end_offset: int


@frozen
class LogInfo:
    """
    What a replica has said of its log.

    @ivar broker_epoch: of the process that said so.
    @ivar leader_epoch: of the state of the partition that it knew then.
    """

    end: LogEnd
    broker_epoch: int
    leader_epoch: int


@frozen
class Lost:
    """
    A partition that nobody can lead who surely has everything.

    @ivar asked: the replicas that are there, to be asked how far they go.
    @ivar awaited: those that are not, and without whom nobody is elected.
    @ivar hoped_for: those that are not, and are waited for only for a time.
    """

    topic: Topic
    state: PartitionState
    asked: tuple[int, ...]
    awaited: tuple[int, ...]
    hoped_for: tuple[int, ...]

    @property
    def partition(self) -> TopicPartition:
        """Its name."""
        return TopicPartition(self.topic.name, self.state.index)


def lost(image: MetadataImage) -> Iterator[Lost]:
    """Yield the partitions that are to be recovered, as far as their topics' settings allow that."""
    for topic in image.topics.values():
        for state in topic.partitions:
            if _is_lost(state) and recovers(image, topic.name):
                yield _loss(image, topic, state)


def recover(
    image: MetadataImage, partition: TopicPartition, answers: Mapping[int, LogInfo], *, patient: bool = False
) -> list[Command]:
    """
    Elect the best of those that are left, after all who had everything have stopped uncleanly (KR22).

    Whether anything was lost depends on what the best one still has, so the caller says "possible loss" in its log.
    See Note [Nothing to wait for].

    @param answers: what replicas have said; of an earlier process, or about an earlier state, it is worth nothing.
    @param patient: whether all replicas are waited for, and not just those who had everything.
    @raise Refused: ELECTION_NOT_NEEDED where there is a leader or a clean election may yet come;
        ELIGIBLE_LEADERS_NOT_AVAILABLE where somebody has not said, or is not there.
    """
    state = image.partition(partition.topic, partition.partition)
    if state is None:
        raise Refused(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"there is no partition {partition}")
    if not _is_lost(state):
        raise Refused(ErrorCode.ELECTION_NOT_NEEDED, f"{partition} has a leader, or waits for {list(state.elr)}")
    topic = image.topics[partition.topic]
    loss = _loss(image, topic, state)
    said = {node: answers[node].end for node in loss.asked if node in answers and _counts(image, state, node, answers)}
    missing = [*loss.awaited, *(loss.hoped_for if patient else ())]
    missing += [node for node in loss.asked if node not in said and (patient or _is_needed(image, state, node))]
    if missing or not said:
        raise Refused(ErrorCode.ELIGIBLE_LEADERS_NOT_AVAILABLE, f"{partition} waits to hear from {missing}")
    known = state.last_known_elr
    best = max(said, key=lambda node: (said[node], node in known, -state.replicas.index(node)))
    after = evolve(state, leader=best, isr=(best,), last_known_elr=(), is_recovering=True)
    change = change_of(image, state, with_epochs(state, after))
    return [ChangePartitions(topic_id=topic.topic_id, partitions=[change])]


def _is_lost(state: PartitionState) -> bool:
    return state.leader == NO_LEADER and not state.isr and not state.elr


def _loss(image: MetadataImage, topic: Topic, state: PartitionState) -> Lost:
    away = [node for node in state.replicas if node in image.brokers and not image.is_active(node)]
    return Lost(
        topic=topic,
        state=state,
        asked=tuple(node for node in state.replicas if image.is_active(node)),
        awaited=tuple(node for node in away if _is_needed(image, state, node)),
        hoped_for=tuple(node for node in away if not _is_needed(image, state, node)),
    )


def _is_needed(image: MetadataImage, state: PartitionState, node: int) -> bool:
    """Say whether a replica may have what all had who were promised to; everybody may where nobody is known."""
    known = [one for one in state.last_known_elr if one in image.brokers]
    return node in known or not known


def _counts(image: MetadataImage, state: PartitionState, node: int, answers: Mapping[int, LogInfo]) -> bool:
    """A process that has come since has another log, and who knows of another leader may be following it."""
    answer = answers[node]
    return (answer.broker_epoch, answer.leader_epoch) == (image.brokers[node].epoch, state.leader_epoch)
