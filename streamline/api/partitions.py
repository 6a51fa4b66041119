"""
CreatePartitions (37), on the controller.

Behaviour: each topic succeeds or fails by itself; the answer waits until the partitions that this node has are open.

Version notes: none changes more than the encoding.
"""

from __future__ import annotations

from collections import Counter

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from streamline.api.call import Call
from streamline.api.deciding import decide
from streamline.api.forwarding import check_done_here
from streamline.cluster.planning import PARTITIONS_PER_REQUEST_MAX, too_many
from streamline.errors import ErrorCode, Refused
from streamline.wire.messages.topics import (
    CreatePartitionsRequest,
    CreatePartitionsResponse,
    CreatePartitionsTopic,
    CreatePartitionsTopicResult,
)

TOPICS_PER_TURN = 20


def create_partitions(call: Call, request: CreatePartitionsRequest) -> Deferred[CreatePartitionsResponse]:
    """Give each topic more partitions, or say why not."""
    return Deferred.fromCoroutine(_create_all(call, request))


def no_partitions_created(request: CreatePartitionsRequest, refusal: Refused) -> CreatePartitionsResponse:
    """Refuse all of a request."""
    names = dict.fromkeys(topic.name for topic in request.topics)
    return CreatePartitionsResponse(results=[_result(name, refusal) for name in names])


async def _create_all(call: Call, request: CreatePartitionsRequest) -> CreatePartitionsResponse:
    times = Counter(topic.name for topic in request.topics)
    results: list[Deferred[CreatePartitionsTopicResult]] = []
    left = PARTITIONS_PER_REQUEST_MAX
    for topic in {topic.name: topic for topic in request.topics}.values():
        left -= _added(call, topic)
        creating = Deferred.fromCoroutine(_create(call, topic, times[topic.name] > 1, left, request.validate_only))
        results.append(creating.addErrback(_not_created, topic.name))
        if len(results) % TOPICS_PER_TURN == 0:
            await call.broker.turns.next()
    made = await call.broker.turns.gather(results)
    check_done_here(result.error_code for result in made)
    return CreatePartitionsResponse(results=made)


def _added(call: Call, wanted: CreatePartitionsTopic) -> int:
    topic = call.broker.metadata.image.topics.get(wanted.name)
    return 0 if topic is None else max(0, wanted.count - len(topic.partitions))


async def _create(
    call: Call, wanted: CreatePartitionsTopic, is_twice: bool, left: int, validate_only: bool
) -> CreatePartitionsTopicResult:
    if is_twice:
        raise Refused(ErrorCode.INVALID_REQUEST, "the request names this topic twice")
    if left < 0:
        raise too_many(PARTITIONS_PER_REQUEST_MAX - left)
    given = wanted.assignments
    assignments = None if given is None else [one.broker_ids for one in given]
    plan = call.broker.controller.more_partitions(wanted.name, wanted.count, assignments)
    for topic in await decide(call, plan, validate_only=validate_only):
        await call.broker.replicas.when_open(topic)
    return _result(wanted.name, None)


def _not_created(failure: Failure, name: str) -> CreatePartitionsTopicResult:
    failure.trap(Refused)
    assert isinstance(failure.value, Refused)
    return _result(name, failure.value)


def _result(name: str, refusal: Refused | None) -> CreatePartitionsTopicResult:
    return CreatePartitionsTopicResult(
        name=name,
        error_code=ErrorCode.NONE if refusal is None else refusal.code,
        error_message=None if refusal is None else refusal.message or None,
    )
