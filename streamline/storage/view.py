"""
Finding batches in one segment: the index says where to begin, headers say the rest.

A L{View} is what a reader needs and nothing that moves, so that it can be used
in a thread while the log goes on.  It believes an index entry only where the
batch at its position has the offset that the entry says.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import NamedTuple

from streamline.interfaces import IFile
from streamline.model import NO_TIMESTAMP, LogSlice
from streamline.storage.index import IndexDoubted, OffsetIndex, TimeIndex
from streamline.wire.batch import HEADER_BYTES, LOG_OVERHEAD, MAGIC, BatchHeader, read_header

WALK_BYTES = 4096
"""What is read at once to look for one batch: a page."""

WALK_FAR_BYTES = 2**16
"""What is read at once to look at many headers."""

LENT_BYTES = 2**16
"""From here on it costs less to have the kernel send from the file than to read and send."""

Found = tuple[int, BatchHeader]
"""A batch's position and header."""


_brief = Struct(">qi4xB6xi").unpack_from
"""Of a header, what finding needs: base offset, length, magic, last offset delta."""
_LENGTH_MIN = HEADER_BYTES - LOG_OVERHEAD


def brief_at(block: bytes, at: int, position: int, end: int) -> tuple[int, int, int]:
    """
    Return (base offset, last offset, size) of the batch at C{position} of its segment, much faster than L{header_at}.

    @raise IndexDoubted: there is none, or it would not end by C{end}.
    """
    base_offset, length, magic, last_offset_delta = _brief(block, at)
    if magic != MAGIC or length < _LENGTH_MIN or last_offset_delta < 0 or position + length + LOG_OVERHEAD > end:
        raise IndexDoubted(f"no batch at {position}")
    return base_offset, base_offset + last_offset_delta, length + LOG_OVERHEAD


def walk(file: IFile, position: int, end: int, block_bytes: int = WALK_BYTES) -> Iterator[Found]:
    """
    Yield each batch from C{position}, where one must begin, to C{end}, where one must end.

    @raise IndexDoubted: there is no batch where one should be.
    """
    while position < end:
        block = file.read(position, min(block_bytes, end - position))
        at = 0
        while len(block) - at >= HEADER_BYTES:
            header = header_at(block, at, position + at, end)
            yield position + at, header
            at += header.size
        if not at:
            raise IndexDoubted(f"{len(block)} bytes at {position} are no batch")
        position += at


def header_at(block: bytes, at: int, position: int, end: int) -> BatchHeader:
    """
    Read a header that lies at C{position} of its segment.

    @raise IndexDoubted: it is none, or its batch would not end by C{end}.
    """
    if len(block) - at < HEADER_BYTES:
        raise IndexDoubted(f"no batch at {position}")
    brief_at(block, at, position, end)
    return read_header(block, at)


class Wanted(NamedTuple):
    """The arguments of L{IPartitionLog.read}, and whether it is only to be sent, and much may be lent."""

    offset: int
    max_bytes: int
    end_offset: int
    at_least_one: bool
    is_sent: bool = False


class Piece(NamedTuple):
    """
    Batches read from a segment.

    @ivar start: where they begin in the segment's file.
    @ivar end: where they end.
    """

    slice: LogSlice
    start: int
    end: int


