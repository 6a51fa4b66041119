"""
Carrying out the plan: which replicas it hits, and for how long.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random

from streamline.raft import ReplicaKey
from streamline.testing.simulation.cores.operator import Operator
from streamline.testing.simulation.cores.replica import Slot
from streamline.testing.simulation.cores.workload import Workload
from streamline.testing.simulation.cores.world import CoreWorld
from streamline.testing.simulation.faults import Fault, Plan


class CoreInjector:
    """
    Hits replicas, links and disks.

    @ivar counts: how many faults of each kind took effect.
    """

    def __init__(self, world: CoreWorld, operator: Operator, workload: Workload, plan: Plan) -> None:
        self._world = world
        self._workload = workload
        self._operator = operator
        self.counts: dict[str, int] = {}
        self._is_over = False
        self._kinds: Mapping[str, Callable[[Fault, Random], bool]] = {
            "kill": self._deaths,
            "power": self._deaths,
            "cut": self._cut,
            "one-way": self._one_way,
            "mesh": self._mesh,
            "clog": self._clog,
            "loss": self._loss,
            "break": self._break,
            "slow-disk": self._slow_disk,
            "stuck-disk": self._stuck_disk,
            "stall": self._stall,
            "wipe": self._wipe,
            "member": self._member,
            "hasty": self._hasty,
            "transfer": self._transfer,
            "ambush": self._ambush,
            "rumour": self._rumour,
            "campaign": self._campaign,
            "resign": self._resign,
        }
        self._ambush_s = 0.0
        operator.promoted, operator.handed_over = self._promoted, self._handed_over
        for fault in plan.faults:
            world.at(fault.at, self._inject, fault)

    def _inject(self, fault: Fault) -> None:
        if self._is_over:
            return
        rng = self._world.stream(f"fault/{fault.number}/{fault.at}")
        self._world.note(str(fault))
        if self._kinds[fault.kind](fault, rng):
            self.counts[fault.kind] = self.counts.get(fault.kind, 0) + 1

    def end(self) -> None:
        """Mend everything: nothing is hit any more, and what is down comes up."""
        self._is_over = True
        world = self._world
        world.links.mend()
        for slot in list(world.slots.values()):
            slot.stalled_until = slot.stuck_until = world.now
            slot.sync_s = 0.001
            if slot.process is not None and slot.process.is_resigning:
                world.die(slot, power=False)
            world.start(slot)

    def _later(self, delay_s: float, mend: Callable[[], object]) -> None:
        self._world.at(self._world.now + delay_s, self._unless_over, mend)

    def _unless_over(self, mend: Callable[[], object]) -> None:
        if not self._is_over:
            mend()

    def _slots(self) -> list[Slot]:
        return list(self._world.slots.values())

    def _running(self) -> list[Slot]:
        return [slot for slot in self._slots() if slot.process is not None]

    # Processes

    def _deaths(self, fault: Fault, rng: Random) -> bool:
        running = self._running()
        if not running:
            return False
        half = len(running) // 2
        count = next(
            (number for share, number in ((0.6, 1), (0.75, max(1, half)), (0.9, half + 1)) if fault.amount < share),
            len(running),
        )
        for slot in rng.sample(running, count):
            self._world.die(slot, power=fault.kind == "power")
            self._restart_later(slot, fault.length_s * rng.random())
        return True

    def _restart_later(self, slot: Slot, delay_s: float) -> None:
        self._later(delay_s, lambda: self._world.start(slot))

    def _stall(self, fault: Fault, rng: Random) -> bool:
        slot = rng.choice(self._slots())
        slot.stalled_until = self._world.now + fault.length_s
        # Whoever reads as soon as it goes on must not see what was true before (RC12).
        self._world.at(slot.stalled_until, self._workload.read, slot)
        return True

    def _wipe(self, fault: Fault, rng: Random) -> bool:
        """Replace a disk, where a majority of every set of voters goes on to have theirs."""
        return self._replace_disk(rng.choice(self._slots()), fault.length_s)

    def _replace_disk(self, slot: Slot, length_s: float = 1.0) -> bool:
        if not self._operator.can_spare(slot.key):
            return False
        self._world.die(slot, power=True)
        self._world.wipe(slot)
        self._restart_later(slot, length_s)
        return True

    def _resign(self, fault: Fault, rng: Random) -> bool:
        slot = rng.choice(self._slots())
        if slot.process is None:
            return False
        process = slot.process
        process.node.resign()
        process.is_resigning = True
        self._world.pump(slot, process)

        def stop() -> None:
            if slot.process is process:
                self._world.die(slot, power=False)
                self._restart_later(slot, fault.length_s)

        self._later(fault.length_s * rng.random(), stop)
        return True

    def _rumour(self, fault: Fault, rng: Random) -> bool:
        hearer, gone = rng.choice(self._slots()), rng.choice(self._slots())
        leader = self._operator.leader()
        self._world.rumour(hearer, leader or gone)
        return hearer.process is not None

    def _campaign(self, fault: Fault, rng: Random) -> bool:
        slot = rng.choice(self._slots())
        if slot.process is None or slot.stalled_until > self._world.now:
            return False
        slot.process.node.campaign()
        self._world.pump(slot, slot.process)
        return True

    # Members

    def _member(self, fault: Fault, rng: Random) -> bool:
        return self._operator.want_change(rng)

    def _hasty(self, fault: Fault, rng: Random) -> bool:
        return self._operator.hurry(rng)

    def _transfer(self, fault: Fault, rng: Random) -> bool:
        return self._operator.transfer(rng)

    def _ambush(self, fault: Fault, rng: Random) -> bool:
        self._ambush_s = fault.length_s
        return True

    def _promoted(self, leader: Slot, keys: list[ReplicaKey]) -> None:
        """Let nothing reach who is made a voter, and take the disk of the one who knows that it is (RF10)."""
        if self._ambush_s and not self._is_over:
            self._cut_for(self._links([key.node_id for key in keys], True, False), self._ambush_s)
            self._later(self._ambush_s / 2, lambda: self._replace_disk(leader))
            self._ambush_s = 0.0

    def _handed_over(self, key: ReplicaKey) -> None:
        """Let nobody hear who is asked to stand: it is in a term of its own afterwards (RF9)."""
        if self._ambush_s and not self._is_over:
            self._cut_for(self._links([key.node_id], False, True), max(3.0, self._ambush_s))
            self._ambush_s = 0.0

    # Links

    def _links(self, some: list[int], towards: bool, away: bool) -> list[tuple[int, int]]:
        others = [number for number in self._world.slots if number not in some]
        links = [(there, here) for here in some for there in others] if towards else []
        return [*links, *((here, there) for here in some for there in others)] if away else links

    def _cut_for(self, links: list[tuple[int, int]], length_s: float) -> bool:
        self._world.links.cut(links, 1)
        self._later(length_s, lambda: self._world.links.cut(links, -1))
        return bool(links)

    def _cut(self, fault: Fault, rng: Random) -> bool:
        numbers = list(self._world.slots)
        some = rng.sample(numbers, 1 if fault.amount < 0.5 else len(numbers) // 2)
        return self._cut_for(self._links(some, True, True), fault.length_s)

    def _one_way(self, fault: Fault, rng: Random) -> bool:
        some = [rng.choice(list(self._world.slots))]
        return self._cut_for(self._links(some, fault.amount < 0.5, fault.amount >= 0.5), fault.length_s)

    def _mesh(self, fault: Fault, rng: Random) -> bool:
        numbers = rng.sample(list(self._world.slots), len(self._world.slots))
        pairs = [(one, other) for at, one in enumerate(numbers) for other in numbers[at + 2 :]]
        links = [link for one, other in pairs for link in ((one, other), (other, one))]
        return self._cut_for(links, fault.length_s)

    def _clog(self, fault: Fault, rng: Random) -> bool:
        links = self._links([rng.choice(list(self._world.slots))], rng.random() < 0.7, rng.random() < 0.7)
        self._world.links.clog(links, fault.amount)
        self._later(fault.length_s, lambda: self._world.links.clog(links, -fault.amount))
        return bool(links)

    def _loss(self, fault: Fault, rng: Random) -> bool:
        losses = self._world.links.losses
        losses.append(fault.amount)
        self._later(fault.length_s, lambda: losses.remove(fault.amount))
        return True

    def _break(self, fault: Fault, rng: Random) -> bool:
        if len(self._world.slots) < 2:
            return False
        one, other = rng.sample(self._slots(), 2)
        self._world.disconnect(one, other)
        return True

    # Disks

    def _slow_disk(self, fault: Fault, rng: Random) -> bool:
        slot = rng.choice(self._slots())
        before, slot.sync_s = slot.sync_s, fault.amount

        def mend() -> None:
            slot.sync_s = min(before, slot.sync_s)

        self._later(fault.length_s, mend)
        return True

    def _stuck_disk(self, fault: Fault, rng: Random) -> bool:
        slot = rng.choice(self._slots())
        slot.stuck_until = self._world.now + fault.length_s
        return True
