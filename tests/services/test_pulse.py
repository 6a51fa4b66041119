"""A heartbeat that notes how late it comes."""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from streamline.services.pulse import LATEST_MS, Pulse


class PulseTests(SynchronousTestCase):
    """What is late is counted, and nothing is left when it stops."""

    def setUp(self) -> None:
        """Start one."""
        self.clock = cast(Any, Clock())
        self.pulse = Pulse(self.clock)
        self.pulse.startService()

    def beat(self, *late_s: float) -> None:
        """Let beats come so late."""
        for late in late_s:
            (beat,) = self.clock.getDelayedCalls()
            self.clock.advance(beat.getTime() - self.clock.seconds() + late)

    def test_on_time(self) -> None:
        self.beat(*[0.0] * 50)
        self.assertEqual((self.pulse.beats, self.pulse.quantile_ms(0.999)), (50, 1))
        self.assertLess(self.pulse.longest_ms, 0.01)

    def test_late(self) -> None:
        self.beat(*[0.0] * 98, 0.0305, 0.2005)
        self.assertEqual([self.pulse.quantile_ms(share) for share in (0.5, 0.98, 0.99, 1.0)], [1, 1, 31, 201])
        self.assertAlmostEqual(self.pulse.longest_ms, 200.5, places=3)

    def test_later_than_anybody_counts(self) -> None:
        self.beat(LATEST_MS)
        self.assertEqual(self.pulse.quantile_ms(0.5), LATEST_MS + 1)

    def test_no_beats(self) -> None:
        self.assertEqual(self.pulse.quantile_ms(0.99), 0)

    def test_histogram(self) -> None:
        """A bound counts what was less late than it is, and the sum is that of all."""
        self.beat(*[0.0] * 7, 0.0095, 0.0105, 0.3)
        self.assertEqual(list(self.pulse.up_to((1, 10, 11, 300, 301))), [7, 8, 9, 9, 10])
        self.assertAlmostEqual(self.pulse.total_ms, 320, places=3)

    def test_reset(self) -> None:
        self.beat(0.5)
        self.pulse.reset()
        self.assertEqual((self.pulse.beats, self.pulse.longest_ms, self.pulse.quantile_ms(1.0)), (0, 0.0, 0))
        self.assertEqual((self.pulse.total_ms, list(self.pulse.up_to((10_000,)))), (0.0, [0]))

    def test_another_rate(self) -> None:
        """It beats as often as one wants."""
        self.pulse.stopService()
        self.pulse = Pulse(self.clock, 0.01)
        self.pulse.startService()
        began = self.clock.seconds()
        self.beat(*[0.0] * 10)
        self.assertEqual(self.pulse.beats, 10)
        self.assertAlmostEqual(self.clock.seconds() - began, 0.1, delta=0.01)

    def test_stopped(self) -> None:
        self.pulse.stopService()
        self.assertEqual(self.clock.getDelayedCalls(), [])
