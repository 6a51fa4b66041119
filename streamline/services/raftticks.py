"""
Time, as a replica of the agreed log counts it.

# Note [Late ticks]

Time reaches the core as ticks.  A process that stood still, for a collection of garbage or
a SIGSTOP, has the others' messages waiting in its sockets when it goes on, and must not
take its own sleep for their silence (RF18): however late a tick comes, it is one tick.

A follower that hears its leader has nothing to count, and need not wake up for that.  Its next tick is set for some
ticks later; when it comes it stands for those since the leader was heard last, and for as many as it was set for at
most, which is far less than an election waits for.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall

from streamline.interfaces import IClock

RESTING_TICKS = 4
"""How many ticks a follower that hears its leader takes as one."""


class Ticks:
    """
    The ticks of one replica, from now on until it is stopped.

    @param tick_s: how long one is.
    @param ticked: is told of each, and how many it stands for.
    @param may_rest: says whether it is a follower that has nothing else to count.
    """

    def __init__(
        self, clock: IClock, tick_s: float, ticked: Callable[[int], None], may_rest: Callable[[], bool]
    ) -> None:
        self._clock = clock
        self._tick_s = tick_s
        self._ticked = ticked
        self._may_rest = may_rest
        self._heard_s: float | None = None
        self._set_for = 1
        self._timer: IDelayedCall = clock.callLater(tick_s, self._ring)

    def stop(self) -> None:
        """Tell of none any more."""
        if self._timer.active():
            self._timer.cancel()

    def leader_heard(self) -> None:
        """Hear that a sign of life of the leader has come."""
        self._heard_s = self._clock.seconds()

    def look(self) -> None:
        """Hear that the replica may be something else by now; what is no follower needs every tick."""
        if self._set_for > 1 and not self._may_rest() and self._timer.active():
            self._set_for = 1
            self._timer.reset(self._tick_s)

    def _ring(self) -> None:
        passed = self._passed()
        rests = self._heard_s is not None and self._may_rest()
        self._heard_s = None
        self._set_for = RESTING_TICKS if rests else 1
        self._timer = self._clock.callLater(self._set_for * self._tick_s, self._ring)
        self._ticked(passed)

    def _passed(self) -> int:
        """Return how many ticks the one that has come stands for."""
        if self._heard_s is None:
            return self._set_for
        silent = int((self._clock.seconds() - self._heard_s) / self._tick_s)
        return min(self._set_for, max(1, silent))
