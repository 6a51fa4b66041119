"""
Source text in the making: what the reader's and the writer's generators share.

Both turn one declaration into one straight-line function: nested structs are unrolled in place, arrays
become loops, and neighbouring fixed-size fields become a single precompiled C{struct} call (the I{run}).
Calls and allocations are what Python is slow at, and this leaves few: see benchmarks/codec.py for what it
gives.
"""

from itertools import count
from typing import Any

from streamline.wire.schema import Field, Message, fields, is_flexible
from streamline.wire.types import Array, Blob, Fixed, Nested, Text, Type

PAUSING = """\
owed = 0
    if owed: yield
    """
"""How a function begins that pauses; so it is a generator also where a message has no arrays."""


class Source:
    """
    Lines of Python, and the names they refer to.

    @ivar step: where it is not 0, what is made is a generator, which yields after so many elements of arrays or a
        few more; a power of two.
    """

    def __init__(self, cls: type[Message], version: int, step: int = 0) -> None:
        self.cls = cls
        self.step = step
        self.version = version
        self.flexible = is_flexible(cls, version)
        self.label = f"{cls.__name__} v{version}"
        self.names: dict[str, Any] = {}
        self.depth = 2
        self._lines: list[str] = []
        self._numbers = count(1)
        self._known: dict[Any, str] = {}

    def line(self, text: str) -> None:
        """Add a line at the present depth."""
        self._lines.append("    " * self.depth + text)

    def fresh(self, prefix: str) -> str:
        """Make up a local variable."""
        return f"{prefix}{next(self._numbers)}"

    def each(self, one: str, items: str, count: str) -> None:
        """
        Begin a loop over C{items}, of which there are C{count}.

        Many short arrays are as much work as a long one: the elements of all are counted in C{owed} before an array
        is begun, and within a long one there are pauses besides.
        """
        if not self.step:
            self.line(f"for {one} in {items}:")
            return
        self.line(f"owed += {count}")
        self.line(f"if owed >= {self.step}: owed = 0; yield")
        at = self.fresh("i")
        self.line(f"for {at}, {one} in enumerate({items}, 1):")
        self.line(f"    if not {at} & {self.step - 1}: yield")

    def constant(self, prefix: str, key: Any, value: Any) -> str:
        """Make C{value} reachable from the lines; the same key gives the same name."""
        name = self._known.get(key)
        if name is None:
            name = self._known[key] = self.fresh(prefix)
            self.names[name] = value
        return name

    def compile(self, head: str, tail: str) -> Any:
        """Make the function between C{head} and C{tail}, which must be called C{made}."""
        text = "\n".join([head, *self._lines, tail])
        exec(compile(text, f"<{self.label}>", "exec"), self.names)
        made = self.names["made"]
        made.__source__ = text
        return made

    def sorted_fields(self, cls: type) -> tuple[list[Field], list[Field], list[Field]]:
        """Give the fields of a struct: plain, tagged, absent in this version."""
        return fields(cls, self.version)


def least_size(type: Type, version: int, flexible: bool) -> int:
    """Give the fewest bytes that a value can take: what bounds a count before anything is made."""
    match type:
        case Fixed():
            return type.size
        case Text():
            return 1 if flexible else 2
        case Blob() | Array():
            return 1 if flexible else 4
        case Nested(nullable=True):
            return 1
        case Nested():
            plain, _, _ = fields(type.struct, version)
            inner = sum(least_size(field.type_in(version), version, flexible) for field in plain)
            return max(1, inner + flexible)


def has_slices(cls: type, version: int) -> bool:
    """Whether a message has records, which are slices of its frame."""
    plain, tagged, _ = fields(cls, version)
    return any(is_sliced(field.type, version) for field in plain + tagged)


def is_sliced(type: Type, version: int) -> bool:
    """Whether a value has records in it."""
    match type:
        case Blob():
            return type.sliced
        case Array():
            return is_sliced(type.item, version)
        case Nested():
            return has_slices(type.struct, version)
        case _:
            return False
