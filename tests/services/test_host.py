"""What production does for its process."""

from __future__ import annotations

import gc
import sys
import weakref

from twisted.trial.unittest import SynchronousTestCase

from streamline.services.collector import COLLECTOR_THRESHOLDS, calm_collector, collector_held
from streamline.services.host import SWITCH_S, share_interpreter


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

    def test_held(self) -> None:
        """Nothing is looked at while a node is put together, nor what was made then afterwards; garbage goes later."""

        class Node:
            """Something in a cycle."""

        with collector_held():
            self.assertFalse(gc.isenabled())
            node = Node()
            node.itself = node  # type: ignore[attr-defined]
            seen = weakref.ref(node)
            del node
        self.assertTrue(gc.isenabled())
        self.assertEqual(gc.get_threshold(), COLLECTOR_THRESHOLDS, "what a start makes next is no garbage either")
        self.assertGreater(gc.get_freeze_count(), 10_000)
        gc.collect()
        self.assertIsNotNone(seen())
        calm_collector()
        self.assertIsNone(seen())

    def test_held_by_what_fails(self) -> None:
        with self.assertRaises(KeyError), collector_held():
            raise KeyError("no node")
        self.assertTrue(gc.isenabled())


class InterpreterTests(SynchronousTestCase):
    """The reactor and the threads of the disk take turns."""

    def test_turns_are_short(self) -> None:
        self.addCleanup(sys.setswitchinterval, sys.getswitchinterval())
        share_interpreter()
        self.assertLess(SWITCH_S, 0.001)
        self.assertAlmostEqual(sys.getswitchinterval(), SWITCH_S)
