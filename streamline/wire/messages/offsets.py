"""OffsetCommit, OffsetFetch and OffsetDelete: how far a group has read."""

from collections.abc import Sequence

from streamline.wire.schema import Message, message, struct, wire
from streamline.wire.types import ARRAY, BOOLEAN, INT16, INT32, INT64, NULLABLE_ARRAY, NULLABLE_STRING, STRING, UUID


@struct
class OffsetCommitRequestPartition:
    partition_index: int = wire(INT32)
    committed_offset: int = wire(INT64)
    committed_leader_epoch: int = wire(INT32, "6+", default=-1, ignorable=True)
    committed_metadata: str | None = wire(NULLABLE_STRING)


@struct
class OffsetCommitRequestTopic:
    name: str = wire(STRING, "2-9", ignorable=True)
    topic_id: bytes = wire(UUID, "10+", ignorable=True)
    partitions: Sequence[OffsetCommitRequestPartition] = wire(ARRAY(OffsetCommitRequestPartition))


@message(key=8, versions="2-10", flexible="8+")
class OffsetCommitRequest(Message):
    """Offsets to keep; from version 10 topics go by id (KIP-848)."""

    group_id: str = wire(STRING)
    generation_id_or_member_epoch: int = wire(INT32, default=-1)
    member_id: str = wire(STRING)
    group_instance_id: str | None = wire(NULLABLE_STRING, "7+", default=None)
    retention_time_ms: int = wire(INT64, "2-4", default=-1, ignorable=True)
    topics: Sequence[OffsetCommitRequestTopic] = wire(ARRAY(OffsetCommitRequestTopic))


@struct
class OffsetCommitResponsePartition:
    partition_index: int = wire(INT32)
    error_code: int = wire(INT16)


@struct
class OffsetCommitResponseTopic:
    name: str = wire(STRING, "2-9", ignorable=True)
    topic_id: bytes = wire(UUID, "10+", ignorable=True)
    partitions: Sequence[OffsetCommitResponsePartition] = wire(ARRAY(OffsetCommitResponsePartition))


@message(key=8, versions="2-10", flexible="8+")
class OffsetCommitResponse(Message):
    """How each commit went."""

    throttle_time_ms: int = wire(INT32, "3+", ignorable=True)
    topics: Sequence[OffsetCommitResponseTopic] = wire(ARRAY(OffsetCommitResponseTopic))


@struct
class OffsetFetchRequestTopic:
    name: str = wire(STRING)
    partition_indexes: Sequence[int] = wire(ARRAY(INT32))


@struct
class OffsetFetchRequestTopics:
    name: str = wire(STRING, "8-9", ignorable=True)
    topic_id: bytes = wire(UUID, "10+", ignorable=True)
    partition_indexes: Sequence[int] = wire(ARRAY(INT32))


@struct
class OffsetFetchRequestGroup:
    group_id: str = wire(STRING)
    member_id: str | None = wire(NULLABLE_STRING, "9+", default=None, ignorable=True)
    member_epoch: int = wire(INT32, "9+", default=-1, ignorable=True)
    topics: Sequence[OffsetFetchRequestTopics] | None = wire(NULLABLE_ARRAY(OffsetFetchRequestTopics))


@message(key=9, versions="1-10", flexible="6+")
class OffsetFetchRequest(Message):
    """Whose offsets to give: one group, from version 8 several (KIP-709).  Null topics is all of them."""

    group_id: str = wire(STRING, "1-7")
    topics: Sequence[OffsetFetchRequestTopic] | None = wire(ARRAY(OffsetFetchRequestTopic), "1-7", nullable="2+")
    groups: Sequence[OffsetFetchRequestGroup] = wire(ARRAY(OffsetFetchRequestGroup), "8+")
    require_stable: bool = wire(BOOLEAN, "7+")


@struct
class OffsetFetchResponsePartition:
    partition_index: int = wire(INT32)
    committed_offset: int = wire(INT64)
    committed_leader_epoch: int = wire(INT32, "5+", default=-1, ignorable=True)
    metadata: str | None = wire(NULLABLE_STRING)
    error_code: int = wire(INT16)


@struct
class OffsetFetchResponseTopic:
    name: str = wire(STRING)
    partitions: Sequence[OffsetFetchResponsePartition] = wire(ARRAY(OffsetFetchResponsePartition))


@struct
class OffsetFetchResponsePartitions:
    partition_index: int = wire(INT32)
    committed_offset: int = wire(INT64)
    committed_leader_epoch: int = wire(INT32, default=-1)
    metadata: str | None = wire(NULLABLE_STRING)
    error_code: int = wire(INT16)


@struct
class OffsetFetchResponseTopics:
    name: str = wire(STRING, "8-9", ignorable=True)
    topic_id: bytes = wire(UUID, "10+", ignorable=True)
    partitions: Sequence[OffsetFetchResponsePartitions] = wire(ARRAY(OffsetFetchResponsePartitions))


@struct
class OffsetFetchResponseGroup:
    group_id: str = wire(STRING)
    topics: Sequence[OffsetFetchResponseTopics] = wire(ARRAY(OffsetFetchResponseTopics))
    error_code: int = wire(INT16)


@message(key=9, versions="1-10", flexible="6+")
class OffsetFetchResponse(Message):
    """The committed offsets; -1 where there is none."""

    throttle_time_ms: int = wire(INT32, "3+", ignorable=True)
    topics: Sequence[OffsetFetchResponseTopic] = wire(ARRAY(OffsetFetchResponseTopic), "1-7")
    error_code: int = wire(INT16, "2-7", ignorable=True)
    groups: Sequence[OffsetFetchResponseGroup] = wire(ARRAY(OffsetFetchResponseGroup), "8+")


@struct
class OffsetDeleteRequestPartition:
    partition_index: int = wire(INT32)


@struct
class OffsetDeleteRequestTopic:
    name: str = wire(STRING)
    partitions: Sequence[OffsetDeleteRequestPartition] = wire(ARRAY(OffsetDeleteRequestPartition))


@message(key=47, versions="0")
class OffsetDeleteRequest(Message):
    """Offsets to forget (KIP-496)."""

    group_id: str = wire(STRING)
    topics: Sequence[OffsetDeleteRequestTopic] = wire(ARRAY(OffsetDeleteRequestTopic))


@struct
class OffsetDeleteResponsePartition:
    partition_index: int = wire(INT32)
    error_code: int = wire(INT16)


@struct
class OffsetDeleteResponseTopic:
    name: str = wire(STRING)
    partitions: Sequence[OffsetDeleteResponsePartition] = wire(ARRAY(OffsetDeleteResponsePartition))


@message(key=47, versions="0")
class OffsetDeleteResponse(Message):
    """How each deletion went."""

    error_code: int = wire(INT16)
    throttle_time_ms: int = wire(INT32)
    topics: Sequence[OffsetDeleteResponseTopic] = wire(ARRAY(OffsetDeleteResponseTopic))
