"""
LeaderAndIsr (4), StopReplica (5) and UpdateMetadata (6): what the controller tells this node ahead of the log.

Answers for the cluster listener, as L{streamline.api.brokers}.  Behaviour: a push that this node has applied already is
answered without an error and without a word about its partitions; one that comes from somebody who is not the
controller any more, or is for an earlier process of this node, is refused and changes nothing.

Version notes: the last of Kafka 3.9 (7, 4 and 8), with tagged fields of ours (C{docs/adr/0013}).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from twisted.logger import Logger

from streamline.cluster.foresight import PartitionOutcome
from streamline.errors import Refused
from streamline.raft import ReplicaKey
from streamline.services.pushed import Pushed
from streamline.wire.messages.peer_pushes import (
    LeaderAndIsrPartitionError,
    LeaderAndIsrRequest,
    LeaderAndIsrResponse,
    LeaderAndIsrTopicError,
    StopReplicaPartitionError,
    StopReplicaRequest,
    StopReplicaResponse,
    UpdateMetadataRequest,
    UpdateMetadataResponse,
)

log = Logger()


def leader_and_isr(pushed: Pushed, sender: ReplicaKey, request: LeaderAndIsrRequest) -> LeaderAndIsrResponse:
    """Lead and follow partitions."""
    try:
        outcomes = pushed.lead_and_follow(sender, request)
    except Refused as refusal:
        return LeaderAndIsrResponse(error_code=_said(sender, refusal))
    return LeaderAndIsrResponse(
        topics=[
            LeaderAndIsrTopicError(
                topic_id=topic_id,
                partition_errors=[
                    LeaderAndIsrPartitionError(partition_index=one.index, error_code=one.code) for one in parts
                ],
            )
            for topic_id, parts in _by_topic(outcomes)
        ]
    )


def stop_replica(pushed: Pushed, sender: ReplicaKey, request: StopReplicaRequest) -> StopReplicaResponse:
    """Lead and follow partitions no more."""
    try:
        outcomes = pushed.stop(sender, request)
    except Refused as refusal:
        return StopReplicaResponse(error_code=_said(sender, refusal))
    return StopReplicaResponse(
        partition_errors=[
            StopReplicaPartitionError(topic_name=one.name, partition_index=one.index, error_code=one.code)
            for one in outcomes
        ]
    )


def update_metadata(pushed: Pushed, sender: ReplicaKey, request: UpdateMetadataRequest) -> UpdateMetadataResponse:
    """Tell clients of partitions and brokers as they are now."""
    try:
        pushed.show(sender, request)
    except Refused as refusal:
        return UpdateMetadataResponse(error_code=_said(sender, refusal))
    return UpdateMetadataResponse()


def _said(sender: ReplicaKey, refusal: Refused) -> int:
    log.debug("a push of node {node_id} is refused: {why}", node_id=sender.node_id, why=str(refusal))
    return refusal.code


def _by_topic(outcomes: Sequence[PartitionOutcome]) -> Iterator[tuple[bytes, list[PartitionOutcome]]]:
    topics: dict[bytes, list[PartitionOutcome]] = {}
    for one in outcomes:
        topics.setdefault(one.topic_id, []).append(one)
    yield from topics.items()


Answer = Callable[[Pushed, ReplicaKey, Any], Any]

ANSWERS: Final[Sequence[tuple[type[Any], type[Any], Answer]]] = (
    (LeaderAndIsrRequest, LeaderAndIsrResponse, leader_and_isr),
    (StopReplicaRequest, StopReplicaResponse, stop_replica),
    (UpdateMetadataRequest, UpdateMetadataResponse, update_metadata),
)
"""What the cluster listener answers with these functions: request, response, function."""
