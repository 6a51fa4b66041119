"""
Rules of replication that are taken out of a copy of the product, each as a whole: the simulator must see it.

    python -m tests.sim.planted_rules                # all of them, from the seed that is known to find each
    python -m tests.sim.planted_rules KR3 KR20       # some
    python -m tests.sim.planted_rules --share 4      # how many of four seeds find each

L{tests.sim.planted_records} takes out single lines, most of which others stand behind: a follower that cuts too little
is refused by its leader, a leader that asks for the wrong ISR by the controller.  Here a rule goes with all that guards
it, so that what is left is the mistake which the rule was made for.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from attrs import evolve, frozen

from tests.mutants.mutant import Mutant
from tests.mutants.planting import planted
from tests.mutants.table import AREAS
from tests.sim.planted import Finding, copied, find, share
from tests.sim.searches import Search

SEEDS_MAX = 5
DUEL = "duel,kill"

ALTERING = "streamline/cluster/altering.py"
EPOCHS = "streamline/replication/epochs.py"
FAILOVER = "streamline/cluster/failover.py"
FOLLOWING = "streamline/replication/following.py"
GUARDS = "streamline/cluster/guards.py"
LEADERSHIP = "streamline/cluster/leadership.py"
LEADING = "streamline/replication/leading.py"
MEMBERSHIP = "streamline/cluster/membership.py"
RECOVERY = "streamline/cluster/recovery.py"
REPLICA = "streamline/services/replica.py"
TRUNCATION = "streamline/replication/truncation.py"


def _edit(file: str, guard: str, instead: str) -> Mutant:
    """Return a guard that is no row of the table, because it is not one line's business there."""
    return Mutant("", "", file, guard, instead, ())


@frozen(kw_only=True)
class Rule(Search):
    """
    A rule, and how it is missed.

    @ivar name: as reliability.md has it.
    @ivar says: what no longer holds.
    @ivar guards: what L{tests.mutants.table} says of those that go, or edits that are not there.
    @ivar sees: what the simulator calls it; at least one of these.
    @ivar share: how many of the four seeds from 1 on found it when they were last counted.
    """

    name: str
    says: str
    guards: Sequence[str | Mutant]
    sees: Sequence[str]
    share: int = 0


LOST = ("CandidatesHaveAll", "LeaderHasAll", "CommittedStays", "CommittedIsHere", "lost-write", "vanished-read")
"""What becomes of records that were committed."""

