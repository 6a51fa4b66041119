"""
What three nodes take to agree, to remember and to be idle: processes on loopback, nothing between them.

    python -m benchmarks.brain                          # everything, about three minutes
    python -m benchmarks.brain --only commit,topic --trials 500
    python -m benchmarks.brain --only idle --seconds 30

Rows: C{commit}, one setting of a topic is changed, asked of the controller over one connection, and C{topic}, a topic
with two replicas is made in the same way: both beside what fdatasync of as many bytes takes between any two of them,
and with how long the controller took from the proposal until a majority had it (C{streamline_quorum_commit_seconds});
C{topics}, a thousand topics in one call of an admin client; C{restart}, from the start of a process with all its
partitions until it serves, which it does last of all, and until it is in sync again, after SIGTERM and after kill -9;
C{idle}, the processor time that all three use together while nobody asks anything.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from benchmarks.trials import show
from benchmarks.trio import NODES, Trio, create, set_retention

SYNC_BYTES = 512
TWO = 2
"""Replicas of a topic that is made in C{topic}."""
MANY_S = 120.0
SETTLE_S = 5.0
"""How long nothing is done before idleness is measured."""
RETENTION_MS = 86_400_000
WARM_UP = 20
PARTITIONS_OF_A_TOPIC = 10


@contextmanager
def bare_file(directory: str) -> Iterator[Callable[[], float]]:
    """Give what appends a command's bytes to a file of its own there, syncs it, and returns the seconds."""
    with Path(directory, "synced").open("ab", buffering=0) as file:

        def sync() -> float:
            began = time.perf_counter()
            file.write(bytes(SYNC_BYTES))
            os.fdatasync(file.fileno())
            return time.perf_counter() - began

        yield sync


def median_between(before: dict[float, int], after: dict[float, int]) -> float:
    """Return the median of what came to a histogram, evenly spread within its bucket."""
    came = {bound: count - before[bound] for bound, count in sorted(after.items())}
    half, below, below_s = max(came.values()) / 2, 0, 0.0
    for bound_s, count in came.items():
        if count >= half:
            return below_s + (bound_s - below_s) * (half - below) / (count - below)
        below, below_s = count, bound_s
    raise ValueError("nothing came")


def beside(trio: Trio, directory: str, name: str, trials: int, one: Callable[[int], object]) -> None:
    """Do something over and over, a bare sync after each, and print both, their ratio, and what the nodes used."""
    ours, theirs, controller = [], [], trio.controller()
    with bare_file(directory) as sync:
        for number in range(-WARM_UP, 0):
            one(number)
        cpu_s, wakeups, counts = trio.cpu_s(), trio.wakeups(), trio.commit_counts(controller)
        for number in range(trials):
            began = time.perf_counter()
            one(number)
            ours.append(time.perf_counter() - began)
            theirs.append(sync())
        cpu_s, wakeups = trio.cpu_s() - cpu_s, trio.wakeups() - wakeups
    show(name, ours)
    show("  fdatasync between them", theirs)
    synced, committed = statistics.median(theirs), median_between(counts, trio.commit_counts(controller))
    print(f"  {statistics.median(ours) / synced:.1f} times fdatasync, at p50, until the client has its answer")
    print(f"  {committed / synced:.1f} times, {committed * 1000:.2f} ms, from the proposal to the commit", flush=True)
    each = f"{cpu_s / trials * 1e6:.0f} us of processor time and {wakeups / trials:.1f} wake-ups each"
    print(f"  {each}, all nodes together", flush=True)


def commits(trio: Trio, directory: str, trials: int) -> None:
    """Change one setting over and over."""
    with trio.talk(trio.controller()) as talk:
        create(talk, "settings", 1, NODES)
        beside(
            trio,
            directory,
            "one setting of a topic changed",
            trials,
            lambda number: set_retention(talk, "settings", RETENTION_MS + number),
        )


def topics(trio: Trio, directory: str, trials: int) -> None:
    """Make a topic over and over."""

    def make(number: int) -> None:
        if not create(talk, f"topic-{number + WARM_UP}", 1, TWO):
            raise RuntimeError("a topic was not made although nothing happened")

    with trio.talk(trio.controller()) as talk:
        beside(trio, directory, "one topic with two replicas made", trials, make)


