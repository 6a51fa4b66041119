"""
What one client can do to the others: every hostile case of the tests, and as much honest load as there can be.

Run as C{python -m benchmarks.hostile}.  For each case a node, an honest client and the attacker are processes of their
own.  The table says how long the honest client waited for a produce and a fetch of what it had produced, what the node
took in memory at most, and how long its reactor was held up, asked every 5 ms: on the wall's clock, where the
machine's other work counts too, and in processor time of the reactor's thread, where it does not.
"""

from __future__ import annotations

import argparse
import os
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from benchmarks.processes import MIB
from tests.hostile.arena import Arena, Case, Outcome, fight
from tests.hostile.cases import CASES, LOADS

MUST_P999_MS, MUST_MAX_MS = 50, 250
HEAD = (
    "| case | | others p50 | p99 | max | memory | stall p50 | p99.9 | max | busy max |",
    "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
)


def nobody(arena: Arena) -> None:
    """Leave the node alone with the honest client."""
    time.sleep(arena.left_s)


ALONE = Case("-", "nobody else", nobody)


def row(case: Case, outcome: Outcome) -> str:
    """Return a line of the table; what goes beyond the goal is bold."""
    others, node = outcome.others, outcome.node
    cells = [
        case.number,
        case.title,
        *(f"{others[key]:.1f}" for key in ("p50_ms", "p99_ms", "max_ms")),
        f"{node['rss_mib']:.0f}",
        f"{node['stall_p50_ms']:.1f}",
        _judged(node["stall_p999_ms"], MUST_P999_MS),
        _judged(node["stall_max_ms"], MUST_MAX_MS),
        f"{node['busy_max_ms']:.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def _judged(found_ms: float, must_ms: float) -> str:
    return f"{found_ms:.1f}" if found_ms <= must_ms else f"**{found_ms:.1f}**"


def measure(cases: Sequence[Case], seconds: float) -> list[str]:
    """Return the table, and print it as it grows."""
    lines = list(HEAD)
    print(*lines, sep="\n", flush=True)
    for case in cases:
        try:
            line = row(case, fight(case, seconds))
        except AssertionError as error:
            at = traceback.extract_tb(error.__traceback__)[-1]
            line = f"| {case.number} | {case.title} | failed: {at.line} {error} |"
        lines.append(line)
        print(line, flush=True)
    return lines


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0, help="how long each attack lasts")
    parser.add_argument("--only", default="", help="cases whose number or title contains this")
    parser.add_argument("--output", type=Path, help="a file for the table")
    given = parser.parse_args()
    everything = [ALONE, *CASES, *LOADS]
    cases = [case for case in everything if given.only in f"{case.number} {case.title}"]
    before = os.getloadavg()[0]
    lines = measure(cases, given.seconds)
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / MIB / 1024
    lines.append(
        f"\nMilliseconds and MiB; {given.seconds:g} s each, on {os.cpu_count()} processors with {memory_gib:.0f} GiB, "
        f"load average {before:.1f} before and {os.getloadavg()[0]:.1f} after."
    )
    print(lines[-1])
    if given.output is not None:
        given.output.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
