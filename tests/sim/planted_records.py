"""
Rules of replication, taken out of a copy of the product one by one: does a simulated cluster miss them?

    python -m tests.sim.planted_records                  # all of them
    python -m tests.sim.planted_records KR12 "no answer" # those with one of these words
    python -m tests.sim.planted_records --seeds 40       # look further

Each is a row of L{tests.mutants.table}, where a test of its own fails without it; here nobody knows of the rule, and
records that were acknowledged are lost, doubled, or differ between copies.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from attrs import frozen

from tests.mutants.mutant import Mutant
from tests.mutants.planting import without_guard
from tests.mutants.table import AREAS
from tests.sim.bugs import Bug
from tests.sim.planted import ROOT, Finding, copied, find

SEEDS_MAX = 12
HARD = "kill,power,cut,one-way,stall,stop,clog,slow-disk"


@frozen
class Removal:
    """
    A rule that is taken out.

    @ivar says: the sentence by which L{tests.mutants.table} knows it.
    @ivar seed: where to begin; one that found it, not long ago.
    """

    says: str
    seed: int = 1
    faults: str = HARD
    pace_s: float = 0.2


REMOVALS: tuple[Removal, ...] = (
    Removal("A log is cut where it parts from the leader's, at no high watermark."),
    Removal("Logs that are as long may still end in records of different leaders."),
    Removal("A log may be ahead in an epoch that both know."),
    Removal("The follower's own end of the epoch counts as well as the leader's."),
    Removal("Every batch carries its leader's epoch."),
    Removal("What is cut is not committed."),
    Removal("Nothing is committed here that is not here."),
    Removal("A leader lets nobody fetch who follows another epoch."),
    Removal("An earlier process of a node fetches no more."),
    Removal("A new leader tells no end of the log that may lie before what was told already."),
    Removal("Below min.insync.replicas the high watermark stands still."),
    Removal("Only those who are agreed on make up that number."),
    Removal("Who was asked for counts from the moment of asking."),
    Removal("An answer that does not come proves nothing."),
    Removal("Who joins has what is committed."),
    Removal("And everything from before this epoch, which may be committed without our knowledge."),
    Removal("Nothing is known of a follower before it has fetched in this epoch."),
    Removal("What a follower has counts as far as its log is shown to be ours."),
    Removal("The number of replicas is looked at once more before a produce is acknowledged."),
    Removal("Nor for a process that is not the one which has caught up."),
    Removal("Epochs rise within a log, and none is later than that of whoever sends it."),
    Removal("An answer to what was asked before means nothing."),
    Removal("Metadata about an earlier process say nothing about this one."),
    Removal("Doubt is ended by asking for the ISR as it is."),
)


def mutant_of(removal: Removal) -> Mutant:
    """
    Return the row that a removal is.

    @raise LookupError: there is none, or more than one.
    """
    found = [mutant for area in AREAS.values() for mutant in area if mutant.says == removal.says]
    if len(found) != 1:
        raise LookupError(f"{len(found)} guards say: {removal.says}")
    return found[0]


def look(removal: Removal, seeds: int = SEEDS_MAX) -> Finding:
    """Take a rule out of a copy, and run seeds there until one fails."""
    mutant = mutant_of(removal)
    bug = Bug(removal.says, mutant.file, "", "", removal.faults, removal.seed, removal.pace_s, nodes="3", data=True)
    with TemporaryDirectory() as directory:
        copied(Path(directory))
        path = Path(directory) / mutant.file
        path.write_text(without_guard((ROOT / mutant.file).read_text("utf-8"), mutant), "utf-8")
        return find(bug, Path(directory), seeds=seeds)


def chosen(words: list[str]) -> Iterator[Removal]:
    """Yield the removals with one of these words in what they say, or of one of these rules."""
    for removal in REMOVALS:
        if not words or any(word in removal.says or word == mutant_of(removal).rule for word in words):
            yield removal


def main(words: list[str]) -> int:
    """Look for all; print how it went; return how many were not found."""
    seeds = SEEDS_MAX
    if "--seeds" in words:
        at = words.index("--seeds")
        seeds = int(words[at + 1])
        del words[at : at + 2]
    missed = 0
    for removal in chosen(words):
        started = time.monotonic()
        finding = look(removal, seeds)
        missed += finding.seed is None
        how = "NOT FOUND" if finding.seed is None else f"seed {finding.seed}: {', '.join(finding.rules)}"
        print(f"{mutant_of(removal).rule} {removal.says} {how} ({time.monotonic() - started:.0f} s)", flush=True)
    return missed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
