"""
Loading a log's segments, and recovering them after a crash.

After a clean stop the files are believed.  After any other, batches past the
recovery point are looked at one by one, the log ends before the first that is
not whole, and what is kept is made durable before anybody sees it.  All of it
only takes a disk, so it runs in a thread.

# Note [The last step]

Of thousands of logs each has files and directories to be synced, and the device
would be waited for each time.  So L{load} leaves that to whoever can do it for many
at once (L{streamline.storage.together}), and nobody sees the log before.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import NamedTuple

from twisted.logger import Logger

from streamline.config import TopicConfig
from streamline.interfaces import IDisk, IFile
from streamline.model import NO_EPOCH, NO_OFFSET
from streamline.storage import truncation
from streamline.storage.index import RELATIVE_OFFSET_MAX, IndexDoubted, OffsetIndex, TimeIndex
from streamline.storage.layout import DELETED, LOG, OFFSET_INDEX, TIME_INDEX, segment_file, segment_path
from streamline.storage.segment import ALLOCATE_FROM_BYTES, Segment
from streamline.storage.view import header_at
from streamline.wire.batch import HEADER_BYTES, LOG_OVERHEAD, MAGIC
from streamline.wire.crc import crc32c

CHECKED_AT = 21
"""Where in a batch its checksum begins: at the attributes."""
SCAN_BYTES = 2**20
"""What is read at once to check batches."""


_fields = Struct(">qiibI2xi8xq").unpack_from
"""Of a header, what recovery looks at."""


class Found(NamedTuple):
    """What recovery keeps in mind of a batch."""

    next_offset: int
    size: int
    epoch: int
    crc: int
    max_timestamp: int


class Plan(NamedTuple):
    """
    How to load a log.

    @ivar clean: whether the last stop was clean.
    @ivar recovery_point: everything below is known to be durable.
    @ivar start_offset: where the log starts; segments below may be missing.
    """

    disk: IDisk
    directory: str
    config: TopicConfig
    now_ms: int
    clean: bool
    recovery_point: int
    start_offset: int


class Loaded(NamedTuple):
    """
    What a partition's directory holds.

    @ivar segments: in order; none where the directory was empty.
    @ivar end_offset: the offset after the last batch, or 0.
    @ivar restarted_at: where the log was about to start over when a crash came, or -1.
    @ivar is_durable: whether all of it is; else the last segment and the directory are still to be synced, and nobody
        may see the log before.  See Note [The last step].
    @ivar names: all that is in the directory, and maybe some that are not.
    """

    segments: list[Segment]
    end_offset: int
    restarted_at: int = NO_OFFSET
    is_durable: bool = True
    names: tuple[str, ...] = ()


def load(plan: Plan) -> Loaded:
    """
    Load a log; after an unclean stop, what is left is durable once it has been synced.

    @raise OSError: the disk failed.
    """
    disk, directory = plan.disk, plan.directory
    names = disk.list_directory(directory)
    unfinished = truncation.noted(disk, directory) if truncation.NOTE in names else None
    bases = _tidy(disk, directory, names)
    if unfinished is not None:
        truncation.carry_out(disk, directory, unfinished, bases)
        truncation.forget(disk, directory)
        names = disk.list_directory(directory)
        bases = _tidy(disk, directory, names)
    segments = [_segment(plan, base_offset) for base_offset in bases[:-1]]
    segments += [_last_segment(plan, base_offset) for base_offset in bases[-1:]]
    restarted_at = NO_OFFSET if unfinished is None else unfinished.start_offset
    if plan.clean and unfinished is None and segments:
        end_offset = _believed_end(segments[-1])
        if end_offset is not None:
            return Loaded(segments, end_offset, names=tuple(names))
    recovery = Recovery(plan, segments)
    recovery.run()
    return Loaded(recovery.segments, recovery.end_offset, restarted_at, is_durable=False, names=tuple(names))


def _tidy(disk: IDisk, directory: str, names: Sequence[str]) -> list[int]:
    """Remove what dropped segments left; return the base offsets of the others.  Unknown names are let be."""
    files = [file for file in map(segment_file, names) if file is not None]
    bases = sorted(base_offset for base_offset, suffix in files if suffix == LOG)
    known = frozenset(bases)
    for base_offset, suffix in files:
        if base_offset not in known:
            disk.remove(segment_path(directory, base_offset, suffix))
    for name in names:
        if name.endswith(DELETED) and segment_file(name.removesuffix(DELETED)):
            disk.remove(f"{directory}/{name}")
    return bases


def _segment(plan: Plan, base_offset: int) -> Segment:
    file = plan.disk.open(segment_path(plan.directory, base_offset), write=False)
    try:
        size = file.size()
    finally:
        file.close()
    return Segment(plan.disk, plan.directory, base_offset, size, plan.config, plan.now_ms)


def _last_segment(plan: Plan, base_offset: int) -> Segment:
    """Return the one that goes on; its file stays open, as it is looked into at once."""
    segment = Segment(plan.disk, plan.directory, base_offset, 0, plan.config, plan.now_ms)
    segment.size = segment.synced_size = segment.file.size()
    return segment


def _believed_end(segment: Segment) -> int | None:
    """Return the end of the last segment, found from its last index entry on; None where that leads nowhere."""
    try:
        return segment.end_offset()
    except IndexDoubted:
        return None


class Recovery:
    """
    One log's recovery.

    @ivar segments: those that are kept.
    @ivar end_offset: the offset after the last whole batch.
    """

    log = Logger()

    def __init__(self, plan: Plan, segments: list[Segment]) -> None:
        self._plan = plan
        self.segments = segments
        self.end_offset = segments[0].base_offset if segments else 0
        self._epoch = NO_EPOCH

    def run(self) -> None:
        """Scan what may not be whole, and cut it; all that is left but the last segment is durable then."""
        bases = [segment.base_offset for segment in self.segments[1:]]
        known = max(self._plan.recovery_point, self._plan.start_offset)
        durable = sum(base_offset <= known for base_offset in bases)
        for slot in range(durable, len(self.segments)):
            segment = self.segments[slot]
            if slot > durable and segment.base_offset != self.end_offset:
                self._drop_from(slot, f"offset {self.end_offset} is missing before {segment.path()}")
                break
            whole = self._scan(segment)
            if whole < segment.size:
                self._drop_from(slot + 1, f"{segment.path()} has no whole batch at {whole}")
                segment.size = whole
                segment.file.truncate(whole)
                self._keep(segment)
                break
            self._keep(segment)

    def _follows(self, base_offset: int) -> bool:
        """Say whether a batch may come next; only compaction leaves gaps, and none between segments."""
        return base_offset == self.end_offset or (base_offset > self.end_offset and self._plan.config.compacts)

    def _drop_from(self, slot: int, why: str) -> None:
        """Drop the segments from one on; those that a power cut brings back follow nothing, and go then."""
        self.log.warn("The log ends at {end}: {why}", end=self.end_offset, why=why)
        for segment in self.segments[slot:]:
            segment.rest()
            for suffix in (LOG, OFFSET_INDEX, TIME_INDEX):
                if self._plan.disk.exists(segment.path(suffix)):
                    self._plan.disk.remove(segment.path(suffix))
        del self.segments[slot:]

    def _keep(self, segment: Segment) -> None:
        """
        Make a segment durable with its indexes, unless it is the last one.

        The indexes of that stay in memory, as if it had just been written: the next checkpoint saves them before it
        notes how far all is durable, and thousands of logs are open sooner.
        """
        if segment.size >= ALLOCATE_FROM_BYTES or segment.config.preallocate:  # it may have space behind its end
            segment.file.truncate(segment.size)
        segment.synced_size = segment.size
        if segment is not self.segments[-1]:
            segment.file.sync()
            segment.finish()
            segment.save()
            segment.rest()

    def _scan(self, segment: Segment) -> int:
        """Return the position where a segment's whole batches end, with its indexes made anew."""
        position = self._resume(segment)
        end = segment.size
        while position < end:
            block = segment.file.read(position, min(SCAN_BYTES, end - position))
            length, whole = self._scan_block(segment, block, position)
            if not length and whole and len(block) >= HEADER_BYTES:
                length, whole = self._scan_long(segment, position)
            position += length
            if not whole or not length:
                break
        return position

    def _scan_block(self, segment: Segment, block: bytes, start: int) -> tuple[int, bool]:
        """Return how many bytes of a block are whole batches, and whether the next one may be whole as well."""
        view = memoryview(block)
        at, length = 0, len(block)
        while length - at >= HEADER_BYTES:
            found = self._plausible(segment, block, at, start + at)
            if found is None:
                return at, False
            next_offset, size, epoch, crc, max_timestamp = found
            if at + size > length:
                break
            if crc32c(view[at + CHECKED_AT : at + size]) != crc:
                return at, False
            segment.note(next_offset - 1, max_timestamp, start + at)
            self.end_offset, self._epoch = next_offset, epoch
            at += size
        return at, True

    def _scan_long(self, segment: Segment, position: int) -> tuple[int, bool]:
        """Do the same for one batch that is longer than a block, without holding all of it."""
        header = segment.file.read(position, HEADER_BYTES)
        found = self._plausible(segment, header, 0, position)
        if found is None or not _is_intact(segment.file, position, found):
            return 0, False
        segment.note(found.next_offset - 1, found.max_timestamp, position)
        self.end_offset, self._epoch = found.next_offset, found.epoch
        return found.size, True

    def _plausible(self, segment: Segment, block: bytes, at: int, position: int) -> Found | None:
        """Return what a header says if a batch of this log may have it at a position."""
        base_offset, length, epoch, magic, crc, last_offset_delta, max_timestamp = _fields(block, at)
        size = length + LOG_OVERHEAD
        next_offset = base_offset + last_offset_delta + 1
        if (
            magic != MAGIC
            or size < HEADER_BYTES
            or position + size > segment.size
            or last_offset_delta < 0
            or epoch < self._epoch
            or not self._follows(base_offset)
            or next_offset - segment.base_offset > RELATIVE_OFFSET_MAX + 1
        ):
            return None
        return Found(next_offset, size, epoch, crc, max_timestamp)

    def _resume(self, segment: Segment) -> int:
        """
        Return where scanning begins: at the last indexed batch below the recovery point, if it is there.

        The entries before it stay, and what is noted from it on makes the rest of the index.
        """
        self.end_offset = segment.base_offset
        segment.forget_index()
        disk, reach = self._plan.disk, self._plan.recovery_point - 1 - segment.base_offset
        try:
            index = OffsetIndex.decode(disk.read_file(segment.path(OFFSET_INDEX)), segment.size)
            times = TimeIndex.decode(disk.read_file(segment.path(TIME_INDEX)))
            slot = index.before_offset(reach)
            if slot < 0:
                return 0
            position, relative_offset = index.positions[slot], index.offsets[slot]
            header = header_at(segment.file.read(position, HEADER_BYTES), 0, position, segment.size)
        except (FileNotFoundError, IndexDoubted):
            return 0
        if header.last_offset - segment.base_offset != relative_offset:
            return 0
        index.keep(slot)
        times.truncate(relative_offset)
        segment.adopt(index, times)
        self.end_offset = header.base_offset
        return position


def _is_intact(file: IFile, position: int, found: Found) -> bool:
    at, end = position + CHECKED_AT, position + found.size
    checksum = 0
    while at < end:
        piece = file.read(at, min(SCAN_BYTES, end - at))
        if not piece:
            return False
        checksum = crc32c(piece, checksum)
        at += len(piece)
    return checksum == found.crc
