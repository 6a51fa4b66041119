"""
A partition's log on segments: what L{IPartitionLog} promises, put together.

In the life of a produce this is the step before L{streamline.storage.disk}:
C{append} takes batches in, C{flush} gives them to the kernel with one
C{pwritev}, C{sync} makes them durable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import ParamSpec, TypeVar

from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure
from zope.interface import implementer

from streamline.config import TopicConfig
from streamline.errors import ErrorCode, Refused, StorageFailed, StorageStarved, StreamlineError
from streamline.interfaces import IKeepsLater, ILendsRecords, ITakesRuns
from streamline.model import Buffer, LogIdentity, PlainBatch
from streamline.storage.blobs import Blobs
from streamline.storage.chain import Chain
from streamline.storage.index import RELATIVE_OFFSET_MAX
from streamline.storage.readable import PASSING, ReadableLog
from streamline.storage.retention import expendable
from streamline.wire.batch import LOG_OVERHEAD, STAMP_BYTES, BatchHeader, stamp

P = ParamSpec("P")
T = TypeVar("T")


@implementer(ITakesRuns, ILendsRecords, IKeepsLater)
class SegmentLog(ReadableLog):
    """
    The log of one partition in a directory of segments, with the half that is written.

    A failure of the device closes it for good; opening it again recovers what is there.
    """

    def __init__(
        self, identity: LogIdentity, chain: Chain, config: TopicConfig, *, start_offset: int, high_watermark: int,
        recovery_point: int, names: Iterable[str] = (),
    ) -> None:  # fmt: skip
        """@param names: of all that is in the log's directory."""
        super().__init__(identity, chain, recovery_point)
        self.start_offset = start_offset
        self.high_watermark = high_watermark
        self._config = config
        self._wall_ms = chain.commons.host.clock.wall_ms
        self._rolls_early = chain.commons.host.whim("early-roll")
        self._lost: StorageFailed | None = None
        self._blobs = Blobs(chain.commons.disk, chain.directory, names)

    # Writing

    def append(self, header: BatchHeader, parts: Sequence[Buffer]) -> None:
        """
        Take a batch; begin a new segment first where the active one is full or old.

        After a failure of its own, nothing is taken until L{flush} has told whoever collected batches before.
        """
        if self._failure is not None or self._lost is not None:
            raise StorageFailed(str(self._failure or self._lost))
        if header.base_offset < self.end_offset:
            raise ValueError(f"a batch at {header.base_offset} for a log that ends at {self.end_offset}")
        segment = self._chain.segments[-1]
        last_offset = header.base_offset + header.last_offset_delta
        size, position = header.batch_length + LOG_OVERHEAD, segment.size + self._pending_bytes
        try:
            rolls = position and self._rolls_early is not None and self._rolls_early()
            if rolls or not segment.take(last_offset, header.max_timestamp, size, position, self._wall_ms):
                # Named after the end rather than the batch, so that recovery can tell a lost segment from a gap.
                is_near = last_offset - self.end_offset <= RELATIVE_OFFSET_MAX
                self._roll(self.end_offset if is_near else header.base_offset)
                self._chain.active.note(last_offset, header.max_timestamp, 0)
        except OSError as error:
            raise self._failed(error) from error
        self._pending += parts
        self._pending_bytes += size
        self.end_offset = last_offset + 1

    def append_run(self, batches: Sequence[PlainBatch], leader_epoch: int) -> int:
        """Take batches one after another, as far as they go into the active segment."""
        if self._failure is not None or self._lost is not None or self._rolls_early is not None:
            return 0
        segment, pending, wall_ms = self._chain.segments[-1], self._pending, self._wall_ms
        position, offset, taken = segment.size + self._pending_bytes, self.end_offset, 0
        with suppress(OSError):  # which L{append} meets as well
            all_taken = segment.take_all(batches, offset, position, wall_ms)
            for records, count, max_timestamp in batches:
                size, next_offset = len(records), offset + count
                if not all_taken and not segment.take(next_offset - 1, max_timestamp, size, position, wall_ms):
                    break
                pending += stamp(offset, size - LOG_OVERHEAD, leader_epoch), records[STAMP_BYTES:]
                position += size
                offset = next_offset
                taken += 1
        self._pending_bytes = position - segment.size
        self.end_offset = offset
        return taken

    def _roll(self, base_offset: int) -> None:
        self._flush_unasked()
        try:
            finished = self._chain.roll(base_offset, self._config)
        except OSError as error:
            raise self._failed(error) from error
        self.segment_offset = base_offset
        self._reader.forget()
        self._syncs.settle(finished)

    def flush(self) -> None:
        """Give everything appended to the operating system, with one call; a full disk does not close the log."""
        parts, length = self._pending, self._pending_bytes
        if not length or self._failure is not None or self._lost is not None:
            self._check()
            self._tell_lost()
            return
        chain = self._chain
        segment = chain.active
        position = segment.size
        chain.use(segment)
        try:
            segment.write(parts, length)
        except OSError as error:
            raise self._not_written(error) from error
        self._pending = []
        self._pending_bytes = 0
        self._reader.written(chain.end_offset, position, parts, length)
        chain.end_offset = self.end_offset
        chain.size_bytes += length
        self._syncs.written(length)

    def _flush_unasked(self) -> None:
        """Flush, and let the next L{flush} tell of what was lost: who appended it has not asked for this one."""
        try:
            self.flush()
        except StorageFailed as error:
            self._lost = error
            raise

    def _tell_lost(self) -> None:
        lost, self._lost = self._lost, None
        if lost is not None:
            raise lost

    def _not_written(self, error: OSError) -> StorageFailed:
        """Go back to what was written before."""
        self._forget_pending()
        try:
            self._chain.active.forget_unwritten(self.end_offset)
        except OSError as worse:
            return self._failed_for_good(worse)
        return self._failed(error)

    def sync(self) -> Deferred[int]:
        """Flush, then fire with the recovery point once that has come as far as was flushed."""
        try:
            self.flush()
        except StreamlineError:
            return fail()
        return self._syncs.sync()

    # Cutting

    def truncate(self, end_offset: int) -> None:
        """Drop every batch that reaches beyond C{end_offset}; blocks for a few syncs."""
        self._check()
        with suppress(StorageFailed):
            self._flush_unasked()
        self._check()
        if end_offset >= self.end_offset:
            return
        if end_offset <= max(self.start_offset, self._chain.first_offset):
            self.restart_at(end_offset)
        else:
            cut = self._looked_up(lambda: self._chain.cut_at(end_offset))
            self._cut(cut.end_offset, lambda: self._chain.truncate(cut))
            if self.end_offset < self.start_offset:  # the start was in the middle of a batch that went
                self.restart_at(self.start_offset)

    def restart_at(self, offset: int) -> None:
        """Drop everything and begin anew at C{offset}; blocks for a few syncs."""
        self._check()
        self._forget_pending()
        self._lost = None
        self._cut(offset, lambda: self._chain.restart(offset, self._config))
        self.start_offset = self.high_watermark = offset
        self._syncs.moved(at_least=offset)

    def _cut(self, end_offset: int, cut: Callable[[], None]) -> None:
        try:
            self._commons.checkpoints.lower(self.identity.topic_partition, end_offset)
        except OSError as error:
            raise self._failed(error) from error
        try:
            cut()
        except OSError as error:
            failure = self._failed_for_good(error)
            raise StorageStarved(str(failure)) if error.errno in PASSING else failure from error
        self._reader.forget()
        self.end_offset = self._chain.end_offset
        self.segment_offset = self._chain.active.base_offset
        self.high_watermark = min(self.high_watermark, self.end_offset)
        self._syncs.moved(at_most=self.end_offset)

    def advance_start(self, offset: int) -> None:
        """
        Hide everything below C{offset}; blocks for two syncs.

        @raise Refused: OFFSET_OUT_OF_RANGE, the log ends before C{offset}.
        """
        self._check()
        if offset > self.end_offset:
            raise Refused(ErrorCode.OFFSET_OUT_OF_RANGE, f"{offset} is beyond {self.end_offset}")
        if offset <= self.start_offset:
            return
        try:
            self._commons.checkpoints.start_at(self.identity.topic_partition, offset)
        except OSError as error:
            raise self._failed(error) from error
        self._start_at(offset)

    def _start_at(self, offset: int) -> None:
        self.start_offset = offset
        self.high_watermark = max(self.high_watermark, offset)
        self._syncs.moved(at_least=offset)

    def retain(self, now_ms: int) -> int:
        """Roll by age, then rename the files of segments that are not wanted, to be removed later."""
        with suppress(StorageFailed):
            self._flush_unasked()
        self._check()
        chain, config = self._chain, self._config
        active = chain.active
        if active.size and now_ms - active.created_ms > config.segment_ms - active.jitter_ms:
            self._try_to_roll()
        try:
            count = expendable(
                chain.segments, config, now_ms=now_ms, start_offset=self.start_offset,
                end_offset=self.end_offset, high_watermark=self.high_watermark,
            )  # fmt: skip
            if count == len(chain.segments) and not self._try_to_roll():
                count -= 1
            if not count:
                return 0
            start_offset = max(self.start_offset, chain.segments[count].base_offset)
            freed = chain.drop_first(count, start_offset, config.file_delete_delay_ms)
        except OSError as error:
            raise self._failed(error) from error
        self._start_at(start_offset)
        return freed

    def _try_to_roll(self) -> bool:
        """Begin a new segment; a full disk, for which there may be none, is no reason to drop nothing."""
        with suppress(StorageFailed):
            self._roll(self.end_offset)
            return True
        self._check()
        return False

    def configure(self, config: TopicConfig) -> None:
        """Follow new settings, from the next batch on."""
        self._config = config
        self._chain.active.config = config

    # Blobs

    def put_checkpoint(self, name: str, data: bytes) -> None:
        """Keep a blob in a file; blocks for two syncs."""
        self._blob(self._blobs.put, name, data)

    def put_checkpoints_later(self, blobs: Sequence[tuple[str, bytes]]) -> Deferred[None]:
        """Keep blobs together with what other logs keep, elsewhere."""
        self._check()
        return self._blobs.put_later(blobs, self._commons.together).addErrback(self._not_kept)

    def _not_kept(self, failure: Failure) -> Failure:
        """They are what somebody would like to find again, and not what was promised to anybody: the log goes on."""
        if not isinstance(failure.value, OSError):
            return failure
        raise StorageFailed(f"{self.identity}: {failure.value}")

    def get_checkpoint(self, name: str) -> bytes | None:
        """Return a blob."""
        return self._blob(self._blobs.get, name)

    def checkpoint_names(self) -> list[str]:
        """Return the names of all files that are neither segments nor otherwise ours."""
        return self._blob(self._blobs.names)

    def drop_checkpoint(self, name: str) -> None:
        """Remove a blob; should that be lost with the power, it is there again."""
        self._blob(self._blobs.drop, name)

    def _blob(self, do: Callable[P, T], *args: P.args, **kw: P.kwargs) -> T:
        self._check()
        try:
            return do(*args, **kw)
        except OSError as error:
            raise self._failed(error) from error

    # Ending

    @property
    def is_durable(self) -> bool:
        """Whether everything appended, and all that belongs to it, is on the device."""
        return not self._pending_bytes and self._syncs.is_done

    async def checkpoint(self) -> int:
        """Sync, save the indexes, and return the recovery point that may be noted."""
        self.flush()
        return await self._syncs.checkpoint()

    def close(self) -> Deferred[None]:
        """Flush, sync, save the indexes as Kafka does at the end of a segment, and close all files."""
        return Deferred.fromCoroutine(self._close())

    async def _close(self) -> None:
        if self._failure is not None:
            return
        with suppress(StorageFailed):
            self.flush()
        self._check()
        self._failure = StorageFailed(f"{self.identity} is closed")
        try:
            self._chain.use(self._chain.active).finish()
            await self._syncs.end()
        except OSError as error:
            raise self._failed_for_good(error) from error
        if not self._chain.is_closed:
            self._end(self._failure)

    def abandon(self) -> None:
        """Close all files and sync nothing, as what they hold will be deleted."""
        self._end(StorageFailed(f"{self.identity} was deleted"))
