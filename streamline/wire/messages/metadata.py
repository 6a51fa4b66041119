"""Metadata and DescribeTopicPartitions: which brokers and partitions there are, and who leads them."""

from collections.abc import Sequence

from streamline.wire.schema import Message, message, struct, wire
from streamline.wire.types import (
    ARRAY,
    BOOLEAN,
    INT16,
    INT32,
    NULLABLE_ARRAY,
    NULLABLE_STRING,
    NULLABLE_STRUCT,
    STRING,
    UUID,
)


@struct
class MetadataRequestTopic:
    topic_id: bytes = wire(UUID, "10+", ignorable=True)
    name: str | None = wire(STRING, nullable="10+")


@message(key=3, versions="0-13", flexible="9+")
class MetadataRequest(Message):
    """
    Topics to describe, by name or, from version 10, by id.

    Null is all topics; in version 0, where there is no null, an empty list is.
    """

    topics: Sequence[MetadataRequestTopic] | None = wire(ARRAY(MetadataRequestTopic), nullable="1+")
    allow_auto_topic_creation: bool = wire(BOOLEAN, "4+", default=True)
    include_cluster_authorized_operations: bool = wire(BOOLEAN, "8-10")
    include_topic_authorized_operations: bool = wire(BOOLEAN, "8+")


@struct
class MetadataResponseBroker:
    node_id: int = wire(INT32)
    host: str = wire(STRING)
    port: int = wire(INT32)
    rack: str | None = wire(NULLABLE_STRING, "1+", default=None, ignorable=True)


@struct
class MetadataResponsePartition:
    error_code: int = wire(INT16)
    partition_index: int = wire(INT32)
    leader_id: int = wire(INT32)
    leader_epoch: int = wire(INT32, "7+", default=-1, ignorable=True)
    replica_nodes: Sequence[int] = wire(ARRAY(INT32))
    isr_nodes: Sequence[int] = wire(ARRAY(INT32))
    offline_replicas: Sequence[int] = wire(ARRAY(INT32), "5+", ignorable=True)


@struct
class MetadataResponseTopic:
    error_code: int = wire(INT16)
    name: str | None = wire(STRING, nullable="12+")
    topic_id: bytes = wire(UUID, "10+", ignorable=True)
    is_internal: bool = wire(BOOLEAN, "1+", ignorable=True)
    partitions: Sequence[MetadataResponsePartition] = wire(ARRAY(MetadataResponsePartition))
    topic_authorized_operations: int = wire(INT32, "8+", default=-(1 << 31))


@message(key=3, versions="0-13", flexible="9+")
class MetadataResponse(Message):
    """Brokers, topics and partitions as the answering node knows them."""

    throttle_time_ms: int = wire(INT32, "3+", ignorable=True)
    brokers: Sequence[MetadataResponseBroker] = wire(ARRAY(MetadataResponseBroker))
    cluster_id: str | None = wire(NULLABLE_STRING, "2+", default=None, ignorable=True)
    controller_id: int = wire(INT32, "1+", default=-1, ignorable=True)
    topics: Sequence[MetadataResponseTopic] = wire(ARRAY(MetadataResponseTopic))
    cluster_authorized_operations: int = wire(INT32, "8-10", default=-(1 << 31))
    error_code: int = wire(INT16, "13+", ignorable=True)


@struct
class TopicRequest:
    name: str = wire(STRING)


@struct
class Cursor:
    topic_name: str = wire(STRING)
    partition_index: int = wire(INT32)


@message(key=75, versions="0", flexible="0+")
class DescribeTopicPartitionsRequest(Message):
    """A page of the partitions of some topics (KIP-966); an empty list is all topics."""

    topics: Sequence[TopicRequest] = wire(ARRAY(TopicRequest))
    response_partition_limit: int = wire(INT32, default=2000)
    cursor: Cursor | None = wire(NULLABLE_STRUCT(Cursor))


@struct
class DescribeTopicPartitionsResponsePartition:
    error_code: int = wire(INT16)
    partition_index: int = wire(INT32)
    leader_id: int = wire(INT32)
    leader_epoch: int = wire(INT32, default=-1)
    replica_nodes: Sequence[int] = wire(ARRAY(INT32))
    isr_nodes: Sequence[int] = wire(ARRAY(INT32))
    eligible_leader_replicas: Sequence[int] | None = wire(NULLABLE_ARRAY(INT32), default=None)
    last_known_elr: Sequence[int] | None = wire(NULLABLE_ARRAY(INT32), default=None)
    offline_replicas: Sequence[int] = wire(ARRAY(INT32))


@struct
class DescribeTopicPartitionsResponseTopic:
    error_code: int = wire(INT16)
    name: str | None = wire(NULLABLE_STRING)
    topic_id: bytes = wire(UUID)
    is_internal: bool = wire(BOOLEAN)
    partitions: Sequence[DescribeTopicPartitionsResponsePartition] = wire(
        ARRAY(DescribeTopicPartitionsResponsePartition)
    )
    topic_authorized_operations: int = wire(INT32, default=-(1 << 31))


@message(key=75, versions="0", flexible="0+")
class DescribeTopicPartitionsResponse(Message):
    """A page of partitions, with their ELR, and where the next page begins."""

    throttle_time_ms: int = wire(INT32)
    topics: Sequence[DescribeTopicPartitionsResponseTopic] = wire(ARRAY(DescribeTopicPartitionsResponseTopic))
    next_cursor: Cursor | None = wire(NULLABLE_STRUCT(Cursor))
