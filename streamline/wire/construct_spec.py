"""
Messages as C{construct} structs: the specification that a person can read, print and step through.

Derived from the same declarations as the fast path, by other means, which makes it the oracle that the fast path is
tested against.  It is ten to a hundred times slower and never sees a client's bytes; C{construct} is imported only
when it is asked for.

    >>> print(specification(HeartbeatRequest, 4).parse(body))
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from streamline.wire.schema import Field, Message, fields, is_flexible
from streamline.wire.types import Array, Blob, Fixed, Nested, Text, Type

if TYPE_CHECKING:
    import construct


def specification(cls: type[Message], version: int) -> construct.Struct:
    """
    Give the specification of a message in a version.

    It parses to, and builds from, a container with a key for each field that the version has; nested structs are
    containers, arrays lists, uuids and records bytes.  Tagged fields are keys, too; unknown ones go to
    C{unknown_tags}.
    """
    return _Specification(version, is_flexible(cls, version)).struct(cls)


def batch_specification() -> construct.Struct:
    """Give the specification of the header of a record batch."""
    import construct as c

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


def container(message: Any, version: int, flexible: bool) -> Any:
    """Turn a message or a struct into what its specification builds from."""
    plain, tagged, _ = fields(type(message), version)
    found = {field.name: _plain(getattr(message, field.name), version, flexible) for field in plain + tagged}
    return found | {"unknown_tags": {}} if flexible else found


def _plain(value: Any, version: int, flexible: bool) -> Any:
    if hasattr(value, "__attrs_attrs__"):
        return container(value, version, flexible)
    if isinstance(value, memoryview):
        return bytes(value)
    if isinstance(value, (list, tuple)):
        return [_plain(item, version, flexible) for item in value]
    return value


class _Specification:
    """The specifications of types, all in one version."""

    def __init__(self, version: int, flexible: bool) -> None:
        import construct

        self._construct = construct
        self._version = version
        self._flexible = flexible
        self._fixed = {
            "?": construct.Flag,
            "b": construct.Int8sb,
            "h": construct.Int16sb,
            "H": construct.Int16ub,
            "i": construct.Int32sb,
            "I": construct.Int32ub,
            "q": construct.Int64sb,
            "d": construct.Float64b,
            "16s": construct.Bytes(16),
        }

    def struct(self, cls: type) -> construct.Struct:
        plain, tagged, _ = fields(cls, self._version)
        parts = [field.name / self.type(field.type_in(self._version)) for field in plain]
        if self._flexible:
            parts.append("tags" / self._tag_section())
            return self._tagged(self._construct.Struct(*parts), tagged)
        return self._construct.Struct(*parts)

    def type(self, type: Type) -> Any:
        c = self._construct
        match type:
            case Fixed():
                return self._fixed[type.code]
            case Text():
                body = self._sized(c.Int16sb, type.nullable)
                return self._adapt(body, lambda data: data.decode(), lambda text: text.encode())
            case Blob():
                return self._sized(c.Int32sb, type.nullable)
            case Array():
                return self._array(self.type(type.item), type.nullable)
            case Nested(nullable=False):
                return self.struct(type.struct)
            case Nested():
                return self._optional(self.struct(type.struct))

    def _adapt(self, inner: Any, decode: Callable[[Any], Any], encode: Callable[[Any], Any]) -> Any:
        def unless_none(convert: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
            return lambda value, _: None if value is None else convert(value)

        return self._construct.ExprAdapter(inner, unless_none(decode), unless_none(encode))

    def _count(self, plain: Any) -> Any:
        """Give a length or count; -1 is null in both encodings."""
        if not self._flexible:
            return plain
        return self._construct.ExprAdapter(
            self._construct.VarInt, lambda value, _: value - 1, lambda value, _: value + 1
        )

    def _sized(self, plain: Any, nullable: bool) -> Any:
        return self._counted(plain, nullable, self._construct.Bytes)

    def _array(self, item: Any, nullable: bool) -> Any:
        def items(count: Any) -> Any:
            return self._construct.Array(count, item)

        return self._counted(self._construct.Int32sb, nullable, items)

    def _counted(self, plain: Any, nullable: bool, body: Callable[[Any], Any]) -> Any:
        c = self._construct

        def size(this: Any) -> int:
            return -1 if this.value is None else len(this.value)

        counted = c.Struct(
            "count" / c.Rebuild(self._count(plain), size),
            c.Check(lambda this: nullable or this.count >= 0),
            "value" / c.If(lambda this: this.count >= 0, body(lambda this: this.count)),
        )
        return c.ExprAdapter(counted, lambda found, _: found.value, lambda value, _: {"value": value})

    def _optional(self, struct: Any) -> Any:
        c = self._construct
        optional = c.Struct(
            "there" / c.Rebuild(c.Int8sb, lambda this: -1 if this.value is None else 1),
            "value" / c.If(lambda this: this.there == 1, struct),
        )
        return c.ExprAdapter(optional, lambda found, _: found.value, lambda value, _: {"value": value})

    def _tag_section(self) -> Any:
        c = self._construct
        tag = c.Struct("tag" / c.VarInt, "data" / c.Prefixed(c.VarInt, c.GreedyBytes))
        return c.PrefixedArray(c.VarInt, tag)

    def _tagged(self, struct: Any, tagged: list[Field]) -> Any:
        """Turn the tagged section of a struct into keys like the others."""
        types = {field.tag: (field, self.type(field.type_in(self._version))) for field in tagged}

        def decode(found: Any, _: Any) -> Any:
            section = found.pop("tags")
            found["unknown_tags"] = {entry.tag: entry.data for entry in section if entry.tag not in types}
            present = {entry.tag: entry.data for entry in section}
            for tag, (field, type) in types.items():
                found[field.name] = type.parse(present[tag]) if tag in present else _default(field)
            return found

        def encode(value: Any, _: Any) -> Any:
            section = {
                tag: type.build(value[field.name])
                for tag, (field, type) in types.items()
                if value[field.name] != _default(field)
            }
            section |= value["unknown_tags"]
            tags = [{"tag": tag, "data": data} for tag, data in sorted(section.items())]
            return {**value, "tags": tags}

        return self._construct.ExprAdapter(struct, decode, encode)


def _default(field: Field) -> Any:
    return field.default if field.factory is None else field.factory()
