"""Long work in short turns, so that the reactor is never held up."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

from twisted.internet.defer import Deferred

from streamline.interfaces import IClock

T = TypeVar("T")


def next_turn(clock: IClock) -> Deferred[None]:
    """Fire in the next turn of the reactor."""
    turn: Deferred[None] = Deferred()
    clock.callLater(0, turn.callback, None)
    return turn


def work_off(work: Generator[None, None, T], clock: IClock) -> T | Deferred[T]:
    """
    Run a generator to its end; it pauses where others should have the reactor.

    @return: what it returns, where it does not pause; else a Deferred of that, and each step has a turn of its own.
    """
    try:
        next(work)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    return Deferred.fromCoroutine(_run(work, clock))


async def _run(work: Generator[None, None, T], clock: IClock) -> T:
    while True:
        await next_turn(clock)
        try:
            next(work)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]
