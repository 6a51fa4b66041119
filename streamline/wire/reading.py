"""
Make a reader from a declaration.

The generated function trusts nothing.  Counts are checked against the bytes that remain and against a
budget of elements before a list is made; lengths may point past the end, because C{at} never goes back: the
next read then fails or, at the last, the final comparison does.  See L{streamline.wire.codec} for what
callers use.
"""

from collections.abc import Callable
from struct import Struct, unpack_from
from struct import error as StructError
from typing import Any

from streamline.errors import ProtocolError
from streamline.model import Buffer
from streamline.wire.schema import Field, Message
from streamline.wire.source import PAUSING, Source, has_slices, least_size
from streamline.wire.types import Array, Blob, Fixed, Nested, Text, Type
from streamline.wire.varints import read_text_length, read_unsigned

SMALL = 17
"""Arrays of fewer numbers than this have their own precompiled struct."""

_HEAD = """\
def made(buf, at=0, left=budget):
    size = len(buf)
    {prepare}
    try:"""
_TAIL = """\
        if at > size or left < 0:
            raise wrong("the message is cut short" if at > size else "the message has too many elements")
        return o0, at
    except (StructError, IndexError):
        raise wrong("the message is cut short") from None
    except UnicodeDecodeError as error:
        raise wrong(f"a string is not UTF-8: {error.reason}") from None"""


