"""
How far a log is durable.

Each sync covers what was flushed before it.  A finished segment is synced once,
with its indexes and the directory, elsewhere; until that has happened, no sync
of the active one counts.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from twisted.internet.defer import Deferred, DeferredLock, fail, succeed
from twisted.python.failure import Failure

from streamline.errors import StreamlineError
from streamline.interfaces import IDisk, IFile
from streamline.storage.chain import Chain
from streamline.storage.index import IndexWork, save_index, write_index
from streamline.storage.segment import Segment
from streamline.storage.together import Done

T = TypeVar("T")

SYNC_BYTES = 2**28
"""
Bytes after which a log is synced unasked, so that a crash does not leave ever more to be looked at again.

The kernel begins by itself to write what is dirty, long before it makes writers wait; to be ahead of it would take a
tenth of a CPU second a GB from those who are served.
"""


class Syncs:
    """
    The recovery point of one log, and what moves it.

    @ivar recovery_point: everything below survives the loss of power.
    """

    def __init__(self, chain: Chain, recovery_point: int, failed: Callable[[OSError], StreamlineError]) -> None:
        self.recovery_point = recovery_point
        self._chain = chain
        self._failed = failed
        self._settling = 0
        self._waiting: list[Deferred[None]] = []
        self._index_files = DeferredLock()
        self._dirty_bytes = 0
        self._unasked = False

    def written(self, length: int) -> None:
        """Hear that bytes were written; sync them once there are many."""
        self._dirty_bytes += length
        if self._dirty_bytes >= SYNC_BYTES and not self._unasked:
            self._unasked = True
            # A failure has closed the log and is told to whoever uses it next.
            self.sync().addBoth(self._rested)

    def _rested(self, result: int | Failure) -> Failure | None:
        self._unasked = False
        self._chain.commons.synced(SYNC_BYTES)
        return result if isinstance(result, Failure) and not isinstance(result.value, StreamlineError) else None

    def moved(self, *, at_least: int = 0, at_most: int | None = None) -> None:
        """Hear that the log now begins here, or ends there."""
        self.recovery_point = max(self.recovery_point, at_least)
        if at_most is not None:
            self.recovery_point = min(self.recovery_point, at_most)

    def sync(self) -> Deferred[int]:
        """Fire with the recovery point once it has come as far as is written now."""
        target = self._chain.end_offset
        if self._settling:  # also where the log is empty behind that: its active segment's name is not durable yet
            return Deferred.fromCoroutine(self._sync_after(target))
        return self._sync_active(target)

    async def _sync_after(self, target: int) -> int:
        await self._all_settled()
        return await self._sync_active(target)

    async def _all_settled(self) -> None:
        while self._settling:
            waiting: Deferred[None] = Deferred()
            self._waiting.append(waiting)
            await waiting

    def _sync_active(self, target: int) -> Deferred[int]:
        if self.recovery_point >= target:
            return succeed(self.recovery_point)
        chain = self._chain
        try:
            segment = chain.use(chain.active)
            syncing = segment.file.sync_later()
        except OSError as error:
            return fail(self._failed(error))
        self._dirty_bytes = 0
        mark = chain.generation, segment, segment.size, target
        return syncing.addCallbacks(self._synced, self._not_synced, callbackArgs=mark)

    def _synced(self, _: None, generation: int, segment: Segment, size: int, target: int) -> int:
        if generation == self._chain.generation:
            segment.synced_size = max(segment.synced_size, size)
            self.recovery_point = max(self.recovery_point, target)
        return self.recovery_point

    def _not_synced(self, failure: Failure) -> Failure:
        if not isinstance(failure.value, OSError):
            return failure
        raise self._failed(failure.value)

    def settle(self, segment: Segment) -> None:
        """Make a finished segment durable, with the name of the one that follows."""
        self._settling += 1
        self._index_files.run(self._settle, segment).addErrback(self._not_settled).addBoth(self._settled)

    def _settle(self, segment: Segment) -> Deferred[None]:
        chain = self._chain
        work, generation = segment.unsaved(), chain.generation
        if segment not in chain.segments:
            return succeed(None)

        def settled(saved: bool) -> None:
            if generation == chain.generation:
                segment.synced_size = segment.size
                segment.saved(work, saved)
            elif segment in chain.segments and segment is not chain.active:
                self.settle(segment)

        def failed(failure: Failure) -> Failure | None:
            # A segment that was dropped meanwhile had its file closed.
            return failure if segment in chain.segments else None

        file = chain.use(segment).file
        segment.is_settling = True
        settling: Deferred[bool] = chain.commons.disk.elsewhere(
            _settle_files, chain.commons.disk, file, work, chain.directory
        )
        return settling.addBoth(_let_go, segment).addCallbacks(settled, failed)

    def _not_settled(self, failure: Failure) -> Failure | None:
        if not isinstance(failure.value, OSError):
            return failure
        self._failed(failure.value)
        return None

    def _settled(self, _: object) -> None:
        self._settling -= 1
        if not self._settling:
            waiting, self._waiting = self._waiting, []
            for one in waiting:
                one.callback(None)

    @property
    def is_done(self) -> bool:
        """Whether a checkpoint would find nothing to do."""
        chain = self._chain
        return (
            self.recovery_point >= chain.end_offset
            and not self._settling
            and not any(segment.has_unsaved for segment in chain.segments)
        )

    async def checkpoint(self) -> int:
        """
        Sync, save all indexes, and return the recovery point that may be noted then.

        @raise StreamlineError: it failed, or the disk is full.
        """
        recovery_point = await self.sync()
        for segment in [segment for segment in self._chain.segments if segment.has_unsaved]:
            await self._index_files.run(self._save, segment)
        return min(recovery_point, self.recovery_point)

    async def end(self) -> None:
        """
        Do what a checkpoint does, together with other logs that end; nothing is appended any more.

        @raise OSError: the log, or what is beside it, could not be synced.
        """
        await self._all_settled()
        await self._index_files.run(self._end)

    def _end(self) -> Deferred[None]:
        chain = self._chain
        target, active = chain.end_offset, chain.use(chain.active)
        unsaved = [(segment, segment.unsaved()) for segment in chain.segments if segment.has_unsaved]
        work = [each for _, lacking in unsaved for each in lacking]
        files = () if self.recovery_point >= target else (active.file,)
        if not files and not work:
            return succeed(None)

        def ended(complete: bool) -> None:
            for segment, lacking in unsaved:
                segment.saved(lacking, complete)
            active.synced_size = active.size
            self.recovery_point = max(self.recovery_point, target)

        disk = chain.commons.disk
        active.is_settling = True
        ending = chain.commons.together.do(partial(_end_files, disk, files, work))
        return ending.addBoth(_let_go, active).addCallback(ended)

    def _save(self, segment: Segment) -> Deferred[None]:
        work, generation = segment.unsaved(), self._chain.generation

        def saved(complete: bool) -> None:
            if generation == self._chain.generation:
                segment.saved(work, complete)

        disk = self._chain.commons.disk
        saving: Deferred[bool] = disk.elsewhere(save_index, disk, work)
        return saving.addCallback(saved)


def _let_go(outcome: T, segment: Segment) -> T:
    """Hear that a segment's file is synced: it may be closed from now on."""
    segment.is_settling = False
    return outcome


def _end_files(disk: IDisk, files: tuple[IFile, ...], work: IndexWork) -> Done:
    """Write what index files lack; what is not complete is made anew at the next start."""
    written: list[IFile] = []
    try:
        written.extend(write_index(disk, work))
    except OSError:
        return Done(False, files, tuple(written))
    return Done(True, files, tuple(written))


def _settle_files(disk: IDisk, file: IFile, work: IndexWork, directory: str) -> bool:
    file.sync()
    saved = save_index(disk, work)
    disk.sync_directory(directory)
    return saved
