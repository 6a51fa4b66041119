"""
ElectLeaders (43), AlterPartitionReassignments (45) and ListPartitionReassignments (46), on the controller.

Behaviour: each partition succeeds or fails by itself, and all that succeed are agreed on together.

Version notes: ElectLeaders 0 knows preferred leaders only; 1 unclean elections and an error for all (KIP-460).
AlterPartitionReassignments 1 can insist on as many replicas as there are (KIP-860).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias, TypeVar

from twisted.internet.defer import Deferred

from streamline.api.call import Call
from streamline.api.deciding import decide
from streamline.cluster.commands import Command
from streamline.cluster.elections import Elected, elect_leaders
from streamline.cluster.image import MetadataImage
from streamline.cluster.leadership import Election
from streamline.cluster.reassignment import reassign
from streamline.errors import ErrorCode, Refused
from streamline.model import PartitionState, Topic, TopicPartition
from streamline.wire.messages.reassignment import (
    AlterPartitionReassignmentsRequest,
    AlterPartitionReassignmentsResponse,
    ElectLeadersRequest,
    ElectLeadersResponse,
    ListPartitionReassignmentsRequest,
    ListPartitionReassignmentsResponse,
    OngoingPartitionReassignment,
    OngoingTopicReassignment,
    PartitionResult,
    ReassignablePartition,
    ReassignablePartitionResponse,
    ReassignableTopicResponse,
    ReplicaElectionResult,
)

ELECTIONS = (Election.PREFERRED, Election.UNCLEAN)
"""By Kafka's numbers."""
ELECTIONS_PER_TURN = MOVES_PER_TURN = 500
"""Partitions that are decided about together, where they are named."""

T = TypeVar("T")


def elect(call: Call, request: ElectLeadersRequest) -> Deferred[ElectLeadersResponse]:
    """Elect the leaders that somebody asks for."""
    return Deferred.fromCoroutine(_elect(call, request))


async def _elect(call: Call, request: ElectLeadersRequest) -> ElectLeadersResponse:
    if not 0 <= request.election_type < len(ELECTIONS):
        raise Refused(ErrorCode.INVALID_REQUEST, f"there are no elections of type {request.election_type}")
    election = ELECTIONS[request.election_type]
    asked = _asked_for(request)
    if asked is None:
        return ElectLeadersResponse(replica_election_results=_results(await _decide(call, election, None)))
    results: dict[str, list[PartitionResult]] = {}
    for at in range(0, max(1, len(asked)), ELECTIONS_PER_TURN):
        some = asked[at : at + ELECTIONS_PER_TURN]
        try:
            _add(results, await _decide(call, election, some))
        except Refused as refusal:
            if not results:
                raise
            _add(results, [Elected(one, refusal) for one in some])
        if len(some) == ELECTIONS_PER_TURN:
            await call.broker.turns.next()
    return ElectLeadersResponse(replica_election_results=_shown(results))


async def _decide(call: Call, election: Election, asked: Sequence[TopicPartition] | None) -> list[Elected]:
    elected: list[Elected] = []

    def plan(image: MetadataImage) -> list[Command]:
        commands, elected[:] = elect_leaders(image, election, asked)
        return commands

    await decide(call, plan)
    return elected


def none_elected(request: ElectLeadersRequest, refusal: Refused) -> ElectLeadersResponse:
    """Refuse all of a request, each partition by itself where they are named, as version 0 has no other way."""
    wanted = _asked_for(request)
    if wanted is None:
        return ElectLeadersResponse(error_code=refusal.code)
    return ElectLeadersResponse(replica_election_results=_results([Elected(one, refusal) for one in wanted]))


def _asked_for(request: ElectLeadersRequest) -> list[TopicPartition] | None:
    if request.topic_partitions is None:
        return None
    wanted = (TopicPartition(topic.topic, index) for topic in request.topic_partitions for index in topic.partitions)
    return list(dict.fromkeys(wanted))


def _results(elected: Iterable[Elected]) -> list[ReplicaElectionResult]:
    results: dict[str, list[PartitionResult]] = {}
    _add(results, elected)
    return _shown(results)


def _add(results: dict[str, list[PartitionResult]], elected: Iterable[Elected]) -> None:
    for one in elected:
        result = PartitionResult(
            partition_id=one.partition.partition, error_code=_code(one.refusal), error_message=_message(one.refusal)
        )
        results.setdefault(one.partition.topic, []).append(result)


def _shown(results: Mapping[str, list[PartitionResult]]) -> list[ReplicaElectionResult]:
    return [ReplicaElectionResult(topic=topic, partition_result=each) for topic, each in results.items()]


def alter_reassignments(
    call: Call, request: AlterPartitionReassignmentsRequest
) -> Deferred[AlterPartitionReassignmentsResponse]:
    """Begin to move partitions, or end moves."""
    return Deferred.fromCoroutine(_reassign(call, request))


