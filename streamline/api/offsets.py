"""
OffsetCommit (8) and OffsetFetch (9): how far groups have come.

Behaviour: a commit is answered when every in-sync replica has it.  A partition
that does not exist cannot be committed; one that was never committed is
fetched as offset -1 without an error.  An offset that was committed in a topic
since made anew under the same name is not found (KR30).

Version notes: OffsetCommit 2-4 retention time; 6 leader epoch; 7 static
members; 9 KIP-848's error for unknown groups; 10 topic ids.  OffsetFetch 2 all
topics with null, and a top-level error; 5 leader epoch; 8 several groups
(KIP-709); 10 topic ids.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import Any

from twisted.internet.defer import Deferred

from streamline.api.call import Call, Hold, Later, LaterBy
from streamline.api.leaders import topic_name
from streamline.errors import ErrorCode, Refused
from streamline.groups.entries import CommittedOffset
from streamline.groups.offsets import Commit, NewOffset
from streamline.groups.shard import GroupShard
from streamline.model import NO_OFFSET, ZERO_UUID, Topic, TopicPartition
from streamline.services.shards import Reply
from streamline.services.turns import Pace
from streamline.wire.messages.offsets import (
    OffsetCommitRequest,
    OffsetCommitRequestTopic,
    OffsetCommitResponse,
    OffsetCommitResponsePartition,
    OffsetCommitResponseTopic,
    OffsetFetchRequest,
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopic,
    OffsetFetchRequestTopics,
    OffsetFetchResponse,
    OffsetFetchResponseGroup,
    OffsetFetchResponsePartition,
    OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
)

TOPIC_IDS_FROM = 10
SEVERAL_GROUPS_FROM = 8
TOP_LEVEL_ERROR_FROM = 2
GROUP_ID_NOT_FOUND_FROM = 9
PIECES_PER_TURN = 500
"""Partitions, topics and groups that are looked up, or committed, in one turn."""


# OffsetCommit


def offset_commit(call: Call, request: OffsetCommitRequest) -> OffsetCommitResponse | Later | Hold:
    """Commit what can be committed; answer when the log has it."""
    count = 0
    for topic in request.topics:
        count += len(topic.partitions)
    if count > PIECES_PER_TURN:
        return Hold(Deferred.fromCoroutine(_commit_many(call, request)))
    answer = _commit(call, request, request.topics)
    # What was appended is owed an answer, even by a node that is about to stop.
    return LaterBy(lambda: answer) if isinstance(answer, Deferred) else answer


async def _commit_many(call: Call, request: OffsetCommitRequest) -> Later:
    """Commit some at a time, a batch in the log for each; each succeeds or fails by itself."""
    answers = []
    for some in _portions(request.topics):
        answers.append(_commit(call, request, some))
        await call.broker.turns.next()
    answer = Deferred.fromCoroutine(_all_committed(call, answers))
    return LaterBy(lambda: answer)


def _portions(topics: Sequence[OffsetCommitRequestTopic]) -> Iterator[list[OffsetCommitRequestTopic]]:
    """Yield what a request says of so many partitions as are committed in one turn."""
    portion: list[OffsetCommitRequestTopic] = []
    left = PIECES_PER_TURN
    for topic in topics:
        at = 0
        while at < len(topic.partitions):
            some = topic.partitions[at : at + left]
            portion.append(OffsetCommitRequestTopic(name=topic.name, topic_id=topic.topic_id, partitions=some))
            at += len(some)
            left -= len(some)
            if not left:
                yield portion
                portion, left = [], PIECES_PER_TURN
    if portion:
        yield portion


async def _all_committed(
    call: Call, answers: Sequence[OffsetCommitResponse | Deferred[OffsetCommitResponse]]
) -> OffsetCommitResponse:
    topics: list[OffsetCommitResponseTopic] = []
    for answer in answers:
        some = await answer if isinstance(answer, Deferred) else answer
        for topic in some.topics:
            if topics and (topics[-1].name, topics[-1].topic_id) == (topic.name, topic.topic_id):
                topics[-1].partitions += topic.partitions  # type: ignore[operator]
            else:
                topics.append(topic)
        await call.broker.turns.next()
    return OffsetCommitResponse(topics=topics)


def _commit(
    call: Call, request: OffsetCommitRequest, topics: Sequence[OffsetCommitRequestTopic]
) -> OffsetCommitResponse | Deferred[OffsetCommitResponse]:
    errors: list[ErrorCode] = []
    offsets: list[NewOffset] = []
    for topic in topics:
        _check(call, topic, errors, offsets)
    commit = Commit(
        group_id=request.group_id,
        member_id=request.member_id,
        instance_id=request.group_instance_id,
        generation_id=request.generation_id_or_member_epoch,
        retention_ms=request.retention_time_ms,
        knows_group_id_not_found=call.version >= GROUP_ID_NOT_FOUND_FROM,
        offsets=tuple(offsets),
    )
    try:
        reply = call.broker.groups.shard(request.group_id).commit(commit)
    except Refused as refusal:
        reply = Reply()
        reply.tell((refusal.code,) * len(offsets))
    return reply.then(lambda told: _committed(topics, errors, told))


def _check(call: Call, topic: OffsetCommitRequestTopic, errors: list[ErrorCode], offsets: list[NewOffset]) -> None:
    """Add an error for each partition of a topic, and an offset for each that exists."""
    name = topic_name(call, TOPIC_IDS_FROM, topic.name, topic.topic_id)
    known = None if name is None else call.broker.metadata.image.topics.get(name)
    unknown = ErrorCode.UNKNOWN_TOPIC_ID if name is None else ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    for part in topic.partitions:
        if known is None or not 0 <= part.partition_index < len(known.partitions):
            errors.append(unknown)
            continue
        errors.append(ErrorCode.NONE)
        offsets.append(
            NewOffset(
                partition=TopicPartition(known.name, part.partition_index),
                offset=part.committed_offset,
                leader_epoch=part.committed_leader_epoch,
                metadata=part.committed_metadata,
                topic_id=known.topic_id,
            )
        )


def _committed(
    topics: Sequence[OffsetCommitRequestTopic], errors: Sequence[ErrorCode], told: Sequence[ErrorCode]
) -> OffsetCommitResponse:
    """Put together what was known at once and what the group said about the rest."""
    said = iter(told)
    results = iter([error or next(said) for error in errors])
    return OffsetCommitResponse(
        topics=[
            OffsetCommitResponseTopic(
                name=topic.name,
                topic_id=topic.topic_id,
                partitions=[
                    OffsetCommitResponsePartition(partition_index=part.partition_index, error_code=next(results))
                    for part in topic.partitions
                ],
            )
            for topic in topics
        ]
    )


# OffsetFetch


Wanted = Sequence[OffsetFetchRequestTopics] | Sequence[OffsetFetchRequestTopic] | None
"""The topics that a request asks for; None for all."""

TopicAnswer = Any
"""OffsetFetchResponseTopics for several groups, OffsetFetchResponseTopic before."""


def offset_fetch(call: Call, request: OffsetFetchRequest) -> OffsetFetchResponse | Deferred[OffsetFetchResponse]:
    """Look up what groups have committed; each once, however often it is named, lest a short request ask for a lot."""
    return call.broker.turns.work_off(Fetching(call).answer(request))


class Fetching:
    """One OffsetFetch, which pauses where it looks up so much that others should have the reactor."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._pace = Pace(PIECES_PER_TURN)

    def answer(self, request: OffsetFetchRequest) -> Generator[None, None, OffsetFetchResponse]:
        """Look everything up."""
        version = self._call.version
        if version >= SEVERAL_GROUPS_FROM:
            groups = []
            for wanted in {group.group_id: group for group in request.groups}.values():
                groups.append((yield from self._group(wanted)))
                if self._pace.is_due():
                    yield
            return OffsetFetchResponse(groups=groups)
        try:
            topics = yield from self._topics(request.group_id, request.topics)
        except Refused as refusal:
            if version >= TOP_LEVEL_ERROR_FROM:
                return OffsetFetchResponse(error_code=refusal.code)
            topics = yield from self._all_refused(request, refusal.code)
        return OffsetFetchResponse(topics=topics)

    def _group(self, group: OffsetFetchRequestGroup) -> Generator[None, None, OffsetFetchResponseGroup]:
        try:
            topics = yield from self._topics(group.group_id, group.topics)
        except Refused as refusal:
            return OffsetFetchResponseGroup(group_id=group.group_id, error_code=refusal.code)
        return OffsetFetchResponseGroup(group_id=group.group_id, topics=topics)

    def _topics(self, group_id: str, topics: Wanted) -> Generator[None, None, list[TopicAnswer]]:
        """
        Return what a group has committed in these topics.

        @raise Refused: this node cannot say.
        """
        groups = self._call.broker.groups.shard(group_id).groups
        if topics is None:
            return (yield from self._everything(groups, group_id))
        answers = []
        for topic in topics:
            answers.append((yield from self._topic(groups, group_id, topic)))
            if self._pace.is_due():
                yield
        return answers

    def _topic(
        self, groups: GroupShard, group_id: str, topic: OffsetFetchRequestTopics | OffsetFetchRequestTopic
    ) -> Generator[None, None, TopicAnswer]:
        asked_id = topic.topic_id if isinstance(topic, OffsetFetchRequestTopics) else ZERO_UUID
        name = topic_name(self._call, TOPIC_IDS_FROM, topic.name, asked_id)
        error, topic_id = ErrorCode.NONE, ZERO_UUID
        if name is None:
            name, topic_id, error = "", asked_id, ErrorCode.UNKNOWN_TOPIC_ID
        else:
            topic_id = _topic_id(self._call, name)
        parts: list[Any] = []
        for index in topic.partition_indexes:
            committed = None if error else groups.find_offset(group_id, TopicPartition(name, index), topic_id)
            parts.append(self._found(index, error, committed))
            if self._pace.is_due():
                yield
        return self._answer(name, topic_id, parts)

    def _everything(self, groups: GroupShard, group_id: str) -> Generator[None, None, list[TopicAnswer]]:
        """Return each topic that the group has committed something in; by id, only those that still exist."""
        topics: dict[str, list[Any]] = {}
        for partition, _ in groups.all_offsets(group_id):
            committed = groups.find_offset(group_id, partition, _topic_id(self._call, partition.topic))
            if committed is not None:
                found = self._found(partition.partition, ErrorCode.NONE, committed)
                topics.setdefault(partition.topic, []).append(found)
            if self._pace.is_due():
                yield
        with_ids = self._call.version >= TOPIC_IDS_FROM
        return [
            self._answer(name, topic_id, parts)
            for name, parts in topics.items()
            if (topic_id := _topic_id(self._call, name)) != ZERO_UUID or not with_ids
        ]

    def _all_refused(
        self, request: OffsetFetchRequest, error: ErrorCode
    ) -> Generator[None, None, list[TopicAnswer]]:
        answers = []
        for topic in request.topics or ():
            parts = [self._found(index, error, None) for index in topic.partition_indexes]
            answers.append(self._answer(topic.name, ZERO_UUID, parts))
            if self._pace.is_due(1 + len(parts)):
                yield
        return answers

    def _found(self, index: int, error: ErrorCode, committed: CommittedOffset | None) -> Any:
        """Say what there is for one partition; the fields are the same in every version."""
        several = self._call.version >= SEVERAL_GROUPS_FROM
        found: Any = OffsetFetchResponsePartitions() if several else OffsetFetchResponsePartition()
        found.partition_index = index
        found.error_code = error
        found.metadata = ""
        found.committed_offset = NO_OFFSET
        if committed is not None:
            found.committed_offset = committed.offset
            found.committed_leader_epoch = committed.leader_epoch
            found.metadata = committed.metadata
        return found

    def _answer(self, name: str, topic_id: bytes, parts: list[Any]) -> TopicAnswer:
        if self._call.version >= SEVERAL_GROUPS_FROM:
            return OffsetFetchResponseTopics(name=name, topic_id=topic_id, partitions=parts)
        return OffsetFetchResponseTopic(name=name, partitions=parts)


def _topic_id(call: Call, name: str) -> bytes:
    known: Topic | None = call.broker.metadata.image.topics.get(name)
    return ZERO_UUID if known is None else known.topic_id
