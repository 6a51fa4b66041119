"""
Finding the few faults of a failing run that it takes to fail.

Faults are data that nothing else depends on, so a run without some of them is the
same run otherwise.  Ever smaller groups are left out, for as long as the run goes
on to break the same rule.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from streamline.testing.simulation.noderun import NodeRun, Report, Settings

RUNS_MAX = 200


def shrink(seed: int, settings: Settings, said: Callable[[str], None]) -> Settings:
    """
    Return settings that leave out every fault without which the run fails all the same.

    @param said: told of each step.
    """
    kinds = _kinds_of(NodeRun(seed, settings).run())
    remaining = [fault.number for fault in NodeRun(seed, settings).plan.faults]
    size, runs = max(1, len(remaining) // 2), 0
    while remaining and size and runs < RUNS_MAX:
        smaller = False
        for start in range(0, len(remaining), size):
            group = remaining[start : start + size]
            attempt = attrs.evolve(settings, without=(*settings.without, *group))
            runs += 1
            if kinds & _kinds_of(NodeRun(seed, attempt).run()):
                settings, smaller = attempt, True
                remaining = [number for number in remaining if number not in group]
                said(f"fails without {len(group)} of the faults too; {len(remaining)} are left")
                break
        if not smaller:
            size //= 2
    return settings


def _kinds_of(report: Report) -> set[str]:
    return {anomaly.kind for anomaly in report.anomalies}
