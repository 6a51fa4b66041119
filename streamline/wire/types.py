"""
The types that a field on the wire can have.

A type knows its shape only: the fixed-size ones carry their C{struct} character, the others what they are
made of.  How each is read and written is the business of L{streamline.wire.reading} and
L{streamline.wire.writing}; how it is written down for a human is L{streamline.wire.construct_spec}'s.
"""

from collections.abc import Sequence
from typing import Any

import attrs

from streamline.model import ZERO_UUID, Buffer

Buffers = Buffer | Sequence[Buffer]
"""Records: one buffer or, when written, several that follow each other.  Readers give a memoryview."""

@attrs.frozen
class Fixed:
    """A type of known size: C{code} is its C{struct} character, C{default} what Kafka assumes."""

    name: str
    code: str
    size: int
    default: Any = 0


@attrs.frozen
class Text:
    """UTF-8 text of at most 32767 bytes."""

    name: str = "string"
    nullable: bool = False


@attrs.frozen
class Blob:
    """
    Bytes with a length.

    C{sliced} ones (records) are read as slices of the frame and written without being copied; the others
    are copied, so that a small value does not keep a large frame alive.
    """

    name: str = "bytes"
    nullable: bool = False
    sliced: bool = False


@attrs.frozen
class Array:
    """Many of one type, with a count."""

    item: "Type"
    nullable: bool = False


@attrs.frozen
class Nested:
    """A struct inside a message; a nullable one is preceded by a byte that says whether it is there."""

    struct: type
    nullable: bool = False


Type = Fixed | Text | Blob | Array | Nested

BOOLEAN = Fixed("boolean", "?", 1, False)
INT8 = Fixed("int8", "b", 1)
INT16 = Fixed("int16", "h", 2)
UINT16 = Fixed("uint16", "H", 2)
INT32 = Fixed("int32", "i", 4)
UINT32 = Fixed("uint32", "I", 4)
INT64 = Fixed("int64", "q", 8)
FLOAT64 = Fixed("float64", "d", 8, 0.0)
UUID = Fixed("uuid", "16s", 16, ZERO_UUID)
STRING = Text()
NULLABLE_STRING = Text(nullable=True)
BYTES = Blob()
NULLABLE_BYTES = Blob(nullable=True)
RECORDS = Blob("records", nullable=True, sliced=True)


def ARRAY(item: Type | type) -> Array:  # noqa: N802 - reads as a type, like the constants above
    """Make the type of an array of C{item}, which is a type or a struct class."""
    return Array(_type(item))


def NULLABLE_ARRAY(item: Type | type) -> Array:  # noqa: N802
    """Make the type of an array that may be null."""
    return Array(_type(item), nullable=True)


def STRUCT(struct: type) -> Nested:  # noqa: N802
    """Make the type of a nested struct."""
    return Nested(struct)


def NULLABLE_STRUCT(struct: type) -> Nested:  # noqa: N802
    """Make the type of a nested struct that may be null."""
    return Nested(struct, nullable=True)


def _type(item: Type | type) -> Type:
    return Nested(item) if isinstance(item, type) else item
