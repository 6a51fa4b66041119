"""The cluster as a whole: DescribeCluster, its features, and brokers that leave for good."""

from collections.abc import Sequence

from streamline.wire.schema import Message, message, struct, wire
from streamline.wire.types import ARRAY, BOOLEAN, INT8, INT16, INT32, NULLABLE_STRING, STRING


@message(key=60, versions="0-2", flexible="0+")
class DescribeClusterRequest(Message):
    """Ask for brokers or, with endpoint type 2, for controllers (KIP-919)."""

    include_cluster_authorized_operations: bool = wire(BOOLEAN)
    endpoint_type: int = wire(INT8, "1+", default=1)
    include_fenced_brokers: bool = wire(BOOLEAN, "2+")


@struct
class DescribeClusterBroker:
    broker_id: int = wire(INT32)
    host: str = wire(STRING)
    port: int = wire(INT32)
    rack: str | None = wire(NULLABLE_STRING, default=None)
    is_fenced: bool = wire(BOOLEAN, "2+")


@message(key=60, versions="0-2", flexible="0+")
class DescribeClusterResponse(Message):
    """Cluster id, controller and brokers."""

    throttle_time_ms: int = wire(INT32)
    error_code: int = wire(INT16)
    error_message: str | None = wire(NULLABLE_STRING, default=None)
    endpoint_type: int = wire(INT8, "1+", default=1)
    cluster_id: str = wire(STRING)
    controller_id: int = wire(INT32, default=-1)
    brokers: Sequence[DescribeClusterBroker] = wire(ARRAY(DescribeClusterBroker))
    cluster_authorized_operations: int = wire(INT32, default=-(1 << 31))


@struct
class FeatureUpdateKey:
    feature: str = wire(STRING)
    max_version_level: int = wire(INT16)
    allow_downgrade: bool = wire(BOOLEAN, "0")
    upgrade_type: int = wire(INT8, "1+", default=1)


@message(key=57, versions="0-2", flexible="0+")
class UpdateFeaturesRequest(Message):
    """Finalize feature levels (KIP-584)."""

    timeout_ms: int = wire(INT32, default=60000)
    feature_updates: Sequence[FeatureUpdateKey] = wire(ARRAY(FeatureUpdateKey))
    validate_only: bool = wire(BOOLEAN, "1+")


@struct
class UpdatableFeatureResult:
    feature: str = wire(STRING)
    error_code: int = wire(INT16)
    error_message: str | None = wire(NULLABLE_STRING)


@message(key=57, versions="0-2", flexible="0+")
class UpdateFeaturesResponse(Message):
    """How that went."""

    throttle_time_ms: int = wire(INT32)
    error_code: int = wire(INT16)
    error_message: str | None = wire(NULLABLE_STRING)
    results: Sequence[UpdatableFeatureResult] = wire(ARRAY(UpdatableFeatureResult), "0-1", ignorable=True)


@message(key=64, versions="0", flexible="0+")
class UnregisterBrokerRequest(Message):
    """Forget a broker that will not come back."""

    broker_id: int = wire(INT32)


@message(key=64, versions="0", flexible="0+")
class UnregisterBrokerResponse(Message):
    """How that went."""

    throttle_time_ms: int = wire(INT32)
    error_code: int = wire(INT16)
    error_message: str | None = wire(NULLABLE_STRING)
