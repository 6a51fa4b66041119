"""
Long work in short turns, so that the reactor is never held up.

L{Turns} shares the reactor among all that have much to do for clients: in each
turn some of it is done, a share of each in its turn, and the rest waits for the
next one.

# Note [Newcomers]

Whoever has more to do than its share waits behind all others of that kind, and a
thousand of them may be before it.  Somebody with little to do should not notice
them: who comes and finds the turn used up is a newcomer, and the next turn begins
with the newcomers.  After its first share a newcomer that is not done waits with
the others.  Half of each turn is kept for those who come meanwhile, so that most
need not wait at all; and in each turn at least one of those that have much to do
gets on, however many come.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from streamline.interfaces import IClock, Whim

log = Logger()

T = TypeVar("T")

TURN_S = 0.01
"""What is done for clients in one turn of the reactor, apart from the steps that go beyond it."""
BUSY_S = TURN_S / 2
"""What of it is done for those that waited."""
SHARE_S = 0.0005
"""What each may do at least when it is its turn."""

GATHERED_PER_TURN = 1000
"""Outcomes that are gathered in one turn."""


def next_turn(clock: IClock) -> Deferred[None]:
    """Fire in the next turn of the reactor."""
    turn: Deferred[None] = Deferred()
    clock.callLater(0, turn.callback, None)
    return turn


async def in_turns(clock: IClock, steps: Iterable[object]) -> None:
    """Go through steps that have happened when they are yielded; others have the reactor when a turn is used up."""
    began_s = clock.seconds()
    for _ in steps:
        if clock.seconds() - began_s >= TURN_S:
            await next_turn(clock)
            began_s = clock.seconds()


class Pace:
    """Counts the pieces of a long work: the generator that does them pauses where this says so."""

    __slots__ = ("_done", "_per_turn")

    def __init__(self, per_turn: int) -> None:
        """@param per_turn: how many may be done in one turn of the reactor."""
        self._per_turn = per_turn
        self._done = 0

    def is_due(self, pieces: int = 1) -> bool:
        """Hear of pieces that are done; return whether others should have the reactor before the next."""
        self._done += pieces
        if self._done < self._per_turn:
            return False
        self._done = 0
        return True


class Turns:
    """
    Does work in the turns of one reactor.

    @ivar spent_s: what has been done since it was last made sure that others get their turn.
    """

    def __init__(self, clock: IClock, is_short: Whim | None = None) -> None:
        """@param is_short: says of a turn whether nothing is left of it for those who are not waiting."""
        self._clock = clock
        self._is_short = is_short
        self._newcomers: deque[Callable[[], object]] = deque()
        self._busy: deque[Callable[[], object]] = deque()
        self._timer: IDelayedCall | None = None
        self._is_turn = False
        self.spent_s = 0.0

    @property
    def share(self) -> float:
        """Of all that can be done, how much is for the one who asks: everything, or less where others wait."""
        return 1 / (len(self._busy) + len(self._newcomers) + 1)

    @property
    def left_s(self) -> float:
        """How much the one who asks may do before others should have their turn; nothing where that is not above 0."""
        if self._is_short is not None and not self._is_turn and self._is_short():
            return -1.0
        share_s = max(SHARE_S, TURN_S * self.share)
        return share_s if self._is_turn else min(share_s, TURN_S - self.spent_s)

    def spend(self, seconds: float) -> None:
        """Hear that somebody has worked without asking; what it took is taken off this turn and not off the next."""
        self.spent_s += seconds
        if self.spent_s > BUSY_S:
            self._see_to_another()

    def later(self, step: Callable[[], object]) -> None:
        """Do this in a later turn; see Note [Newcomers] for after whom."""
        is_newcomer = self.spent_s >= TURN_S and not self._is_turn
        (self._newcomers if is_newcomer else self._busy).append(step)
        self._see_to_another()

    def _see_to_another(self) -> None:
        if self._timer is None:
            self._timer = self._clock.callLater(0, self._turn)

    def next(self) -> Deferred[None]:
        """Fire when it is one's turn again."""
        turn: Deferred[None] = Deferred()
        self.later(lambda: turn.callback(None))
        return turn

    async def gather(self, waiting: Iterable[Deferred[T]]) -> list[T]:
        """
        Wait for each of very many; others have the reactor now and then.

        Waiting for all of them together would be a tenth of a second's work where they are twenty thousand.
        """
        pace = Pace(GATHERED_PER_TURN)
        found = []
        for one in waiting:
            found.append(await one)
            if pace.is_due():
                await self.next()
        return found

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
        """Do a step for each newcomer and then for those that wait, as long as there is time."""
        self._timer = None
        self.spent_s = 0.0
        self._is_turn = True
        began_s = self._clock.seconds()
        try:
            self._work(self._newcomers, began_s, TURN_S)
            self._work(self._busy, began_s, BUSY_S)
        finally:
            self._is_turn = False
        if self._newcomers or self._busy or self.spent_s > BUSY_S:
            self._see_to_another()

    def _work(self, waiting: deque[Callable[[], object]], began_s: float, until_s: float) -> None:
        """Do a step for each that waits by now, until so much has been spent; but one in any case."""
        for _ in range(len(waiting)):
            try:
                waiting.popleft()()
            except Exception:
                log.failure("a step failed")
            self.spent_s = max(self.spent_s, self._clock.seconds() - began_s)
            if self.spent_s >= until_s:
                break
