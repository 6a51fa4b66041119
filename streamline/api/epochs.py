"""
OffsetForLeaderEpoch (23): where an epoch ends in our log.

Behaviour: the answer is the largest epoch not beyond the one asked for, and its
end (KIP-279); a consumer that finds its position beyond that end knows that the
log was truncated (KIP-320).
"""

from __future__ import annotations

from collections.abc import Generator

from twisted.internet.defer import Deferred

from streamline.api.call import Call
from streamline.errors import Refused
from streamline.wire.messages.leader_epoch import (
    EpochEndOffset,
    OffsetForLeaderEpochRequest,
    OffsetForLeaderEpochResponse,
    OffsetForLeaderPartition,
    OffsetForLeaderTopicResult,
)

LOOKUPS_PER_TURN = 1000


def offset_for_leader_epoch(
    call: Call, request: OffsetForLeaderEpochRequest
) -> OffsetForLeaderEpochResponse | Deferred[OffsetForLeaderEpochResponse]:
    """Look every epoch up."""
    return call.broker.turns.work_off(_look_up(call, request))


def _look_up(
    call: Call, request: OffsetForLeaderEpochRequest
) -> Generator[None, None, OffsetForLeaderEpochResponse]:
    response = OffsetForLeaderEpochResponse(topics=[])
    count = 0
    for topic in request.topics:
        found = []
        for part in topic.partitions:
            found.append(_end_of(call, topic.topic, part))
            count += 1
            if count % LOOKUPS_PER_TURN == 0:
                yield
        response.topics.append(OffsetForLeaderTopicResult(topic=topic.topic, partitions=found))  # type: ignore[attr-defined]
    return response


def _end_of(call: Call, topic: str, part: OffsetForLeaderPartition) -> EpochEndOffset:
    try:
        partition = call.broker.replicas.leading(topic, part.partition)
        partition.check_epoch(part.current_leader_epoch)
    except Refused as refusal:
        return EpochEndOffset(error_code=refusal.code, partition=part.partition)
    epoch, end_offset = partition.epochs.end_of(part.leader_epoch, partition.log.flushed_offset)
    return EpochEndOffset(partition=part.partition, leader_epoch=epoch, end_offset=end_offset)
