"""
How long the reactor is held up: a heartbeat that notes how late it comes.

Nobody runs it unless asked: it costs a timer every ten milliseconds.
"""

from __future__ import annotations

from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall

from streamline.interfaces import IClock

BEAT_S = 0.01
LATEST_MS = 10_000
"""What comes later than this counts as this late."""


class Pulse(Service):
    """
    Counts beats by how many whole milliseconds late they came.

    @ivar beats: how many there were since the start or the last L{reset}.
    @ivar longest_ms: how late the latest one was.
    """

    def __init__(self, clock: IClock, beat_s: float = BEAT_S) -> None:
        self._clock = clock
        self._beat_s = beat_s
        self._timer: IDelayedCall | None = None
        self._due_s = 0.0
        self.reset()

    def reset(self) -> None:
        """Forget all beats."""
        self.beats = 0
        self.longest_ms = 0.0
        self._late = [0] * (LATEST_MS + 1)

    def startService(self) -> None:
        """Begin to beat."""
        Service.startService(self)
        self._set()

    def stopService(self) -> None:
        """Stop."""
        Service.stopService(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set(self) -> None:
        self._due_s = self._clock.seconds() + self._beat_s
        self._timer = self._clock.callLater(self._beat_s, self._beat)

    def _beat(self) -> None:
        late_ms = max(0.0, (self._clock.seconds() - self._due_s) * 1000)
        self.beats += 1
        self.longest_ms = max(self.longest_ms, late_ms)
        self._late[min(LATEST_MS, int(late_ms))] += 1
        self._set()

    def quantile_ms(self, share: float) -> int:
        """Return how late at most this share of the beats was, in whole milliseconds, rounded up."""
        left = share * self.beats
        for late_ms, count in enumerate(self._late):
            left -= count
            if left <= 0:
                return late_ms + 1 if self.beats else 0
        return LATEST_MS
