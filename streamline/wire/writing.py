"""
Make a writer from a declaration.

The generated function gives a list of buffers: small fields are joined, records are passed through as they
came, so that a megabyte of them is never copied on its way to the socket.  See L{streamline.wire.codec} for
what callers use.
"""

from collections.abc import Callable, Sequence
from struct import Struct, pack
from struct import error as StructError
from typing import Any

from streamline.model import Buffer
from streamline.wire.schema import Field, Message, Unwritable
from streamline.wire.source import PAUSING, Source, is_sliced
from streamline.wire.types import Array, Blob, Fixed, Nested, Text, Type
from streamline.wire.varints import TEXT_BYTES, unsigned

SMALL = 17
"""Arrays of fewer numbers than this have their own precompiled struct."""

_HEAD = """\
def made(o0):
    {prepare}parts = []
    out = []
    add = out.append
    try:"""
_TAIL = """\
        if out: parts.append(join(out))
        return parts
    except (StructError, TypeError, AttributeError, UnicodeError) as error:
        raise wrong(f"{type(error).__name__}: {error}") from error"""


class WriterSource(Source):
    """The writer of one message in one version."""

    def __init__(self, cls: type[Message], version: int, step: int = 0) -> None:
        super().__init__(cls, version, step)
        self._run: list[tuple[str, str]] = []
        label = self.label

        def wrong(what: str) -> Unwritable:
            return Unwritable(f"{label}: {what}")

        self.names |= {
            "wrong": wrong,
            "join": b"".join,
            "one": [bytes([value]) for value in range(128)],
            "long": unsigned,
            "long_text": _text_length,
            "tag_section": _tag_section,
            "many": _many,
            "StructError": StructError,
        }

    def build(self) -> Callable[[Any], list[Buffer]]:
        """Compile the writer."""
        self._struct(self.cls, "o0")
        self._flush()
        return self.compile(_HEAD.format(prepare=PAUSING * bool(self.step)), _TAIL)  # type: ignore[no-any-return]

    def _struct(self, cls: type, name: str) -> None:
        plain, tagged, absent = self.sorted_fields(cls)
        for field in absent:
            if not field.ignorable:
                self.line(f"if {self._differs(field, name)}:")
                self.line(f"    raise wrong({field.name!r} ' is not in this version')")
        for field in plain:
            self._value(field.type_in(self.version), f"{name}.{field.name}")
        if self.flexible:
            self._tags(tagged, name)

    def _differs(self, field: Field, name: str) -> str:
        value = f"{name}.{field.name}"
        if field.factory is list:
            return value
        if field.factory is not None:
            return f"{value} != {self.constant('D', field.factory, field.factory())}"
        if field.default is None:
            return f"{value} is not None"
        return f"{value} != {field.default!r}"

    def _value(self, type: Type, target: str) -> None:
        match type:
            case Fixed():
                self._run.append((type.code, target))
            case Text():
                self._sized(type.nullable, target, ".encode()", "h", "long_text")
            case Blob(sliced=True):
                self._slice(target)
            case Blob():
                self._sized(type.nullable, target, "", "i", "long")
            case Array():
                self._array(type, target)
            case Nested():
                self._nested(type, target)

    def _flush(self) -> None:
        run, self._run = self._run, []
        if run:
            self.line(f"add({self._packed(run)})")

    def _packed(self, run: list[tuple[str, str]]) -> str:
        codes = ">" + "".join(code for code, _ in run)
        if all(value.isdigit() for _, value in run):
            return repr(Struct(codes).pack(*(int(value) for _, value in run)))
        maker = self.constant("P", codes, Struct(codes).pack)
        return f"{maker}({', '.join(value for _, value in run)})"

    def _length(self, name: str, code: str, long: str) -> None:
        """Write a length or count, which C{name} holds: one more than it is in flexible versions."""
        if not self.flexible:
            self._run.append((code, name))
            self._flush()
            return
        before, self._run = self._run, []
        short = self._packed([*before, ("B", name)]) if before else f"one[{name}]"
        longer = f"{self._packed(before)} + {long}({name})" if before else f"{long}({name})"
        self.line(f"add({short} if {name} < 128 else {longer})")

    def _null(self) -> int:
        return 0 if self.flexible else -1

    def _sized(self, nullable: bool, target: str, convert: str, code: str, long: str) -> None:
        value, name = self.fresh("b"), self.fresh("n")
        one_more = " + 1" * self.flexible
        if nullable:
            self.line(f"{value} = {target}")
            self.line(f"if {value} is None: {value} = b''; {name} = {self._null()}")
            self.line(f"else: {value} = {value}{convert}; {name} = len({value}){one_more}")
        else:
            self.line(f"{value} = {target}{convert}")
            self.line(f"{name} = len({value}){one_more}")
        self._length(name, code, long)
        self.line(f"add({value})")

    def _slice(self, target: str) -> None:
        value, name = self.fresh("b"), self.fresh("n")
        one_more = " + 1" * self.flexible
        self.line(f"{value} = {target}")
        self.line(f"if {value} is None: {value} = (); {name} = {self._null()}")
        self.line(f"elif type({value}) is list or type({value}) is tuple:")
        self.line(f"    {name} = sum(map(len, {value})){one_more}")
        self.line(f"else: {name} = len({value}){one_more}; {value} = ({value},)")
        self._length(name, "i", "long")
        self.line(f"parts.append(join(out)); out.clear(); parts += {value}")

    def _array(self, type: Array, target: str) -> None:
        if isinstance(type.item, Fixed):
            self._numbers_at_once(type.item, type.nullable, target)
            return
        items, name = self.fresh("l"), self.fresh("n")
        self.line(f"{items} = {target}")
        if type.nullable:
            self.line(f"if {items} is None: {items} = (); {name} = {self._null()}")
            self.line(f"else: {name} = len({items}){' + 1' * self.flexible}")
        else:
            self.line(f"{name} = len({items}){' + 1' * self.flexible}")
        self._length(name, "i", "long")
        one = self.fresh("o")
        self.each(one, items, f"len({items})")
        self.depth += 1
        if isinstance(type.item, Nested):
            self._struct(type.item.struct, one)
        else:
            self._value(type.item, one)
        self._flush()
        self.depth -= 1

    def _numbers_at_once(self, item: Fixed, nullable: bool, target: str) -> None:
        """Write an array of numbers with its count; few of them with a struct of their own."""
        self._flush()
        items, size = self.fresh("l"), self.fresh("n")
        count = "B" if self.flexible else "i"
        makers = [Struct(f">{count}{item.code * number}").pack for number in range(SMALL)]
        small = self.constant("S", (item, "small"), makers)
        self.line(f"{items} = {target}")
        if nullable:
            null = b"\0" if self.flexible else b"\xff" * 4
            self.line(f"if {items} is None: add({null!r})")
            self.line("else:")
            self.depth += 1
        self.line(f"{size} = len({items})")
        few = f"{small}[{size}]({size}{' + 1' * self.flexible}, *{items})"
        self.line(f"add({few} if {size} < {SMALL} else many({items}, {item.code!r}, {self.flexible}))")
        self.depth -= nullable

    def _nested(self, type: Nested, target: str) -> None:
        one = self.fresh("o")
        self.line(f"{one} = {target}")
        if not type.nullable:
            self._struct(type.struct, one)
            return
        self._flush()
        self.line(f"if {one} is None: add(b'\\xff')")
        self.line("else:")
        self.depth += 1
        self._run.append(("b", "1"))
        self._struct(type.struct, one)
        self._flush()
        self.depth -= 1

    def _tags(self, tagged: list[Field], name: str) -> None:
        if not tagged:
            self._run.append(("B", "0"))
            return
        if any(is_sliced(field.type, self.version) for field in tagged):
            raise TypeError(f"{self.label}: records cannot be tagged, as a tagged field is joined to know its size")
        self._flush()
        differs = [self._differs(field, name) for field in tagged]
        self.line(f"if {' or '.join(differs)}:")
        self.depth += 1
        section, outer = self.fresh("t"), self.fresh("l")
        self.line(f"{section} = []; {outer} = out")
        for field, differ in zip(tagged, differs, strict=True):
            self.line(f"if {differ}:")
            self.depth += 1
            self.line("out = []; add = out.append")
            self._value(field.type_in(self.version), f"{name}.{field.name}")
            self._flush()
            self.line(f"{section}.append(({field.tag}, join(out)))")
            self.depth -= 1
        self.line(f"out = {outer}; add = out.append; add(tag_section({section}))")
        self.depth -= 1
        self.line("else: add(b'\\0')")


def _text_length(length: int) -> bytes:
    if length > TEXT_BYTES + 1:
        raise Unwritable(f"a string of {length - 1} bytes is longer than {TEXT_BYTES}")
    return unsigned(length)


def _tag_section(tags: Sequence[tuple[int, bytes]]) -> bytes:
    out = [unsigned(len(tags))]
    for tag, value in tags:
        out += unsigned(tag), unsigned(len(value)), value
    return b"".join(out)


def _many(items: Sequence[Any], code: str, flexible: bool) -> bytes:
    size = len(items)
    body = pack(f">{code * size if code == '16s' else f'{size}{code}'}", *items)
    return (unsigned(size + 1) if flexible else pack(">i", size)) + body
