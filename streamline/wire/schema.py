"""
One declaration per message.

    >>> @message(key=12, versions="0-4", flexible="4+")
    ... class HeartbeatRequest(Message):
    ...     group_id: str = wire(STRING)
    ...     generation_id: int = wire(INT32)
    ...     member_id: str = wire(STRING)
    ...     group_instance_id: str | None = wire(NULLABLE_STRING, "3+", default=None)

The class has slots; every field has Kafka's default, so that a caller names only what it
means.  L{streamline.wire.codec} derives the reader and the writer from the declaration,
L{streamline.wire.construct_spec} the readable specification.

A version range is C{"3"}, C{"3-7"} or C{"3+"}; none means every version of the message.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, ClassVar, Literal, TypeVar, dataclass_transform

import attrs

from streamline.wire.types import Array, Blob, Fixed, Nested, Text, Type

T = TypeVar("T")
Kind = Literal["request", "response", "data"]

_FOREVER = 1 << 15
_UNSET: Any = object()


class Unwritable(ValueError):
    """A version cannot say a message, or a type a value: a bug of ours, never the peer's."""


class Message:
    """What every declared message has besides its fields."""

    __slots__ = ()

    KEY: ClassVar[int]
    """The api key; -1 for what is stored and never requested."""
    VERSIONS: ClassVar[tuple[int, int]]
    """The lowest and the highest version, both included."""
    FLEXIBLE: ClassVar[int | None]
    """The first version with compact lengths and tagged fields, or None if there is none."""
    KIND: ClassVar[Kind]


@attrs.frozen
class Range:
    """Versions from C{first} to C{last}, both included."""

    first: int
    last: int

    @classmethod
    @cache
    def parse(cls, text: str | None) -> "Range":
        """Read C{"3"}, C{"3-7"} or C{"3+"}; None is every version."""
        if text is None:
            return cls(0, _FOREVER)
        if text.endswith("+"):
            return cls(int(text[:-1]), _FOREVER)
        first, _, last = text.partition("-")
        return cls(int(first), int(last or first))

    def __contains__(self, version: int) -> bool:
        return self.first <= version <= self.last


@attrs.frozen
class Field:
    """One field of a declaration, with its versions parsed."""

    name: str
    type: Type
    versions: Range
    default: Any
    factory: Callable[[], Any] | None
    tag: int | None
    tagged: Range | None
    nullable: Range | None
    ignorable: bool

    def is_tagged(self, version: int) -> bool:
        """Whether the field sits in the tagged section in C{version}."""
        return self.tagged is not None and version in self.tagged

    def type_in(self, version: int) -> Type:
        """Give the field's type in C{version}: nullable in some versions, not in others."""
        if self.nullable is None or isinstance(self.type, Fixed):
            return self.type
        return attrs.evolve(self.type, nullable=version in self.nullable)


def wire(
    type: Type,
    versions: str | None = None,
    *,
    default: Any = _UNSET,
    nullable: str | None = None,
    tag: int | None = None,
    tagged: str | None = None,
    ignorable: bool = False,
) -> Any:
    """
    Declare a field.

    @param versions: where the field exists.
    @param default: the value where it does not; if not given, Kafka's default for the type.
    @param nullable: where null is allowed, when that is not every version.
    @param tag: its number in the tagged section; such a field is left out when it has its default.
    @param tagged: where it is tagged, when it is a plain field in other versions.
    @param ignorable: whether a value is dropped silently where the field does not exist; otherwise writing
        it there raises L{Unwritable}.
    """
    factory = None
    if default is _UNSET:
        default, factory = _default(type, tag)
    tags = Range.parse(tagged or versions) if tag is not None else None
    nulls = Range.parse(nullable) if nullable else None
    return Field("", type, Range.parse(versions), default, factory, tag, tags, nulls, ignorable)


def _default(type: Type, tag: int | None) -> tuple[Any, Callable[[], Any] | None]:
    match type:
        case Fixed():
            return type.default, None
        case Text():
            return "", None
        case Blob():
            return (None if type.sliced else b""), None
        case Array():
            return None, list
        case Nested():
            # A tagged struct is left out far more often than not; None says so without making one.
            return None, (None if type.nullable or tag is not None else type.struct)


