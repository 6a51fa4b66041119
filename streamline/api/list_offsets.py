"""
ListOffsets (2): the offset at a time, at the start, at the end, or of the greatest timestamp.

Behaviour: a consumer is never told more than what is committed; a time after
every record gives offset -1.  A leader that does not know yet how far the one
before it had committed says so, and nothing else, of whatever may lie there
(KIP-207).  Finding a time means reading the records of a batch, so that many
lookups, or one in a large batch, take several turns.

Version notes: 1 one offset; 2 isolation; 4 leader epoch; 5 OFFSET_NOT_AVAILABLE
(before, LEADER_NOT_AVAILABLE stands for it); 7 greatest timestamp (KIP-734);
8 and 9 tiered storage (a log without tiers starts where it starts locally); 11
pending upload.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterator

from twisted.internet.defer import Deferred

from streamline.api.call import Call
from streamline.errors import ErrorCode, Refused, StorageFailed
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

LOOKUPS_PER_TURN = 200
SEARCHES_PER_TURN = 10
RECORDS_PER_TURN = 2000

NOT_AVAILABLE_FROM = 5

_SINCE = {EARLIEST_LOCAL: 8, LATEST_TIERED: 9, EARLIEST_PENDING_UPLOAD: 11}

Found = tuple[int, int]
"""(timestamp, offset)."""


def list_offsets(call: Call, request: ListOffsetsRequest) -> ListOffsetsResponse | Deferred[ListOffsetsResponse]:
    """Look every partition up."""
    return call.broker.turns.work_off(_list(call, request))


def _list(call: Call, request: ListOffsetsRequest) -> Generator[None, None, ListOffsetsResponse]:
    counts = Counter((topic.name, part.partition_index) for topic in request.topics for part in topic.partitions)
    response = ListOffsetsResponse(topics=[])
    work = 0
    for topic in request.topics:
        found = []
        for part in topic.partitions:
            is_twice = counts[topic.name, part.partition_index] > 1
            found.append((yield from _lookup(call, topic.name, part, is_twice)))
            work += LOOKUPS_PER_TURN // SEARCHES_PER_TURN if part.timestamp >= 0 else 1
            if work >= LOOKUPS_PER_TURN:
                work = 0
                yield
        response.topics.append(ListOffsetsTopicResponse(name=topic.name, partitions=found))  # type: ignore[attr-defined]
    return response


def _lookup(
    call: Call, topic: str, part: ListOffsetsPartition, is_twice: bool
) -> Generator[None, None, ListOffsetsPartitionResponse]:
    try:
        if is_twice:
            raise Refused(ErrorCode.INVALID_REQUEST)
        if call.version < _SINCE.get(part.timestamp, 0) or part.timestamp < EARLIEST_PENDING_UPLOAD:
            raise Refused(ErrorCode.UNSUPPORTED_VERSION)
        partition = call.broker.replicas.leading(topic, part.partition_index)
        partition.check_epoch(part.current_leader_epoch)
        timestamp, offset = yield from _find(partition, part.timestamp)
    except Refused as refusal:
        code = refusal.code
        if code is ErrorCode.OFFSET_NOT_AVAILABLE and call.version < NOT_AVAILABLE_FROM:
            code = ErrorCode.LEADER_NOT_AVAILABLE
        return ListOffsetsPartitionResponse(partition_index=part.partition_index, error_code=code)
    except StorageFailed:
        return ListOffsetsPartitionResponse(
            partition_index=part.partition_index, error_code=ErrorCode.KAFKA_STORAGE_ERROR
        )
    return ListOffsetsPartitionResponse(
        partition_index=part.partition_index,
        timestamp=timestamp,
        offset=offset,
        leader_epoch=_epoch(partition, part.timestamp, offset) if call.version >= 4 else NO_EPOCH,
    )


def _find(partition: Partition, timestamp: int) -> Generator[None, None, Found]:
    log = partition.log
    if timestamp == LATEST:
        return NO_TIMESTAMP, partition.latest_offset
    if timestamp in (EARLIEST, EARLIEST_LOCAL):
        return NO_TIMESTAMP, log.start_offset
    if timestamp in (LATEST_TIERED, EARLIEST_PENDING_UPLOAD):
        return NO_TIMESTAMP, NO_OFFSET
    if timestamp == MAX_TIMESTAMP:
        found = yield from _greatest(log.batch_of_max_timestamp(), partition.high_watermark)
    else:
        batch = log.batch_at_timestamp(timestamp)
        found = yield from _first_at(batch, timestamp, log.start_offset, partition.high_watermark)
    if found[1] == NO_OFFSET:
        _ = partition.latest_offset  # which is refused where there may well be one that is committed
    return found


def _first_at(
    batch: LogSlice, timestamp: int, start_offset: int, high_watermark: int
) -> Generator[None, None, Found]:
    for count, record in enumerate(_records_of(batch), 1):
        if record.timestamp >= timestamp and start_offset <= record.offset < high_watermark:
            return record.timestamp, record.offset
        if count % RECORDS_PER_TURN == 0:
            yield
    return NO_TIMESTAMP, NO_OFFSET


def _greatest(batch: LogSlice, high_watermark: int) -> Generator[None, None, Found]:
    found: Found = (NO_TIMESTAMP, NO_OFFSET)
    for count, record in enumerate(_records_of(batch), 1):
        if record.timestamp > found[0] and record.offset < high_watermark:
            found = record.timestamp, record.offset
        if count % RECORDS_PER_TURN == 0:
            yield
    return found


def _records_of(batch: LogSlice) -> Iterator[Record]:
    if batch.parts:
        data = batch.parts[0] if len(batch.parts) == 1 else b"".join(batch.parts)
        for at, header in headers(data):
            yield from records(data, header, at)


def _epoch(partition: Partition, timestamp: int, offset: int) -> int:
    """Return the epoch of the record at an offset; at the end of the log, the newest one."""
    if offset == NO_OFFSET:
        return NO_EPOCH
    return partition.epochs.latest if timestamp == LATEST else partition.epochs.epoch_at(offset)
