"""
Many time-outs on one timer.

A request that waits needs a time-out that hardly ever fires; a reactor timer for
each costs more than the request.  Deadlines are kept in buckets, so setting and
cancelling one is a dictionary operation, and a time-out is late by at most one
bucket and never early.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from streamline.interfaces import IClock, Whim, fires

log = Logger()

BUCKET_S = 0.01
LATE_S = 0.05
"""How late they all may be where a whim says so."""


class Deadline:
    """A time-out that has been set."""

    __slots__ = ("_bucket", "expired")

    def __init__(self, bucket: dict[Deadline, None], expired: Callable[[], None]) -> None:
        self._bucket = bucket
        self.expired = expired
        bucket[self] = None

    def cancel(self) -> None:
        """Make sure that it does not fire; fine where it has."""
        self._bucket.pop(self, None)


class Deadlines:
    """Sets time-outs on a clock."""

    def __init__(self, clock: IClock, is_late: Whim | None = None) -> None:
        self._clock = clock
        self._is_late = is_late
        self._buckets: dict[int, dict[Deadline, None]] = {}
        self._timer: IDelayedCall | None = None
        self._timer_bucket = 0

    def after(self, delay_s: float, expired: Callable[[], None]) -> Deadline:
        """Call C{expired} once C{delay_s} seconds have passed."""
        number = int((self._clock.seconds() + max(delay_s, 0.0)) / BUCKET_S) + 1
        bucket = self._buckets.get(number)
        if bucket is None:
            bucket = self._buckets[number] = {}
            self._schedule(number)
        return Deadline(bucket, expired)

    def _schedule(self, number: int) -> None:
        delay_s = max(0.0, number * BUCKET_S - self._clock.seconds())
        if self._timer is None:
            self._timer = self._clock.callLater(delay_s, self._ring)
        elif number < self._timer_bucket:
            self._timer.reset(delay_s)  # one that is cancelled would wake the reactor all the same, when it is due
        else:
            return
        self._timer_bucket = number

    def _ring(self) -> None:
        self._timer = None
        if fires(self._is_late):
            self._timer = self._clock.callLater(LATE_S, self._ring)
            return
        # The clock may show a hair less than what the timer was set for; the bucket that it was set for is due.
        now = max(self._timer_bucket, int(self._clock.seconds() / BUCKET_S))
        for number in sorted(number for number in self._buckets if number <= now):
            self._empty(self._buckets.pop(number))
        for number in [number for number, bucket in self._buckets.items() if not bucket]:
            del self._buckets[number]
        if self._buckets:
            self._schedule(min(self._buckets))

    def _empty(self, bucket: dict[Deadline, None]) -> None:
        while bucket:
            deadline = next(iter(bucket))
            del bucket[deadline]
            try:
                deadline.expired()
            except Exception:
                log.failure("what was to be done when a time-out expired failed")  # the others are still due

    def stop(self) -> None:
        """Forget them all."""
        self._buckets.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
