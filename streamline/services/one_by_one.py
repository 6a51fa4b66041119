"""
Doing things to names one after the other: what is to be done to one name waits for what was to be done to it before.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from twisted.internet.defer import Deferred

K = TypeVar("K", bound=Hashable)


class OneByOne(Generic[K]):
    """What is being done last to each name."""

    def __init__(self) -> None:
        self._last: dict[K, Deferred[None]] = {}

    def do(self, key: K, work: Callable[[], Awaitable[None]]) -> None:
        """Do something to a name once all that was to be done to it before has been done; it must not fail."""
        before = self._last.get(key)
        done = Deferred.fromCoroutine(_after(before, work))
        if not done.called:
            self._last[key] = done
            done.addBoth(self._done, key, done)

    def _done(self, _: object, key: K, done: Deferred[None]) -> None:
        if self._last.get(key) is done:
            del self._last[key]

    async def all_done(self) -> None:
        """Wait until nothing is being done to any."""
        while self._last:
            await next(iter(self._last.values()))


async def _after(before: Deferred[None] | None, work: Callable[[], Awaitable[None]]) -> None:
    if before is not None:
        await before
    await work()
