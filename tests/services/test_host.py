"""What production does for its process."""

from __future__ import annotations

import gc

from twisted.trial.unittest import SynchronousTestCase

from streamline.services.host import COLLECTOR_THRESHOLDS, calm_collector


class CollectorTests(SynchronousTestCase):
    """The garbage collector leaves alone what stays."""

    def setUp(self) -> None:
        """Remember how it was."""
        self.addCleanup(gc.unfreeze)
        self.addCleanup(gc.set_threshold, *gc.get_threshold())

    def test_what_is_there_is_not_looked_at_again(self) -> None:
        calm_collector()
        self.assertGreater(gc.get_freeze_count(), 10_000)
        self.assertEqual(gc.get_threshold(), COLLECTOR_THRESHOLDS)

    def test_new_cycles_are_still_found(self) -> None:
        calm_collector()
        cycle: list[object] = []
        cycle.append(cycle)
        del cycle
        self.assertGreaterEqual(gc.collect(), 1)