class ReaderSource(Source):
    """The reader of one message in one version."""

    def __init__(self, cls: type[Message], version: int, max_elements: int, step: int = 0) -> None:
        super().__init__(cls, version, step)
        self._run: list[tuple[Fixed, str]] = []
        self._sliced = has_slices(cls, version)
        label = self.label

        def wrong(what: str) -> ProtocolError:
            return ProtocolError(f"{label}: {what}")

        self.names |= {
            "budget": max_elements,
            "wrong": wrong,
            "new": object.__new__,
            "long": read_unsigned,
            "long_text": read_text_length,
            "tag_count": _tag_count,
            "tag_start": _tag_start,
            "skip_tags": skip_tags,
            "StructError": StructError,
        }

    def build(self) -> Callable[..., Any]:
        """Compile the reader."""
        self._struct(self.cls, "o0")
        self._flush()
        prepare = "view = memoryview(buf)" if self._sliced else "if type(buf) is not bytes: buf = bytes(buf)"
        return self.compile(_HEAD.format(prepare=PAUSING * bool(self.step) + prepare), _TAIL)  # type: ignore[no-any-return]

    def _struct(self, cls: type, name: str) -> None:
        plain, tagged, absent = self.sorted_fields(cls)
        self.line(f"{name} = new({self.constant('C', cls, cls)})")
        for field in absent + tagged:
            self.line(f"{name}.{field.name} = {self._default(field)}")
        for field in plain:
            self._value(field.type_in(self.version), f"{name}.{field.name}")
        if self.flexible:
            self._tags(tagged, name)

    def _default(self, field: Field) -> str:
        if field.factory is list:
            return "[]"
        if field.factory is not None:
            return self.constant("C", field.factory, field.factory) + "()"
        return repr(field.default)

    def _value(self, type: Type, target: str) -> None:
        match type:
            case Fixed():
                self._run.append((type, target))
            case Text():
                self._sized(type.nullable, target, "h", "long_text", self._text)
            case Blob():
                self._sized(type.nullable, target, "i", "long", self._slice if type.sliced else self._bytes)
            case Array():
                self._array(type, target)
            case Nested():
                self._nested(type, target)

    def _flush(self) -> None:
        run, self._run = self._run, []
        if not run:
            return
        targets = ", ".join(target for _, target in run)
        codes = ">" + "".join(type.code for type, _ in run)
        if codes == ">B":
            self.line(f"{targets} = buf[at]")
        else:
            unpack = self.constant("U", codes, Struct(codes).unpack_from)
            self.line(f"{targets}{',' * (len(run) == 1)} = {unpack}(buf, at)")
        self.line(f"at += {sum(type.size for type, _ in run)}")

    def _length(self, code: str, long: str) -> str:
        """Read a length or a count: one more than it is in flexible versions."""
        name = self.fresh("n")
        if self.flexible:
            self._run.append((_BYTE, name))
            self._flush()
            self.line(f"if {name} > 127: {name}, at = {long}(buf, at - 1)")
        else:
            self._run.append((_LENGTHS[code], name))
            self._flush()
        return name

    def _absence(self, name: str, nullable: bool, target: str) -> None:
        """Begin an C{if} whose C{else} is the value: null, or refused."""
        null = f"{name} == {0 if self.flexible else -1}"
        if nullable:
            self.line(f"if {null}: {target} = None")
            if not self.flexible:
                self.line(f"elif {name} < 0: raise wrong({_path(target)!r} ' has a negative length')")
        else:
            absent = null if self.flexible else f"{name} < 0"
            self.line(f"if {absent}: raise wrong({_path(target)!r} ' must not be null')")
        self.line("else:")

    def _sized(
        self, nullable: bool, target: str, code: str, long: str, take: Callable[[str, str], None]
    ) -> None:
        name = self._length(code, long)
        self._absence(name, nullable, target)
        self.depth += 1
        self.line(f"end = at + {name}{' - 1' * self.flexible}")
        take(target, "at:end")
        self.line("at = end")
        self.depth -= 1

    def _text(self, target: str, part: str) -> None:
        # bytes.decode is faster than str(memoryview, ...), but only bytes have it.
        one = f"str(buf[{part}], 'utf-8')" if self._sliced else f"buf[{part}].decode()"
        self.line(f"{target} = {one}")

    def _bytes(self, target: str, part: str) -> None:
        self.line(f"{target} = bytes(buf[{part}])")

    def _slice(self, target: str, part: str) -> None:
        self.line(f"{target} = view[{part}]")

    def _array(self, type: Array, target: str) -> None:
        if isinstance(type.item, Fixed):
            self._numbers_at_once(type.item, type.nullable, target)
            return
        name = self._length("i", "long")
        self._absence(name, type.nullable, target)
        self.depth += 1
        if self.flexible:
            self.line(f"{name} -= 1")
        least = least_size(type.item, self.version, self.flexible)
        self.line(f"left -= {name}")
        self.line(f"if left < 0 or {name}{f' * {least}' * (least > 1)} > size - at:")
        self.line(f"    raise wrong(f'{_path(target)} cannot have {{{name}}} elements')")
        self._loop(type.item, name, target)
        self.depth -= 1

    def _numbers_at_once(self, item: Fixed, nullable: bool, target: str) -> None:
        """
        Read an array of numbers; few of them with a struct of their own.

        Few need no check: a struct never reads past the end, and C{left} is looked at sooner or later.
        """
        name = self._length("i", "long")
        more = int(self.flexible)
        makers = [None] * more + [Struct(f">{item.code * size}").unpack_from for size in range(SMALL)]
        small = self.constant("S", (item, "small"), makers)
        count = f"({name} - 1)" if more else name
        self.line(f"if {more} <= {name} < {SMALL + more}:")
        self.line(f"    {target} = [*{small}[{name}](buf, at)]; at += {count} * {item.size}; left -= {count}")
        if nullable:
            self.line(f"elif {name} == {more - 1}: {target} = None")
        many = self.constant("M", (item, "many"), _many(item))
        self.line("else:")
        self.line(f"    {target}, at = {many}(buf, at, {name}{' - 1' * more}, left); left -= {name}{' - 1' * more}")

    def _loop(self, item: Type, count: str, target: str) -> None:
        items, one = self.fresh("l"), self.fresh("o")
        self.line(f"{target} = {items} = []")
        self.each("_", f"range({count})", count)
        self.depth += 1
        if isinstance(item, Nested):
            self._struct(item.struct, one)
        else:
            self._value(item, one)
        self._flush()
        self.line(f"{items}.append({one})")
        self.depth -= 1

    def _nested(self, type: Nested, target: str) -> None:
        one = self.fresh("o")
        if not type.nullable:
            self._struct(type.struct, one)
            self.line(f"{target} = {one}")
            return
        there = self.fresh("n")
        self._run.append((_SIGNED_BYTE, there))
        self._flush()
        self.line(f"if {there} == -1: {target} = None")
        self.line(f"elif {there} != 1: raise wrong({_path(target)!r} ' is neither there nor null')")
        self.line("else:")
        self.depth += 1
        self._struct(type.struct, one)
        self._flush()
        self.line(f"{target} = {one}")
        self.depth -= 1

    def _tags(self, tagged: list[Field], name: str) -> None:
        count = self.fresh("t")
        self._run.append((_BYTE, count))
        self._flush()
        if not tagged:
            self.line(f"if {count}: at, left = skip_tags(buf, at - 1, left)")
            return
        self.line(f"if {count}:")
        self.depth += 1
        tag, end = self.fresh("t"), self.fresh("e")
        self.line(f"{count}, at, left = tag_count(buf, at - 1, left)")
        self.line(f"{tag} = -1")
        self.line(f"for _ in range({count}):")
        self.depth += 1
        self.line(f"{tag}, {end}, at = tag_start(buf, at, {tag})")
        for field in tagged:
            self.line(f"{'el' * (field is not tagged[0])}if {tag} == {field.tag}:")
            self.depth += 1
            self._value(field.type_in(self.version), f"{name}.{field.name}")
            self._flush()
            self.depth -= 1
        self.line(f"else: at = {end}")
        self.line(f"if at != {end}: raise wrong(f'tagged field {{{tag}}} has a wrong size')")
        self.depth -= 2


