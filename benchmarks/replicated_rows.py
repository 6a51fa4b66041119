"""The rows of the table for three nodes, and their goals."""

from __future__ import annotations

from benchmarks.ledger import KAFKA, Goal, Row

RECORD_BYTES = 1024
KAFKA_TUNED = f"{KAFKA}, tuned"
ONE_NODE = "Streamline, one node"
DISK = "sequential write"

_THROUGHPUT = Goal(1.0, 1.5)
_LATENCY = Goal(1.0, 0.5)
_LAG_P99 = Goal(10, 2, "value")
_KILL_P50, _KILL_P99 = Goal(0.7, 0.3, "value"), Goal(1.5, 0.7, "value")
_ROLL = Goal(0.5, 0.2, "value")
_BACK = Goal(10, 3, "value")
_NONE_FAILED = Goal(0, 0, "value")


def produce(partitions: int) -> Row:
    """Throughput of produce with acks=all."""
    title = f"produce 1 KiB, acks=all, {_counted(partitions)}"
    return Row(title, "MB/s", _THROUGHPUT, record_bytes=RECORD_BYTES)


def produce_cpu(partitions: int) -> Row:
    """The three brokers' processor time for it."""
    return Row(f"CPU of produce 1 KiB, acks=all, {_counted(partitions)}", "CPU s/GB")


def produce_one_node(partitions: int) -> Row:
    """What one node does, for comparison."""
    return Row(f"produce 1 KiB, one node of factor 1, {_counted(partitions)}", "MB/s", record_bytes=RECORD_BYTES)


def three_beside_one(partitions: int) -> Row:
    """What replication costs."""
    title = f"produce 1 KiB, three nodes beside one, {_counted(partitions)}"
    return Row(title, "MB/s", None, ONE_NODE, record_bytes=RECORD_BYTES)


def _counted(partitions: int) -> str:
    return "1 partition" if partitions == 1 else f"{partitions} partitions"


LATENCY_P50 = Row("latency p50, acks=all, 1 KiB, one in flight", "ms", _LATENCY)
LATENCY_P99 = Row("latency p99, acks=all, 1 KiB, one in flight", "ms", _LATENCY)


def lag_p50(load: str) -> Row:
    """How long after the leader the last follower had it, for half of all appends."""
    return Row(f"replication lag p50, {load}", "ms")


def lag_p99(load: str) -> Row:
    """The same for all but one in a hundred."""
    return Row(f"replication lag p99, {load}", "ms", _LAG_P99)


def gap_p50(what: str, against: str) -> Row:
    """The median of the longest gaps between acknowledged produces."""
    return Row(f"{what}, longest gap p50", "s", _goals(what)[0], against)


def gap_p99(what: str, against: str) -> Row:
    """Their 99th percentile."""
    return Row(f"{what}, longest gap p99", "s", _goals(what)[1], against)


def _goals(what: str) -> tuple[Goal | None, Goal | None]:
    if what == KILL_LEADER:
        return _KILL_P50, _KILL_P99
    return (None, _ROLL) if what == ROLL else (None, None)


def back(against: str) -> Row:
    """From kill -9 of a leader, or its restart, until it is in every ISR again."""
    return Row("start after kill -9 until in sync", "s", _BACK, against)


def failed(what: str, against: str) -> Row:
    """Produces that ended with an error."""
    return Row(f"{what}, failed produces", "records", _NONE_FAILED, against)


KILL_LEADER = "kill -9 of a leader"
KILL_CONTROLLER = "kill -9 of the controller, until the next topic"
ROLL = "rolling restart"

CATCH_UP = Row("catch-up of a wiped replica", "MB/s", Goal(0.25, 0.5), DISK)
CATCH_UP_KAFKA = Row("catch-up of a wiped replica, beside Kafka", "MB/s")
