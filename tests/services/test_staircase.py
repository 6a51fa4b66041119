"""Order up, order down, and what happens when a step gives way."""

from __future__ import annotations

from twisted.application.service import Service
from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from streamline.services.staircase import Staircase


class Step(Service):
    """A child that notes what is asked of it and answers when the test says so."""

    def __init__(self, letter: str, events: list[str]) -> None:
        self.letter = letter
        self.events = events
        self.up: Deferred[None] = succeed(None)
        self.down: Deferred[None] = succeed(None)

    def startService(self) -> Deferred[None]:
        self.events.append(f"+{self.letter}")
        return self.up

    def stopService(self) -> Deferred[None]:
        self.events.append(f"-{self.letter}")
        return self.down


class StaircaseTests(SynchronousTestCase):
    """One step at a time, and never a step onto air."""

    def setUp(self) -> None:
        self.events: list[str] = []
        self.stairs = Staircase()
        self.a, self.b, self.c = (Step(letter, self.events) for letter in "abc")
        for step in (self.a, self.b, self.c):
            step.setServiceParent(self.stairs)

    def test_up_in_order_and_down_in_reverse(self) -> None:
        self.successResultOf(self.stairs.startService())
        self.successResultOf(self.stairs.stopService())
        self.assertEqual(self.events, ["+a", "+b", "+c", "-c", "-b", "-a"])

    def test_each_start_is_awaited(self) -> None:
        self.a.up = Deferred()
        climb = self.stairs.startService()
        self.assertEqual(self.events, ["+a"])
        self.assertNoResult(climb)
        self.a.up.callback(None)
        self.successResultOf(climb)
        self.assertEqual(self.events, ["+a", "+b", "+c"])

    def test_each_stop_is_awaited(self) -> None:
        self.successResultOf(self.stairs.startService())
        self.c.down = Deferred()
        descent = self.stairs.stopService()
        self.assertEqual(self.events[3:], ["-c"])
        self.assertNoResult(descent)
        self.c.down.callback(None)
        self.successResultOf(descent)
        self.assertEqual(self.events[3:], ["-c", "-b", "-a"])

    def test_a_failing_start_undoes_the_climb(self) -> None:
        self.c.up = fail(ValueError("no"))
        climb = self.stairs.startService()
        self.failureResultOf(climb, ValueError)
        self.assertEqual(self.events, ["+a", "+b", "+c", "-b", "-a"])
        self.assertFalse(self.stairs.running)

    def test_a_failing_start_is_told_before_it_is_undone(self) -> None:
        self.a.down, self.b.up = Deferred(), fail(ValueError("no"))
        self.failureResultOf(self.stairs.startService(), ValueError)
        self.assertEqual(self.events, ["+a", "+b", "-a"])
        descent = self.stairs.stopService()
        self.assertNoResult(descent)
        self.a.down.callback(None)
        self.successResultOf(descent)

    def test_a_raising_start_counts_as_failing(self) -> None:
        self.b.startService = lambda: 1 // 0  # type: ignore[method-assign,assignment,return-value]
        self.failureResultOf(self.stairs.startService(), ZeroDivisionError)
        self.assertEqual(self.events, ["+a", "-a"])

    def test_a_failing_stop_is_logged_and_the_others_go_on(self) -> None:
        self.successResultOf(self.stairs.startService())
        self.b.down = fail(ValueError("no"))
        self.successResultOf(self.stairs.stopService())
        self.assertEqual(self.events[3:], ["-c", "-b", "-a"])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_stopped_on_the_way_up(self) -> None:
        self.b.up = Deferred()
        climb = self.stairs.startService()
        descent = self.stairs.stopService()
        self.assertEqual(self.events, ["+a", "+b"], "the step in progress is not interrupted")
        self.b.up.callback(None)
        self.successResultOf(climb)
        self.successResultOf(descent)
        self.assertEqual(self.events, ["+a", "+b", "-b", "-a"])

    def test_a_second_stop_waits_for_the_first(self) -> None:
        self.successResultOf(self.stairs.startService())
        self.c.down = Deferred()
        first, second = self.stairs.stopService(), self.stairs.stopService()
        self.assertEqual(self.events[3:], ["-c"])
        self.assertNoResult(second)
        self.c.down.callback(None)
        self.successResultOf(first)
        self.successResultOf(second)
        self.assertEqual(self.events[3:], ["-c", "-b", "-a"])

    def test_started_again(self) -> None:
        for _ in range(2):
            self.successResultOf(self.stairs.startService())
            self.successResultOf(self.stairs.stopService())
        self.assertEqual(self.events, ["+a", "+b", "+c", "-c", "-b", "-a"] * 2)