@dataclass_transform(kw_only_default=True)
def struct(cls: type[T]) -> type[T]:
    """Make a class a struct that messages nest; its versions are those of the message."""
    # There are hundreds, and every start of a node makes all of them.  What attrs would make anew for each, two methods
    # for all do here; they are slower to run, and only tests and debuggers run them.  A constructor is compiled when
    # it is first called.
    declared = {name: value for name, value in cls.__dict__.items() if isinstance(value, Field)}
    left_out = {*declared, "__dict__", "__weakref__"}
    namespace = {name: value for name, value in cls.__dict__.items() if name not in left_out}
    namespace |= {
        "__qualname__": cls.__qualname__, "__slots__": tuple(declared), "__init__": _first_init,
        "__eq__": _equal, "__hash__": None, "__repr__": _repr, "FIELDS": declared,
    }  # fmt: skip
    made: Any = type(cls.__name__, cls.__bases__, namespace)
    return made  # type: ignore[no-any-return]


def _first_init(self: Any, *args: Any, **more: Any) -> None:
    made = type(self)
    made.__init__ = _constructor(made.FIELDS)
    made.__init__(self, *args, **more)


def _constructor(declared: dict[str, Field]) -> Callable[..., None]:
    """Compile what sets all fields, as fast as if it had been written by hand."""
    names: dict[str, Any] = {"_unset": _UNSET}
    arguments, lines = [], []
    for name, field in declared.items():
        if field.factory is None:
            names[f"_default_{name}"] = field.default
            arguments.append(f"{name}=_default_{name}")
            lines.append(f"    self.{name} = {name}\n")
        else:
            names[f"_make_{name}"] = field.factory
            arguments.append(f"{name}=_unset")
            lines.append(f"    self.{name} = {name} if {name} is not _unset else _make_{name}()\n")
    exec(f"def __init__(self, {', '.join(arguments)}):\n{''.join(lines)}    pass\n", names)
    constructor: Callable[..., None] = names["__init__"]
    return constructor


def _equal(self: Any, other: Any) -> Any:
    if other.__class__ is not self.__class__:
        return NotImplemented
    return all(getattr(self, name) == getattr(other, name) for name in self.__slots__)


def _repr(self: Any) -> str:
    return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in self.__slots__)})"


@dataclass_transform(kw_only_default=True)
def message(
    *, versions: str, key: int = -1, flexible: str | None = None, kind: Kind | None = None
) -> Callable[[type[T]], type[T]]:
    """
    Make a class a message.

    @param kind: request, response or data; by default what the class's name ends with.
    """

    def declare(cls: type[T]) -> type[T]:
        made: Any = struct(cls)
        known = Range.parse(versions)
        made.KEY, made.VERSIONS = key, (known.first, known.last)
        made.FLEXIBLE = Range.parse(flexible).first if flexible else None
        made.KIND = kind or _kind(cls.__name__)
        return made  # type: ignore[no-any-return]

    return declare


def _kind(name: str) -> Kind:
    if name.endswith("Request"):
        return "request"
    return "response" if name.endswith("Response") else "data"


def fields(cls: type, version: int) -> tuple[list[Field], list[Field], list[Field]]:
    """
    Sort a class's fields for a version.

    @return: the plain ones in order, the tagged ones by tag, and the ones that do not exist in the version.
    """
    plain, tagged, absent = [], [], []
    for name, unnamed in cls.FIELDS.items():  # type: ignore[attr-defined]
        field = attrs.evolve(unnamed, name=name)
        if version not in field.versions:
            absent.append(field)
        elif field.is_tagged(version):
            tagged.append(field)
        else:
            plain.append(field)
    return plain, sorted(tagged, key=lambda field: field.tag or 0), absent


def is_flexible(cls: type[Message], version: int) -> bool:
    """Whether the message has compact lengths and tagged fields in C{version}."""
    return cls.FLEXIBLE is not None and version >= cls.FLEXIBLE
