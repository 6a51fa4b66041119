"""
Which node may lose what it has not synced: a fault atlas (reliability 8.2, F11).

A record that C{acks=all} has acknowledged is on as many replicas as C{min.insync.replicas} says, written and not
synced.  The promise is that it survives as long as one of these keeps what it wrote.  So with two of three, one node
at a time may lose its power or its disk, and another one only once the first has everything again: it is back, and
every ISR is full.
"""

from __future__ import annotations

from collections.abc import Sequence

from streamline.testing.simulation.cluster.oracle import Oracle
from streamline.testing.simulation.cluster.places import Place
from streamline.testing.simulation.faults import Fault
from streamline.testing.simulation.injector import RELAPSE_S
from streamline.testing.simulation.world import Simulation

LOSING = ("power", "crash-point", "lost-sync", "relapse", "wipe", "sync-error")
"""What may take from a node what it had written."""
LOSING_DISKS = ("wipe", "sync-error")
"""The same where all that counts is synced."""
SOUND_S = RELAPSE_S + 1.5
"""How long a node has to be sound until no second half of a fault is to come."""
EVERY_S = 0.5


class Atlas:
    """
    Lets one node lose something at a time.

    @ivar loser: whose turn it is, if anybody's.
    """

    def __init__(
        self, simulation: Simulation, places: Sequence[Place], oracle: Oracle, losing: Sequence[str] = LOSING
    ) -> None:
        self.loser: Place | None = None
        self._simulation = simulation
        self._places = places
        self._oracle = oracle
        self._losing = losing
        self._until = 0.0
        self._sound_since = 0.0

    def begin(self) -> None:
        """Look, now and then, from now on, who has everything again."""
        self._look()
        self._simulation.after(EVERY_S, self.begin)

    def counts(self, kind: str) -> bool:
        """Say whether a fault of this kind takes what counts."""
        return kind in self._losing

    def may_lose(self, place: Place, fault: Fault) -> bool:
        """Say whether a fault may hit a node, and take it that it does."""
        if not self.counts(fault.kind):
            return True
        if self.loser not in (None, place):
            return False
        now = self._simulation.now
        self.loser = place
        self._until = max(self._until, now + fault.length_s)
        self._sound_since = self._until
        return True

    def _look(self) -> None:
        now, loser = self._simulation.now, self.loser
        if loser is None or now < self._until or not self._is_sound(loser):
            self._sound_since = max(now, self._until)
        elif now - self._sound_since >= SOUND_S:
            self.loser = None

    def _is_sound(self, place: Place) -> bool:
        """Say whether a node has everything, and nothing of the fault is still to come."""
        faults = place.machine.platter.faults
        is_to_come = faults.failing_syncs > 0 or faults.dies_at_step is not None
        is_to_come = is_to_come or (faults.dies_in is not None and faults.dies_of_power)
        if is_to_come or place.supervisor.on_start is not None or not is_registered(place, self._oracle):
            return False
        topics = self._oracle.tip.topics.values()
        return not any(len(part.isr) < len(part.replicas) for topic in topics for part in topic.partitions)


def is_registered(place: Place, oracle: Oracle) -> bool:
    """Say whether the cluster knows the process that runs there now, and counts on it."""
    broker, node = oracle.tip.brokers.get(place.number), place.node
    if broker is None or node is None or not place.machine.running:
        return False
    return broker.is_active and broker.incarnation_id == node.incarnation_id