class View(NamedTuple):
    """
    A segment as it is at one moment.

    @ivar offsets: the segment's offset index.
    @ivar size: the bytes that count; what follows them in the file is not looked at.
    """

    file: IFile
    base_offset: int
    offsets: OffsetIndex
    size: int

    def find(self, offset: int) -> Found | None:
        """
        Return the first batch that ends at or after C{offset}.

        @raise IndexDoubted: the index, or the log, is not what it should be.
        """
        slot = self.offsets.before_offset(offset - self.base_offset)
        position, known = (self.offsets.positions[slot], self._offset(slot)) if slot >= 0 else (0, None)
        end = self.size
        while position < end:
            block = self.file.read(position, min(WALK_BYTES, end - position))
            at = 0
            while len(block) - at >= HEADER_BYTES:
                _, last_offset, size = brief_at(block, at, position + at, end)
                if known is not None and known != last_offset:
                    raise IndexDoubted(f"no batch that ends with offset {known} at {position}")
                if last_offset >= offset:
                    return position + at, read_header(block, at)
                at += size
                known = None
            if not at:
                raise IndexDoubted(f"{len(block)} bytes at {position} are no batch")
            position += at
        return None

    def likely_position(self, offset: int) -> int:
        """Return where looking for an offset begins."""
        slot = self.offsets.before_offset(offset - self.base_offset)
        return self.offsets.positions[slot] if slot >= 0 else 0

    def read(self, wanted: Wanted, start: int | None) -> Piece | None:
        """
        Return whole batches; None where the segment has none at or after the offset.

        @param start: where the first one begins, if that is known.
        @raise IndexDoubted: as L{find}.
        """
        offset, max_bytes, end_offset, at_least_one, is_sent = wanted
        if start is None:
            found = self.find(offset)
            if found is None:
                return None
            start = found[0]
        likely_bytes = max(0, min(max_bytes, self._bound(end_offset) - start))
        if is_sent and likely_bytes >= LENT_BYTES:
            end, next_offset = self._end(start, start + likely_bytes, offset, end_offset)
            if end - start >= LENT_BYTES:
                lent = self.file.stretch(start, end - start)
                return Piece(LogSlice((), end - start, next_offset, lent), start, end)
        data = self.file.read(start, likely_bytes)
        length, next_offset = self._whole(data, start, offset, end_offset)
        if not length and at_least_one:
            data, length, next_offset = self._one(start, offset, end_offset)
        if not length:
            return Piece(LogSlice((), 0, offset), start, start)
        part = data if length == len(data) else memoryview(data)[:length]
        return Piece(LogSlice((part,), length, next_offset), start, start + length)

    def _bound(self, end_offset: int) -> int:
        """Return a position at or after which no batch ends before C{end_offset}, as near as the index knows."""
        slot = self.offsets.reaching(end_offset - self.base_offset)
        return self.offsets.positions[slot] if slot < len(self.offsets) else self.size

    def _whole(self, data: bytes, start: int, offset: int, end_offset: int) -> tuple[int, int]:
        """Return how many bytes of C{data} are whole batches that count, and the offset after them."""
        slot = self.offsets.before_position(start + len(data) - HEADER_BYTES)
        at = max(0, self.offsets.positions[slot] - start) if slot >= 0 else 0
        length, next_offset = len(data), offset
        if at:
            next_offset, last_offset, _ = brief_at(data, at, start + at, self.size)
            if last_offset != self._offset(slot):
                raise IndexDoubted(f"no batch that ends with offset {self._offset(slot)} at {start + at}")
        while length - at >= HEADER_BYTES:
            _, last_offset, size = brief_at(data, at, start + at, self.size)
            if at + size > length or last_offset >= end_offset:
                break
            at += size
            next_offset = last_offset + 1
        return at, next_offset

    def _end(self, start: int, limit: int, offset: int, end_offset: int) -> tuple[int, int]:
        """
        Return where the last whole batch before a position ends that counts, and the offset after it.

        As L{_whole}, but nothing is read except the headers behind the last batch that the index knows.
        """
        slot = self.offsets.before_position(limit - HEADER_BYTES)
        known = slot >= 0 and self.offsets.positions[slot] > start
        position, next_offset = self.offsets.positions[slot] if known else start, offset
        while limit - position >= HEADER_BYTES:
            block = self.file.read(position, min(WALK_BYTES, limit - position))
            at = 0
            while len(block) - at >= HEADER_BYTES:
                base_offset, last_offset, size = brief_at(block, at, position + at, self.size)
                if known:
                    if self._offset(slot) != last_offset:
                        raise IndexDoubted(f"no batch that ends with offset {self._offset(slot)} at {position}")
                    known, next_offset = False, base_offset
                if position + at + size > limit or last_offset >= end_offset:
                    return position + at, next_offset
                at += size
                next_offset = last_offset + 1
            if not at:
                raise IndexDoubted(f"{len(block)} bytes at {position} are no batch")
            position += at
        return position, next_offset

    def _offset(self, slot: int) -> int:
        return self.base_offset + self.offsets.offsets[slot]

    def _one(self, start: int, offset: int, end_offset: int) -> tuple[bytes, int, int]:
        """Return the batch at C{start} however long it is, if it ends before C{end_offset}."""
        header = header_at(self.file.read(start, HEADER_BYTES), 0, start, self.size)
        if header.next_offset > end_offset:
            return b"", 0, offset
        return self.file.read(start, header.size), header.size, header.next_offset

    def at_timestamp(self, times: TimeIndex, timestamp_ms: int, start_offset: int) -> Found | None:
        """
        Return the first batch from C{start_offset} on with a max timestamp of at least C{timestamp_ms}.

        @raise IndexDoubted: as L{find}.
        """
        slot = times.before(timestamp_ms)
        offset = self.base_offset + times.entry(slot)[1] if slot >= 0 else self.base_offset
        found = self.find(max(offset, start_offset))
        if found is None:
            return None
        for position, header in walk(self.file, found[0], self.size):
            if header.max_timestamp >= timestamp_ms:
                return position, header
        return None

    # How far the indexes can be believed

    def from_last_entry(self) -> Iterator[Found]:
        """
        Yield the batches from the last one that has an entry.

        @raise IndexDoubted: it is not there, or the segment does not end with a whole batch.
        """
        return walk(self.file, self.offsets.positions[-1] if self.offsets else 0, self.size)

    def check_offsets(self, interval_bytes: int) -> None:
        """
        Look whether the offset index goes on to the end.

        @raise IndexDoubted: a batch that should have an entry has none.
        """
        reach = (self.offsets.positions[-1] if self.offsets else 0) + interval_bytes
        for position, _ in self.from_last_entry():
            if position > reach:
                raise IndexDoubted(f"an offset index without an entry for the batch at {position}")

    def check_times(self, times: TimeIndex) -> None:
        """
        Look whether a time index ends with the greatest time.

        @raise IndexDoubted: its last entry is of no batch, or a batch near the end is younger.
        """
        timestamp, relative_offset = times.last() or (NO_TIMESTAMP, 0)
        if times:
            found = self.find(self.base_offset + relative_offset)
            if found is None or found[1].max_timestamp != timestamp:
                raise IndexDoubted(f"no batch of time {timestamp} at offset {self.base_offset + relative_offset}")
        if any(header.max_timestamp > timestamp for _, header in self.from_last_entry()):
            raise IndexDoubted(f"a time index that ends at {timestamp}")

    def newest(self, timestamp: int, relative_offset: int) -> tuple[int, int]:
        """Return the greatest timestamp, and its relative offset, from a batch on that has a great one."""
        found = self.find(self.base_offset + relative_offset)
        for _, header in walk(self.file, found[0], self.size, WALK_FAR_BYTES) if found else ():
            if header.max_timestamp > timestamp:
                timestamp, relative_offset = header.max_timestamp, header.last_offset - self.base_offset
        return timestamp, relative_offset

    def whole(self, found: Found) -> LogSlice:
        """Read one batch."""
        position, header = found
        return LogSlice((self.file.read(position, header.size),), header.size, header.next_offset)