async def _reassign(
    call: Call, request: AlterPartitionReassignmentsRequest
) -> AlterPartitionReassignmentsResponse:
    may_change = request.allow_replication_factor_change
    wanted = [(topic.name, one) for topic in request.topics for one in topic.partitions]
    seen: dict[TopicPartition, None] = {}
    results: dict[str, list[ReassignablePartitionResponse]] = {}
    for at in range(0, max(1, len(wanted)), MOVES_PER_TURN):
        some = _each_once(wanted[at : at + MOVES_PER_TURN], seen)
        try:
            outcomes = await _move(call, some, may_change)
        except Refused as refusal:
            if not results:
                raise
            outcomes = [refusal] * len(some)
        for (partition, _, _), outcome in zip(some, outcomes, strict=True):
            results.setdefault(partition.topic, []).append(_moved(partition.partition, outcome))
        if len(some) == MOVES_PER_TURN:
            await call.broker.turns.next()
    responses = [ReassignableTopicResponse(name=topic, partitions=parts) for topic, parts in results.items()]
    return AlterPartitionReassignmentsResponse(allow_replication_factor_change=may_change, responses=responses)


Move: TypeAlias = tuple[TopicPartition, ReassignablePartition, bool]
"""A partition, where to move it, and whether the request has named it before."""


def _each_once(
    wanted: Iterable[tuple[str, ReassignablePartition]], seen: dict[TopicPartition, None]
) -> list[Move]:
    moves = []
    for topic, target in wanted:
        partition = TopicPartition(topic, target.partition_index)
        moves.append((partition, target, partition in seen))
        seen[partition] = None
    return moves


async def _move(call: Call, moves: Sequence[Move], may_change: bool) -> list[Refused | None]:
    outcomes: list[Refused | None] = []

    def plan(image: MetadataImage) -> list[Command]:
        outcomes.clear()
        commands: list[Command] = []
        for partition, target, is_twice in moves:
            try:
                if is_twice:
                    raise Refused(ErrorCode.INVALID_REQUEST, "the request names this partition twice")
                _check_factor(image, partition, target, may_change)
                commands += reassign(image, partition, target.replicas)
            except Refused as refusal:
                outcomes.append(refusal.again())  # the one that was raised would keep all that is kept here
            else:
                outcomes.append(None)
        return commands

    await decide(call, plan)
    return outcomes


def _check_factor(
    image: MetadataImage, partition: TopicPartition, target: ReassignablePartition, may_change: bool
) -> None:
    """KIP-860: a client that only moves replicas does not want to change by accident how many there are."""
    state = image.partition(partition.topic, partition.partition)
    if may_change or state is None or target.replicas is None:
        return
    now = len(state.replicas) - len(state.adding)
    if len(target.replicas) != now:
        why = f"{partition} has {now} replicas, not {len(target.replicas)}"
        raise Refused(ErrorCode.INVALID_REPLICATION_FACTOR, why)


def none_reassigned(
    request: AlterPartitionReassignmentsRequest, refusal: Refused
) -> AlterPartitionReassignmentsResponse:
    """Refuse all of a request."""
    return AlterPartitionReassignmentsResponse(
        error_code=refusal.code, error_message=refusal.message or None, responses=[]
    )


def _moved(index: int, refusal: Refused | None) -> ReassignablePartitionResponse:
    return ReassignablePartitionResponse(
        partition_index=index, error_code=_code(refusal), error_message=_message(refusal)
    )


def list_reassignments(
    call: Call, request: ListPartitionReassignmentsRequest
) -> ListPartitionReassignmentsResponse:
    """Show the moves that are under way."""
    if not call.broker.forwarding.leads:
        raise Refused(ErrorCode.NOT_CONTROLLER, "this node is not the controller")
    image = call.broker.metadata.image
    ongoing = ((topic.name, _ongoing(state)) for topic, state in _moving(image, request))
    return ListPartitionReassignmentsResponse(
        error_message=None,
        topics=[OngoingTopicReassignment(name=name, partitions=parts) for name, parts in _by_topic(ongoing)],
    )


def none_listed(request: ListPartitionReassignmentsRequest, refusal: Refused) -> ListPartitionReassignmentsResponse:
    """Refuse a request."""
    return ListPartitionReassignmentsResponse(error_code=refusal.code, error_message=refusal.message or None, topics=[])


def _moving(
    image: MetadataImage, request: ListPartitionReassignmentsRequest
) -> Iterator[tuple[Topic, PartitionState]]:
    """Yield the partitions that are moving, of those that the client asks for."""
    asked = None
    if request.topics is not None:
        asked = {one.name: dict.fromkeys(one.partition_indexes) for one in request.topics}
    for topic in image.topics.values() if asked is None else map(image.topics.get, asked):
        for state in () if topic is None else topic.partitions:
            is_asked = asked is None or state.index in asked[topic.name]  # type: ignore[union-attr]
            if is_asked and (state.adding or state.removing):
                yield topic, state  # type: ignore[misc]


def _ongoing(state: PartitionState) -> OngoingPartitionReassignment:
    return OngoingPartitionReassignment(
        partition_index=state.index,
        replicas=state.replicas,
        adding_replicas=state.adding,
        removing_replicas=state.removing,
    )


def _by_topic(found: Iterable[tuple[str, T]]) -> Iterable[tuple[str, list[T]]]:
    topics: dict[str, list[T]] = {}
    for topic, one in found:
        topics.setdefault(topic, []).append(one)
    return topics.items()


def _code(refusal: Refused | None) -> ErrorCode:
    return ErrorCode.NONE if refusal is None else refusal.code


def _message(refusal: Refused | None) -> str | None:
    return None if refusal is None else refusal.message or None
