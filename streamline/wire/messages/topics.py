"""CreateTopics, DeleteTopics, CreatePartitions and DeleteRecords."""

from collections.abc import Sequence

from streamline.wire.schema import Message, message, struct, wire
from streamline.wire.types import (
    ARRAY,
    BOOLEAN,
    INT8,
    INT16,
    INT32,
    INT64,
    NULLABLE_ARRAY,
    NULLABLE_STRING,
    STRING,
    UUID,
)


@struct
class CreatableReplicaAssignment:
    partition_index: int = wire(INT32)
    broker_ids: Sequence[int] = wire(ARRAY(INT32))


@struct
class CreatableTopicConfig:
    name: str = wire(STRING)
    value: str | None = wire(NULLABLE_STRING)


@struct
class CreatableTopic:
    name: str = wire(STRING)
    num_partitions: int = wire(INT32)
    replication_factor: int = wire(INT16)
    assignments: Sequence[CreatableReplicaAssignment] = wire(ARRAY(CreatableReplicaAssignment))
    configs: Sequence[CreatableTopicConfig] = wire(ARRAY(CreatableTopicConfig))


@message(key=19, versions="2-7", flexible="5+")
class CreateTopicsRequest(Message):
    """Topics to make, with counts (-1 is the broker's default, KIP-464) or with assignments."""

    topics: Sequence[CreatableTopic] = wire(ARRAY(CreatableTopic))
    timeout_ms: int = wire(INT32, default=60000)
    validate_only: bool = wire(BOOLEAN)


@struct
class CreatableTopicConfigs:
    name: str = wire(STRING)
    value: str | None = wire(NULLABLE_STRING)
    read_only: bool = wire(BOOLEAN)
    config_source: int = wire(INT8, default=-1)
    is_sensitive: bool = wire(BOOLEAN)


@struct
class CreatableTopicResult:
    name: str = wire(STRING)
    topic_id: bytes = wire(UUID, "7+", ignorable=True)
    error_code: int = wire(INT16)
    error_message: str | None = wire(NULLABLE_STRING)
    topic_config_error_code: int = wire(INT16, "5+", tag=0, ignorable=True)
    num_partitions: int = wire(INT32, "5+", default=-1, ignorable=True)
    replication_factor: int = wire(INT16, "5+", default=-1, ignorable=True)
    configs: Sequence[CreatableTopicConfigs] | None = wire(
        NULLABLE_ARRAY(CreatableTopicConfigs), "5+", ignorable=True
    )


@message(key=19, versions="2-7", flexible="5+")
class CreateTopicsResponse(Message):
    """What was made; from version 5 with configs (KIP-525), from 7 with ids."""

    throttle_time_ms: int = wire(INT32)
    topics: Sequence[CreatableTopicResult] = wire(ARRAY(CreatableTopicResult))


@struct
class DeleteTopicState:
    name: str | None = wire(NULLABLE_STRING, default=None)
    topic_id: bytes = wire(UUID)


@message(key=20, versions="1-6", flexible="4+")
class DeleteTopicsRequest(Message):
    """Topics to delete, by name or, from version 6, by id."""

    topics: Sequence[DeleteTopicState] = wire(ARRAY(DeleteTopicState), "6+")
    topic_names: Sequence[str] = wire(ARRAY(STRING), "1-5", ignorable=True)
    timeout_ms: int = wire(INT32)


@struct
class DeletableTopicResult:
    name: str | None = wire(STRING, nullable="6+")
    topic_id: bytes = wire(UUID, "6+", ignorable=True)
    error_code: int = wire(INT16)
    error_message: str | None = wire(NULLABLE_STRING, "5+", default=None, ignorable=True)


@message(key=20, versions="1-6", flexible="4+")
class DeleteTopicsResponse(Message):
    """How each deletion went."""

    throttle_time_ms: int = wire(INT32)
    responses: Sequence[DeletableTopicResult] = wire(ARRAY(DeletableTopicResult))


@struct
class CreatePartitionsAssignment:
    broker_ids: Sequence[int] = wire(ARRAY(INT32))


@struct
class CreatePartitionsTopic:
    name: str = wire(STRING)
    count: int = wire(INT32)
    assignments: Sequence[CreatePartitionsAssignment] | None = wire(NULLABLE_ARRAY(CreatePartitionsAssignment))


@message(key=37, versions="0-3", flexible="2+")
class CreatePartitionsRequest(Message):
    """How many partitions topics shall have from now on."""

    topics: Sequence[CreatePartitionsTopic] = wire(ARRAY(CreatePartitionsTopic))
    timeout_ms: int = wire(INT32)
    validate_only: bool = wire(BOOLEAN)


@struct
class CreatePartitionsTopicResult:
    name: str = wire(STRING)
    error_code: int = wire(INT16)
    error_message: str | None = wire(NULLABLE_STRING, default=None)


@message(key=37, versions="0-3", flexible="2+")
class CreatePartitionsResponse(Message):
    """How each change went."""

    throttle_time_ms: int = wire(INT32)
    results: Sequence[CreatePartitionsTopicResult] = wire(ARRAY(CreatePartitionsTopicResult))


@struct
class DeleteRecordsPartition:
    partition_index: int = wire(INT32)
    offset: int = wire(INT64)


@struct
class DeleteRecordsTopic:
    name: str = wire(STRING)
    partitions: Sequence[DeleteRecordsPartition] = wire(ARRAY(DeleteRecordsPartition))


@message(key=21, versions="0-2", flexible="2+")
class DeleteRecordsRequest(Message):
    """Offsets below which records go; -1 is the high watermark."""

    topics: Sequence[DeleteRecordsTopic] = wire(ARRAY(DeleteRecordsTopic))
    timeout_ms: int = wire(INT32)


@struct
class DeleteRecordsPartitionResult:
    partition_index: int = wire(INT32)
    low_watermark: int = wire(INT64)
    error_code: int = wire(INT16)


@struct
class DeleteRecordsTopicResult:
    name: str = wire(STRING)
    partitions: Sequence[DeleteRecordsPartitionResult] = wire(ARRAY(DeleteRecordsPartitionResult))


@message(key=21, versions="0-2", flexible="2+")
class DeleteRecordsResponse(Message):
    """The log start offset of each partition after it."""

    throttle_time_ms: int = wire(INT32)
    topics: Sequence[DeleteRecordsTopicResult] = wire(ARRAY(DeleteRecordsTopicResult))
