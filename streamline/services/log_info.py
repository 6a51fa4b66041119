"""
How far the logs of this node go, for a controller that has to find the best of several (GetReplicaLogInfo, KIP-966).
"""

from __future__ import annotations

from collections.abc import Callable

from streamline.cluster.recovery import LogEnd
from streamline.errors import ErrorCode
from streamline.replication.truncation import LogRange, last_epoch_of
from streamline.services.metadata import Metadata
from streamline.services.replica import Replica
from streamline.services.replicas import Replicas
from streamline.wire.messages.log_info import (
    GetReplicaLogInfoRequest,
    GetReplicaLogInfoResponse,
    PartitionLogInfo,
    TopicPartitionLogInfo,
)


class ReplicaLogs:
    """
    Says how far they go.

    @param broker_epoch: returns that of this process; what a later one has is another log.
    """

    def __init__(self, metadata: Metadata, replicas: Replicas, broker_epoch: Callable[[], int]) -> None:
        self._metadata = metadata
        self._replicas = replicas
        self._broker_epoch = broker_epoch

    def describe(self, request: GetReplicaLogInfoRequest) -> GetReplicaLogInfoResponse:
        """Say it of each that is asked for; one that is out of order says nothing."""
        copies = {(copy.log.identity.topic_id, copy.log.identity.partition): copy for copy in self._replicas}
        return GetReplicaLogInfoResponse(
            broker_epoch=self._broker_epoch(),
            topic_partition_log_info_list=[
                TopicPartitionLogInfo(
                    topic_id=topic.topic_id,
                    partition_log_info=[_info(copies.get((topic.topic_id, one)), one) for one in topic.partitions],
                )
                for topic in request.topic_partitions
            ],
        )


def _info(copy: Replica | None, index: int) -> PartitionLogInfo:
    if copy is None or copy.offline is not None:
        code = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION if copy is None else ErrorCode.KAFKA_STORAGE_ERROR
        return PartitionLogInfo(
            partition=index,
            last_written_leader_epoch=-1,
            current_leader_epoch=-1,
            log_end_offset=-1,
            error_code=code,
            error_message="this node has no copy that is in order; its log says why",
        )
    end = end_of(copy)
    return PartitionLogInfo(
        partition=index,
        last_written_leader_epoch=end.leader_epoch,
        current_leader_epoch=copy.state.leader_epoch,
        log_end_offset=end.end_offset,
        error_code=ErrorCode.NONE,
    )


def end_of(copy: Replica) -> LogEnd:
    """
    Return how far a copy goes.

    Where retention has left no record, what counts is the last epoch that is known: its records were there.
    """
    kept, epochs = copy.log, copy.epochs
    if kept.end_offset == kept.start_offset:
        return LogEnd(epochs.latest, kept.end_offset)
    return LogEnd(last_epoch_of(epochs, LogRange(kept.start_offset, kept.end_offset)), kept.end_offset)
