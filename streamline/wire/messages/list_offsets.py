"""ListOffsets: the offset that goes with a time, or with one of the special times below 0."""

from collections.abc import Sequence

from streamline.wire.schema import Message, message, struct, wire
from streamline.wire.types import ARRAY, INT8, INT16, INT32, INT64, STRING


@struct
class ListOffsetsPartition:
    partition_index: int = wire(INT32)
    current_leader_epoch: int = wire(INT32, "4+", default=-1, ignorable=True)
    timestamp: int = wire(INT64)


@struct
class ListOffsetsTopic:
    name: str = wire(STRING)
    partitions: Sequence[ListOffsetsPartition] = wire(ARRAY(ListOffsetsPartition))


@message(key=2, versions="1-11", flexible="6+")
class ListOffsetsRequest(Message):
    """Timestamps to look up: -1 is the end of the log, -2 its start, -3 the record with the greatest timestamp."""

    replica_id: int = wire(INT32)
    isolation_level: int = wire(INT8, "2+")
    topics: Sequence[ListOffsetsTopic] = wire(ARRAY(ListOffsetsTopic))
    timeout_ms: int = wire(INT32, "10+", ignorable=True)


@struct
class ListOffsetsPartitionResponse:
    partition_index: int = wire(INT32)
    error_code: int = wire(INT16)
    timestamp: int = wire(INT64, default=-1)
    offset: int = wire(INT64, default=-1)
    leader_epoch: int = wire(INT32, "4+", default=-1)


@struct
class ListOffsetsTopicResponse:
    name: str = wire(STRING)
    partitions: Sequence[ListOffsetsPartitionResponse] = wire(ARRAY(ListOffsetsPartitionResponse))


@message(key=2, versions="1-11", flexible="6+")
class ListOffsetsResponse(Message):
    """One offset for each partition asked about."""

    throttle_time_ms: int = wire(INT32, "2+", ignorable=True)
    topics: Sequence[ListOffsetsTopicResponse] = wire(ARRAY(ListOffsetsTopicResponse))
