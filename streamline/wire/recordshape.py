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
    size, rest = divmod(len(buf) - at, count)
    if rest or count > RECORDS_MAX:
        return None
    layout, expected = _layout(size, count)
    found = layout.unpack_from(buf, at)
    if found == expected:
        return 0
    if found[::3] != expected[::3] or found[2::3] != expected[2::3]:
        return None
    times = bytes(found[1::3])
    return None if times.translate(None, _TIMES) else max(times) >> 1


@lru_cache(LAYOUTS_MAX)
def _layout(size: int, count: int) -> Layout:
    """
    Derive the layout of C{count} records of C{size} bytes.

    The places of each are what comes before its timestamp delta, that, and what comes between it and the value; the
    end of one record and the beginning of the next are one place.  Where no record has that size, nothing looks like
    what is expected.
    """
    for width in range(2, 7):  # of both lengths, the record's and the value's
        value_bytes = size - _FIXED_BYTES - width
        length = zigzag(value_bytes)
        begin = zigzag(value_bytes + len(length) + _FIXED_BYTES)
        if value_bytes >= 0 and len(begin) + len(length) == width:
            break
    else:
        return Struct(""), (b"no record",)
    begin += b"\0"
    expected: list[bytes | int] = []
    layout, head = ">", begin
    for index in range(count):
        tail = zigzag(index) + _NO_KEY + length
        layout += f"{len(head)}sB{len(tail)}s{value_bytes}x"
        expected += [head, 0, tail]
        head = _NO_HEADERS + begin
    return Struct(f"{layout}1s"), (*expected, _NO_HEADERS)
