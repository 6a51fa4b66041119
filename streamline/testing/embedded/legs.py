"""
Halves of a connection that passes through a proxy, and what the link does to the bytes on their way.

A link has a direction.  One that is cut is a silence: bytes wait where they are, in the kernel mostly, and so does the
news that a connection has ended; when the link is mended they arrive, as TCP would have it.
"""

from __future__ import annotations

from collections import deque
from random import Random
from typing import Any

from attrs import frozen
from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

LATE_BYTES_MAX = 1 << 20
"""How much may be on its way in one direction of a connection, where that takes time."""


@frozen(kw_only=True)
class Link:
    """
    How bytes get from one node to another.

    @ivar is_cut: nothing gets there.
    @ivar delay_s: the shortest and the longest time that they take; they stay in their order.
    @ivar resets_per_s: how often a connection is reset in a second, on average.
    """

    is_cut: bool = False
    delay_s: tuple[float, float] = (0.0, 0.0)
    resets_per_s: float = 0.0


OPEN = Link()
"""Everything gets there at once."""


@implementer(IPushProducer)
class Leg(Protocol):
    """
    Half of a connection: what its node says goes to the other half, as far as the link to there lets it.

    @ivar link: the link from this half's node to that of the other half.
    @param clock: what delays are measured with, and C{rng} what they are drawn from.
    """

    transport: Any

    def __init__(self, clock: IReactorTime, rng: Random) -> None:
        self.other: Leg | None = None
        self.link = OPEN
        self.has_ended = False
        self._clock = clock
        self._rng = rng
        self._late: deque[tuple[float, bytes]] = deque()
        self._late_bytes = 0
        self._timer: IDelayedCall | None = None
        self._is_other_full = False
        self._reads = True

    def join(self, other: Leg) -> None:
        """Be two halves of one connection: what one cannot send, the other does not read."""
        self.other, other.other = other, self
        self.transport.registerProducer(other, True)
        other.transport.registerProducer(self, True)

    def dataReceived(self, data: bytes) -> None:
        """Pass it on, at once or later."""
        if self.link.delay_s[1] or self._late:
            self._delay(data)
        elif self.other is not None:
            self.other.transport.write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Have the other half end, once it can know."""
        self.has_ended = True
        self._settle()

    def travel(self, link: Link) -> None:
        """Go by another link from now on."""
        self.link = link
        self._look()
        self._deliver()

    def reset(self) -> None:
        """End both halves, as a device between them that has forgotten the connection does."""
        for leg in filter(None, (self, self.other)):
            leg.transport.abortConnection()

    # What the other half's connection asks for

    def pauseProducing(self) -> None:
        """Hear that the other half cannot take more."""
        self._is_other_full = True
        self._look()

    def resumeProducing(self) -> None:
        """Hear that it can."""
        self._is_other_full = False
        self._look()

    def stopProducing(self) -> None:
        """Hear that it has ended; it says so itself."""

    # How bytes travel

    def _look(self) -> None:
        """Read what the node says, unless there is no place for it."""
        reads = not (self.link.is_cut or self._is_other_full or self._late_bytes > LATE_BYTES_MAX)
        if reads != self._reads:
            self._reads = reads
            if reads:
                self.transport.resumeProducing()
            else:
                self.transport.pauseProducing()

    def _delay(self, data: bytes) -> None:
        due = self._clock.seconds() + self._rng.uniform(*self.link.delay_s)
        if self._late:
            due = max(due, self._late[-1][0])
        self._late.append((due, data))
        self._late_bytes += len(data)
        self._look()
        if self._timer is None:
            self._deliver()

    def _deliver(self) -> None:
        """Have everything arrive that is due, and wait for the rest."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
        while self._late and not self.link.is_cut:
            wait = self._late[0][0] - self._clock.seconds()
            if wait > 0:
                self._timer = self._clock.callLater(wait, self._deliver)
                break
            _, data = self._late.popleft()
            self._late_bytes -= len(data)
            if self.other is not None:
                self.other.transport.write(data)
        self._look()
        self._settle()

    def _settle(self) -> None:
        """Hang up the other half, when this one has ended and everything that it said is there."""
        if not self.has_ended or self._late or self.link.is_cut:
            return
        other, self.other = self.other, None
        if other is not None:
            other.other = None
            other.transport.unregisterProducer()
            other.transport.loseConnection()
        self.gone()

    def gone(self) -> None:
        """Hear that nothing is left to do."""
