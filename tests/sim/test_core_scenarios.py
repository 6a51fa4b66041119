"""
The situations that Kafka tries its own quorum in, with one to five voters and none to five observers (RC3).

Each is short and begins with a calm network; what must hold is checked after every event, as in any run of level 1.
C{STREAMLINE_SIM_SEEDS} asks for more seeds than the few that each commit runs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from twisted.trial.unittest import SynchronousTestCase

from streamline.testing.simulation.cores.links import CALM
from streamline.testing.simulation.cores.operator import Operator
from streamline.testing.simulation.cores.replica import Slot
from streamline.testing.simulation.cores.workload import Workload
from streamline.testing.simulation.cores.world import CoreWorld

SEEDS = int(os.environ.get("STREAMLINE_SIM_SEEDS", "2"))
ELECTED_S = 10.0
PACE = 20.0


class Scenario:
    """One small cluster in use."""

    def __init__(self, case: SynchronousTestCase, seed: int, voters: int, observers: int) -> None:
        self.world = world = CoreWorld(seed, voters, observers)
        world.links.weather = CALM
        self.case = case
        self.what = f"seed {seed}, {voters} voters, {observers} observers"
        numbers = list(world.slots)
        self.voters, self.observers = numbers[:voters], numbers[voters:]
        self.operator = Operator(world, list(self.voters), list(self.observers))
        for slot in world.slots.values():
            slot.sync_s = 0.002
            world.start(slot)
        Workload(world, PACE).begin()
        self.operator.begin()
        self.expect_leader()
        self.expect_progress()

    def until(self, condition: Callable[[], bool], seconds: float, otherwise: str) -> None:
        """Let time pass until something holds."""
        done = condition() or self.world.run(self.world.now + seconds, condition)
        self.case.assertTrue(done, f"{self.what}: {otherwise}")

    def expect_leader(self, *, above_term: int = 0) -> Slot:
        """Let time pass until somebody leads."""
        self.until(lambda: self._term() > above_term, ELECTED_S, "nobody leads")
        leader = self.operator.leader()
        assert leader is not None
        return leader

    def _term(self) -> int:
        leader = self.operator.leader()
        return 0 if leader is None or leader.process is None else leader.process.node.term

    def expect_progress(self, numbers: Sequence[int] = ()) -> None:
        """Let time pass until these, or all, have applied something new."""
        slots = [self.world.slots[number] for number in numbers or self.world.slots]
        target = self.world.monitor.committed_index + 5
        self.until(lambda: all(_applied(slot) >= target for slot in slots), 3 * ELECTED_S, "nothing goes on")

    def kill(self, numbers: Sequence[int]) -> None:
        """End processes at once."""
        for number in numbers:
            self.world.die(self.world.slots[number], power=True)

    def start(self, numbers: Sequence[int]) -> None:
        """Start them again."""
        for number in numbers:
            self.world.start(self.world.slots[number])

    def others(self, slot: Slot) -> list[int]:
        """Return everybody else."""
        return [number for number in self.world.slots if number != slot.number]

    def separate(self, some: Sequence[int], others: Sequence[int]) -> None:
        """Let nothing through between them."""
        self.world.links.cut([link for one in some for other in others for link in ((one, other), (other, one))], 1)


def _applied(slot: Slot) -> int:
    return -1 if slot.process is None else slot.process.machine.index


def _has_applied(slot: Slot) -> bool:
    return _applied(slot) > 0


class ScenarioTests(SynchronousTestCase):
    """Seven situations."""

    def each(self, voters: Sequence[int], observers: Sequence[int] = (0, 1, 5)) -> list[Scenario]:
        """Form clusters of every size."""
        sizes = [(votes, observes) for votes in voters for observes in observers]
        return [Scenario(self, seed, *size) for seed in range(1, SEEDS + 1) for size in sizes]

    def test_an_initial_leader(self) -> None:
        """Somebody is elected, and what is proposed is committed everywhere."""
        for scenario in self.each((1, 2, 3, 4, 5)):
            scenario.expect_progress()

    def test_after_the_leader_has_failed(self) -> None:
        """Where the others are a majority, one of them leads."""
        for scenario in self.each((3, 4, 5)):
            leader = scenario.expect_leader()
            assert leader.process is not None
            term, number = leader.process.node.term, leader.number
            scenario.kill([number])
            scenario.expect_leader(above_term=term)
            scenario.expect_progress(scenario.others(leader))

    def test_after_the_leader_was_cut_off(self) -> None:
        """The others go on; the old leader follows when it hears of them."""
        for scenario in self.each((3, 4, 5)):
            leader = scenario.expect_leader()
            assert leader.process is not None
            term, others = leader.process.node.term, scenario.others(leader)
            scenario.separate([leader.number], others)
            scenario.expect_leader(above_term=term)
            scenario.expect_progress(others)
            scenario.world.links.mend()
            scenario.expect_progress()

    def test_a_majority_is_within_reach(self) -> None:
        """A minority of the voters is apart, with or without the leader, and comes back."""
        for scenario in self.each((3, 4, 5)):
            minority = scenario.voters[: (len(scenario.voters) - 1) // 2]
            rest = [number for number in scenario.world.slots if number not in minority]
            scenario.separate(minority, rest)
            scenario.expect_progress(rest)
            scenario.world.links.mend()
            scenario.expect_progress()

    def test_one_leader_after_another_fails(self) -> None:
        """For as long as there is a majority."""
        for scenario in self.each((3, 5)):
            for _ in range((len(scenario.voters) - 1) // 2):
                leader = scenario.expect_leader()
                assert leader.process is not None
                term = leader.process.node.term
                scenario.kill([leader.number])
                scenario.expect_leader(above_term=term)
            scenario.expect_progress([number for number, slot in scenario.world.slots.items() if slot.process])

    def test_all_fail(self) -> None:
        """All lose power at once and come back, and nothing that was committed is lost."""
        for scenario in self.each((1, 2, 3, 4, 5)):
            committed = scenario.world.monitor.committed_index
            scenario.kill(list(scenario.world.slots))
            scenario.start(list(scenario.world.slots))
            scenario.expect_progress()
            self.assertGreater(scenario.world.monitor.committed_index, committed)

    def test_one_disk_is_lost(self) -> None:
        """A voter comes back with an empty disk, as somebody else: nothing that was committed is lost."""
        for scenario in self.each((3, 4, 5)):
            slot = scenario.world.slots[scenario.voters[-1]]
            lost = slot.key
            scenario.kill([slot.number])
            scenario.world.wipe(slot)
            scenario.start([slot.number])
            self.assertEqual(_applied(slot), 0)
            scenario.expect_progress()
            leader = scenario.expect_leader()
            assert leader.process is not None
            self.assertNotIn(lost, leader.process.node.configuration.voter_keys)
