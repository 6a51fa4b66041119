"""
What is asked of simulated cores: commands and reads, at whoever says that it leads, or at anybody.
"""

from __future__ import annotations

from attrs import define

from streamline.raft import NotProposed
from streamline.testing.simulation.cores.replica import Slot
from streamline.testing.simulation.cores.world import CoreWorld

READ_SHARE = 0.15
BURST_CHANCE = 0.05
BURST = 30
PAYLOAD_MAX = 60


@define
class Asked:
    """A read on its way, and what was committed when it began."""

    slot: Slot
    lives: int
    committed_index: int


class Workload:
    """
    Proposes and reads.

    @ivar pace: operations per second, about.
    @ivar proposed: commands that a leader took.
    @ivar reads: reads that were answered.
    """

    def __init__(self, world: CoreWorld, pace: float) -> None:
        self._world = world
        self.pace = pace
        self.proposed = 0
        self.reads = 0
        self._rng = world.stream("workload")
        self._count = 0
        self._asked: dict[bytes, Asked] = {}
        world.read_answered = self._answered  # type: ignore[method-assign]

    def begin(self) -> None:
        """Ask for something every now and then."""
        self._world.at(self._world.now + self._rng.expovariate(self.pace), self._act)

    def _act(self) -> None:
        self.begin()
        slot = self._rng.choice(list(self._world.slots.values()))
        if self._rng.random() < READ_SHARE:
            self.read(slot)
            return
        burst = BURST if self._rng.random() < BURST_CHANCE else 1
        for leader in list(self._world.slots.values()):
            for _ in range(burst):
                self.propose(leader)

    def propose(self, slot: Slot) -> int:
        """Propose a command that nobody else ever proposes; return its index, or 0."""
        process = slot.process
        if process is None or slot.stalled_until > self._world.now or not process.node.is_leader:
            return 0
        self._count += 1
        payload = b"%d" % self._count + bytes(self._rng.randrange(PAYLOAD_MAX))
        try:
            proposal = process.node.propose(payload)
        except NotProposed:
            return 0
        self.proposed += 1
        self._world.pump(slot, process)
        return proposal.index

    def read(self, slot: Slot) -> None:
        """Ask a replica up to where to read."""
        process = slot.process
        if process is None or slot.stalled_until > self._world.now:
            return
        self._count += 1
        context = b"%d" % self._count
        self._asked[context] = Asked(slot, slot.lives, self._world.monitor.committed_index)
        process.node.read(context)
        self._world.pump(slot, process)

    def _answered(self, slot: Slot, context: bytes, index: int | None) -> None:
        asked = self._asked.pop(context)
        if index is not None and asked.lives == slot.lives:
            self.reads += 1
            self._world.monitor.read(asked.committed_index, index, slot.key)
