"""
What waits for the device, done for many logs at a time: loading them, keeping what is beside them, and closing them.

Whoever comes while others are being served is taken along by the next turn of a
thread.  What fails is no other one's concern.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred

from streamline.interfaces import IClock, IDisk, IFile

AT_ONCE = 2
"""Threads that work: one does while the other waits for the device."""
TOGETHER_MAX = 128
"""How many are done in one go; each has files open meanwhile."""
TOGETHER_MIN = 8
"""From how many on it pays to sync everything that is there, instead of each for itself."""
TOLD_AT_ONCE = 8
"""How many of those that wait are told in one turn of the reactor: each of them has more to do then."""


class Done(NamedTuple):
    """
    What has been done for one, but for its syncs.

    @ivar files: what is still to be synced, and stays open.
    @ivar passing: the same, to be closed afterwards.
    @ivar directories: whose names are still to be synced.
    @ivar renames: which names change to which others once all of that is durable; durable themselves in the end.
    """

    result: Any
    files: tuple[IFile, ...] = ()
    passing: tuple[IFile, ...] = ()
    directories: tuple[str, ...] = ()
    renames: tuple[tuple[str, str], ...] = ()

    @property
    def is_durable(self) -> bool:
        """Whether there is nothing to be synced."""
        return not (self.files or self.passing or self.directories)


Work = Callable[[], Done]
Outcome = Done | Exception


class Together:
    """Does such work for the logs of one storage."""

    def __init__(self, clock: IClock, disk: IDisk) -> None:
        self._clock = clock
        self._disk = disk
        self._waiting: list[tuple[Work, Deferred[Any]]] = []
        self._busy = 0

    def do(self, work: Work) -> Deferred[Any]:
        """
        Do something elsewhere, and sync what it leaves; fire with its result then.

        @raise OSError: through the Deferred.
        """
        done: Deferred[Any] = Deferred()
        self._waiting.append((work, done))
        if self._busy < AT_ONCE:
            self._busy += 1
            Deferred.fromCoroutine(self._serve())
        return done

    async def _serve(self) -> None:
        while self._waiting:
            served, self._waiting = self._waiting[:TOGETHER_MAX], self._waiting[TOGETHER_MAX:]
            outcomes: Sequence[Outcome]
            try:
                outcomes = await self._disk.elsewhere(do_together, self._disk, [work for work, _ in served])
            except OSError as error:
                outcomes = [error] * len(served)
            for number, ((_, done), outcome) in enumerate(zip(served, outcomes, strict=True), 1):
                _tell(done, outcome)
                if number % TOLD_AT_ONCE == 0:
                    turn: Deferred[None] = Deferred()
                    self._clock.callLater(0, turn.callback, None)
                    await turn
        self._busy -= 1


def _tell(done: Deferred[Any], outcome: Outcome) -> None:
    if isinstance(outcome, Exception):
        done.errback(outcome)
    else:
        done.callback(outcome.result)


def do_together(disk: IDisk, works: Sequence[Work]) -> list[Outcome]:
    """Do all of it, one after another; return what came of each, which is durable."""
    outcomes = _durable(disk, [_try(work) for work in works])
    if any(isinstance(one, Done) and one.renames for one in outcomes):
        outcomes = _durable(disk, [_try(partial(_renamed, disk, one)) for one in outcomes])
    return outcomes


def _durable(disk: IDisk, outcomes: list[Outcome]) -> list[Outcome]:
    """Sync what is left of each."""
    doubtful = [one for one in outcomes if isinstance(one, Done) and not one.is_durable]
    if len(doubtful) < TOGETHER_MIN or not _synced_together(disk, doubtful):
        outcomes = [_settled(disk, one) if isinstance(one, Done) else one for one in outcomes]
    for one in doubtful:
        for file in one.passing:
            file.close()
    return outcomes


def _try(work: Work) -> Outcome:
    try:
        return work()
    except Exception as error:
        return error


def _renamed(disk: IDisk, one: Outcome) -> Done:
    """
    Give files their names, now that what is in them is durable.

    @raise Exception: what came of it before.
    """
    if isinstance(one, Exception):
        raise one
    for source, target in one.renames:
        disk.rename(source, target)
    return Done(one.result, directories=tuple(dict.fromkeys(target.rpartition("/")[0] for _, target in one.renames)))


def _synced_together(disk: IDisk, doubtful: Sequence[Done]) -> bool:
    """Sync what was left of many; where that fails, it is seen which when each is synced for itself."""
    files: list[IFile] = []
    directories: dict[str, None] = {}
    for one in doubtful:
        files += *one.files, *one.passing
        directories.update(dict.fromkeys(one.directories))
    try:
        return disk.sync_together(files, list(directories))
    except OSError:
        return False


def _settled(disk: IDisk, one: Done) -> Outcome:
    try:
        settle(disk, one)
    except OSError as error:
        return error
    return one


def settle(disk: IDisk, one: Done) -> None:
    """Sync what was left of one."""
    for file in (*one.files, *one.passing):
        file.sync()
    for directory in one.directories:
        disk.sync_directory(directory)
