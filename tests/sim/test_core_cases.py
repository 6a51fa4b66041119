"""Level 1 cases with a script of their own (reliability 8.3): kills back to back, a partial mesh, disks that stall."""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from streamline.testing.simulation.cores.links import CALM
from streamline.testing.simulation.cores.operator import Operator
from streamline.testing.simulation.cores.replica import Slot
from streamline.testing.simulation.cores.workload import Workload
from streamline.testing.simulation.cores.world import SOON_S, CoreWorld

KILLS = 150
RESTART_S = 0.5
IN_FLIGHT_S = 0.015
"""Far longer than a message travels while the network is calm."""


class CaseCase(SynchronousTestCase):
    """A world with a calm network, and nothing that goes wrong by itself."""

    def world(self, seed: int, founders: int, learners: int = 0) -> CoreWorld:
        """Start a cluster that is used."""
        world = CoreWorld(seed, founders, learners)
        world.links.weather = CALM
        self.operator = Operator(world, list(world.slots)[:founders], list(world.slots)[founders:])
        self.workload = Workload(world, 10.0)
        for slot in world.slots.values():
            slot.sync_s = 0.004
            world.start(slot)
        self.workload.begin()
        return world

    def leader_within(self, world: CoreWorld, seconds: float, above_term: int = 0) -> Slot:
        """Let time pass until somebody leads a later term."""

        def leads() -> bool:
            slot = self.operator.leader()
            return slot is not None and slot.process is not None and slot.process.node.term > above_term

        self.assertTrue(world.run(world.now + seconds, leads), f"nobody leads after {seconds} s")
        slot = self.operator.leader()
        assert slot is not None
        return slot

    def committed_within(self, world: CoreWorld, seconds: float) -> float:
        """Let time pass until something is committed; return how long that took."""
        before, began = world.monitor.committed_index, world.now
        enough = world.run(world.now + seconds, lambda: world.monitor.committed_index > before)
        self.assertTrue(enough, f"nothing is committed after {seconds} s")
        return world.now - began


