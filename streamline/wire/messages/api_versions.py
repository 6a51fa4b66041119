"""ApiVersions: which versions of which APIs a node speaks, and its features (KIP-511, KIP-584)."""

from collections.abc import Sequence

from streamline.wire.schema import Message, message, struct, wire
from streamline.wire.types import ARRAY, BOOLEAN, INT16, INT32, INT64, STRING


@message(key=18, versions="0-4", flexible="3+")
class ApiVersionsRequest(Message):
    """The first request of most clients.  A version that a node does not know is still answered, in version 0."""

    client_software_name: str = wire(STRING, "3+", ignorable=True)
    client_software_version: str = wire(STRING, "3+", ignorable=True)


@struct
class ApiVersion:
    api_key: int = wire(INT16)
    min_version: int = wire(INT16)
    max_version: int = wire(INT16)


@struct
class SupportedFeatureKey:
    name: str = wire(STRING)
    min_version: int = wire(INT16)
    max_version: int = wire(INT16)


@struct
class FinalizedFeatureKey:
    name: str = wire(STRING)
    max_version_level: int = wire(INT16)
    min_version_level: int = wire(INT16)


@message(key=18, versions="0-4", flexible="3+")
class ApiVersionsResponse(Message):
    """The APIs, and from version 3 the features.  Its response header is always version 0."""

    error_code: int = wire(INT16)
    api_keys: Sequence[ApiVersion] = wire(ARRAY(ApiVersion))
    throttle_time_ms: int = wire(INT32, "1+", ignorable=True)
    supported_features: Sequence[SupportedFeatureKey] = wire(ARRAY(SupportedFeatureKey), "3+", tag=0, ignorable=True)
    finalized_features_epoch: int = wire(INT64, "3+", default=-1, tag=1, ignorable=True)
    finalized_features: Sequence[FinalizedFeatureKey] = wire(ARRAY(FinalizedFeatureKey), "3+", tag=2, ignorable=True)
    zk_migration_ready: bool = wire(BOOLEAN, "3+", tag=3, ignorable=True)
