"""
Stands before a simulated controller where leaders ask for other ISRs, and for a while lets them in badly.

What a leader asked for may be heard late, after what it asked for later, and the answer may not come at all: the leader
knows nothing then, and the controller may have agreed or may yet agree (KIP-497).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from streamline.net.peer_apis import Guest
from streamline.node import Node
from streamline.testing.simulation.cluster.between import GoBetween
from streamline.testing.simulation.machine import Process
from streamline.wire.messages.peer import AlterPartitionRequest

LATE_MEAN_S = 0.8
LATE_CHANCE = 0.7


class Usher(GoBetween):
    """Stands before one node's controller, and counts how requests were let in and answers let out."""

    def serve(self, node: Node, process: Process) -> None:
        """Stand before a node that has been built."""
        if node.room is not None:
            answers = node.room.factory.answers
            api = answers[AlterPartitionRequest.KEY]
            answers[AlterPartitionRequest.KEY] = evolve(api, answer=partial(self._may_ask, api.answer, process))

    def _may_ask(self, hear: Callable[[Guest, Any], Any], process: Process, guest: Guest, request: Any) -> Any:
        if not self._is_bad:
            self._count("as it came")
            return hear(guest, request)
        is_lost, answer = self._loses(), Deferred[Any]()
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
