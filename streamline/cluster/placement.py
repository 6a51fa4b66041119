"""Where a new partition's replicas go: C{rack_spread}, which keeps leaders even and racks apart."""

from __future__ import annotations

from collections.abc import Mapping

from zope.interface import implementer

from streamline.errors import ErrorCode, Refused
from streamline.interfaces import IPlacement


@implementer(IPlacement)
class RackSpread:
    """Take nodes in turn, alternating racks, and begin each partition one node further on."""

    def __init__(self, *_: object) -> None:
        """Take the node's host and settings, as every plugin; neither is needed."""

    def place(
        self, racks: Mapping[int, str | None], partitions: int, replication_factor: int, first: int
    ) -> list[tuple[int, ...]]:
        """Return each partition's replicas, the preferred leader first."""
        nodes = alternate_racks(racks)
        if not 0 < replication_factor <= len(nodes):
            raise Refused(
                ErrorCode.INVALID_REPLICATION_FACTOR,
                f"replication factor {replication_factor} needs as many live nodes, there are {len(nodes)}",
            )
        return [
            tuple(nodes[(first + partition + replica) % len(nodes)] for replica in range(replication_factor))
            for partition in range(partitions)
        ]


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
