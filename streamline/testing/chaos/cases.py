"""
The cases of chaos that are gone through: what is done in each, and for how long (Jepsen's lengths, where it has them).

Each has two lengths: a short one, in which every fault strikes once, and the full one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import evolve, frozen

from streamline.testing.chaos.trial import Settings

SILENT_S = (4.0, 5.0)
"""Longer than a session lasts: somebody else leads meanwhile."""
BRIEF_S = (0.5, 1.5)
CALM_S = (0.2, 0.5)
FULL_CALM_S = (4.0, 10.0)
FULL_CRASH_S = 30.0


@frozen(kw_only=True)
class Case:
    """
    One case.

    @ivar faults: those that strike; in the short length each once, in this order, in the full one as chance has it.
    @ivar held_s: the shortest and the longest time that a fault lasts in the short length; C{full_held_s} in the full.
    @ivar full_nodes: how many nodes there are in the full length; three in the short one.
    @ivar trials: how many trials the full length has, of C{trial_s} seconds each.
    @ivar crash_s: how often clients crash in the short length, if they do.
    """

    what: str
    faults: Sequence[str]
    held_s: tuple[float, float] = BRIEF_S
    full_held_s: tuple[float, float] = (1.0, 10.0)
    full_nodes: int = 3
    trials: int = 5
    trial_s: float = 300.0
    crash_s: float | None = None

    def settings(self, *, is_full: bool) -> Settings:
        """Return how its trials are run."""
        if not is_full:
            return Settings(held_s=self.held_s, calm_s=CALM_S, crash_s=self.crash_s, administers=True)
        crash_s = None if self.crash_s is None else FULL_CRASH_S
        return Settings(held_s=self.full_held_s, calm_s=FULL_CALM_S, crash_s=crash_s, administers=True)


_ROUNDS = Case(
    what="", faults=(), held_s=SILENT_S, full_held_s=(30.0, 30.0), trials=4, trial_s=300.0,
)  # fmt: skip

CASES: Mapping[str, Case] = {
    "CH0": Case(what="nothing happens", faults=["calm"], trials=1),
    "CH1": Case(what="one node is killed", faults=["kill-one", "kill-leader", "kill-controller"]),
    "CH2": Case(what="a minority is killed at once", faults=["kill-minority"], full_nodes=5),
    "CH3": Case(what="a majority is killed at once", faults=["kill-majority"], full_nodes=5),
    "CH4": Case(what="all nodes are killed at once", faults=["kill-all"]),
    "CH5": Case(
        what="a node stands still, and goes on as if nothing had been",
        faults=["pause-leader", "pause-controller"], held_s=SILENT_S, full_held_s=(1.0, 60.0),
    ),
    "CH6": Case(
        what="a majority stands still", faults=["pause-majority"], full_held_s=(1.0, 60.0), full_nodes=5,
    ),
    "CH7": Case(what="all nodes stand still", faults=["pause-all"], full_held_s=(1.0, 60.0)),
    "CH8": Case(
        what="one node hears its clients and no other node", faults=["isolate-leader", "isolate-controller"],
        held_s=SILENT_S,
    ),
    "CH9": Case(
        what="a majority hears nothing of the others, and then nobody of anybody",
        faults=["part-halves", "part-all"], held_s=(2.0, 4.0), full_nodes=5,
    ),
    "CH10": Case(
        what="each node hears a majority, and each another one", faults=["part-ring", "part-bridge"],
        held_s=(2.0, 4.0), full_nodes=5,
    ),
    "CH11": Case(
        what="what one node says is not heard, or it does not hear what is said", faults=["one-way-leader", "one-way"],
        held_s=SILENT_S,
    ),
    "CH12": Case(
        what="everything between nodes takes its time, and connections are reset", faults=["slow", "flaky"],
        held_s=(2.0, 3.0), full_held_s=(30.0, 120.0),
    ),
    "CH14": evolve(
        _ROUNDS, what="a stale node and one that was killed go on without those that know more",
        faults=["part-kill", "part-swap"],
    ),
    "CH15": evolve(
        _ROUNDS, what="a node that slept goes on with one that did not, and without the third", faults=["pause-kill"],
    ),
    "CH16": Case(
        what="nodes come and go, and come back with an empty disk", faults=["replace-one", "add-one"],
        trials=10, trial_s=1000.0,
    ),
    "CH20": Case(what="clients are killed", faults=["calm", "kill-leader"], held_s=(4.0, 5.0), crash_s=3.0),
}  # fmt: skip
"""By the number of the case."""
