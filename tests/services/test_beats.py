"""What is done again and again is done at the same moments."""

from __future__ import annotations

from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from streamline.services.beats import until_beat

INTERVALS = st.sampled_from((0.25, 0.5, 1.0, 3.0, 60.0))


class BeatTests(SynchronousTestCase):
    """Moments are whole multiples of an interval."""

    @given(st.floats(0, 1e6), INTERVALS)
    def test_moments(self, now: float, every_s: float) -> None:
        """The next one is neither at once nor far away."""
        clock = cast(Any, Clock())
        clock.advance(now)
        delay_s = until_beat(clock, every_s)
        self.assertTrue(every_s / 2 < delay_s <= 1.5 * every_s, (now, every_s, delay_s))
        beats = (now + delay_s) / every_s
        self.assertAlmostEqual(beats, round(beats), places=3)

    def test_together(self) -> None:
        """Who begins at another time comes to the same moments."""
        clock = cast(Any, Clock())
        moments = []
        for _ in range(5):
            clock.advance(0.07)
            moments.append(clock.seconds() + until_beat(clock, 1.0))
        self.assertEqual([round(moment, 6) for moment in moments], [1.0] * 5)
