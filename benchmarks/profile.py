"""
Where a loaded Streamline spends its time: C{python -m benchmarks.profile KIND}.

Runs one kind of load against a node and samples its stacks with py-spy (extra C{benchmarks}), which does not slow
it down. Prints the lines that were on top of the stack, and the functions of Streamline that were anywhere on it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks import frames, native, rdkafka
from tests.clients.brokers import BrokerProcess, StreamlineBroker

SECONDS = 8.0
SHOWN = 25


def _requests(
    batch: bytes, partitions: int, connections: int, settings: Mapping[str, str] = {}
) -> Callable[[BrokerProcess, Path], None]:
    def load(broker: BrokerProcess, directory: Path) -> None:
        rdkafka.create_topic(broker.bootstrap, "profiled", partitions, dict(settings))
        sent = native.run_produce(
            broker.port,
            "profiled",
            batch,
            directory,
            partitions=partitions,
            connections=connections,
            in_flight=5,
            seconds=SECONDS,
        )
        print(f"{sent.requests_per_s:,.0f} requests/s, {sent.mb_per_s:,.0f} MB/s\n")

    return load


def _rdkafka_produce(broker: BrokerProcess, directory: Path) -> None:
    rdkafka.create_topic(broker.bootstrap, "profiled", 4)
    per_s = rdkafka.produce(broker.bootstrap, "profiled", 1024, 1_500_000, 16384)
    print(f"{per_s:,.0f} records/s\n")


def _rdkafka_consume(broker: BrokerProcess, directory: Path) -> None:
    rdkafka.create_topic(broker.bootstrap, "profiled", 4)
    rdkafka.produce(broker.bootstrap, "profiled", 1024, 1_000_000, 1 << 20)
    for _ in range(3):
        print(f"{rdkafka.consume(broker.bootstrap, 'profiled', 4, 1_000_000):,.0f} records/s")


KINDS: Mapping[str, Callable[[BrokerProcess, Path], None]] = {
    "small": _requests(frames.record_batch(100), 8, 8),
    "16KiB": _requests(frames.batch_of_bytes(16384), 4, 4),
    "1MiB": _requests(frames.batch_of_bytes(1 << 20), 4, 4),
    "durable": _requests(frames.record_batch(100), 1, 8, {"flush.messages": "1"}),
    "produce": _rdkafka_produce,
    "consume": _rdkafka_consume,
}


def main(kind: str) -> None:
    """Load, sample, print."""
    native.compiled(native.LOAD)
    with tempfile.TemporaryDirectory(prefix="streamline-profile-") as name:
        directory = Path(name)
        broker = StreamlineBroker(directory / "node")
        broker.start()
        stacks = directory / "stacks"
        command = ["py-spy", "record", "-p", str(broker.pid), "-t", "-f", "raw", "-o", str(stacks), "-d", "600"]
        sampler = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            KINDS[kind](broker, directory)
        finally:
            # py-spy writes what it has when the process that it samples ends.
            broker.kill()
            sampler.wait(30)
        show(stacks.read_text())


def show(stacks: str) -> None:
    """Print the main thread's shares of lines on top, and of Streamline's functions anywhere on the stack."""
    top: Counter[str] = Counter()
    anywhere: Counter[str] = Counter()
    for line in stacks.splitlines():
        stack, _, seen = line.rpartition(" ")
        thread, *called = stack.split(";")
        if "MainThread" not in thread:
            continue
        top[called[-1]] += int(seen)
        for function in {frame.rpartition(":")[0] for frame in called if "streamline" in frame}:
            anywhere[function] += int(seen)
    total = sum(top.values())
    for title, counter in (("on top", top), ("anywhere", anywhere)):
        print(title)
        for what, count in counter.most_common(SHOWN):
            print(f"  {count / total:6.1%}  {what}")


if __name__ == "__main__":
    main(sys.argv[1])
