"""
How long the reactor is held up: a heartbeat that notes how late it comes.

A beat that is late by so much says that a client who had asked at that moment
would have waited as long, so the quantiles are those of all moments, not of all
stalls: a reactor that is held up for 50 ms once a second is late at one beat in
twenty.  Each beat wakes a node that may have nothing else to do, so there are few;
a test that wants to see each stall lets it beat faster.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall

from streamline.interfaces import IClock
from streamline.services.beats import until_beat

BEAT_S = 1.0
LATEST_MS = 10_000
"""What comes later than this counts as this late."""


class Pulse(Service):
    """
    Counts beats by how many whole milliseconds late they came.

    @ivar beats: how many there were since the start or the last L{reset}.
    @ivar longest_ms: how late the latest one was; C{total_ms} how late all were together.
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
        self.total_ms = 0.0
        self._late: Counter[int] = Counter()

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
        delay_s = until_beat(self._clock, self._beat_s)
        self._due_s = self._clock.seconds() + delay_s
        self._timer = self._clock.callLater(delay_s, self._beat)

    def _beat(self) -> None:
        late_ms = max(0.0, (self._clock.seconds() - self._due_s) * 1000)
        self.beats += 1
        self.total_ms += late_ms
        self.longest_ms = max(self.longest_ms, late_ms)
        self._late[min(LATEST_MS, int(late_ms))] += 1
        self._set()

    def quantile_ms(self, share: float) -> int:
        """Return how late at most this share of the beats was, in whole milliseconds, rounded up."""
        left = share * self.beats
        for late_ms in sorted(self._late):
            left -= self._late[late_ms]
            if left <= 0:
                return late_ms + 1
        return 0

    def up_to(self, bounds_ms: Sequence[int]) -> Iterator[int]:
        """Yield for each bound, a whole number of milliseconds, how many beats were not as late as that."""
        for bound_ms in bounds_ms:
            yield sum(count for late_ms, count in self._late.items() if late_ms < bound_ms)