class KillTests(CaseCase):
    """Leaders are killed one after the other (RC6)."""

    def kill(self, world: CoreWorld, slot: Slot, noticing: Random | None) -> None:
        """
        Kill, and have the others hear of it, as from a refused connection: behind all that had been sent before.

        News that overtakes a dead leader's last message makes whoever hears it follow again, and wait: that took half a
        second in three of a hundred kills.  No such news comes by a connection; a sweep has it all the same.
        """
        world.notices = 0.0
        world.die(slot, power=False)
        for other in world.slots.values():
            if noticing is not None and other is not slot:
                world.at(world.now + IN_FLIGHT_S + noticing.random() * SOON_S, world.rumour, other, slot)

    def kill_leaders(self, seed: int, pause_s: float, *, is_noticed: bool) -> list[float]:
        """Kill, and measure how long it takes until another has committed something."""
        world = self.world(seed, 3)
        noticing = world.stream("refused connections") if is_noticed else None
        gaps = []
        self.leader_within(world, 5.0)
        for _ in range(KILLS):
            slot = self.leader_within(world, 10.0)
            assert slot.process is not None
            term = slot.process.node.term
            self.kill(world, slot, noticing)
            world.at(world.now + RESTART_S, world.start, slot)
            began = world.now
            later = self.leader_within(world, 10.0, term)
            self.committed_within(world, 5.0)
            gaps.append(world.now - began)
            world.run(world.now + pause_s)
            assert later.process is not None
            self.assertLessEqual(later.process.node.term, term + 3)
        return sorted(gaps)

    def test_silently(self) -> None:
        """Nobody is told: the silence is what counts, and commits keep coming."""
        gaps = self.kill_leaders(7, 0.0, is_noticed=False)
        self.assertLess(gaps[len(gaps) // 2], 2.5)

    def test_crash_is_not_a_silence(self) -> None:
        """A refused connection tells the others at once, and saves the wait."""
        for seed in (1, 7):
            gaps = self.kill_leaders(seed, 1.0, is_noticed=True)
            self.assertLess(gaps[len(gaps) // 2], 0.1, seed)
            self.assertLess(gaps[int(len(gaps) * 0.98)], 0.2, seed)
            self.assertLess(gaps[-1], 0.4, seed)


class MeshTests(CaseCase):
    """Five that can talk only through one of them (RC5; Cloudflare's outage of 2020)."""

    def test_somebody_leads_and_stays(self) -> None:
        """A leader within 10 s, and no more than two elections in the minutes after it."""
        for hub in (1, 3):
            world = self.world(hub, 5)
            self.leader_within(world, 5.0)
            others = [number for number in world.slots if number != hub]
            world.links.cut([(one, other) for one in others for other in others if one != other], 1)
            world.run(world.now + 10.0)
            self.committed_within(world, 5.0)
            elections = world.monitor.elections
            world.run(world.now + 90.0)
            self.assertLessEqual(world.monitor.elections - elections, 2)
            self.committed_within(world, 2.0)

    def test_a_broken_link_between_two(self) -> None:
        """Leader and one follower cannot talk: the follower asks in vain, and nobody is deposed."""
        world = self.world(2, 3)
        leader = self.leader_within(world, 5.0)
        other = next(slot for slot in world.slots.values() if slot is not leader)
        world.links.cut([(leader.number, other.number), (other.number, leader.number)], 1)
        assert leader.process is not None
        term = leader.process.node.term
        world.run(world.now + 120.0)
        self.assertTrue(leader.process.node.is_leader)
        self.assertEqual(leader.process.node.term, term)


class StallTests(CaseCase):
    """Short stalls (RF18), and a leader that stands still for long (RC12)."""

    def test_short_stalls(self) -> None:
        """Stalls of less than half a second here and there are no reason for an election."""
        world = self.world(4, 3)
        self.leader_within(world, 5.0)
        world.run(world.now + 5.0)
        elections = world.monitor.elections
        rng = world.stream("stalls")
        for _ in range(100):
            rng.choice(list(world.slots.values())).stalled_until = world.now + rng.uniform(0.05, 0.4)
            world.run(world.now + 1.0)
        self.assertEqual(world.monitor.elections, elections)

    def test_a_long_one(self) -> None:
        """A leader that stood still for 30 s answers no read with what was true before."""
        world = self.world(5, 3)
        leader = self.leader_within(world, 5.0)
        world.run(world.now + 3.0)
        leader.stalled_until = world.now + 30.0
        assert leader.process is not None
        for number in range(50):
            leader.process.node.read(b"before %d" % number)
        world.read_answered = lambda slot, context, index: None  # type: ignore[method-assign]
        term = leader.process.node.term
        self.leader_within(world, 10.0, term)
        committed = world.monitor.committed_index
        self.committed_within(world, 5.0)
        answers: list[int | None] = []
        world.read_answered = lambda slot, context, index: answers.append(index)  # type: ignore[method-assign]
        world.run(world.now + 40.0)
        self.assertGreater(len(answers), 0)
        self.assertTrue(all(index is None or index > committed for index in answers), answers)


class DiskTests(CaseCase):
    """A leader whose disk is stuck: the others have a majority, and what it says stays true."""

    def test_a_stuck_leader_still_commits(self) -> None:
        """A majority of other disks is enough; the leader applies when its own has caught up."""
        world = self.world(6, 3)
        leader = self.leader_within(world, 5.0)
        world.run(world.now + 2.0)
        leader.stuck_until = world.now + 5.0
        world.run(world.now + 0.5)
        self.committed_within(world, 2.0)
        assert leader.process is not None
        applied = leader.process.machine.index
        self.assertGreater(world.monitor.committed_index, applied)
        world.run(world.now + 6.0)
        self.assertGreater(leader.process.machine.index, applied)
