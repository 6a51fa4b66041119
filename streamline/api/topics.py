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

from twisted.internet.defer import Deferred, gatherResults, succeed
from twisted.python.failure import Failure

from streamline.api.call import Call
from streamline.api.settings import topic_settings
from streamline.cluster.commands import CreateTopic
from streamline.cluster.planning import NewTopic
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


def create_topics(call: Call, request: CreateTopicsRequest) -> Deferred[CreateTopicsResponse]:
    """Make each topic, or say whether it could be made."""
    counts = Counter(topic.name for topic in request.topics)
    results = [
        _duplicate(name) if counts[name] > 1 else _try_to_create(call, topic, request.validate_only)
        for name, topic in {topic.name: topic for topic in request.topics}.items()
    ]
    return gatherResults(results, consumeErrors=True).addCallback(lambda topics: CreateTopicsResponse(topics=topics))


def _duplicate(name: str) -> Deferred[CreatableTopicResult]:
    return succeed(
        CreatableTopicResult(
            name=name, error_code=ErrorCode.INVALID_REQUEST, error_message="the request names this topic twice"
        )
    )


def _try_to_create(call: Call, topic: CreatableTopic, validate_only: bool) -> Deferred[CreatableTopicResult]:
    return Deferred.fromCoroutine(_create(call, topic, validate_only)).addErrback(_not_created, topic.name)


async def _create(call: Call, topic: CreatableTopic, validate_only: bool) -> CreatableTopicResult:
    wanted = NewTopic(
        name=topic.name,
        partitions=topic.num_partitions,
        replication_factor=topic.replication_factor,
        assignments=_assignments(topic),
        configs=_configs(topic),
    )
    if validate_only:
        return _planned(call, call.broker.controller.plan(wanted))
    made = await call.broker.controller.create_topic(wanted)
    await call.broker.replicas.when_open(made)
    return _result(call, made.name, made.topic_id, len(made.partitions), len(made.partitions[0].replicas))


def _assignments(topic: CreatableTopic) -> dict[int, Sequence[int]]:
    assignments = {given.partition_index: given.broker_ids for given in topic.assignments}
    if len(assignments) < len(topic.assignments):
        raise Refused(ErrorCode.INVALID_REPLICA_ASSIGNMENT, "a partition is assigned twice")
    return assignments


def _configs(topic: CreatableTopic) -> dict[str, str | None]:
    return {given.name: given.value for given in topic.configs}


def _planned(call: Call, command: CreateTopic) -> CreatableTopicResult:
    overrides = {entry.name: entry.value for entry in command.configs}
    return _result(
        call, command.name, ZERO_UUID, len(command.partitions), len(command.partitions[0].replicas), overrides
    )


def _result(
    call: Call, name: str, topic_id: bytes, partitions: int, factor: int, overrides: dict[str, str] | None = None
) -> CreatableTopicResult:
    configs = call.broker.metadata.image.configs.get(name, {}) if overrides is None else overrides
    return CreatableTopicResult(
        name=name,
        topic_id=topic_id,
        num_partitions=partitions,
        replication_factor=factor,
        configs=[
            CreatableTopicConfigs(name=setting.name, value=setting.value, config_source=setting.source)
            for setting in topic_settings(call.broker.config.broker, configs)
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
    if call.version >= 6:
        wanted = list(request.topics)
    else:
        wanted = [DeleteTopicState(name=name) for name in request.topic_names]
    results = [Deferred.fromCoroutine(_delete(call, topic)).addErrback(_not_deleted, topic) for topic in wanted]
    answer = gatherResults(results, consumeErrors=True)
    return answer.addCallback(lambda responses: DeleteTopicsResponse(responses=responses))


async def _delete(call: Call, wanted: DeleteTopicState) -> DeletableTopicResult:
    if not call.broker.config.broker.delete_topic_enable:
        code = ErrorCode.INVALID_REQUEST if call.version < 3 else ErrorCode.TOPIC_DELETION_DISABLED
        raise Refused(code, "delete.topic.enable is false")
    topic = _find(call, wanted)
    if topic.is_internal:
        raise Refused(ErrorCode.INVALID_TOPIC_EXCEPTION, f"{topic.name} belongs to the cluster itself")
    deleted = await call.broker.controller.delete_topic(topic)
    return DeletableTopicResult(name=deleted.name, topic_id=deleted.topic_id)


def _find(call: Call, wanted: DeleteTopicState) -> Topic:
    image = call.broker.metadata.image
    if wanted.name is not None and wanted.topic_id != ZERO_UUID:
        raise Refused(ErrorCode.INVALID_REQUEST, "a topic is named or its id is given, not both")
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
