"""
A batch with nothing unusual about it, looked at in one go.

Nearly every batch of a busy producer is uncompressed, of a few small records or
of many that are alike, and right.  For those, one function does what
L{streamline.wire.batch.check} and L{streamline.wire.recordcheck} do in many,
because what a small request costs is calls.  It never refuses: whatever it does
not know to be right is left to them, which say what is wrong.
"""

from collections.abc import Sequence
from struct import Struct

from streamline.model import NO_PRODUCER_ID, Buffer, PlainBatch
from streamline.wire.batch import HEADER_BYTES, LOG_OVERHEAD, MAGIC, BatchHeader
from streamline.wire.crc import crc32c
from streamline.wire.recordrun import LEAST_RECORDS, Run, run_of_one_size
from streamline.wire.recordshape import RECORDS_MAX as FEW_RECORDS
from streamline.wire.recordshape import Layout, greatest_delta, layout_of
from streamline.wire.recordtable import greatest_delta_of_many

RUNS_MAX = 6
"""Records of more sizes than this are read faster by what expects them."""
RECORDS_MAX = 1 << 14
"""What looks at more must be able to pause."""
COPIED_BYTES = 1 << 18
"""Up to here, copying the records costs less than to look into them where they are: bytes are sliced faster."""
SMALL_BYTES = 1 << 9
"""Where records take this or less, it is so up to any size."""

_HEADER = Struct(">qiibIhiqqqhii")
_CHECKED_AT = 21
_LEAST_BYTES = HEADER_BYTES + 7

Found = tuple[int, bool]
"""The greatest timestamp delta, and whether a key is null."""
Looked = tuple[BatchHeader, int, bool]
"""A sound batch: its header, the greatest timestamp of its records, and whether one of them has no key."""
Glimpse = tuple[tuple[int, ...], int, bool]
"""The same, with the fields of the header as they stand there."""

_MAX_TIMESTAMP, _PRODUCER_ID, _RECORD_COUNT = 8, 9, 12
"""Where among the fields of a header those are."""

_DIFFERENT = Struct(">17sI6sqq18s")
"""A header by what may differ in batches of one kind, the checksum and two timestamps, and what is around it."""
KINDS_MAX = 1024
"""So many are kept in mind."""
_kinds: dict[bytes, tuple[int, int, Layout]] = {}
"""By what their headers have in common: the size, the number of records, and the layout of batches that were plain."""
_NO_KIND: tuple[int, int, Layout] = 0, 0, (Struct(""), ())


def look(buf: Buffer, max_bytes: int, earliest_ms: int, latest_ms: int) -> Looked | None:
    """Check a batch as L{glance} does."""
    seen = glance(buf, max_bytes, earliest_ms, latest_ms)
    return None if seen is None else (BatchHeader(*seen[0]), seen[1], seen[2])


def glance(buf: Buffer, max_bytes: int, earliest_ms: int, latest_ms: int) -> Glimpse | None:
    """
    Check a batch that fills C{buf} as a client sent it; None if it must be looked at more closely.

    @param buf: best a memoryview, as it is sliced.
    @param earliest_ms: no timestamp may lie before it, nor behind C{latest_ms}.
    """
    size = len(buf)
    if size < _LEAST_BYTES or size > max_bytes:
        return None
    fields = _HEADER.unpack_from(buf)
    base_offset, length, _, magic, crc, attributes, last_delta, base_ms, max_ms, producer_id, _, sequence, count = (
        fields
    )
    if (
        magic != MAGIC
        or attributes
        or base_offset
        or length + LOG_OVERHEAD != size
        or last_delta != count - 1
        or not earliest_ms <= base_ms <= max_ms <= latest_ms
        or base_ms < 0
        or (producer_id != NO_PRODUCER_ID and (producer_id < 0 or sequence < 0))
        or crc32c(buf[_CHECKED_AT:]) != crc
    ):
        return None
    if not 0 < count <= RECORDS_MAX:
        return None
    delta_of = greatest_delta if count <= FEW_RECORDS else greatest_delta_of_many
    delta = delta_of(buf, HEADER_BYTES, count)
    if delta is not None and base_ms + delta <= latest_ms:
        return fields, base_ms + delta, True
    found = _look_into(buf, count)
    if found is None or base_ms + found[0] > latest_ms:
        return None
    return fields, base_ms + found[0], found[1]


