"""Transactions: what producers, coordinators and their admins say (KIP-98, KIP-664, KIP-890)."""

from collections.abc import Sequence

from streamline.wire.schema import Message, message, struct, wire
from streamline.wire.types import ARRAY, BOOLEAN, INT8, INT16, INT32, INT64, NULLABLE_STRING, STRING


@struct
class AddPartitionsToTxnTopic:
    name: str = wire(STRING)
    partitions: Sequence[int] = wire(ARRAY(INT32))


@struct
class AddPartitionsToTxnTransaction:
    transactional_id: str = wire(STRING)
    producer_id: int = wire(INT64)
    producer_epoch: int = wire(INT16)
    verify_only: bool = wire(BOOLEAN)
    topics: Sequence[AddPartitionsToTxnTopic] = wire(ARRAY(AddPartitionsToTxnTopic))


@message(key=24, versions="0-5", flexible="3+")
class AddPartitionsToTxnRequest(Message):
    """Partitions that a transaction will write to; from version 4 brokers ask for several transactions at once."""

    transactions: Sequence[AddPartitionsToTxnTransaction] = wire(ARRAY(AddPartitionsToTxnTransaction), "4+")
    v3_and_below_transactional_id: str = wire(STRING, "0-3")
    v3_and_below_producer_id: int = wire(INT64, "0-3")
    v3_and_below_producer_epoch: int = wire(INT16, "0-3")
    v3_and_below_topics: Sequence[AddPartitionsToTxnTopic] = wire(ARRAY(AddPartitionsToTxnTopic), "0-3")


@struct
class AddPartitionsToTxnPartitionResult:
    partition_index: int = wire(INT32)
    partition_error_code: int = wire(INT16)


@struct
class AddPartitionsToTxnTopicResult:
    name: str = wire(STRING)
    results_by_partition: Sequence[AddPartitionsToTxnPartitionResult] = wire(
        ARRAY(AddPartitionsToTxnPartitionResult)
    )


@struct
class AddPartitionsToTxnResult:
    transactional_id: str = wire(STRING)
    topic_results: Sequence[AddPartitionsToTxnTopicResult] = wire(ARRAY(AddPartitionsToTxnTopicResult))


@message(key=24, versions="0-5", flexible="3+")
class AddPartitionsToTxnResponse(Message):
    """How each addition went."""

    throttle_time_ms: int = wire(INT32)
    error_code: int = wire(INT16, "4+", ignorable=True)
    results_by_transaction: Sequence[AddPartitionsToTxnResult] = wire(ARRAY(AddPartitionsToTxnResult), "4+")
    results_by_topic_v3_and_below: Sequence[AddPartitionsToTxnTopicResult] = wire(
        ARRAY(AddPartitionsToTxnTopicResult), "0-3"
    )


@message(key=25, versions="0-4", flexible="3+")
class AddOffsetsToTxnRequest(Message):
    """A group whose offsets a transaction will commit."""

    transactional_id: str = wire(STRING)
    producer_id: int = wire(INT64)
    producer_epoch: int = wire(INT16)
    group_id: str = wire(STRING)


@message(key=25, versions="0-4", flexible="3+")
class AddOffsetsToTxnResponse(Message):
    """How that went."""

    throttle_time_ms: int = wire(INT32)
    error_code: int = wire(INT16)


@message(key=26, versions="0-5", flexible="3+")
class EndTxnRequest(Message):
    """Commit or abort."""

    transactional_id: str = wire(STRING)
    producer_id: int = wire(INT64)
    producer_epoch: int = wire(INT16)
    committed: bool = wire(BOOLEAN)


@message(key=26, versions="0-5", flexible="3+")
class EndTxnResponse(Message):
    """How that went; from version 5 with the next producer id and epoch (KIP-890)."""

    throttle_time_ms: int = wire(INT32)
    error_code: int = wire(INT16)
    producer_id: int = wire(INT64, "5+", default=-1, ignorable=True)
    producer_epoch: int = wire(INT16, "5+", default=-1, ignorable=True)


@struct
class WritableTxnMarkerTopic:
    name: str = wire(STRING)
    partition_indexes: Sequence[int] = wire(ARRAY(INT32))


@struct
class WritableTxnMarker:
    producer_id: int = wire(INT64)
    producer_epoch: int = wire(INT16)
    transaction_result: bool = wire(BOOLEAN)
    topics: Sequence[WritableTxnMarkerTopic] = wire(ARRAY(WritableTxnMarkerTopic))
    coordinator_epoch: int = wire(INT32)
    transaction_version: int = wire(INT8, "2+", ignorable=True)


@message(key=27, versions="1-2", flexible="1+")
class WriteTxnMarkersRequest(Message):
    """A coordinator has leaders write the end of transactions into their logs."""

    markers: Sequence[WritableTxnMarker] = wire(ARRAY(WritableTxnMarker))


