"""
How long it takes until a client can use a cluster: one of C{streamline.testing}, and C{streamline demo}.

    python -m benchmarks.cluster_start --rounds 10

Each round makes a cluster, lets librdkafka produce one record with acks=all to a topic that nobody has made, and
counts until it is acknowledged; for the demo from the start of its process.  Printed are the fastest, the median and
the slowest round.
"""

from __future__ import annotations

import argparse
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

from confluent_kafka import KafkaError, Message, Producer

from streamline.testing import Cluster

DEADLINE_S = 30.0


def produce_one(bootstrap: str) -> None:
    """Have one record acknowledged."""
    errors: list[KafkaError | None] = []

    def delivered(error: KafkaError | None, _: Message) -> None:
        errors.append(error)

    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "linger.ms": 0})
    producer.produce("greetings", b"hello", on_delivery=delivered)
    producer.flush(DEADLINE_S)
    if errors != [None]:
        raise SystemExit(f"the record was not acknowledged: {errors}")


def embedded(nodes: int, replicas: int) -> tuple[float, float]:
    """Return seconds until a cluster of this process has started, and until a record is acknowledged."""
    began = time.perf_counter()
    with Cluster(nodes, default_replication_factor=replicas) as cluster:
        started = time.perf_counter()
        produce_one(cluster.bootstrap)
        return started - began, time.perf_counter() - began


def demo(nodes: int) -> tuple[float, float]:
    """Return the same for the demo, from the start of its process."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "streamline.cli", "demo", "--nodes", str(nodes), "--port", "29092"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        bootstrap = next(line.strip() for line in process.stdout if line.startswith("    127"))
        started = time.perf_counter()
        produce_one(bootstrap)
        acked = time.perf_counter()
        process.send_signal(signal.SIGINT)
    return started - began, acked - began


def report(name: str, measure: Callable[[], tuple[float, float]], rounds: int) -> None:
    """Measure and print."""
    measure()  # warm: modules are compiled, the disk has been read
    samples = [measure() for _ in range(rounds)]
    for what, values in zip(("started", "first record acknowledged"), zip(*samples, strict=True), strict=True):
        figures = " / ".join(f"{value * 1000:.0f}" for value in (min(values), statistics.median(values), max(values)))
        print(f"{name}, {what}: {figures} ms", flush=True)


def main() -> None:
    """Measure what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--replicas", type=int, default=3, help="of the topic")
    parsed = parser.parse_args()
    name = f"Cluster({parsed.nodes})"
    report(name, lambda: embedded(parsed.nodes, parsed.replicas), parsed.rounds)
    report("streamline demo", lambda: demo(parsed.nodes), parsed.rounds)


if __name__ == "__main__":
    main()
