"""Log directories: what lies where."""

from collections.abc import Sequence

from streamline.wire.schema import Message, message, struct, wire
from streamline.wire.types import ARRAY, BOOLEAN, INT16, INT32, INT64, NULLABLE_ARRAY, STRING


@struct
class DescribableLogDirTopic:
    topic: str = wire(STRING)
    partitions: Sequence[int] = wire(ARRAY(INT32))


@message(key=35, versions="1-5", flexible="2+")
class DescribeLogDirsRequest(Message):
    """Which partitions; null topics is all of them."""

    topics: Sequence[DescribableLogDirTopic] | None = wire(NULLABLE_ARRAY(DescribableLogDirTopic))


@struct
class DescribeLogDirsPartition:
    partition_index: int = wire(INT32)
    partition_size: int = wire(INT64)
    offset_lag: int = wire(INT64)
    is_future_key: bool = wire(BOOLEAN)


@struct
class DescribeLogDirsTopic:
    name: str = wire(STRING)
    partitions: Sequence[DescribeLogDirsPartition] = wire(ARRAY(DescribeLogDirsPartition))


@struct
class DescribeLogDirsResult:
    error_code: int = wire(INT16)
    log_dir: str = wire(STRING)
    topics: Sequence[DescribeLogDirsTopic] = wire(ARRAY(DescribeLogDirsTopic))
    total_bytes: int = wire(INT64, "4+", default=-1, ignorable=True)
    usable_bytes: int = wire(INT64, "4+", default=-1, ignorable=True)
    is_cordoned: bool = wire(BOOLEAN, "5+", ignorable=True)


@message(key=35, versions="1-5", flexible="2+")
class DescribeLogDirsResponse(Message):
    """Directories, their sizes, and the partitions in them."""

    throttle_time_ms: int = wire(INT32)
    error_code: int = wire(INT16, "3+", ignorable=True)
    results: Sequence[DescribeLogDirsResult] = wire(ARRAY(DescribeLogDirsResult))
