"""Where replicas go."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from streamline.cluster.placement import RackSpread, alternate_racks
from streamline.interfaces import IPlacement
from streamline.testing.contracts import placement
from streamline.testing.contracts.placement import RACKS


class RackSpreadTests(placement.PlacementContract):
    """Leaders are even, replicas apart."""

    def make_placement(self) -> IPlacement:
        """Return what is built in."""
        return RackSpread()

    def test_one_node(self) -> None:
        self.assertEqual(RackSpread().place({7: None}, 3, 1, 0), [(7,), (7,), (7,)])

    def test_racks_alternate(self) -> None:
        self.assertEqual(alternate_racks({1: "a", 2: "a", 3: "b", 4: "b", 5: "a"}), [1, 3, 2, 4, 5])
        placed = RackSpread().place({1: "a", 2: "a", 3: "b", 4: "b"}, 4, 2, 0)
        self.assertEqual(placed, [(1, 3), (3, 2), (2, 4), (4, 1)])

    def test_begins_where_chance_says(self) -> None:
        self.assertEqual(RackSpread().place({1: None, 2: None, 3: None}, 2, 1, 2), [(3,), (1,)])

    def test_a_small_rack_is_not_passed_over(self) -> None:
        """Three nodes in one rack and one in another: every partition is in both."""
        racks = {1: "a", 2: "a", 3: "a", 4: "b"}
        for replicas in RackSpread().place(racks, 12, 2, 0):
            self.assertEqual(sorted(racks[node] for node in replicas), ["a", "b"])

    def test_what_a_node_led_is_spread(self) -> None:
        """When it goes, all the others take over a part."""
        placed = RackSpread().place(dict.fromkeys(range(1, 6)), 40, 3, 0)
        heirs = Counter(replicas[1] for replicas in placed if replicas[0] == 1)
        self.assertEqual(sorted(heirs), [2, 3, 4, 5])

    @given(RACKS, st.integers(1, 40), st.data())
    def test_even_and_apart(self, racks: dict[int, str | None], partitions: int, data: st.DataObject) -> None:
        factor = data.draw(st.integers(1, len(racks)))
        first = data.draw(st.integers(0, 20))
        placed = RackSpread().place(racks, partitions, factor, first)
        for replicas in placed:
            self.check_racks(racks, replicas)
        self.check_even([replicas[0] for replicas in placed], racks, 1)

    def check_racks(self, racks: dict[int, str | None], replicas: tuple[int, ...]) -> None:
        """No rack has two more of a partition than another that has a node to spare."""
        used = Counter(racks[node] for node in replicas)
        for rack, size in Counter(racks.values()).items():
            if used[rack] < size:
                self.assertLessEqual(max(used.values()), used[rack] + 1)

    def check_even(self, placed: list[int], racks: dict[int, str | None], apart: int) -> None:
        """No node has many more than another."""
        counts = Counter(placed)
        self.assertLessEqual(max(counts[node] for node in racks) - min(counts[node] for node in racks), apart)

    @given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 60), st.integers(0, 20), st.data())
    def test_replicas_are_even(
        self, rack_count: int, rack_nodes: int, partitions: int, first: int, data: st.DataObject
    ) -> None:
        """Where racks are of one size, nodes have as many replicas as each other, give or take a few."""
        racks: dict[int, str | None] = {node: f"r{node % rack_count}" for node in range(rack_count * rack_nodes)}
        factor = data.draw(st.integers(1, len(racks)))
        placed = RackSpread().place(racks, partitions, factor, first)
        self.check_even([node for replicas in placed for node in replicas], racks, 2)
