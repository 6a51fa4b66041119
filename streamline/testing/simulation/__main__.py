"""
C{python -m streamline.testing.simulation}: run seeds, replay a failure, compare two interpreters, shrink.

The exit code is 0 where all runs passed, 1 where one did not, and 2 where none
failed but more than a few said nothing.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence

from twisted.logger import globalLogBeginner

from streamline.testing.simulation.asked import (
    faults_option,
    kinds_of,
    left_out,
    run_twice,
    show_plan,
    traced,
    whims_of,
    whims_option,
)
from streamline.testing.simulation.cluster import command as cluster
from streamline.testing.simulation.cluster.plan import KIND_NAMES as CLUSTER_KIND_NAMES
from streamline.testing.simulation.cores import command as cores
from streamline.testing.simulation.cores.plan import KIND_NAMES as CORE_KIND_NAMES
from streamline.testing.simulation.faults import KIND_NAMES
from streamline.testing.simulation.noderun import NodeRun, Report, Settings
from streamline.testing.simulation.shrink import broken_by, shrink
from streamline.testing.simulation.whims import SITES
from streamline.testing.simulation.world import Event

PROGRAM = "python -m streamline.testing.simulation"
ANOMALIES_SHOWN = 20
INVALID_SHARE_MAX = 0.1


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    made = argparse.ArgumentParser(PROGRAM, description="Run a whole node in a simulated world, and make it hard.")
    made.add_argument("--seed", type=int, default=1, help="the first seed (default 1)")
    made.add_argument("--seeds", type=int, default=1, metavar="N", help="how many seeds (default 1)")
    made.add_argument("--level", type=int, choices=(1, 2), default=2, help="1: consensus cores, 2: whole nodes (2)")
    made.add_argument("--nodes", metavar="N", help="level 2: a cluster of so many nodes, or of 'any' size")
    made.add_argument("--consensus", default="single", metavar="NAME", help="level 2: single (default) or raft")
    made.add_argument("--no-data", action="store_true", help="clusters: no records, agreements only")
    made.add_argument("--crash", default="", metavar="NODE:N", help="clusters: cut its power at its N-th durable step")
    made.add_argument("--until", type=float, metavar="S", help="simulated seconds of trouble (60)")
    made.add_argument("--pace", type=float, metavar="S", help="mean time between a client's requests")
    made.add_argument("--records-pace", type=float, metavar="S", help="clusters: the same for a producer's batches")
    made.add_argument("--hours", type=float, default=0.0, metavar="H", help="begin no run after so long")
    made.add_argument("--first", action="store_true", help="end with the first run that fails")
    made.add_argument(
        "--faults",
        default="swarm",
        help=f"'swarm' (the seed draws them; default), 'all', 'none', or a list of {', '.join(KIND_NAMES)};"
        f" at level 1, of {', '.join(CORE_KIND_NAMES)}; in clusters, of {', '.join(CLUSTER_KIND_NAMES)}",
    )
    made.add_argument("--without", default="", metavar="N,N", help="leave these faults of the plan out")
    made.add_argument(
        "--whims", default="swarm", metavar="SITES",
        help="level 2: what is rare and allowed happens often: 'swarm' (the seed draws the sites; default), 'all',"
        f" 'none', or a list of {', '.join(SITES)}",
    )  # fmt: skip
    made.add_argument("--plan", action="store_true", help="show the faults that are planned")
    made.add_argument("--trace", metavar="FILE", help="write every event into a file")
    made.add_argument("--twice", action="store_true", help="run it under two hash seeds and compare event by event")
    made.add_argument("--shrink", action="store_true", help="find the faults that it takes to fail")
    return made


def settings_of(options: argparse.Namespace) -> Settings:
    """Return the settings that the command line asks for."""
    return Settings(
        until=60.0 if options.until is None else options.until,
        kinds=kinds_of(options, KIND_NAMES),
        without=left_out(options),
        pace_s=0.4 if options.pace is None else options.pace,
        consensus=options.consensus,
        whims=whims_of(options),
    )


def command_for(seed: int, settings: Settings) -> str:
    """Return the command that replays a run."""
    consensus = "" if settings.consensus == "single" else f" --consensus {settings.consensus}"
    faults = faults_option(settings.kinds, settings.without)
    rest = f"--until {settings.until:g} --pace {settings.pace_s:g} {faults}{consensus}{whims_option(settings.whims)}"
    return f"{PROGRAM} --seed {seed} {rest}"


def describe(report: Report, cpu_s: float) -> str:
    """Return what a run came to, for people."""
    verdict = "FAILED" if report.anomalies else f"INVALID: {report.invalid}" if report.invalid else "passed"
    injected = _counted(report.injected)
    return "\n".join(
        (
            f"seed {report.seed} {verdict}: {report.simulated_s:.1f} simulated s in {cpu_s:.2f} s of one core,"
            f" {report.simulated_s / cpu_s:.0f}x real time; {report.events} events, {report.events / cpu_s:,.0f}/s",
            f"  {report.sends} records sent, {report.acknowledged} acknowledged, {report.reads} read,"
            f" {report.commits} offsets committed, {report.changes} changes of topics, {report.starts} starts;"
            f" {report.lost_in_power_cuts} lost in power cuts as they may be;"
            f" {report.calm_share:.0%} acknowledged in calm spans",
            f"  answered: {_shares(report.answered, report.asked)}",
            f"  {report.planned} faults planned; took effect: {injected}",
            f"  whims: {_counted(report.whims)}",
            f"  digest {report.digest}",
        )
    )


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {counts[name]}" for name in sorted(counts)) or "none"


def _shares(answered: Mapping[str, int], asked: Mapping[str, int]) -> str:
    return ", ".join(f"{api} {answered.get(api, 0)}/{asked[api]}" for api in sorted(asked))


def _summary(reports: Sequence[Report], cpu_s: float) -> str:
    """Return what several runs came to together: an API that nobody called or a fault that never struck shows here."""
    simulated_s = sum(report.simulated_s for report in reports)
    asked, answered, injected, whims = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    for report in reports:
        asked.update(report.asked)
        answered.update(report.answered)
        injected.update(report.injected)
        whims.update(report.whims)
    failed = [report.seed for report in reports if report.anomalies]
    invalid = [report.seed for report in reports if report.invalid]
    return "\n".join(
        (
            f"{len(reports)} runs, {simulated_s:.0f} simulated s, {simulated_s / cpu_s:.0f}x real time on one core;"
            f" failed: {failed or 'none'}; invalid: {invalid or 'none'}",
            f"  {sum(report.sends for report in reports)} records sent,"
            f" {sum(report.acknowledged for report in reports)} acknowledged,"
            f" {sum(report.commits for report in reports)} offsets committed,"
            f" {sum(report.starts for report in reports)} starts;"
            f" answered: {_shares(answered, asked)}",
            f"  took effect: {_counted(injected)}; whims: {_counted(whims)}",
        )
    )


def run_one(seed: int, settings: Settings, options: argparse.Namespace) -> Report:
    """Run one seed and print all about it."""
    run = NodeRun(seed, settings)
    show_plan(options, run.plan.faults)
    started = time.process_time()
    with traced(options) as write:
        if write is not None:
            run.simulation.trace = lambda event: write(f"{event}  {run.simulation.digest()[:8]}")
        report = run.run()
    print(describe(report, time.process_time() - started))
    if report.anomalies:
        _explain(report, list(run.simulation.recent), settings)
    return report


def _explain(report: Report, recent: list[Event], settings: Settings) -> None:
    print(f"  the last {len(recent)} events:")
    print("\n".join(f"    {event}" for event in recent))
    print("\n".join(f"  refused to start at {refusal}" for refusal in report.refusals[-5:]))
    print("\n".join(f"  ! {anomaly}" for anomaly in report.anomalies[:ANOMALIES_SHOWN]))
    if len(report.anomalies) > ANOMALIES_SHOWN:
        print(f"  ! and {len(report.anomalies) - ANOMALIES_SHOWN} more")
    print(f"  replay: {command_for(report.seed, settings)}")


def run_all(options: argparse.Namespace) -> int:
    """Run the seeds that were asked for; return the exit code."""
    settings = settings_of(options)
    started = time.process_time()
    reports: list[Report] = []
    for seed in range(options.seed, options.seed + options.seeds):
        reports.append(run_one(seed, settings, options))
        if options.first and reports[-1].anomalies:
            break
    failed = [report.seed for report in reports if report.anomalies]
    invalid = [report.seed for report in reports if report.invalid]
    if len(reports) > 1:
        print(_summary(reports, time.process_time() - started))
    if failed:
        return 1
    return 2 if len(invalid) > INVALID_SHARE_MAX * len(reports) else 0


def main(arguments: list[str]) -> int:
    """Do what the command line says; return the exit code."""
    options = parser().parse_args(arguments)
    if options.level == 1:
        return cores.main(options)
    globalLogBeginner.beginLoggingTo([], redirectStandardIO=False, discardBuffer=True)
    if options.nodes:
        return cluster.main(options)
    if options.twice:
        return run_twice(command_for(options.seed, settings_of(options)))
    if options.shrink:
        settings = settings_of(options)
        numbers = [fault.number for fault in NodeRun(options.seed, settings).plan.faults]
        smaller = shrink(numbers, settings, broken_by(options.seed), print)
        run_one(options.seed, smaller, argparse.Namespace(plan=True, trace=None))
        return 1
    return run_all(options)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
