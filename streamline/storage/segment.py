"""
One segment: a C{.log} file of batches with its two indexes.

The last segment of a log is written, all others only read.  Files are opened
and indexes loaded when somebody needs them; L{Segment.rest} gives both back.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import TypeVar

from twisted.logger import Logger

from streamline.config import TopicConfig
from streamline.errors import ErrorCode, Refused
from streamline.interfaces import IDisk, IFile
from streamline.model import NO_TIMESTAMP, Buffer, PlainBatch
from streamline.storage.entries import is_full, take_run
from streamline.storage.index import RELATIVE_OFFSET_MAX, IndexDoubted, IndexWork, OffsetIndex, TimeIndex, save_index
from streamline.storage.layout import LOG, OFFSET_INDEX, TIME_INDEX, segment_path
from streamline.storage.view import WALK_FAR_BYTES, View, header_at, walk
from streamline.wire.batch import HEADER_BYTES

ALLOCATE_FROM_BYTES = 2**20
"""A segment reserves space ahead from this size on, as much as it has."""
ALLOCATE_BYTES_MAX = 2**26  # at once: the logs of small topics shall not fill a disk with nothing
NOTHING_SAVED = -1  # whatever is in an index file, it shall be replaced

T = TypeVar("T")

class Segment:
    """
    Batches from C{base_offset} on.

    @ivar size: the bytes written.
    @ivar synced_size: how many of them survive the loss of power.
    @ivar created_ms: the date when the segment was made or loaded.
    @ivar jitter_ms: what is taken off segment.ms.
    @ivar config: the topic's settings.
    @ivar is_settling: whether its file is being synced elsewhere, and must stay open.
    """

    log = Logger()
    __slots__ = (
        "disk", "directory", "base_offset", "size", "synced_size", "created_ms", "jitter_ms", "config",
        "is_settling", "_file", "_index", "_times", "_newest", "_first_timestamp", "_saved_entries", "_saved_times",
        "_allocated", "_index_is_full",
    )  # fmt: skip

    def __init__(
        self, disk: IDisk, directory: str, base_offset: int, size: int, config: TopicConfig, now_ms: int
    ) -> None:
        self.disk = disk
        self.directory = directory
        self.base_offset = base_offset
        self.size = size
        self.synced_size = size
        self.config = config
        self.created_ms = now_ms
        self.jitter_ms = 0
        self._file: IFile | None = None
        self._index: OffsetIndex | None = None
        self._times: TimeIndex | None = None
        self._newest: tuple[int, int] | None = None
        self._first_timestamp: int | None = None
        self._saved_entries = self._saved_times = 0
        self._allocated = 0
        self._index_is_full = False
        self.is_settling = False

    # What is loaded when it is needed

    def path(self, suffix: str = LOG) -> str:
        """Return the path of one of our files."""
        return segment_path(self.directory, self.base_offset, suffix)

    def create(self) -> None:
        """Make the empty file of a new segment."""
        self._file = self.disk.open(self.path(), create=True)
        self._index, self._times = OffsetIndex(), TimeIndex()
        self._saved_entries = self._saved_times = NOTHING_SAVED
        if self.config.preallocate:
            self._allocated = self.config.segment_bytes
            self._file.allocate(self._allocated)

    @property
    def file(self) -> IFile:
        """The open log file."""
        if self._file is None:
            self._file = self.disk.open(self.path())
        return self._file

    @property
    def is_open(self) -> bool:
        """Whether something must be given back by L{rest}."""
        return self._file is not None

    @property
    def index(self) -> OffsetIndex:
        """The offset index, rebuilt if its file is not to be believed."""
        if self._index is None:
            try:
                index = OffsetIndex.decode(self.disk.read_file(self.path(OFFSET_INDEX)), self.size)
                self._view(index).check_offsets(self.config.index_interval_bytes)
                self._index = index
                self._saved_entries = len(index)
            except (FileNotFoundError, IndexDoubted) as why:
                self.rebuild(why)
        assert self._index is not None
        return self._index

    def index_is_near(self) -> bool:
        """Say whether the offset index can be used without waiting for the device."""
        if self._index is not None:
            return True
        try:
            file = self.disk.open(self.path(OFFSET_INDEX), write=False)
        except FileNotFoundError:
            return False  # making it anew takes a while, too
        try:
            return file.is_cached(0, max(1, file.size()))
        finally:
            file.close()

    def load(self) -> None:
        """Load the offset index; may run in a thread."""
        self._index = self.index

    @property
    def times(self) -> TimeIndex:
        """The time index, rebuilt if its file is not to be believed."""
        if self._times is None:
            try:
                times = TimeIndex.decode(self.disk.read_file(self.path(TIME_INDEX)))
                if self._newest is None:  # else what is still known here is not in the file
                    self.view().check_times(times)
                self._times = times
                self._saved_times = len(times)
            except (FileNotFoundError, IndexDoubted) as why:
                self.rebuild(why)
        assert self._times is not None
        return self._times

    def end_offset(self) -> int:
        """
        Return the offset after the last batch.

        @raise IndexDoubted: the log does not end with a whole batch.
        """
        end_offset = self.base_offset
        for _, header in self.view().from_last_entry():
            end_offset = header.next_offset
        return end_offset

    def rebuild(self, why: Exception) -> None:
        """Make both indexes from the log itself, as far as it can be read."""
        self.log.warn("Rebuilding the indexes of {path}: {why}", path=self.path(), why=str(why))
        before = self._newest or (NO_TIMESTAMP, 0)
        self.forget_index()
        try:
            for position, header in walk(self.file, 0, self.size, WALK_FAR_BYTES):
                self.note(header.last_offset, header.max_timestamp, position)
        except IndexDoubted as end:
            self.log.error("{path} cannot be read to its end: {why}", path=self.path(), why=str(end))
        self.times.extend(*self.newest)
        if before[0] > self.newest[0]:
            self._newest = before  # it was noted, and is not written yet

    def forget_index(self) -> None:
        """Begin with empty indexes."""
        self._index, self._times = OffsetIndex(), TimeIndex()
        self._newest, self._first_timestamp = None, None
        self._saved_entries = self._saved_times = NOTHING_SAVED

    def adopt(self, index: OffsetIndex, times: TimeIndex) -> None:
        """Go on from the beginning of indexes that recovery believes."""
        self._index, self._times = index, times

    # Times

    @property
    def newest(self) -> tuple[int, int]:
        """The greatest timestamp, -1 for none, and the relative last offset of the first batch that has it."""
        if self._newest is None:
            self._newest = self.times.last() or (NO_TIMESTAMP, 0)
        return self._newest

    def newest_before(self, end_offset: int) -> int:
        """Return the greatest timestamp of batches below an offset: those beyond may be noted and not yet written."""
        timestamp, relative_offset = self.newest
        if self.base_offset + relative_offset < end_offset or timestamp == NO_TIMESTAMP:
            return timestamp
        return self.view().newest(*self.times.last_before(end_offset - self.base_offset))[0]

    @property
    def first_timestamp(self) -> int:
        """The greatest timestamp of the first batch, by which the segment's age is counted; -1 for none."""
        if self._first_timestamp is None:
            self._first_timestamp = NO_TIMESTAMP
            if self.size:
                with contextlib.suppress(IndexDoubted):  # damaged; whoever reads there is told
                    self._first_timestamp = header_at(self.file.read(0, HEADER_BYTES), 0, 0, self.size).max_timestamp
        return self._first_timestamp

    # Writing

    def take(
        self, last_offset: int, max_timestamp: int, size: int, position: int, wall_ms: Callable[[], int]
    ) -> bool:
        """
        Take a batch of C{size} bytes into the indexes, as L{note}.

        @return: False, and nothing has happened, where it does not belong behind C{position} bytes of this segment.
        """
        if not self._fits(last_offset - self.base_offset, max_timestamp, position, size, wall_ms):
            return False
        self.note(last_offset, max_timestamp, position)
        return True

    def _fits(self, last: int, max_timestamp: int, position: int, size: int, wall_ms: Callable[[], int]) -> bool:
        """Say whether batches belong into this segment; C{last} is their last offset, relative to ours."""
        if last > RELATIVE_OFFSET_MAX or not position:
            return last <= RELATIVE_OFFSET_MAX
        config = self.config
        if self._index_is_full or position + size > config.segment_bytes:
            return False
        first = self._first_timestamp
        if first is None:
            first = self.first_timestamp
        # By records' own time, as a topic may be filled with old ones; by ours where they have none.
        age_ms = max_timestamp - first if first > NO_TIMESTAMP else wall_ms() - self.created_ms
        return age_ms <= config.segment_ms - self.jitter_ms

    def take_all(self, batches: Sequence[PlainBatch], offset: int, position: int, wall_ms: Callable[[], int]) -> bool:
        """
        Take batches from C{offset} on as so many calls of L{take} would.

        @return: False, and nothing has happened, where it is not certain that all of them belong into this segment.
        """
        if not position:
            return False
        begin = end = offset - self.base_offset
        size, last_bytes, newest = 0, 0, self.newest
        for records, count, max_timestamp in batches:
            last_bytes = len(records)
            size += last_bytes
            end += count
            if max_timestamp > newest[0]:
                newest = max_timestamp, end - 1
        if not self._fits(end - 1, newest[0], position, size, wall_ms):
            return False
        index, config, positions = self.index, self.config, self.index.positions
        if position + size - last_bytes - (positions[-1] if positions else 0) > config.index_interval_bytes:
            if is_full(index, self.times, config.segment_index_bytes, len(batches)):
                return False
            take_run(index, self.times, batches, begin, position, config.index_interval_bytes, self.newest)
        self._newest = newest
        return True

    def note(self, last_offset: int, max_timestamp: int, position: int) -> None:
        """Take a batch into the indexes: after each interval, its offset and the greatest timestamp so far."""
        newest = self._newest
        if newest is None:
            newest = self.newest
        if max_timestamp > newest[0]:
            newest = self._newest = (max_timestamp, last_offset - self.base_offset)
        if not position:
            self._first_timestamp = max_timestamp
        index = self._index
        if index is None:
            index = self.index
        positions = index.positions
        if position - (positions[-1] if positions else 0) > self.config.index_interval_bytes:
            index.append(last_offset - self.base_offset, position)
            times = self.times
            if newest[0] > times.latest:
                times.extend(*newest)
            self._index_is_full = is_full(index, times, self.config.segment_index_bytes)

    def write(self, parts: list[Buffer], length: int) -> None:
        """Write batches at the end."""
        file = self._file
        if file is None:
            file = self.file
        size = self.size
        end = size + length
        if end > self._allocated and end >= ALLOCATE_FROM_BYTES:
            self._allocated = min(end + min(end, ALLOCATE_BYTES_MAX), max(self.config.segment_bytes, end))
            file.allocate(self._allocated)
        file.write(parts, size)
        self.size = end

    def forget_unwritten(self, end_offset: int) -> None:
        """Forget batches that were noted and could not be written; cut off what part of them was."""
        self.file.truncate(self.size)
        self._allocated = 0
        self._cut_index(self.size, end_offset)

    def _cut_index(self, size: int, end_offset: int) -> None:
        self.index.truncate(size)
        self.times.truncate(end_offset - self.base_offset)
        self._saved_entries = self._saved_times = NOTHING_SAVED
        self._newest = self._first_timestamp = None
        self._index_is_full = False
        self._newest = self.view().newest(*self.newest)

    def truncate(self, size: int, end_offset: int) -> None:
        """Cut the log off at a batch's beginning, durably."""
        self.file.truncate(size)
        self.file.sync()
        self.size = self.synced_size = size
        self._allocated = 0
        self._cut_index(size, end_offset)
        self.save()

    # Reading

    def view(self) -> View:
        """Return what a reader needs."""
        return self._view(self.index)

    def _view(self, index: OffsetIndex) -> View:
        return View(self.file, self.base_offset, index, self.size)

    def confirmed(self, look: Callable[[], T]) -> T:
        """
        Do what uses an index; where the log does not confirm the index, rebuild it and do it once more.

        @raise Refused: CORRUPT_MESSAGE, it was not the index.
        """
        try:
            return look()
        except IndexDoubted as why:
            self.rebuild(why)
        try:
            return look()
        except IndexDoubted as why:
            raise self.corrupt(why) from None

    def corrupt(self, why: IndexDoubted) -> Refused:
        """Return what to raise where the log itself is damaged."""
        return Refused(ErrorCode.CORRUPT_MESSAGE, f"{self.path()}: {why}")

    # Ending

    def finish(self) -> None:
        """Note the greatest timestamp, and give back what was reserved: nothing more will be written."""
        self.times.extend(*self.newest)
        if self._allocated > self.size:
            self.file.truncate(self.size)
            self._allocated = 0

    @property
    def has_unsaved(self) -> bool:
        """Whether index files lack entries."""
        index, times = self._index, self._times
        return (index is not None and self._saved_entries != len(index)) or (
            times is not None and self._saved_times != len(times)
        )

    def unsaved(self) -> IndexWork:
        """Return what index files lack."""
        work: IndexWork = []
        if self._index is not None and self._saved_entries != len(self._index):
            first = max(0, self._saved_entries)
            work.append((self.path(OFFSET_INDEX), first * OffsetIndex.ENTRY_BYTES, self._index.encode(first)))
        if self._times is not None and self._saved_times != len(self._times):
            first = max(0, self._saved_times)
            work.append((self.path(TIME_INDEX), first * TimeIndex.ENTRY_BYTES, self._times.encode(first)))
        return work

    def saved(self, work: IndexWork, complete: bool) -> None:
        """Hear that this is in the files now, or that the files are gone."""
        for path, length, data in work:
            size = length + len(data)
            if path.endswith(TIME_INDEX):
                self._saved_times = size // TimeIndex.ENTRY_BYTES if complete else NOTHING_SAVED
            else:
                self._saved_entries = size // OffsetIndex.ENTRY_BYTES if complete else NOTHING_SAVED

    def save(self) -> None:
        """Write what index files lack, durably; blocks."""
        work = self.unsaved()
        self.saved(work, save_index(self.disk, work))

    @property
    def can_rest(self) -> bool:
        """Whether nothing would be lost with what is in memory."""
        return self.synced_size == self.size and not self.is_settling and not self.has_unsaved

    def rest(self) -> None:
        """Close the file and forget the indexes, until they are needed again."""
        if self._file is not None:
            self._file.close()
            self._file = None
        self._index = self._times = None
        self._allocated = 0
