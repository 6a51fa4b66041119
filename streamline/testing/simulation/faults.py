"""
What goes wrong in a run, and when: data, drawn from the seed before the run.

Each kind of fault is left out of a run with a chance of one half (a swarm: some
failures show only where another kind is absent).  Time is cut into episodes, a
quarter of which are calm, so that a run can be seen to work at all.  As nothing
is drawn while it runs, single faults can be left out to shrink a failure without
disturbing the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from attrs import frozen

EPISODE_S = 15.0
CALM_SHARE = 0.25
LEAVE_OUT_CHANCE = 0.5


@frozen
class Kind:
    """
    One kind of fault.

    @ivar every_s: mean time between two of them in an episode that is not calm.
    @ivar length_s: least and most that it lasts; for deaths, until the restart.
    @ivar amount: least and most of whatever it is measured in.
    @ivar is_apart: whether it is drawn by a chance of its own, so that seeds are as they were before it was there.
    """

    name: str
    every_s: float
    length_s: tuple[float, float] = (0.0, 0.0)
    amount: tuple[float, float] = (0.0, 0.0)
    is_apart: bool = False


KINDS = (
    Kind("kill", 10.0, (0.0, 10.0), (0.0, 40.0)),
    Kind("power", 15.0, (0.0, 30.0), (0.0, 40.0)),
    Kind("stop", 30.0, (0.0, 5.0)),
    Kind("relapse", 20.0, (0.0, 3.0), (0.0, 1.0)),
    Kind("lost-sync", 25.0, (0.1, 4.0)),
    Kind("reset", 3.0),
    Kind("silence", 20.0),
    Kind("cut", 30.0, (0.5, 10.0)),
    Kind("one-way", 30.0, (0.5, 10.0), (0.0, 1.0)),
    Kind("clog", 15.0, (0.1, 5.0)),
    Kind("slow-disk", 15.0, (1.0, 10.0), (0.01, 0.5)),
    Kind("stuck-disk", 40.0, (1.0, 15.0)),
    Kind("full-disk", 30.0, (1.0, 15.0), (0.2, 1.5)),
    Kind("sync-error", 30.0, (0.5, 5.0)),
    Kind("write-error", 40.0, (0.1, 3.0), (0.05, 1.0)),
    Kind("read-error", 40.0, (0.1, 2.0), (0.05, 1.0)),
    Kind("stall", 20.0, (0.05, 5.0)),
    Kind("clock-jump", 20.0, (0.0, 0.0), (-3_500_000.0, 3_500_000.0)),
)
"""
What there is (the numbers of reliability table 8.2 in brackets).

C{kill} and C{power} (F7, F8): C{amount} is how many disk calls later it
happens, in the middle of one; below 10 it happens at once, between events.
C{stop}: it is asked to stop, does, and is started again.  C{relapse}: it dies, at
once or after a while in which no sync ended, and once more soon after its restart
(DK6); C{amount} says how either time, and when.
C{lost-sync}: no sync ends any more, and then the power is cut.
C{reset}, C{silence} (F3): one connection breaks, or becomes half-open.
C{cut}, C{one-way} (F4): no bytes to or from the machine, or in one direction
(towards it below 0.5).  C{clog} (F5): they are held up.  C{slow-disk},
C{stuck-disk} (F12): C{amount} is the mean time of a sync in seconds.
C{full-disk}, C{sync-error}, C{write-error}, C{read-error} (F10): C{amount} is
the chance that a call fails.  After errors somebody restarts the process, because
what could not be read or written may stay closed until then.
C{stall} (F15): the event loop stands still.
C{clock-jump} (F14): C{amount} is by how many milliseconds the date is wrong from then on.
"""

KIND_NAMES = tuple(kind.name for kind in KINDS)

CUTS = ("power", "relapse", "lost-sync")
LIES = ("sync-error",)
"""
Faults that no node of one survives together with C{CUTS}, so that a run has both only when it is asked to.

After a failed sync the kernel takes pages for clean that the device lacks, and
shows them to whoever recovers the log; a power cut afterwards takes them away.
"""


@frozen
class Fault:
    """
    One fault to come.

    @ivar number: its place in the plan, for leaving it out.
    """

    number: int
    at: float
    kind: str
    length_s: float
    amount: float

    def __str__(self) -> str:
        return f"#{self.number} {self.at:9.3f} {self.kind} length={self.length_s:.3f}s amount={self.amount:.3f}"


@frozen
class Plan:
    """
    All that is to go wrong in one run.

    @ivar calm: the spans of time, from and to, in which nothing new goes wrong.
    """

    kinds: tuple[str, ...]
    faults: tuple[Fault, ...]
    calm: tuple[tuple[float, float], ...]

    def without(self, numbers: Sequence[int]) -> Plan:
        """Return this plan without some of its faults."""
        kept = tuple(fault for fault in self.faults if fault.number not in numbers)
        return Plan(self.kinds, kept, self.calm)


def swarm(seed: int) -> tuple[str, ...]:
    """Return the kinds of fault that a seed's run has."""
    rng = Random(f"{seed}/swarm")
    kinds = tuple(name for name in KIND_NAMES if rng.random() >= LEAVE_OUT_CHANCE)
    left_out = rng.choice((CUTS, CUTS, LIES))
    if any(name in kinds for name in CUTS) and any(name in kinds for name in LIES):
        return tuple(name for name in kinds if name not in left_out)
    return kinds


def draw(
    seed: int, until: float, kinds: Sequence[str], among: Sequence[Kind] = KINDS, surges: Sequence[float] = ()
) -> Plan:
    """
    Draw a plan.

    @param until: true time after which nothing goes wrong any more; the first episode's first half is always calm.
    @param among: all the kinds there are.
    @param surges: how many times more often than usual a kind may come in an episode; one is drawn for each.
    @raise ValueError: an unknown kind.
    """
    names = [kind.name for kind in among]
    unknown = [name for name in kinds if name not in names]
    if unknown:
        raise ValueError(f"no such fault: {', '.join(unknown)}; there are {', '.join(names)}")
    rng = Random(f"{seed}/faults")
    faults: list[Fault] = []
    calm: list[tuple[float, float]] = [(0.0, EPISODE_S / 2)]
    start = EPISODE_S / 2
    while start < until:
        end = min(until, start + EPISODE_S)
        if rng.random() < CALM_SHARE:
            calm.append((start, end))
        else:
            faults.extend(_episode(rng, seed, start, end, kinds, among, surges))
        start = end
    faults.sort(key=lambda fault: fault.at)
    numbered = (Fault(number, one.at, one.kind, one.length_s, one.amount) for number, one in enumerate(faults))
    return Plan(tuple(kinds), tuple(numbered), tuple(calm))


def _episode(
    rng: Random,
    seed: int,
    start: float,
    end: float,
    kinds: Sequence[str],
    among: Sequence[Kind],
    surges: Sequence[float],
) -> list[Fault]:
    faults = []
    for kind in among:
        # Each kind is drawn whether it is wanted or not, so that wanting another does not disturb it.
        own = Random(f"{seed}/faults/{kind.name}/{start}" if kind.is_apart else rng.getrandbits(64))
        rate = (own.choice(surges) if surges else 1.0) / kind.every_s
        at = start + own.expovariate(rate)
        while at < end:
            if kind.name in kinds:
                faults.append(Fault(0, at, kind.name, own.uniform(*kind.length_s), own.uniform(*kind.amount)))
            at += own.expovariate(rate)
    return faults
