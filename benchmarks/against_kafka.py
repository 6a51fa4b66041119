"""
Streamline beside Apache Kafka: C{python -m benchmarks.against_kafka}.

Starts both on this machine, runs the same clients against both in alternation, prints medians and ratios, and
writes the table, all samples and a picture to C{benchmarks/results/}. C{benchmarks/README.md} says how to read it.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks import native, recovery, report, workloads
from benchmarks.ledger import KAFKA, STREAMLINE, Ledger
from benchmarks.workloads import FULL, QUICK, Session
from tests.clients.brokers import ROOT, BrokerProcess, KafkaBroker, StreamlineBroker

#: A deleted topic leaves the disk at once, so that one run's files are not written during the next.
SETTINGS = {"log.segment.delete.delay.ms": "500"}

SECTIONS: dict[str, Callable[[Session], None]] = {
    "produce": workloads.produce,
    "consume": workloads.consume,
    "latency": workloads.latency,
    "requests": workloads.requests,
    "durable": workloads.durable,
    "stall": workloads.stall,
}


def make_kafka(directory: Path) -> BrokerProcess:
    """Apache Kafka, formatted, with the heap that its own start script gives it."""
    broker = KafkaBroker(directory, SETTINGS, jvm_options=("-Xmx1g", "-Xms1g"))
    broker.prepare()
    return broker


def make_streamline(directory: Path) -> BrokerProcess:
    """A Streamline node from this source tree."""
    return StreamlineBroker(directory, SETTINGS)


MAKERS: Mapping[str, Callable[[Path], BrokerProcess]] = {KAFKA: make_kafka, STREAMLINE: make_streamline}


def options(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.against_kafka", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="about three minutes: short runs, librdkafka only")
    parser.add_argument("--rounds", type=int, help="how often each measurement is taken on each side (3)")
    parser.add_argument("--only", action="append", choices=["start", *SECTIONS], help="measure only this")
    parser.add_argument("--recovery", type=float, metavar="GB", help="measure recovery of a log of that size, only")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results", help="where to write")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> None:
    """Measure, print, write."""
    chosen = options(arguments)
    native.compiled(native.LOAD)
    ledger = Ledger()
    with tempfile.TemporaryDirectory(prefix="streamline-bench-") as name, ExitStack() as stack:
        directory = Path(name)
        if chosen.recovery:
            for side, make in MAKERS.items():
                recovery.measure(ledger, side, make, directory, chosen.recovery)
        else:
            measure(chosen, ledger, directory, stack)
    print(report.as_text(ledger.results()))
    command = shlex.join(["python", "-m", "benchmarks.against_kafka", *arguments])
    report.write(ledger, chosen.output, "recovery" if chosen.recovery else "against_kafka", command)
    print(f"\nwritten to {chosen.output}")


def measure(chosen: argparse.Namespace, ledger: Ledger, directory: Path, stack: ExitStack) -> None:
    """Everything but recovery."""
    scale = QUICK if chosen.quick else FULL
    if chosen.rounds:
        scale = scale.with_rounds(chosen.rounds)
    sections = chosen.only or ["start", *SECTIONS]
    session = Session({}, ledger, scale, directory)
    if "start" in sections:
        print("start", flush=True)
        workloads.start_up(session, MAKERS)
    if sections == ["start"]:
        return
    for side, make in MAKERS.items():
        session.brokers[side] = broker = make(directory / side.replace(" ", "-"))
        broker.start()
        stack.callback(broker.kill)
    print("warming up", flush=True)
    workloads.warm_up(session)
    for section in sections:
        if section != "start":
            print(section, flush=True)
            SECTIONS[section](session)
    workloads.peak_memory(session)


if __name__ == "__main__":
    main(sys.argv[1:])