def plain_run(
    batches: Sequence[memoryview], max_bytes: int, earliest_ms: int, latest_ms: int, needs_keys: bool
) -> list[PlainBatch]:
    """
    Check batches as L{glance} does, up to the first about which there is more to do than to give it its place.

    That is one of an idempotent producer, one whose header does not say the greatest timestamp of its records, and one
    that lacks a key where C{needs_keys}.  What is alike in the headers of a producer's batches is compared with one
    that was looked at before, and not looked at again.
    """
    run: list[PlainBatch] = []
    earliest_ms = max(0, earliest_ms)
    for buf in batches:
        size = len(buf)
        if size < _LEAST_BYTES:
            break
        begin, crc, middle, base_ms, max_ms, end = _DIFFERENT.unpack_from(buf)
        kind = begin + middle + end
        known_size, count, layout = _kinds.get(kind, _NO_KIND)
        if (
            size == known_size <= max_bytes
            and earliest_ms <= base_ms == max_ms <= latest_ms
            and not needs_keys
            and layout[0].unpack_from(buf, HEADER_BYTES) == layout[1]
            and crc32c(buf[_CHECKED_AT:]) == crc
        ):
            run.append((buf, count, max_ms))
            continue
        seen = glance(buf, max_bytes, earliest_ms, latest_ms)
        if seen is None:
            break
        fields, max_timestamp, has_null_key = seen
        if fields[_PRODUCER_ID] != NO_PRODUCER_ID or max_ms != max_timestamp or (has_null_key and needs_keys):
            break
        count = fields[_RECORD_COUNT]
        run.append((buf, count, max_ms))
        _keep_in_mind(kind, size, count)
    return run


def _keep_in_mind(kind: bytes, size: int, count: int) -> None:
    """Know plain batches with such a header from now on, where their records are of one size."""
    layout = layout_of(size - HEADER_BYTES, count)
    if layout is not None:
        if len(_kinds) >= KINDS_MAX:
            _kinds.clear()
        _kinds[kind] = size, count, layout


def _look_into(buf: Buffer, count: int) -> Found | None:
    """Look at C{count} records behind a header."""
    body: Buffer = memoryview(buf)[HEADER_BYTES:]
    if len(body) <= max(COPIED_BYTES, count * SMALL_BYTES):
        body = bytes(body)
    return _runs(body, count) if count >= LEAST_RECORDS else _walk(body, count)


def _runs(body: Buffer, count: int) -> Found | None:
    """Look at records of a few sizes; those of one size make more than one run where their offsets take more bytes."""
    at = index = greatest = 0
    has_null_key = False
    for _ in range(RUNS_MAX):
        run = _run(body, at, index, count)
        if run is None:
            return None
        at += run.records * run.size
        index += run.records
        greatest = max(greatest, run.greatest_delta)
        has_null_key = has_null_key or run.has_null_key
        if index == count:
            return (greatest, has_null_key) if at == len(body) else None
    return None


def _run(body: Buffer, at: int, index: int, count: int) -> Run | None:
    try:
        length_width = 1 if body[at] < 128 else 2 if body[at + 1] < 128 else 3
        delta_width = 1 if body[at + length_width + 1] < 128 else 2
        if body[at] & 1 or (length_width == 3 and body[at + 2] > 127):
            return None
        return run_of_one_size(body, at, index, count, length_width, delta_width, least=1)
    except IndexError:
        return None


def _walk(body: Buffer, count: int) -> Found | None:  # noqa: C901 - a call costs as much as a record
    """Look at a few records one by one; None where one is not plain."""
    at = greatest = 0
    has_null_key = False
    try:
        for offset in range(0, 2 * count, 2):
            size = body[at]
            if size > 127:
                size = size & 127 | body[at + 1] << 7
                at += 1
                if size > 16383:
                    size = size & 16383 | body[at + 1] << 14
                    at += 1
            stop = at + 1 + (size >> 1)
            _, delta, found, key = body[at + 1 : at + 5]
            at += 5
            if delta > 127:
                delta, found, key = delta & 127 | found << 7, key, body[at]
                at += 1
            if key == 1:
                has_null_key = True
            elif key > 127 or key & 1:
                return None
            else:
                at += key >> 1
            value = body[at]
            if value > 127:
                value = value & 127 | body[at + 1] << 7
                at += 1
                if value > 16383:
                    value = value & 16383 | body[at + 1] << 14
                    at += 1
            at += 2 + (value >> 1)
            lengths = size | value
            if (
                found != offset
                or (lengths | delta) & 1
                or delta > 16383
                or lengths > 2097151
                or at != stop
                or body[at - 1]
            ):
                return None
            if delta > greatest:
                greatest = delta
    except (IndexError, ValueError):
        return None
    return None if at != len(body) else (greatest >> 1, has_null_key)
