"""The consumer group protocol of KIP-848: the broker assigns."""

from collections.abc import Sequence

from streamline.wire.schema import Message, message, struct, wire
from streamline.wire.types import (
    ARRAY,
    BOOLEAN,
    INT8,
    INT16,
    INT32,
    NULLABLE_ARRAY,
    NULLABLE_STRING,
    NULLABLE_STRUCT,
    STRING,
    STRUCT,
    UUID,
)


@struct
class TopicPartitions:
    topic_id: bytes = wire(UUID)
    partitions: Sequence[int] = wire(ARRAY(INT32))


@message(key=68, versions="0-1", flexible="0+")
class ConsumerGroupHeartbeatRequest(Message):
    """What a member wants and owns.  Null says unchanged."""

    group_id: str = wire(STRING)
    member_id: str = wire(STRING)
    member_epoch: int = wire(INT32)
    instance_id: str | None = wire(NULLABLE_STRING, default=None)
    rack_id: str | None = wire(NULLABLE_STRING, default=None)
    rebalance_timeout_ms: int = wire(INT32, default=-1)
    subscribed_topic_names: Sequence[str] | None = wire(NULLABLE_ARRAY(STRING), default=None)
    subscribed_topic_regex: str | None = wire(NULLABLE_STRING, "1+", default=None)
    server_assignor: str | None = wire(NULLABLE_STRING, default=None)
    topic_partitions: Sequence[TopicPartitions] | None = wire(NULLABLE_ARRAY(TopicPartitions), default=None)


@struct
class Assignment:
    topic_partitions: Sequence[TopicPartitions] = wire(ARRAY(TopicPartitions))


@message(key=68, versions="0-1", flexible="0+")
class ConsumerGroupHeartbeatResponse(Message):
    """The member's epoch and, when it changed, its assignment."""

    throttle_time_ms: int = wire(INT32)
    error_code: int = wire(INT16)
    error_message: str | None = wire(NULLABLE_STRING, default=None)
    member_id: str | None = wire(NULLABLE_STRING, default=None)
    member_epoch: int = wire(INT32)
    heartbeat_interval_ms: int = wire(INT32)
    assignment: Assignment | None = wire(NULLABLE_STRUCT(Assignment))


@message(key=69, versions="0-1", flexible="0+")
class ConsumerGroupDescribeRequest(Message):
    """Groups to describe."""

    group_ids: Sequence[str] = wire(ARRAY(STRING))
    include_authorized_operations: bool = wire(BOOLEAN)


@struct
class ConsumerGroupDescribeResponseTopicPartitions:
    topic_id: bytes = wire(UUID)
    topic_name: str = wire(STRING)
    partitions: Sequence[int] = wire(ARRAY(INT32))


@struct
class ConsumerGroupDescribeResponseAssignment:
    topic_partitions: Sequence[ConsumerGroupDescribeResponseTopicPartitions] = wire(
        ARRAY(ConsumerGroupDescribeResponseTopicPartitions)
    )


@struct
class Member:
    member_id: str = wire(STRING)
    instance_id: str | None = wire(NULLABLE_STRING, default=None)
    rack_id: str | None = wire(NULLABLE_STRING, default=None)
    member_epoch: int = wire(INT32)
    client_id: str = wire(STRING)
    client_host: str = wire(STRING)
    subscribed_topic_names: Sequence[str] = wire(ARRAY(STRING))
    subscribed_topic_regex: str | None = wire(NULLABLE_STRING, default=None)
    assignment: ConsumerGroupDescribeResponseAssignment = wire(STRUCT(ConsumerGroupDescribeResponseAssignment))
    target_assignment: ConsumerGroupDescribeResponseAssignment = wire(
        STRUCT(ConsumerGroupDescribeResponseAssignment)
    )
    member_type: int = wire(INT8, "1+", default=-1, ignorable=True)


@struct
class DescribedGroup:
    error_code: int = wire(INT16)
    error_message: str | None = wire(NULLABLE_STRING, default=None)
    group_id: str = wire(STRING)
    group_state: str = wire(STRING)
    group_epoch: int = wire(INT32)
    assignment_epoch: int = wire(INT32)
    assignor_name: str = wire(STRING)
    members: Sequence[Member] = wire(ARRAY(Member))
    authorized_operations: int = wire(INT32, default=-(1 << 31))


@message(key=69, versions="0-1", flexible="0+")
class ConsumerGroupDescribeResponse(Message):
    """State, members and assignments of each group."""

    throttle_time_ms: int = wire(INT32)
    groups: Sequence[DescribedGroup] = wire(ARRAY(DescribedGroup))
