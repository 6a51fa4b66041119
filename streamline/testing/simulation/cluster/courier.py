"""
Brings a simulated node what the controller pushes, and for a while does it badly.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any

from attrs import evolve

from streamline.api import pushes
from streamline.cluster.foresight import Foresight
from streamline.net.peer import Guest, PeerApi
from streamline.node import Node
from streamline.testing.simulation.machine import Process
from streamline.testing.simulation.world import Simulation

LATE_MEAN_S = 0.3
TWICE_CHANCE = 0.3


class Courier:
    """
    Stands between the controller and one node.

    @ivar counts: how many pushes were brought as they came, late, twice, or not at all, and how many roles of
        partitions they were the first to bring.
    """

    def __init__(self, simulation: Simulation) -> None:
        self.counts: dict[str, int] = {}
        self._simulation = simulation
        self._bad_until = 0.0
        self._loss = 0.0
        self._rng = Random(0)

    def spoil(self, length_s: float, loss: float, rng: Random) -> bool:
        """Bring pushes badly from now on: some never, some late or twice."""
        self._bad_until, self._loss, self._rng = self._simulation.now + length_s, loss, rng
        return True

    def mend(self) -> None:
        """Bring everything as it comes."""
        self._bad_until = 0.0

    def serve(self, node: Node, process: Process) -> None:
        """Stand before a node that has been built."""
        if node.room is None:
            return
        answers = node.room.factory.answers
        for request, response, _ in pushes.ANSWERS:
            api = answers[request.KEY]
            bring = partial(self._bring, node.broker.metadata.foresight, api)
            answers[request.KEY] = evolve(api, answer=partial(self._may_bring, bring, response, process))

    def _may_bring(
        self, bring: Callable[[Guest, Any], Any], response: type[Any], process: Process, guest: Guest, push: Any
    ) -> Any:
        if self._simulation.now >= self._bad_until:
            self._count("as it came")
            return bring(guest, push)
        if self._rng.random() < self._loss:
            self._count("lost")
            return response()
        process.reactor.callLater(self._rng.expovariate(1 / LATE_MEAN_S), bring, guest, push)
        if self._rng.random() < TWICE_CHANCE:
            self._count("twice")
            return bring(guest, push)
        self._count("late")
        return response()

    def _bring(self, foresight: Foresight, api: PeerApi, guest: Guest, push: Any) -> Any:
        before = foresight.taken
        answer = api.answer(guest, push)
        self._count("roles taken", foresight.taken - before)
        return answer

    def _count(self, how: str, count: int = 1) -> None:
        self.counts[how] = self.counts.get(how, 0) + count