RULES: tuple[Rule, ...] = (
    Rule(
        name="KR1",
        says="A follower cuts its log to the high watermark that it knows.",
        guards=(
            "A log is cut where it parts from the leader's, at no high watermark.",
            _edit(
                REPLICA,
                "latest = self.epochs.latest\nself._following = replicator.follow(self, self.state, self._advanced)",
                "latest = self.epochs.latest\nif self.log.high_watermark < self.log.end_offset:\n"
                "    self.cut(max(self.log.high_watermark, self.log.start_offset))\n"
                "self._following = replicator.follow(self, self.state, self._advanced)",
            ),
        ),
        sees=LOST,
        faults="duel,kill,shuffle",
        records_pace_s=0.15,
        until_s=20.0,
        seed=1,
        share=2,
    ),
    Rule(
        name="KR2",
        says="Batches do not say under whom they were written.",
        guards=("Every batch carries its leader's epoch.",),
        sees=(*LOST, "KnownIsWritten"),
        seed=2,
        share=3,
    ),
    Rule(
        name="KR3",
        says="A leader that does not know a follower's last epoch says nothing of it, and nothing is cut.",
        guards=(
            _edit(
                TRUNCATION,
                "if epoch < last_epoch or end_offset < offset:",
                "if epoch == last_epoch and end_offset < offset:",
            ),
            "The follower's own end of the epoch counts as well as the leader's.",
        ),
        sees=(*LOST, "Drain", "Convergence"),
        faults=DUEL,
        records_pace_s=0.15,
        until_s=20.0,
        seed=1,
        share=2,
    ),
    Rule(
        name="KR4",
        says="Epochs are not forgotten with what is cut, and not written down.",
        guards=(
            "A log that is cut forgets the epochs that began behind the cut.",
            "Epochs rise with offsets; what a new entry contradicts goes.",
            "What a cut leaves of the epochs is written down at once.",
        ),
        sees=(*LOST, "KnownIsWritten"),
        faults=DUEL,
        records_pace_s=0.15,
        until_s=20.0,
        seed=2,
        share=2,
    ),
    Rule(
        name="KR5",
        says="Nobody is asked in which epoch it takes the leader to lead.",
        guards=("A leader lets nobody fetch who follows another epoch.",),
        sees=("FollowersAreOfNow", *LOST),
        nodes="5",
        faults="shuffle,detour,deaf,push",
        whims="metadata-applied-late,push-held,push-left-out",
        records_pace_s=0.15,
        until_s=25.0,
        seed=2,
        share=1,
    ),
    Rule(
        name="KR7",
        says="A follower takes to be committed what the leader does, whatever its own log has there.",
        guards=(
            "What the leader has committed says nothing about a log that is not its own.",
            "What is cut is not committed.",
            "Nothing is committed here that is not here.",
        ),
        sees=("CommittedIsHere", "CommittedStays", "NothingMoreIsCommitted"),
        seed=2,
        share=2,
    ),
    Rule(
        name="KR9",
        says="A record is committed before the ISR has it.",
        guards=(
            _edit(
                LEADING, "if follower.end_offset < committed and self._holds_back(node, follower, now_s):", "if False:"
            ),
        ),
        sees=LOST,
        seed=1,
        share=4,
    ),
    Rule(
        name="KR10",
        says="What a follower does not know to be committed is out of range for consumers.",
        guards=("What a follower does not know to be committed is not out of range.",),
        sees=("thrown-back",),
        faults="rove,detour",
        whims="high-watermark-told-late",
        records_pace_s=0.3,
        until_s=40.0,
        share=4,
    ),
    Rule(
        name="KR12",
        says="Who was asked for, and may be in the ISR by now, is not counted.",
        guards=(
            _edit(
                LEADING,
                """
                if node in self._state.isr or self._changes.counts(node):
                    return True
                return (
                    follower.end_offset != NO_OFFSET
                    and follower.is_caught_up(self.end_offset, now_s, self._lag_max_s)
                    and self._is_eligible(follower)
                )
                """,
                "return node in self._state.isr",
            ),
        ),
        sees=LOST,
        faults="alter,kill,stop,detour",
        records_pace_s=0.15,
        until_s=25.0,
        seed=4,
        share=1,
    ),
    Rule(
        name="KR13",
        says="Requests for ISRs overtake each other, and none says what it is to replace.",
        guards=(
            _edit(
                "streamline/replication/isr_changes.py",
                "return self._asked is None and not self._is_overtaken and now_s >= self.retry_s",
                "return now_s >= self.retry_s",
            ),
            "A node has one request for ISRs under way.",
            "A leader changes the state that it knows, and no other.",
            "A change that was decided on another state is refused when it is applied.",
        ),
        sees=(*LOST, "EpochsRise"),
        faults="alter,stall,cut,deaf,kill",
        records_pace_s=0.15,
        until_s=30.0,
        seed=7,
        share=1,
    ),
    Rule(
        name="KR14",
        says="Who joins an ISR need not have caught up.",
        guards=(
            _edit(
                LEADING,
                "follower.end_offset >= max(self.high_watermark, self.epoch_start_offset)",
                "follower.end_offset >= 0",
            ),
        ),
        sees=LOST,
        seed=2,
        share=3,
    ),
    Rule(
        name="KR15",
        says="A process takes part before it knows that it is registered.",
        guards=("A broker is fenced until it has caught up.",),
        sees=("UnfencedIsReady",),
        seed=1,
        share=4,
    ),
    Rule(
        name="KR16",
        says="Who is fenced, or about to stop, joins an ISR.",
        guards=(
            "The leader asks for nobody who is fenced or about to stop.",
            "Nobody joins an ISR who is fenced or shutting down.",
            "Nor who has been fenced between deciding and applying.",
        ),
        sees=("MembersAreThere",),
        faults="cut,one-way,stop,deaf,kill",
        seed=2,
        share=2,
    ),
    Rule(
        name="KR17",
        says="A replica that cannot join holds back what is committed.",
        guards=("A replica that cannot join holds nothing back.",),
        sees=("NobodyGoneHoldsBack",),
        faults="cut,one-way,stop,deaf,kill",
        seed=2,
        share=2,
    ),
    Rule(
        name="KR18",
        says="A replica is taken back as the process that it was before it lost its disk.",
        guards=(
            "Nor for a process that is not the one which has caught up.",
            "An earlier process of a node fetches no more.",
            "Who has registered again will not be taken back as who it was.",
            "Nobody joins an ISR as another process than the one that had caught up.",
            "Nor as one that has registered between deciding and applying.",
        ),
        sees=LOST,
        faults="power,wipe,deaf,detour",
        records_pace_s=1.0,
        is_found=False,
    ),
    Rule(
        name="KR19",
        says="A leader commits what it alone has.",
        guards=("Below min.insync.replicas the high watermark stands still.",),
        sees=("CommitsWithEnough",),
        seed=2,
        share=3,
    ),
    Rule(
        name="KR20",
        says="Who leaves an ISR that may commit nothing is forgotten.",
        guards=(
            _edit(
                LEADERSHIP,
                "if len(isr) >= quorum_of(aim.min_isr, replicas):\n    return ()",
                "return ()",
            ),
        ),
        sees=("NobodyIsForgotten", *LOST),
        seed=1,
        share=4,
    ),
    Rule(
        name="KR21",
        says="A restart after a power cut passes for one after a clean stop.",
        guards=("A stop was clean if the broker epoch of then was written down last of all.",),
        sees=LOST,
        faults="power,cascade,lost-sync,kill",
        seed=4,
        share=1,
    ),
    Rule(
        name="KR22",
        says="Where all may have lost something, any of them leads.",
        guards=(
            _edit(
                RECOVERY,
                "best = max(said, key=lambda node: (said[node], node in known, -state.replicas.index(node)))",
                "best = min(said, key=lambda node: (said[node], node in known, -state.replicas.index(node)))",
            ),
        ),
        sees=("BestIsElected", *LOST),
        records_pace_s=0.15,
        faults="power,relapse,cascade",
        until_s=30.0,
        seed=12,
    ),
    Rule(
        name="KR23",
        says="Who lacks something for a moment leaves the ISR.",
        guards=("Who lacks something for a moment is not late.",),
        sees=("LiveIsInSync",),
        faults="none",
        records_pace_s=0.05,
        until_s=14.0,
        seed=24,
        share=0,
    ),
    Rule(
        name="KR24",
        says="Who waits for what is not committed any more is told that it is.",
        guards=("acks=all waits for the high watermark.",),
        sees=("AckedIsCommitted",),
        seed=1,
        share=4,
    ),
    Rule(
        name="KR25",
        says="Who may lack records is elected where nobody else is there.",
        guards=(
            _edit(LEADERSHIP, "if aim.election is Election.UNCLEAN or len(replicas) == 1:", "if True:"),
        ),
        sees=("LeadersAreEligible", *LOST),
        faults="kill,cascade,cut",
        until_s=30.0,
        seed=2,
        share=1,
    ),
    Rule(
        name="KR26",
        says="A producer that waits at a leader which is none any more is told that its record is safe.",
        guards=(
            "Who leads no longer releases those who wait for it.",
            "A batch that an earlier leadership took is not acknowledged by a later one.",
            "Nor are many of them together.",
            "Nobody waits for a leadership that is over.",
        ),
        sees=("NobodyWaitsInVain", "AckedIsCommitted"),
        faults="duel,hunt,cut",
        records_pace_s=0.15,
        until_s=25.0,
        seed=1,
        share=2,
    ),
    Rule(
        name="KR27",
        says="Followers do not remember producers.",
        guards=(_edit("streamline/services/replica.py", "self._remember(header)", "pass"),),
        sees=("KnownIsWritten", "duplicate"),
        seed=1,
        share=4,
    ),
    Rule(
        name="KR29",
        says="A coordinator begins, and goes on, whatever the log says.",
        guards=(
            "A commit is an append in the epoch that the coordinator was elected in.",
            "A coordinator that is elected again reads the log again.",
            "The log is read up to its end, once that is committed.",
            "COORDINATOR_LOAD_IN_PROGRESS is answered until the log is read.",
        ),
        sees=("lost-commit", "double-owner"),
        faults="duel,hunt,cut,kill,detour",
        seed=2,
        share=2,
    ),
    Rule(
        name="KR32",
        says="A node stops without having others lead.",
        guards=(
            _edit(
                "streamline/services/registering.py",
                "if not (self._can_leave and self._config.broker.controlled_shutdown_enable and self._others):",
                "if True:",
            ),
        ),
        sees=("LeavesInOrder",),
        faults="stop",
        seed=1,
        share=2,
    ),
)


