"""librdkafka as the client, through confluent-kafka: throughput and latency."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from attrs import frozen
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

DEADLINE_S = 120.0
NANOSECONDS = 1e9


@frozen
class Latency:
    """Percentiles of the time from sending to being acknowledged, in milliseconds."""

    p50_ms: float
    p99_ms: float

    @classmethod
    def of(cls, samples_ns: list[int]) -> Latency:
        """From single times; the first tenth warms up and is not counted."""
        counted = sorted(samples_ns[len(samples_ns) // 10 :])
        return cls(counted[len(counted) // 2] / 1e6, counted[len(counted) * 99 // 100] / 1e6)


def _admin(bootstrap: str) -> AdminClient:
    """An admin client that logs warnings and worse."""
    return AdminClient({"bootstrap.servers": bootstrap, "log_level": 4})


def create_topic(
    bootstrap: str, topic: str, partitions: int, config: Mapping[str, str] | None = None, replicas: int = 1
) -> None:
    """Create a topic and wait until each partition's leader answers for it."""
    admin = _admin(bootstrap)
    for future in admin.create_topics([NewTopic(topic, partitions, replicas, config=dict(config or {}))]).values():
        future.result(DEADLINE_S)
    when_served(bootstrap, topic, partitions)


def when_served(bootstrap: str, topic: str, partitions: int) -> int:
    """Wait until each partition's leader answers for it; returns what L{end_offsets} does."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        try:
            return end_offsets(bootstrap, topic, partitions)
        except KafkaException:
            if time.monotonic() > deadline:
                raise


def delete_topic(bootstrap: str, topic: str) -> None:
    """Delete a topic and wait until the broker says so."""
    admin = _admin(bootstrap)
    for future in admin.delete_topics([topic]).values():
        future.result(DEADLINE_S)


def end_offsets(bootstrap: str, topic: str, partitions: int) -> int:
    """How many offsets the topic's partitions hold together."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "unused"})
    try:
        marks = [
            consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=DEADLINE_S)
            for partition in range(partitions)
        ]
        return sum(high for _, high in marks)
    finally:
        consumer.close()


def batching_producer(bootstrap: str, batch_bytes: int, acks: int | str) -> Producer:
    """A producer that waits a little for batches to fill."""
    return Producer(
        {
            "bootstrap.servers": bootstrap,
            "acks": acks,
            "linger.ms": 5,
            "batch.size": batch_bytes,
            "batch.num.messages": 100_000,
            "message.max.bytes": 2_000_000,
            "queue.buffering.max.messages": 200_000,
            "queue.buffering.max.kbytes": 262_144,
        }
    )


def eager_producer(bootstrap: str, acks: int | str) -> Producer:
    """A producer that sends each record at once."""
    return Producer({"bootstrap.servers": bootstrap, "acks": acks, "linger.ms": 0, "socket.nagle.disable": True})


def produce(
    bootstrap: str, topic: str, record_bytes: int, records: int, batch_bytes: int, acks: int | str = 1
) -> float:
    """
    Produce as fast as the client can.

    @return: records acknowledged per second, of those after the first tenth.
    """
    producer = batching_producer(bootstrap, batch_bytes, acks)
    value = b"v" * record_bytes
    _produce_all(producer, topic, value, records // 10)
    started = time.perf_counter()
    _produce_all(producer, topic, value, records)
    return records / (time.perf_counter() - started)


def _produce_all(producer: Producer, topic: str, value: bytes, records: int) -> None:
    failures: list[KafkaError] = []

    def delivered(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            failures.append(error)

    left = records
    while left:
        try:
            for _ in range(min(left, 1000)):
                producer.produce(topic, value, on_delivery=delivered)
                left -= 1
            producer.poll(0)
        except BufferError:
            producer.poll(0.01)
    if producer.flush(DEADLINE_S) or failures:
        raise RuntimeError(f"records were not delivered: {failures[:1]}")


def consume(bootstrap: str, topic: str, partitions: int, records: int) -> float:
    """
    Read so many records from the start of the partitions.

    @return: records read per second, from the first on.
    """
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "unused",
            "enable.auto.commit": False,
            "check.crcs": False,
            # librdkafka pauses for a second when this many wait in its queue, which a fast broker fills at once: the
            # pauses of the client would be measured, not the broker.
            "queued.min.messages": 10_000_000,
            "queued.max.messages.kbytes": 1_048_576,
        }
    )
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(partitions)])
    deadline = time.monotonic() + DEADLINE_S
    first, seen, started = 0, 0, 0.0
    try:
        while seen < records:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{seen} of {records} records")
            messages = consumer.consume(min(500, records - seen), 0.5)
            if messages and not seen:
                first, started = len(messages), time.perf_counter()
            seen += len(messages)
        return (seen - first) / (time.perf_counter() - started)
    finally:
        consumer.close()


def one_in_flight(bootstrap: str, topic: str, seconds: float, record_bytes: int = 100, acks: int | str = 1) -> Latency:
    """Send a record when the one before it has been acknowledged."""
    producer, samples = eager_producer(bootstrap, acks), list[int]()
    value = b"v" * record_bytes
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        sent_ns = time.perf_counter_ns()
        producer.produce(topic, value, partition=0, on_delivery=_timer(samples, sent_ns))
        while producer.poll(1.0) == 0:
            continue
    return Latency.of(samples)


def fixed_rate(
    bootstrap: str, topic: str, seconds: float, per_s: int = 5000, record_bytes: int = 100, acks: int | str = 1
) -> Latency:
    """Send records at fixed moments, each timed from when it was due."""
    producer, samples = eager_producer(bootstrap, acks), list[int]()
    value = b"v" * record_bytes
    step_ns = int(NANOSECONDS / per_s)
    due_ns = time.perf_counter_ns()
    for _ in range(int(seconds * per_s)):
        while (left_ns := due_ns - time.perf_counter_ns()) > 0:
            producer.poll(left_ns / NANOSECONDS)
        producer.produce(topic, value, partition=0, on_delivery=_timer(samples, due_ns))
        producer.poll(0)
        due_ns += step_ns
    if producer.flush(DEADLINE_S):
        raise RuntimeError("records were not delivered")
    return Latency.of(samples)


def paced(producer: Producer, topic: str, seconds: float, per_s: float, record_bytes: int) -> float:
    """
    Send records at fixed moments, and sleep in between: L{fixed_rate} keeps a processor busy, to be on time.

    @return: records sent per second; less than C{per_s} where the brokers, or this process, cannot keep up.
    """
    value, records = b"v" * record_bytes, int(seconds * per_s)
    started = time.perf_counter()
    for number in range(records):
        left_s = started + number / per_s - time.perf_counter()
        if left_s > 0:
            producer.poll(0)
            time.sleep(left_s)
        while True:
            try:
                producer.produce(topic, value)
                break
            except BufferError:
                producer.poll(0.01)
    took_s = time.perf_counter() - started
    if producer.flush(DEADLINE_S):
        raise RuntimeError("records were not delivered")
    return records / max(took_s, seconds)


def _timer(samples: list[int], since_ns: int) -> Any:
    def delivered(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            raise RuntimeError(str(error))
        samples.append(time.perf_counter_ns() - since_ns)

    return delivered
