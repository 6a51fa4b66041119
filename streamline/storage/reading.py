"""
Reading a log: from its newest bytes in memory, from the page cache, or from the device elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from streamline.interfaces import IDisk
from streamline.model import NO_TIMESTAMP, Buffer, LogSlice
from streamline.storage.chain import Chain
from streamline.storage.index import IndexDoubted
from streamline.storage.segment import Segment
from streamline.storage.tail import Tail
from streamline.storage.view import WALK_FAR_BYTES, Found, Piece, View, Wanted, walk
from streamline.wire.batch import HEADER_BYTES, BatchHeader

KNOWN_MAX = 64
"""Positions of batches that somebody is likely to ask for next."""

Read = LogSlice | Deferred[LogSlice]


class Reader:
    """
    Reads one log's segments.

    @ivar tail: the newest bytes; who writes adds them.
    """

    def __init__(self, chain: Chain, again: Callable[[Wanted], Read]) -> None:
        self._chain = chain
        self._again = again
        self.tail = Tail(chain.commons.tails)
        self._known: dict[int, int] = {}

    def begins(self, offset: int, position: int) -> None:
        """Hear where in the active segment the batch at an offset begins."""
        known = self._known
        known[offset] = position
        if len(known) > KNOWN_MAX:
            del known[next(iter(known))]

    def written(self, offset: int, position: int, parts: Sequence[Buffer], length: int) -> None:
        """Hear what was written to the active segment, and where."""
        self.begins(offset, position)
        self.tail.add(position, parts, length)

    def forget(self) -> None:
        """Hear that the active segment was cut or replaced: nothing that was known of it holds."""
        self.tail.clear()
        self._known.clear()

    def read(self, wanted: Wanted) -> Read:
        """
        Return batches as L{IPartitionLog.read} does; the offset is one that the log has.

        @raise Refused: CORRUPT_MESSAGE, the log does not hold there what it should.
        @raise OSError: the device failed.
        """
        chain = self._chain
        segment: Segment | None = chain.segments[chain.at(wanted.offset)]
        while segment is not None:
            chain.use(segment)
            found = segment.confirmed(partial(self._read_file, segment, wanted))
            if found is not None:
                return found
            segment = chain.after(segment)
        return LogSlice((), 0, wanted.offset)

    def read_along(self, offset: int, max_bytes: int, end_offset: int) -> LogSlice | None:
        """Return all that may be read, if both its ends are known and its bytes in memory; looks at no header."""
        start = self._known.get(offset)
        if start is None:
            return None
        chain = self._chain
        end = chain.active.size if end_offset == chain.end_offset else self._known.get(end_offset)
        if end is None or not 0 < end - start <= max_bytes:
            return None
        self.tail.want()
        parts = self.tail.read(start, end)
        return LogSlice(parts, end - start, end_offset) if parts else None

    def _read_file(self, segment: Segment, wanted: Wanted) -> Read | None:
        if not segment.index_is_near():
            loading: Deferred[None] = self._chain.commons.disk.elsewhere(segment.load)
            return loading.addCallback(lambda _: self._again(wanted))
        view = segment.view()
        start = self._known.get(wanted.offset) if segment is self._chain.active else None
        likely = view.likely_position(wanted.offset) if start is None else start
        length = max(HEADER_BYTES, min(wanted.max_bytes, view.size - likely))
        if not view.file.is_cached(likely, length):
            return self._read_elsewhere(segment, view, wanted, start)
        return self._noted(segment, view.read(wanted, start))

    def _noted(self, segment: Segment, piece: Piece | None) -> LogSlice | None:
        """Remember where the next read is likely to begin."""
        if piece is None:
            return None
        if segment is self._chain.active:
            self.begins(piece.slice.next_offset, piece.end)
        return piece.slice

    def _read_elsewhere(self, segment: Segment, view: View, wanted: Wanted, start: int | None) -> Deferred[LogSlice]:
        chain = self._chain
        generation = chain.generation

        def arrived(piece: Piece | None) -> Read:
            if generation != chain.generation:
                return self._again(wanted)
            following = chain.after(segment)
            if piece is None and following is not None:
                return self._again(wanted._replace(offset=following.base_offset))
            return self._noted(segment, piece) or LogSlice((), 0, wanted.offset)

        def failed(failure: Failure) -> Read | Failure:
            if generation != chain.generation or segment not in chain.segments:
                return self._again(wanted)
            if not isinstance(failure.value, IndexDoubted):
                return failure
            segment.rebuild(failure.value)
            return arrived(segment.confirmed(lambda: segment.view().read(wanted, None)))

        disk = chain.commons.disk
        wanted = wanted._replace(is_sent=False)  # or whoever sends it would wait for the device
        reading: Deferred[Piece | None] = disk.elsewhere(_read_cold, disk, segment.path(), view, wanted, start)
        return reading.addCallbacks(arrived, failed)

    def headers(self, offset: int) -> Iterator[BatchHeader]:
        """Yield headers as L{IPartitionLog.headers} does; ends where the log is cut meanwhile."""
        chain = self._chain
        generation = chain.generation
        segment: Segment | None = chain.segments[chain.at(offset)]
        while segment is not None:
            for header in self._headers_of(segment, offset):
                yield header
                if generation != chain.generation:
                    return
            segment = chain.after(segment)

    def _headers_of(self, segment: Segment, offset: int) -> Iterator[BatchHeader]:
        if segment not in self._chain.segments:
            return
        found = segment.confirmed(lambda: segment.view().find(offset))
        if found is None:
            return
        # A file of our own, as the segment may be put to rest between two steps.
        file = self._chain.commons.disk.open(segment.path(), write=False)
        try:
            for _, header in walk(file, found[0], segment.size, WALK_FAR_BYTES):
                yield header
        except IndexDoubted as why:
            raise segment.corrupt(why) from None
        finally:
            file.close()

    def at_timestamp(self, timestamp_ms: int, start_offset: int) -> LogSlice:
        """Return the first batch from an offset on with a max timestamp of at least C{timestamp_ms}."""
        chain = self._chain
        segment: Segment | None = chain.segments[chain.at(start_offset)]
        while segment is not None:
            chain.use(segment)
            if segment.newest[0] >= timestamp_ms:
                found = segment.confirmed(partial(_find_timestamp, segment, timestamp_ms, start_offset))
                if found is not None:
                    return segment.view().whole(found)
            segment = chain.after(segment)
        return LogSlice((), 0, chain.end_offset)

    def of_max_timestamp(self, start_offset: int) -> LogSlice:
        """Return the first batch from an offset on that has the greatest timestamp there."""
        chain = self._chain
        slot = chain.at(start_offset)
        timestamps = [chain.use(segment).newest_before(chain.end_offset) for segment in chain.segments[slot + 1 :]]
        first = chain.segments[slot]
        if start_offset <= first.base_offset:
            timestamps.append(first.newest_before(chain.end_offset))
        else:
            timestamps += [header.max_timestamp for header in self._headers_of(first, start_offset)]
        greatest = max(timestamps, default=NO_TIMESTAMP)
        if greatest == NO_TIMESTAMP:
            return LogSlice((), 0, chain.end_offset)
        return self.at_timestamp(greatest, start_offset)


def _find_timestamp(segment: Segment, timestamp_ms: int, start_offset: int) -> Found | None:
    return segment.view().at_timestamp(segment.times, timestamp_ms, start_offset)


def _read_cold(disk: IDisk, path: str, view: View, wanted: Wanted, start: int | None) -> Piece | None:
    """Read in a thread, through a file of its own that nobody closes meanwhile."""
    file = disk.open(path, write=False)
    try:
        return view._replace(file=file).read(wanted, start)
    finally:
        file.close()
