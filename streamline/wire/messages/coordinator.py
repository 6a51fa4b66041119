"""FindCoordinator: which node looks after a group or a transaction."""

from collections.abc import Sequence

from streamline.wire.schema import Message, message, struct, wire
from streamline.wire.types import ARRAY, INT8, INT16, INT32, NULLABLE_STRING, STRING


@message(key=10, versions="0-6", flexible="3+")
class FindCoordinatorRequest(Message):
    """One key, or from version 4 several (KIP-699).  Key type 0 is a group, 1 a transaction, 2 a share group."""

    key: str = wire(STRING, "0-3")
    key_type: int = wire(INT8, "1+")
    coordinator_keys: Sequence[str] = wire(ARRAY(STRING), "4+")


@struct
class Coordinator:
    key: str = wire(STRING)
    node_id: int = wire(INT32)
    host: str = wire(STRING)
    port: int = wire(INT32)
    error_code: int = wire(INT16)
    error_message: str | None = wire(NULLABLE_STRING)


@message(key=10, versions="0-6", flexible="3+")
class FindCoordinatorResponse(Message):
    """One node, or from version 4 one for each key."""

    throttle_time_ms: int = wire(INT32, "1+", ignorable=True)
    error_code: int = wire(INT16, "0-3")
    error_message: str | None = wire(NULLABLE_STRING, "1-3", ignorable=True)
    node_id: int = wire(INT32, "0-3")
    host: str = wire(STRING, "0-3")
    port: int = wire(INT32, "0-3")
    coordinators: Sequence[Coordinator] = wire(ARRAY(Coordinator), "4+")
