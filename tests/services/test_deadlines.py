"""Many time-outs on one timer: late by a bucket at most, never early, and never lost."""

from __future__ import annotations

from functools import partial
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from streamline.services.deadlines import BUCKET_S, Deadlines


class DeadlinesTests(SynchronousTestCase):
    """Time-outs fire when they are due, unless they are cancelled."""

    def setUp(self) -> None:
        """Begin at a time that no binary fraction is equal to."""
        self.clock = cast(Any, Clock())
        self.clock.advance(1000.1)
        self.deadlines = Deadlines(self.clock)
        self.fired: list[str] = []

    def after(self, delay_s: float, name: str) -> Any:
        """Set one."""
        return self.deadlines.after(delay_s, lambda: self.fired.append(name))

    def test_fires_within_a_bucket(self) -> None:
        self.after(0.5, "a")
        self.clock.advance(0.499)
        self.assertEqual(self.fired, [])
        self.clock.advance(0.001 + BUCKET_S)
        self.assertEqual(self.fired, ["a"])

    @given(st.lists(st.floats(0, 3), max_size=12), st.floats(0, 5000))
    def test_any_delays(self, delays: list[float], start: float) -> None:
        clock = cast(Any, Clock())
        clock.advance(start)
        deadlines = Deadlines(clock)
        fired: dict[int, float] = {}
        for number, delay in enumerate(delays):
            deadlines.after(delay, partial(_note, fired, number, clock))
        while clock.getDelayedCalls():
            clock.advance(max(0.0, clock.getDelayedCalls()[0].getTime() - clock.seconds()))
        self.assertEqual(len(fired), len(delays))
        for number, at in fired.items():
            late = at - start - delays[number]
            self.assertTrue(-1e-9 <= late <= BUCKET_S + 1e-9, (late, delays[number]))

    def test_a_ring_a_hair_early_is_on_time(self) -> None:
        """Else it would be set again for no time at all, over and over (a clock shows what it shows)."""
        self.after(0.0, "a")
        (call,) = self.clock.getDelayedCalls()
        ring = call.func
        self.clock.rightNow = call.getTime() - 1e-9
        call.cancel()
        ring()
        self.assertEqual(self.fired, ["a"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_cancelled(self) -> None:
        first, second = self.after(0.1, "a"), self.after(0.1, "b")
        first.cancel()
        self.clock.advance(1)
        second.cancel()
        first.cancel()
        self.assertEqual(self.fired, ["b"])

    def test_cancelled_by_another_of_the_same_bucket(self) -> None:
        second: list[Any] = []
        self.deadlines.after(0.1, lambda: second[0].cancel())
        second.append(self.after(0.1, "b"))
        self.clock.advance(1)
        self.assertEqual(self.fired, [])

    def test_one_timer(self) -> None:
        for number in range(100):
            self.after(1 + number / 100, "x")
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)

    def test_an_earlier_one_moves_the_timer(self) -> None:
        self.after(5, "late")
        self.after(0.1, "soon")
        self.clock.advance(0.2)
        self.assertEqual(self.fired, ["soon"])
        self.clock.advance(5)
        self.assertEqual(self.fired, ["soon", "late"])

    def test_cancelled_ones_leave_no_timer_for_good(self) -> None:
        """They cost one ring, which finds the buckets empty."""
        for number in range(50):
            self.after(1 + number, "x").cancel()
        self.clock.advance(1.1)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_set_while_one_fires(self) -> None:
        self.deadlines.after(0.1, lambda: self.after(0.0, "again"))
        self.clock.advance(0.2)
        self.clock.advance(0.2)
        self.assertEqual(self.fired, ["again"])

    def test_one_that_fails_takes_no_other_with_it(self) -> None:
        self.deadlines.after(0.1, _fail)
        self.after(0.1, "same bucket")
        self.after(0.5, "later")
        self.clock.advance(1)
        self.clock.advance(1)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.fired, ["same bucket", "later"])

    def test_long_and_negative(self) -> None:
        self.after(2**31 / 1000, "never")
        self.after(-5, "now")
        self.clock.advance(2 * BUCKET_S)
        self.assertEqual(self.fired, ["now"])

    def test_stop(self) -> None:
        self.after(0.1, "a")
        self.deadlines.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.clock.advance(1)
        self.assertEqual(self.fired, [])


def _note(fired: dict[int, float], number: int, clock: Any) -> None:
    fired.setdefault(number, clock.seconds())


def _fail() -> None:
    raise ZeroDivisionError
