"""The rows of the table and their goals."""

from __future__ import annotations

from benchmarks.ledger import Goal, Row

SIZES = {"100 B": 100, "1 KiB": 1024, "10 KiB": 10240}
BATCHES = {"16 KiB batches": 16384, "1 MiB batches": 1 << 20}

_PRODUCE = Goal(1.0, 1.5)
_PRODUCE_SMALL = Goal(0.8, 1.0)
_CONSUME = Goal(1.0, 2.0)
_CPU = Goal(1.0, 0.5)
_P99 = Goal(1.0, 0.5)


def produce(size: str, batch: str, client: str) -> Row:
    """Throughput of produce with acks=1."""
    goal = _PRODUCE_SMALL if (size, batch) == ("100 B", "16 KiB batches") else _PRODUCE
    goal_or_none = None if (size, batch) == ("100 B", "1 MiB batches") else goal
    return Row(f"produce {size}, {batch}, {client}", "MB/s", goal_or_none, record_bytes=SIZES[size])


def produce_cpu(size: str, batch: str, client: str) -> Row:
    """The broker's processor time for it."""
    return Row(f"CPU of produce {size}, {batch}, {client}", "CPU s/GB", _CPU)


def consume(size: str, client: str) -> Row:
    """Throughput of consume."""
    return Row(f"consume {size}, {client}", "MB/s", _CONSUME, record_bytes=SIZES[size])


def consume_cpu(size: str, client: str) -> Row:
    """The broker's processor time for it."""
    return Row(f"CPU of consume {size}, {client}", "CPU s/GB", _CPU)


def latency_p50(what: str) -> Row:
    """The median of a produce's latency."""
    return Row(f"latency p50, {what}", "ms")


def latency_p99(what: str) -> Row:
    """The tail of a produce's latency."""
    return Row(f"latency p99, {what}", "ms", _P99)


START_UP = Row("process start to first answered request", "s", Goal(0.2, 0.1, most=0.6))
RESIDENT_IDLE = Row("resident memory, idle", "MiB", Goal(90, 60, "value"))
RESIDENT_PEAK = Row("resident memory, peak under load", "MiB", Goal(160, 100, "value"))

SENT_16_KIB = Row("Produce requests of 16 KiB, 20 in flight", "MB/s", Goal(0.2, 0.35), "iperf3 loopback")
SENT_16_KIB_KAFKA = Row("Produce requests of 16 KiB, 20 in flight, beside Kafka", "MB/s")
SENT_100_B = Row("Produce requests of 100 B, 40 in flight", "requests/s", Goal(0.35, 0.6), "Twisted echo of bytes")
SENT_100_B_FRAMES = Row(
    "Produce requests of 100 B, 40 in flight, beside framing", "requests/s", None, "Twisted echo of frames"
)
SENT_100_B_KAFKA = Row("Produce requests of 100 B, 40 in flight, beside Kafka", "requests/s")
DURABLE = Row("durable acks, 40 in flight", "requests/s", Goal(4, 7), "raw fdatasync")
DURABLE_KAFKA = Row("durable acks, 40 in flight, beside Kafka", "requests/s")

STALL_P999 = Row("a ping's p99.9 under 16 KiB load", "ms", Goal(50, 20, "value"))
STALL_MAX = Row("a ping's maximum under 16 KiB load", "ms", Goal(250, 100, "value"))

RECOVERY = Row("kill -9 to serving again", "s", Goal(10, 3, "value"))
