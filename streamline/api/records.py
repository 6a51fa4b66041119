"""
DeleteRecords (21): forget the records of a partition below an offset (KIP-107).

Behaviour: only what is committed can be forgotten, and only where the topic's policy deletes at all.  What was
forgotten is not readable from that moment on; its space is freed by the next look at retention.

Version notes: none changes more than the encoding.
"""

from __future__ import annotations

from collections.abc import Generator

from twisted.internet.defer import Deferred

from streamline.api.call import Call
from streamline.errors import ErrorCode, Refused, StorageFailed
from streamline.model import INTERNAL_TOPICS
from streamline.wire.messages.topics import (
    DeleteRecordsPartition,
    DeleteRecordsPartitionResult,
    DeleteRecordsRequest,
    DeleteRecordsResponse,
    DeleteRecordsTopicResult,
)

HIGH_WATERMARK = -1
"""The offset that stands for everything that is committed."""
NO_LOW_WATERMARK = -1


def delete_records(
    call: Call, request: DeleteRecordsRequest
) -> DeleteRecordsResponse | Deferred[DeleteRecordsResponse]:
    """Move the start of each partition."""
    return call.broker.turns.work_off(_delete_all(call, request))


def _delete_all(call: Call, request: DeleteRecordsRequest) -> Generator[None, None, DeleteRecordsResponse]:
    topics: list[DeleteRecordsTopicResult] = []
    for topic in request.topics:
        parts: list[DeleteRecordsPartitionResult] = []
        for part in topic.partitions:
            parts.append(_delete(call, topic.name, part))
            yield  # each blocks for a sync
        topics.append(DeleteRecordsTopicResult(name=topic.name, partitions=parts))
    return DeleteRecordsResponse(topics=topics)


def _delete(call: Call, topic: str, part: DeleteRecordsPartition) -> DeleteRecordsPartitionResult:
    result = DeleteRecordsPartitionResult(partition_index=part.partition_index, low_watermark=NO_LOW_WATERMARK)
    try:
        result.low_watermark = _advance(call, topic, part)
    except Refused as refusal:
        result.error_code = refusal.code
    except StorageFailed:
        result.error_code = ErrorCode.KAFKA_STORAGE_ERROR
    return result


def _advance(call: Call, topic: str, part: DeleteRecordsPartition) -> int:
    if topic in INTERNAL_TOPICS:
        raise Refused(ErrorCode.INVALID_TOPIC_EXCEPTION)
    partition = call.broker.replicas.leading(topic, part.partition_index)
    if not partition.config.deletes:
        raise Refused(ErrorCode.POLICY_VIOLATION)
    high_watermark = partition.high_watermark
    offset = high_watermark if part.offset == HIGH_WATERMARK else part.offset
    if not 0 <= offset <= high_watermark:
        raise Refused(ErrorCode.OFFSET_OUT_OF_RANGE)
    partition.log.advance_start(offset)
    partition.start_moved()
    return partition.log.start_offset
