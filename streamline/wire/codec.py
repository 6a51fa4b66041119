"""
Readers and writers of messages: the fast path between a frame and a handler.

They are derived from the declaration when first asked for and kept.  Readers raise L{ProtocolError} for any
bytes that are not the message, and nothing else; what they allocate is bounded by the length of the input
and by C{max_elements}.  Writers raise L{Unwritable} for what the version cannot say.
"""

from collections.abc import Callable, Generator
from functools import partial
from typing import Any, Protocol, TypeAlias, TypeVar, cast

from streamline.errors import ProtocolError
from streamline.model import Buffer
from streamline.wire.reading import ReaderSource
from streamline.wire.schema import Message
from streamline.wire.writing import WriterSource

M = TypeVar("M", bound=Message)
M_co = TypeVar("M_co", bound=Message, covariant=True)

MAX_ELEMENTS = 100_000
"""How many elements all arrays of one message may have together, unless the caller says otherwise."""

STEP = 1024
"""Elements between two pauses of those that pause, some two milliseconds' work; a power of two."""


class Reader(Protocol[M_co]):
    """
    Reads one message from C{buf} at C{at} and says where it ends.

    Records are slices of C{buf}; everything else is a copy.
    """

    def __call__(self, buf: Buffer, at: int = 0) -> tuple[M_co, int]: ...


class ByHand(Message):
    """A form of a message that is so usual, and so simple, that it is written and read without its declaration."""

    __slots__ = ()

    def parts(self) -> list[Buffer]:
        """Write it."""
        raise NotImplementedError

    @classmethod
    def read(cls, version: int, buf: Buffer, at: int) -> tuple[Any, int]:
        """Read it, or whatever else the message says; as a L{Reader}."""
        raise NotImplementedError


ReaderInSteps: TypeAlias = "Callable[[Buffer, int], Generator[None, None, tuple[Any, int]]]"
WriterInSteps: TypeAlias = "Callable[[Any], Generator[None, None, list[Buffer]]]"

_readers: dict[tuple[type, int, int], Reader[Any]] = {}
_writers: dict[tuple[type, int], Callable[[Any], list[Buffer]]] = {}


def _check(cls: type[Message], version: int) -> None:
    first, last = cls.VERSIONS
    if not first <= version <= last:
        raise ValueError(f"{cls.__name__} has versions {first} to {last}, not {version}")


def reader(cls: type[M], version: int, max_elements: int = MAX_ELEMENTS) -> Reader[M]:
    """
    Give the reader of a message in a version.

    @param max_elements: how many elements the arrays of one message may have together.
    """
    made = _readers.get((cls, version, max_elements))
    if made is None:
        _check(cls, version)
        if issubclass(cls, ByHand):
            made = partial(cls.read, version)
        else:
            made = ReaderSource(cls, version, max_elements).build()
        _readers[cls, version, max_elements] = made
    return made


def writer(cls: type[M], version: int) -> Callable[[M], list[Buffer]]:
    """
    Give the writer of a message in a version.

    What it returns is the message as a list of buffers.  Records may be one buffer or a list or tuple of
    them; they are passed on, not copied.
    """
    made: Callable[[Any], list[Buffer]] | None = _writers.get((cls, version))
    if made is None:
        _check(cls, version)
        if issubclass(cls, ByHand):
            made = cast(Callable[[Any], list[Buffer]], cls.parts)
        else:
            made = WriterSource(cls, version).build()
        _writers[cls, version] = made
    return made


def reader_in_steps(
    cls: type[Message], version: int, max_elements: int = MAX_ELEMENTS, step: int = STEP
) -> ReaderInSteps:
    """
    Give a reader of very many elements, which pauses after each C{step} of them or so; else as L{reader}.

    It is compiled anew each time; keep it.
    """
    _check(cls, version)
    return ReaderSource(cls, version, max_elements, step).build()


def writer_in_steps(cls: type[Message], version: int, step: int = STEP) -> WriterInSteps:
    """
    Give a writer of very many elements, which pauses after each C{step} of them or so; else as L{writer}.

    It is compiled anew each time; keep it.  What it writes should not change meanwhile.
    """
    _check(cls, version)
    return WriterSource(cls, version, step).build()  # type: ignore[return-value]


def encode(message: Message, version: int) -> bytes:
    """Write a message as one string of bytes."""
    return b"".join(writer(type(message), version)(message))


def decode(cls: type[M], version: int, buf: Buffer) -> M:
    """
    Read a message that fills C{buf} to its end.

    @raise ProtocolError: it is malformed, or does not end there.
    """
    message, at = reader(cls, version)(buf)
    if at != len(buf):
        raise ProtocolError(f"{cls.__name__} v{version}: {len(buf) - at} bytes too many")
    return message
