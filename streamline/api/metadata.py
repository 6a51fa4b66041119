"""
Metadata (3) and DescribeTopicPartitions (75): which nodes and partitions there are, and who leads them.

Behaviour: a topic that does not exist is made where the client and the node
allow it (auto-creation); the answer then waits until it can be used.

What the controller has pushed is shown before it is applied, but for which topics there are.

Version notes: Metadata 0 asks for all topics with an empty list, later versions
with null; 1 controller; 4 auto-creation can be declined; 5 offline replicas;
8-10 authorized operations; 10 topic ids; 12 topics by id; 13 top-level error.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from streamline.api import operations
from streamline.api.call import Call, Parked
from streamline.api.leaders import address_of
from streamline.cluster.names import check_topic_name
from streamline.cluster.planning import PARTITIONS_PER_REQUEST_MAX, USE_DEFAULT
from streamline.errors import ErrorCode, Refused
from streamline.model import INTERNAL_TOPICS, NO_LEADER, ZERO_UUID, PartitionState, Topic
from streamline.wire.messages.metadata import (
    Cursor,
    DescribeTopicPartitionsRequest,
    DescribeTopicPartitionsResponse,
    DescribeTopicPartitionsResponsePartition,
    DescribeTopicPartitionsResponseTopic,
    MetadataRequest,
    MetadataRequestTopic,
    MetadataResponse,
    MetadataResponseBroker,
    MetadataResponsePartition,
    MetadataResponseTopic,
)

PIECES_PER_TURN = 1000
"""Topics and partitions that are described in one turn."""
CREATIONS_PER_TURN = 5
"""Topics that are made in one turn because somebody asked for them."""


def metadata(call: Call, request: MetadataRequest) -> MetadataResponse | Deferred[MetadataResponse] | Parked:
    """Answer from the image, making missing topics first; wait where another leader is about to be named."""
    waiting: Deferred[Any] | None = call.broker.doubts.when_sure(_leaders(call, request))
    if waiting is None:
        return _known(call, request)
    hurry = waiting.cancel
    return Parked(waiting.addCallback(lambda _: _known(call, request)), lambda: waiting.called or hurry())


def _leaders(call: Call, request: MetadataRequest) -> Collection[int]:
    """Return who leads something that a request is about."""
    wanted, image = request.topics, call.broker.metadata.shown
    topics: Iterable[Topic] = image.topics.values()
    if wanted or (wanted is not None and call.version > 0):
        names = (image.names.get(topic.topic_id, "") if topic.name is None else topic.name for topic in wanted)
        topics = (topic for name in names if (topic := image.topics.get(name)) is not None)
    return {state.leader: None for topic in topics for state in topic.partitions}


def _known(call: Call, request: MetadataRequest) -> MetadataResponse | Deferred[MetadataResponse]:
    """Answer from the image as it is."""
    wanted = request.topics
    if wanted is None or (call.version == 0 and not wanted):
        return _answer(call, request, None, {})
    missing = _missing(call, request, wanted)
    if not missing:
        return _answer(call, request, wanted, {})
    making = Deferred.fromCoroutine(_make_all(call, missing))
    return making.addCallback(lambda failures: _answer(call, request, wanted, failures))


def _answer(
    call: Call, request: MetadataRequest, wanted: Sequence[MetadataRequestTopic] | None, failures: dict[str, Refused]
) -> MetadataResponse | Deferred[MetadataResponse]:
    return call.broker.turns.work_off(_describe_all(call, request, wanted, failures))


def _describe_all(
    call: Call, request: MetadataRequest, wanted: Sequence[MetadataRequestTopic] | None, failures: dict[str, Refused]
) -> Generator[None, None, MetadataResponse]:
    image = call.broker.metadata.shown
    topics: list[MetadataResponseTopic] = []
    pieces = 0
    found: Iterable[Topic | MetadataRequestTopic] = image.topics.values() if wanted is None else wanted
    for one in found:
        topic = _topic(call, request, one) if isinstance(one, Topic) else _wanted(call, request, one, failures)
        topics.append(topic)
        pieces += 1 + len(topic.partitions)
        if pieces >= PIECES_PER_TURN:
            pieces = 0
            yield
    return _response(call, request, topics)


def _missing(call: Call, request: MetadataRequest, wanted: Sequence[MetadataRequestTopic]) -> list[str]:
    """Return the topics to make, each once; no more than CreateTopics would make, the client asks again anyway."""
    broker = call.broker.config.broker
    if not (request.allow_auto_topic_creation and broker.auto_create_topics_enable):
        return []
    topics = call.broker.metadata.image.topics
    missing: dict[str, None] = {}
    for topic in wanted:
        if topic.name is not None and topic.name not in topics and topic.name not in INTERNAL_TOPICS:
            missing[topic.name] = None
    return list(missing)[: max(1, PARTITIONS_PER_REQUEST_MAX // broker.num_partitions)]


async def _make_all(call: Call, names: Sequence[str]) -> dict[str, Refused]:
    """Make topics, a few in a turn: each is milliseconds' work by the time that it is there.  Return what failed."""
    failures: dict[str, Refused] = {}
    made = []
    for number, name in enumerate(names, 1):
        made.append(_make(call, name).addErrback(_note, name, failures))
        if number % CREATIONS_PER_TURN == 0:
            await call.broker.turns.next()
    await call.broker.turns.gather(made)
    return failures


