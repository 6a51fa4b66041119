"""
Check many records of one size at once.

Producers often send values of one size (metrics, samples, benchmarks), and then the records of a batch lie like the
rows of a table: every byte that says something about their structure is in a column, and a column is a slice with a
step.  Ten slices and comparisons then do for thousands of records what L{streamline.wire.recordcheck} otherwise does
for one.
"""

from typing import NamedTuple

from streamline.model import Buffer

LEAST_RECORDS = 16
"""A run of fewer is not worth its slices where records that look like the one before can be expected instead."""

MANY_RECORDS = 1 << 11
"""From here on, to look for each of 256 bytes in a column costs less than to compare its bytes."""

_ONE_BYTE = 1 << 6
"""Offset deltas below this have one byte."""
_BLOCK = 1 << 13
"""Offset deltas with the same high bits; a run never crosses a multiple of it."""
_LAST_BLOCK = 1 << 7

# The offset deltas of a block as written, byte by byte: low bits, middle bits, middle bits when more follow.
_LOW = bytes(range(128, 256, 2)) * (_BLOCK // 64)
_MIDDLE = b"".join(bytes([high]) * 64 for high in range(_BLOCK // 64))
_MIDDLE_AND_MORE = b"".join(bytes([high | 128]) * 64 for high in range(_BLOCK // 64))

_EVEN = bytes(range(0, 128, 2))
_EVEN_AND_MORE = bytes(range(128, 256, 2))
_BYTES = bytes(range(256))
_FALLING = range(255, -1, -1)
_SMALL = (_EVEN,)
_MEDIUM = (_LOW, _MIDDLE)


class Run(NamedTuple):
    """
    Sound records of one size.

    @ivar records: how many.
    @ivar size: the bytes of each.
    @ivar greatest_delta: of their timestamp deltas, none of which is negative.
    """

    records: int
    size: int
    greatest_delta: int
    has_null_key: bool


def run_of_one_size(
    body: Buffer, at: int, index: int, count: int, length_width: int, delta_width: int, *, least: int = LEAST_RECORDS
) -> Run | None:
    """
    Check the records from C{at} on that are of one size and of one structure; None when there is no such run.

    @param index: the offset delta that the first one must have.
    @param count: the offset delta at which records end.
    @param length_width: how many bytes their lengths have, one to three.
    @param delta_width: how many bytes their timestamp deltas have, one or two.
    @param least: a run of fewer is not worth its slices.
    """
    size = length_width + _size(body, at, length_width)
    offsets, first, last = _offset_columns(index)
    rows = min(min(count, last) - index, (len(body) - at) // size)
    for place in range(at, at + length_width):
        column = bytes(body[place : at + rows * size : size])
        rows = len(column)
        if column != column[:1] * rows:
            rows -= len(column.lstrip(column[:1]))
    if rows < least:
        return None
    delta_at = at + length_width + 1
    offset_at = delta_at + delta_width
    key_at = offset_at + len(offsets)
    end = at + rows * size
    same = _same_places(body, key_at, at + size)
    if not same or body[at + size - 1]:
        return None
    for place in same:
        column = bytes(body[place:end:size])
        if column != column[:1] * rows:
            return None
    for which, column in enumerate(offsets):
        if bytes(body[offset_at + which : end : size]) != column[first : first + rows]:
            return None
    delta = _greatest_delta(body[delta_at:end:size], body[delta_at + 1 : end : size], delta_width)
    return None if delta is None else Run(rows, size, delta, body[key_at] == 1)


def _size(body: Buffer, at: int, width: int) -> int:
    """Give a record's length, which is known to be of that width and not negative."""
    if width == 1:
        return body[at] >> 1
    length = body[at] & 127 | body[at + 1] << 7
    return (length if width == 2 else length & 16383 | body[at + 2] << 14) >> 1


def _same_places(body: Buffer, key_at: int, end: int) -> list[int]:
    """
    Give the places that are the same in each record: the lengths of key and value, and the number of headers.

    @param end: where the first record ends; nothing comes back if key, value and no headers do not fill it.
    """
    key = body[key_at]
    if key != 1 and key & 0x81:
        return []
    value_at = key_at + 1 + (key >> 1)
    if value_at + 2 > end:
        return []
    value = body[value_at]
    if value < 128:
        width = 1
    else:
        width = 2
        value = value & 127 | body[value_at + 1] << 7
        if value > 16383 and value_at + 2 < end:
            width = 3
            value = value & 16383 | body[value_at + 2] << 14
    if value & 1 or value > 2097151 or value_at + width + (value >> 1) + 1 != end:
        return []
    return [key_at, *range(value_at, value_at + width), end - 1]


def _offset_columns(index: int) -> tuple[tuple[bytes, ...], int, int]:
    """
    Give the offset deltas from C{index} on as written, byte by byte.

    @return: the columns, where in them C{index} is, and up to which index they go on.
    """
    if index < _ONE_BYTE:
        return _SMALL, index, _ONE_BYTE
    block, first = divmod(index, _BLOCK)
    if block == 0:
        return _MEDIUM, first, _BLOCK
    if block < _LAST_BLOCK:
        return (_LOW, _MIDDLE_AND_MORE, bytes([block]) * _BLOCK), first, (block + 1) * _BLOCK
    return (), 0, index


def _greatest_delta(low: Buffer, high: Buffer, width: int) -> int | None:
    """Give the greatest timestamp delta of two columns; None if not all are of that width and not negative."""
    low = bytes(low)
    if width == 1:
        return None if low.translate(None, _EVEN) else _greatest(low) >> 1
    high = bytes(high)
    if low.translate(None, _EVEN_AND_MORE) or not high.isascii():
        return None
    top = _greatest(high)
    first, last = high.index(top), high.rindex(top) + 1
    if high.count(top) == last - first:  # as where times rise, or are the same
        lowest = _greatest(low[first:last])
    else:
        lowest = max(byte for byte, more in zip(low, high, strict=True) if more == top)
    return (lowest & 127 | top << 7) >> 1


def _greatest(column: bytes) -> int:
    """Give the greatest byte; where it is the last one, as in times that rise, without a look at each in Python."""
    last = column[-1]
    if not column.translate(None, _BYTES[: last + 1]):
        return last
    return max(column) if len(column) < MANY_RECORDS else next(byte for byte in _FALLING if byte in column)
