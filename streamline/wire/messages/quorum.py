"""The metadata quorum, as admin tools see it (KIP-595, KIP-853)."""

from collections.abc import Sequence

from streamline.wire.schema import Message, message, struct, wire
from streamline.wire.types import ARRAY, BOOLEAN, INT16, INT32, INT64, NULLABLE_STRING, STRING, UINT16, UUID


@struct
class PartitionData:
    partition_index: int = wire(INT32)


@struct
class TopicData:
    topic_name: str = wire(STRING)
    partitions: Sequence[PartitionData] = wire(ARRAY(PartitionData))


@message(key=55, versions="0-2", flexible="0+")
class DescribeQuorumRequest(Message):
    """Which quorum: the metadata topic's partition 0."""

    topics: Sequence[TopicData] = wire(ARRAY(TopicData))


@struct
class ReplicaState:
    replica_id: int = wire(INT32)
    replica_directory_id: bytes = wire(UUID, "2+")
    log_end_offset: int = wire(INT64)
    last_fetch_timestamp: int = wire(INT64, "1+", default=-1, ignorable=True)
    last_caught_up_timestamp: int = wire(INT64, "1+", default=-1, ignorable=True)


@struct
class DescribeQuorumResponsePartitionData:
    partition_index: int = wire(INT32)
    error_code: int = wire(INT16)
    error_message: str | None = wire(NULLABLE_STRING, "2+", ignorable=True)
    leader_id: int = wire(INT32)
    leader_epoch: int = wire(INT32)
    high_watermark: int = wire(INT64)
    current_voters: Sequence[ReplicaState] = wire(ARRAY(ReplicaState))
    observers: Sequence[ReplicaState] = wire(ARRAY(ReplicaState))


@struct
class DescribeQuorumResponseTopicData:
    topic_name: str = wire(STRING)
    partitions: Sequence[DescribeQuorumResponsePartitionData] = wire(ARRAY(DescribeQuorumResponsePartitionData))


@struct
class Listener:
    name: str = wire(STRING)
    host: str = wire(STRING)
    port: int = wire(UINT16)


@struct
class Node:
    node_id: int = wire(INT32)
    listeners: Sequence[Listener] = wire(ARRAY(Listener))


@message(key=55, versions="0-2", flexible="0+")
class DescribeQuorumResponse(Message):
    """Leader, voters and observers, and how far each has come."""

    error_code: int = wire(INT16)
    error_message: str | None = wire(NULLABLE_STRING, "2+", ignorable=True)
    topics: Sequence[DescribeQuorumResponseTopicData] = wire(ARRAY(DescribeQuorumResponseTopicData))
    nodes: Sequence[Node] = wire(ARRAY(Node), "2+")


@message(key=80, versions="0-1", flexible="0+")
class AddRaftVoterRequest(Message):
    """Make a node a voter."""

    cluster_id: str | None = wire(NULLABLE_STRING)
    timeout_ms: int = wire(INT32)
    voter_id: int = wire(INT32)
    voter_directory_id: bytes = wire(UUID)
    listeners: Sequence[Listener] = wire(ARRAY(Listener))
    ack_when_committed: bool = wire(BOOLEAN, "1+", default=True)


@message(key=80, versions="0-1", flexible="0+")
class AddRaftVoterResponse(Message):
    """How that went."""

    throttle_time_ms: int = wire(INT32)
    error_code: int = wire(INT16)
    error_message: str | None = wire(NULLABLE_STRING)


@message(key=81, versions="0", flexible="0+")
class RemoveRaftVoterRequest(Message):
    """Make a node a voter no longer."""

    cluster_id: str | None = wire(NULLABLE_STRING)
    voter_id: int = wire(INT32)
    voter_directory_id: bytes = wire(UUID)


@message(key=81, versions="0", flexible="0+")
class RemoveRaftVoterResponse(Message):
    """How that went."""

    throttle_time_ms: int = wire(INT32)
    error_code: int = wire(INT16)
    error_message: str | None = wire(NULLABLE_STRING)