def many_topics(trio: Trio, count: int, partitions: int, replicas: int, name: str = "many") -> float:
    """Have an admin client make so many topics in one call; return the seconds."""
    admin = AdminClient({"bootstrap.servers": trio.bootstrap, "log_level": 0})
    wanted = [NewTopic(f"{name}-{number}", partitions, replicas) for number in range(count)]
    began = time.perf_counter()
    made = admin.create_topics(wanted, request_timeout=MANY_S, operation_timeout=MANY_S)
    for each in made.values():
        each.result()
    return time.perf_counter() - began


def fill(trio: Trio, count: int, partitions: int) -> None:
    """Have a record in every partition, as one that was never written to is recovered too easily."""
    producer = Producer({"bootstrap.servers": trio.bootstrap, "acks": "all", "log_level": 0})
    for number in range(count):
        for partition in range(partitions):
            producer.produce(f"many-{number}", b"x" * 100, partition=partition)
    if producer.flush(MANY_S):
        raise RuntimeError("a record was not acknowledged although nothing happened")


def restarts(trio: Trio, partitions: int, trials: int) -> None:
    """Stop a node that does not lead the quorum, and start it again, in both ways."""
    count = partitions // PARTITIONS_OF_A_TOPIC
    many_topics(trio, count, PARTITIONS_OF_A_TOPIC, NODES)
    fill(trio, count, PARTITIONS_OF_A_TOPIC)
    for number, what in ((signal.SIGTERM, "SIGTERM"), (signal.SIGKILL, "kill -9")):
        serving, synced = [], []
        for _ in range(trials):
            trio.wait_isr(NODES)
            controller = trio.controller()
            one = next(node for node in trio.plans if node != controller)
            trio.end(one, number)
            began = time.perf_counter()
            trio.start(one)
            serving.append(time.perf_counter() - began)
            trio.wait_isr(NODES)
            synced.append(time.perf_counter() - began)
        show(f"restart after {what}, {partitions} partitions, serving", serving)
        show(f"restart after {what}, {partitions} partitions, in sync", synced)


def idle(trio: Trio, more: int, count: int, seconds: float) -> None:
    """Do nothing, with so many partitions more, which makes C{count} of them."""
    many_topics(trio, more // PARTITIONS_OF_A_TOPIC, PARTITIONS_OF_A_TOPIC, NODES, f"idle{count}")
    trio.wait_isr(NODES)
    time.sleep(SETTLE_S)
    cpu_s, wakeups, began = trio.cpu_s(), trio.wakeups(), time.perf_counter()
    time.sleep(seconds)
    cpu_s, wakeups, took = trio.cpu_s() - cpu_s, trio.wakeups() - wakeups, time.perf_counter() - began
    load = os.getloadavg()[0]
    print(
        f"idle with {count} partitions: {100 * cpu_s / took:.2f} % of a core, {wakeups / took:.0f} wake-ups a second, "
        f"all nodes together, over {took:.0f} s   (load {load:.1f})",
        flush=True,
    )


def measure(row: str, options: argparse.Namespace) -> None:
    """Measure one row, with nodes of its own."""
    with tempfile.TemporaryDirectory(dir=options.directory) as directory, Trio(directory) as trio:
        if row == "commit":
            commits(trio, directory, options.trials)
        elif row == "topic":
            topics(trio, directory, options.trials)
        elif row == "topics":
            trio.controller()
            took = many_topics(trio, 1000, 3, options.replicas)
            show(f"1000 topics with 3 partitions, {options.replicas} replicas", [took])
        elif row == "restart":
            restarts(trio, options.partitions, options.restarts)
        else:
            idle(trio, 50, 50, options.seconds)
            idle(trio, 950, 1000, options.seconds)


ROWS = ("commit", "topic", "topics", "restart", "idle")


def main() -> None:
    """Measure what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(ROWS), help="rows, with commas between")
    parser.add_argument("--trials", type=int, default=300, help="of commit and topic")
    parser.add_argument("--restarts", type=int, default=3, help="of each kind")
    parser.add_argument("--partitions", type=int, default=3000, help="of restart")
    parser.add_argument("--replicas", type=int, default=NODES, help="of topics")
    parser.add_argument("--seconds", type=float, default=20.0, help="of idle")
    parser.add_argument("--directory", help="where the data is kept")
    options = parser.parse_args()
    for row in options.only.split(","):
        if row not in ROWS:
            parser.error(f"there is no row {row}; there are {', '.join(ROWS)}")
        measure(row, options)


if __name__ == "__main__":
    main()
