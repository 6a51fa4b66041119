"""
DeleteRecords (21): forget the records of a partition below an offset (KIP-107).

Behaviour: only what is committed can be forgotten, and only where the topic's policy deletes at all.  What was
forgotten is not readable from that moment on; its space is freed by the next look at retention.  The answer waits until
every replica whose node is there has forgotten it as well, and every eligible leader replica, or until the client's
time is up.

Version notes: none changes more than the encoding.
"""

from __future__ import annotations

from collections.abc import Generator

from twisted.internet.defer import Deferred

from streamline.api.call import Call
from streamline.errors import ErrorCode, Refused, StorageFailed
from streamline.model import INTERNAL_TOPICS
from streamline.services.partition import Partition
from streamline.services.purgatory import Group
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
    """Move the start of each partition, and wait for its followers."""
    deleting = Deleting(call, request)
    done = call.broker.turns.work_off(deleting.all_here())
    return done.addCallback(deleting.wait) if isinstance(done, Deferred) else deleting.wait(done)


class Deleting:
    """One request."""

    def __init__(self, call: Call, request: DeleteRecordsRequest) -> None:
        self._call = call
        self._request = request
        self._waiting: list[tuple[Partition, int, DeleteRecordsPartitionResult]] = []
        """Where followers have more than was asked for, with how far that was."""

    def all_here(self) -> Generator[None, None, DeleteRecordsResponse]:
        """Move the start of each partition at this node."""
        topics: list[DeleteRecordsTopicResult] = []
        for topic in self._request.topics:
            parts: list[DeleteRecordsPartitionResult] = []
            for part in topic.partitions:
                parts.append(self._delete(topic.name, part))
                yield  # each blocks for a sync
            topics.append(DeleteRecordsTopicResult(name=topic.name, partitions=parts))
        return DeleteRecordsResponse(topics=topics)

    def _delete(self, topic: str, part: DeleteRecordsPartition) -> DeleteRecordsPartitionResult:
        result = DeleteRecordsPartitionResult(partition_index=part.partition_index, low_watermark=NO_LOW_WATERMARK)
        try:
            partition, offset = _advance(self._call, topic, part)
        except Refused as refusal:
            result.error_code = refusal.code
        except StorageFailed:
            result.error_code = ErrorCode.KAFKA_STORAGE_ERROR
        else:
            self._waiting.append((partition, offset, result))
        return result

    def wait(self, response: DeleteRecordsResponse) -> DeleteRecordsResponse | Deferred[DeleteRecordsResponse]:
        """Answer when followers have forgotten it as well, or the time is up."""
        behind = [(partition, offset) for partition, offset, _ in self._waiting if partition.low_watermark < offset]
        if not behind:
            return self._settled(response)
        group = Group(len(behind), self._call.broker.deadlines, self._request.timeout_ms / 1000)
        for partition, offset in behind:
            partition.when_deleted(offset, group.settle)
        return group.done.addCallback(lambda _: self._settled(response))

    def _settled(self, response: DeleteRecordsResponse) -> DeleteRecordsResponse:
        for partition, offset, result in self._waiting:
            if partition.offline is not None or not partition.is_led:
                why = partition.offline
                result.error_code = ErrorCode.NOT_LEADER_OR_FOLLOWER if why is None else why.code
                continue
            result.low_watermark = partition.low_watermark
            if result.low_watermark < offset:
                result.error_code = ErrorCode.REQUEST_TIMED_OUT
        return response


def _advance(call: Call, topic: str, part: DeleteRecordsPartition) -> tuple[Partition, int]:
    """Move the start of a partition; return it, and where it is to begin."""
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
    return partition, offset
