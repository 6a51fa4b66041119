"""
What a replica is given when it is made: how much it takes on, and who is to hear of its leader and of its end.
"""

from __future__ import annotations

from typing import Protocol

from streamline.errors import Refused
from streamline.values import frozen


@frozen(kw_only=True)
class Limits:
    """How much a replica takes on, and how long its ticks are."""

    tick_s: float
    snapshot_entries: int
    snapshot_bytes: int
    proposals_max: int


class Listener(Protocol):
    """Who hears of what concerns the node as a whole."""

    def leader_changed(self, leader_id: int | None, term: int) -> None:
        """Hear who leads; this node itself only once it has applied what was committed before its term."""

    def replica_failed(self, refusal: Refused) -> None:
        """Hear that this replica can take part no more; it has ended."""

    def handed_over(self) -> None:
        """Hear that a replica that was to stop leads no more, or has waited long enough."""
