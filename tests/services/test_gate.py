"""Some are let through at a time; the others wait their turn."""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from streamline.interfaces import IClock
from streamline.services.gate import ENTERED_PER_TURN, Gate


class GateTests(SynchronousTestCase):
    """Work that ends when it is told to."""

    def setUp(self) -> None:
        """Make a gate for two."""
        self.most = 2
        self.clock = Clock()
        self.gate = Gate(cast(IClock, self.clock), lambda: self.most)
        self.begun: list[int] = []
        self.work: dict[int, Deferred[int]] = {}

    def begin(self, number: int) -> Deferred[int]:
        """Go through the gate."""

        def work() -> Deferred[int]:
            self.begun.append(number)
            self.work[number] = Deferred()
            return self.work[number]

        return Deferred.fromCoroutine(self.gate.through(work))

    def test_so_many_at_a_time(self) -> None:
        """Who finds room begins at once, the others in the order in which they came."""
        done = [self.begin(number) for number in range(5)]
        self.assertEqual(self.begun, [0, 1])
        self.work[1].callback(1)
        self.assertEqual(self.successResultOf(done[1]), 1)
        self.clock.advance(0)
        self.assertEqual(self.begun, [0, 1, 2])
        self.most = 4
        self.work[0].callback(0)
        self.clock.advance(0)
        self.assertEqual(self.begun, [0, 1, 2, 3, 4])

    def test_who_comes_later_waits_behind_who_waits(self) -> None:
        waiting = [self.begin(number) for number in range(3)]
        self.work[0].callback(0)
        waiting.append(self.begin(3))
        self.clock.advance(0)
        self.assertEqual(self.begun, [0, 1, 2])

    def test_failed_work_makes_room(self) -> None:
        done = [self.begin(number) for number in range(3)]
        self.work[0].errback(ZeroDivisionError())
        self.failureResultOf(done[0], ZeroDivisionError)
        self.clock.advance(0)
        self.assertEqual(self.begun, [0, 1, 2])

    def test_cancelled_while_it_waits(self) -> None:
        """It does nothing, and takes no room."""
        done = [self.begin(number) for number in range(4)]
        done[2].addErrback(lambda _: None)
        done[2].cancel()
        self.work[0].callback(0)
        self.clock.advance(0)
        self.assertEqual(self.begun, [0, 1, 3])
        self.assertEqual(self.gate.inside, 2)

    def test_those_that_fail_at_once_do_not_all_begin_in_one_turn(self) -> None:
        first = [self.begin(0), self.begin(1)]
        count = 3 * ENTERED_PER_TURN

        async def nothing() -> None:
            self.begun.append(-1)

        for _ in range(count):
            Deferred.fromCoroutine(self.gate.through(nothing))
        self.work[0].callback(0)
        self.successResultOf(first[0])
        began = []
        while self.clock.getDelayedCalls():
            (turn,) = cast("list[Any]", self.clock.getDelayedCalls())
            begin = turn.func
            turn.cancel()
            before = len(self.begun)
            begin()
            began.append(len(self.begun) - before)
        self.assertEqual(began, [ENTERED_PER_TURN] * 3)
