"""
C{python -m streamline.testing.chaos}: torment a cluster of processes, and say what came of it.

Each trial has a topic of its own.  By default its few faults are drawn by a seed, and there are trials for as long as
wanted; with --case the faults and lengths are those of a table.  The exit code is 1 where anything was wrong.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

from streamline.testing.chaos.cases import CASES, Case
from streamline.testing.chaos.clients import WRITERS, writers_here
from streamline.testing.chaos.faults import FAULTS
from streamline.testing.chaos.page import page
from streamline.testing.chaos.report import lines_of, summary
from streamline.testing.chaos.trial import Settings, Trial, Verdict, start_cluster
from streamline.testing.cluster import Cluster

ALL = "all"
NODES = 3


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    what = "\n".join(f"  {number:<6}{case.what}" for number, case in CASES.items())
    made = argparse.ArgumentParser(
        "python -m streamline.testing.chaos",
        description=__doc__,
        epilog=f"cases:\n{what}\n\nfaults:\n  {', '.join(FAULTS)}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--minutes", type=float, default=2.0, help="begin no trial after so long (default 2)")
    made.add_argument("--seed", type=int, default=1, help="what the choice of faults and nodes is drawn from")
    made.add_argument("--faults", default=",".join(FAULTS), help="names with commas between (default: all)")
    made.add_argument("--each", type=int, default=4, metavar="N", help="faults in a trial (default 4)")
    made.add_argument("--nodes", type=int, default=NODES)
    here = ",".join(writers_here())
    made.add_argument("--clients", default=here, help=f"producers, with commas between (default: {here})")
    made.add_argument("--rate", type=float, default=150.0, help="records a second of each producer (default 150)")
    made.add_argument("--held", type=float, default=3.0, metavar="S", help="the longest time that a fault lasts")
    made.add_argument("--crashes", type=float, metavar="S", help="have clients crash as well, every S seconds or so")
    made.add_argument("--case", help=f"cases of the table instead, with commas between, or {ALL}")
    made.add_argument("--full", action="store_true", help="go through the cases in full length, not the short one")
    made.add_argument("--report", metavar="FILE.html", help="write a page with a picture of each trial")
    made.add_argument("--data-dir", help="keep data and logs here")
    return made


class Run:
    """
    All trials of one command.

    @ivar found: names of trials, and what came of them.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.found: list[tuple[str, Verdict]] = []

    def cases(self, numbers: Sequence[str]) -> None:
        """Go through cases of the table, each with a cluster of its own."""
        for number in numbers:
            case = CASES[number]
            with self.cluster(case.full_nodes if self.options.full else NODES, number) as cluster:
                for at in range(case.trials if self.options.full else 1):
                    self.case(cluster, f"{number.lower()}-{self.options.seed + at}", case)

    def case(self, cluster: Cluster, name: str, case: Case) -> None:
        """Have one trial of a case."""
        trial = Trial(cluster, name, Random(name), case.settings(is_full=self.options.full))
        self.note(name, trial.run(trial.chosen(case.faults, case.trial_s) if self.options.full else case.faults))

    def seeds(self, faults: Sequence[str]) -> None:
        """Have trials for as long as wanted."""
        options = self.options
        settings = Settings(
            per_second=options.rate,
            held_s=(0.5, options.held),
            clients=options.clients.split(","),
            administers=True,
            crash_s=options.crashes,
        )
        end = time.monotonic() + options.minutes * 60
        with self.cluster(options.nodes, "") as cluster:
            while time.monotonic() < end:
                name = f"trial-{options.seed + len(self.found)}"
                rng = Random(name)
                self.note(name, Trial(cluster, name, rng, settings).run(rng.choices(faults, k=options.each)))

    def cluster(self, nodes: int, name: str) -> Cluster:
        """Return a cluster, not started yet, with one node more than that, for which there is no need at first."""
        home = None if self.options.data_dir is None else Path(self.options.data_dir, name)
        return start_cluster(nodes + 1, founders=nodes, data_dir=home, sync=False)

    def note(self, name: str, verdict: Verdict) -> None:
        """Say what came of a trial."""
        self.found.append((name, verdict))
        print("\n".join(lines_of(verdict, name)), flush=True)
        if self.options.report:
            Path(self.options.report).write_text(page(self.found), encoding="utf-8")


def unknown(names: Sequence[str], known: Sequence[str], what: str) -> Iterator[str]:
    """Yield what is wrong with names."""
    for name in names:
        if name not in known:
            yield f"there is no {what} {name}; there are {', '.join(known)}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run trials, print what came of each and of all; return the exit code."""
    options = parser().parse_args(arguments)
    faults = options.faults.split(",")
    numbers = list(CASES) if options.case == ALL else (options.case or "").upper().split(",")
    wrong = [*unknown(faults, list(FAULTS), "fault"), *unknown(options.clients.split(","), list(WRITERS), "client")]
    if options.case:
        wrong += unknown(numbers, list(CASES), "case")
    if wrong:
        print(wrong[0], file=sys.stderr)
        return 2
    run = Run(options)
    if options.case:
        run.cases(numbers)
    else:
        run.seeds(faults)
    print("\n".join(summary([verdict for _, verdict in run.found])))
    return int(any(verdict.wrong for _, verdict in run.found))


if __name__ == "__main__":
    sys.exit(main())
