"""
Stands before a simulated controller where leaders ask for other ISRs, and for a while lets them in badly.

What a leader asked for may be heard late, after what it asked for later, and the answer may not come at all: the leader
knows nothing then, and the controller may have agreed or may yet agree (KIP-497).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from streamline.net.peer import Guest
from streamline.node import Node
from streamline.testing.simulation.machine import Process
from streamline.testing.simulation.world import Simulation
from streamline.wire.messages.peer import AlterPartitionRequest

LATE_MEAN_S = 0.8
LATE_CHANCE = 0.7


class Usher:
    """
    Stands before one node's controller.

    @ivar counts: how many requests were let in at once or late, and how many answers were let out or not.
    """

    def __init__(self, simulation: Simulation) -> None:
        self.counts: dict[str, int] = {}
        self._simulation = simulation
        self._bad_until = 0.0
        self._loss = 0.0
        self._rng = Random(0)

    def spoil(self, length_s: float, loss: float, rng: Random) -> bool:
        """Let requests in badly from now on; of some, the answer never comes."""
        self._bad_until, self._loss, self._rng = self._simulation.now + length_s, loss, rng
        return True

    def mend(self) -> None:
        """Let everybody in as they come."""
        self._bad_until = 0.0

    def serve(self, node: Node, process: Process) -> None:
        """Stand before a node that has been built."""
        if node.room is not None:
            answers = node.room.factory.answers
            api = answers[AlterPartitionRequest.KEY]
            answers[AlterPartitionRequest.KEY] = evolve(api, answer=partial(self._may_ask, api.answer, process))

    def _may_ask(self, hear: Callable[[Guest, Any], Any], process: Process, guest: Guest, request: Any) -> Any:
        if self._simulation.now >= self._bad_until:
            self._count("as it came")
            return hear(guest, request)
        is_lost, answer = self._rng.random() < self._loss, Deferred[Any]()
        delay_s = self._rng.expovariate(1 / LATE_MEAN_S) if self._rng.random() < LATE_CHANCE else 0.0
        self._count("late" if delay_s else "at once")

        def heard() -> None:
            said = hear(guest, request)
            if is_lost:
                self._count("unanswered")
                if isinstance(said, Deferred):
                    said.addErrback(_not_answered)
            elif isinstance(said, Deferred):
                said.addBoth(_pass_on, answer)
            else:
                _pass_on(said, answer)

        process.reactor.callLater(delay_s, heard)
        return answer

    def _count(self, how: str) -> None:
        self.counts[how] = self.counts.get(how, 0) + 1


def _pass_on(said: Any, answer: Deferred[Any]) -> None:
    """Say it, unless whoever asked has gone."""
    if answer.called:
        return
    if isinstance(said, Failure):
        answer.errback(said)
    else:
        answer.callback(said)


def _not_answered(failure: Failure) -> None:
    """Nobody hears that it failed."""
