"""
What the controller tells brokers right after it was agreed on, and how a broker used to ask to stop.

They are Kafka 3.9's messages in their last version (4.0 dropped them), with what a push needs besides in tagged fields
of our own, which begin at L{OURS}: Kafka's classes read past those.  A push only hurries what the agreed log says
anyway, so it carries the index that it is true at, and is nothing to whoever has applied that.
"""

from collections.abc import Sequence
from typing import Final

from streamline.wire.schema import Message, message, struct, wire
from streamline.wire.types import (
    ARRAY,
    BOOLEAN,
    INT8,
    INT16,
    INT32,
    INT64,
    NULLABLE_STRING,
    STRING,
    UUID,
)

OURS: Final = 1000
"""The first tag that is not Kafka's."""

UNKNOWN, INCREMENTAL, FULL = 0, 1, 2
"""What a push is: some partitions, or all, so that what it leaves out is gone (KIP-866)."""

LEADER_DURING_DELETE: Final = -2
"""The leader of a partition whose topic is deleted, in UpdateMetadata."""

EPOCH_DURING_DELETE: Final = -2
NO_LEADER_EPOCH: Final = -1
"""Leader epochs of StopReplica that fence nothing: the topic is deleted, or it is not known (KIP-570)."""


@struct
class LeaderAndIsrPartitionState:
    partition_index: int = wire(INT32)
    controller_epoch: int = wire(INT32)
    leader: int = wire(INT32)
    leader_epoch: int = wire(INT32)
    isr: Sequence[int] = wire(ARRAY(INT32))
    partition_epoch: int = wire(INT32)
    replicas: Sequence[int] = wire(ARRAY(INT32))
    adding_replicas: Sequence[int] = wire(ARRAY(INT32))
    removing_replicas: Sequence[int] = wire(ARRAY(INT32))
    is_new: bool = wire(BOOLEAN)
    leader_recovery_state: int = wire(INT8)
    elr: Sequence[int] = wire(ARRAY(INT32), tag=OURS)
    last_known_elr: Sequence[int] = wire(ARRAY(INT32), tag=OURS + 1)


@struct
class LeaderAndIsrTopicState:
    topic_name: str = wire(STRING)
    topic_id: bytes = wire(UUID)
    partition_states: Sequence[LeaderAndIsrPartitionState] = wire(ARRAY(LeaderAndIsrPartitionState))


@struct
class LeaderAndIsrLiveLeader:
    broker_id: int = wire(INT32)
    host_name: str = wire(STRING)
    port: int = wire(INT32)


@message(key=4, versions="7", flexible="4+")
class LeaderAndIsrRequest(Message):
    """
    Lead and follow these partitions; C{controller_epoch} is the term, C{broker_epoch} whom it is for.

    What a role depends on besides, settings and registrations, is as it was at C{settled_index}.
    """

    controller_id: int = wire(INT32)
    is_kraft_controller: bool = wire(BOOLEAN)
    controller_epoch: int = wire(INT32)
    broker_epoch: int = wire(INT64, default=-1)
    type: int = wire(INT8)
    topic_states: Sequence[LeaderAndIsrTopicState] = wire(ARRAY(LeaderAndIsrTopicState))
    live_leaders: Sequence[LeaderAndIsrLiveLeader] = wire(ARRAY(LeaderAndIsrLiveLeader))
    cluster_id: str = wire(STRING, tag=OURS)
    metadata_index: int = wire(INT64, default=-1, tag=OURS + 1)
    settled_index: int = wire(INT64, default=-1, tag=OURS + 2)


@struct
class LeaderAndIsrPartitionError:
    partition_index: int = wire(INT32)
    error_code: int = wire(INT16)


@struct
class LeaderAndIsrTopicError:
    topic_id: bytes = wire(UUID)
    partition_errors: Sequence[LeaderAndIsrPartitionError] = wire(ARRAY(LeaderAndIsrPartitionError))


@message(key=4, versions="7", flexible="4+")
class LeaderAndIsrResponse(Message):
    """How that went."""

    error_code: int = wire(INT16)
    topics: Sequence[LeaderAndIsrTopicError] = wire(ARRAY(LeaderAndIsrTopicError))


@struct
class StopReplicaPartitionState:
    partition_index: int = wire(INT32)
    leader_epoch: int = wire(INT32, default=NO_LEADER_EPOCH)
    delete_partition: bool = wire(BOOLEAN)
    partition_epoch: int = wire(INT32, default=-1, tag=OURS)