_BYTE = Fixed("byte", "B", 1)
_SIGNED_BYTE = Fixed("int8", "b", 1)
_LENGTHS = {"h": Fixed("int16", "h", 2), "i": Fixed("int32", "i", 4)}


def _path(target: str) -> str:
    return target.partition(".")[2] or "an element"


def _many(item: Fixed) -> Callable[[Buffer, int, int, int], tuple[list[Any], int]]:
    def read(buf: Buffer, at: int, count: int, left: int) -> tuple[list[Any], int]:
        end = at + count * item.size
        if not 0 <= count <= left or end > len(buf):
            raise ProtocolError(f"an array cannot have {count} elements")
        shape = item.code * count if item.code == "16s" else f"{count}{item.code}"
        return [*unpack_from(f">{shape}", buf, at)], end

    return read


def _tag_count(buf: Buffer, at: int, left: int) -> tuple[int, int, int]:
    count, at = read_unsigned(buf, at)
    left -= count
    if left < 0 or count * 2 > len(buf) - at:
        raise ProtocolError(f"a message cannot have {count} tagged fields")
    return count, at, left


def _tag_start(buf: Buffer, at: int, before: int) -> tuple[int, int, int]:
    """Read a tagged field's tag and size.  Tags rise, so that none comes twice."""
    tag, at = read_unsigned(buf, at)
    size, at = read_unsigned(buf, at)
    if tag <= before:
        raise ProtocolError(f"tagged field {tag} follows {before}")
    if size > len(buf) - at:
        raise ProtocolError(f"tagged field {tag} cannot have {size} bytes")
    return tag, at + size, at


def skip_tags(buf: Buffer, at: int, left: int) -> tuple[int, int]:
    """Pass over tagged fields that this version does not know."""
    count, at, left = _tag_count(buf, at, left)
    tag = -1
    for _ in range(count):
        tag, at, _ = _tag_start(buf, at, tag)
    return at, left
