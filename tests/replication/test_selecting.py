"""Which replica a consumer is told to read from."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from streamline.interfaces import IReplicaSelector
from streamline.plugins import make
from streamline.replication.selecting import LeaderOnly, RackAware
from streamline.testing.contracts import selector

RACKS = {1: "a", 2: "b", 3: "b", 4: None}


class SelectingTests(SynchronousTestCase):
    """Node 1 leads, in rack a; 2 and 3 are in rack b, and 4 is in none."""

    def test_rack_aware(self) -> None:
        aware = RackAware()
        for rack, node_id in (("a", 1), ("b", 2), ("c", 1), ("", 1), (None, 1)):
            self.assertEqual(aware.select(1, RACKS, rack), node_id, rack)
        self.assertEqual(aware.select(3, RACKS, "b"), 3)

    def test_leader(self) -> None:
        self.assertEqual([LeaderOnly().select(1, RACKS, rack) for rack in ("a", "b", None)], [1, 1, 1])

    def test_by_setting(self) -> None:
        """C{any} is what C{rack} was called before."""
        for reads, kind in (("rack", RackAware), ("any", RackAware), ("leader", LeaderOnly)):
            self.assertIsInstance(make(IReplicaSelector, reads, None, None), kind)


class RackAwareContractTests(selector.SelectorContract):
    """What every selector promises."""

    def make_selector(self) -> IReplicaSelector:
        """Make it."""
        return RackAware()


class LeaderOnlyContractTests(selector.SelectorContract):
    """What every selector promises."""

    def make_selector(self) -> IReplicaSelector:
        """Make it."""
        return LeaderOnly()
