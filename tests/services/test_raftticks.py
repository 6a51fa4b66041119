"""How a replica counts time: all of it while it hears no leader, as little as will do while it hears one."""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from streamline.services.raftticks import RESTING_TICKS, Ticks

TICK_S = 0.1


class TicksTests(SynchronousTestCase):
    """A follower rests."""

    def setUp(self) -> None:
        """Begin to count, as a follower."""
        self.clock = cast(Any, Clock())
        self.counted: list[int] = []
        self.is_follower = True
        self.ticks = Ticks(self.clock, TICK_S, self.counted.append, lambda: self.is_follower)

    def hear(self, times: int) -> None:
        """Let signs of life come, one a tick."""
        for _ in range(times):
            self.ticks.leader_heard()
            self.pass_time(TICK_S)

    def pass_time(self, seconds: float) -> None:
        """Let time pass in small steps."""
        for _ in range(round(seconds / 0.01)):
            self.clock.advance(0.01)

    def test_hearing_nobody(self) -> None:
        """Every tick is counted."""
        self.pass_time(2.005)
        self.assertIn(len(self.counted), (19, 20))
        self.assertEqual(set(self.counted), {1})

    def test_hearing_the_leader(self) -> None:
        """It wakes up for one in so many."""
        self.hear(40)
        self.assertLessEqual(len(self.counted), 2 + 40 // RESTING_TICKS)
        self.assertEqual(set(self.counted), {1})

    def test_when_it_falls_silent(self) -> None:
        """What has passed since it was heard last is counted, and from then on every tick."""
        self.hear(40)
        self.counted.clear()
        self.pass_time(1.0)
        self.assertTrue(7 <= sum(self.counted) <= 11, self.counted)
        self.assertLessEqual(max(self.counted), RESTING_TICKS)
        self.assertEqual(self.counted[-3:], [1, 1, 1])

    def test_a_stall(self) -> None:
        """Whoever stood still counts no more than was planned; the leader's words wait in the sockets (RF18)."""
        self.hear(40)
        self.counted.clear()
        self.clock.advance(30.0)
        self.assertLessEqual(sum(self.counted), RESTING_TICKS)

    def test_a_follower_no_more(self) -> None:
        """Who stands for election counts every tick from then on."""
        self.hear(40)
        self.counted.clear()
        self.is_follower = False
        self.ticks.look()
        self.pass_time(0.505)
        self.assertGreaterEqual(len(self.counted), 4)
        self.assertEqual(set(self.counted), {1})

    def test_one_that_may_not_rest(self) -> None:
        """A leader hears itself and counts all the same."""
        self.is_follower = False
        self.hear(20)
        self.assertGreaterEqual(len(self.counted), 19)

    def test_stopped(self) -> None:
        """Nothing is left."""
        self.ticks.stop()
        self.ticks.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
