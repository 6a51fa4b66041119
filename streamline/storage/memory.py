"""
The C{memory} storage: the same promises, kept as long as the process lives.

For tests and for data that may go.  Batches are copied once, as what they
arrive in is larger; they lie in segments so that retention works as elsewhere.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from operator import attrgetter

from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from streamline.config import NodeConfig, TopicConfig
from streamline.errors import ErrorCode, Refused, StorageFailed
from streamline.interfaces import Host, IPartitionLog, IStorage
from streamline.model import NO_TIMESTAMP, Buffer, LogIdentity, LogSlice, TopicPartition
from streamline.storage.layout import is_checkpoint_name
from streamline.storage.retention import expendable
from streamline.wire.batch import BatchHeader, read_header

_base_offset = attrgetter("base_offset")


class MemorySegment:
    """
    Batches from C{base_offset} on.

    @ivar ends: the offset after each batch.
    @ivar newest: the greatest timestamp of all, and its place.
    """

    def __init__(self, base_offset: int, created_ms: int) -> None:
        self.base_offset = base_offset
        self.created_ms = created_ms
        self.size = 0
        self.newest = (NO_TIMESTAMP, 0)
        self.first_timestamp = NO_TIMESTAMP
        self.ends: list[int] = []
        self.batches: list[bytes] = []

    def add(self, header: BatchHeader, batch: bytes) -> None:
        """Take a batch."""
        if not self.batches:
            self.first_timestamp = header.max_timestamp
        if header.max_timestamp > self.newest[0]:
            self.newest = (header.max_timestamp, len(self.batches))
        self.ends.append(header.next_offset)
        self.batches.append(batch)
        self.size += len(batch)

    def beginning(self, count: int) -> MemorySegment:
        """Return a segment of the first batches only."""
        segment = MemorySegment(self.base_offset, self.created_ms)
        for batch in self.batches[:count]:
            segment.add(read_header(batch), batch)
        return segment


@implementer(IPartitionLog)
class MemoryLog:
    """
    A partition's log in lists.

    What was flushed is as safe as it will ever be, so it counts as synced.
    """

    def __init__(self, identity: LogIdentity, config: TopicConfig, host: Host) -> None:
        self.identity = identity
        self.start_offset = self.end_offset = self.flushed_offset = self.high_watermark = 0
        self._config = config
        self._clock = host.clock
        self._segments = [MemorySegment(0, self._clock.wall_ms())]
        self._pending: list[tuple[BatchHeader, bytes]] = []
        self._pending_bytes = 0
        self._blobs: dict[str, bytes] = {}
        self._generation = 0
        self.is_closed = False

    @property
    def recovery_point(self) -> int:
        """As durable as memory is."""
        return self.flushed_offset

    @property
    def segment_offset(self) -> int:
        """The first offset of the segment now being written."""
        return self._segments[-1].base_offset

    @property
    def size_bytes(self) -> int:
        """The bytes of all batches."""
        return sum(segment.size for segment in self._segments) + self._pending_bytes

    def _check(self) -> None:
        if self.is_closed:
            raise StorageFailed(f"{self.identity} is closed")

    # Writing

    def append(self, header: BatchHeader, parts: Sequence[Buffer]) -> None:
        """Take a batch; begin a new segment first where the last one is full or old."""
        self._check()
        if header.base_offset < self.end_offset:
            raise ValueError(f"a batch at {header.base_offset} for a log that ends at {self.end_offset}")
        if self._rolls_before(header):
            self._roll(header.base_offset)
        self._pending.append((header, b"".join(parts)))
        self._pending_bytes += header.size
        self.end_offset = header.next_offset

    def _rolls_before(self, header: BatchHeader) -> bool:
        segment = self._segments[-1]
        size = segment.size + self._pending_bytes
        if not size:
            return False
        first = segment.first_timestamp if segment.batches else self._pending[0][0].max_timestamp
        now, then = (header.max_timestamp, first) if first >= 0 else (self._clock.wall_ms(), segment.created_ms)
        return size + header.size > self._config.segment_bytes or now - then > self._config.segment_ms

    def _roll(self, base_offset: int) -> None:
        self.flush()
        self._segments.append(MemorySegment(base_offset, self._clock.wall_ms()))

    def flush(self) -> None:
        """Let what was appended count."""
        self._check()
        for header, batch in self._pending:
            self._segments[-1].add(header, batch)
        self._forget_pending()
        self.flushed_offset = self.end_offset

    def sync(self) -> Deferred[int]:
        """Flush."""
        try:
            self.flush()
        except StorageFailed:
            return fail()
        return succeed(self.flushed_offset)

    def _forget_pending(self) -> None:
        self._pending.clear()
        self._pending_bytes = 0

    # Reading

    def _batches(self, offset: int) -> Iterator[tuple[int, bytes]]:
        """Yield (end offset, batch) of flushed batches from the one that holds an offset."""
        slot = max(0, bisect_right(self._segments, offset, key=_base_offset) - 1)
        for segment in self._segments[slot:]:
            first = bisect_right(segment.ends, offset)
            yield from zip(segment.ends[first:], segment.batches[first:], strict=True)

    def read(self, offset: int, max_bytes: int, *, end_offset: int, at_least_one: bool) -> LogSlice:
        """Return whole batches; never a Deferred."""
        if self.is_closed:
            raise Refused(ErrorCode.KAFKA_STORAGE_ERROR, f"{self.identity} is closed")
        if not self.start_offset <= offset <= self.end_offset:
            raise Refused(ErrorCode.OFFSET_OUT_OF_RANGE)
        parts: list[bytes] = []
        size, next_offset = 0, offset
        for end, batch in self._batches(offset):
            fits = size + len(batch) <= max_bytes or (at_least_one and not parts)
            if end > end_offset or not fits:
                break
            parts.append(batch)
            size += len(batch)
            next_offset = end
        return LogSlice(parts, size, next_offset)

    def headers(self, offset: int) -> Iterator[BatchHeader]:
        """Yield headers; ends where the log is cut meanwhile."""
        self._check()
        return self._headers(offset)

    def _headers(self, offset: int) -> Iterator[BatchHeader]:
        generation = self._generation
        for _, batch in self._batches(offset):
            yield read_header(batch)
            if generation != self._generation:
                return

    def batch_at_timestamp(self, timestamp_ms: int) -> LogSlice:
        """Return the first batch with a max timestamp of at least C{timestamp_ms}."""
        self._check()
        for end, batch in self._batches(self.start_offset):
            if read_header(batch).max_timestamp >= timestamp_ms:
                return LogSlice((batch,), len(batch), end)
        return LogSlice((), 0, self.flushed_offset)

    def batch_of_max_timestamp(self) -> LogSlice:
        """Return the first batch that holds the greatest timestamp."""
        self._check()
        timestamps = (read_header(batch).max_timestamp for _, batch in self._batches(self.start_offset))
        greatest = max(timestamps, default=NO_TIMESTAMP)
        if greatest == NO_TIMESTAMP:
            return LogSlice((), 0, self.flushed_offset)
        return self.batch_at_timestamp(greatest)

    # Cutting

    def truncate(self, end_offset: int) -> None:
        """Drop every batch that reaches beyond C{end_offset}."""
        self.flush()
        if end_offset >= self.end_offset:
            return
        if end_offset <= max(self.start_offset, self._segments[0].base_offset):
            self.restart_at(end_offset)
            return
        while len(self._segments) > 1 and self._segments[-1].base_offset > end_offset:
            self._segments.pop()
        last = self._segments[-1]
        count = bisect_right(last.ends, end_offset)
        dropped = last.batches[count:]
        end = min(end_offset, read_header(dropped[0]).base_offset) if dropped else end_offset
        self._segments[-1] = last.beginning(count)
        self._end_at(end)
        if end < self.start_offset:  # it was in the middle of a batch that went
            self.restart_at(self.start_offset)

    def _end_at(self, offset: int) -> None:
        self.end_offset = self.flushed_offset = offset
        self.high_watermark = min(self.high_watermark, offset)
        self._generation += 1

    def restart_at(self, offset: int) -> None:
        """Drop everything and begin anew at C{offset}."""
        self._check()
        self._forget_pending()
        self._segments = [MemorySegment(offset, self._clock.wall_ms())]
        self._end_at(offset)
        self.start_offset = self.high_watermark = offset

    def advance_start(self, offset: int) -> None:
        """Hide everything below C{offset}."""
        self._check()
        if offset > self.end_offset:
            raise Refused(ErrorCode.OFFSET_OUT_OF_RANGE, f"{offset} is beyond {self.end_offset}")
        self.start_offset = max(self.start_offset, offset)
        self.high_watermark = max(self.high_watermark, self.start_offset)

    def retain(self, now_ms: int) -> int:
        """Roll by age and drop segments that are not wanted."""
        self.flush()
        last = self._segments[-1]
        if last.size and now_ms - last.created_ms > self._config.segment_ms:
            self._roll(self.end_offset)
        count = expendable(
            self._segments, self._config, now_ms=now_ms, start_offset=self.start_offset,
            end_offset=self.end_offset, high_watermark=self.high_watermark,
        )  # fmt: skip
        if count == len(self._segments):
            self._roll(self.end_offset)
        freed = sum(segment.size for segment in self._segments[:count])
        del self._segments[:count]
        self.start_offset = max(self.start_offset, self._segments[0].base_offset)
        return freed

    def configure(self, config: TopicConfig) -> None:
        """Follow new settings."""
        self._config = config

    # Blobs

    def put_checkpoint(self, name: str, data: bytes) -> None:
        """Keep a blob."""
        self._blobs[self._name(name)] = bytes(data)

    def get_checkpoint(self, name: str) -> bytes | None:
        """Return a blob."""
        return self._blobs.get(self._name(name))

    def checkpoint_names(self) -> list[str]:
        """Return the names of all blobs."""
        self._check()
        return sorted(self._blobs)

    def drop_checkpoint(self, name: str) -> None:
        """Forget a blob."""
        self._blobs.pop(self._name(name), None)

    def _name(self, name: str) -> str:
        self._check()
        if not is_checkpoint_name(name):
            raise ValueError(f"{name!r} is no name for a checkpoint")
        return name

    def close(self) -> Deferred[None]:
        """Flush and close; opening it again shows the same batches."""
        if not self.is_closed:
            self.flush()
            self.is_closed = True
        return succeed(None)

    def reopen(self, config: TopicConfig) -> None:
        """Be usable again."""
        self._config = config
        self.is_closed = False


@implementer(IStorage)
class MemoryStorage:
    """
    Partitions in memory, gone when the storage stops.

    @ivar clean_epoch: None, and so is C{intact_epoch}: whatever there was is lost.
    """

    clean_epoch: int | None = None
    intact_epoch: int | None = None
    broker_epoch = -1

    def __init__(self, host: Host, config: NodeConfig) -> None:
        self._host = host
        self._logs: dict[LogIdentity, MemoryLog] = {}
        self._newest: dict[TopicPartition, LogIdentity] = {}

    def start(self) -> Deferred[None]:
        """Have nothing to do."""
        return succeed(None)

    def stop(self) -> Deferred[None]:
        """Close and forget every log."""
        for log in self._logs.values():
            log.close()
        self._logs.clear()
        self._newest.clear()
        return succeed(None)

    def identities(self) -> Sequence[LogIdentity]:
        """Return the partitions that have a log."""
        return sorted(self._logs, key=attrgetter("topic", "partition", "topic_id"))

    def open(self, identity: LogIdentity, config: TopicConfig) -> Deferred[IPartitionLog]:
        """Open a log; one of another topic of the same name is forgotten."""
        log = self._logs.get(identity)
        if log is None:
            other = self._newest.get(identity.topic_partition)
            if other in self._logs:
                self._logs.pop(other).close()
            self._newest[identity.topic_partition] = identity
            log = self._logs[identity] = MemoryLog(identity, config, self._host)
        elif log.is_closed:
            log.reopen(config)
        return succeed(log)

    def discard(self, identity: LogIdentity) -> Deferred[None]:
        """Close and forget a log."""
        log = self._logs.pop(identity, None)
        if log is not None:
            log.close()
            self._newest.pop(identity.topic_partition, None)
        return succeed(None)

    def checkpoint(self) -> Deferred[None]:
        """Let what was appended count."""
        for log in self._logs.values():
            if not log.is_closed:
                log.flush()
        return succeed(None)
