"""
C{python -m streamline.testing.chaos}: torment a cluster of processes for as long as wanted, and say what came of it.

Each trial has a topic of its own and a few faults, which a seed draws.  The exit code is 1 where anything was wrong.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from random import Random

from streamline.testing.chaos.faults import FAULTS
from streamline.testing.chaos.report import lines_of, summary
from streamline.testing.chaos.trial import Settings, Trial, Verdict, start_cluster
from streamline.testing.chaos.writers import WRITERS


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    made = argparse.ArgumentParser("python -m streamline.testing.chaos", description=__doc__)
    made.add_argument("--minutes", type=float, default=2.0, help="begin no trial after so long (default 2)")
    made.add_argument("--seed", type=int, default=1, help="what the choice of faults and nodes is drawn from")
    made.add_argument("--faults", default=",".join(FAULTS), help="names with commas between (default: all)")
    made.add_argument("--each", type=int, default=4, metavar="N", help="faults in a trial (default 4)")
    made.add_argument("--nodes", type=int, default=3)
    made.add_argument("--clients", default=",".join(WRITERS), help="producers, with commas between (default: all)")
    made.add_argument("--rate", type=float, default=150.0, help="records a second of each producer (default 150)")
    made.add_argument("--held", type=float, default=3.0, metavar="S", help="the longest time that a fault lasts")
    made.add_argument("--data-dir", help="keep data and logs here")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run trials, print what came of each and of all; return the exit code."""
    options = parser().parse_args(arguments)
    faults = options.faults.split(",")
    if unknown := [name for name in faults if name not in FAULTS]:
        print(f"there is no fault {unknown[0]}; there are {', '.join(FAULTS)}", file=sys.stderr)
        return 2
    verdicts: list[Verdict] = []
    end = time.monotonic() + options.minutes * 60
    settings = Settings(
        per_second=options.rate, held_s=(0.5, options.held), clients=options.clients.split(","), administers=True
    )
    with start_cluster(options.nodes, data_dir=options.data_dir, sync=False) as cluster:
        while time.monotonic() < end:
            name = f"trial-{options.seed + len(verdicts)}"
            rng = Random(name)
            verdict = Trial(cluster, name, rng, settings).run(rng.choices(faults, k=options.each))
            verdicts.append(verdict)
            print("\n".join(lines_of(verdict, name)), flush=True)
    print("\n".join(summary(verdicts)))
    return int(any(verdict.wrong for verdict in verdicts))


if __name__ == "__main__":
    sys.exit(main())
