"""
DescribeLogDirs (35): what of the data directory each partition takes.

Behaviour: a node has one directory.  Partitions that it does not have are left out, as Kafka leaves them out.

Version notes: 3 an error for all; 4 the size of the volume (KIP-827); 5 directories that take nothing new (KIP-1066):
ours always do.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping

from twisted.internet.defer import Deferred

from streamline.api.call import Call
from streamline.wire.messages.log_dirs import (
    DescribeLogDirsPartition,
    DescribeLogDirsRequest,
    DescribeLogDirsResponse,
    DescribeLogDirsResult,
    DescribeLogDirsTopic,
)

PARTITIONS_PER_TURN = 1000


def describe_log_dirs(
    call: Call, request: DescribeLogDirsRequest
) -> DescribeLogDirsResponse | Deferred[DescribeLogDirsResponse]:
    """Say how large each partition is."""
    return call.broker.turns.work_off(_describe(call, request))


def _describe(call: Call, request: DescribeLogDirsRequest) -> Generator[None, None, DescribeLogDirsResponse]:
    wanted = None if request.topics is None else {one.topic: dict.fromkeys(one.partitions) for one in request.topics}
    topics: dict[str, list[DescribeLogDirsPartition]] = {}
    for count, partition in enumerate(call.broker.replicas, 1):
        name, index = partition.log.identity.topic_partition
        if _is_wanted(wanted, name, index):
            shown = DescribeLogDirsPartition(partition_index=index, partition_size=partition.log.size_bytes)
            topics.setdefault(name, []).append(shown)
        if count % PARTITIONS_PER_TURN == 0:
            yield
    directory = call.broker.config.data_dir
    free_bytes, total_bytes = call.broker.host.disk.space(directory)
    result = DescribeLogDirsResult(
        log_dir=directory,
        topics=[DescribeLogDirsTopic(name=name, partitions=parts) for name, parts in topics.items()],
        total_bytes=total_bytes,
        usable_bytes=free_bytes,
    )
    return DescribeLogDirsResponse(results=[result])


def _is_wanted(wanted: Mapping[str, Mapping[int, None]] | None, topic: str, index: int) -> bool:
    return wanted is None or index in wanted.get(topic, {})
