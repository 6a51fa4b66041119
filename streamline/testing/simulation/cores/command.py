"""
Level 1 on the command line: C{python -m streamline.testing.simulation --level 1}.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

from streamline.testing.simulation.asked import faults_option, kinds_of, left_out, run_twice, show_plan, traced
from streamline.testing.simulation.cores.plan import KIND_NAMES
from streamline.testing.simulation.cores.run import CoreReport, CoreRun, CoreSettings
from streamline.testing.simulation.shrink import shrink

PROGRAM = "python -m streamline.testing.simulation --level 1"
PACE_S = 0.1
UNTIL_S = 60.0
RECENT_SHOWN = 60


def settings_of(options: argparse.Namespace) -> CoreSettings:
    """Return the settings that the command line asks for."""
    return CoreSettings(
        until=UNTIL_S if options.until is None else options.until,
        kinds=kinds_of(options, KIND_NAMES),
        without=left_out(options),
        pace=1.0 / (PACE_S if options.pace is None else options.pace),
    )


def command_for(seed: int, settings: CoreSettings) -> str:
    """Return the command that replays a run."""
    faults = faults_option(settings.kinds, settings.without)
    return f"{PROGRAM} --seed {seed} --until {settings.until:g} --pace {1.0 / settings.pace:g} {faults}"


def describe(report: CoreReport, cpu_s: float) -> str:
    """Return what a run came to, for people."""
    injected = ", ".join(f"{kind} {count}" for kind, count in report.injected.items()) or "none"
    verdict = f"FAILED ({report.broken})" if report.broken else "passed"
    return "\n".join(
        (
            f"seed {report.seed} {verdict}: {report.simulated_s:.1f} simulated s in {cpu_s:.2f} s of one core,"
            f" {report.simulated_s / cpu_s:.0f}x real time; {report.events} events, {report.events / cpu_s:,.0f}/s",
            f"  {report.proposed} commands proposed, {report.committed} entries committed, {report.reads} reads,"
            f" {report.elections} leaders, {report.changes} changes of members, {report.voters} voters at the end",
            f"  faults that took effect: {injected}",
            f"  digest {report.digest}",
        )
    )


def run_one(seed: int, settings: CoreSettings, options: argparse.Namespace) -> CoreReport:
    """Run one seed and print all about it; of a run that passed among many, nothing."""
    run = CoreRun(seed, settings)
    show_plan(options, run.plan.faults)
    started = time.process_time()
    with traced(options) as write:
        run.world.trace = write
        report = run.run()
    cpu_s = max(time.process_time() - started, 1e-9)
    if report.broken or options.seeds == 1:
        print(describe(report, cpu_s), flush=True)
    if report.broken:
        _explain(report, run)
    return report


def _explain(report: CoreReport, run: CoreRun) -> None:
    print("\n".join(f"    {at:12.6f}  {text}" for at, text in list(run.world.recent)[-RECENT_SHOWN:]))
    print("\n".join(f"  {key}: {state}" for key, state in report.replicas.items()))
    print(f"  ! {report.why}")
    print(f"  replay: {command_for(report.seed, report.settings)}", flush=True)


def run_all(options: argparse.Namespace) -> int:
    """Run the seeds that were asked for, for no longer than was asked for; return the exit code."""
    settings = settings_of(options)
    started, began = time.process_time(), time.monotonic()
    simulated_s, runs, failed = 0.0, 0, []
    injected: dict[str, int] = {}
    for seed in range(options.seed, options.seed + options.seeds):
        if options.hours and time.monotonic() - began >= options.hours * 3600:
            break
        report = run_one(seed, settings, options)
        runs += 1
        simulated_s += report.simulated_s
        for kind, count in report.injected.items():
            injected[kind] = injected.get(kind, 0) + count
        if report.broken:
            failed.append(seed)
            if options.first:
                break
    cpu_s = max(time.process_time() - started, 1e-9)
    took = ", ".join(f"{kind} {injected[kind]}" for kind in KIND_NAMES if kind in injected) or "none"
    print(
        f"{runs} runs, {simulated_s:.0f} simulated s, {simulated_s / cpu_s:.0f}x real time on one core;"
        f" faults: {took}; failed: {failed or 'none'}"
    )
    return 1 if failed else 0


def main(options: argparse.Namespace) -> int:
    """Do what the command line says; return the exit code."""
    if options.twice:
        return run_twice(command_for(options.seed, settings_of(options)))
    if options.shrink:
        return _shrink(options)
    return run_all(options)


def _shrink(options: argparse.Namespace) -> int:
    settings = settings_of(options)
    numbers = [fault.number for fault in CoreRun(options.seed, settings).plan.faults]

    def broken(attempt: Any) -> set[str]:
        found = CoreRun(options.seed, attempt).run().broken
        return {found} if found else set()

    smaller = shrink(numbers, settings, broken, print)
    run_one(options.seed, smaller, argparse.Namespace(plan=True, trace=None, seeds=1))
    return 1
