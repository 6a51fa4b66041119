"""
What stands between nodes of a simulated cluster that ask each other, and for a while serves them badly.
"""

from __future__ import annotations

from random import Random

from streamline.testing.simulation.world import Simulation


class GoBetween:
    """
    Serves well, until it is told to serve badly for a while.

    @ivar counts: how often it did what.
    """

    def __init__(self, simulation: Simulation) -> None:
        self.counts: dict[str, int] = {}
        self._simulation = simulation
        self._bad_until = 0.0
        self._loss = 0.0
        self._rng = Random(0)

    def spoil(self, length_s: float, loss: float, rng: Random) -> bool:
        """Serve badly from now on for so many seconds, and lose this share of it."""
        self._bad_until, self._loss, self._rng = self._simulation.now + length_s, loss, rng
        return True

    def mend(self) -> None:
        """Serve well from now on."""
        self._bad_until = 0.0

    @property
    def _is_bad(self) -> bool:
        return self._simulation.now < self._bad_until

    def _loses(self) -> bool:
        return self._rng.random() < self._loss

    def _count(self, how: str, count: int = 1) -> None:
        self.counts[how] = self.counts.get(how, 0) + count