@struct
class WritableTxnMarkerPartitionResult:
    partition_index: int = wire(INT32)
    error_code: int = wire(INT16)


@struct
class WritableTxnMarkerTopicResult:
    name: str = wire(STRING)
    partitions: Sequence[WritableTxnMarkerPartitionResult] = wire(ARRAY(WritableTxnMarkerPartitionResult))


@struct
class WritableTxnMarkerResult:
    producer_id: int = wire(INT64)
    topics: Sequence[WritableTxnMarkerTopicResult] = wire(ARRAY(WritableTxnMarkerTopicResult))


@message(key=27, versions="1-2", flexible="1+")
class WriteTxnMarkersResponse(Message):
    """How each marker went."""

    markers: Sequence[WritableTxnMarkerResult] = wire(ARRAY(WritableTxnMarkerResult))


@struct
class TxnOffsetCommitRequestPartition:
    partition_index: int = wire(INT32)
    committed_offset: int = wire(INT64)
    committed_leader_epoch: int = wire(INT32, "2+", default=-1, ignorable=True)
    committed_metadata: str | None = wire(NULLABLE_STRING)


@struct
class TxnOffsetCommitRequestTopic:
    name: str = wire(STRING)
    partitions: Sequence[TxnOffsetCommitRequestPartition] = wire(ARRAY(TxnOffsetCommitRequestPartition))


@message(key=28, versions="0-5", flexible="3+")
class TxnOffsetCommitRequest(Message):
    """Offsets that count when the transaction commits."""

    transactional_id: str = wire(STRING)
    group_id: str = wire(STRING)
    producer_id: int = wire(INT64)
    producer_epoch: int = wire(INT16)
    generation_id: int = wire(INT32, "3+", default=-1)
    member_id: str = wire(STRING, "3+")
    group_instance_id: str | None = wire(NULLABLE_STRING, "3+", default=None)
    topics: Sequence[TxnOffsetCommitRequestTopic] = wire(ARRAY(TxnOffsetCommitRequestTopic))


@struct
class TxnOffsetCommitResponsePartition:
    partition_index: int = wire(INT32)
    error_code: int = wire(INT16)


@struct
class TxnOffsetCommitResponseTopic:
    name: str = wire(STRING)
    partitions: Sequence[TxnOffsetCommitResponsePartition] = wire(ARRAY(TxnOffsetCommitResponsePartition))


@message(key=28, versions="0-5", flexible="3+")
class TxnOffsetCommitResponse(Message):
    """How each commit went."""

    throttle_time_ms: int = wire(INT32)
    topics: Sequence[TxnOffsetCommitResponseTopic] = wire(ARRAY(TxnOffsetCommitResponseTopic))


@message(key=65, versions="0", flexible="0+")
class DescribeTransactionsRequest(Message):
    """Transactions to describe."""

    transactional_ids: Sequence[str] = wire(ARRAY(STRING))


@struct
class TopicData:
    topic: str = wire(STRING)
    partitions: Sequence[int] = wire(ARRAY(INT32))


@struct
class TransactionState:
    error_code: int = wire(INT16)
    transactional_id: str = wire(STRING)
    transaction_state: str = wire(STRING)
    transaction_timeout_ms: int = wire(INT32)
    transaction_start_time_ms: int = wire(INT64)
    producer_id: int = wire(INT64)
    producer_epoch: int = wire(INT16)
    topics: Sequence[TopicData] = wire(ARRAY(TopicData))


@message(key=65, versions="0", flexible="0+")
class DescribeTransactionsResponse(Message):
    """State, producer and partitions of each."""

    throttle_time_ms: int = wire(INT32)
    transaction_states: Sequence[TransactionState] = wire(ARRAY(TransactionState))


@message(key=66, versions="0-2", flexible="0+")
class ListTransactionsRequest(Message):
    """Which transactions to list."""

    state_filters: Sequence[str] = wire(ARRAY(STRING))
    producer_id_filters: Sequence[int] = wire(ARRAY(INT64))
    duration_filter: int = wire(INT64, "1+", default=-1)
    transactional_id_pattern: str | None = wire(NULLABLE_STRING, "2+", default=None)


@struct
class ListTransactionsResponseTransactionState:
    transactional_id: str = wire(STRING)
    producer_id: int = wire(INT64)
    transaction_state: str = wire(STRING)


@message(key=66, versions="0-2", flexible="0+")
class ListTransactionsResponse(Message):
    """The transactions that the answering node coordinates."""

    throttle_time_ms: int = wire(INT32)
    error_code: int = wire(INT16)
    unknown_state_filters: Sequence[str] = wire(ARRAY(STRING))
    transaction_states: Sequence[ListTransactionsResponseTransactionState] = wire(
        ARRAY(ListTransactionsResponseTransactionState)
    )
