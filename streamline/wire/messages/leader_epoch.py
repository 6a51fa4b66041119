"""OffsetForLeaderEpoch: where an epoch ends, which is where a follower or a consumer has to cut (KIP-101, KIP-320)."""

from collections.abc import Sequence

from streamline.wire.schema import Message, message, struct, wire
from streamline.wire.types import ARRAY, INT16, INT32, INT64, STRING


@struct
class OffsetForLeaderPartition:
    partition: int = wire(INT32)
    current_leader_epoch: int = wire(INT32, default=-1)
    leader_epoch: int = wire(INT32)


@struct
class OffsetForLeaderTopic:
    topic: str = wire(STRING)
    partitions: Sequence[OffsetForLeaderPartition] = wire(ARRAY(OffsetForLeaderPartition))


@message(key=23, versions="2-4", flexible="4+")
class OffsetForLeaderEpochRequest(Message):
    """Epochs to look up."""

    replica_id: int = wire(INT32, "3+", default=-2, ignorable=True)
    topics: Sequence[OffsetForLeaderTopic] = wire(ARRAY(OffsetForLeaderTopic))


@struct
class EpochEndOffset:
    error_code: int = wire(INT16)
    partition: int = wire(INT32)
    leader_epoch: int = wire(INT32, default=-1)
    end_offset: int = wire(INT64, default=-1)


@struct
class OffsetForLeaderTopicResult:
    topic: str = wire(STRING)
    partitions: Sequence[EpochEndOffset] = wire(ARRAY(EpochEndOffset))


@message(key=23, versions="2-4", flexible="4+")
class OffsetForLeaderEpochResponse(Message):
    """The greatest epoch not above the one asked for, and its end offset."""

    throttle_time_ms: int = wire(INT32)
    topics: Sequence[OffsetForLeaderTopicResult] = wire(ARRAY(OffsetForLeaderTopicResult))
