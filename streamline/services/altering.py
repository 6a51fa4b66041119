"""
ISR changes on their way from the leaders to the controller (KIP-497).

The leaders of a node ask for what they need, one change a partition at a time; what comes together goes in one request,
and one request is under way at most.  Whether to ask again is the leader's to decide: a request without an answer may
have been carried out, and a leader counts on both until the metadata tell.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from streamline.cluster.altering import IsrChange, alter_partition
from streamline.cluster.commands import ChangePartitions, Command, PartitionChange
from streamline.cluster.image import MetadataImage
from streamline.errors import ErrorCode, Refused, code_of
from streamline.interfaces import Host, fires
from streamline.model import PartitionState
from streamline.services.brain import Brain
from streamline.services.controllership import Controllership
from streamline.services.peer_call import NoAnswer
from streamline.values import frozen
from streamline.wire.messages.peer import (
    AlterPartitionRequest,
    AlterPartitionResponse,
    AlterPartitionResponsePartitionData,
    BrokerState,
    PartitionData,
    TopicData,
)

ANSWER_S: Final = 5.0
BATCH_MAX: Final = 1000
"""Partitions in one request."""

Key = tuple[bytes, int]
"""A topic's id and a partition's number."""


@frozen(kw_only=True)
class AgreedIsr:
    """What a partition is once a change of its ISR is agreed on, as far as its leader is told."""

    leader: int
    leader_epoch: int
    isr: tuple[int, ...]
    partition_epoch: int
    is_recovering: bool


Outcome = AgreedIsr | Refused


def alter_partitions(
    controllership: Controllership, node: int, broker_epoch: int, wanted: Sequence[IsrChange]
) -> Deferred[list[Outcome]]:
    """
    Decide on what a leader asks for; fire with what became of each, in order; the controller's side.

    @raise Refused: BROKER_ID_NOT_REGISTERED or STALE_BROKER_EPOCH, or as L{Controllership.decide}.
    """
    outcomes: list[Outcome] = []

    def plan(image: MetadataImage) -> Sequence[Command]:
        outcomes.clear()
        image.broker_at(node, broker_epoch)
        changes: dict[bytes, list[PartitionChange]] = {}
        seen: dict[Key, None] = {}
        for change in wanted:
            key = change.topic_id, change.index
            try:
                if key in seen:
                    raise Refused(ErrorCode.INVALID_REQUEST, "one partition is asked for twice")
                seen[key] = None
                altered = alter_partition(image, node, broker_epoch, change)
            except Refused as refusal:
                outcomes.append(refusal)
                continue
            outcomes.append(_agreed(altered.state))
            if altered.command is not None:
                changes.setdefault(change.topic_id, []).extend(altered.command.partitions)
        return [ChangePartitions(topic_id=topic_id, partitions=parts) for topic_id, parts in changes.items()]

    return controllership.decide(plan).addCallback(lambda _: outcomes)


class Altering:
    """Takes what the leaders of this node ask for to the controller, wherever that is."""

    def __init__(self, host: Host, node_id: int, brain: Brain, broker_epoch: Callable[[], int]) -> None:
        """
        @param broker_epoch: returns the epoch of this process' registration.
        """
        self._clock = host.clock
        self._is_lone = host.whim("isr-asked-alone")
        self._node_id = node_id
        self._controllership = brain.controllership
        self._line = brain.line
        self._broker_epoch = broker_epoch
        self._waiting: dict[Key, tuple[IsrChange, Deferred[AgreedIsr]]] = {}
        self._sending: IDelayedCall | None = None
        self._is_under_way = False
        self._is_stopped = False

    def alter(self, change: IsrChange) -> Deferred[AgreedIsr]:
        """
        Ask for a change; fire with the partition as it is when that is agreed on.

        The metadata tell the same, maybe earlier: an ISR counts from there, in the order of what else is agreed on.

        @raise Refused: through the Deferred: what the controller says of this partition; OPERATION_NOT_ATTEMPTED where
            it was certainly not asked.
        @raise NoAnswer: through the Deferred: whether it was carried out, or will yet be, is not known.
        """
        key = change.topic_id, change.index
        if self._is_stopped or key in self._waiting:
            return fail(Refused(ErrorCode.OPERATION_NOT_ATTEMPTED, "another change of the partition waits"))
        answer: Deferred[AgreedIsr] = Deferred()
        self._waiting[key] = change, answer
        self._send_soon()
        return answer

    def stop(self) -> None:
        """Ask for nothing any more."""
        self._is_stopped = True
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None
        waiting, self._waiting = self._waiting, {}
        for _, answer in waiting.values():
            answer.errback(Refused(ErrorCode.OPERATION_NOT_ATTEMPTED, "the node stops"))

    def _send_soon(self) -> None:
        """What is asked for in one turn of the reactor goes together."""
        if self._waiting and self._sending is None and not self._is_under_way and not self._is_stopped:
            self._sending = self._clock.callLater(0, self._send)

    def _send(self) -> None:
        self._sending = None
        size = 1 if fires(self._is_lone) else BATCH_MAX
        batch = [self._waiting.pop(key) for key in list(self._waiting)[:size]]
        changes = [change for change, _ in batch]
        self._is_under_way = True
        asking = self._decided(changes) if self._line.is_here else self._asked(changes)
        asking.addCallbacks(_tell, _tell_failure, callbackArgs=(batch,), errbackArgs=(batch,))
        asking.addBoth(self._came)

    def _came(self, unexpected: object) -> object:
        self._is_under_way = False
        self._send_soon()
        return unexpected

    def _decided(self, changes: Sequence[IsrChange]) -> Deferred[list[Outcome]]:
        epoch = self._broker_epoch()
        return self._line.follow(alter_partitions(self._controllership, self._node_id, epoch, changes), ANSWER_S)

    def _asked(self, changes: Sequence[IsrChange]) -> Deferred[list[Outcome]]:
        if self._line.key is None:
            return fail(Refused(ErrorCode.OPERATION_NOT_ATTEMPTED, "no controller is known"))
        request = AlterPartitionRequest(
            broker_id=self._node_id, broker_epoch=self._broker_epoch(), topics=_topics(changes)
        )
        asking = self._line.ask(request, AlterPartitionResponse, ANSWER_S)
        return asking.addCallback(_outcomes, changes)


Batch = list[tuple[IsrChange, Deferred[AgreedIsr]]]


def _tell(outcomes: list[Outcome], batch: Batch) -> None:
    for outcome, (_, answer) in zip(outcomes, batch, strict=True):
        answer.callback(Failure(outcome) if isinstance(outcome, Refused) else outcome)


def _tell_failure(failure: Failure, batch: Batch) -> None:
    """Tell all of them; what is unknown to the controller is unknown to them."""
    failure.trap(Refused, NoAnswer)
    error = failure.value
    if isinstance(error, Refused) and error.code is ErrorCode.REQUEST_TIMED_OUT:
        error = NoAnswer(str(error))
    for _, answer in batch:
        answer.errback(error.again() if isinstance(error, Refused) else NoAnswer(str(error)))


def _topics(changes: Sequence[IsrChange]) -> list[TopicData]:
    topics: dict[bytes, list[PartitionData]] = {}
    for change in changes:
        topics.setdefault(change.topic_id, []).append(
            PartitionData(
                partition_index=change.index,
                leader_epoch=change.leader_epoch,
                new_isr_with_epochs=[
                    BrokerState(broker_id=member.node_id, broker_epoch=member.broker_epoch) for member in change.isr
                ],
                leader_recovery_state=int(change.is_recovering),
                partition_epoch=change.partition_epoch,
            )
        )
    return [TopicData(topic_id=topic_id, partitions=partitions) for topic_id, partitions in topics.items()]


def _outcomes(answer: AlterPartitionResponse, changes: Sequence[IsrChange]) -> list[Outcome]:
    """Return what the controller says of each change; of one that it says nothing of, nothing is known."""
    if answer.error_code:
        raise Refused(code_of(answer.error_code), "the controller says so")
    said = {(topic.topic_id, part.partition_index): part for topic in answer.topics for part in topic.partitions}
    if any((change.topic_id, change.index) not in said for change in changes):
        raise NoAnswer("the controller has not answered for every partition")
    return [_outcome(said[change.topic_id, change.index]) for change in changes]


def _outcome(said: AlterPartitionResponsePartitionData) -> Outcome:
    if said.error_code:
        return Refused(code_of(said.error_code), "the controller says so")
    return AgreedIsr(
        leader=said.leader_id,
        leader_epoch=said.leader_epoch,
        isr=tuple(said.isr),
        partition_epoch=said.partition_epoch,
        is_recovering=bool(said.leader_recovery_state),
    )


def _agreed(state: PartitionState) -> AgreedIsr:
    return AgreedIsr(
        leader=state.leader,
        leader_epoch=state.leader_epoch,
        isr=state.isr,
        partition_epoch=state.partition_epoch,
        is_recovering=state.is_recovering,
    )
