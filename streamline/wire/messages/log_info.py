"""
How far replicas' logs go: what a controller asks before it elects one of those that have lost power.

The fields are those that KIP-966 plans under api key 93.  No release of Kafka has it so far, so the key is ours.
"""

from collections.abc import Sequence

from streamline.wire.schema import Message, message, struct, wire
from streamline.wire.types import ARRAY, INT16, INT32, INT64, NULLABLE_STRING, UUID


@struct
class LogInfoTopic:
    topic_id: bytes = wire(UUID)
    partitions: Sequence[int] = wire(ARRAY(INT32))


@message(key=20_103, versions="0", flexible="0+")
class GetReplicaLogInfoRequest(Message):
    """A controller asks for these partitions' logs."""

    broker_id: int = wire(INT32)
    topic_partitions: Sequence[LogInfoTopic] = wire(ARRAY(LogInfoTopic))


@struct
class PartitionLogInfo:
    partition: int = wire(INT32)
    last_written_leader_epoch: int = wire(INT32)
    current_leader_epoch: int = wire(INT32)
    log_end_offset: int = wire(INT64)
    error_code: int = wire(INT16)
    error_message: str | None = wire(NULLABLE_STRING, default=None)


@struct
class TopicPartitionLogInfo:
    topic_id: bytes = wire(UUID)
    partition_log_info: Sequence[PartitionLogInfo] = wire(ARRAY(PartitionLogInfo))


@message(key=20_103, versions="0", flexible="0+")
class GetReplicaLogInfoResponse(Message):
    """How far each goes, and what process says so."""

    broker_epoch: int = wire(INT64)
    topic_partition_log_info_list: Sequence[TopicPartitionLogInfo] = wire(ARRAY(TopicPartitionLogInfo))
