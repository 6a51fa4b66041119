"""
How fast replicas that have fallen behind are copied (KIP-73): so many bytes a second, for all on a node together.

Whoever copies pays afterwards: a chunk is never cut, and after it nobody copies for as long as it should have taken.
So the rate holds on the average, however large chunks are, and those who wait come in turn.
"""

from __future__ import annotations

from typing import Final

UNLIMITED: Final = 2**63 - 1
"""Kafka's default of both rates."""


class Throttle:
    """
    One node's share, in one direction.

    @ivar rate: bytes a second.
    @ivar free_s: until then nobody copies.
    @ivar used_bytes: copied under it so far.
    """

    def __init__(self) -> None:
        self.rate = UNLIMITED
        self.free_s = float("-inf")
        self.used_bytes = 0

    def limit(self, rate: int, now_s: float) -> None:
        """Go on at another rate, at which the rest of what was copied last is paid as well."""
        owed_bytes = max(0.0, self.free_s - now_s) * self.rate
        self.rate = rate
        self.free_s = now_s + owed_bytes / rate if rate < UNLIMITED else float("-inf")

    def is_full(self, now_s: float) -> bool:
        """Say whether nobody may copy now."""
        return now_s < self.free_s

    def used(self, size_bytes: int, now_s: float) -> None:
        """Hear that so much was copied."""
        self.used_bytes += size_bytes
        if self.rate < UNLIMITED:
            self.free_s = max(self.free_s, now_s) + size_bytes / self.rate


def is_throttled(replicas: str, partition: int, node_id: int) -> bool:
    """
    Say whether a topic's setting names a replica.

    @param replicas: C{*} for all, or C{partition:node} with commas between, as in
        C{leader.replication.throttled.replicas}.
    """
    named = [one.strip() for one in replicas.split(",")]
    return "*" in named or f"{partition}:{node_id}" in named
