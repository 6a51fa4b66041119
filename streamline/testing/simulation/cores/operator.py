"""
Whoever runs the simulated cluster: decides who should take part, and asks leaders for it until it is so.

A node is a learner first and promoted when it has caught up, and a replaced disk's replica gives way to
its successor.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from attrs import define

from streamline.raft import (
    AddLearner,
    AddVoter,
    Configuration,
    EntryKind,
    NotProposed,
    QuorumStatus,
    Remove,
    Replica,
    ReplicaKey,
)
from streamline.raft.configuration import decode_configuration
from streamline.raft.membership import Change
from streamline.raft.quorum import majority
from streamline.testing.simulation.cores.replica import Process, Slot
from streamline.testing.simulation.cores.world import CoreWorld

SLOTS_MAX = 7
VOTERS_MAX = 5
LAG_MAX = 5
HASTY_CHANGES = 3
EVERY_S = 0.5


def _ignore(*_: object) -> None:
    """Do nothing."""


@define(eq=False)
class Operator:
    """
    Wants some slots to be voters and others to be learners.

    @ivar voters: slots that should vote.
    @ivar learners: slots that should learn.
    @ivar promoted: told of a leader that was asked to make these voters.
    @ivar handed_over: told of whoever is to lead.
    """

    world: CoreWorld
    voters: list[int]
    learners: list[int]
    changes: int = 0
    promoted: Callable[[Slot, list[ReplicaKey]], None] = _ignore
    handed_over: Callable[[ReplicaKey], None] = _ignore

    def begin(self) -> None:
        """Look after the cluster from now on."""
        self.world.at(self.world.now + EVERY_S, self._look)

    def leader(self) -> Slot | None:
        """Return the slot that leads the highest term, if any."""
        leading = [slot for slot in self.world.slots.values() if slot.process and slot.process.node.is_leader]
        return max(leading, key=lambda slot: slot.process.node.term if slot.process else 0, default=None)

    def _look(self) -> None:
        self.world.at(self.world.now + EVERY_S, self._look)
        self._ask_leaders()

    def _ask_leaders(self) -> None:
        """Ask everybody who claims to lead: it may be one that was deposed."""
        for slot in list(self.world.slots.values()):
            if slot.process is not None and slot.process.node.is_leader and slot.stalled_until <= self.world.now:
                self._ask(slot, slot.process)

    def _ask(self, slot: Slot, process: Process) -> None:
        step = self._step(process.node.describe())
        if not step:
            return
        try:
            process.node.change_members(step)
        except NotProposed:
            return
        self.changes += 1
        self.world.note(f"{slot.key} changes members: {step}")
        if promoted := [one.replica.key for one in step if isinstance(one, AddVoter)]:
            self.promoted(slot, promoted)
        self.world.pump(slot, process)

    def _step(self, status: QuorumStatus) -> list[Change]:
        """Return what to ask for next: all that is possible, at once."""
        now, learning = status.configuration, [one.key for one in status.configuration.learners]
        voting = [one.key for one in now.voters]
        wanted_voters, wanted_learners = self._keys(self.voters), self._keys(self.learners)
        ready = [key for key in wanted_voters if key in learning and self._has_caught_up(status, key)]
        stay = [key for key in voting if key in wanted_voters]
        gone = [key for key in (*voting, *learning) if key not in wanted_voters and key not in wanted_learners]
        # Who lives and must go stays until somebody else votes.
        spare = len(stay) + len(ready) > 0
        gone = [key for key in gone if spare or key in learning or not self._is_there(key)]
        taken = [key.node_id for key in now.member_keys if key not in gone]
        steps: list[Change] = [Remove(key) for key in gone]
        steps += [AddVoter(Replica(key, "promoted")) for key in ready]
        steps += [AddLearner(Replica(key, "demoted")) for key in voting if key in wanted_learners and spare]
        steps += [
            AddLearner(Replica(key, "new"))
            for key in (*wanted_voters, *wanted_learners)
            if key not in now.member_keys and key.node_id not in taken
        ]
        return steps

    def _is_there(self, key: ReplicaKey) -> bool:
        return self.world.slots[key.node_id].key == key

    def _keys(self, numbers: list[int]) -> list[ReplicaKey]:
        return [self.world.slots[number].key for number in numbers]

    @staticmethod
    def _has_caught_up(status: QuorumStatus, key: ReplicaKey) -> bool:
        return any(one.key == key and status.high_watermark - one.end_offset <= LAG_MAX for one in status.observers)

    def unfinished(self, configuration: Configuration) -> bool:
        """Say whether others take part than should."""
        voters, learners = self._keys(self.voters), self._keys(self.learners)
        return sorted(configuration.voter_keys) != sorted(voters) or sorted(
            one.key for one in configuration.learners
        ) != sorted(learners)

    # What the injector asks for

    def want_change(self, rng: Random) -> bool:
        """Change the mind about who should take part."""
        number = rng.randint(1, SLOTS_MAX)
        if number not in self.world.slots:
            slot = self.world.add_slot(number, Configuration())
            self.world.start(slot)
        if number in self.voters:
            if len(self.voters) > 1:
                self.voters.remove(number)
                self.learners.extend([number] * rng.randint(0, 1))
        elif number in self.learners:
            self.learners.remove(number)
            self.voters.extend([number] * (len(self.voters) < VOTERS_MAX and rng.random() < 0.5))
        elif len(self.voters) < VOTERS_MAX:
            self.voters.append(number)
        else:
            self.learners.append(number)
        self._ask_leaders()
        return True

    def hurry(self, rng: Random) -> bool:
        """Ask whoever claims to lead to take out one voter after the other, as if the ones before were through."""
        done = False
        for slot in list(self.world.slots.values()):
            for _ in range(HASTY_CHANGES):
                if slot.process is not None and slot.process.node.is_leader and slot.stalled_until <= self.world.now:
                    done |= self._take_out_one(slot, slot.process, rng)
        return done

    def _take_out_one(self, slot: Slot, process: Process, rng: Random) -> bool:
        configuration = process.node.configuration
        others = [one.key for one in configuration.voters if one.key != slot.key]
        # Where a voter's disk is gone for good, fewer voters may never agree again: no haste excuses that.
        if not others or not all(map(self._is_there, configuration.voter_keys)):
            return False
        try:
            process.node.change_members([Remove(rng.choice(others))])
        except NotProposed:
            return False
        self.world.pump(slot, process)
        return True

    def can_spare(self, key: ReplicaKey) -> bool:
        """Say whether everybody's voters go on to have majorities of real disks without this one."""
        current = [slot.key for slot in self.world.slots.values() if slot.key != key]
        for slot in self.world.slots.values():
            for voters in self._voter_sets(slot):
                if sum(voter in current for voter in voters) < majority(len(voters)):
                    return False
        return True

    @staticmethod
    def _voter_sets(slot: Slot) -> list[tuple[ReplicaKey, ...]]:
        """Return the sets of voters that a replica knows, or would know after a restart."""
        known = [decode_configuration(one.payload) for one in slot.disk.entries if one.kind is EntryKind.CONFIGURATION]
        if slot.process is not None:
            known.append(slot.process.node.configuration)
        latest = (slot.disk.snapshot.configuration, *known[-2:])
        return [voters for one in latest for voters in one.voter_sets if voters]

    def transfer(self, rng: Random) -> bool:
        """Ask the leader to hand over to some voter."""
        slot = self.leader()
        if slot is None or slot.process is None or slot.stalled_until > self.world.now:
            return False
        target = rng.choice(slot.process.node.configuration.voters).key
        try:
            slot.process.node.transfer_leadership(target)
        except NotProposed:
            return False
        self.handed_over(target)
        self.world.pump(slot, slot.process)
        return True
