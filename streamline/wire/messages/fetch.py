"""Fetch: read record batches, by consumers and by followers."""

from collections.abc import Sequence

from streamline.wire.schema import Message, message, struct, wire
from streamline.wire.types import (
    ARRAY,
    INT8,
    INT16,
    INT32,
    INT64,
    NULLABLE_ARRAY,
    NULLABLE_STRING,
    RECORDS,
    STRING,
    STRUCT,
    UUID,
    Buffers,
)


@struct
class ReplicaState:
    replica_id: int = wire(INT32, default=-1)
    replica_epoch: int = wire(INT64, default=-1)


@struct
class FetchPartition:
    partition: int = wire(INT32)
    current_leader_epoch: int = wire(INT32, "9+", default=-1, ignorable=True)
    fetch_offset: int = wire(INT64)
    last_fetched_epoch: int = wire(INT32, "12+", default=-1)
    log_start_offset: int = wire(INT64, "5+", default=-1, ignorable=True)
    partition_max_bytes: int = wire(INT32)
    replica_directory_id: bytes = wire(UUID, "17+", tag=0, ignorable=True)
    high_watermark: int = wire(INT64, "18+", default=(1 << 63) - 1, tag=1, ignorable=True)


@struct
class FetchTopic:
    topic: str = wire(STRING, "4-12", ignorable=True)
    topic_id: bytes = wire(UUID, "13+", ignorable=True)
    partitions: Sequence[FetchPartition] = wire(ARRAY(FetchPartition))


@struct
class ForgottenTopic:
    topic: str = wire(STRING, "7-12", ignorable=True)
    topic_id: bytes = wire(UUID, "13+", ignorable=True)
    partitions: Sequence[int] = wire(ARRAY(INT32))


@message(key=1, versions="4-18", flexible="12+")
class FetchRequest(Message):
    """
    What to read and how long to wait.

    Version 7 has incremental sessions (KIP-227), 12 finds divergence by epoch (KIP-595), 13 topic ids (KIP-516),
    and 15 puts the replica in a tagged field (KIP-903).
    """

    cluster_id: str | None = wire(NULLABLE_STRING, "12+", default=None, tag=0, ignorable=True)
    replica_id: int = wire(INT32, "4-14", default=-1)
    replica_state: ReplicaState | None = wire(STRUCT(ReplicaState), "15+", tag=1)
    max_wait_ms: int = wire(INT32)
    min_bytes: int = wire(INT32)
    max_bytes: int = wire(INT32, default=(1 << 31) - 1)
    isolation_level: int = wire(INT8)
    session_id: int = wire(INT32, "7+", ignorable=True)
    session_epoch: int = wire(INT32, "7+", default=-1, ignorable=True)
    topics: Sequence[FetchTopic] = wire(ARRAY(FetchTopic))
    forgotten_topics_data: Sequence[ForgottenTopic] = wire(ARRAY(ForgottenTopic), "7+")
    rack_id: str = wire(STRING, "11+", ignorable=True)


@struct
class EpochEndOffset:
    epoch: int = wire(INT32, default=-1)
    end_offset: int = wire(INT64, default=-1)


@struct
class LeaderIdAndEpoch:
    leader_id: int = wire(INT32, default=-1)
    leader_epoch: int = wire(INT32, default=-1)


@struct
class SnapshotId:
    end_offset: int = wire(INT64, default=-1)
    epoch: int = wire(INT32, default=-1)


@struct
class AbortedTransaction:
    producer_id: int = wire(INT64)
    first_offset: int = wire(INT64)


@struct
class PartitionData:
    partition_index: int = wire(INT32)
    error_code: int = wire(INT16)
    high_watermark: int = wire(INT64)
    last_stable_offset: int = wire(INT64, default=-1)
    log_start_offset: int = wire(INT64, "5+", default=-1, ignorable=True)
    diverging_epoch: EpochEndOffset | None = wire(STRUCT(EpochEndOffset), "12+", tag=0)
    current_leader: LeaderIdAndEpoch | None = wire(STRUCT(LeaderIdAndEpoch), "12+", tag=1)
    snapshot_id: SnapshotId | None = wire(STRUCT(SnapshotId), "12+", tag=2)
    aborted_transactions: Sequence[AbortedTransaction] | None = wire(NULLABLE_ARRAY(AbortedTransaction))
    preferred_read_replica: int = wire(INT32, "11+", default=-1)
    records: Buffers | None = wire(RECORDS)


@struct
class FetchableTopicResponse:
    topic: str = wire(STRING, "4-12", ignorable=True)
    topic_id: bytes = wire(UUID, "13+", ignorable=True)
    partitions: Sequence[PartitionData] = wire(ARRAY(PartitionData))


@struct
class NodeEndpoint:
    node_id: int = wire(INT32)
    host: str = wire(STRING)
    port: int = wire(INT32)
    rack: str | None = wire(NULLABLE_STRING, default=None)


@message(key=1, versions="4-18", flexible="12+")
class FetchResponse(Message):
    """The batches as they lie in the log: the first may begin before the offset asked for, the last may be cut."""

    throttle_time_ms: int = wire(INT32)
    error_code: int = wire(INT16, "7+", ignorable=True)
    session_id: int = wire(INT32, "7+")
    responses: Sequence[FetchableTopicResponse] = wire(ARRAY(FetchableTopicResponse))
    node_endpoints: Sequence[NodeEndpoint] = wire(ARRAY(NodeEndpoint), "16+", tag=0)
