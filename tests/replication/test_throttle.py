"""How fast replicas that lack something are copied."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from streamline.replication.throttle import UNLIMITED, Throttle, is_throttled

NOW_S = 50.0


class ThrottleTests(SynchronousTestCase):
    """A thousand bytes a second."""

    def setUp(self) -> None:
        """Limit it."""
        self.throttle = Throttle()
        self.throttle.limit(1000, NOW_S)

    def free_after(self, seconds: float) -> None:
        """Expect it to be full until then."""
        self.assertTrue(self.throttle.is_full(NOW_S + seconds - 0.001))
        self.assertFalse(self.throttle.is_full(NOW_S + seconds))

    def test_paid_afterwards(self) -> None:
        """A chunk is copied whole; then nothing is for as long as it should have taken."""
        self.assertFalse(self.throttle.is_full(NOW_S))
        self.throttle.used(2500, NOW_S)
        self.free_after(2.5)

    def test_on_the_average(self) -> None:
        """What several copy at one moment is paid by all of them; time that nobody used is not saved up."""
        self.throttle.used(1000, NOW_S)
        self.throttle.used(500, NOW_S)
        self.free_after(1.5)
        self.throttle.used(100, NOW_S + 10.0)
        self.free_after(10.1)
        self.assertEqual(self.throttle.used_bytes, 1600)

    def test_another_rate(self) -> None:
        """What is not paid yet is paid at the new one."""
        self.throttle.used(4000, NOW_S)
        self.throttle.limit(2000, NOW_S + 2.0)
        self.free_after(3.0)

    def test_no_limit(self) -> None:
        self.throttle.used(1 << 40, NOW_S)
        self.throttle.limit(UNLIMITED, NOW_S)
        self.throttle.used(1 << 40, NOW_S)
        self.assertFalse(self.throttle.is_full(NOW_S))


class NamedTests(SynchronousTestCase):
    """Which replicas a topic's setting names."""

    def test_named(self) -> None:
        self.assertTrue(is_throttled("0:1, 2:3", 2, 3))
        for replicas in ("", "2:1,0:3", "12:3,2:31"):
            self.assertFalse(is_throttled(replicas, 2, 3), replicas)

    def test_all(self) -> None:
        self.assertTrue(is_throttled("*", 2, 3))
