"""
The contract of L{IPlacement}.

Subclass L{PlacementContract} and say how to make yours::

    class MyPlacementTests(placement.PlacementContract):
        def make_placement(self):
            return MyPlacement()
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from streamline.errors import ErrorCode, Refused
from streamline.interfaces import IPlacement

RACKS = st.dictionaries(st.integers(1, 9), st.sampled_from(["a", "b", "c", None]), min_size=1)


class PlacementContract(SynchronousTestCase):
    """A suite to be subclassed."""

    def make_placement(self) -> IPlacement:
        """Return the placement under test."""
        raise NotImplementedError("say how to make the placement")

    def test_interface(self) -> None:
        """It has everything that its interface names."""
        verifyObject(IPlacement, self.make_placement())

    def test_too_few_nodes(self) -> None:
        """A replication factor that cannot be had is refused, whatever else is asked for."""
        for nodes, factor in ((1, 2), (1, 0), (3, -1), (3, 4), (0, 1)):
            racks = dict.fromkeys(range(1, nodes + 1))
            refusal = self.assertRaises(Refused, self.make_placement().place, racks, 1, factor, 0)
            self.assertEqual(refusal.code, ErrorCode.INVALID_REPLICATION_FACTOR)

    @given(RACKS, st.integers(1, 12), st.integers(0, 20), st.data())
    def test_any_cluster(self, racks: dict[int, str | None], partitions: int, first: int, data: st.DataObject) -> None:
        """Every partition gets as many replicas as were asked for, on live nodes, none twice."""
        factor = data.draw(st.integers(1, len(racks)))
        placed = self.make_placement().place(racks, partitions, factor, first)
        self.assertEqual(len(placed), partitions)
        for replicas in placed:
            self.assertEqual(len(replicas), factor)
            self.assertEqual(len(dict.fromkeys(replicas)), factor)
            self.assertLessEqual(set(replicas), set(racks))

    @given(RACKS, st.integers(1, 12), st.integers(0, 20))
    def test_same_question_same_answer(self, racks: dict[int, str | None], partitions: int, first: int) -> None:
        """In whatever order the nodes are named."""
        turned = dict(reversed(racks.items()))
        one, two = (self.make_placement().place(given, partitions, 1, first) for given in (racks, turned))
        self.assertEqual(one, two)