def guards_of(rule: Rule) -> Iterator[Mutant]:
    """
    Yield what goes with a rule.

    @raise LookupError: the table says no such thing, or more than once.
    """
    rows = [mutant for area in AREAS.values() for mutant in area]
    for guard in rule.guards:
        found = [guard] if isinstance(guard, Mutant) else [row for row in rows if row.says == guard]
        if len(found) != 1:
            raise LookupError(f"{len(found)} guards say: {guard}")
        yield found[0]


@contextmanager
def without(rule: Rule, directory: Path) -> Iterator[None]:
    """Have a copy of the product without a rule for a while."""
    with ExitStack() as stack:
        for guard in guards_of(rule):
            stack.enter_context(planted(directory, guard))
        yield


def look(rule: Rule, directory: Path, seeds: int = SEEDS_MAX) -> Finding:
    """Take a rule out of a copy of the product for a while, and run seeds there until one fails."""
    with without(rule, directory):
        return find(rule.bug(rule.says), directory, seeds=seeds)


def is_seen(rule: Rule, names: Iterable[str]) -> bool:
    """Say whether it was found, and called by its name."""
    return any(name in rule.sees for name in names)


def _count(rule: Rule, directory: Path, seeds: int) -> str:
    """Return how many of some seeds find it, each by itself."""
    with without(rule, directory):
        found = share(evolve(rule.bug(rule.says), seed=1), directory, seeds)
    seen = [str(seed) for seed, names in found.items() if is_seen(rule, names)]
    names = dict.fromkeys(name for one in found.values() for name in one)
    return f"{len(seen)} of {seeds} ({', '.join(seen)}): {', '.join(names)}"


def _say(rule: Rule, directory: Path) -> tuple[bool, str]:
    finding = look(rule, directory)
    how = "NOT FOUND" if finding.seed is None else f"seed {finding.seed}: {', '.join(finding.rules)}"
    return is_seen(rule, finding.rules), how


def main(words: list[str]) -> int:
    """Look for all, or some; print how it went; return how many were not found."""
    seeds = 0
    if "--share" in words:
        at = words.index("--share")
        seeds = int(words[at + 1])
        del words[at : at + 2]
    missed = 0
    with TemporaryDirectory() as name:
        directory = Path(name)
        copied(directory)
        for rule in RULES:
            if words and rule.name not in words:
                continue
            started = time.monotonic()
            is_found, how = (True, _count(rule, directory, seeds)) if seeds else _say(rule, directory)
            missed += not is_found
            print(f"{rule.name} {rule.says} {how} ({time.monotonic() - started:.0f} s)", flush=True)
    return missed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
