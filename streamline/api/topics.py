"""
CreateTopics (19) and DeleteTopics (20).

Behaviour: each topic succeeds or fails by itself; a name that a request gives
twice fails.  The answer waits until the partitions that this node has are open,
so that a client can use what it was told is there.

Version notes: CreateTopics 4 broker defaults with -1 (KIP-464); 5 what was made
(KIP-525); 7 topic ids.  DeleteTopics 5 messages; 6 topics by id (KIP-516).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure

from streamline.api.call import Call
from streamline.api.deciding import validate
from streamline.api.forwarding import check_done_here
from streamline.api.settings import Layers, topic_settings
from streamline.cluster.commands import Command, CreateTopic
from streamline.cluster.image import MetadataImage
from streamline.cluster.planning import PARTITIONS_PER_REQUEST_MAX, NewTopic, partition_count, too_many
from streamline.errors import ErrorCode, Refused
from streamline.model import ZERO_UUID, Topic
from streamline.wire.messages.topics import (
    CreatableTopic,
    CreatableTopicConfigs,
    CreatableTopicResult,
    CreateTopicsRequest,
    CreateTopicsResponse,
    DeletableTopicResult,
    DeleteTopicsRequest,
    DeleteTopicsResponse,
    DeleteTopicState,
)

CONFIGS_FROM = 5
TOPICS_PER_TURN = 20
DELETIONS_PER_TURN = 100


def create_topics(call: Call, request: CreateTopicsRequest) -> Deferred[CreateTopicsResponse]:
    """Make each topic, or say whether it could be made."""
    return Deferred.fromCoroutine(_create_all(call, request))


async def _create_all(call: Call, request: CreateTopicsRequest) -> CreateTopicsResponse:
    counts = Counter(topic.name for topic in request.topics)
    results: list[Deferred[CreatableTopicResult]] = []
    partitions = 0
    for topic in {topic.name: topic for topic in request.topics}.values():
        partitions += max(0, partition_count(_new_topic(topic), call.broker.config.broker))
        refusal = _refusal(counts[topic.name], partitions)
        result = fail(refusal) if refusal is not None else Deferred.fromCoroutine(_create(call, topic, request))
        results.append(result.addErrback(_not_created, topic.name))
        if len(results) % TOPICS_PER_TURN == 0:
            await call.broker.turns.next()
    topics = await call.broker.turns.gather(results)
    check_done_here(result.error_code for result in topics)
    return CreateTopicsResponse(topics=topics)


def none_created(request: CreateTopicsRequest, refusal: Refused) -> CreateTopicsResponse:
    """Refuse all of a request."""
    names = dict.fromkeys(topic.name for topic in request.topics)
    return CreateTopicsResponse(topics=[_not_created(Failure(refusal), name) for name in names])


def _refusal(times_named: int, partitions: int) -> Refused | None:
    """Say what is wrong with a topic because of the others in the request."""
    if times_named > 1:
        return Refused(ErrorCode.INVALID_REQUEST, "the request names this topic twice")
    return too_many(partitions) if partitions > PARTITIONS_PER_REQUEST_MAX else None


async def _create(call: Call, topic: CreatableTopic, request: CreateTopicsRequest) -> CreatableTopicResult:
    wanted = _new_topic(topic)
    if len(wanted.assignments) < len(topic.assignments):
        raise Refused(ErrorCode.INVALID_REPLICA_ASSIGNMENT, "a partition is assigned twice")
    if request.validate_only:
        return _planned(call, await validate(call, call.broker.controller.new_topic(wanted)))
    made = await call.broker.controller.create_topic(wanted)
    await call.broker.replicas.when_open(made)
    return _result(call, made.name, made.topic_id, len(made.partitions), len(made.partitions[0].replicas))


def _new_topic(topic: CreatableTopic) -> NewTopic:
    return NewTopic(
        name=topic.name,
        partitions=topic.num_partitions,
        replication_factor=topic.replication_factor,
        assignments={given.partition_index: given.broker_ids for given in topic.assignments},
        configs={given.name: given.value for given in topic.configs},
    )


def _planned(call: Call, commands: Sequence[Command]) -> CreatableTopicResult:
    (command,) = commands
    assert isinstance(command, CreateTopic)
    overrides = {entry.name: entry.value for entry in command.configs}
    return _result(
        call, command.name, ZERO_UUID, len(command.partitions), len(command.partitions[0].replicas), overrides
    )


def _result(
    call: Call, name: str, topic_id: bytes, partitions: int, factor: int, overrides: dict[str, str] | None = None
) -> CreatableTopicResult:
    image = call.broker.metadata.image
    configs = image.configs.get(name, {}) if overrides is None else overrides
    layers = Layers.of(image, call.broker.config)
    shown = topic_settings(layers, configs) if call.version >= CONFIGS_FROM else ()
    return CreatableTopicResult(
        name=name,
        topic_id=topic_id,
        num_partitions=partitions,
        replication_factor=factor,
        configs=[
            CreatableTopicConfigs(name=setting.name, value=setting.value, config_source=setting.source)
            for setting in shown
        ],
    )


def _not_created(failure: Failure, name: str) -> CreatableTopicResult:
    failure.trap(Refused)
    assert isinstance(failure.value, Refused)
    return CreatableTopicResult(
        name=name, error_code=failure.value.code, error_message=failure.value.message or None, configs=None
    )


def delete_topics(call: Call, request: DeleteTopicsRequest) -> Deferred[DeleteTopicsResponse]:
    """Delete each topic."""
    return Deferred.fromCoroutine(_delete_all(call, request))


async def _delete_all(call: Call, request: DeleteTopicsRequest) -> DeleteTopicsResponse:
    if call.version >= 6:
        wanted = list(request.topics)
    else:
        wanted = [DeleteTopicState(name=name) for name in request.topic_names]
    counts = Counter((topic.name, topic.topic_id) for topic in wanted)
    results: list[Deferred[DeletableTopicResult]] = []
    for topic in {(topic.name, topic.topic_id): topic for topic in wanted}.values():
        is_twice = counts[topic.name, topic.topic_id] > 1
        results.append(Deferred.fromCoroutine(_delete(call, topic, is_twice)).addErrback(_not_deleted, topic))
        if len(results) % DELETIONS_PER_TURN == 0:
            await call.broker.turns.next()
    responses = await call.broker.turns.gather(results)
    check_done_here(result.error_code for result in responses)
    return DeleteTopicsResponse(responses=responses)


def none_deleted(request: DeleteTopicsRequest, refusal: Refused) -> DeleteTopicsResponse:
    """Refuse all of a request."""
    wanted = request.topics or [DeleteTopicState(name=name) for name in request.topic_names]
    return DeleteTopicsResponse(responses=[_not_deleted(Failure(refusal), topic) for topic in wanted])


async def _delete(call: Call, wanted: DeleteTopicState, is_twice: bool) -> DeletableTopicResult:
    if not call.broker.config.broker.delete_topic_enable:
        code = ErrorCode.INVALID_REQUEST if call.version < 3 else ErrorCode.TOPIC_DELETION_DISABLED
        raise Refused(code, "delete.topic.enable is false")
    if is_twice:
        raise Refused(ErrorCode.INVALID_REQUEST, "the request names this topic twice")
    deleted = await call.broker.controller.delete_topic(lambda image: _deletable(image, wanted))
    return DeletableTopicResult(name=deleted.name, topic_id=deleted.topic_id)


def _deletable(image: MetadataImage, wanted: DeleteTopicState) -> Topic:
    topic = _find(image, wanted)
    if topic.is_internal:
        raise Refused(ErrorCode.INVALID_TOPIC_EXCEPTION, f"{topic.name} belongs to the cluster itself")
    return topic


def _find(image: MetadataImage, wanted: DeleteTopicState) -> Topic:
    if (wanted.name is None) == (wanted.topic_id == ZERO_UUID):
        raise Refused(ErrorCode.INVALID_REQUEST, "a topic is named or its id is given, one of both")
    if wanted.name is None:
        by_id = image.topic_of(wanted.topic_id)
        if by_id is None:
            raise Refused(ErrorCode.UNKNOWN_TOPIC_ID, "no topic has this id")
        return by_id
    known = image.topics.get(wanted.name)
    if known is None:
        raise Refused(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"there is no topic '{wanted.name}'")
    return known


def _not_deleted(failure: Failure, wanted: DeleteTopicState) -> DeletableTopicResult:
    failure.trap(Refused)
    assert isinstance(failure.value, Refused)
    return DeletableTopicResult(
        name=wanted.name,
        topic_id=wanted.topic_id,
        error_code=failure.value.code,
        error_message=failure.value.message or None,
    )
