"""
Brings a simulated node what the controller pushes, and for a while does it badly.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from attrs import evolve

from streamline.api import pushes
from streamline.cluster.foresight import Foresight
from streamline.net.peer_apis import Guest, PeerApi
from streamline.node import Node
from streamline.testing.simulation.cluster.between import GoBetween
from streamline.testing.simulation.machine import Process

LATE_MEAN_S = 0.3
TWICE_CHANCE = 0.3


class Courier(GoBetween):
    """
    Stands between the controller and one node.

    It counts pushes that were brought as they came, late, twice, or not at all, and how many roles of partitions they
    were the first to bring.
    """

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
        if not self._is_bad:
            self._count("as it came")
            return bring(guest, push)
        if self._loses():
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
