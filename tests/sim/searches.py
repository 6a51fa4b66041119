"""
Where to look for what goes wrong with records once something was taken out of replication.
"""

from __future__ import annotations

from attrs import frozen

from tests.sim.bugs import Bug

HARD = "kill,power,cut,one-way,stall,stop,clog,slow-disk"
ROUGH = f"{HARD},stuck-disk,deaf,detour,cascade,hunt,shuffle,resize"


@frozen(kw_only=True)
class Search:
    """
    How simulated clusters with records are run, from one seed to the next.

    @ivar seed: where to begin; one that found it, not long ago.
    @ivar is_found: whether any seed is known to find it; of the others a few were tried.
    """

    seed: int = 1
    faults: str = ROUGH
    pace_s: float = 2.0
    records_pace_s: float = 0.4
    until_s: float = 35.0
    nodes: str = "3"
    is_found: bool = True
    whims: str = "none"

    def bug(self, says: str) -> Bug:
        """Return what L{tests.sim.planted} looks for, in a copy of the product that has been changed already."""
        return Bug(
            says, "", "", "", self.faults, self.seed, self.pace_s, self.until_s, self.nodes,
            data=True, records_pace_s=self.records_pace_s, whims=self.whims,
        )  # fmt: skip
