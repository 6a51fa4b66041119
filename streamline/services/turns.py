"""
Long work in short turns, so that the reactor is never held up.

L{Turns} shares the reactor among all that have much to do for clients: in each
turn some of it is done, a step of each in its turn, and the rest waits for the
next one.  So a thousand busy clients hold up a quiet one no longer than one does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from streamline.interfaces import IClock

log = Logger()

T = TypeVar("T")

TURN_S = 0.01
"""What is done for clients in one turn of the reactor, apart from the step that goes beyond it."""


def next_turn(clock: IClock) -> Deferred[None]:
    """Fire in the next turn of the reactor."""
    turn: Deferred[None] = Deferred()
    clock.callLater(0, turn.callback, None)
    return turn


class Turns:
    """
    Does work in the turns of one reactor.

    @ivar spent_s: what has been done since it was last made sure that others get their turn.  Whoever works without
        asking adds to it.
    @ivar number: which turn this is, see L{begin}.
    """

    def __init__(self, clock: IClock) -> None:
        self._clock = clock
        self._waiting: deque[Callable[[], object]] = deque()
        self._timer: IDelayedCall | None = None
        self.spent_s = 0.0
        self.number = 0

    @property
    def left_s(self) -> float:
        """How much may be done before others should have their turn."""
        return TURN_S - self.spent_s

    def begin(self) -> None:
        """
        Hear that the reactor has begun another turn.

        A connection knows: it hears of its socket once a turn.  So nobody needs a timer for it.
        """
        self.number += 1
        self.spent_s = 0.0

    def later(self, step: Callable[[], object]) -> None:
        """Do this in a later turn, after all that waits already."""
        self._waiting.append(step)
        if self._timer is None:
            self._timer = self._clock.callLater(0, self._turn)

    def next(self) -> Deferred[None]:
        """Fire when it is one's turn again."""
        turn: Deferred[None] = Deferred()
        self.later(lambda: turn.callback(None))
        return turn

    def work_off(self, work: Generator[None, None, T]) -> T | Deferred[T]:
        """
        Run a generator to its end; it pauses where others should have the reactor.

        @return: what it returns, where it does not pause; else a Deferred of that, and each step has its turn.
        """
        try:
            next(work)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]
        return Deferred.fromCoroutine(self._run(work))

    async def _run(self, work: Generator[None, None, T]) -> T:
        while True:
            await self.next()
            try:
                next(work)
            except StopIteration as done:
                return done.value  # type: ignore[no-any-return]

    def _turn(self) -> None:
        """Do a step for each that waits, as long as there is time."""
        self._timer = None
        self.begin()
        began_s = self._clock.seconds()
        for _ in range(len(self._waiting)):
            try:
                self._waiting.popleft()()
            except Exception:
                log.failure("a step failed")
            self.spent_s = max(self.spent_s, self._clock.seconds() - began_s)
            if self.spent_s > TURN_S:
                break
        if self._waiting and self._timer is None:
            self._timer = self._clock.callLater(0, self._turn)
