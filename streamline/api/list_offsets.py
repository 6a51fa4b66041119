"""
ListOffsets (2): the offset at a time, at the start, at the end, or of the greatest timestamp.

Behaviour: a consumer is never told more than what is committed; a time after
every record gives offset -1.

Version notes: 1 one offset; 2 isolation; 4 leader epoch; 7 greatest timestamp
(KIP-734); 8 and 9 tiered storage (a log without tiers starts where it starts
locally); 11 pending upload.
"""

from __future__ import annotations

from streamline.api.call import Call
from streamline.errors import ErrorCode, Refused
from streamline.model import NO_EPOCH, NO_OFFSET, NO_TIMESTAMP, LogSlice
from streamline.services.partition import Partition
from streamline.wire.batch import headers
from streamline.wire.messages.list_offsets import (
    ListOffsetsPartition,
    ListOffsetsPartitionResponse,
    ListOffsetsRequest,
    ListOffsetsResponse,
    ListOffsetsTopicResponse,
)
from streamline.wire.records import Record, records

LATEST = -1
EARLIEST = -2
MAX_TIMESTAMP = -3
EARLIEST_LOCAL = -4
LATEST_TIERED = -5
EARLIEST_PENDING_UPLOAD = -6

_SINCE = {MAX_TIMESTAMP: 7, EARLIEST_LOCAL: 8, LATEST_TIERED: 9, EARLIEST_PENDING_UPLOAD: 11}

Found = tuple[int, int]
"""(timestamp, offset)."""


def list_offsets(call: Call, request: ListOffsetsRequest) -> ListOffsetsResponse:
    """Look every partition up."""
    return ListOffsetsResponse(
        topics=[
            ListOffsetsTopicResponse(
                name=topic.name, partitions=[_lookup(call, topic.name, part) for part in topic.partitions]
            )
            for topic in request.topics
        ]
    )


def _lookup(call: Call, topic: str, part: ListOffsetsPartition) -> ListOffsetsPartitionResponse:
    try:
        if call.version < _SINCE.get(part.timestamp, 0) or part.timestamp < EARLIEST_PENDING_UPLOAD:
            raise Refused(ErrorCode.UNSUPPORTED_VERSION)
        partition = call.broker.replicas.leading(topic, part.partition_index)
        partition.check_epoch(part.current_leader_epoch)
        timestamp, offset = _find(partition, part.timestamp)
    except Refused as refusal:
        return ListOffsetsPartitionResponse(partition_index=part.partition_index, error_code=refusal.code)
    return ListOffsetsPartitionResponse(
        partition_index=part.partition_index,
        timestamp=timestamp,
        offset=offset,
        leader_epoch=_epoch_of(partition, offset) if call.version >= 4 else NO_EPOCH,
    )


def _find(partition: Partition, timestamp: int) -> Found:
    log = partition.log
    if timestamp == LATEST:
        return NO_TIMESTAMP, partition.high_watermark
    if timestamp in (EARLIEST, EARLIEST_LOCAL):
        return NO_TIMESTAMP, log.start_offset
    if timestamp in (LATEST_TIERED, EARLIEST_PENDING_UPLOAD):
        return NO_TIMESTAMP, NO_OFFSET
    if timestamp == MAX_TIMESTAMP:
        return _greatest(log.batch_of_max_timestamp(), partition.high_watermark)
    return _first_at(log.batch_at_timestamp(timestamp), timestamp, log.start_offset, partition.high_watermark)


def _first_at(batch: LogSlice, timestamp: int, start_offset: int, high_watermark: int) -> Found:
    for record in _records_of(batch):
        if record.timestamp >= timestamp and start_offset <= record.offset < high_watermark:
            return record.timestamp, record.offset
    return NO_TIMESTAMP, NO_OFFSET


def _greatest(batch: LogSlice, high_watermark: int) -> Found:
    found: Found = (NO_TIMESTAMP, NO_OFFSET)
    for record in _records_of(batch):
        if record.timestamp > found[0] and record.offset < high_watermark:
            found = record.timestamp, record.offset
    return found


def _records_of(batch: LogSlice) -> list[Record]:
    if not batch.parts:
        return []
    data = batch.parts[0] if len(batch.parts) == 1 else b"".join(batch.parts)
    return [record for at, header in headers(data) for record in records(memoryview(data)[at:], header)]


def _epoch_of(partition: Partition, offset: int) -> int:
    """Return the epoch of the record at an offset; at the end of the log, the newest epoch there is."""
    if offset == NO_OFFSET:
        return NO_EPOCH
    if offset >= partition.log.end_offset:
        return partition.state.leader_epoch
    return partition.epochs.epoch_at(offset)
