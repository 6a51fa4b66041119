"""
C{python -m tests.mutants}: take away each guard in turn, and see that its tests fail.

C{--rule DK4} and C{--area storage} choose some, C{--page} prints docs/reliability.md.
The exit code is 1 if a mutant survives, or if a guard or a test has gone.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from time import monotonic

from tests.mutants.mutant import Mutant
from tests.mutants.page import page
from tests.mutants.running import LIMIT_S, Verdict, copied, is_imported_from, sound, try_out
from tests.mutants.table import AREAS


def chosen(areas: Sequence[str], rules: Sequence[str]) -> list[Mutant]:
    """Return the mutants of these areas and rules; nothing given is no limit."""
    return [
        mutant
        for area, mutants in AREAS.items()
        for mutant in mutants
        if (not areas or area in areas) and (not rules or mutant.rule in rules)
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--rule", action="append", default=[], metavar="ID")
    parser.add_argument("--area", action="append", default=[], choices=list(AREAS))
    parser.add_argument("--limit", type=float, default=LIMIT_S, metavar="SECONDS", help="for the tests of one mutant")
    parser.add_argument("--page", action="store_true", help="print docs/reliability.md and do nothing else")
    options = parser.parse_args(arguments)
    if options.page:
        print(page(), end="")
        return 0
    mutants = chosen(options.area, options.rule)
    if not mutants:
        parser.error("no mutant is of these rules and areas")
    return _try_all(mutants, options.limit)


def _try_all(mutants: Sequence[Mutant], limit_s: float) -> int:
    began = monotonic()
    with copied() as tree:
        if not is_imported_from(tree):
            print("an installed package hides the copy of the tree", file=sys.stderr)
            return 1
        wrong = sound(tree, mutants, limit_s)
        if wrong:
            print("without any mutant:", *wrong, sep="\n", file=sys.stderr)
            return 1
        alive = sum(not _is_killed(tree, mutant, limit_s) for mutant in mutants)
    print(f"{len(mutants) - alive} of {len(mutants)} mutants killed in {monotonic() - began:.0f} s")
    return 1 if alive else 0


def _is_killed(tree: Path, mutant: Mutant, limit_s: float) -> bool:
    began = monotonic()
    outcome = try_out(tree, mutant, limit_s)
    print(f"{mutant.rule:6} {outcome.verdict:11} {monotonic() - began:5.1f} s  {mutant.says}", flush=True)
    if outcome.verdict is not Verdict.KILLED:
        print(f"       {mutant.file}: {mutant.guard[0].strip()}\n       {outcome.why}", flush=True)
    return outcome.verdict is Verdict.KILLED


if __name__ == "__main__":
    sys.exit(main())
