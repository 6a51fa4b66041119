"""confluent-kafka: librdkafka through its Python binding."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from confluent_kafka import Consumer, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.clients.drivers.base import DEADLINE_S, PARTITIONS, Consumed, Deadline, Record, Shares

#: Assignors of the two rebalance protocols.
ASSIGNORS = {"eager": "range", "cooperative": "cooperative-sticky"}


class ConfluentClient:
    """librdkafka's newest release."""

    name = "confluent-kafka"
    codecs = ("none", "gzip", "snappy", "lz4", "zstd")
    protocols = ("eager", "cooperative")

    def __init__(self, bootstrap: str) -> None:
        self.common: dict[str, Any] = {
            "bootstrap.servers": bootstrap,
            "client.id": "streamline-tests",
            "log_level": 2,
        }

    def create(self, topic: str, partitions: int = PARTITIONS, config: Mapping[str, str] | None = None) -> None:
        """Create it through the admin client, and wait for the answer."""
        admin = AdminClient(self.common)
        results_of(admin.create_topics([NewTopic(topic, partitions, 1, config=dict(config or {}))]))

    def produce(self, topic: str, codec: str, records: Iterable[Record]) -> None:
        """Queue all, flush, and see that every delivery was reported good."""
        producer = Producer({**self.common, "compression.type": codec, "acks": "all", "linger.ms": 5})
        failures: list[Any] = []

        def delivered(error: Any, message: Message) -> None:
            if error is not None:
                failures.append(error)

        for record in records:
            producer.produce(
                topic,
                record.value,
                record.key,
                partition=record.partition,
                timestamp=record.timestamp,
                on_delivery=delivered,
            )
        assert producer.flush(DEADLINE_S) == 0
        assert not failures

    def consume(self, topic: str, group: str, count: int) -> Consumed:
        """Subscribe, read, commit synchronously."""
        consumer = self.consumer(group)
        consumer.subscribe([topic])
        try:
            records = read(consumer, count)
            consumer.commit(asynchronous=False)
            partitions = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]
            committed = consumer.committed(partitions, timeout=DEADLINE_S)
            return Consumed(records, {each.partition: each.offset for each in committed})
        finally:
            consumer.close()

    def consumer(self, group: str, more: Mapping[str, Any] | None = None) -> Consumer:
        """Make a member of a group that starts at the earliest record and commits only when told."""
        return Consumer(
            {
                **self.common,
                "group.id": group,
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
                "session.timeout.ms": 10000,
                "heartbeat.interval.ms": 300,
                **(more or {}),
            }
        )

    def rebalance(self, topic: str, group: str, protocol: str) -> Shares:
        """Poll both members in turn until each phase has settled."""
        assignor = {"partition.assignment.strategy": ASSIGNORS[protocol]}
        first, second = self.consumer(group, assignor), self.consumer(group, assignor)
        given_up: list[int] = []

        def revoked(_: Consumer, partitions: list[TopicPartition]) -> None:
            given_up.extend(each.partition for each in partitions)

        first.subscribe([topic], on_revoke=revoked)
        try:
            poll_until([first], lambda: len(held(first)) == PARTITIONS, "the first member alone")
            alone = held(first)
            second.subscribe([topic])
            poll_until(
                [first, second],
                lambda: len(held(first)) == len(held(second)) == PARTITIONS // 2,
                "two members sharing",
            )
            together = held(first), held(second)
            given_up_to_second = sorted(given_up)
            second.close()
            poll_until([first], lambda: len(held(first)) == PARTITIONS, "the first member alone again")
            return Shares(alone, together, given_up_to_second, held(first))
        finally:
            first.close()

    def seek(self, topic: str, timestamp: int, count: int) -> list[Record]:
        """Ask for the offsets of a time and assign them."""
        consumer = self.consumer("unused")
        try:
            wanted = [TopicPartition(topic, partition, timestamp) for partition in range(PARTITIONS)]
            consumer.assign(consumer.offsets_for_times(wanted, timeout=DEADLINE_S))
            return read(consumer, count)
        finally:
            consumer.close()

    def delete(self, topic: str) -> list[str]:
        """Delete it through the admin client; the rest comes from fresh metadata."""
        admin = AdminClient(self.common)
        results_of(admin.delete_topics([topic]))
        return sorted(admin.list_topics(timeout=DEADLINE_S).topics)


def results_of(futures: Mapping[Any, Any]) -> list[Any]:
    """Wait for every future of an admin call; raises what any of them failed with."""
    return [future.result(DEADLINE_S) for future in futures.values()]


def held(consumer: Consumer) -> list[int]:
    """The partitions that the member holds now."""
    return sorted(each.partition for each in consumer.assignment())


def read(consumer: Consumer, count: int) -> list[Record]:
    """Read so many records."""
    records: list[Record] = []
    deadline = Deadline(f"reading {count} records")
    while len(records) < count:
        message = consumer.poll(deadline.left_s())
        if message is not None:
            records.append(record_of(message))
    return records


def record_of(message: Message) -> Record:
    """
    A record from librdkafka's message.

    @raise AssertionError: the message is an error.
    """
    assert message.error() is None, message.error()
    partition, offset, key, value = message.partition(), message.offset(), message.key(), message.value()
    assert partition is not None and offset is not None and value is not None
    return Record(partition, offset, message.timestamp()[1], (key or b"").decode(), value.decode())


def poll_until(consumers: Iterable[Consumer], settled: Callable[[], bool], what: str) -> None:
    """Serve the members' rebalances, each for a moment in turn, until they have settled."""
    deadline = Deadline(what)
    while not settled():
        deadline.left_s()
        for consumer in consumers:
            consumer.poll(0.05)
