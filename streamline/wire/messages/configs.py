"""Configs of brokers, topics, groups and client metrics: read them, change them, list who has some."""

from collections.abc import Sequence

from streamline.wire.schema import Message, message, struct, wire
from streamline.wire.types import ARRAY, BOOLEAN, INT8, INT16, INT32, NULLABLE_ARRAY, NULLABLE_STRING, STRING


@struct
class DescribeConfigsResource:
    resource_type: int = wire(INT8)
    resource_name: str = wire(STRING)
    configuration_keys: Sequence[str] | None = wire(NULLABLE_ARRAY(STRING))


@message(key=32, versions="1-4", flexible="4+")
class DescribeConfigsRequest(Message):
    """Resources whose configs to give; null keys is all of them."""

    resources: Sequence[DescribeConfigsResource] = wire(ARRAY(DescribeConfigsResource))
    include_synonyms: bool = wire(BOOLEAN)
    include_documentation: bool = wire(BOOLEAN, "3+")


@struct
class DescribeConfigsSynonym:
    name: str = wire(STRING)
    value: str | None = wire(NULLABLE_STRING)
    source: int = wire(INT8)


@struct
class DescribeConfigsResourceResult:
    name: str = wire(STRING)
    value: str | None = wire(NULLABLE_STRING)
    read_only: bool = wire(BOOLEAN)
    config_source: int = wire(INT8, default=-1)
    is_sensitive: bool = wire(BOOLEAN)
    synonyms: Sequence[DescribeConfigsSynonym] = wire(ARRAY(DescribeConfigsSynonym))
    config_type: int = wire(INT8, "3+", ignorable=True)
    documentation: str | None = wire(NULLABLE_STRING, "3+", ignorable=True)


@struct
class DescribeConfigsResult:
    error_code: int = wire(INT16)
    error_message: str | None = wire(NULLABLE_STRING)
    resource_type: int = wire(INT8)
    resource_name: str = wire(STRING)
    configs: Sequence[DescribeConfigsResourceResult] = wire(ARRAY(DescribeConfigsResourceResult))


@message(key=32, versions="1-4", flexible="4+")
class DescribeConfigsResponse(Message):
    """Values, with where they come from and their synonyms (KIP-226)."""

    throttle_time_ms: int = wire(INT32)
    results: Sequence[DescribeConfigsResult] = wire(ARRAY(DescribeConfigsResult))


@struct
class AlterableConfig:
    name: str = wire(STRING)
    value: str | None = wire(NULLABLE_STRING)


@struct
class AlterConfigsResource:
    resource_type: int = wire(INT8)
    resource_name: str = wire(STRING)
    configs: Sequence[AlterableConfig] = wire(ARRAY(AlterableConfig))


@message(key=33, versions="0-2", flexible="2+")
class AlterConfigsRequest(Message):
    """Replace all configs of resources."""

    resources: Sequence[AlterConfigsResource] = wire(ARRAY(AlterConfigsResource))
    validate_only: bool = wire(BOOLEAN)


@struct
class AlterConfigsResourceResponse:
    error_code: int = wire(INT16)
    error_message: str | None = wire(NULLABLE_STRING)
    resource_type: int = wire(INT8)
    resource_name: str = wire(STRING)


@message(key=33, versions="0-2", flexible="2+")
class AlterConfigsResponse(Message):
    """How each change went."""

    throttle_time_ms: int = wire(INT32)
    responses: Sequence[AlterConfigsResourceResponse] = wire(ARRAY(AlterConfigsResourceResponse))


@struct
class IncrementalAlterConfigsRequestAlterableConfig:
    name: str = wire(STRING)
    config_operation: int = wire(INT8)
    value: str | None = wire(NULLABLE_STRING)


@struct
class IncrementalAlterConfigsRequestAlterConfigsResource:
    resource_type: int = wire(INT8)
    resource_name: str = wire(STRING)
    configs: Sequence[IncrementalAlterConfigsRequestAlterableConfig] = wire(
        ARRAY(IncrementalAlterConfigsRequestAlterableConfig)
    )


@message(key=44, versions="0-1", flexible="1+")
class IncrementalAlterConfigsRequest(Message):
    """Change single configs (KIP-339): 0 sets, 1 deletes, 2 appends, 3 subtracts."""

    resources: Sequence[IncrementalAlterConfigsRequestAlterConfigsResource] = wire(
        ARRAY(IncrementalAlterConfigsRequestAlterConfigsResource)
    )
    validate_only: bool = wire(BOOLEAN)


@message(key=44, versions="0-1", flexible="1+")
class IncrementalAlterConfigsResponse(Message):
    """How each change went."""

    throttle_time_ms: int = wire(INT32)
    responses: Sequence[AlterConfigsResourceResponse] = wire(ARRAY(AlterConfigsResourceResponse))


@message(key=74, versions="0-1", flexible="0+")
class ListConfigResourcesRequest(Message):
    """Kinds of resources to list (KIP-714, KIP-1142)."""

    resource_types: Sequence[int] = wire(ARRAY(INT8), "1+")


@struct
class ConfigResource:
    resource_name: str = wire(STRING)
    resource_type: int = wire(INT8, "1+", default=16, ignorable=True)


@message(key=74, versions="0-1", flexible="0+")
class ListConfigResourcesResponse(Message):
    """Resources that have configs."""

    throttle_time_ms: int = wire(INT32)
    error_code: int = wire(INT16)
    config_resources: Sequence[ConfigResource] = wire(ARRAY(ConfigResource))
