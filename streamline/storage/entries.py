"""
Which batches get entries in a segment's indexes, where many come at once.
"""

from __future__ import annotations

from collections.abc import Sequence

from streamline.model import PlainBatch
from streamline.storage.index import OffsetIndex, TimeIndex


def is_full(index: OffsetIndex, times: TimeIndex, limit_bytes: int, more: int = 0) -> bool:
    """
    Say whether one of them has no place for another entry, once they have taken C{more}.

    One place is kept for the time that is added when the segment ends.
    """
    return (len(index) + more + 1) * OffsetIndex.ENTRY_BYTES > limit_bytes or (
        len(times.data) + (more + 2) * TimeIndex.ENTRY_BYTES > limit_bytes
    )


def take_run(
    index: OffsetIndex, times: TimeIndex, batches: Sequence[PlainBatch], offset: int, position: int,
    interval_bytes: int, newest: tuple[int, int],
) -> None:  # fmt: skip
    """
    Give entries to those of some batches that follow each other from a relative offset and a position on.

    @param newest: the greatest timestamp before them, and the relative last offset of its batch.
    """
    offsets, positions = index.offsets, index.positions
    before = positions[-1] if positions else 0
    for records, count, max_timestamp in batches:
        offset += count
        if max_timestamp > newest[0]:
            newest = max_timestamp, offset - 1
        if position - before > interval_bytes:
            offsets.append(offset - 1)
            positions.append(position)
            before = position
            if newest[0] > times.latest:
                times.extend(*newest)
        position += len(records)
