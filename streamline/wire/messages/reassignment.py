"""Who leads and who replicates: ElectLeaders and partition reassignments."""

from collections.abc import Sequence

from streamline.wire.schema import Message, message, struct, wire
from streamline.wire.types import ARRAY, BOOLEAN, INT8, INT16, INT32, NULLABLE_ARRAY, NULLABLE_STRING, STRING


@struct
class TopicPartitions:
    topic: str = wire(STRING)
    partitions: Sequence[int] = wire(ARRAY(INT32))


@message(key=43, versions="0-2", flexible="2+")
class ElectLeadersRequest(Message):
    """Elect the preferred (0) or any (1) replica; null partitions is all of them."""

    election_type: int = wire(INT8, "1+")
    topic_partitions: Sequence[TopicPartitions] | None = wire(NULLABLE_ARRAY(TopicPartitions))
    timeout_ms: int = wire(INT32, default=60000)


@struct
class PartitionResult:
    partition_id: int = wire(INT32)
    error_code: int = wire(INT16)
    error_message: str | None = wire(NULLABLE_STRING)


@struct
class ReplicaElectionResult:
    topic: str = wire(STRING)
    partition_result: Sequence[PartitionResult] = wire(ARRAY(PartitionResult))


@message(key=43, versions="0-2", flexible="2+")
class ElectLeadersResponse(Message):
    """How each election went."""

    throttle_time_ms: int = wire(INT32)
    error_code: int = wire(INT16, "1+")
    replica_election_results: Sequence[ReplicaElectionResult] = wire(ARRAY(ReplicaElectionResult))


@struct
class ReassignablePartition:
    partition_index: int = wire(INT32)
    replicas: Sequence[int] | None = wire(NULLABLE_ARRAY(INT32), default=None)


@struct
class ReassignableTopic:
    name: str = wire(STRING)
    partitions: Sequence[ReassignablePartition] = wire(ARRAY(ReassignablePartition))


@message(key=45, versions="0-1", flexible="0+")
class AlterPartitionReassignmentsRequest(Message):
    """Replicas that partitions shall have; null cancels a move (KIP-455)."""

    timeout_ms: int = wire(INT32, default=60000)
    allow_replication_factor_change: bool = wire(BOOLEAN, "1+", default=True)
    topics: Sequence[ReassignableTopic] = wire(ARRAY(ReassignableTopic))


@struct
class ReassignablePartitionResponse:
    partition_index: int = wire(INT32)
    error_code: int = wire(INT16)
    error_message: str | None = wire(NULLABLE_STRING)


@struct
class ReassignableTopicResponse:
    name: str = wire(STRING)
    partitions: Sequence[ReassignablePartitionResponse] = wire(ARRAY(ReassignablePartitionResponse))


@message(key=45, versions="0-1", flexible="0+")
class AlterPartitionReassignmentsResponse(Message):
    """How each change went."""

    throttle_time_ms: int = wire(INT32)
    allow_replication_factor_change: bool = wire(BOOLEAN, "1+", default=True, ignorable=True)
    error_code: int = wire(INT16)
    error_message: str | None = wire(NULLABLE_STRING)
    responses: Sequence[ReassignableTopicResponse] = wire(ARRAY(ReassignableTopicResponse))


@struct
class ListPartitionReassignmentsTopics:
    name: str = wire(STRING)
    partition_indexes: Sequence[int] = wire(ARRAY(INT32))


@message(key=46, versions="0", flexible="0+")
class ListPartitionReassignmentsRequest(Message):
    """Which moves to list; null topics is all of them."""

    timeout_ms: int = wire(INT32, default=60000)
    topics: Sequence[ListPartitionReassignmentsTopics] | None = wire(
        NULLABLE_ARRAY(ListPartitionReassignmentsTopics), default=None
    )


@struct
class OngoingPartitionReassignment:
    partition_index: int = wire(INT32)
    replicas: Sequence[int] = wire(ARRAY(INT32))
    adding_replicas: Sequence[int] = wire(ARRAY(INT32))
    removing_replicas: Sequence[int] = wire(ARRAY(INT32))


@struct
class OngoingTopicReassignment:
    name: str = wire(STRING)
    partitions: Sequence[OngoingPartitionReassignment] = wire(ARRAY(OngoingPartitionReassignment))


@message(key=46, versions="0", flexible="0+")
class ListPartitionReassignmentsResponse(Message):
    """The moves that are under way."""

    throttle_time_ms: int = wire(INT32)
    error_code: int = wire(INT16)
    error_message: str | None = wire(NULLABLE_STRING)
    topics: Sequence[OngoingTopicReassignment] = wire(ARRAY(OngoingTopicReassignment))
