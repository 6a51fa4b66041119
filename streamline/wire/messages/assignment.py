"""
What consumers of a classic group tell each other, through a broker that may look but need not.

A version that is not known is read as the newest one that is: newer ones only add fields at the end.
"""

from collections.abc import Sequence
from struct import Struct
from typing import TypeVar

from streamline.errors import ProtocolError
from streamline.model import Buffer
from streamline.wire.codec import reader
from streamline.wire.schema import Message, message, struct, wire
from streamline.wire.types import ARRAY, INT32, NULLABLE_BYTES, NULLABLE_STRING, STRING

M = TypeVar("M", bound=Message)

_VERSION = Struct(">h")


@struct
class TopicPartition:
    topic: str = wire(STRING)
    partitions: Sequence[int] = wire(ARRAY(INT32))


@message(versions="0-3")
class ConsumerProtocolSubscription(Message):
    """What a consumer wants: the metadata with which it joins."""

    topics: Sequence[str] = wire(ARRAY(STRING))
    user_data: bytes | None = wire(NULLABLE_BYTES, default=None)
    owned_partitions: Sequence[TopicPartition] = wire(ARRAY(TopicPartition), "1+", ignorable=True)
    generation_id: int = wire(INT32, "2+", default=-1, ignorable=True)
    rack_id: str | None = wire(NULLABLE_STRING, "3+", default=None, ignorable=True)


@message(versions="0-3")
class ConsumerProtocolAssignment(Message):
    """What a consumer gets from the leader of its group."""

    assigned_partitions: Sequence[TopicPartition] = wire(ARRAY(TopicPartition))
    user_data: bytes | None = wire(NULLABLE_BYTES, default=None)


def read_embedded(cls: type[M], buf: Buffer) -> M:
    """
    Read a subscription or an assignment, with its version in front.

    @raise ProtocolError: it is malformed.
    """
    if len(buf) < 2:
        raise ProtocolError(f"{len(buf)} bytes are no {cls.__name__}")
    (version,) = _VERSION.unpack_from(buf)
    if version < 0:
        raise ProtocolError(f"{cls.__name__} has no version {version}")
    message, _ = reader(cls, min(version, cls.VERSIONS[1]))(buf, 2)
    return message
