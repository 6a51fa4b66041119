"""
Finding the few faults of a failing run that it takes to fail.

Faults are data that nothing else depends on, so a run without some of them is the
same run otherwise.  Ever smaller groups are left out, for as long as the run goes
on to break the same rule.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import attrs

from streamline.testing.simulation.noderun import NodeRun

RUNS_MAX = 200

S = TypeVar("S", bound=Any)

Broken = Callable[[Any], set[str]]
"""Runs with these settings and returns the rules that were broken."""


def broken_by(seed: int) -> Broken:
    """Return what runs a seed."""
    return lambda settings: {anomaly.kind for anomaly in NodeRun(seed, settings).run().anomalies}


def shrink(numbers: list[int], settings: S, broken: Broken, said: Callable[[str], None]) -> S:
    """
    Return settings that leave out every fault without which the run fails all the same.

    @param numbers: the faults that a run with these settings has.
    @param said: told of each step.
    """
    kinds, remaining = broken(settings), list(numbers)
    size, runs = max(1, len(remaining) // 2), 0
    while remaining and size and runs < RUNS_MAX:
        smaller = False
        for start in range(0, len(remaining), size):
            group = remaining[start : start + size]
            attempt = attrs.evolve(settings, without=(*settings.without, *group))
            runs += 1
            if kinds & broken(attempt):
                settings, smaller = attempt, True
                remaining = [number for number in remaining if number not in group]
                said(f"fails without {len(group)} of the faults too; {len(remaining)} are left")
                break
        if not smaller:
            size //= 2
    return settings
