"""kafka-python: the oldest Python client, in pure Python."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from kafka import ConsumerRebalanceListener, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.coordinator.assignors.range import RangePartitionAssignor

from tests.clients.drivers.base import DEADLINE_S, PARTITIONS, Consumed, Deadline, Record, Shares

ASSIGNORS = {"eager": RangePartitionAssignor, "cooperative": CooperativeStickyAssignor}


class KafkaPythonClient:
    """kafka-python 3."""

    name = "kafka-python"
    codecs = ("none", "gzip", "snappy", "lz4", "zstd")
    protocols = ("eager", "cooperative")

    def __init__(self, bootstrap: str) -> None:
        self.common = {"bootstrap_servers": bootstrap, "client_id": "streamline-tests"}

    def create(self, topic: str) -> None:
        """Create it and wait until metadata shows its leaders."""
        admin = KafkaAdminClient(**self.common)
        try:
            admin.create_topics([NewTopic(topic, PARTITIONS, 1)], wait_for_metadata=True)
        finally:
            admin.close()

    def produce(self, topic: str, codec: str, records: Iterable[Record]) -> None:
        """Send all and wait for each future."""
        compression = None if codec == "none" else codec
        producer = KafkaProducer(**self.common, compression_type=compression, acks="all", linger_ms=5)
        try:
            sent = [
                producer.send(
                    topic,
                    record.value.encode(),
                    record.key.encode(),
                    partition=record.partition,
                    timestamp_ms=record.timestamp,
                )
                for record in records
            ]
            for future in sent:
                future.get(DEADLINE_S)
        finally:
            producer.close()

    def consume(self, topic: str, group: str, count: int) -> Consumed:
        """Subscribe, read, commit."""
        consumer = self.consumer(group)
        consumer.subscribe([topic])
        try:
            records = read(consumer, count)
            consumer.commit()
            partitions = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]
            committed = {each.partition: consumer.committed(each) or -1 for each in partitions}
            return Consumed(records, committed)
        finally:
            consumer.close()

    def consumer(self, group: str | None, **more: Any) -> KafkaConsumer:
        """Make a member of a group that starts at the earliest record and commits only when told."""
        return KafkaConsumer(
            **self.common,
            group_id=group,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            session_timeout_ms=10000,
            heartbeat_interval_ms=300,
            fetch_max_wait_ms=100,
            **more,
        )

    def rebalance(self, topic: str, group: str, protocol: str) -> Shares:
        """Poll both members in turn until each phase has settled."""
        assignor = {"partition_assignment_strategy": [ASSIGNORS[protocol]]}
        first, second = self.consumer(group, **assignor), self.consumer(group, **assignor)
        losses = _Losses()
        for consumer in (first, second):
            # A leader that joins before it knows the partitions assigns none, and does not join again.
            assert consumer.partitions_for_topic(topic)
        first.subscribe([topic], listener=losses)
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
            given_up = sorted(losses.partitions)
            second.close()
            poll_until([first], lambda: len(held(first)) == PARTITIONS, "the first member alone again")
            return Shares(alone, together, given_up, held(first))
        finally:
            first.close()

    def seek(self, topic: str, timestamp: int, count: int) -> list[Record]:
        """Ask for the offsets of a time, assign, and seek to them."""
        consumer = self.consumer(None)
        try:
            partitions = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]
            found = consumer.offsets_for_times(dict.fromkeys(partitions, timestamp))
            consumer.assign(partitions)
            for partition, place in found.items():
                consumer.seek(partition, place.offset)
            return read(consumer, count)
        finally:
            consumer.close()

    def delete(self, topic: str) -> list[str]:
        """Delete it and list what is left."""
        admin = KafkaAdminClient(**self.common)
        try:
            admin.delete_topics([topic])
            return sorted(admin.list_topics())
        finally:
            admin.close()


class _Losses(ConsumerRebalanceListener):  # type: ignore[misc]
    """Remembers which partitions a member was told to give up."""

    def __init__(self) -> None:
        self.partitions: list[int] = []

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Note them."""
        self.partitions.extend(each.partition for each in revoked)

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Nothing to note: the consumer's own assignment says it."""


def held(consumer: KafkaConsumer) -> list[int]:
    """The partitions that the member holds now."""
    return sorted(each.partition for each in consumer.assignment())


def read(consumer: KafkaConsumer, count: int) -> list[Record]:
    """Read so many records."""
    records: list[Record] = []
    deadline = Deadline(f"reading {count} records")
    while len(records) < count:
        polled = consumer.poll(timeout_ms=int(deadline.left_s() * 1000), max_records=count - len(records))
        for messages in polled.values():
            records += [
                Record(each.partition, each.offset, each.timestamp, each.key.decode(), each.value.decode())
                for each in messages
            ]
    return records


def poll_until(consumers: Iterable[KafkaConsumer], settled: Callable[[], bool], what: str) -> None:
    """Serve the members' rebalances, each for a moment in turn, until they have settled."""
    deadline = Deadline(what)
    while not settled():
        deadline.left_s()
        for consumer in consumers:
            consumer.poll(timeout_ms=50)
