"""
The measurements, each for both sides in alternation.

Both brokers run from start to end, so that each is warm; while one is measured the other is idle. Every produce
has a topic of its own, which is deleted before the next, and what the disk still has to write is written first.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from attrs import define, evolve, field, frozen

from benchmarks import frames, java_tools, native, processes, rdkafka, rows
from benchmarks.ledger import STREAMLINE, Ledger, Row
from tests.clients.brokers import BrokerProcess, answers

PARTITIONS = 4
GB = 1e9


@frozen
class Scale:
    """How much each measurement does."""

    rounds: int
    bytes_per_run: int
    seconds: float
    java: bool

    def with_rounds(self, rounds: int) -> Scale:
        """The same with another number of rounds."""
        return evolve(self, rounds=rounds)

    def records(self, record_bytes: int) -> int:
        """How many records of that size a run moves; small ones cost a client more, so it gets fewer bytes."""
        share = 1.0 if record_bytes > 500 else 0.4
        return int(self.bytes_per_run * share / record_bytes)


FULL = Scale(rounds=3, bytes_per_run=500_000_000, seconds=5.0, java=True)
QUICK = Scale(rounds=3, bytes_per_run=40_000_000, seconds=0.7, java=False)


@define
class Session:
    """Both brokers, where the figures go, and how large the runs are."""

    brokers: dict[str, BrokerProcess]
    ledger: Ledger
    scale: Scale
    directory: Path
    _numbers: Iterator[int] = field(factory=itertools.count)

    def rounds(self) -> Iterator[tuple[str, BrokerProcess]]:
        """Each side in each round, the other one first every second time."""
        for number in range(self.scale.rounds):
            sides = list(self.brokers.items())
            yield from sides if number % 2 == 0 else reversed(sides)

    @contextmanager
    def topic(
        self, broker: BrokerProcess, partitions: int = PARTITIONS, config: Mapping[str, str] | None = None
    ) -> Iterator[str]:
        """A topic for as long as it is needed."""
        name = f"bench-{next(self._numbers)}"
        rdkafka.create_topic(broker.bootstrap, name, partitions, config)
        try:
            yield name
        finally:
            rdkafka.delete_topic(broker.bootstrap, name)
            os.sync()


def start_up(session: Session, make: Mapping[str, Callable[[Path], BrokerProcess]]) -> None:
    """Time from starting a process to its first answers; memory a moment later. Each start has fresh data."""
    for number in range(session.scale.rounds):
        for side, make_one in make.items():
            broker = make_one(session.directory / f"start-{side}-{number}".replace(" ", "-"))
            try:
                broker.start()
                while not answers(broker.port, frames.metadata()):
                    if broker.seconds_since_start() > 60:
                        raise TimeoutError(f"{side} does not answer Metadata")
                session.ledger.add(rows.START_UP, side, broker.seconds_since_start())
                time.sleep(1.0)
                session.ledger.add(rows.RESIDENT_IDLE, side, processes.resident_mib(broker.pid))
            finally:
                broker.kill()


def warm_up(session: Session) -> None:
    """Let both brokers, the JVM's compiler above all, see each kind of work once; nothing is counted."""
    for broker in session.brokers.values():
        for record_bytes, batch_bytes in itertools.product(rows.SIZES.values(), rows.BATCHES.values()):
            records = session.scale.records(record_bytes) // 2
            with session.topic(broker) as topic:
                rdkafka.produce(broker.bootstrap, topic, record_bytes, records, batch_bytes)
                rdkafka.consume(broker.bootstrap, topic, PARTITIONS, records)


def produce(session: Session) -> None:
    """Produce throughput and the broker's processor time for it."""
    clients = {"librdkafka": rdkafka.produce, **({"Java": java_tools.produce} if session.scale.java else {})}
    for (client, run), (size, record_bytes), (batch, batch_bytes) in itertools.product(
        clients.items(), rows.SIZES.items(), rows.BATCHES.items()
    ):
        records = session.scale.records(record_bytes)
        for side, broker in session.rounds():
            with session.topic(broker) as topic:
                used_s = processes.cpu_s(broker.pid)
                per_s = run(broker.bootstrap, topic, record_bytes, records, batch_bytes)
                used_s = processes.cpu_s(broker.pid) - used_s
                moved = rdkafka.end_offsets(broker.bootstrap, topic, PARTITIONS) * record_bytes
            session.ledger.add(rows.produce(size, batch, client), side, per_s * record_bytes / 1e6)
            session.ledger.add(rows.produce_cpu(size, batch, client), side, used_s / (moved / GB))


def consume(session: Session) -> None:
    """Consume throughput, from the start of a topic that was just written, and the broker's processor time."""
    clients = {"librdkafka": rdkafka.consume, **({"Java": java_tools.consume} if session.scale.java else {})}
    for size, record_bytes in rows.SIZES.items():
        records = session.scale.records(record_bytes)
        for side, broker in session.rounds():
            with session.topic(broker) as topic:
                rdkafka.produce(broker.bootstrap, topic, record_bytes, records, rows.BATCHES["1 MiB batches"])
                for client, run in clients.items():
                    used_s = processes.cpu_s(broker.pid)
                    per_s = run(broker.bootstrap, topic, PARTITIONS, records)
                    used_s = processes.cpu_s(broker.pid) - used_s
                    session.ledger.add(rows.consume(size, client), side, per_s * record_bytes / 1e6)
                    moved_gb = records * record_bytes / GB
                    session.ledger.add(rows.consume_cpu(size, client), side, used_s / moved_gb)


