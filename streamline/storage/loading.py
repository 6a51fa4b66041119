"""
Loading logs, many at a time: what waits for the device does so once for all of them.

Whoever wants a log loaded while others are being loaded is taken along by the next
turn of a thread.  A log that cannot be loaded is no other one's concern.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from twisted.internet.defer import Deferred

from streamline.interfaces import Host, IDisk, IFile
from streamline.storage.recovery import Loaded

AT_ONCE = 2
"""Threads that load: one works while the other waits for the device."""
TOGETHER_MAX = 128
"""How many logs are loaded in one go; each has a file open meanwhile."""
TOGETHER_MIN = 8
"""From how many on it pays to sync everything that is there, instead of each for itself."""
TOLD_AT_ONCE = 8
"""How many of those that wait are told in one turn of the reactor: each of them has more to do then."""


class Job(NamedTuple):
    """
    One log that is to be loaded.

    @ivar load: does it, in a thread, but for what it says is still to be synced.
    """

    load: Callable[[], Loaded]
    waiting: Deferred[Loaded]


class Loading:
    """Loads the logs of one storage."""

    def __init__(self, host: Host) -> None:
        self._clock = host.clock
        self._disk = host.disk
        self._jobs: list[Job] = []
        self._busy = 0

    def load(self, load: Callable[[], Loaded]) -> Deferred[Loaded]:
        """
        Load a log elsewhere; fire once all of it is durable.

        @raise OSError: through the Deferred.
        """
        waiting: Deferred[Loaded] = Deferred()
        self._jobs.append(Job(load, waiting))
        if self._busy < AT_ONCE:
            self._busy += 1
            Deferred.fromCoroutine(self._work())
        return waiting

    async def _work(self) -> None:
        while self._jobs:
            jobs, self._jobs = self._jobs[:TOGETHER_MAX], self._jobs[TOGETHER_MAX:]
            outcomes: Sequence[Loaded | Exception]
            try:
                outcomes = await self._disk.elsewhere(load_together, self._disk, jobs)
            except OSError as error:
                outcomes = [error] * len(jobs)
            for number, (job, outcome) in enumerate(zip(jobs, outcomes, strict=True), 1):
                _tell(job.waiting, outcome)
                if number % TOLD_AT_ONCE == 0:
                    turn: Deferred[None] = Deferred()
                    self._clock.callLater(0, turn.callback, None)
                    await turn
        self._busy -= 1


def _tell(waiting: Deferred[Loaded], outcome: Loaded | Exception) -> None:
    if isinstance(outcome, Exception):
        waiting.errback(outcome)
    else:
        waiting.callback(outcome)


def load_together(disk: IDisk, jobs: Sequence[Job]) -> list[Loaded | Exception]:
    """Load logs; return what came of each, all of which is durable."""
    outcomes = [_try(job.load) for job in jobs]
    doubtful = [one for one in outcomes if isinstance(one, Loaded) and one.unsynced is not None]
    if len(doubtful) >= TOGETHER_MIN and _synced_together(disk, doubtful):
        return outcomes
    return [_settled(disk, one) if isinstance(one, Loaded) else one for one in outcomes]


def _try(load: Callable[[], Loaded]) -> Loaded | Exception:
    try:
        return load()
    except Exception as error:
        return error


def _synced_together(disk: IDisk, doubtful: Sequence[Loaded]) -> bool:
    """Sync what loading left of many logs at once; where that fails, it is seen which when each syncs its own."""
    files: list[IFile] = []
    directories: dict[str, None] = {}
    for loaded in doubtful:
        assert loaded.unsynced is not None
        files += loaded.segments[-1].file, *loaded.unsynced.files
        directories.update(dict.fromkeys(loaded.unsynced.directories))
    try:
        return disk.sync_together(files, list(directories))
    except OSError:
        return False


def _settled(disk: IDisk, loaded: Loaded) -> Loaded | Exception:
    try:
        settle(disk, loaded)
    except OSError as error:
        return error
    return loaded


def settle(disk: IDisk, loaded: Loaded) -> None:
    """Sync what loading left of one log.  See Note [The last step] in L{streamline.storage.recovery}."""
    if loaded.unsynced is not None:
        for file in (loaded.segments[-1].file, *loaded.unsynced.files):
            file.sync()
        for directory in loaded.unsynced.directories:
            disk.sync_directory(directory)
