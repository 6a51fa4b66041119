"""
Makes durable what a replica wants written, one thing after another, off the reactor.

What comes while a sync is under way goes together into the next one (group commit).
Nobody is told before it is durable (RF1, RF2), and in the order in which it came,
each with the L{Ready} that it belongs to (RF3).

Where the disk is full, it waits and tries again; everything that depends on it
waits as well.  Any other failure is final (DK12, DK14).
"""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from streamline.interfaces import IClock
from streamline.raft import Ready, Snapshot
from streamline.services.raftstore import RaftStore
from streamline.values import frozen

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
RETRY_S = 1.0
"""How long to wait for space on a full disk before it is tried again."""


class Owner(Protocol):
    """Who hears what became of it."""

    def written(self, readies: Sequence[Ready]) -> None:
        """Hear that these are durable, and all that came before."""

    def snapshot_saved(self, snapshot: Snapshot) -> int:
        """Hear that a snapshot of one's own is durable; return the index up to which entries are not needed now."""

    def snapshot_not_saved(self) -> None:
        """Hear that a snapshot of one's own is not; the entries still hold everything."""

    def writing_failed(self, failure: Failure) -> None:
        """Hear that nothing can be made durable any more."""


@frozen
class _Saving:
    snapshot: Snapshot


class RaftWriter:
    """The queue before one replica's files."""

    log = Logger()

    def __init__(self, store: RaftStore, clock: IClock, owner: Owner) -> None:
        self._store = store
        self._clock = clock
        self._owner = owner
        self._queue: deque[Ready | _Saving] = deque()
        self._working = False
        self._is_marked = True
        self._running = True
        self._retry: IDelayedCall | None = None
        self._since: float | None = None

    @property
    def busy_s(self) -> float:
        """For how long the write that is under way has been so; 0 where there is none."""
        return 0.0 if self._since is None else self._clock.seconds() - self._since

    def write(self, ready: Ready) -> None:
        """Make a Ready durable, behind all that was asked for before."""
        self._add(ready)

    def save(self, snapshot: Snapshot) -> None:
        """Make a snapshot of the replica's own durable, then drop what it stands for."""
        self._add(_Saving(snapshot))

    def stop(self) -> None:
        """Tell nobody of anything from now on, and close the files."""
        self._running = False
        self._queue.clear()
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        self._store.close()

    def _add(self, job: Ready | _Saving) -> None:
        self._queue.append(job)
        if not self._working and self._running:
            self._working = True
            Deferred.fromCoroutine(self._work()).addErrback(self._halt)

    async def _work(self) -> None:
        while self._queue and self._running:
            self._since = self._clock.seconds()
            job = self._queue.popleft()
            if isinstance(job, _Saving):
                await self._save(job.snapshot)
            elif job.snapshot is not None:
                await self._install(job, job.snapshot)
            else:
                await self._append([job, *self._more()])
            self._since = None
        self._working = False

    def _more(self) -> list[Ready]:
        """Take what can be written together."""
        more: list[Ready] = []
        while self._queue and isinstance(self._queue[0], Ready) and self._queue[0].snapshot is None:
            job = self._queue.popleft()
            assert isinstance(job, Ready)
            more.append(job)
        return more

    def rest(self) -> None:
        """
        Write what only helps to tell damage from a torn tail, where there is nothing else to do.

        Nobody should wait for that, so it is for a quiet moment; while records follow on each other, each says as much
        of those before it.
        """
        if self._working or self._is_marked or not self._running:
            return
        self._is_marked = True
        try:
            self._store.mark()
        except OSError as error:
            self.log.debug("the quorum's log could not be marked: {why}", why=str(error))

    def _halt(self, failure: Failure) -> Failure | None:
        if not isinstance(failure.value, Exception):
            return failure  # the process is dying, and nobody hears anything any more
        if self._running:
            self._owner.writing_failed(failure)
        return None

    # The three things that are done

    async def _append(self, readies: list[Ready]) -> None:
        await self._with_space(self._store.append, readies)
        if self._running:
            await self._store.sync()
            self._is_marked = False
        if self._running:
            self._owner.written(readies)

    async def _install(self, ready: Ready, snapshot: Snapshot) -> None:
        """RF12: the snapshot first; while the log does not fit it, a start takes the snapshot and does this again."""
        await self._with_space(self._store.put_snapshot, snapshot)
        if self._running:
            await self._with_space(self._store.begin_anew, snapshot.index, ready.hard_state, ready.entries)
        if self._running:
            self._owner.written([ready])

    async def _save(self, snapshot: Snapshot) -> None:
        """
        Save a snapshot; a full disk is no harm, the next one will do.

        RF12: one that was taken before the leader's was installed must not take its place.
        """
        if snapshot.index <= self._store.snapshot_index:
            self._owner.snapshot_not_saved()
            return
        try:
            await self._store.put_snapshot(snapshot)
            if self._running:
                await self._store.cut(self._owner.snapshot_saved(snapshot))
        except OSError as error:
            self.log.warn("the quorum's snapshot cannot be written: {why}", why=error.strerror or str(error))
            if error.errno not in NO_SPACE:
                raise
            self._owner.snapshot_not_saved()

    async def _with_space(self, step: Callable[..., Any], *args: Any) -> None:
        """Do something, again and again while there is no space for it."""
        is_told = False
        while self._running:
            try:
                result = step(*args)
                if isinstance(result, Deferred):
                    await result
                return
            except OSError as error:
                if error.errno not in NO_SPACE:
                    raise
            if not is_told:
                self.log.error("the disk under {path} is full; the metadata wait for space", path=self._store.directory)
                is_told = True
            await self._later()

    def _later(self) -> Deferred[None]:
        waiting: Deferred[None] = Deferred()
        self._retry = self._clock.callLater(RETRY_S, self._again, waiting)
        return waiting

    def _again(self, waiting: Deferred[None]) -> None:
        self._retry = None
        waiting.callback(None)
