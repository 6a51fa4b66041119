"""
The segments of one log, in order: making, finding, cutting and dropping them.

What happens on the disk here is, after any crash, as if it had happened or as
if it had not; where it takes more than one step, see L{streamline.storage.truncation}.
"""

from __future__ import annotations

import errno
from bisect import bisect_right
from operator import attrgetter
from typing import NamedTuple

from attrs import evolve

from streamline.config import TopicConfig
from streamline.interfaces import fires
from streamline.model import NO_OFFSET, TopicPartition
from streamline.storage import truncation
from streamline.storage.commons import Commons, set_aside
from streamline.storage.layout import LOG, OFFSET_INDEX, TIME_INDEX
from streamline.storage.segment import Segment
from streamline.storage.truncation import Truncation

_base_offset = attrgetter("base_offset")


class Cut(NamedTuple):
    """
    A place between two batches.

    @ivar slot: which segment.
    @ivar end_offset: what the log's end would be.
    """

    slot: int
    position: int
    end_offset: int


class Chain:
    """
    At least one segment; the last, the active one, is written.

    @ivar end_offset: the offset after the last batch that was written.
    @ivar size_bytes: the bytes of all segments.
    @ivar generation: grows when what was written is cut off.
    """

    def __init__(
        self, commons: Commons, directory: str, partition: TopicPartition, segments: list[Segment], end_offset: int
    ) -> None:
        self.commons = commons
        self._indexes_all = commons.host.whim("every-batch-indexed")
        self.directory = directory
        self.partition = partition
        self.segments = segments
        self.end_offset = end_offset
        self.size_bytes = sum(segment.size for segment in segments)
        self.generation = 0
        self.is_closed = False

    @property
    def active(self) -> Segment:
        """The segment that is written."""
        return self.segments[-1]

    @property
    def first_offset(self) -> int:
        """The first offset of the first segment."""
        return self.segments[0].base_offset

    def at(self, offset: int) -> int:
        """Return which segment an offset belongs to."""
        if offset >= self.active.base_offset:
            return len(self.segments) - 1
        return max(0, bisect_right(self.segments, offset, key=_base_offset) - 1)

    def after(self, segment: Segment) -> Segment | None:
        """Return the segment that follows, also where this one was dropped; None after the last."""
        slot = bisect_right(self.segments, segment.base_offset, key=_base_offset)
        return self.segments[slot] if slot < len(self.segments) else None

    def use(self, segment: Segment) -> Segment:
        """
        Note that a segment's file is used now.

        @raise OSError: the log is closed.
        """
        if self.is_closed:
            raise OSError(errno.EBADF, "the log is closed")
        self.commons.open_segments.touch(segment)
        return segment

    def roll(self, base_offset: int, config: TopicConfig) -> Segment:
        """
        Begin a new segment; return the one that is finished by this.  The new name is not durable yet.

        @raise OSError: the active segment is the same as before, and can be used on.
        """
        finished = self.active
        finished.finish()
        self.segments.append(self.use(self._new(base_offset, config)))
        return finished

    def _new(self, base_offset: int, config: TopicConfig) -> Segment:
        clock, rng = self.commons.host.clock, self.commons.host.rng
        if fires(self._indexes_all):
            config = evolve(config, index_interval_bytes=0)
        segment = Segment(self.commons.disk, self.directory, base_offset, 0, config, clock.wall_ms())
        if config.segment_jitter_ms:
            segment.jitter_ms = rng.randrange(0, min(config.segment_jitter_ms, config.segment_ms) + 1)
        segment.create()
        return segment

    def drop_first(self, count: int, start_offset: int, delay_ms: int) -> int:
        """
        Drop the oldest segments, none of which has C{start_offset}; return the bytes that they had.

        The start is noted first, as a power cut may undo any of the renames and keep others; where the disk is too
        full for that, each rename is synced before the next.
        """
        try:
            self.commons.checkpoints.start_at(self.partition, start_offset)
            synced_at_once = True
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            synced_at_once = False
        dropped, self.segments = self.segments[:count], self.segments[count:]
        for number, segment in enumerate(dropped, 1):
            self._drop(segment, delay_ms)
            if not synced_at_once or number == count:
                self.commons.disk.sync_directory(self.directory)
        freed = sum(segment.size for segment in dropped)
        self.size_bytes -= freed
        return freed

    def _drop(self, segment: Segment, delay_ms: int) -> None:
        self.commons.open_segments.forget(segment)
        paths = [segment.path(suffix) for suffix in (LOG, OFFSET_INDEX, TIME_INDEX)]
        self.commons.remove_later(set_aside(self.commons.disk, paths), delay_ms)

    def cut_at(self, offset: int) -> Cut:
        """Find where the batches begin that reach beyond an offset of ours."""
        slot = self.at(offset)
        segment = self.use(self.segments[slot])
        found = segment.confirmed(lambda: segment.view().find(offset))
        if found is None:
            return Cut(slot, segment.size, offset)
        return Cut(slot, found[0], min(offset, found[1].base_offset))

    def truncate(self, cut: Cut) -> None:
        """
        Drop everything from a cut on, durably.

        @raise OSError: what is left must be loaded anew.
        """
        slot, position, end_offset = cut
        segment = self.use(self.segments[slot])
        several = slot + 1 < len(self.segments)
        if several:
            truncation.note(self.commons.disk, self.directory, Truncation(NO_OFFSET, segment.base_offset, position))
            for later in self.segments[slot + 1 :]:
                self._drop(later, 0)
            del self.segments[slot + 1 :]
            self.commons.disk.sync_directory(self.directory)
        self.end_offset = end_offset
        segment.truncate(position, end_offset)
        if several:
            truncation.forget(self.commons.disk, self.directory)
        self._changed()

    def restart(self, offset: int, config: TopicConfig) -> None:
        """
        Drop everything and begin again at C{offset}, durably.

        @raise OSError: what is left must be loaded anew.
        """
        truncation.note(self.commons.disk, self.directory, Truncation(offset, offset, 0))
        for segment in self.segments:
            self._drop(segment, 0)
        self.segments = [self._new(offset, config)]
        self.use(self.active)
        self.commons.checkpoints.start_at(self.partition, offset)
        self.commons.disk.sync_directory(self.directory)
        truncation.forget(self.commons.disk, self.directory)
        self.end_offset = offset
        self._changed()

    def _changed(self) -> None:
        self.size_bytes = sum(segment.size for segment in self.segments)
        self.generation += 1

    def close(self) -> None:
        """Close all files, for good."""
        self.is_closed = True
        for segment in self.segments:
            self.commons.open_segments.forget(segment)
