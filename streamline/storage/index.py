"""
Kafka's sparse indexes of a segment, in memory: from offset to position, and from timestamp to offset.

An index only saves reading: whoever uses an entry confirms it in the log, and
rebuilds the index where they disagree.  Nothing here touches a disk.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from operator import lt
from struct import Struct

from streamline.errors import StreamlineError
from streamline.interfaces import IDisk, IFile
from streamline.model import NO_TIMESTAMP

RELATIVE_OFFSET_MAX = 2**31 - 1

IndexWork = list[tuple[str, int, bytes]]
"""For each index file that lacks entries: its path, the length to keep, the bytes to add."""


class IndexDoubted(StreamlineError):
    """An index says something that the log does not confirm; it must be rebuilt."""


def _big_endian(numbers: array[int]) -> array[int]:
    """Turn native numbers into the file's byte order, or back."""
    if sys.byteorder == "little":
        numbers.byteswap()
    return numbers


def _rises(numbers: array[int]) -> bool:
    return all(map(lt, numbers, numbers[1:]))


class OffsetIndex:
    """
    Positions of some batches, by their last offset relative to the segment's base offset (C{.index}).

    @ivar offsets: relative last offsets, rising.
    @ivar positions: where those batches begin, rising.
    """

    ENTRY_BYTES = 8
    __slots__ = ("offsets", "positions")

    def __init__(self) -> None:
        self.offsets = array("i")
        self.positions = array("i")

    def __len__(self) -> int:
        return len(self.offsets)

    @classmethod
    def decode(cls, data: bytes, segment_bytes: int) -> OffsetIndex:
        """
        Read an index file.

        @param segment_bytes: the size of the log, within which all positions must be.
        @raise IndexDoubted: it cannot be the index of that log.
        """
        if len(data) % cls.ENTRY_BYTES:
            raise IndexDoubted(f"an offset index of {len(data)} bytes")
        entries = _big_endian(array("i", data))
        index = cls()
        index.offsets, index.positions = entries[0::2], entries[1::2]
        if entries and not (
            index.offsets[0] >= 0
            and index.positions[0] >= 0
            and index.positions[-1] < segment_bytes
            and _rises(index.offsets)
            and _rises(index.positions)
        ):
            raise IndexDoubted("an offset index that does not rise, or leaves its log")
        return index

    def encode(self, first: int = 0) -> bytes:
        """Write the file, or what follows its first C{first} entries."""
        entries = array("i", bytes((len(self) - first) * self.ENTRY_BYTES))
        entries[0::2], entries[1::2] = self.offsets[first:], self.positions[first:]
        return _big_endian(entries).tobytes()

    def append(self, relative_offset: int, position: int) -> None:
        """Add the entry of a batch that comes after all others."""
        self.offsets.append(relative_offset)
        self.positions.append(position)

    def before_offset(self, relative_offset: int) -> int:
        """Return the last entry whose batch ends at or before an offset, -1 if none does."""
        return bisect_right(self.offsets, relative_offset) - 1

    def before_position(self, position: int) -> int:
        """Return the last entry whose batch begins at or before a position, -1 if none does."""
        return bisect_right(self.positions, position) - 1

    def reaching(self, relative_offset: int) -> int:
        """Return the first entry whose batch ends at or after an offset, the number of entries if none does."""
        return bisect_left(self.offsets, relative_offset)

    def keep(self, entries: int) -> None:
        """Drop all but the first entries."""
        del self.offsets[entries:]
        del self.positions[entries:]

    def truncate(self, segment_bytes: int) -> None:
        """Drop the entries of batches that begin at or after a position."""
        self.keep(bisect_left(self.positions, segment_bytes))


