"""
One partition's log in the tables.

It collects what is appended and writes it in one transaction when it is
flushed.  As a transaction is durable, what is flushed is synced.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from acme_storage.tables import Batch, Tables
from streamline.config import TopicConfig
from streamline.errors import ErrorCode, Refused, StorageFailed
from streamline.interfaces import IClock, IPartitionLog
from streamline.model import Buffer, LogIdentity, LogSlice
from streamline.wire.batch import BatchHeader, read_header

NO_NAMES = ("", ".", "..", "partition.metadata")


@implementer(IPartitionLog)
class AcmeLog:
    """A partition's log."""

    def __init__(self, identity: LogIdentity, config: TopicConfig, tables: Tables, clock: IClock) -> None:
        self.identity = identity
        self._config = config
        self._tables = tables
        self._clock = clock
        self._id, self.start_offset, self.end_offset, self.high_watermark = tables.log(identity)
        self.high_watermark = min(max(self.high_watermark, self.start_offset), self.end_offset)
        self.flushed_offset = self.end_offset
        self.is_closed = False
        self._pending: list[Batch] = []
        self._pending_bytes = 0
        self._flushed_bytes = sum(size for _, _, size in tables.sizes(self._id))
        self._generation = 0
        self._begin_part(self.end_offset)

    @property
    def recovery_point(self) -> int:
        """What is flushed is durable."""
        return self.flushed_offset

    @property
    def size_bytes(self) -> int:
        """The bytes of all batches."""
        return self._flushed_bytes + self._pending_bytes

    def _check(self) -> None:
        if self.is_closed:
            raise StorageFailed(f"{self.identity} is closed")

    # Writing

    def append(self, header: BatchHeader, parts: Sequence[Buffer]) -> None:
        """Collect a batch."""
        self._check()
        if header.base_offset < self.end_offset:
            raise ValueError(f"a batch at {header.base_offset} for a log that ends at {self.end_offset}")
        self._count_part(header)
        self._pending.append((header.base_offset, header.next_offset, header.max_timestamp, b"".join(parts)))
        self._pending_bytes += header.size
        self.end_offset = header.next_offset

    def _begin_part(self, offset: int) -> None:
        self.segment_offset = offset
        self._part_bytes = 0
        self._part_first_timestamp = -1
        self._part_began_ms = self._clock.wall_ms()

    def _count_part(self, header: BatchHeader) -> None:
        """Rows have no files to roll; but callers look at C{segment_offset} to know when to take their snapshots."""
        if self._part_first_timestamp >= 0:
            age_ms = header.max_timestamp - self._part_first_timestamp
        else:
            age_ms = self._clock.wall_ms() - self._part_began_ms
        full = self._part_bytes + header.size > self._config.segment_bytes
        if self._part_bytes and (full or age_ms > self._config.segment_ms):
            self._begin_part(header.base_offset)
        if not self._part_bytes:
            self._part_first_timestamp = header.max_timestamp
        self._part_bytes += header.size

    def flush(self) -> None:
        """Write what was collected in one transaction; where that fails, nothing of it counts."""
        self._check()
        if not self._pending:
            return
        batches, size = self._pending, self._pending_bytes
        self._forget_pending()
        self._tables.add(self._id, batches)
        self.flushed_offset = self.end_offset = batches[-1][1]
        self._flushed_bytes += size

    def _forget_pending(self) -> None:
        self._pending = []
        self._pending_bytes = 0
        self.end_offset = self.flushed_offset

    def sync(self) -> Deferred[int]:
        """Flush."""
        try:
            self.flush()
        except StorageFailed:
            return fail()
        return succeed(self.flushed_offset)

    # Reading

    def read(self, offset: int, max_bytes: int, *, end_offset: int, at_least_one: bool) -> LogSlice:
        """Return whole batches."""
        if self.is_closed:
            raise Refused(ErrorCode.KAFKA_STORAGE_ERROR, f"{self.identity} is closed")
        if not self.start_offset <= offset <= self.end_offset:
            raise Refused(ErrorCode.OFFSET_OUT_OF_RANGE)
        parts: list[bytes] = []
        size, next_offset = 0, offset
        try:
            for _, end, _, data in self._tables.batches(self._id, offset):
                fits = size + len(data) <= max_bytes or (at_least_one and not parts)
                if end > end_offset or not fits:
                    break
                parts.append(data)
                size, next_offset = size + len(data), end
        except StorageFailed as error:
            raise Refused(ErrorCode.KAFKA_STORAGE_ERROR, str(error)) from error
        return LogSlice(parts, size, next_offset)

    def headers(self, offset: int) -> Iterator[BatchHeader]:
        """Yield headers; ends where the log is cut meanwhile."""
        self._check()
        generation = self._generation
        for _, _, _, data in self._tables.batches(self._id, offset):
            yield read_header(data)
            if generation != self._generation:
                return

    def batch_at_timestamp(self, timestamp_ms: int) -> LogSlice:
        """Return the first batch with a max timestamp of at least C{timestamp_ms}."""
        self._check()
        found = self._tables.at_timestamp(self._id, timestamp_ms, self.start_offset)
        if found is None:
            return LogSlice((), 0, self.flushed_offset)
        return LogSlice((found[3],), len(found[3]), found[1])

    def batch_of_max_timestamp(self) -> LogSlice:
        """Return the first batch that holds the greatest timestamp."""
        self._check()
        greatest = self._tables.greatest_timestamp(self._id, self.start_offset)
        if greatest is None or greatest < 0:
            return LogSlice((), 0, self.flushed_offset)
        return self.batch_at_timestamp(greatest)

    # Cutting

    def truncate(self, end_offset: int) -> None:
        """Drop every batch that reaches beyond C{end_offset}."""
        self.flush()
        if end_offset >= self.end_offset:
            return
        first = next(self._tables.batches(self._id, end_offset), None)
        end = end_offset if first is None else min(end_offset, first[0])
        if end <= self.start_offset:
            self.restart_at(min(end_offset, self.start_offset))
            return
        self._cut(end_offset, self.end_offset, self.start_offset, end, min(self.high_watermark, end))
        if self.segment_offset > end:
            self._begin_part(end)

    def restart_at(self, offset: int) -> None:
        """Drop everything and begin anew at C{offset}."""
        self._check()
        self._forget_pending()
        self._cut(-1, self.end_offset, offset, offset, offset)
        self._begin_part(offset)

    def _cut(self, first: int, end: int, start_offset: int, end_offset: int, high_watermark: int) -> None:
        self._tables.cut(self._id, first, end, start_offset, end_offset, high_watermark)
        self.start_offset, self.high_watermark = start_offset, high_watermark
        self.end_offset = self.flushed_offset = end_offset
        self._flushed_bytes = sum(size for _, _, size in self._tables.sizes(self._id))
        self._generation += 1

    def advance_start(self, offset: int) -> None:
        """Hide everything below C{offset}."""
        self.flush()
        if offset > self.end_offset:
            raise Refused(ErrorCode.OFFSET_OUT_OF_RANGE, f"{offset} is beyond {self.end_offset}")
        if offset > self.start_offset:
            high_watermark = max(self.high_watermark, offset)
            self._tables.note(self._id, offset, self.end_offset, high_watermark)
            self.start_offset, self.high_watermark = offset, high_watermark

    def retain(self, now_ms: int) -> int:
        """Drop the oldest batches, one by one, as long as retention wants none of them."""
        self.flush()
        if self._part_bytes and now_ms - self._part_began_ms > self._config.segment_ms:
            self._begin_part(self.end_offset)
        start_offset, before = self.start_offset, self._flushed_bytes
        remaining = before
        for end, timestamp, size in self._tables.sizes(self._id):
            remaining -= size
            if end > self.high_watermark or not self._is_expendable(end, timestamp, remaining, now_ms):
                break
            start_offset = max(start_offset, end)
        high_watermark = max(self.high_watermark, start_offset)
        self._tables.cut(self._id, -1, start_offset, start_offset, self.end_offset, high_watermark)
        self.start_offset, self.high_watermark = start_offset, high_watermark
        self._flushed_bytes = sum(size for _, _, size in self._tables.sizes(self._id))
        return before - self._flushed_bytes

    def _is_expendable(self, end: int, timestamp: int, remaining: int, now_ms: int) -> bool:
        config = self._config
        if end <= self.start_offset:
            return True
        too_old = config.retention_ms >= 0 and 0 <= timestamp < now_ms - config.retention_ms
        too_many = 0 <= config.retention_bytes <= remaining
        return config.deletes and (too_old or too_many)

    def configure(self, config: TopicConfig) -> None:
        """Follow new settings."""
        self._config = config

    # Blobs

    def put_checkpoint(self, name: str, data: bytes) -> None:
        """Keep a blob."""
        self._check_name(name)
        self._tables.put_blob(self._id, name, data)

    def get_checkpoint(self, name: str) -> bytes | None:
        """Return a blob."""
        self._check_name(name)
        return self._tables.get_blob(self._id, name)

    def checkpoint_names(self) -> list[str]:
        """Return the names of all blobs."""
        self._check()
        return self._tables.blob_names(self._id)

    def drop_checkpoint(self, name: str) -> None:
        """Forget a blob."""
        self._check_name(name)
        self._tables.drop_blob(self._id, name)

    def _check_name(self, name: str) -> None:
        self._check()
        if name in NO_NAMES or "/" in name or name.endswith(".log"):
            raise ValueError(f"{name!r} is no name for a checkpoint")

    # Ending

    def note(self) -> None:
        """Write down the high watermark."""
        self._tables.note(self._id, self.start_offset, self.flushed_offset, self.high_watermark)

    def end(self) -> None:
        """Flush, note and close."""
        if not self.is_closed:
            self.flush()
            self.note()
            self.is_closed = True

    def close(self) -> Deferred[None]:
        """Flush and close."""
        try:
            self.end()
        except StorageFailed:
            return fail()
        return succeed(None)
