"""
Three nodes of Streamline beside three of Apache Kafka: C{python -m benchmarks.replicated}.

Starts clusters of three on this machine, runs the same clients against both kinds in alternation, prints medians and
ratios, and writes the table, all samples and a picture to C{benchmarks/results/}.  C{benchmarks/README.md} says how to
read it.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from attrs import define, evolve, frozen

from benchmarks import lag, outages, rdkafka, report
from benchmarks import replicated_rows as rows
from benchmarks.clusters import NODES, SETTINGS, TUNED, ThreeNodes, three_kafkas, three_streamlines
from benchmarks.ledger import KAFKA, STREAMLINE, Ledger
from streamline.testing.chaos.report import quantile
from tests.clients.brokers import ROOT, BrokerProcess, KafkaBroker, StreamlineBroker

GB = 1e9
BATCH_BYTES = 16384
PARTITIONS = (1, 12)
WARM_UPS = 2
LAG_PER_S = 1000
SHARE = 0.3
"""Of the throughput with one partition: the second load under which replication lag is measured."""

Maker = Callable[[Path, Mapping[str, str]], ThreeNodes]
MAKERS: Mapping[str, Maker] = {KAFKA: three_kafkas, STREAMLINE: three_streamlines}


@frozen
class Scale:
    """How much each measurement does."""

    rounds: int
    bytes_per_run: int
    seconds: float
    trials: int
    kafka_trials: int
    wiped_bytes: int


FULL = Scale(3, 300_000_000, 5.0, 30, 5, 500_000_000)
QUICK = Scale(3, 40_000_000, 1.5, 4, 2, 100_000_000)


@define
class Session:
    """The clusters that run, where the figures go, and how large the runs are."""

    clusters: dict[str, ThreeNodes]
    ledger: Ledger
    scale: Scale
    directory: Path
    _topics: int = 0

    def rounds(self) -> Iterator[tuple[str, ThreeNodes]]:
        """Each side in each round, the other one first every second time."""
        for number in range(self.scale.rounds):
            sides = list(self.clusters.items())
            yield from sides if number % 2 == 0 else reversed(sides)

    @contextmanager
    def topic(self, bootstrap: str, partitions: int, replicas: int = NODES) -> Iterator[str]:
        """A topic for as long as it is needed; what the disk still has to write is written afterwards."""
        self._topics += 1
        name = f"bench-{self._topics}"
        rdkafka.create_topic(bootstrap, name, partitions, replicas=replicas)
        try:
            yield name
        finally:
            rdkafka.delete_topic(bootstrap, name)
            os.sync()

    @contextmanager
    def running(self, side: str, settings: Mapping[str, str] = SETTINGS) -> Iterator[ThreeNodes]:
        """A cluster for as long as it is needed."""
        self._topics += 1
        kind = KAFKA if side == rows.KAFKA_TUNED else side
        cluster = MAKERS[kind](self.directory / f"cluster-{self._topics}", settings)
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.kill_all()


def warm_up(session: Session) -> None:
    """Let all nodes see the work, so that the JVM has compiled what it needs; nothing is counted."""
    for cluster in session.clusters.values():
        for partitions in PARTITIONS * WARM_UPS:
            with session.topic(cluster.bootstrap, partitions) as topic:
                _produce(session, cluster.bootstrap, topic, "all")


def _produce(session: Session, bootstrap: str, topic: str, acks: int | str) -> float:
    records = session.scale.bytes_per_run // rows.RECORD_BYTES
    return rdkafka.produce(bootstrap, topic, rows.RECORD_BYTES, records, BATCH_BYTES, acks)


def produce(session: Session) -> None:
    """Throughput with acks=all, and the processor time of all three nodes for it."""
    for partitions in PARTITIONS:
        for side, cluster in session.rounds():
            with session.topic(cluster.bootstrap, partitions) as topic:
                used_s = cluster.cpu_s()
                per_s = _produce(session, cluster.bootstrap, topic, "all")
                used_s = cluster.cpu_s() - used_s
                moved = rdkafka.end_offsets(cluster.bootstrap, topic, partitions) * rows.RECORD_BYTES
            session.ledger.add(rows.produce(partitions), side, per_s * rows.RECORD_BYTES / 1e6)
            session.ledger.add(rows.produce_cpu(partitions), side, used_s / (moved / GB))
            if side == STREAMLINE:
                session.ledger.add(rows.three_beside_one(partitions), side, per_s * rows.RECORD_BYTES / 1e6)


def one_node(session: Session) -> None:
    """The same with one node and factor 1."""
    makers: Mapping[str, Callable[[Path], BrokerProcess]] = {KAFKA: KafkaBroker, STREAMLINE: StreamlineBroker}
    for number in range(session.scale.rounds):
        for side, make in makers.items():
            broker = make(session.directory / f"one-{side}-{number}".replace(" ", "-"))
            broker.start()
            try:
                for partitions in PARTITIONS:
                    with session.topic(broker.bootstrap, partitions, 1) as topic:
                        _produce(session, broker.bootstrap, topic, "all")
                    with session.topic(broker.bootstrap, partitions, 1) as topic:
                        mb_per_s = _produce(session, broker.bootstrap, topic, "all") * rows.RECORD_BYTES / 1e6
                    session.ledger.add(rows.produce_one_node(partitions), side, mb_per_s)
                    if side == STREAMLINE:
                        session.ledger.add(rows.three_beside_one(partitions), rows.ONE_NODE, mb_per_s)
            finally:
                broker.kill()


def latency(session: Session) -> None:
    """Latency with acks=all, one record in flight."""
    for side, cluster in session.rounds():
        with session.topic(cluster.bootstrap, 1) as topic:
            found = rdkafka.one_in_flight(cluster.bootstrap, topic, session.scale.seconds, rows.RECORD_BYTES, "all")
        session.ledger.add(rows.LATENCY_P50, side, found.p50_ms)
        session.ledger.add(rows.LATENCY_P99, side, found.p99_ms)


def replication_lag(session: Session) -> None:
    """From the leader's append to the last follower's, as the files show it."""
    saturated = session.ledger.samples.get(rows.produce(1), {})
    for side, cluster in session.rounds():
        loads = {"1,000 records/s": (float(LAG_PER_S), rdkafka.eager_producer(cluster.bootstrap, "all"))}
        if mine := saturated.get(side):
            producer = rdkafka.batching_producer(cluster.bootstrap, BATCH_BYTES, "all")
            loads["30 % of saturation"] = SHARE * quantile(mine, 0.5) * 1e6 / rows.RECORD_BYTES, producer
        for load, (per_s, producer) in loads.items():
            with session.topic(cluster.bootstrap, 1) as topic:
                cluster.wait_isr(topic)
                first = cluster.leader(topic)
                order = [first, *(one for one in cluster.members if one != first)]
                watch = lag.Watch([cluster.log_file(one, topic) for one in order], session.scale.seconds)
                done_per_s = rdkafka.paced(producer, topic, session.scale.seconds, per_s, rows.RECORD_BYTES)
                lags = watch.finish()
            print(f"{side}, {load}: {done_per_s:,.0f} of {per_s:,.0f} records/s, {len(lags)} appends", flush=True)
            session.ledger.add(rows.lag_p50(load), side, quantile(lags, 0.5))
            session.ledger.add(rows.lag_p99(load), side, quantile(lags, 0.99))


def catch_up(session: Session) -> None:
    """How fast a node gets back what was deleted from its disk while it was down."""
    size, record = session.scale.wiped_bytes, 10_240
    for side, cluster in session.rounds():
        with session.topic(cluster.bootstrap, 1) as topic:
            victim = next(one for one in cluster.members if one != cluster.leader(topic))
            cluster.members[victim].stop()
            rdkafka.produce(cluster.bootstrap, topic, record, size // record, 1 << 20, "all")
            os.sync()
            cluster.wipe(victim, topic)
            cluster.members[victim].start()
            started = time.perf_counter()
            cluster.wait_isr(topic)
            mb_per_s = rdkafka.end_offsets(cluster.bootstrap, topic, 1) * record / 1e6 / (time.perf_counter() - started)
            session.ledger.add(rows.CATCH_UP_KAFKA, side, mb_per_s)
            if side == STREAMLINE:
                session.ledger.add(rows.CATCH_UP, side, mb_per_s)
                session.ledger.add(rows.CATCH_UP, rows.DISK, sequential_mb_per_s(session.directory, size))


def sequential_mb_per_s(directory: Path, size: int) -> float:
    """
    What the disk takes from one writer, synced at the end.

    To be called before anything large is deleted: memory that has just been given back is written several times as fast
    as other memory, on a virtual machine which gives that back to its host, and who is compared has to have other.
    """
    block = os.urandom(1 << 20)
    path = directory / "sequential.probe"
    with path.open("wb", buffering=0) as file:
        started = time.perf_counter()
        for _ in range(size // len(block)):
            file.write(block)
        os.fdatasync(file.fileno())
        seconds = time.perf_counter() - started
    path.unlink()
    return size / 1e6 / seconds


def faults(session: Session) -> None:
    """What clients notice when nodes go: each kind of cluster by itself, Kafka with its defaults and with ours."""
    for side, settings in ((STREAMLINE, SETTINGS), (KAFKA, SETTINGS), (rows.KAFKA_TUNED, SETTINGS | TUNED)):
        trials = session.scale.trials if side == STREAMLINE else session.scale.kafka_trials
        with session.running(side, settings) as cluster, outages.topic_of_one(cluster, "outages") as topic:
            killed = [outages.kill_leader(cluster, topic) for _ in range(trials)]
            rolled = [outages.roll(cluster, topic) for _ in range(max(trials // 5, 1))]
            found = [outages.kill_controller(cluster, number) for number in range(trials)]
        for against in (KAFKA, rows.KAFKA_TUNED) if side == STREAMLINE else (side,):
            _add_outages(session.ledger, side, against, killed, rolled, found)


def _add_outages(
    ledger: Ledger,
    side: str,
    against: str,
    killed: Sequence[outages.Outage],
    rolled: Sequence[outages.Outage],
    controllers: Sequence[float],
) -> None:
    gaps = {
        rows.KILL_LEADER: [one.gap_s for one in killed],
        rows.ROLL: [one.gap_s for one in rolled],
        rows.KILL_CONTROLLER: controllers,
    }
    for what, seconds in gaps.items():
        ledger.add(rows.gap_p50(what, against), side, quantile(seconds, 0.5))
        ledger.add(rows.gap_p99(what, against), side, quantile(seconds, 0.99))
    ledger.add(rows.back(against), side, quantile([one.back_s for one in killed], 0.5))
    ledger.add(rows.failed(rows.KILL_LEADER, against), side, sum(one.failed for one in killed))
    ledger.add(rows.failed(rows.ROLL, against), side, sum(one.failed for one in rolled))


BESIDE: Mapping[str, Callable[[Session], None]] = {
    "produce": produce,
    "latency": latency,
    "lag": replication_lag,
    "catch-up": catch_up,
}
"""What is measured with both clusters running, in alternation."""
ALONE: Mapping[str, Callable[[Session], None]] = {"one-node": one_node, "outages": faults}
"""What is measured with one at a time."""


def options(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.replicated", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="short runs and few trials")
    parser.add_argument("--rounds", type=int, help="how often each measurement is taken on each side (3)")
    parser.add_argument("--trials", type=int, help="how often nodes of Streamline are killed (30)")
    parser.add_argument("--kafka-trials", type=int, help="how often those of Kafka, which take longer (5)")
    parser.add_argument("--only", action="append", choices=[*BESIDE, *ALONE], help="measure only this")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results", help="where to write")
    return parser.parse_args(arguments)


def scale_of(chosen: argparse.Namespace) -> Scale:
    """Return how much is to be done."""
    asked = {"rounds": chosen.rounds, "trials": chosen.trials, "kafka_trials": chosen.kafka_trials}
    return evolve(QUICK if chosen.quick else FULL, **{name: value for name, value in asked.items() if value})


def measure(session: Session, sections: Sequence[str]) -> None:
    """Measure what was asked for."""
    if beside := [name for name in BESIDE if name in sections]:
        with session.running(KAFKA) as kafka, session.running(STREAMLINE) as streamline:
            session.clusters |= {KAFKA: kafka, STREAMLINE: streamline}
            print("warming up", flush=True)
            warm_up(session)
            for name in beside:
                print(name, flush=True)
                BESIDE[name](session)
    for name, run in ALONE.items():
        if name in sections:
            print(name, flush=True)
            run(session)


def main(arguments: Sequence[str]) -> None:
    """Measure, print, write."""
    chosen = options(arguments)
    ledger = Ledger()
    with tempfile.TemporaryDirectory(prefix="streamline-bench-") as name:
        measure(Session({}, ledger, scale_of(chosen), Path(name)), chosen.only or [*BESIDE, *ALONE])
    print(report.as_text(ledger.results()))
    command = shlex.join(["python", "-m", "benchmarks.replicated", *arguments])
    report.write(ledger, chosen.output, "replicated", command)
    print(f"\nwritten to {chosen.output}")


if __name__ == "__main__":
    main(sys.argv[1:])
