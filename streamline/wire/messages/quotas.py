"""Client quotas (KIP-546)."""

from collections.abc import Sequence

from streamline.wire.schema import Message, message, struct, wire
from streamline.wire.types import ARRAY, BOOLEAN, FLOAT64, INT8, INT16, INT32, NULLABLE_ARRAY, NULLABLE_STRING, STRING


@struct
class ComponentData:
    entity_type: str = wire(STRING)
    match_type: int = wire(INT8)
    match: str | None = wire(NULLABLE_STRING)


@message(key=48, versions="0-1", flexible="1+")
class DescribeClientQuotasRequest(Message):
    """A filter of entities."""

    components: Sequence[ComponentData] = wire(ARRAY(ComponentData))
    strict: bool = wire(BOOLEAN)


@struct
class EntityData:
    entity_type: str = wire(STRING)
    entity_name: str | None = wire(NULLABLE_STRING)


@struct
class ValueData:
    key: str = wire(STRING)
    value: float = wire(FLOAT64)


@struct
class EntryData:
    entity: Sequence[EntityData] = wire(ARRAY(EntityData))
    values: Sequence[ValueData] = wire(ARRAY(ValueData))


@message(key=48, versions="0-1", flexible="1+")
class DescribeClientQuotasResponse(Message):
    """Quotas of the entities that match."""

    throttle_time_ms: int = wire(INT32)
    error_code: int = wire(INT16)
    error_message: str | None = wire(NULLABLE_STRING)
    entries: Sequence[EntryData] | None = wire(NULLABLE_ARRAY(EntryData))


@struct
class OpData:
    key: str = wire(STRING)
    value: float = wire(FLOAT64)
    remove: bool = wire(BOOLEAN)


@struct
class AlterClientQuotasRequestEntryData:
    entity: Sequence[EntityData] = wire(ARRAY(EntityData))
    ops: Sequence[OpData] = wire(ARRAY(OpData))


@message(key=49, versions="0-1", flexible="1+")
class AlterClientQuotasRequest(Message):
    """Quotas to set and to remove."""

    entries: Sequence[AlterClientQuotasRequestEntryData] = wire(ARRAY(AlterClientQuotasRequestEntryData))
    validate_only: bool = wire(BOOLEAN)


@struct
class AlterClientQuotasResponseEntryData:
    error_code: int = wire(INT16)
    error_message: str | None = wire(NULLABLE_STRING)
    entity: Sequence[EntityData] = wire(ARRAY(EntityData))


@message(key=49, versions="0-1", flexible="1+")
class AlterClientQuotasResponse(Message):
    """How each change went."""

    throttle_time_ms: int = wire(INT32)
    entries: Sequence[AlterClientQuotasResponseEntryData] = wire(ARRAY(AlterClientQuotasResponseEntryData))
