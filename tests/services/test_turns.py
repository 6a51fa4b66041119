"""Long work in short turns, and one outcome for many."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from streamline.services.sharing import Shared
from streamline.services.turns import Turns, next_turn


class TurnsTests(SynchronousTestCase):
    """A step in a turn, and no Deferred where there is only one."""

    def setUp(self) -> None:
        """Make a clock."""
        self.clock = cast(Any, Clock())
        self.turns = Turns(self.clock)
        self.steps: list[int] = []

    def turn(self) -> None:
        """Let the reactor turn once; C{Clock.advance} goes on while anything is due."""
        (call,) = self.clock.getDelayedCalls()
        due, args = call.func, call.args
        call.cancel()
        due(*args)

    def work(self, count: int) -> Generator[None, None, str]:
        """Pause so many times."""
        for number in range(count):
            self.steps.append(number)
            yield
        return "done"

    def test_no_pause(self) -> None:
        self.assertEqual(self.turns.work_off(self.work(0)), "done")

    def test_a_turn_for_each_step(self) -> None:
        done = self.turns.work_off(self.work(3))
        assert isinstance(done, Deferred)
        for turn in range(3):
            self.assertEqual(self.steps, list(range(turn + 1)))
            self.assertNoResult(done)
            self.turn()
        self.assertEqual(self.successResultOf(done), "done")

    def test_fails_at_once_or_later(self) -> None:
        def fails(pauses: int) -> Generator[None, None, None]:
            yield from [None] * pauses
            raise KeyError

        self.assertRaises(KeyError, self.turns.work_off, fails(0))
        done = self.turns.work_off(fails(1))
        assert isinstance(done, Deferred)
        self.clock.advance(0)
        self.failureResultOf(done, KeyError)

    def test_cancelled(self) -> None:
        done = self.turns.work_off(self.work(3))
        assert isinstance(done, Deferred)
        done.cancel()
        self.failureResultOf(done, CancelledError)
        self.clock.advance(1)
        self.assertEqual(self.steps, [0])

    def test_next_turn(self) -> None:
        turn = next_turn(self.clock)
        self.assertNoResult(turn)
        self.clock.advance(0)
        self.successResultOf(turn)


class SharedTests(SynchronousTestCase):
    """Everybody who asked before the outcome came hears of it."""

    def test_told(self) -> None:
        shared: Shared[int] = Shared()
        self.assertFalse(shared.is_awaited)
        waiting = [shared.wait(), shared.wait()]
        self.assertTrue(shared.is_awaited)
        shared.tell(5)
        self.assertEqual([self.successResultOf(one) for one in waiting], [5, 5])
        self.assertNoResult(shared.wait())

    def test_failure(self) -> None:
        shared: Shared[int] = Shared()
        waiting = [shared.wait(), shared.wait()]
        shared.tell(Failure(KeyError()))
        for one in waiting:
            self.failureResultOf(one, KeyError)

    def test_followed(self) -> None:
        shared: Shared[int] = Shared()
        source: Deferred[int] = Deferred()
        waiting = shared.wait()
        shared.follow(source)
        source.callback(7)
        self.assertEqual(self.successResultOf(waiting), 7)

    def test_asked_again_while_told(self) -> None:
        """Whoever comes later starts anew."""
        shared: Shared[int] = Shared()
        again: list[Deferred[int]] = []
        shared.wait().addCallback(lambda _: again.append(shared.wait()))
        shared.tell(5)
        self.assertNoResult(again[0])

    def test_one_that_gave_up(self) -> None:
        shared: Shared[int] = Shared()
        first, second = shared.wait(), shared.wait()
        first.cancel()
        self.failureResultOf(first, CancelledError)
        shared.tell(5)
        self.assertEqual(self.successResultOf(second), 5)
