"""
Fetch and AlterPartition between what is decided here and what is said on the wire.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from streamline.errors import ErrorCode
from streamline.model import NO_OFFSET
from streamline.replication.follower_session import Fetch, PartitionKey
from streamline.replication.following import LeaderAnswer
from streamline.replication.isr_changes import IsrAsk
from streamline.replication.sessions import INITIAL_EPOCH
from streamline.replication.truncation import Divergence
from streamline.wire.lone import LoneFetch, LoneFetchRequest, LoneFetchResponse
from streamline.wire.messages import fetch as fetches
from streamline.wire.messages import peer
from streamline.wire.types import Buffers

FETCH_VERSION = 17
"""Topic ids, last fetched epochs and broker epochs, and nothing that an answer would have to leave out."""
ALTER_PARTITION_VERSION = 3

_ERRORS = {int(code): code for code in ErrorCode}

Answered = tuple[ErrorCode, int]
"""An answer's error and the partition epoch that it names."""


class Limits(NamedTuple):
    """How much a follower takes at once, and how long its leader may keep it waiting."""

    max_wait_ms: int
    max_bytes: int
    partition_max_bytes: int


def request_of(
    fetch: Fetch, node_id: int, broker_epoch: int, limits: Limits
) -> fetches.FetchRequest | LoneFetchRequest:
    """Return the request that says what a follower wants; where it names one partition more, it is written by hand."""
    if fetch.epoch == INITIAL_EPOCH or len(fetch.wanted) != 1 or fetch.forgotten:
        return fetch_request(fetch, node_id, broker_epoch, limits)
    (((topic_id, index), position),) = fetch.wanted.items()
    said = LoneFetch(
        limits.max_wait_ms, 1, limits.max_bytes, fetch.session_id, fetch.epoch, topic_id, index, position.leader_epoch,
        position.offset, position.last_epoch, position.start_offset, limits.partition_max_bytes, node_id, broker_epoch,
    )  # fmt: skip
    return LoneFetchRequest(said)


def fetch_request(fetch: Fetch, node_id: int, broker_epoch: int, limits: Limits) -> fetches.FetchRequest:
    """Return the request that says what a follower wants, whatever that is."""
    topics: dict[bytes, list[fetches.FetchPartition]] = {}
    for (topic_id, index), position in fetch.wanted.items():
        topics.setdefault(topic_id, []).append(
            fetches.FetchPartition(
                partition=index,
                current_leader_epoch=position.leader_epoch,
                fetch_offset=position.offset,
                last_fetched_epoch=position.last_epoch,
                log_start_offset=position.start_offset,
                partition_max_bytes=limits.partition_max_bytes,
            )
        )
    forgotten: dict[bytes, list[int]] = {}
    for topic_id, index in fetch.forgotten:
        forgotten.setdefault(topic_id, []).append(index)
    return fetches.FetchRequest(
        replica_state=fetches.ReplicaState(replica_id=node_id, replica_epoch=broker_epoch),
        max_wait_ms=limits.max_wait_ms,
        min_bytes=1,
        max_bytes=limits.max_bytes,
        isolation_level=0,
        session_id=fetch.session_id,
        session_epoch=fetch.epoch,
        topics=[fetches.FetchTopic(topic_id=topic_id, partitions=parts) for topic_id, parts in topics.items()],
        forgotten_topics_data=[
            fetches.ForgottenTopic(topic_id=topic_id, partitions=parts) for topic_id, parts in forgotten.items()
        ],
        rack_id="",
    )


def fetch_answers(
    response: fetches.FetchResponse | LoneFetchResponse,
) -> Iterator[tuple[PartitionKey, LeaderAnswer, Buffers]]:
    """Yield what a response says of each partition, and its records."""
    if isinstance(response, LoneFetchResponse):
        said = LeaderAnswer(ErrorCode.NONE, response.high_watermark, response.start_offset, None, True)
        yield (response.topic_id, response.partition), said, response.records
        return
    for topic in response.responses:
        for part in topic.partitions:
            diverging = part.diverging_epoch
            records = part.records or b""
            answer = LeaderAnswer(
                code=error_of(part.error_code),
                high_watermark=part.high_watermark,
                start_offset=part.log_start_offset,
                divergence=None if diverging is None else Divergence(diverging.epoch, diverging.end_offset),
                has_records=bool(len(records)),
            )
            yield (topic.topic_id, part.partition_index), answer, records


def alter_partition_request(
    node_id: int, broker_epoch: int, asks: Iterable[tuple[PartitionKey, IsrAsk]]
) -> peer.AlterPartitionRequest:
    """Return the request that brings what leaders on this node ask for to the controller."""
    topics: dict[bytes, list[peer.PartitionData]] = {}
    for (topic_id, index), ask in asks:
        members = [peer.BrokerState(broker_id=member.node_id, broker_epoch=member.broker_epoch) for member in ask.isr]
        topics.setdefault(topic_id, []).append(
            peer.PartitionData(
                partition_index=index,
                leader_epoch=ask.leader_epoch,
                new_isr=[],
                new_isr_with_epochs=members,
                leader_recovery_state=0,  # recovered: a leader asks for nothing before it is
                partition_epoch=ask.partition_epoch,
            )
        )
    return peer.AlterPartitionRequest(
        broker_id=node_id,
        broker_epoch=broker_epoch,
        topics=[peer.TopicData(topic_id=topic_id, partitions=parts) for topic_id, parts in topics.items()],
    )


def alter_partition_answers(
    response: peer.AlterPartitionResponse, asked: Iterable[PartitionKey]
) -> dict[PartitionKey, Answered]:
    """
    Return what a response says of each partition that was asked about.

    An error of the whole request is one of each; a partition that is left out is missing here, too.
    """
    whole = error_of(response.error_code)
    if whole is not ErrorCode.NONE:
        return {key: (whole, NO_OFFSET) for key in asked}
    found = {
        (topic.topic_id, part.partition_index): (error_of(part.error_code), part.partition_epoch)
        for topic in response.topics
        for part in topic.partitions
    }
    return {key: found[key] for key in asked if key in found}


def error_of(code: int) -> ErrorCode:
    """Return an error of the wire; UNKNOWN_SERVER_ERROR for one that we do not know."""
    return _ERRORS.get(code, ErrorCode.UNKNOWN_SERVER_ERROR)
