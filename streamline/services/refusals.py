"""Counts whom this node does not talk to, and says so once in a while for each of them."""

from __future__ import annotations

from typing import Final

from twisted.logger import Logger

from streamline.cluster.greeting import Reason
from streamline.interfaces import IClock

log = Logger()

SILENCE_S: Final = 60.0
"""How long nothing more is said about somebody who goes on trying."""
REMEMBERED_MAX: Final = 1000


class Refusals:
    """
    Whom this node refused, on its cluster listener and where it called.

    @ivar counts: how many of each kind.
    """

    def __init__(self, clock: IClock) -> None:
        self.counts: dict[Reason, int] = dict.fromkeys(Reason, 0)
        self._clock = clock
        self._said_s: dict[tuple[Reason, str], float] = {}

    def note(self, reason: Reason, who: str, message: str) -> None:
        """Count a refusal; log it unless that was done a moment ago for the same reason and the same address."""
        self.counts[reason] += 1
        now = self._clock.seconds()
        said_s = self._said_s.get((reason, who))
        if said_s is not None and now < said_s + SILENCE_S:
            return
        self._said_s.pop((reason, who), None)
        if len(self._said_s) >= REMEMBERED_MAX:
            del self._said_s[next(iter(self._said_s))]
        self._said_s[reason, who] = now
        log.warn("no connection with {who}: {message}", who=who, message=message, reason=reason.value)
