"""
Lets some through at a time; the others wait, first come, first served.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import TypeVar

from twisted.internet.defer import Deferred

from streamline.interfaces import IClock

T = TypeVar("T")

ENTERED_PER_TURN = 50
"""How many of those that waited begin in one turn of the reactor: work that fails at once makes room for the next."""


class Gate:
    """
    A gate to work that must not be done by too many at once.

    @ivar inside: how many are at it.
    """

    def __init__(self, clock: IClock, most: Callable[[], int]) -> None:
        """@param most: says how many may be inside by now; at least one."""
        self._clock = clock
        self._most = most
        self._waiting: deque[Deferred[None]] = deque()
        self._is_opening = False
        self.inside = 0

    async def through(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do this when there is room: at once where nobody waits.  Whoever is cancelled while it waits does nothing."""
        if self._waiting or self.inside >= self._most():
            turn: Deferred[None] = Deferred()
            self._waiting.append(turn)
            await turn
        else:
            self.inside += 1
        try:
            return await work()
        finally:
            self.inside -= 1
            self._open_soon()

    def _open_soon(self) -> None:
        if self._waiting and not self._is_opening:
            self._is_opening = True
            self._clock.callLater(0, self._open)

    def _open(self) -> None:
        """Let in as many as there is room for, but not all of them in one turn."""
        for _ in range(ENTERED_PER_TURN):
            if not self._waiting or self.inside >= self._most():
                break
            turn = self._waiting.popleft()
            if not turn.called:
                self.inside += 1
                turn.callback(None)
        self._is_opening = False
        if self.inside < self._most():
            self._open_soon()
