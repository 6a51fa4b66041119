"""
Check the records that a client sent, without decoding them.

Kafka's broker reads every record of a produce, and so must this one, or one client's broken batch breaks all who
consume it: lengths must add up, offset deltas must count from 0, and nothing may be left over.  Python is slow at
that, so records of one size are checked all at once (L{streamline.wire.recordrun}), a record that looks like the one
before it (as nearly all do) with two C{struct} calls and a few comparisons, and only the others byte by byte.

# Note [Slices of work]

A batch of 1 MiB may hold 100,000 records, and a compressed one many more.  L{checking} is a generator that pauses
about every five milliseconds, so that its caller can let others have the reactor; L{check_records} runs it to its end.
Decompressing is one step, bounded by the limit of L{streamline.wire.compress}.
"""

from collections.abc import Callable, Generator, Sequence
from struct import Struct
from struct import error as StructError
from typing import Any, NamedTuple

from streamline.errors import ErrorCode, ProtocolError, Refused
from streamline.model import NO_TIMESTAMP, Buffer
from streamline.wire.batch import HEADER_BYTES, BatchHeader
from streamline.wire.compress import decompress
from streamline.wire.recordrun import run_of_one_size
from streamline.wire.varints import read_zigzag, zigzag

SLICE_WORK = 16384
"""What is done between two pauses, in records that look like the one before."""
ODD_WORK = 8
"""What another record costs."""
HEADER_WORK = 2
"""What a header costs."""

_LEAST_RECORD_BYTES = 7
_BLOCK = 1 << 13
_LAST_BLOCK = 1 << 7
_LEAST_WINDOW = 4
_RUN_WINDOW = 8
"""After so many records that look alike, they may be of one size."""
_RUN_REST = 1024
"""After how many records a run is looked for again, when there was none."""
RUN_WORK = 16
"""How many records of a run cost what one record costs that looks like the one before."""
_MOST_PATIENCE = 31
_INT64 = 1 << 63


class Checked(NamedTuple):
    """
    What the records of a sound batch say together.

    @ivar max_timestamp: milliseconds; -1 when no record has one.  Kafka corrects a header that says otherwise.
    @ivar min_timestamp: no record is earlier: the batch's base timestamp, unless a record is before it.
    @ivar has_null_key: whether a record has no key, which a compacted topic does not take.
    """

    max_timestamp: int
    min_timestamp: int
    has_null_key: bool


def check_records(buf: Buffer, header: BatchHeader, at: int = 0, limit: int | None = None) -> Checked:
    """
    Check the records of the batch at C{at}.

    @param limit: the most bytes that they may be when decompressed, see L{streamline.wire.compress}.
    @raise Refused: INVALID_RECORD, they are not what the header says, or no records at all; MESSAGE_TOO_LARGE, they
        are too much when decompressed.
    """
    walk = _Walk(buf, header, at, limit)
    while not walk.advance():
        pass
    return walk.result()


def checking(
    buf: Buffer, header: BatchHeader, at: int = 0, limit: int | None = None
) -> Generator[None, None, Checked]:
    """Check the records of a batch as L{check_records} does, but pause; see Note [Slices of work]."""
    walk = _Walk(buf, header, at, limit)
    while not walk.advance():
        yield
    return walk.result()


def _invalid(why: str) -> Refused:
    return Refused(ErrorCode.INVALID_RECORD, why)


