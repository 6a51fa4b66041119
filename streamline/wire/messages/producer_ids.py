"""Producer ids: InitProducerId, DescribeProducers, and the blocks that brokers get from the controller."""

from collections.abc import Sequence

from streamline.wire.schema import Message, message, struct, wire
from streamline.wire.types import ARRAY, BOOLEAN, INT16, INT32, INT64, NULLABLE_STRING, STRING


@message(key=22, versions="0-6", flexible="2+")
class InitProducerIdRequest(Message):
    """Ask for a producer id, or for a new epoch of one (KIP-360)."""

    transactional_id: str | None = wire(NULLABLE_STRING)
    transaction_timeout_ms: int = wire(INT32)
    producer_id: int = wire(INT64, "3+", default=-1)
    producer_epoch: int = wire(INT16, "3+", default=-1)
    enable_2pc: bool = wire(BOOLEAN, "6+")
    keep_prepared_txn: bool = wire(BOOLEAN, "6+")


@message(key=22, versions="0-6", flexible="2+")
class InitProducerIdResponse(Message):
    """A producer id and epoch."""

    throttle_time_ms: int = wire(INT32)
    error_code: int = wire(INT16)
    producer_id: int = wire(INT64, default=-1)
    producer_epoch: int = wire(INT16)
    ongoing_txn_producer_id: int = wire(INT64, "6+", default=-1)
    ongoing_txn_producer_epoch: int = wire(INT16, "6+", default=-1)


@struct
class TopicRequest:
    name: str = wire(STRING)
    partition_indexes: Sequence[int] = wire(ARRAY(INT32))


@message(key=61, versions="0", flexible="0+")
class DescribeProducersRequest(Message):
    """Partitions whose producers to describe (KIP-664)."""

    topics: Sequence[TopicRequest] = wire(ARRAY(TopicRequest))


@struct
class ProducerState:
    producer_id: int = wire(INT64)
    producer_epoch: int = wire(INT32)
    last_sequence: int = wire(INT32, default=-1)
    last_timestamp: int = wire(INT64, default=-1)
    coordinator_epoch: int = wire(INT32)
    current_txn_start_offset: int = wire(INT64, default=-1)


@struct
class PartitionResponse:
    partition_index: int = wire(INT32)
    error_code: int = wire(INT16)
    error_message: str | None = wire(NULLABLE_STRING, default=None)
    active_producers: Sequence[ProducerState] = wire(ARRAY(ProducerState))


@struct
class TopicResponse:
    name: str = wire(STRING)
    partitions: Sequence[PartitionResponse] = wire(ARRAY(PartitionResponse))


@message(key=61, versions="0", flexible="0+")
class DescribeProducersResponse(Message):
    """The producers that a partition remembers."""

    throttle_time_ms: int = wire(INT32)
    topics: Sequence[TopicResponse] = wire(ARRAY(TopicResponse))


@message(key=67, versions="0", flexible="0+")
class AllocateProducerIdsRequest(Message):
    """A broker asks the controller for a block of producer ids (KIP-730)."""

    broker_id: int = wire(INT32)
    broker_epoch: int = wire(INT64, default=-1)


@message(key=67, versions="0", flexible="0+")
class AllocateProducerIdsResponse(Message):
    """A block that no other broker has."""

    throttle_time_ms: int = wire(INT32)
    error_code: int = wire(INT16)
    producer_id_start: int = wire(INT64)
    producer_id_len: int = wire(INT32)
