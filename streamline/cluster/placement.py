"""
Where a new partition's replicas go: C{rack_spread}.

Leaders take turns through all nodes, so every node leads as many new partitions
as any other, give or take one.  Each further replica goes to a rack that the
partition uses least, there to the node with the fewest replicas so far, and
among those to the one that follows this leader least often: when a node goes,
what it led is spread over all the others rather than over its neighbour.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from zope.interface import implementer

from streamline.errors import ErrorCode, Refused
from streamline.interfaces import IPlacement


@implementer(IPlacement)
class RackSpread:
    """Keeps leaders even, replicas even, and the replicas of a partition in different racks as far as they go."""

    def __init__(self, *_: object) -> None:
        """Take the node's host and settings, as every plugin; neither is needed."""

    def place(
        self, racks: Mapping[int, str | None], partitions: int, replication_factor: int, first: int
    ) -> list[tuple[int, ...]]:
        """Return each partition's replicas, the preferred leader first."""
        if not 0 < replication_factor <= len(racks):
            raise Refused(
                ErrorCode.INVALID_REPLICATION_FACTOR,
                f"replication factor {replication_factor} needs as many live nodes, there are {len(racks)}",
            )
        nodes = alternate_racks(racks)
        start = first % len(nodes)
        spread = _Spread(nodes[start:] + nodes[:start], racks)
        return [spread.next_partition(replication_factor) for _ in range(partitions)]


class _Spread:
    """What was placed so far."""

    def __init__(self, nodes: list[int], racks: Mapping[int, str | None]) -> None:
        self._nodes = nodes
        self._racks = racks
        self._replicas: Counter[int] = Counter()
        self._pairs: Counter[tuple[int, int]] = Counter()
        self._turn = 0

    def next_partition(self, replication_factor: int) -> tuple[int, ...]:
        """Place one more partition."""
        at = self._turn % len(self._nodes)
        self._turn += 1
        leader = self._nodes[at]
        others = self._nodes[at + 1 :] + self._nodes[:at]
        placed = [leader]
        used = Counter([self._racks[leader]])
        while len(placed) < replication_factor:
            # The first of equals, in the order of nodes after the leader.
            node = min(
                (other for other in others if other not in placed),
                key=lambda other: (used[self._racks[other]], self._replicas[other], self._pairs[leader, other]),
            )
            placed.append(node)
            used[self._racks[node]] += 1
            self._pairs[leader, node] += 1
        self._replicas.update(placed)
        return tuple(placed)


def alternate_racks(racks: Mapping[int, str | None]) -> list[int]:
    """Return the nodes so that neighbours are in different racks as far as possible."""
    by_rack: dict[str, list[int]] = {}
    for node in sorted(racks):
        by_rack.setdefault(racks[node] or "", []).append(node)
    order: list[int] = []
    while by_rack:
        for rack in sorted(by_rack):
            order.append(by_rack[rack].pop(0))
            if not by_rack[rack]:
                del by_rack[rack]
    return order
