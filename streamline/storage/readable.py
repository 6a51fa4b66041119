"""
The half of a log that is read: where it begins and ends, its batches, and what becomes of it when the disk fails.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from streamline.errors import ErrorCode, Refused, StorageFailed, StorageStarved
from streamline.model import Buffer, LogIdentity, LogSlice
from streamline.storage.chain import Chain
from streamline.storage.reading import Read, Reader
from streamline.storage.syncing import Syncs
from streamline.storage.view import Wanted
from streamline.wire.batch import BatchHeader

T = TypeVar("T")

PASSING = (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE)
"""Failures that say nothing about what is stored, such as a full disk: the log goes on."""


class ReadableLog:
    """
    A partition's log as its readers see it.

    @ivar end_offset: the offset after the last record appended; some of them may be pending.
    @ivar segment_offset: the first offset of the active segment.
    """

    log = Logger()

    def __init__(self, identity: LogIdentity, chain: Chain, recovery_point: int) -> None:
        self.identity = identity
        self.start_offset = chain.first_offset
        self.end_offset = chain.end_offset
        self.segment_offset = chain.active.base_offset
        self._chain = chain
        self._commons = chain.commons
        self._pending: list[Buffer] = []
        self._pending_bytes = 0
        self._failure: StorageFailed | None = None
        self._reader = Reader(chain, self._read)
        self._syncs = Syncs(chain, recovery_point, self._failed_for_good)

    @property
    def flushed_offset(self) -> int:
        """The offset after the last record that survives the process."""
        return self._chain.end_offset

    @property
    def recovery_point(self) -> int:
        """Everything below survives the loss of power."""
        return self._syncs.recovery_point

    @property
    def size_bytes(self) -> int:
        """The bytes of all batches kept."""
        return self._chain.size_bytes + self._pending_bytes

    @property
    def is_closed(self) -> bool:
        """Whether the log was closed or has failed."""
        return self._failure is not None

    # Failing

    def _failed(self, error: OSError) -> StorageFailed:
        """Return what to raise for a failure of the disk; the log goes on after a passing one."""
        if error.errno in PASSING:
            return StorageStarved(f"{self.identity}: {error}")
        return self._failed_for_good(error)

    def _failed_for_good(self, error: OSError) -> StorageFailed:
        """Close the log, to be recovered when it is opened again; return what to raise."""
        failure = StorageFailed(f"{self.identity}: {error}")
        if not self._chain.is_closed:
            self.log.error("A log is closed: {why}", why=str(failure))
            self._commons.failed()
            self._end(failure)
        return failure

    def _end(self, why: StorageFailed) -> None:
        self._failure = why
        self._forget_pending()
        self._reader.forget()
        self._chain.close()

    def _forget_pending(self) -> None:
        self._pending = []
        self._pending_bytes = 0
        self.end_offset = self._chain.end_offset

    def _check(self) -> None:
        if self._failure is not None:
            raise StorageFailed(str(self._failure))

    # Reading

    def read(
        self, offset: int, max_bytes: int, *, end_offset: int, at_least_one: bool
    ) -> LogSlice | Deferred[LogSlice]:
        """Return whole batches from memory, the page cache or, in a Deferred, from the device."""
        return self._read_any(Wanted(offset, max_bytes, min(end_offset, self._chain.end_offset), at_least_one))

    def lend(
        self, offset: int, max_bytes: int, *, end_offset: int, at_least_one: bool
    ) -> LogSlice | Deferred[LogSlice]:
        """Do the same, but leave the page cache to whoever sends."""
        return self._read_any(Wanted(offset, max_bytes, min(end_offset, self._chain.end_offset), at_least_one, True))

    def _read_any(self, wanted: Wanted) -> Read:
        if wanted.offset >= self.start_offset:
            found = self._reader.read_along(wanted.offset, wanted.max_bytes, wanted.end_offset)
            if found is not None:
                return found
        return self._read(wanted)

    def _read(self, wanted: Wanted) -> Read:
        offset = wanted.offset
        if self._failure is not None:
            raise Refused(ErrorCode.KAFKA_STORAGE_ERROR, str(self._failure))
        if not self.start_offset <= offset <= self.end_offset:
            raise Refused(
                ErrorCode.OFFSET_OUT_OF_RANGE, f"{offset} is not from {self.start_offset} to {self.end_offset}"
            )
        if offset >= wanted.end_offset:
            self._reader.tail.want()
            return LogSlice((), 0, offset)
        try:
            found = self._reader.read(wanted)
        except OSError as error:
            raise self._unread(error) from error
        return found.addErrback(self._not_read) if isinstance(found, Deferred) else found

    def _not_read(self, failure: Failure) -> Failure:
        if not isinstance(failure.value, OSError):
            return failure
        raise self._unread(failure.value)

    def _unread(self, error: OSError) -> Refused:
        return Refused(ErrorCode.KAFKA_STORAGE_ERROR, str(self._failed(error)))

    def headers(self, offset: int) -> Iterator[BatchHeader]:
        """Yield the headers of the batches that were flushed, from the one that holds C{offset}."""
        self._check()
        return self._headers(offset)

    def _headers(self, offset: int) -> Iterator[BatchHeader]:
        try:
            yield from self._reader.headers(offset)
        except OSError as error:
            raise self._unread(error) from error

    def batch_at_timestamp(self, timestamp_ms: int) -> LogSlice:
        """Return the first flushed batch with a max timestamp of at least C{timestamp_ms}."""
        return self._looked_up(lambda: self._reader.at_timestamp(timestamp_ms, self.start_offset))

    def batch_of_max_timestamp(self) -> LogSlice:
        """Return the first flushed batch that holds the greatest timestamp."""
        return self._looked_up(lambda: self._reader.of_max_timestamp(self.start_offset))

    def _looked_up(self, look: Callable[[], T]) -> T:
        self._check()
        try:
            return look()
        except OSError as error:
            raise self._unread(error) from error