@struct
class StopReplicaTopicState:
    topic_name: str = wire(STRING)
    partition_states: Sequence[StopReplicaPartitionState] = wire(ARRAY(StopReplicaPartitionState))
    topic_id: bytes = wire(UUID, tag=OURS)


@message(key=5, versions="4", flexible="2+")
class StopReplicaRequest(Message):
    """Stop leading and copying these partitions; what is there of them is for the log to delete."""

    controller_id: int = wire(INT32)
    is_kraft_controller: bool = wire(BOOLEAN)
    controller_epoch: int = wire(INT32)
    broker_epoch: int = wire(INT64, default=-1)
    topic_states: Sequence[StopReplicaTopicState] = wire(ARRAY(StopReplicaTopicState))
    cluster_id: str = wire(STRING, tag=OURS)
    metadata_index: int = wire(INT64, default=-1, tag=OURS + 1)


@struct
class StopReplicaPartitionError:
    topic_name: str = wire(STRING)
    partition_index: int = wire(INT32)
    error_code: int = wire(INT16)


@message(key=5, versions="4", flexible="2+")
class StopReplicaResponse(Message):
    """How that went."""

    error_code: int = wire(INT16)
    partition_errors: Sequence[StopReplicaPartitionError] = wire(ARRAY(StopReplicaPartitionError))


@struct
class UpdateMetadataPartitionState:
    partition_index: int = wire(INT32)
    controller_epoch: int = wire(INT32)
    leader: int = wire(INT32)
    leader_epoch: int = wire(INT32)
    isr: Sequence[int] = wire(ARRAY(INT32))
    zk_version: int = wire(INT32)  # Kafka's name for what is the partition epoch elsewhere
    replicas: Sequence[int] = wire(ARRAY(INT32))
    offline_replicas: Sequence[int] = wire(ARRAY(INT32))
    elr: Sequence[int] = wire(ARRAY(INT32), tag=OURS)
    last_known_elr: Sequence[int] = wire(ARRAY(INT32), tag=OURS + 1)


@struct
class UpdateMetadataTopicState:
    topic_name: str = wire(STRING)
    topic_id: bytes = wire(UUID)
    partition_states: Sequence[UpdateMetadataPartitionState] = wire(ARRAY(UpdateMetadataPartitionState))


@struct
class UpdateMetadataEndpoint:
    port: int = wire(INT32)
    host: str = wire(STRING)
    listener: str = wire(STRING)
    security_protocol: int = wire(INT16)


@struct
class UpdateMetadataBroker:
    id: int = wire(INT32)
    endpoints: Sequence[UpdateMetadataEndpoint] = wire(ARRAY(UpdateMetadataEndpoint))
    rack: str | None = wire(NULLABLE_STRING)
    epoch: int = wire(INT64, default=-1, tag=OURS)
    fenced: bool = wire(BOOLEAN, tag=OURS + 1)


@message(key=6, versions="8", flexible="6+")
class UpdateMetadataRequest(Message):
    """What clients are to be told of brokers and partitions."""

    controller_id: int = wire(INT32)
    is_kraft_controller: bool = wire(BOOLEAN)
    type: int = wire(INT8, tag=0)
    controller_epoch: int = wire(INT32)
    broker_epoch: int = wire(INT64, default=-1)
    topic_states: Sequence[UpdateMetadataTopicState] = wire(ARRAY(UpdateMetadataTopicState))
    live_brokers: Sequence[UpdateMetadataBroker] = wire(ARRAY(UpdateMetadataBroker))
    cluster_id: str = wire(STRING, tag=OURS)
    metadata_index: int = wire(INT64, default=-1, tag=OURS + 1)


@message(key=6, versions="8", flexible="6+")
class UpdateMetadataResponse(Message):
    """How that went."""

    error_code: int = wire(INT16)


@message(key=7, versions="3", flexible="3+")
class ControlledShutdownRequest(Message):
    """A broker would like to stop."""

    broker_id: int = wire(INT32)
    broker_epoch: int = wire(INT64, default=-1)


@struct
class RemainingPartition:
    topic_name: str = wire(STRING)
    partition_index: int = wire(INT32)


@message(key=7, versions="3", flexible="3+")
class ControlledShutdownResponse(Message):
    """What it still leads; it may stop once that is nothing."""

    error_code: int = wire(INT16)
    remaining_partitions: Sequence[RemainingPartition] = wire(ARRAY(RemainingPartition))