def _make(call: Call, name: str) -> Deferred[None]:
    made = call.broker.controller.ensure_topic(name, USE_DEFAULT, USE_DEFAULT, {})
    return made.addCallback(call.broker.replicas.when_open)


def _note(failure: Failure, name: str, failures: dict[str, Refused]) -> None:
    failure.trap(Refused)
    assert isinstance(failure.value, Refused)
    failures[name] = failure.value


def _wanted(
    call: Call, request: MetadataRequest, topic: MetadataRequestTopic, failures: dict[str, Refused]
) -> MetadataResponseTopic:
    image = call.broker.metadata.shown
    if topic.name is None:
        by_id = image.topic_of(topic.topic_id)
        if by_id is None:
            return MetadataResponseTopic(
                error_code=ErrorCode.UNKNOWN_TOPIC_ID, name=None if call.version >= 12 else "", topic_id=topic.topic_id
            )
        return _topic(call, request, by_id)
    known = image.topics.get(topic.name)
    if known is not None:
        return _topic(call, request, known)
    return MetadataResponseTopic(error_code=_why_missing(topic.name, failures), name=topic.name, topic_id=ZERO_UUID)


def _why_missing(name: str, failures: dict[str, Refused]) -> ErrorCode:
    try:
        check_topic_name(name)
    except Refused as refusal:
        return refusal.code
    refusal_of = failures.get(name)
    return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION if refusal_of is None else refusal_of.code


def _topic(call: Call, request: MetadataRequest, topic: Topic) -> MetadataResponseTopic:
    gone = call.broker.doubts.gone
    return MetadataResponseTopic(
        name=topic.name,
        topic_id=topic.topic_id,
        is_internal=topic.is_internal,
        partitions=[
            MetadataResponsePartition(
                error_code=_leader_error(leader := _leader(state, gone)),
                partition_index=state.index,
                leader_id=leader,
                leader_epoch=state.leader_epoch,
                replica_nodes=state.replicas,
                isr_nodes=state.isr,
                offline_replicas=_offline(call, state),
            )
            for state in topic.partitions
        ],
        topic_authorized_operations=(
            operations.TOPIC if request.include_topic_authorized_operations else operations.NOT_ASKED
        ),
    )


def _leader(state: PartitionState, gone: Collection[int]) -> int:
    """Say who leads; of whom the process is known to be gone leads nothing, whatever the metadata say."""
    return NO_LEADER if state.leader in gone else state.leader


