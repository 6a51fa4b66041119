"""A connection that is to be there is made again and again, and no more once it is not wanted."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from streamline.services.redial import Redial

WAIT_S = 0.5


def as_clock(clock: Clock) -> Any:
    """Pass Twisted's clock for ours; there is more to ours, which has no part in this."""
    return clock


class RedialTests(SynchronousTestCase):
    """
    Attempts whose outcome the test says.

    @ivar attempts: all that were made.
    @ivar closed: the connections that nobody wanted any more when they came.
    """

    def setUp(self) -> None:
        """Begin."""
        self.clock = Clock()
        self.attempts: list[Deferred[Any]] = []
        self.closed: list[Any] = []
        self.redial = Redial(as_clock(self.clock), self.connect, self.closed.append, lambda: WAIT_S)
        self.redial.start()

    def connect(self) -> Deferred[Any]:
        """Begin an attempt."""
        self.attempts.append(Deferred())
        return self.attempts[-1]

    def test_failed(self) -> None:
        """The next attempt comes after a wait."""
        self.attempts[0].errback(OSError("nobody"))
        self.clock.advance(WAIT_S - 0.01)
        self.assertEqual(len(self.attempts), 1)
        self.clock.advance(0.02)
        self.assertEqual(len(self.attempts), 2)

    def test_lost(self) -> None:
        """So does one after a connection that has ended."""
        self.attempts[0].callback("connection")
        self.clock.advance(10 * WAIT_S)
        self.assertEqual(len(self.attempts), 1, "as long as it is there, there is no other")
        self.redial.lost()
        self.clock.advance(WAIT_S)
        self.assertEqual(len(self.attempts), 2)

    def test_lost_before_it_was_heard_of(self) -> None:
        """A connection that ends at once counts as one that ended, once."""
        self.redial.lost()
        self.attempts[0].callback("connection")
        self.clock.advance(WAIT_S)
        self.assertEqual(len(self.attempts), 2)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stopped_while_it_waits(self) -> None:
        """There is nothing to wait for, and no timer is left."""
        self.attempts[0].errback(OSError("nobody"))
        self.assertIsNone(self.successResultOf(self.redial.stop()))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stopped_while_it_connects(self) -> None:
        """The attempt is cancelled."""
        self.assertIsNone(self.successResultOf(self.redial.stop()))
        self.assertEqual([len(self.attempts), self.clock.getDelayedCalls()], [1, []])

    def test_connected_although_it_was_cancelled(self) -> None:
        """The connection is closed, and that is waited for."""
        attempt: Deferred[Any] = Deferred(lambda cancelled: cancelled.callback("connection"))
        self.redial = Redial(as_clock(self.clock), lambda: attempt, self.closed.append, lambda: WAIT_S)
        self.redial.start()
        stopped = self.redial.stop()
        self.assertNoResult(stopped)
        self.assertEqual(self.closed, ["connection"])
        self.redial.lost()
        self.assertIsNone(self.successResultOf(stopped))

    def test_stopped_while_connected(self) -> None:
        """It has stopped when the connection has ended."""
        self.attempts[0].callback("connection")
        stopped = self.redial.stop()
        self.assertNoResult(stopped)
        self.redial.lost()
        self.assertIsNone(self.successResultOf(stopped))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_begun_again(self) -> None:
        """One that was stopped can be started."""
        self.successResultOf(self.redial.stop())
        self.redial.start()
        self.assertEqual(len(self.attempts), 2)
