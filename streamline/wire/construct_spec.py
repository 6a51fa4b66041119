"""
Messages as C{construct} structs: the specification that a person can read, print and step through.

Derived from the same declarations as the fast path, by other means, which makes it the oracle that the fast path is
tested against.  It takes fifty times longer (benchmarks/codec.py) and never sees a client's bytes: only tests and
tools import this module, and with it C{construct}.

    >>> print(specification(HeartbeatRequest, 4).parse(body))
"""

from collections.abc import Mapping
from typing import Any

import construct as c

from streamline.wire.schema import Field, Message, fields, is_flexible
from streamline.wire.types import Array, Blob, Fixed, Nested, Text, Type

FIXED = {
    "?": c.Flag,
    "b": c.Int8sb,
    "h": c.Int16sb,
    "H": c.Int16ub,
    "i": c.Int32sb,
    "I": c.Int32ub,
    "q": c.Int64sb,
    "d": c.Float64b,
    "16s": c.Bytes(16),
}


def specification(cls: type[Message], version: int) -> c.Struct:
    """
    Give the specification of a message in a version.

    It parses to, and builds from, a container with a key for each field that the version has: nested structs are
    containers, arrays lists, uuids and records bytes.  Tagged fields are in the container C{tags}, where those that
    nobody knows are bytes under their number.
    """
    return _struct(cls, version, is_flexible(cls, version))


def batch_specification() -> c.Struct:
    """Give the specification of the header of a record batch."""
    return c.Struct(
        "base_offset" / c.Int64sb,
        "batch_length" / c.Int32sb,
        "partition_leader_epoch" / c.Int32sb,
        "magic" / c.Int8sb,
        "crc" / c.Int32ub,
        "attributes" / c.Int16sb,
        "last_offset_delta" / c.Int32sb,
        "base_timestamp" / c.Int64sb,
        "max_timestamp" / c.Int64sb,
        "producer_id" / c.Int64sb,
        "producer_epoch" / c.Int16sb,
        "base_sequence" / c.Int32sb,
        "record_count" / c.Int32sb,
    )


def container(message: Any, version: int, flexible: bool) -> dict[str, Any]:
    """Turn a message or a struct into what its specification builds from."""
    plain, tagged, _ = fields(type(message), version)
    found = {field.name: _plain(getattr(message, field.name), version, flexible) for field in plain}
    if flexible:
        values = {field.name: getattr(message, field.name) for field in tagged}
        defaults = {field.name: _default(field) for field in tagged}
        found["tags"] = {
            name: _plain(value, version, flexible) for name, value in values.items() if value != defaults[name]
        }
    return found


def _default(field: Field) -> Any:
    return field.default if field.factory is None else field.factory()


def _plain(value: Any, version: int, flexible: bool) -> Any:
    if hasattr(value, "FIELDS"):
        return container(value, version, flexible)
    if isinstance(value, memoryview):
        return bytes(value)
    if isinstance(value, (list, tuple)):
        return [_plain(item, version, flexible) for item in value]
    return value


def _struct(cls: type, version: int, flexible: bool) -> c.Struct:
    plain, tagged, _ = fields(cls, version)
    parts = [field.name / _type(field.type_in(version), version, flexible) for field in plain]
    if flexible:
        types = {field.tag: (field.name, _type(field.type_in(version), version, flexible)) for field in tagged}
        parts.append("tags" / Tags(types))
    return c.Struct(*parts)


def _type(type: Type, version: int, flexible: bool) -> Any:
    """Give the specification of a type: lengths are one more in flexible versions, so that 0 is null."""
    match type:
        case Fixed():
            return FIXED[type.code]
        case Text():
            text = Text16(_length(c.Int16sb, flexible))
            return Nullable(text, _length(c.Int16sb, flexible)) if type.nullable else text
        case Blob():
            blob = c.Prefixed(_length(c.Int32sb, flexible), c.GreedyBytes)
            return Nullable(blob, _length(c.Int32sb, flexible)) if type.nullable else blob
        case Array():
            items = c.PrefixedArray(_length(c.Int32sb, flexible), _type(type.item, version, flexible))
            return Nullable(items, _length(c.Int32sb, flexible)) if type.nullable else items
        case Nested(nullable=False):
            return _struct(type.struct, version, flexible)
        case Nested():
            there = c.Const(1, c.Int8sb)
            return Nullable(c.FocusedSeq("it", there, "it" / _struct(type.struct, version, flexible)), c.Int8sb)


def _length(plain: Any, flexible: bool) -> Any:
    return CompactLength() if flexible else plain


class CompactLength(c.Construct):  # type: ignore[misc]
    """A length or count as an unsigned varint that is one more."""

    def _parse(self, stream: Any, context: Any, path: str) -> int:
        length: int = c.VarInt._parsereport(stream, context, path) - 1
        return length

    def _build(self, length: int, stream: Any, context: Any, path: str) -> int:
        c.VarInt._build(length + 1, stream, context, path)
        return length


class Text16(c.Construct):  # type: ignore[misc]
    """UTF-8 text with a length."""

    def __init__(self, length: Any) -> None:
        super().__init__()
        self.bytes = c.Prefixed(length, c.GreedyBytes)

    def _parse(self, stream: Any, context: Any, path: str) -> str:
        data: bytes = self.bytes._parsereport(stream, context, path)
        return data.decode()

    def _build(self, text: str, stream: Any, context: Any, path: str) -> str:
        self.bytes._build(text.encode(), stream, context, path)
        return text


class Nullable(c.Subconstruct):  # type: ignore[misc]
    """Something, or nothing, which is -1 where C{marker} would be."""

    def __init__(self, subcon: Any, marker: Any) -> None:
        super().__init__(subcon)
        self.marker = marker

    def _parse(self, stream: Any, context: Any, path: str) -> Any:
        at = stream.tell()
        if self.marker._parsereport(stream, context, path) == -1:
            return None
        stream.seek(at)
        return self.subcon._parsereport(stream, context, path)

    def _build(self, value: Any, stream: Any, context: Any, path: str) -> Any:
        if value is None:
            self.marker._build(-1, stream, context, path)
        else:
            self.subcon._build(value, stream, context, path)
        return value


class Tags(c.Construct):  # type: ignore[misc]
    """The tagged section of a struct."""

    section = c.PrefixedArray(
        c.VarInt, c.Struct("tag" / c.VarInt, "data" / c.Prefixed(c.VarInt, c.GreedyBytes))
    )

    def __init__(self, types: Mapping[int | None, tuple[str, Any]]) -> None:
        super().__init__()
        self.types = types
        self.numbers = {name: (tag, type) for tag, (name, type) in types.items()}

    def _parse(self, stream: Any, context: Any, path: str) -> Any:
        found = c.Container()
        for entry in self.section._parsereport(stream, context, path):
            name, type = self.types.get(entry.tag, (entry.tag, c.GreedyBytes))
            found[name] = type.parse(entry.data)
        return found

    def _build(self, values: Mapping[Any, Any], stream: Any, context: Any, path: str) -> Any:
        entries = []
        for name, value in values.items():
            tag, type = self.numbers.get(name, (name, c.GreedyBytes))
            entries.append({"tag": tag, "data": type.build(value)})
        self.section._build(sorted(entries, key=lambda entry: entry["tag"]), stream, context, path)
        return values
