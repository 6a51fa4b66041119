"""
Faults that are several, one after the other: what it takes to lose a record lies in their order (reliability 8.4).
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Protocol

from attrs import frozen

from streamline.testing.simulation.cluster.operator import Operator
from streamline.testing.simulation.cluster.places import Place
from streamline.testing.simulation.faults import Fault
from streamline.testing.simulation.world import Simulation

WAYS = ("kill", "kill", "power", "cut", "cut", "stall", "stop")
"""In which nodes go."""
GAPS_S = (0.05, 0.4, 1.5, 4.0)
"""Mean time between two that go: within a fetch, an election, a session."""
BACK_S = 6.0
"""Longest until the first of them is back, and from one to the next."""
HUNTED_S = 0.03
"""How often somebody looks who leads by now."""
GRACES_S = (0.0, 0.05, 0.3, 1.0)
"""How long whoever has come to lead is left alone."""
HELD_S = 4.0
"""Longest that one who was hunted down is away."""
ROUNDS_S = (0.2, 0.5, 1.0)
"""Mean time from one leader to the next in a duel: clients find the new one, and write a little."""
LOSES_CHANCE = 0.15
"""Of whoever leads being gone for a moment, instead of giving the lead away."""
MUTE_CHANCE = 0.7
"""Of nobody hearing a new leader, so that what it writes stays with it."""


class Striking(Protocol):
    """Who carries out single faults."""

    def befall(self, place: Place, way: str, seconds: float, rng: Random) -> bool:
        """Let a node be gone in one of L{WAYS} for so long; say whether it is."""

    def slow(self, place: Place, seconds: float, rng: Random) -> None:
        """Let what a node sends come late for so long, to each of the others by another while."""

    def mute(self, place: Place, seconds: float) -> None:
        """Let no other node hear one for so long; clients do, and it hears everybody."""

    def keep_in_the_dark(self, place: Place, seconds: float) -> None:
        """Let nothing come to a node from the controller for so long."""


@frozen
class Habit:
    """
    How leaders of one partition are hunted.

    @ivar slows: whether what they send comes late, so that they have what others lack, each more or less of it.
    """

    name: str
    ways: Sequence[str]
    grace_s: float
    slows: bool
    until: float


@frozen
class Sequences:
    """
    Carries out sequences of faults.

    @ivar operator: knows who leads, and can have others lead.
    """

    simulation: Simulation
    places: Sequence[Place]
    striking: Striking
    operator: Operator

    def cascade(self, fault: Fault, rng: Random) -> bool:
        """
        Let nodes go one by one, and come back in an order of their own (KC3).

        Who has everything is decided by who was last, so whoever goes last may lose most.
        """
        count = rng.choice((len(self.places) // 2, len(self.places) // 2 + 1, len(self.places)))
        going, gap_s = rng.sample(self.places, max(1, count)), rng.choice(GAPS_S)
        name, first = self.operator.partition_leader(rng, "")
        if first in going and rng.random() < 0.5:  # the leader is most often the last of the in-sync replicas
            going.remove(first)
            going.append(first)
        starts = _sums(rng, gap_s, len(going))
        backs = _sums(rng, rng.choice((0.3, BACK_S / 2, BACK_S)), len(going))
        rng.shuffle(backs)
        for place, start, back in zip(going, starts, backs, strict=True):
            way = rng.choice(("power", "power", "lost-sync", "kill")) if place is going[-1] else rng.choice(WAYS)
            away_s = starts[-1] - start + back
            self.simulation.after(start, self.striking.befall, place, way, away_s, Random(rng.getrandbits(64)))
        return True

    def hunt(self, fault: Fault, rng: Random) -> bool:
        """Let whoever comes to lead one partition be gone soon, one after the other (KC5, KIP-279)."""
        name, _ = self.operator.partition_leader(rng, "")
        if not name:
            return False
        ways = rng.choice((("kill",), ("cut",), ("kill", "cut", "stall", "power"), ("stop", "kill")))
        habit = Habit(name, ways, rng.choice(GRACES_S), rng.random() < 0.6, self.simulation.now + fault.length_s)
        self._hunt(habit, None, rng)
        return True

    def _hunt(self, habit: Habit, last: Place | None, rng: Random) -> None:
        left_s = habit.until - self.simulation.now
        if left_s <= 0:
            return
        _, place = self.operator.partition_leader(rng, habit.name)
        if place is not None and place is not last:
            if habit.slows:
                self.striking.slow(place, left_s, rng)
            delay_s, away_s = rng.random() * 2 * habit.grace_s, rng.uniform(0.0, HELD_S)
            self.simulation.after(delay_s, self.striking.befall, place, rng.choice(habit.ways), away_s, rng)
        self.simulation.after(HUNTED_S, self._hunt, habit, place or last, rng)

    def duel(self, fault: Fault, rng: Random) -> bool:
        """
        Let replicas take the lead from each other before they can copy what each has written.

        Their logs end in records of several epochs then, none of which the others have (KIP-279).  One of those who
        follow may not hear of it, and goes on following whoever led long ago and leads again by now (KIP-320).
        """
        name, leader = self.operator.partition_leader(rng, "")
        if leader is None:
            return False
        ends_at, pace_s = self.simulation.now + fault.length_s, rng.choice(ROUNDS_S)
        if rng.random() < 0.5:
            left_out = rng.choice([place for place in self.places if place is not leader] or self.places)
            self.striking.keep_in_the_dark(left_out, fault.length_s)
        self._duel(name, ends_at, pace_s, rng)
        return True

    def _duel(self, name: str, ends_at: float, pace_s: float, rng: Random) -> None:
        if self.simulation.now >= ends_at:
            return
        _, leader = self.operator.partition_leader(rng, name)
        round_s = pace_s * rng.uniform(0.5, 1.5)
        if leader is not None and rng.random() < LOSES_CHANCE:
            self.striking.befall(leader, "kill", rng.random(), Random(rng.getrandbits(64)))
        elif (chosen := self.operator.have_lead(rng, name)) is not None and rng.random() < MUTE_CHANCE:
            self.striking.mute(chosen, round_s)
        self.simulation.after(round_s, self._duel, name, ends_at, pace_s, rng)


def _sums(rng: Random, mean_s: float, count: int) -> list[float]:
    """Return times that follow each other."""
    times = [0.0]
    for _ in range(count - 1):
        times.append(times[-1] + rng.expovariate(1.0) * mean_s)
    return times

