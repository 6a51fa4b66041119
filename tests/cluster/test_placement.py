"""Where replicas go."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from streamline.cluster.placement import RackSpread, alternate_racks
from streamline.errors import ErrorCode, Refused
from streamline.interfaces import IPlacement

RACKS = st.dictionaries(st.integers(1, 9), st.sampled_from(["a", "b", "c", None]), min_size=1)


class RackSpreadTests(SynchronousTestCase):
    """Leaders are even, replicas apart."""

    def test_interface(self) -> None:
        verifyObject(IPlacement, RackSpread())

    def test_one_node(self) -> None:
        self.assertEqual(RackSpread().place({7: None}, 3, 1, 0), [(7,), (7,), (7,)])

    def test_racks_alternate(self) -> None:
        self.assertEqual(alternate_racks({1: "a", 2: "a", 3: "b", 4: "b", 5: "a"}), [1, 3, 2, 4, 5])
        placed = RackSpread().place({1: "a", 2: "a", 3: "b", 4: "b"}, 4, 2, 0)
        self.assertEqual(placed, [(1, 3), (3, 2), (2, 4), (4, 1)])

    def test_begins_where_chance_says(self) -> None:
        self.assertEqual(RackSpread().place({1: None, 2: None, 3: None}, 2, 1, 2), [(3,), (1,)])

    def test_too_few_nodes(self) -> None:
        for factor in (2, 0, -1):
            refusal = self.assertRaises(Refused, RackSpread().place, {1: None}, 1, factor, 0)
            self.assertEqual(refusal.code, ErrorCode.INVALID_REPLICATION_FACTOR)
        self.assertRaises(Refused, RackSpread().place, {}, 1, 1, 0)

    @given(RACKS, st.integers(1, 12), st.data())
    def test_any_cluster(self, racks: dict[int, str | None], partitions: int, data: st.DataObject) -> None:
        factor = data.draw(st.integers(1, len(racks)))
        first = data.draw(st.integers(0, 20))
        placed = RackSpread().place(racks, partitions, factor, first)
        self.assertEqual(len(placed), partitions)
        for replicas in placed:
            self.assertEqual(len(dict.fromkeys(replicas)), factor)
        leaders = Counter(replicas[0] for replicas in placed)
        self.assertLessEqual(max(leaders.values()) - min(leaders[node] for node in racks), 1)
