"""What nodes say to each other and to their controller, and clients never do."""

from collections.abc import Sequence
from typing import Final

from streamline.wire.schema import Message, message, struct, wire
from streamline.wire.types import (
    ARRAY,
    BOOLEAN,
    BYTES,
    INT8,
    INT16,
    INT32,
    INT64,
    NULLABLE_ARRAY,
    NULLABLE_BYTES,
    NULLABLE_STRING,
    STRING,
    UINT16,
    UUID,
)

KAFKA_LISTENER: Final = "KAFKA"
PEER_LISTENER: Final = "CLUSTER"
"""How the two addresses of a broker are called."""


@struct
class BrokerState:
    broker_id: int = wire(INT32)
    broker_epoch: int = wire(INT64, default=-1)


@struct
class PartitionData:
    partition_index: int = wire(INT32)
    leader_epoch: int = wire(INT32)
    new_isr: Sequence[int] = wire(ARRAY(INT32), "2")
    new_isr_with_epochs: Sequence[BrokerState] = wire(ARRAY(BrokerState), "3+")
    leader_recovery_state: int = wire(INT8)
    partition_epoch: int = wire(INT32)


@struct
class TopicData:
    topic_id: bytes = wire(UUID)
    partitions: Sequence[PartitionData] = wire(ARRAY(PartitionData))


@message(key=56, versions="2-3", flexible="0+")
class AlterPartitionRequest(Message):
    """A leader asks the controller for another ISR (KIP-497, KIP-903)."""

    broker_id: int = wire(INT32)
    broker_epoch: int = wire(INT64, default=-1)
    topics: Sequence[TopicData] = wire(ARRAY(TopicData))


@struct
class AlterPartitionResponsePartitionData:
    partition_index: int = wire(INT32)
    error_code: int = wire(INT16)
    leader_id: int = wire(INT32)
    leader_epoch: int = wire(INT32)
    isr: Sequence[int] = wire(ARRAY(INT32))
    leader_recovery_state: int = wire(INT8)
    partition_epoch: int = wire(INT32)


@struct
class AlterPartitionResponseTopicData:
    topic_id: bytes = wire(UUID)
    partitions: Sequence[AlterPartitionResponsePartitionData] = wire(ARRAY(AlterPartitionResponsePartitionData))


@message(key=56, versions="2-3", flexible="0+")
class AlterPartitionResponse(Message):
    """The partition's state as the controller has it."""

    throttle_time_ms: int = wire(INT32)
    error_code: int = wire(INT16)
    topics: Sequence[AlterPartitionResponseTopicData] = wire(ARRAY(AlterPartitionResponseTopicData))


@message(key=58, versions="0", flexible="0+")
class EnvelopeRequest(Message):
    """A client's request, passed on to the controller with who sent it (KIP-590)."""

    request_data: bytes = wire(BYTES)
    request_principal: bytes | None = wire(NULLABLE_BYTES)
    client_host_address: bytes = wire(BYTES)


@message(key=58, versions="0", flexible="0+")
class EnvelopeResponse(Message):
    """The response to pass back."""

    response_data: bytes | None = wire(NULLABLE_BYTES, default=None)
    error_code: int = wire(INT16)


@struct
class Listener:
    name: str = wire(STRING)
    host: str = wire(STRING)
    port: int = wire(UINT16)
    security_protocol: int = wire(INT16)


@struct
class Feature:
    name: str = wire(STRING)
    min_supported_version: int = wire(INT16)
    max_supported_version: int = wire(INT16)


@message(key=62, versions="0-4", flexible="0+")
class BrokerRegistrationRequest(Message):
    """A broker introduces itself (KIP-631)."""

    broker_id: int = wire(INT32)
    cluster_id: str = wire(STRING)
    incarnation_id: bytes = wire(UUID)
    listeners: Sequence[Listener] = wire(ARRAY(Listener))
    features: Sequence[Feature] = wire(ARRAY(Feature))
    rack: str | None = wire(NULLABLE_STRING)
    is_migrating_zk_broker: bool = wire(BOOLEAN, "1+")
    log_dirs: Sequence[bytes] = wire(ARRAY(UUID), "2+", ignorable=True)
    previous_broker_epoch: int = wire(INT64, "3+", default=-1, ignorable=True)


@message(key=62, versions="0-4", flexible="0+")
class BrokerRegistrationResponse(Message):
    """The broker epoch of this incarnation."""

    throttle_time_ms: int = wire(INT32)
    error_code: int = wire(INT16)
    broker_epoch: int = wire(INT64, default=-1)


@message(key=63, versions="0-2", flexible="0+")
class BrokerHeartbeatRequest(Message):
    """A broker lives, has caught up to here, and may want to stop."""

    broker_id: int = wire(INT32)
    broker_epoch: int = wire(INT64, default=-1)
    current_metadata_offset: int = wire(INT64)
    want_fence: bool = wire(BOOLEAN)
    want_shut_down: bool = wire(BOOLEAN)
    offline_log_dirs: Sequence[bytes] = wire(ARRAY(UUID), "1+", tag=0)
    cordoned_log_dirs: Sequence[bytes] | None = wire(NULLABLE_ARRAY(UUID), "2+", default=None, tag=1)


@message(key=63, versions="0-2", flexible="0+")
class BrokerHeartbeatResponse(Message):
    """Whether it is caught up, fenced, and may stop."""

    throttle_time_ms: int = wire(INT32)
    error_code: int = wire(INT16)
    is_caught_up: bool = wire(BOOLEAN)
    is_fenced: bool = wire(BOOLEAN, default=True)
    should_shut_down: bool = wire(BOOLEAN)
