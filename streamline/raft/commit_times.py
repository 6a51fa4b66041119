"""
How long it takes to agree: from a proposal on the node that leads until a majority is known to have it.

Kafka's C{commit-latency-avg} is the same.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate
from typing import Final

BOUNDS_S: Final = (
    0.0002, 0.0004, 0.0006, 0.0008, 0.001, 0.0012, 0.0015, 0.002, 0.003, 0.005,
    0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0,
)  # fmt: skip
"""Closer to each other where a sync or two and the way there and back come to."""


class CommitTimes:
    """
    Of commands that were proposed here, and committed while this node led.

    @ivar total_s: all together.
    """

    def __init__(self) -> None:
        self.total_s = 0.0
        self._counts = [0] * (len(BOUNDS_S) + 1)

    def note(self, seconds: float) -> None:
        """Count one."""
        self.total_s += seconds
        self._counts[bisect_left(BOUNDS_S, seconds)] += 1

    @property
    def count(self) -> int:
        """How many there were."""
        return sum(self._counts)

    def up_to(self) -> Iterator[tuple[float, int]]:
        """Yield each bound, and how many took no longer."""
        yield from zip(BOUNDS_S, accumulate(self._counts), strict=False)
