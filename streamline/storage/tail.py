"""
The newest bytes of a log, kept in memory for those who read along.

Consumers and followers that keep up read what was just written; they get the
very buffers that were appended.  A log that nobody reads along keeps nothing.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence

from streamline.model import Buffer

JOIN_BYTES = 2**16
"""Writes up to this size are copied together: sending one buffer costs less than sending many."""
PARTS_MAX = 64
"""Ranges in more pieces than this are better read from the page cache."""


class TailBudget:
    """
    How much all tails together, and one alone, may keep.

    @ivar used_bytes: what they keep now.
    """

    def __init__(self, limit_bytes: int = 2**24, tail_bytes: int = 2**20) -> None:
        self.limit_bytes = limit_bytes
        self.tail_bytes = tail_bytes
        self.used_bytes = 0
        self._tails: OrderedDict[Tail, None] = OrderedDict()

    def charge(self, tail: Tail, size: int) -> None:
        """Hear that a tail grew; those that did not grow for longest are cleared."""
        self.used_bytes += size
        self._tails[tail] = None
        self._tails.move_to_end(tail)
        while self.used_bytes > self.limit_bytes:
            next(iter(self._tails)).clear()

    def release(self, tail: Tail, size: int) -> None:
        """Hear that a tail shrank."""
        self.used_bytes -= size
        if not tail.size:
            self._tails.pop(tail, None)


class Tail:
    """
    The last bytes of a log's active segment, as far as they are kept.

    @ivar size: the bytes kept.
    """

    def __init__(self, budget: TailBudget) -> None:
        self._budget = budget
        self._wanted = 0
        self._positions: list[int] = []
        self._buffers: list[Buffer] = []
        self.size = 0

    def want(self) -> None:
        """Hear that somebody reads along: keep what comes next."""
        self._wanted = self._budget.tail_bytes

    def add(self, position: int, parts: Sequence[Buffer], length: int) -> None:
        """Take what was written at C{position} of the segment, if anybody wants it."""
        if self._wanted <= 0:
            if self.size:
                self.clear()
            return
        self._wanted -= length
        for buffer in (b"".join(parts),) if length <= JOIN_BYTES else map(_compact, parts):
            self._positions.append(position)
            self._buffers.append(buffer)
            position += len(buffer)
        self.size += length
        self._budget.charge(self, length)
        self._trim()

    def _trim(self) -> None:
        """Let go of the oldest half once there is too much."""
        if self.size > self._budget.tail_bytes:
            half = len(self._buffers) // 2 + 1
            freed = sum(len(buffer) for buffer in self._buffers[:half])
            del self._positions[:half], self._buffers[:half]
            self.size -= freed
            self._budget.release(self, freed)

    def read(self, start: int, end: int) -> list[Buffer] | None:
        """Return the bytes of a range of the segment; None where not all are kept, or in too many pieces."""
        if not self._positions or start < self._positions[0]:
            return None
        first = bisect_right(self._positions, start) - 1
        last = bisect_right(self._positions, end - 1)
        if last - first > PARTS_MAX or self._positions[last - 1] + len(self._buffers[last - 1]) < end:
            return None
        parts = self._buffers[first:last]
        skipped, surplus = start - self._positions[first], self._positions[last - 1] + len(parts[-1]) - end
        if surplus:
            parts[-1] = memoryview(parts[-1])[:-surplus]
        if skipped:
            parts[0] = memoryview(parts[0])[skipped:]
        return parts

    def clear(self) -> None:
        """Keep nothing."""
        freed, self.size = self.size, 0
        self._positions.clear()
        self._buffers.clear()
        self._budget.release(self, freed)


def _compact(part: Buffer) -> Buffer:
    """Return a buffer that does not hold more than twice the memory that it shows."""
    backing = part.obj if isinstance(part, memoryview) else part
    return part if len(backing) <= 2 * len(part) else bytes(part)  # type: ignore[arg-type]
