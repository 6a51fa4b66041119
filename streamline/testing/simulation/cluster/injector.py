"""
Carrying out the plan in a cluster: which nodes it hits, and how the links between them are cut.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from random import Random

from streamline.testing.simulation.cluster.atlas import LOSING, Atlas
from streamline.testing.simulation.cluster.operator import Operator
from streamline.testing.simulation.cluster.places import Place
from streamline.testing.simulation.cluster.sequences import Sequences
from streamline.testing.simulation.faults import Fault, Plan
from streamline.testing.simulation.injector import Injector
from streamline.testing.simulation.links import Fabric, Link
from streamline.testing.simulation.machine import Machine

DEATHS = ("kill", "power", "lost-sync", "stop")
NETWORK = ("cut", "split", "ring", "bridge", "one-way", "swizzle", "deaf", "detour")
ASKED = ("transfer", "demote", "shuffle", "resize")
SWIZZLE_S = 0.5
DETOUR_S = 0.5
"""Longest that a detour takes; most are much shorter."""


class ClusterInjector:
    """
    Hits nodes, links and disks.

    @ivar counts: how many faults of each kind took effect.
    @ivar atlas: says who may lose what it has not synced; None where all may at once.
    @ivar rove: has some consumer be elsewhere, and says whether there is one.
    """

    def __init__(
        self,
        places: Sequence[Place],
        clients: Machine,
        operator: Operator,
        plan: Plan,
        seed: int,
        atlas: Atlas | None = None,
    ) -> None:
        self.counts: dict[str, int] = {}
        self._places = places
        self._clients = clients
        self._operator = operator
        self.atlas = atlas
        self.rove: Callable[[Random], bool] = lambda rng: False
        self._plan = plan
        self._seed = seed
        self._is_over = False
        self._fabric: Fabric = clients.fabric
        self._nodes = {place.number: Injector(place.supervisor, Plan((), (), ())) for place in places}
        self._sequences = Sequences(self._fabric.simulation, places, self, operator)

    def begin(self) -> None:
        """Put every fault of the plan where it will happen."""
        if self.atlas is not None:
            self.atlas.begin()
        for fault in self._plan.faults:
            self._fabric.simulation.after(fault.at, self._inject, fault)

    def end(self) -> None:
        """Mend everything: nothing is hit any more."""
        self._is_over = True
        self._fabric.heal()
        for place in self._places:
            place.courier.mend()
            place.usher.mend()
        for injector in self._nodes.values():
            injector.mend_disk()
        for machine in self._fabric.machines.values():
            for other in self._fabric.machines.values():
                link = self._fabric.link(machine, other)
                link.clogged_until = link.detour_s = 0.0

    def totals(self) -> dict[str, int]:
        """Return how often each fault took effect, those that disk calls met included."""
        met: dict[str, int] = {}
        for place in self._places:
            for name, count in place.machine.platter.hits.items():
                met[f"met: {name}"] = met.get(f"met: {name}", 0) + count
        return dict(sorted({**self.counts, **met}.items()))

    def _inject(self, fault: Fault) -> None:
        if self._is_over:
            return
        simulation = self._fabric.simulation
        simulation.saw("fault", fault.kind, str(fault.number), b"")
        # By number and time, so that other faults may be left out without disturbing this one.
        rng = Random(f"{self._seed}/cluster/fault/{fault.number}/{fault.at}")
        if self._strike(fault, rng):
            self.counts[fault.kind] = self.counts.get(fault.kind, 0) + 1

    def _strike(self, fault: Fault, rng: Random) -> bool:
        if fault.kind in NETWORK:
            cut: Callable[[Fault, Random], bool] = getattr(self, "_" + fault.kind.replace("-", "_"))
            return cut(fault, rng)
        if fault.kind in DEATHS:
            return self._deaths(fault, rng)
        if fault.kind == "wipe":
            return self._wipe(fault, rng)
        if fault.kind in ASKED:
            ask: Callable[[Random], bool] = getattr(self._operator, fault.kind)
            return ask(rng)
        if fault.kind in ("cascade", "hunt", "duel"):
            begin: Callable[[Fault, Random], bool] = getattr(self._sequences, fault.kind)
            return begin(fault, rng)
        if fault.kind in ("campaign", "rove"):
            return self._campaign(rng) if fault.kind == "campaign" else self.rove(rng)
        if fault.kind == "push":
            return self._victim(rng).courier.spoil(fault.length_s, fault.amount, rng)
        if fault.kind == "alter":
            spoilt = [place.usher.spoil(fault.length_s, fault.amount, rng) for place in self._places]
            return any(spoilt)
        victim = self._victim(rng)
        return self._may_lose(victim, fault) and self._nodes[victim.number].strike(fault)

    def _may_lose(self, place: Place, fault: Fault) -> bool:
        return self.atlas is None or self.atlas.may_lose(place, fault)

    def _victim(self, rng: Random) -> Place:
        """Choose whom a fault hits: more often than others, whoever leads."""
        leader = self._operator.leader()
        return leader if leader is not None and rng.random() < 0.3 else rng.choice(self._places)

    def _later(self, delay_s: float, mend: Callable[[], object]) -> None:
        self._fabric.simulation.after(delay_s, lambda: None if self._is_over else mend())

    # Processes and disks

    def _deaths(self, fault: Fault, rng: Random) -> bool:
        """Hit one, a minority, a majority, or all at once."""
        half, share = len(self._places) // 2, rng.random()
        if self.atlas is not None and fault.kind in LOSING and not self.atlas.counts(fault.kind):
            share = 1 - share / 3  # what is promised where everything is synced shows only where many lose what was not
        count = next(
            (number for limit, number in ((0.6, 1), (0.75, max(1, half)), (0.9, half + 1)) if share < limit),
            len(self._places),
        )
        victims = [self._victim(rng)] if count == 1 else rng.sample(self._places, count)
        return any([self._may_lose(place, fault) and self._nodes[place.number].strike(fault) for place in victims])

    def _wipe(self, fault: Fault, rng: Random) -> bool:
        """Replace a disk, where a majority of every set of voters goes on to have theirs."""
        place = self._victim(rng)
        if place.key is None or not self._operator.can_spare(place.key) or not self._may_lose(place, fault):
            return False
        place.supervisor.restart_s = fault.length_s
        if place.machine.running:
            place.machine.crash(power=True)
        lost = place.wipe([other for other in self._places if other is not place])
        if lost is not None:
            self._operator.lost.append(lost)
        return True

    def _campaign(self, rng: Random) -> bool:
        place = self._victim(rng)
        watch = place.watch
        return watch is not None and place.within(watch.consensus.campaign)

    def befall(self, place: Place, way: str, seconds: float, rng: Random) -> bool:
        """Let a node be gone for a while, unless everything is over, or it may not lose what it would lose."""
        if self._is_over:
            return False
        fault = Fault(-1, self._fabric.simulation.now, way, seconds, rng.random())
        self._fabric.simulation.saw("fault", way, place.machine.name, b"")
        if way == "cut":
            others = self._machines(self._places) + [self._clients] * (rng.random() < 0.5)
            return self._cut_for(self._fabric.cut([place.machine], others), seconds)
        return self._may_lose(place, fault) and self._nodes[place.number].strike(fault)

    def slow(self, place: Place, seconds: float, rng: Random) -> None:
        """Let what a node sends come late for so long, to each of the others by another while."""
        for other in self._places:
            if other is not place and not self._is_over:
                self._detour_for(self._fabric.link(place.machine, other.machine), rng.random(), seconds)

    def mute(self, place: Place, seconds: float) -> None:
        """Let no other node hear one for so long; clients do, and it hears everybody."""
        others = self._machines([other for other in self._places if other is not place])
        if not self._is_over:
            self._cut_for(self._fabric.cut([place.machine], others, both_ways=False), seconds)

    def keep_in_the_dark(self, place: Place, seconds: float) -> None:
        """Let nothing come to a node from the controller for so long."""
        leader = self._operator.leader()
        if leader is not None and leader is not place and not self._is_over:
            link = self._fabric.link(leader.machine, place.machine)
            link.cuts += 1
            self._cut_for([link], seconds)

    # Links

    def _cut_for(self, links: Sequence[Link], length_s: float) -> bool:
        for link in links:
            self._later(length_s, link.mend)
        return bool(links)

    def _machines(self, places: Sequence[Place]) -> list[Machine]:
        return [place.machine for place in places]

    def _cut(self, fault: Fault, rng: Random) -> bool:
        place = self._victim(rng)
        others = self._machines(self._places) + [self._clients] * (fault.amount < 0.5)
        return self._cut_for(self._fabric.cut([place.machine], others), fault.length_s)

    def _split(self, fault: Fault, rng: Random) -> bool:
        shuffled = self._machines(rng.sample(self._places, len(self._places)))
        at = rng.randint(1, len(shuffled))
        return self._cut_for(self._fabric.cut(shuffled[:at], shuffled[at:]), fault.length_s)

    def _ring(self, fault: Fault, rng: Random) -> bool:
        """Let each hear the nodes next to it in a ring, as many as make a majority with it."""
        ring = self._machines(rng.sample(self._places, len(self._places)))
        size = len(ring)
        reach = (size // 2 + 1) // 2
        apart = [(at, to) for at in range(size) for to in range(at + 1, size) if reach < to - at < size - reach]
        links = [link for at, to in apart for link in self._fabric.cut([ring[at]], [ring[to]])]
        return self._cut_for(links, fault.length_s)

    def _bridge(self, fault: Fault, rng: Random) -> bool:
        """Let two halves hear each other only through one node that hears both."""
        bridge, *others = self._machines(rng.sample(self._places, len(self._places)))
        half = len(others) // 2
        return self._cut_for(self._fabric.cut(others[:half], others[half:]), fault.length_s)

    def _one_way(self, fault: Fault, rng: Random) -> bool:
        machine, everybody = self._victim(rng).machine, self._machines(self._places)
        if fault.amount < 0.5:
            links = self._fabric.cut(everybody, [machine], both_ways=False)
        else:
            links = self._fabric.cut([machine], everybody, both_ways=False)
        return self._cut_for(links, fault.length_s)

    def _pair(self, rng: Random) -> Link | None:
        """Return the way from one node to another."""
        if len(self._places) < 2:
            return None
        source, target = rng.sample(self._places, 2)
        return self._fabric.link(source.machine, target.machine)

    def _deaf(self, fault: Fault, rng: Random) -> bool:
        link = self._pair(rng)
        if link is None:
            return False
        link.cuts += 1
        return self._cut_for([link], fault.length_s)

    def _detour(self, fault: Fault, rng: Random) -> bool:
        link = self._pair(rng)
        if link is None:
            return False
        self._detour_for(link, fault.amount, fault.length_s)
        return True

    def _detour_for(self, link: Link, share: float, seconds: float) -> None:
        link.detour_s = DETOUR_S * share**3
        self._later(seconds, partial(setattr, link, "detour_s", 0.0))

    def _swizzle(self, fault: Fault, rng: Random) -> bool:
        """Hold up one node after the other, and let them go in another order (F5)."""
        chosen = rng.sample(self._places, rng.randint(1, len(self._places)))
        for number, place in enumerate(chosen):
            begins_s = number * SWIZZLE_S
            length_s = max(0.1, fault.length_s + (rng.random() * len(chosen) - number) * SWIZZLE_S)
            self._later(begins_s, partial(self._fabric.clog, place.machine, length_s))
        return True
