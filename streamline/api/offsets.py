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

from collections.abc import Iterator, Sequence

from twisted.internet.defer import Deferred

from streamline.api.call import Call, Later, LaterBy
from streamline.api.leaders import topic_name
from streamline.errors import ErrorCode, Refused
from streamline.groups.entries import CommittedOffset
from streamline.groups.offsets import Commit, NewOffset
from streamline.groups.shard import GroupShard
from streamline.model import NO_OFFSET, ZERO_UUID, Topic, TopicPartition
from streamline.services.shards import Reply
from streamline.values import frozen
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


# OffsetCommit


def offset_commit(call: Call, request: OffsetCommitRequest) -> OffsetCommitResponse | Later:
    """Commit what can be committed; answer when the log has it."""
    errors: list[ErrorCode] = []
    offsets: list[NewOffset] = []
    for topic in request.topics:
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
    answer = reply.then(lambda told: _committed(request, errors, told))
    # What was appended is owed an answer, even by a node that is about to stop.
    return LaterBy(lambda: answer) if isinstance(answer, Deferred) else answer


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
    request: OffsetCommitRequest, errors: Sequence[ErrorCode], told: Sequence[ErrorCode]
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
            for topic in request.topics
        ]
    )


# OffsetFetch


@frozen
class Found:
    """What there is for one partition."""

    index: int
    error: ErrorCode = ErrorCode.NONE
    committed: CommittedOffset | None = None

    @property
    def fields(self) -> dict[str, int | str]:
        """The fields of the answer's partition, which are the same in every version."""
        fields: dict[str, int | str] = {"partition_index": self.index, "error_code": self.error, "metadata": ""}
        fields["committed_offset"] = NO_OFFSET
        if self.committed is not None:
            fields["committed_offset"] = self.committed.offset
            fields["committed_leader_epoch"] = self.committed.leader_epoch
            fields["metadata"] = self.committed.metadata
        return fields


Wanted = Sequence[OffsetFetchRequestTopics] | Sequence[OffsetFetchRequestTopic] | None
"""The topics that a request asks for; None for all."""

FoundTopic = tuple[str, bytes, list[Found]]


def offset_fetch(call: Call, request: OffsetFetchRequest) -> OffsetFetchResponse:
    """Look up what groups have committed; each once, however often it is named, lest a short request ask for a lot."""
    if call.version >= SEVERAL_GROUPS_FROM:
        groups = {group.group_id: group for group in request.groups}
        return OffsetFetchResponse(groups=[_fetch_group(call, group) for group in groups.values()])
    try:
        found = _fetch(call, request.group_id, request.topics)
    except Refused as refusal:
        if call.version >= TOP_LEVEL_ERROR_FROM:
            return OffsetFetchResponse(error_code=refusal.code)
        found = _all_refused(request, refusal.code)
    return OffsetFetchResponse(
        topics=[
            OffsetFetchResponseTopic(
                name=name,
                partitions=[OffsetFetchResponsePartition(**part.fields) for part in parts],  # type: ignore[arg-type]
            )
            for name, _, parts in found
        ]
    )


def _fetch_group(call: Call, group: OffsetFetchRequestGroup) -> OffsetFetchResponseGroup:
    try:
        found = _fetch(call, group.group_id, group.topics)
    except Refused as refusal:
        return OffsetFetchResponseGroup(group_id=group.group_id, error_code=refusal.code)
    return OffsetFetchResponseGroup(
        group_id=group.group_id,
        topics=[
            OffsetFetchResponseTopics(
                name=name,
                topic_id=topic_id,
                partitions=[OffsetFetchResponsePartitions(**part.fields) for part in parts],  # type: ignore[arg-type]
            )
            for name, topic_id, parts in found
        ],
    )


def _fetch(call: Call, group_id: str, topics: Wanted) -> list[FoundTopic]:
    """
    Return what a group has committed in these topics.

    @raise Refused: this node cannot say.
    """
    groups = call.broker.groups.shard(group_id).groups
    if topics is None:
        return list(_fetch_all(call, groups, group_id))
    return [_fetch_topic(call, groups, group_id, topic) for topic in topics]


def _fetch_topic(
    call: Call, groups: GroupShard, group_id: str, topic: OffsetFetchRequestTopics | OffsetFetchRequestTopic
) -> FoundTopic:
    asked_id = topic.topic_id if isinstance(topic, OffsetFetchRequestTopics) else ZERO_UUID
    name = topic_name(call, TOPIC_IDS_FROM, topic.name, asked_id)
    if name is None:
        return "", asked_id, [Found(index, ErrorCode.UNKNOWN_TOPIC_ID) for index in topic.partition_indexes]
    topic_id = _topic_id(call, name)
    return (
        name,
        topic_id,
        [
            Found(index, ErrorCode.NONE, groups.find_offset(group_id, TopicPartition(name, index), topic_id))
            for index in topic.partition_indexes
        ],
    )


def _fetch_all(call: Call, groups: GroupShard, group_id: str) -> Iterator[FoundTopic]:
    """Yield each topic that the group has committed something in; by id, only those that still exist."""
    topics: dict[str, list[Found]] = {}
    for partition, _ in groups.all_offsets(group_id):
        committed = groups.find_offset(group_id, partition, _topic_id(call, partition.topic))
        if committed is not None:
            topics.setdefault(partition.topic, []).append(Found(partition.partition, ErrorCode.NONE, committed))
    for name, found in topics.items():
        topic_id = _topic_id(call, name)
        if topic_id != ZERO_UUID or call.version < TOPIC_IDS_FROM:
            yield name, topic_id, found


def _topic_id(call: Call, name: str) -> bytes:
    known: Topic | None = call.broker.metadata.image.topics.get(name)
    return ZERO_UUID if known is None else known.topic_id


def _all_refused(request: OffsetFetchRequest, error: ErrorCode) -> list[FoundTopic]:
    return [
        (topic.name, ZERO_UUID, [Found(index, error) for index in topic.partition_indexes])
        for topic in request.topics or ()
    ]
