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
from tests.mutants.planting import planted
from tests.mutants.table import AREAS
from tests.sim.planted import Finding, copied, find
from tests.sim.searches import HARD, Search

SEEDS_MAX = 12
DEAF = "hunt,detour,stall,stuck-disk,deaf"


@frozen
class Removal(Search):
    """
    A rule that is taken out.

    @ivar says: the sentence by which L{tests.mutants.table} knows it.
    """

    says: str


PARTITION = "streamline/services/partition.py"

BLATANT = (
    Mutant(
        "KR9", "A record is committed once every member of the ISR has it.", "streamline/replication/leading.py",
        "if follower.end_offset < committed and self._holds_back(node, follower, now_s):", "if False:", (),
    ),
    Mutant(
        "KR14", "Who joins an ISR has caught up.", "streamline/replication/leading.py",
        "follower.end_offset >= max(self.high_watermark, self.epoch_start_offset)", "follower.end_offset >= 0", (),
    ),
    Mutant(
        "AC2", "What flush.messages=1 asks for counts once it is synced.", PARTITION,
        "if self._unsynced_records >= self.config.flush_messages:\n    self._sync()\nelif not self._syncs:",
        "if True:", (),
    ),
    Mutant(
        "KR7", "What the leader does not have is cut.", "streamline/services/fetchers.py",
        "self._replica.cut(step.offset)", "pass", (),
    ),
    Mutant(
        "KR27", "Followers remember producers as well.", "streamline/services/replica.py",
        "self._remember(header)", "pass", (),
    ),
)  # fmt: skip
"""What is no row of the table, because it is not one line's business there."""

REMOVALS: tuple[Removal, ...] = (
    Removal("A record is committed once every member of the ISR has it.", seed=4),
    Removal("Who joins an ISR has caught up.", seed=4),
    Removal("What the leader does not have is cut.", seed=3),
    Removal("Followers remember producers as well.", seed=4),
    Removal("acks=all waits for the high watermark.", seed=3),
    Removal("A stop was clean if the broker epoch of then was written down last of all.", seed=28),
    Removal("Who may have lost records is not eligible.", seed=4),
    Removal("They are told that it leads no longer, not that their record is safe.", seed=8, faults="cut,hunt,kill"),
    Removal("A leader that stops releases whoever waits.", seed=4),
    Removal("A log that is cut takes its producers' batches along.", seed=3),
    Removal("Producers are rebuilt from the batches of the log.", seed=4),
    Removal("A log that is cut forgets the epochs that began behind the cut.", is_found=False),
    Removal("What a cut leaves of the epochs is written down at once.", is_found=False),
    Removal("A coordinator that is elected again reads the log again.", is_found=False),
    Removal("Who leaves an ISR that may not commit stays eligible.", is_found=False),
    Removal("Whose process is known to be gone is fenced at once.", is_found=False),
    Removal("What flush.messages=1 asks for counts once it is synced.", seed=67, faults="power,lost-sync,kill"),
    Removal("A log is cut where it parts from the leader's, at no high watermark.", is_found=False),
    Removal("Logs that are as long may still end in records of different leaders.", is_found=False),
    Removal("A log may be ahead in an epoch that both know.", seed=3),
    Removal("The follower's own end of the epoch counts as well as the leader's.", is_found=False),
    Removal("Every batch carries its leader's epoch.", seed=3),
    Removal("What is cut is not committed.", is_found=False),
    Removal("Nothing is committed here that is not here.", seed=18),
    Removal("A leader lets nobody fetch who follows another epoch.", is_found=False),
    Removal("An earlier process of a node fetches no more.", is_found=False),
    Removal(
        "A new leader tells no end of the log that may lie before what was told already.",
        seed=41,
        faults="hunt,detour,kill,cut,cascade",
        until_s=30.0,
        nodes="5",
    ),
    Removal("Below min.insync.replicas the high watermark stands still.", seed=3),
    Removal("Only those who are agreed on make up that number.", seed=13, faults=DEAF, until_s=30.0),
    Removal("Who was asked for counts from the moment of asking.", is_found=False),
    Removal("An answer that does not come proves nothing.", is_found=False),
    Removal("Who joins has what is committed.", seed=2, faults=HARD, pace_s=0.2),
    Removal("And everything from before this epoch, which may be committed without our knowledge.", is_found=False),
    Removal("Nothing is known of a follower before it has fetched in this epoch.", is_found=False),
    Removal("What a follower has counts as far as its log is shown to be ours.", seed=2, faults=HARD, pace_s=0.2),
    Removal(
        "The number of replicas is looked at once more before a produce is acknowledged.",
        seed=43,
        faults="hunt,cut,kill,detour,stall",
    ),
    Removal("Nor for a process that is not the one which has caught up.", is_found=False),
    Removal("Epochs rise within a log, and none is later than that of whoever sends it.", is_found=False),
    Removal("An answer to what was asked before means nothing.", is_found=False),
    Removal("Metadata about an earlier process say nothing about this one.", is_found=False),
    Removal("Doubt is ended by asking for the ISR as it is.", is_found=False),
)


def mutant_of(removal: Removal) -> Mutant:
    """
    Return the row that a removal is.

    @raise LookupError: there is none, or more than one.
    """
    rows = [*BLATANT, *(mutant for area in AREAS.values() for mutant in area)]
    found = [mutant for mutant in rows if mutant.says == removal.says]
    if len(found) != 1:
        raise LookupError(f"{len(found)} guards say: {removal.says}")
    return found[0]


def look(removal: Removal, directory: Path, seeds: int = SEEDS_MAX) -> Finding:
    """Take a rule out of a copy of the product for a while, and run seeds there until one fails."""
    with planted(directory, mutant_of(removal)):
        return find(removal.bug(removal.says), directory, seeds=seeds)


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
    with TemporaryDirectory() as directory:
        copied(Path(directory))
        for removal in chosen(words):
            started = time.monotonic()
            finding = look(removal, Path(directory), seeds)
            missed += finding.seed is None
            how = "NOT FOUND" if finding.seed is None else f"seed {finding.seed}: {', '.join(finding.rules)}"
            print(f"{mutant_of(removal).rule} {removal.says} {how} ({time.monotonic() - started:.0f} s)", flush=True)
    return missed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