def latency(session: Session) -> None:
    """Latency of a produce, with acks=1 and without lingering."""
    runs: dict[str, Callable[[str, str, float], rdkafka.Latency]] = {
        "one in flight, librdkafka": rdkafka.one_in_flight,
        "5,000 records/s, librdkafka": rdkafka.fixed_rate,
    }
    if session.scale.java:
        runs["5,000 records/s, Java"] = java_tools.fixed_rate
    for what, run in runs.items():
        for side, broker in session.rounds():
            with session.topic(broker, partitions=1) as topic:
                found = run(broker.bootstrap, topic, session.scale.seconds)
            session.ledger.add(rows.latency_p50(what), side, found.p50_ms)
            session.ledger.add(rows.latency_p99(what), side, found.p99_ms)
    _native_latency(session)


def _native_latency(session: Session) -> None:
    """The same without a client library between: pre-encoded requests from C."""
    batch = frames.record_batch(100)
    for what, per_s in (("one in flight, pre-encoded", 0.0), ("5,000 records/s, pre-encoded", 5000.0)):
        for side, broker in session.rounds():
            with session.topic(broker, partitions=1) as topic:
                load = native.run_produce(
                    broker.port,
                    topic,
                    batch,
                    session.directory,
                    partitions=1,
                    connections=1,
                    in_flight=1 if not per_s else 1000,
                    seconds=session.scale.seconds,
                    per_s=per_s,
                )
            session.ledger.add(rows.latency_p50(what), side, load.p50_us / 1000)
            session.ledger.add(rows.latency_p99(what), side, load.p99_us / 1000)


def requests(session: Session) -> None:
    """Pre-encoded Produce requests, against what the machine's loopback, Twisted and disk can do at all."""
    seconds, directory = session.scale.seconds, session.directory
    small, large = frames.record_batch(100), frames.batch_of_bytes(16384)
    echoed = native.produce_requests("bench-echo", 8, small)
    for side, broker in session.rounds():
        if side == STREAMLINE:
            session.ledger.add(rows.SENT_16_KIB, rows.SENT_16_KIB.against, native.loopback_mb_per_s(seconds))
            for kind, row in (("bytes", rows.SENT_100_B), ("frames", rows.SENT_100_B_FRAMES)):
                session.ledger.add(row, row.against, native.echo(kind, echoed, directory, seconds).requests_per_s)
        with session.topic(broker) as topic:
            sent = native.run_produce(
                broker.port, topic, large, directory, partitions=4, connections=4, in_flight=5, seconds=seconds
            )
        _add_to_both(session, side, sent.mb_per_s, rows.SENT_16_KIB, rows.SENT_16_KIB_KAFKA)
        with session.topic(broker, 8) as topic:
            sent = native.run_produce(
                broker.port, topic, small, directory, partitions=8, connections=8, in_flight=5, seconds=seconds
            )
        _add_to_both(session, side, sent.requests_per_s, rows.SENT_100_B, rows.SENT_100_B_KAFKA)
        if side == STREAMLINE:
            session.ledger.add(rows.SENT_100_B_FRAMES, side, sent.requests_per_s)


def durable(session: Session) -> None:
    """Acks that wait for the disk: flush.messages=1, one partition, 40 in flight."""
    batch, seconds = frames.record_batch(100), session.scale.seconds
    for side, broker in session.rounds():
        if side == STREAMLINE:
            probed = native.fdatasyncs_per_s(session.directory, batch, seconds)
            session.ledger.add(rows.DURABLE, rows.DURABLE.against, probed)
        with session.topic(broker, 1, {"flush.messages": "1"}) as topic:
            sent = native.run_produce(
                broker.port,
                topic,
                batch,
                session.directory,
                partitions=1,
                connections=8,
                in_flight=5,
                seconds=seconds,
            )
        _add_to_both(session, side, sent.requests_per_s, rows.DURABLE, rows.DURABLE_KAFKA)


def _add_to_both(session: Session, side: str, value: float, row: Row, beside_kafka: Row) -> None:
    """Streamline's figure stands in both rows; Kafka's only in the one that compares with it."""
    session.ledger.add(beside_kafka, side, value)
    if side == STREAMLINE:
        session.ledger.add(row, side, value)


def stall(session: Session) -> None:
    """How late a ping every 10 ms on a connection of its own is answered while the broker is loaded."""
    batch, seconds = frames.batch_of_bytes(16384), 2 * session.scale.seconds
    for side, broker in session.rounds():
        with session.topic(broker) as topic:
            ping = native.start(
                broker.port,
                [frames.api_versions()],
                session.directory,
                in_flight=1000,
                seconds=seconds,
                per_s=100.0,
            )
            native.run_produce(
                broker.port,
                topic,
                batch,
                session.directory,
                partitions=4,
                connections=4,
                in_flight=5,
                seconds=seconds,
            )
            answered = native.finish(ping)
        session.ledger.add(rows.STALL_P999, side, answered.p999_us / 1000)
        session.ledger.add(rows.STALL_MAX, side, answered.max_us / 1000)


def peak_memory(session: Session) -> None:
    """The most memory each broker had resident in all of this."""
    for side, broker in session.brokers.items():
        session.ledger.add(rows.RESIDENT_PEAK, side, processes.peak_resident_mib(broker.pid))
