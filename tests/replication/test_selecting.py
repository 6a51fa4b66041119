"""Which replica a consumer is told to read from."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from streamline.interfaces import IReplicaSelector
from streamline.replication.selecting import SELECTORS, LeaderOnly, RackAware

RACKS = {1: "a", 2: "b", 3: "b", 4: None}


class SelectingTests(SynchronousTestCase):
    """Node 1 leads, in rack a; 2 and 3 are in rack b, and 4 is in none."""

    def test_rack_aware(self) -> None:
        selector = RackAware()
        for rack, node_id in (("a", 1), ("b", 2), ("c", 1), ("", 1), (None, 1)):
            self.assertEqual(selector.select(1, RACKS, rack), node_id, rack)
        self.assertEqual(selector.select(3, RACKS, "b"), 3)

    def test_leader(self) -> None:
        self.assertEqual([LeaderOnly().select(1, RACKS, rack) for rack in ("a", "b", None)], [1, 1, 1])

    def test_by_setting(self) -> None:
        for reads, kind in (("any", RackAware), ("leader", LeaderOnly)):
            selector = SELECTORS[reads]()
            verifyObject(IReplicaSelector, selector)
            self.assertIsInstance(selector, kind)
