"""
Which replica a consumer reads from: the leader, or one that is nearer (KIP-392).
"""

from __future__ import annotations

from collections.abc import Mapping

from zope.interface import implementer

from streamline.interfaces import IReplicaSelector


@implementer(IReplicaSelector)
class LeaderOnly:
    """Everybody reads from the leader."""

    reads_followers = False

    def __init__(self, *_: object) -> None:
        """Take the node's host and settings, as every plugin; neither is needed."""

    def select(self, leader: int, replicas: Mapping[int, str | None], client_rack: str | None) -> int:
        """Return the leader."""
        return leader


@implementer(IReplicaSelector)
class RackAware:
    """A consumer reads in its own rack, where a replica in sync is in it; the leader comes before the others there."""

    reads_followers = True

    def __init__(self, *_: object) -> None:
        """Take the node's host and settings, as every plugin; neither is needed."""

    def select(self, leader: int, replicas: Mapping[int, str | None], client_rack: str | None) -> int:
        """Return the node to read from."""
        if not client_rack or replicas.get(leader) == client_rack:
            return leader
        return next((node_id for node_id, rack in replicas.items() if rack == client_rack), leader)
