"""Long work in short turns, and one outcome for many."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, cast

from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from streamline.services.sharing import Shared
from streamline.services.turns import BUSY_S, GATHERED_PER_TURN, SHARE_S, TURN_S, Pace, Turns, next_turn


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

    def test_many_are_gathered_in_turns(self) -> None:
        """In order, some of them later, and the first that fails is told."""
        late: Deferred[int] = Deferred()
        done = Deferred.fromCoroutine(self.turns.gather([*map(succeed, range(GATHERED_PER_TURN)), late]))
        self.assertNoResult(done)
        self.turn()
        late.callback(-1)
        self.assertEqual(self.successResultOf(done), [*range(GATHERED_PER_TURN), -1])
        self.failureResultOf(Deferred.fromCoroutine(self.turns.gather([succeed(1), fail(KeyError())])), KeyError)

    def test_pace(self) -> None:
        """Pieces are counted from one pause to the next."""
        pace = Pace(10)
        self.assertEqual([pace.is_due(count) for count in (9, 1, 9, 25, 9, 1)], [False, True, False, True, False, True])

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


class SteppedClock(Clock):
    """A clock that stands still while it calls what is due, unless a step says how long it took."""

    def took(self, seconds: float) -> None:
        """Let time pass as a step does."""
        self.rightNow += seconds


class SharingTests(SynchronousTestCase):
    """Those that have much to do share the turns, and whoever comes with little does not wait for them."""

    def setUp(self) -> None:
        """Make a clock that steps move."""
        self.clock = cast(Any, SteppedClock())
        self.turns = Turns(self.clock)
        self.done: list[str] = []

    def step(self, name: str, seconds: float, times: int = 1) -> Callable[[], None]:
        """Return a step that takes so long, and asks for another turn until it has had so many."""
        left = [times]

        def work() -> None:
            self.done.append(name)
            self.clock.took(seconds)
            left[0] -= 1
            if left[0]:
                self.turns.later(work)

        return work

    def turn(self) -> list[str]:
        """Let the reactor turn once; return what was done in it."""
        (call,) = self.clock.getDelayedCalls()
        due = call.func
        call.cancel()
        self.done = []
        due()
        return self.done

    def spend(self, seconds: float) -> None:
        """Work without asking, as a pass over a socket does."""
        self.turns.spend(seconds)

    def test_one_timer_for_all(self) -> None:
        for name in "abc":
            self.turns.later(self.step(name, 0.0))
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.assertEqual(self.turn(), ["a", "b", "c"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_only_half_a_turn_for_those_that_wait(self) -> None:
        """The other half is for those that come meanwhile."""
        for name in "abcd":
            self.turns.later(self.step(name, BUSY_S / 2))
        self.assertEqual(self.turn(), ["a", "b"])
        self.assertAlmostEqual(self.turns.left_s, min(TURN_S / 3, TURN_S - BUSY_S))
        self.assertEqual(self.turn(), ["c", "d"])

    def test_a_long_step_ends_the_turn(self) -> None:
        self.turns.later(self.step("long", 1.0))
        self.turns.later(self.step("next", 0.0))
        self.assertEqual(self.turn(), ["long"])
        self.assertEqual(self.turns.spent_s, 1.0)
        self.assertLess(self.turns.left_s, 0)
        self.assertEqual(self.turn(), ["next"])

    def test_one_after_the_other(self) -> None:
        """Who is not done goes to the end, and nobody has two steps in a turn."""
        self.turns.later(self.step("a", 0.0, 3))
        self.turns.later(self.step("b", BUSY_S, 2))
        self.turns.later(self.step("c", 0.0, 1))
        self.assertEqual([self.turn() for _ in range(3)], [["a", "b"], ["c", "a", "b"], ["a"]])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_newcomers_first(self) -> None:
        """Whoever finds the turn used up comes before all who had a share already, and after that among them."""
        for number in range(1000):
            self.turns.later(self.step(f"busy {number}", BUSY_S))
        self.spend(TURN_S)
        self.turns.later(self.step("new", 0.0, 2))
        self.turns.later(self.step("newer", 0.0))
        self.assertEqual(self.turn(), ["new", "newer", "busy 0"])
        self.assertEqual(self.turn(), ["busy 1"], "it is no newcomer any more")

    def test_who_had_something_is_no_newcomer(self) -> None:
        self.turns.later(self.step("busy", BUSY_S))
        self.spend(TURN_S - SHARE_S)
        self.turns.later(self.step("also busy", BUSY_S))
        self.assertEqual(self.turn(), ["busy"])

    def test_newcomers_share_turns_too(self) -> None:
        """However many come, those that wait get on: one in each turn."""
        for name in ("busy 1", "busy 2"):
            self.turns.later(self.step(name, 0.0))
        self.spend(TURN_S)
        for number in range(5):
            self.turns.later(self.step(f"new {number}", TURN_S / 2))
        self.assertEqual(self.turn(), ["new 0", "new 1", "busy 1"])
        self.assertEqual(self.turn(), ["new 2", "new 3", "busy 2"])
        self.assertEqual(self.turn(), ["new 4"])

    def test_who_had_a_step_is_no_newcomer(self) -> None:
        """Even where newcomers had used up the turn before it came to that step."""
        self.turns.later(self.step("busy", 0.0, 2))
        self.spend(TURN_S)
        self.turns.later(self.step("new", TURN_S))
        self.assertEqual(self.turn(), ["new", "busy"])
        self.turns.later(self.step("newer", 0.0))
        self.assertEqual(self.turn(), ["newer", "busy"])

    def test_shares(self) -> None:
        """The more there are, the less each may do, but always something when it is its turn."""
        self.assertEqual((self.turns.left_s, self.turns.share), (TURN_S, 1.0))
        found: list[float] = []
        for _ in range(4):
            self.turns.later(lambda: found.append(self.turns.left_s))
        self.turn()
        self.assertEqual(found, [TURN_S * share for share in (1 / 4, 1 / 3, 1 / 2, 1)])
        self.turns.later(self.step("busy", 0.0))
        self.spend(TURN_S)
        self.turns.later(self.step("new", 0.0))
        self.assertEqual(self.turns.share, 1 / 3)
        self.turn()
        for _ in range(1000):
            self.turns.later(lambda: found.append(self.turns.left_s))
        self.assertEqual(self.turns.left_s, SHARE_S)
        found.clear()
        self.spend(1.0)
        self.turns.later(self.step("new", 1.0))
        self.turn()
        self.assertEqual(found, [SHARE_S], "even after a newcomer that took all of the turn")

    def test_what_is_left(self) -> None:
        """Whoever works without asking uses up the turn for all, and the next turn begins anew."""
        self.spend(TURN_S / 4)
        self.assertAlmostEqual(self.turns.left_s, TURN_S * 3 / 4)
        self.spend(TURN_S)
        self.assertLess(self.turns.left_s, 0)
        self.turns.later(self.step("any", 0.001))
        self.turn()
        self.assertAlmostEqual(self.turns.spent_s, 0.001)

    def test_a_turn_that_is_half_used_up_is_followed_by_another(self) -> None:
        """So nobody who works without asking needs to know when a turn begins; little work needs no timer."""
        self.spend(BUSY_S)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.spend(SHARE_S)
        self.spend(SHARE_S)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.assertEqual(self.turn(), [])
        self.assertEqual(self.turns.left_s, TURN_S)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_long_step_is_not_held_against_the_next_turn(self) -> None:
        self.turns.later(self.step("long", 1.0))
        self.turn()
        self.assertLess(self.turns.left_s, 0)
        self.assertEqual(self.turn(), [])
        self.assertEqual(self.turns.left_s, TURN_S)

    def test_what_a_step_adds_itself_counts_once(self) -> None:
        def work() -> None:
            self.clock.took(0.002)
            self.spend(0.002)

        self.turns.later(work)
        self.turn()
        self.assertAlmostEqual(self.turns.spent_s, 0.002)

    def test_failure(self) -> None:
        """A step that fails is logged, and takes nobody's turn away."""

        def fails() -> None:
            raise KeyError("a step")

        self.turns.later(fails)
        self.turns.later(self.step("next", 0.0))
        self.assertEqual(self.turn(), ["next"])
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)
        self.turns.later(self.step("after", 0.0))
        self.assertEqual(self.turn(), ["after"])

    def test_next(self) -> None:
        """Who awaits a turn gets it in the order of all others."""
        self.turns.later(self.step("before", BUSY_S))
        mine = self.turns.next()
        self.turn()
        self.assertNoResult(mine)
        self.turn()
        self.successResultOf(mine)


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