class _Walk:
    """Goes from record to record; see the module."""

    _at = 0
    _index = 0
    _stop = 0
    """Where the record at hand ends."""
    _headers = 0
    """How many headers of the record at hand are not checked yet."""
    _work = 0

    _length_width = 1
    _delta_width = 1
    _window = _LEAST_WINDOW
    _patience = 1
    """How many records are checked byte by byte before others are expected to be like them."""
    _impatience = 0
    _next_run = 0

    _greatest_delta = -_INT64
    _least_delta = 0
    _has_null_key = False

    def __init__(self, buf: Buffer, header: BatchHeader, at: int, limit: int | None) -> None:
        packed = memoryview(buf)[at + HEADER_BYTES : at + header.size]
        self._body = body = bytes(decompress(header.compression, packed, limit))
        self._header = header
        self._count = header.record_count
        if not 0 <= self._count * _LEAST_RECORD_BYTES <= len(body):
            raise _invalid(f"{len(body)} bytes cannot hold {self._count} records")

    def advance(self) -> bool:
        """Check some more records, and say whether all are checked."""
        self._work = 0
        try:
            while self._work < SLICE_WORK:
                if self._headers:
                    self._some_headers()
                elif self._index == self._count:
                    if self._at != len(self._body):
                        raise ProtocolError(f"{len(self._body) - self._at} bytes follow the last record")
                    return True
                elif self._patience or not (self._one_size() or self._alike()):
                    self._odd()
        except ProtocolError as error:
            raise _invalid(str(error)) from None
        except IndexError:
            raise _invalid("a record is cut short") from None
        return False

    def result(self) -> Checked:
        """Say what the records say together."""
        if not self._count:
            return Checked(NO_TIMESTAMP, NO_TIMESTAMP, False)
        base = self._header.base_timestamp
        first, last = base + self._least_delta, base + self._greatest_delta
        if first < -_INT64 or last >= _INT64:
            raise _invalid("a timestamp has more than 64 bits")
        return Checked(last, first, self._has_null_key)

    def _one_size(self) -> bool:
        """Check a run of records of one size, if there is one here."""
        index = self._index
        if self._window < _RUN_WINDOW or index < self._next_run or max(self._length_width, self._delta_width) > 2:
            return False
        run = run_of_one_size(
            self._body, self._at, index, self._count, self._length_width, self._delta_width
        )
        if run is None:
            self._next_run = index + _RUN_REST
            return False
        self._index += run.records
        self._at += run.records * run.size
        self._work += run.records // RUN_WORK + 1
        self._note(run.greatest_delta, run.has_null_key)
        return True

    def _alike(self) -> bool:
        """Check records for as long as they have one shape, and say whether the next may still have it."""
        index = self._index
        end = min(self._count, index + self._window)
        expected, end = _expected_offsets(index, end)
        shape = _SHAPES.get((self._length_width, self._delta_width, len(expected[0]))) if expected else None
        if shape is None:
            self._learn(0, as_expected=False)
            return False
        unpack, totals, mask, bits, key_at = shape
        body, at, pair, values = self._body, self._at, _PAIR, _VALUES
        greatest = nulls = done = 0
        try:
            for offset in expected:
                size, delta, found, key = unpack(body, at)
                value_at = at + key_at + (key >> 1)
                after = at + totals[size]
                left = after - value_at
                if (
                    found != offset
                    or delta & mask != bits
                    or (key > 1 and key & 0x81)
                    or (pair(body, value_at)[0] != values[left] and (left > 65 or body[value_at] != left * 2 - 4))
                    or body[after - 1]
                ):
                    break
                if delta > greatest:
                    greatest = delta
                nulls |= key
                at = after
                done += 1
        except (StructError, IndexError):
            pass
        self._at, self._index = at, index + done
        self._work += done
        if done:
            self._note(_DELTAS[self._delta_width](greatest), bool(nulls & 1))
        self._learn(done, index + done == end)
        return index + done == end

    def _learn(self, done: int, as_expected: bool) -> None:
        """Expecting records costs something even when they are not as expected: expect more, or less and later."""
        self._window = min(2 * self._window, _BLOCK) if as_expected else _LEAST_WINDOW
        if done:
            self._impatience = 0
        else:
            self._impatience = min(2 * self._impatience + 1, _MOST_PATIENCE)
            self._patience = self._impatience

    def _note(self, delta: int, has_null_key: bool) -> None:
        if delta > self._greatest_delta:
            self._greatest_delta = delta
        if delta < self._least_delta:
            self._least_delta = delta
        if has_null_key:
            self._has_null_key = True

    def _odd(self) -> None:
        """Check one record byte by byte, but for its headers, and expect the next to look like it."""
        if self._patience:
            self._patience -= 1
        body, start = self._body, self._at
        length, at = read_zigzag(body, start, 32)
        self._stop = stop = at + length
        if length < 0 or stop > len(body):
            raise ProtocolError(f"a record cannot have {length} bytes")
        delta, after_delta = read_zigzag(body, at + 1)
        self._length_width, self._delta_width = at - start, after_delta - at - 1
        offset, at = read_zigzag(body, after_delta, 32)
        if offset != self._index:
            raise ProtocolError(f"record {self._index} says that it is {offset}")
        key, at = _skip(body, at, stop)
        _, at = _skip(body, at, stop)
        headers = body[at]
        if headers:
            self._headers, self._at = read_zigzag(body, at, 32)
        else:
            self._at = at + 1
        if not 0 <= self._headers * 2 <= stop - self._at:
            raise ProtocolError(f"a record cannot have {self._headers} headers")
        self._note(delta, key < 0)
        self._work += ODD_WORK
        if not self._headers:
            self._end_record()

    def _some_headers(self) -> None:
        body, at, stop = self._body, self._at, self._stop
        some = min(self._headers, (SLICE_WORK - self._work) // HEADER_WORK + 1)
        for _ in range(some):
            # Steps past the end of the record need no check here: they never come back to where it ends.
            size = body[at]
            if size & 0x81:
                size, at = _skip(body, at, stop)
                if size < 0:
                    raise ProtocolError("a header has no name")
            else:
                at += 1 + (size >> 1)
            size = body[at]
            if size & 0x81:
                _, at = _skip(body, at, stop)
            else:
                at += 1 + (size >> 1)
        self._at = at
        self._headers -= some
        self._work += some * HEADER_WORK
        if not self._headers:
            self._end_record()

    def _end_record(self) -> None:
        if self._at != self._stop:
            raise ProtocolError(f"record {self._index} is not as long as it says")
        self._index += 1


def _skip(body: bytes, at: int, stop: int) -> tuple[int, int]:
    """Pass over bytes with a length, -1 for null."""
    length = body[at]
    if not length & 0x81:
        length >>= 1
        if length >= stop - at:
            raise ProtocolError(f"{length} bytes do not fit a record")
        return length, at + 1 + length
    length, at = read_zigzag(body, at, 32)
    if not -1 <= length <= stop - at:
        raise ProtocolError(f"{length} bytes do not fit a record")
    return length, at + max(length, 0)


# The tables that make a record two struct calls.  All of them are little-endian pairs of bytes.

_PAIR = Struct("<H").unpack_from


def _pair(value: int) -> int:
    """Give the first two bytes of a number of more than one byte as written, as one number."""
    return value << 1 & 0x7F | 0x80 | (value & 0x1FFF) >> 6 << 8


def _totals(width: int) -> list[int]:
    """Give the size of a record with its length, by the length as read; 0 where it is not of that width."""
    totals = [0] * (1 << 8 * width)
    if width == 1:
        for length in range(64):
            totals[length << 1] = width + length
    else:
        for length in range(64, _BLOCK):
            totals[_pair(length)] = width + length
    return totals


def _values() -> list[int]:
    """
    Give the length of a value as written, by the bytes from there to the end of a record without headers.

    Values below 64 bytes have a shorter length and are compared otherwise.  The last entries, which negative
    indices reach, match nothing.
    """
    return [-1] * 67 + [_pair(size) for size in range(64, _BLOCK)] + [-1] * 256


_VALUES = _values()
_LOW_OFFSETS = [(_pair(offset) | 0x8000).to_bytes(2, "little") for offset in range(_BLOCK)]
"""The first two bytes of offset deltas that have three."""
_OFFSETS = [zigzag(offset) for offset in range(64)]
_OFFSETS += [_pair(offset).to_bytes(2, "little") for offset in range(64, _BLOCK)]


def _expected_offsets(index: int, end: int) -> tuple[Sequence[bytes], int]:
    """Give the offset deltas from C{index} on as written, as long as they have one width, and where that ends."""
    if index < 64:
        end = min(end, 64)
        return _OFFSETS[index:end], end
    block, first = divmod(index, _BLOCK)
    end = min(end, (block + 1) * _BLOCK)
    last = end - block * _BLOCK
    if block == 0:
        return _OFFSETS[first:last], end
    if block < _LAST_BLOCK:
        high = bytes([block])
        return [low + high for low in _LOW_OFFSETS[first:last]], end
    return (), end


def _shapes() -> dict[tuple[int, int, int], tuple[Callable[..., Any], list[int], int, int, int]]:
    """
    Give what it takes to check a record, by the widths of its length, timestamp delta and offset delta.

    That is a reader of (length, timestamp delta, offset delta, key length); sizes by length; the mask and the bits
    that tell a timestamp delta of that width which is not negative; and where the key begins.
    """
    totals = {width: _totals(width) for width in (1, 2)}
    codes = {1: "B", 2: "H"}
    marks = {1: (0x81, 0), 2: (0x8081, 0x80)}
    return {
        (size, delta, offset): (
            Struct(f"<{codes[size]}x{codes[delta]}{offset}sB").unpack_from,
            totals[size],
            *marks[delta],
            size + 1 + delta + offset + 1,
        )
        for size in (1, 2)
        for delta in (1, 2)
        for offset in (1, 2, 3)
    }


_SHAPES = _shapes()
_DELTAS = {1: lambda raw: raw >> 1, 2: lambda raw: (raw & 0x7F | raw >> 1 & 0x3F80) >> 1}
