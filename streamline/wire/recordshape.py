"""
Check a few records that lie alike with one call of C{struct}.

Where the records of a small batch have one size, and values and nothing else, their number and size say what stands
at each place, but for the values and the times.  A layout that skips the values gives all that has to be compared; it
is derived once for each number and size.
"""

from functools import lru_cache
from struct import Struct

from streamline.model import Buffer
from streamline.wire.varints import zigzag

RECORDS_MAX = 32
"""A layout of more takes much memory, and is no faster than what L{streamline.wire.recordrun} does."""
LAYOUTS_MAX = 1024
"""So many are kept; a large one takes some 5 KiB."""

_TIMES = bytes(range(0, 1 << 7, 2))
"""Timestamp deltas that have one byte and are not negative."""
_NO_KEY = b"\1"
_NO_HEADERS = b"\0"
_FIXED_BYTES = 5
"""Of a record: its attributes, both deltas, that it has no key, and no headers."""

Layout = tuple[Struct, tuple[bytes | int, ...]]
"""What gives the places that say something, and what it finds where no record is younger than the first one."""


def greatest_delta(buf: Buffer, at: int, count: int) -> int | None:
    """
    Check C{count} records that should fill C{buf} from C{at} on; return their greatest timestamp delta.

    @return: None where they are not of one size, have more than values, or times 64 ms apart; or are wrong.
    """
    if count == 1:  # as in the smallest requests, of which there are most
        end, beginning = _beginning_of_one(len(buf) - at)
        return 0 if buf[at : at + end] == beginning and not buf[-1] else None
    found_layout = layout_of(len(buf) - at, count)
    if found_layout is None:
        return None
    layout, expected = found_layout
    found = layout.unpack_from(buf, at)
    if found == expected:
        return 0
    if found[::3] != expected[::3] or found[2::3] != expected[2::3]:
        return None
    times = bytes(found[1::3])
    return None if times.translate(None, _TIMES) else max(times) >> 1


def layout_of(size: int, count: int) -> Layout | None:
    """Give the layout of C{count} records in C{size} bytes; None where there is none."""
    of_each, rest = divmod(size, count)
    return None if rest or count > RECORDS_MAX else _layout(of_each, count)


@lru_cache(LAYOUTS_MAX)
def _beginning_of_one(size: int) -> tuple[int, bytes]:
    """Say how a record of C{size} bytes that is alone begins, and where that ends."""
    begin, length, _ = lengths(size) or (b"", b"", 0)
    beginning = begin + b"\0\0" + _NO_KEY + length
    return (len(beginning), beginning) if begin else (1, b"")


@lru_cache(LAYOUTS_MAX)
def _layout(size: int, count: int) -> Layout:
    """
    Derive the layout of C{count} records of C{size} bytes.

    The places of each are what comes before its timestamp delta, that, and what comes between it and the value; the
    end of one record and the beginning of the next are one place.  Where no record has that size, nothing looks like
    what is expected.
    """
    found = lengths(size)
    if found is None:
        return Struct(""), (b"no record",)
    begin, length, value_bytes = found
    expected: list[bytes | int] = []
    layout, head = ">", begin
    for index in range(count):
        tail = zigzag(index) + _NO_KEY + length
        layout += f"{len(head)}sB{len(tail)}s{value_bytes}x"
        expected += [head, 0, tail]
        head = _NO_HEADERS + begin
    return Struct(f"{layout}1s"), (*expected, _NO_HEADERS)


def lengths(size: int) -> tuple[bytes, bytes, int] | None:
    """
    Give what a record of C{size} bytes begins with, the length of its value as written, and as a number.

    That is a record of a value and nothing else, with an offset delta of one byte; None where there is none.
    """
    for width in range(2, 7):  # of both lengths, the record's and the value's
        value_bytes = size - _FIXED_BYTES - width
        length = zigzag(value_bytes)
        begin = zigzag(value_bytes + len(length) + _FIXED_BYTES)
        if value_bytes >= 0 and len(begin) + len(length) == width:
            return begin + b"\0", length, value_bytes
    return None
