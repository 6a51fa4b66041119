"""Produce: append record batches."""

from collections.abc import Sequence

from streamline.wire.schema import Message, message, struct, wire
from streamline.wire.types import ARRAY, INT16, INT32, INT64, NULLABLE_STRING, RECORDS, STRING, STRUCT, UUID, Buffers


@struct
class PartitionProduceData:
    index: int = wire(INT32)
    records: Buffers | None = wire(RECORDS)


@struct
class TopicProduceData:
    name: str = wire(STRING, "3-12", ignorable=True)
    topic_id: bytes = wire(UUID, "13+", ignorable=True)
    partition_data: Sequence[PartitionProduceData] = wire(ARRAY(PartitionProduceData))


@message(key=0, versions="3-13", flexible="9+")
class ProduceRequest(Message):
    """
    Batches for partitions; from version 13 topics go by id (KIP-516).

    With C{acks=0} there is no response.
    """

    transactional_id: str | None = wire(NULLABLE_STRING, default=None)
    acks: int = wire(INT16)
    timeout_ms: int = wire(INT32)
    topic_data: Sequence[TopicProduceData] = wire(ARRAY(TopicProduceData))


@struct
class BatchIndexAndErrorMessage:
    batch_index: int = wire(INT32)
    batch_index_error_message: str | None = wire(NULLABLE_STRING, default=None)


@struct
class LeaderIdAndEpoch:
    leader_id: int = wire(INT32, default=-1)
    leader_epoch: int = wire(INT32, default=-1)


@struct
class PartitionProduceResponse:
    index: int = wire(INT32)
    error_code: int = wire(INT16)
    base_offset: int = wire(INT64)
    log_append_time_ms: int = wire(INT64, default=-1)
    log_start_offset: int = wire(INT64, "5+", default=-1, ignorable=True)
    record_errors: Sequence[BatchIndexAndErrorMessage] = wire(ARRAY(BatchIndexAndErrorMessage), "8+", ignorable=True)
    error_message: str | None = wire(NULLABLE_STRING, "8+", default=None, ignorable=True)
    current_leader: LeaderIdAndEpoch | None = wire(STRUCT(LeaderIdAndEpoch), "10+", tag=0)


@struct
class TopicProduceResponse:
    name: str = wire(STRING, "3-12", ignorable=True)
    topic_id: bytes = wire(UUID, "13+", ignorable=True)
    partition_responses: Sequence[PartitionProduceResponse] = wire(ARRAY(PartitionProduceResponse))


@struct
class NodeEndpoint:
    node_id: int = wire(INT32)
    host: str = wire(STRING)
    port: int = wire(INT32)
    rack: str | None = wire(NULLABLE_STRING, default=None)


@message(key=0, versions="3-13", flexible="9+")
class ProduceResponse(Message):
    """Where each batch went.  From version 10 an error can name the new leader (KIP-951)."""

    responses: Sequence[TopicProduceResponse] = wire(ARRAY(TopicProduceResponse))
    throttle_time_ms: int = wire(INT32)
    node_endpoints: Sequence[NodeEndpoint] = wire(ARRAY(NodeEndpoint), "10+", tag=0)
