"""
What must not happen while nothing goes wrong: in calm spans nobody is elected, and nobody who lives is fenced, or
leaves an ISR.
"""

from __future__ import annotations

from collections.abc import Callable

from streamline.testing.simulation.cluster.agreements import Agreements
from streamline.testing.simulation.cluster.oracle import Oracle
from streamline.testing.simulation.faults import Plan
from streamline.testing.simulation.world import Simulation

GRACE_S = 6.0
"""How long after the last fault a cluster may still be busy with it."""
AGAIN_S = 1.0
LINGERING = ("silence",)
"""What is found out only after a while that no fault has a length for."""


class Calm:
    """
    Watches the calm spans of one run.

    @ivar spans: how many it could watch.
    @param until: when the run's faults end.
    @param what_is_missing: says what keeps the cluster from being one; it is not watched before it is.
    """

    def __init__(
        self,
        simulation: Simulation,
        plan: Plan,
        until: float,
        oracle: Oracle,
        agreements: Agreements,
        what_is_missing: Callable[[], str],
    ) -> None:
        self.spans = 0
        self._until = until
        self._simulation = simulation
        self._plan = plan
        self._oracle = oracle
        self._agreements = agreements
        self._what_is_missing = what_is_missing

    def begin(self) -> None:
        """Watch them as they come."""
        if any(kind in LINGERING for kind in self._plan.kinds):
            return
        spans = self._plan.calm if self._plan.faults else ((0.0, self._until),)
        for start, end in spans:
            last = max((one.at + one.length_s for one in self._plan.faults if one.at < end), default=0.0)
            at = max(start, last) + GRACE_S
            if at < end:
                self._simulation.after(at - self._simulation.now, self._begins, end)

    def _begins(self, end: float) -> None:
        if not self._what_is_missing():
            self.spans += 1
            self._simulation.after(end - self._simulation.now, self._ends, *self._seen())
        elif self._simulation.now + AGAIN_S < end:
            self._simulation.after(AGAIN_S, self._begins, end)

    def _ends(self, elections: int, fenced: tuple[int, ...], dropped: int) -> None:
        now_elections, now_fenced, now_dropped = self._seen()
        if now_elections > elections:
            self._oracle.broke("StableInCalm", f"{now_elections - elections} elections although nothing went wrong")
        if now_fenced != fenced:
            self._oracle.broke("LiveIsUnfenced", f"nodes {now_fenced} are fenced although nothing went wrong")
        if now_dropped > dropped:
            self._oracle.broke("LiveIsInSync", f"{now_dropped - dropped} left an ISR although nothing went wrong")

    def _seen(self) -> tuple[int, tuple[int, ...], int]:
        brokers = self._oracle.tip.brokers
        fenced = tuple(node for node, broker in brokers.items() if not broker.is_active)
        return self._oracle.monitor.elections, fenced, self._agreements.dropped
