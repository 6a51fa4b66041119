"""
What goes wrong in a simulated cluster of whole nodes, drawn from the seed before the run (reliability 8.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from attrs import frozen

from streamline.testing.simulation.faults import LEAVE_OUT_CHANCE, Kind, Plan, draw

KINDS = (
    Kind("kill", 8.0, (0.0, 8.0), (0.0, 40.0)),
    Kind("power", 10.0, (0.0, 8.0), (0.0, 40.0)),
    Kind("stop", 20.0, (0.0, 4.0)),
    Kind("relapse", 15.0, (0.0, 3.0), (0.0, 1.0)),
    Kind("lost-sync", 20.0, (0.1, 4.0)),
    Kind("reset", 3.0),
    Kind("silence", 10.0),
    Kind("cut", 12.0, (0.5, 12.0), (0.0, 1.0)),
    Kind("split", 20.0, (0.5, 12.0), (0.0, 1.0)),
    Kind("ring", 25.0, (2.0, 15.0)),
    Kind("bridge", 25.0, (2.0, 15.0)),
    Kind("one-way", 12.0, (0.5, 12.0), (0.0, 1.0)),
    Kind("clog", 10.0, (0.1, 5.0)),
    Kind("swizzle", 25.0, (1.0, 6.0)),
    Kind("slow-disk", 12.0, (1.0, 10.0), (0.01, 0.8)),
    Kind("stuck-disk", 20.0, (0.5, 15.0)),
    Kind("full-disk", 20.0, (1.0, 10.0), (0.2, 1.5)),
    Kind("sync-error", 25.0, (0.5, 5.0)),
    Kind("write-error", 30.0, (0.1, 3.0), (0.05, 1.0)),
    Kind("read-error", 30.0, (0.1, 2.0), (0.05, 1.0)),
    Kind("stall", 8.0, (0.05, 8.0)),
    Kind("clock-jump", 20.0, (0.0, 0.0), (-3_500_000.0, 3_500_000.0)),
    Kind("wipe", 12.0, (0.0, 5.0)),
    Kind("demote", 10.0),
    Kind("transfer", 10.0),
    Kind("campaign", 15.0),
    Kind("push", 8.0, (1.0, 12.0), (0.0, 1.0)),
    Kind("deaf", 12.0, (0.5, 9.0)),
    Kind("detour", 8.0, (1.0, 10.0), (0.0, 1.0)),
    Kind("cascade", 16.0),
    Kind("hunt", 16.0, (0.5, 6.0)),
    Kind("shuffle", 6.0),
    Kind("resize", 8.0),
    Kind("crash-point", 12.0, (0.0, 6.0), (0.0, 1.0)),
    Kind("alter", 8.0, (1.0, 8.0), (0.0, 0.5), is_apart=True),
    Kind("duel", 8.0, (2.0, 8.0), (0.0, 1.0), is_apart=True),
    Kind("rove", 1.0, is_apart=True),
)
"""
What there is, beside what level 2 with one node has (L{streamline.testing.simulation.faults.KINDS}).

Deaths (F7, F8) hit one node, a minority, a majority or all.  C{cut}: one node is apart from the others, and below
0.5 from clients, too; C{split}: two halves; C{ring}: each hears a majority, and no two the same; C{bridge}: two halves
that have one node in common (F4).  C{swizzle}: nodes are clogged one by one and released in another order (F5).
C{wipe}: a disk is replaced by an empty one where a majority of the voters goes on to have theirs (F13).
C{demote}: a voter is made a learner, and promoted again by the cluster itself (RC10).
C{transfer}: the leader is asked to hand over; C{campaign}: a replica stands for no reason (F17, F20).
C{push}: what the controller pushes to one node comes late, twice, in another order or not at all; C{amount} is the
chance that it is lost.
C{deaf}: nothing comes from one node to one other; C{detour}: it takes up to half a second, mostly less (F2, F4).
C{cascade}: nodes go one by one and come back in another order (KC3); C{hunt}: whoever comes to lead some partition
goes soon (KC5); C{shuffle}: a partition's replicas are ordered or placed anew, and the first of them leads; C{resize}:
min.insync.replicas of a topic changes (F17, KC4).  C{crash-point}: the power is cut at one of the next durable steps.
C{alter}: what leaders ask for is heard late and in another order, and C{amount} of it is never answered (KR12, KR13);
C{duel}: two replicas take the lead from each other, faster than they can copy, and one that follows may not hear of it
(KIP-279, KIP-320).  C{rove}: consumers learn in which rack they are, or forget it, and go on at other replicas (KR10).
"""

KIND_NAMES = tuple(kind.name for kind in KINDS)

SHAPES = ("together", "together", "grown", "late")
SURGES = (0.2, 1.0, 1.0, 3.0)
"""How much more often than usual a kind may come in an episode: what many of one kind do, a few of each do not."""
SIZES = (1, 3, 3, 3, 5)
BEGIN_LATE_S = (6.0, 14.0)
JOIN_AFTER_S = (0.2, 12.0)


def swarm(seed: int) -> tuple[str, ...]:
    """Return the kinds of fault that a seed's run has."""
    rng = Random(f"{seed}/cluster/swarm")
    return tuple(name for name in KIND_NAMES if rng.random() >= LEAVE_OUT_CHANCE)


def plan_of(seed: int, until: float, kinds: Sequence[str]) -> Plan:
    """Draw a plan of these kinds."""
    return draw(seed, until, kinds, KINDS, SURGES)


@frozen
class Shape:
    """
    Who is there when (F1).

    @ivar begins_at: when; what goes wrong begins with the plan, so that a late start is one in the midst of it.
    @ivar founders: how many nodes found the cluster.
    @ivar joining: how much later each of the others comes.
    @ivar max_voters: how many vote at most.
    """

    begins_at: float
    founders: int
    joining: tuple[float, ...]
    max_voters: int

    @property
    def size(self) -> int:
        """How many nodes there are in the end."""
        return self.founders + len(self.joining)


def shape_of(seed: int, nodes: int | None) -> Shape:
    """Draw how a cluster comes to be: founded by all, by one that others join, or by most of them."""
    rng = Random(f"{seed}/cluster/shape")
    size, kind = nodes or rng.choice(SIZES), rng.choice(SHAPES)
    founders = {"together": size, "grown": 1, "late": max(1, size - 1)}[kind]
    joining = sorted(rng.uniform(*JOIN_AFTER_S) for _ in range(size - founders))
    begins_at = rng.choice((0.0, 0.0, rng.uniform(*BEGIN_LATE_S)))
    return Shape(begins_at, founders, tuple(joining), rng.choice((3, 5, 5)))