class TimeIndex:
    """
    Each timestamp that was the greatest so far, with the relative last offset of its batch (C{.timeindex}).

    Kept as the file has it: it is searched rarely, and loading costs nothing.

    @ivar latest: the timestamp of the last entry, -1 where there is none.
    """

    ENTRY_BYTES = 12
    ENTRY = Struct(">qi")
    __slots__ = ("data", "latest")

    def __init__(self, data: bytes = b"") -> None:
        self.data = bytearray(data)
        self.latest = self.entry(len(self) - 1)[0] if data else NO_TIMESTAMP

    def __len__(self) -> int:
        return len(self.data) // self.ENTRY_BYTES

    @classmethod
    def decode(cls, data: bytes) -> TimeIndex:
        """
        Read an index file.

        @raise IndexDoubted: it cannot be one.
        """
        if len(data) % cls.ENTRY_BYTES:
            raise IndexDoubted(f"a time index of {len(data)} bytes")
        if not _pairs_rise(cls.ENTRY.iter_unpack(data)):
            raise IndexDoubted("a time index that does not rise")
        return cls(data)

    def encode(self, first: int = 0) -> bytes:
        """Write the file, or what follows its first C{first} entries."""
        return bytes(self.data[first * self.ENTRY_BYTES :])

    def entry(self, slot: int) -> tuple[int, int]:
        """Return (timestamp, relative offset) of an entry."""
        timestamp, relative_offset = self.ENTRY.unpack_from(self.data, slot * self.ENTRY_BYTES)
        return timestamp, relative_offset

    def last(self) -> tuple[int, int] | None:
        """Return (timestamp, relative offset) of the last entry."""
        return self.entry(len(self) - 1) if self.data else None

    def last_before(self, relative_offset: int) -> tuple[int, int]:
        """Return the last entry of a batch before an offset, (-1, 0) if there is none."""
        slots = bisect_left(range(len(self)), relative_offset, key=lambda slot: self.entry(slot)[1])
        return self.entry(slots - 1) if slots else (NO_TIMESTAMP, 0)

    def extend(self, timestamp: int, relative_offset: int) -> None:
        """Add the greatest timestamp so far, unless the last entry has it already."""
        if timestamp > self.latest:
            self.data += self.ENTRY.pack(timestamp, relative_offset)
            self.latest = timestamp

    def before(self, timestamp: int) -> int:
        """Return the last entry with a timestamp at or before this one, -1 if there is none."""
        return bisect_right(range(len(self)), timestamp, key=lambda slot: self.entry(slot)[0]) - 1

    def keep(self, entries: int) -> None:
        """Drop all but the first entries."""
        del self.data[entries * self.ENTRY_BYTES :]
        self.latest = self.entry(len(self) - 1)[0] if self.data else NO_TIMESTAMP

    def truncate(self, relative_offset: int) -> None:
        """Drop the entries whose offset is at or after this one."""
        self.keep(bisect_left(range(len(self)), relative_offset, key=lambda slot: self.entry(slot)[1]))


def _pairs_rise(pairs: Iterable[tuple[int, ...]]) -> bool:
    """Say whether both numbers of each pair are greater than those of the one before, and none is negative."""
    first = second = -1
    for one, other in pairs:
        if one <= first or other <= second:
            return False
        first, second = one, other
    return True


def save_index(disk: IDisk, work: IndexWork) -> bool:
    """
    Write what L{streamline.storage.segment.Segment.unsaved} found, durably.

    Entries below the recovery point stay as they are at every moment, as
    recovery begins with them; those above are made anew, and the recovery point
    is noted only after this.  Half an index is doubted when it is loaded.

    @return: whether all is written.
    """
    try:
        for file in write_index(disk, work):
            try:
                file.sync()
            finally:
                file.close()
    except OSError:
        return False
    return True


def write_index(disk: IDisk, work: IndexWork) -> Iterator[IFile]:
    """
    Write the same, and yield each file, which is not synced yet.

    @raise OSError: one cannot be written.
    """
    for path, length, data in work:
        file = disk.open(path, create=not disk.exists(path))
        try:
            file.write([data], length)
            file.truncate(length + len(data))
        except OSError:
            file.close()
            raise
        yield file
