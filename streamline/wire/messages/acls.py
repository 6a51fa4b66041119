"""ACLs: describe, create, delete."""

from collections.abc import Sequence

from streamline.wire.schema import Message, message, struct, wire
from streamline.wire.types import ARRAY, INT8, INT16, INT32, NULLABLE_STRING, STRING


@message(key=29, versions="1-3", flexible="2+")
class DescribeAclsRequest(Message):
    """A filter."""

    resource_type_filter: int = wire(INT8)
    resource_name_filter: str | None = wire(NULLABLE_STRING)
    pattern_type_filter: int = wire(INT8, default=3)
    principal_filter: str | None = wire(NULLABLE_STRING)
    host_filter: str | None = wire(NULLABLE_STRING)
    operation: int = wire(INT8)
    permission_type: int = wire(INT8)


@struct
class AclDescription:
    principal: str = wire(STRING)
    host: str = wire(STRING)
    operation: int = wire(INT8)
    permission_type: int = wire(INT8)


@struct
class DescribeAclsResource:
    resource_type: int = wire(INT8)
    resource_name: str = wire(STRING)
    pattern_type: int = wire(INT8, default=3)
    acls: Sequence[AclDescription] = wire(ARRAY(AclDescription))


@message(key=29, versions="1-3", flexible="2+")
class DescribeAclsResponse(Message):
    """The ACLs that match it, by resource."""

    throttle_time_ms: int = wire(INT32)
    error_code: int = wire(INT16)
    error_message: str | None = wire(NULLABLE_STRING)
    resources: Sequence[DescribeAclsResource] = wire(ARRAY(DescribeAclsResource))


@struct
class AclCreation:
    resource_type: int = wire(INT8)
    resource_name: str = wire(STRING)
    resource_pattern_type: int = wire(INT8, default=3)
    principal: str = wire(STRING)
    host: str = wire(STRING)
    operation: int = wire(INT8)
    permission_type: int = wire(INT8)


@message(key=30, versions="1-3", flexible="2+")
class CreateAclsRequest(Message):
    """ACLs to add."""

    creations: Sequence[AclCreation] = wire(ARRAY(AclCreation))


@struct
class AclCreationResult:
    error_code: int = wire(INT16)
    error_message: str | None = wire(NULLABLE_STRING)


@message(key=30, versions="1-3", flexible="2+")
class CreateAclsResponse(Message):
    """How each addition went."""

    throttle_time_ms: int = wire(INT32)
    results: Sequence[AclCreationResult] = wire(ARRAY(AclCreationResult))


@struct
class DeleteAclsFilter:
    resource_type_filter: int = wire(INT8)
    resource_name_filter: str | None = wire(NULLABLE_STRING)
    pattern_type_filter: int = wire(INT8, default=3)
    principal_filter: str | None = wire(NULLABLE_STRING)
    host_filter: str | None = wire(NULLABLE_STRING)
    operation: int = wire(INT8)
    permission_type: int = wire(INT8)


@message(key=31, versions="1-3", flexible="2+")
class DeleteAclsRequest(Message):
    """Filters; what matches goes."""

    filters: Sequence[DeleteAclsFilter] = wire(ARRAY(DeleteAclsFilter))


@struct
class DeleteAclsMatchingAcl:
    error_code: int = wire(INT16)
    error_message: str | None = wire(NULLABLE_STRING)
    resource_type: int = wire(INT8)
    resource_name: str = wire(STRING)
    pattern_type: int = wire(INT8, default=3)
    principal: str = wire(STRING)
    host: str = wire(STRING)
    operation: int = wire(INT8)
    permission_type: int = wire(INT8)


@struct
class DeleteAclsFilterResult:
    error_code: int = wire(INT16)
    error_message: str | None = wire(NULLABLE_STRING)
    matching_acls: Sequence[DeleteAclsMatchingAcl] = wire(ARRAY(DeleteAclsMatchingAcl))


@message(key=31, versions="1-3", flexible="2+")
class DeleteAclsResponse(Message):
    """What each filter deleted."""

    throttle_time_ms: int = wire(INT32)
    filter_results: Sequence[DeleteAclsFilterResult] = wire(ARRAY(DeleteAclsFilterResult))
