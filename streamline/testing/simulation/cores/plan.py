"""
What goes wrong at level 1, drawn from the seed before the run (reliability 8.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from streamline.testing.simulation.faults import LEAVE_OUT_CHANCE, Kind, Plan, draw

KINDS = (
    Kind("kill", 8.0, (0.0, 10.0), (0.0, 1.0)),
    Kind("power", 12.0, (0.0, 10.0), (0.0, 1.0)),
    Kind("cut", 10.0, (0.5, 12.0), (0.0, 1.0)),
    Kind("one-way", 10.0, (0.5, 12.0), (0.0, 1.0)),
    Kind("mesh", 20.0, (2.0, 15.0), (0.0, 1.0)),
    Kind("clog", 10.0, (0.1, 5.0), (0.01, 2.0)),
    Kind("loss", 15.0, (1.0, 10.0), (0.02, 0.4)),
    Kind("break", 4.0),
    Kind("slow-disk", 10.0, (1.0, 10.0), (0.02, 0.8)),
    Kind("stuck-disk", 15.0, (0.5, 10.0)),
    Kind("stall", 6.0, (0.05, 10.0)),
    Kind("wipe", 25.0, (0.0, 5.0)),
    Kind("member", 10.0, (0.0, 0.0), (0.0, 1.0)),
    Kind("hasty", 15.0),
    Kind("transfer", 8.0),
    Kind("ambush", 12.0, (1.0, 8.0)),
    Kind("rumour", 8.0),
    Kind("campaign", 15.0),
    Kind("resign", 20.0, (0.5, 5.0)),
)
"""
What there is, with the numbers of reliability table 8.2 in brackets.

C{kill}, C{power} (F7, F8): one replica, or by C{amount} a minority, a majority or all at the
same instant.  C{cut} (F4): one, or half of them, apart from the others; C{one-way}: nothing
towards one, or nothing from it.  C{mesh} (F4, RF8): some pairs cannot talk, and everybody
can through others.  C{clog} (F5), C{loss} and C{break} (F3) are about messages: held up,
lost, or what is on its way is lost and both ends hear of it.  C{slow-disk}, C{stuck-disk}
(F12).  C{stall} (F15).  C{wipe} (F13): a disk is replaced.  C{member}, C{transfer} (F17);
C{hasty}: whoever claims to lead is asked to take out voters, one after the other, without waiting.
C{ambush}: the next replica that is made a voter hears nothing for a while, and the leader's disk is
replaced meanwhile; the next one that is handed leadership is not heard.  C{rumour}: a replica is told
that another is gone, C{campaign}: it stands for no reason (F20).
C{resign}: a replica is asked to stop, does so, and comes back.
"""

KIND_NAMES = tuple(kind.name for kind in KINDS)


def swarm(seed: int) -> tuple[str, ...]:
    """Return the kinds of fault that a seed's run has."""
    rng = Random(f"{seed}/cores/swarm")
    return tuple(name for name in KIND_NAMES if rng.random() >= LEAVE_OUT_CHANCE)


def plan_of(seed: int, until: float, kinds: Sequence[str]) -> Plan:
    """Draw a plan of these kinds."""
    return draw(seed, until, kinds, KINDS)
