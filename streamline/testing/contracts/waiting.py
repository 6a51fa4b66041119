"""
Waiting in simulated time, for suites whose nodes agree on something.
"""

from __future__ import annotations

import gc
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from streamline.errors import ErrorCode, Refused
from streamline.testing.simulation import MachineDown, Simulation

T = TypeVar("T")


class WaitingCase(SynchronousTestCase):
    """
    Lets a simulation go on until something is so.

    @ivar deadline_s: longest that anything is waited for, in simulated seconds.
    @ivar simulation: the world of the present history.
    """

    deadline_s = 60.0
    simulation: Simulation

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.simulation.run(self.simulation.now + seconds)

    def run_until(self, enough: Any, within_s: float | None = None) -> None:
        """Let time pass until something is so."""
        longest_s = self.deadline_s if within_s is None else within_s
        if not enough():
            self.simulation.run(self.simulation.now + longest_s, enough)
        self.assertTrue(enough(), f"not so after {longest_s} s; seed {self.simulation.seed}")

    def outcome_of(self, deferred: Deferred[T]) -> T | Failure:
        """Wait for a Deferred; return its result or its failure."""
        outcome: list[T | Failure] = []
        deferred.addBoth(outcome.append)
        self.run_until(lambda: outcome)
        return outcome[0]

    def result_of(self, deferred: Deferred[T]) -> T:
        """Wait for a Deferred; return its result or raise its failure."""
        outcome = self.outcome_of(deferred)
        if isinstance(outcome, Failure):
            outcome.raiseException()
        return outcome

    def refusal_of(self, deferred: Deferred[Any]) -> ErrorCode:
        """Wait for a Deferred to be refused; return with which code."""
        refusal: Refused = self.assertRaises(Refused, self.result_of, deferred)
        return refusal.code

    def forget_the_dead(self) -> None:
        """A death within a Deferred's callback ends up in that Deferred, and is no error of anybody's."""
        gc.collect()
        self.flushLoggedErrors(MachineDown)
