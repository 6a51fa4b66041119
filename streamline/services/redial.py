"""
Keeps one connection: connects, and connects again after a while whenever that failed or the connection ended.

Twisted's C{ClientService} does this and much more, by a state machine that is built when it is imported: 14 ms of the
0.4 s of processor time that a start takes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from streamline.interfaces import IClock, Whim, fires


class Redial:
    """
    One connection that is to be there.

    @param connect: begins an attempt.  The Deferred may be cancelled.
    @param close: closes a connection that came although it was cancelled.
    @param wait_s: says how long to wait before the next attempt.
    """

    def __init__(
        self,
        clock: IClock,
        connect: Callable[[], Deferred[Any]],
        close: Callable[[Any], object],
        wait_s: Callable[[], float],
        is_hasty: Whim | None = None,
    ) -> None:
        self._clock = clock
        self._is_hasty = is_hasty
        self._connect = connect
        self._close = close
        self._wait_s = wait_s
        self._is_running = False
        self._attempt: Deferred[Any] | None = None
        self._timer: IDelayedCall | None = None
        self._is_there = False
        self._stopped: Deferred[None] | None = None

    def start(self) -> None:
        """Connect, and keep connected."""
        self._is_running = True
        self._dial()

    def stop(self) -> Deferred[None]:
        """
        Connect no more; fires once nothing is under way and the connection has ended.

        Whoever has the connection closes it.
        """
        self._is_running = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._is_there and self._attempt is None:
            return succeed(None)
        stopped = self._stopped = Deferred()
        if self._attempt is not None:
            self._attempt.cancel()
        return stopped

    def lost(self) -> None:
        """Hear that the connection has ended."""
        self._is_there = False
        if self._attempt is None:  # else its own outcome is about to be heard
            self._again()

    def _dial(self) -> None:
        self._timer = None
        self._is_there = True  # until it is heard to have failed, or to have ended
        attempt = self._attempt = self._connect()
        attempt.addCallbacks(self._came, self._failed)

    def _came(self, connection: Any) -> None:
        self._attempt = None
        if not self._is_there:
            self._again()
        elif not self._is_running:
            self._close(connection)

    def _failed(self, failure: Failure) -> None:
        failure.trap(Exception)
        self._attempt = None
        self._is_there = False
        self._again()

    def _again(self) -> None:
        if self._is_running:
            after_s = 0.0 if fires(self._is_hasty) else self._wait_s()
            self._timer = self._clock.callLater(after_s, self._dial)
            return
        stopped, self._stopped = self._stopped, None
        if stopped is not None:
            stopped.callback(None)
