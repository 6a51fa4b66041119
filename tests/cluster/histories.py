"""Histories of one partition, drawn from seeds, that have to end well."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Protocol, TypeVar

from twisted.trial.unittest import SynchronousTestCase

from tests.cluster.isr_model import Violated

EVENTS = 800


class Eventful(Protocol):
    """A world in which something happens; what must not be raises L{Violated}."""

    def step(self) -> None:
        """Have something happen."""

    def heal(self) -> None:
        """Let everybody come back."""


W = TypeVar("W", bound=Eventful)


class HistoryCase(SynchronousTestCase):
    """Each seed is a history; a failure names it."""

    def lived(self, history: Callable[[int, int], W], seed: int) -> W:
        """
        Run one history to its end, and let everybody come back.

        @param history: makes a world of a seed and C{min.insync.replicas}.
        """
        world = history(seed, Random(seed).choice((1, 2, 2, 3)))
        try:
            for _ in range(EVENTS):
                world.step()
            world.heal()
        except Violated as violation:
            self.fail(f"seed {seed}: {violation}")
        return world
