"""Kafka's own producer and consumer perf tools as the clients: one JVM for each run."""

from __future__ import annotations

import re
import subprocess

from benchmarks.rdkafka import Latency
from tests.clients.brokers import KAFKA_JVM_OPTIONS, java
from tests.clients.java import MAIN_CLASSES

#: What Kafka's own scripts give these tools.
JVM_OPTIONS = ("-Xmx512m", *KAFKA_JVM_OPTIONS)
DEADLINE_S = 300.0


def produce(bootstrap: str, topic: str, record_bytes: int, records: int, batch_bytes: int) -> float:
    """
    Produce as fast as the tool can, with acks=1.

    @return: records per second once the tool's first fifth has warmed it up.
    """
    return float(_steady(_perf(bootstrap, topic, record_bytes, records, -1, batch_bytes))["rate"])


def fixed_rate(bootstrap: str, topic: str, seconds: float, per_s: int = 5000, record_bytes: int = 100) -> Latency:
    """Send at a fixed rate, without lingering; the tool counts whole milliseconds."""
    printed = _perf(bootstrap, topic, record_bytes, int(seconds * per_s), per_s, 16384, linger_ms=0)
    steady = _steady(printed)
    return Latency(float(steady["p50"]), float(steady["p99"]))


def _perf(
    bootstrap: str, topic: str, record_bytes: int, records: int, per_s: int, batch_bytes: int, linger_ms: int = 5
) -> str:
    properties = {
        "acks": 1,
        "batch.size": batch_bytes,
        "linger.ms": linger_ms,
        "max.request.size": 2_000_000,
        "buffer.memory": 67_108_864,
    }
    return _run(
        "kafka-producer-perf-test",
        *("--bootstrap-server", bootstrap, "--topic", topic),
        *("--num-records", str(records), "--warmup-records", str(records // 5)),
        *("--record-size", str(record_bytes), "--throughput", str(per_s)),
        *("--command-property", *(f"{name}={value}" for name, value in properties.items())),
    )


def _steady(printed: str) -> dict[str, str]:
    """The figures of the summary line that leaves out the warm-up."""
    found = re.search(
        r"records sent, (?P<rate>[\d.]+) records/sec .* ms max latency,"
        r" (?P<p50>\d+) ms 50th, \d+ ms 95th, (?P<p99>\d+) ms 99th.*\Z",
        printed.strip().splitlines()[-1],
    )
    if found is None:
        raise RuntimeError(f"no summary in:\n{printed}")
    return found.groupdict()


def consume(bootstrap: str, topic: str, partitions: int, records: int) -> float:
    """
    Read so many records in a group of one.

    @return: records per second, without the time that joining the group took.
    """
    printed = _run(
        "kafka-consumer-perf-test",
        *("--bootstrap-server", bootstrap, "--topic", topic),
        *("--num-records", str(records), "--hide-header", "--timeout", "60000"),
    )
    figures = printed.strip().splitlines()[-1].split(", ")
    return float(figures[-1])


def _run(name: str, *arguments: str) -> str:
    command = java(MAIN_CLASSES[name], *arguments, jvm_options=JVM_OPTIONS)
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S)
    if done.returncode:
        raise RuntimeError(f"{name}:\n{done.stdout}\n{done.stderr}")
    return done.stdout