def _leader_error(leader: int) -> ErrorCode:
    return ErrorCode.LEADER_NOT_AVAILABLE if leader == NO_LEADER else ErrorCode.NONE


def _offline(call: Call, state: PartitionState) -> list[int]:
    brokers = call.broker.metadata.shown.brokers
    return [node for node in state.replicas if node not in brokers or brokers[node].fenced]


def _response(call: Call, request: MetadataRequest, topics: list[MetadataResponseTopic]) -> MetadataResponse:
    store, gone = call.broker.metadata, call.broker.doubts.gone
    return MetadataResponse(
        brokers=[
            MetadataResponseBroker(node_id=broker.node_id, host=address.host, port=address.port, rack=broker.rack)
            for broker in store.shown.brokers.values()
            if (not broker.fenced or broker.node_id in gone) and (address := address_of(call, broker))
        ],
        cluster_id=store.image.cluster_id,
        controller_id=-1 if store.consensus.leader_id is None else store.consensus.leader_id,
        topics=topics,
        cluster_authorized_operations=(
            operations.CLUSTER if request.include_cluster_authorized_operations else operations.NOT_ASKED
        ),
    )


def describe_topic_partitions(
    call: Call, request: DescribeTopicPartitionsRequest
) -> DescribeTopicPartitionsResponse | Deferred[DescribeTopicPartitionsResponse]:
    """Answer with one page: topics in the order of their names, up to a limit of partitions (KIP-966)."""
    return call.broker.turns.work_off(_page(call, request))


def _page(
    call: Call, request: DescribeTopicPartitionsRequest
) -> Generator[None, None, DescribeTopicPartitionsResponse]:
    image = call.broker.metadata.shown
    names, first = _from_cursor(sorted({topic.name: None for topic in request.topics} or image.topics), request.cursor)
    room = min(max(1, request.response_partition_limit), call.broker.config.broker.max_request_partition_size_limit)
    topics: list[DescribeTopicPartitionsResponseTopic] = []
    response = DescribeTopicPartitionsResponse(topics=topics)
    for name in names:
        if room <= 0:
            response.next_cursor = Cursor(topic_name=name, partition_index=0)
            break
        known = image.topics.get(name)
        if known is None:
            topics.append(_unknown_topic(name))
        else:
            page = known.partitions[first : first + room]
            topics.append(_described(call, known, page))
            room -= len(page)
            if first + len(page) < len(known.partitions):
                response.next_cursor = Cursor(topic_name=name, partition_index=first + len(page))
                break
        first = 0
        if len(topics) % PIECES_PER_TURN == 0:
            yield
    return response


def _from_cursor(names: list[str], cursor: Cursor | None) -> tuple[list[str], int]:
    """Return the topics that are left, and the first partition of the first one."""
    if cursor is None:
        return names, 0
    names = [name for name in names if name >= cursor.topic_name]
    is_there = bool(names) and names[0] == cursor.topic_name
    return names, max(0, cursor.partition_index) if is_there else 0


def _unknown_topic(name: str) -> DescribeTopicPartitionsResponseTopic:
    return DescribeTopicPartitionsResponseTopic(error_code=_why_missing(name, {}), name=name)


def _described(
    call: Call, topic: Topic, page: Sequence[PartitionState]
) -> DescribeTopicPartitionsResponseTopic:
    gone = call.broker.doubts.gone
    return DescribeTopicPartitionsResponseTopic(
        name=topic.name,
        topic_id=topic.topic_id,
        is_internal=topic.is_internal,
        partitions=[
            DescribeTopicPartitionsResponsePartition(
                error_code=_leader_error(leader := _leader(state, gone)),
                partition_index=state.index,
                leader_id=leader,
                leader_epoch=state.leader_epoch,
                replica_nodes=state.replicas,
                isr_nodes=state.isr,
                eligible_leader_replicas=state.elr,
                last_known_elr=(),
                offline_replicas=_offline(call, state),
            )
            for state in page
        ],
        topic_authorized_operations=operations.TOPIC,
    )
