"""
Level 2 with several nodes, on the command line: C{python -m streamline.testing.simulation --nodes N}.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping
from typing import Any

from streamline.testing.simulation.asked import whims_of, whims_option
from streamline.testing.simulation.cluster.plan import KIND_NAMES
from streamline.testing.simulation.cluster.run import ClusterReport, ClusterRun, ClusterSettings
from streamline.testing.simulation.cluster.workload import added
from streamline.testing.simulation.shrink import shrink
from streamline.testing.simulation.twins import first_difference
from streamline.testing.simulation.whims import SITES

PROGRAM = "python -m streamline.testing.simulation"
ANY_SIZE = "any"
RECENT_SHOWN = 100
REFUSALS_SHOWN = 5


def settings_of(options: argparse.Namespace) -> ClusterSettings:
    """Return the settings that the command line asks for."""
    named: dict[str, tuple[str, ...] | None] = {"swarm": None, "all": KIND_NAMES, "none": ()}
    words = tuple(word for word in options.faults.split(",") if word)
    defaults = ClusterSettings()
    return ClusterSettings(
        nodes=None if options.nodes == ANY_SIZE else int(options.nodes),
        until=defaults.until if options.until is None else options.until,
        kinds=named.get(options.faults, words),
        without=tuple(int(number) for number in options.without.split(",") if number),
        pace_s=defaults.pace_s if options.pace is None else options.pace,
        data=not options.no_data,
        records_pace_s=options.records_pace,
        crash=_crash_of(options.crash),
        whims=whims_of(options),
    )


def _crash_of(said: str) -> tuple[int, int] | None:
    node, _, step = said.partition(":")
    return (int(node), int(step)) if said else None


def command_for(seed: int, settings: ClusterSettings) -> str:
    """Return the command that replays a run."""
    kinds = "swarm" if settings.kinds is None else ",".join(settings.kinds) or "none"
    without = f" --without {','.join(map(str, settings.without))}" if settings.without else ""
    data = "" if settings.data else " --no-data"
    records = "" if settings.records_pace_s is None else f" --records-pace {settings.records_pace_s:g}"
    crash = "" if settings.crash is None else f" --crash {settings.crash[0]}:{settings.crash[1]}"
    return (
        f"{PROGRAM} --nodes {settings.nodes or ANY_SIZE} --seed {seed} --until {settings.until:g}"
        f" --pace {settings.pace_s:g} --faults {kinds}{without}{data}{records}{crash}"
        f"{whims_option(settings.whims)}"
    )


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "none"


def describe(report: ClusterReport, cpu_s: float) -> str:
    """Return what a run came to, for people."""
    rules = ", ".join(dict.fromkeys(anomaly.kind for anomaly in report.anomalies))
    verdict = f"FAILED ({rules})" if rules else f"INVALID: {report.invalid}" if report.invalid else "passed"
    shape = report.shape
    return "\n".join(
        (
            f"seed {report.seed} {verdict}: {report.simulated_s:.1f} simulated s in {cpu_s:.2f} s of one core,"
            f" {report.simulated_s / cpu_s:.0f}x real time; {report.events} events, {report.events / cpu_s:,.0f}/s",
            f"  {shape.founders} founders, {len(shape.joining)} more join, at most {shape.max_voters} vote;"
            f" {report.starts} starts, {report.elections} leaders, {report.committed} entries committed,"
            f" {report.topics} topics ever, {report.calm_spans} calm spans; together again after"
            f" {report.converged_s:.1f} s",
            f"  heard: {_listed(report.done)}",
            f"  {report.sends} records sent, {report.acknowledged} acknowledged, {report.reads} read,"
            f" {report.commits} offsets committed; {report.recoveries} recoveries",
            f"  answered: {', '.join(f'{api} {report.answered.get(api, 0)}/{n}' for api, n in report.asked.items())}",
            f"  pushes: {_listed(report.pushed)}",
            f"  faults that took effect: {_listed(report.injected)}",
            f"  whims: {_listed(report.whims)}",
            f"  digest {report.digest}",
        )
    )


def run_one(seed: int, settings: ClusterSettings, options: argparse.Namespace) -> ClusterReport:
    """Run one seed and print all about it."""
    run = ClusterRun(seed, settings)
    if options.plan:
        print("\n".join(f"  {fault}" for fault in run.plan.faults))
    started = time.process_time()
    if options.trace:
        with open(options.trace, "w", encoding="utf-8") as lines:
            run.simulation.trace = lambda event: lines.write(f"{event}  {run.simulation.digest()[:8]}\n")
            report = run.run()
    else:
        report = run.run()
    print(describe(report, max(time.process_time() - started, 1e-9)), flush=True)
    if report.anomalies:
        _explain(report, run)
    return report


def _explain(report: ClusterReport, run: ClusterRun) -> None:
    print("\n".join(f"    {event}" for event in list(run.simulation.recent)[-RECENT_SHOWN:]))
    print("\n".join(f"  {node}" for node in report.nodes))
    print("\n".join(f"  refused to start at {refusal}" for refusal in report.refusals[-REFUSALS_SHOWN:]))
    print("\n".join(f"  ! {anomaly}" for anomaly in report.anomalies))
    print(f"  replay: {command_for(report.seed, report.settings)}", flush=True)


def run_all(options: argparse.Namespace) -> int:
    """Run the seeds that were asked for, for no longer than was asked for; return the exit code."""
    settings = settings_of(options)
    started, began = time.process_time(), time.monotonic()
    reports: list[ClusterReport] = []
    for seed in range(options.seed, options.seed + options.seeds):
        if options.hours and time.monotonic() - began >= options.hours * 3600:
            break
        reports.append(run_one(seed, settings, options))
        if options.first and reports[-1].anomalies:
            break
    if len(reports) > 1:
        print(_summary(reports, max(time.process_time() - started, 1e-9)))
    return 1 if any(report.anomalies for report in reports) else 0


def _summary(reports: list[ClusterReport], cpu_s: float) -> str:
    """Return what several runs came to together: a fault that never struck shows here."""
    simulated_s = sum(report.simulated_s for report in reports)
    injected = added(*(report.injected for report in reports))
    whims = added(*(report.whims for report in reports))
    idle = [kind for kind in KIND_NAMES if kind not in injected]
    return "\n".join(
        (
            f"{len(reports)} runs, {simulated_s:.0f} simulated s, {simulated_s / cpu_s:.0f}x real time on one core;"
            f" failed: {[report.seed for report in reports if report.anomalies] or 'none'};"
            f" invalid: {[report.seed for report in reports if report.invalid] or 'none'}",
            f"  {sum(report.starts for report in reports)} starts, {sum(report.elections for report in reports)}"
            f" leaders, {sum(report.committed for report in reports)} entries committed;"
            f" heard: {_listed(added(*(report.done for report in reports)))}",
            f"  pushes: {_listed(added(*(report.pushed for report in reports)))}",
            f"  took effect: {_listed(injected)}; never: {', '.join(idle) or 'none'}",
            f"  whims: {_listed(whims)}; never: {', '.join(site for site in SITES if site not in whims) or 'none'}",
        )
    )


def main(options: argparse.Namespace) -> int:
    """Do what the command line says; return the exit code."""
    if options.twice:
        command = command_for(options.seed, settings_of(options)).split()[1:]
        difference = first_difference([sys.executable, *command])
        print(difference or "both runs were the same, event by event")
        return 1 if difference else 0
    if options.shrink:
        return _shrink(options)
    return run_all(options)


def _shrink(options: argparse.Namespace) -> int:
    settings = settings_of(options)
    numbers = [fault.number for fault in ClusterRun(options.seed, settings).plan.faults]

    def broken(attempt: Any) -> set[str]:
        return {anomaly.kind for anomaly in ClusterRun(options.seed, attempt).run().anomalies}

    smaller = shrink(numbers, settings, broken, print)
    run_one(options.seed, smaller, argparse.Namespace(plan=True, trace=None))
    return 1
