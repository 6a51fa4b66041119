"""aiokafka: the asyncio client, which asks in the oldest versions that are still served."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from tests.clients.drivers.base import PARTITIONS, Consumed, Deadline, Record, Shares


class AioKafkaClient:
    """aiokafka; each step runs in an event loop of its own."""

    name = "aiokafka"
    codecs = ("none", "gzip", "snappy", "lz4", "zstd")
    protocols = ("eager",)

    def __init__(self, bootstrap: str) -> None:
        self.common = {"bootstrap_servers": bootstrap, "client_id": "streamline-tests"}

    def create(self, topic: str) -> None:
        """Create it; the answer carries an error code that the client does not raise."""

        async def create(admin: AIOKafkaAdminClient) -> None:
            answer = await admin.create_topics([NewTopic(topic, PARTITIONS, 1)])
            [(_, error_code, *_rest)] = answer.topic_errors
            assert error_code == 0

        self._administer(create)

    def produce(self, topic: str, codec: str, records: Iterable[Record]) -> None:
        """Send all, then wait for every delivery."""

        async def produce() -> None:
            compression = None if codec == "none" else codec
            producer = AIOKafkaProducer(**self.common, compression_type=compression, acks="all", linger_ms=5)
            await producer.start()
            try:
                sent = [
                    await producer.send(
                        topic,
                        record.value.encode(),
                        record.key.encode(),
                        partition=record.partition,
                        timestamp_ms=record.timestamp,
                    )
                    for record in records
                ]
                await asyncio.wait_for(asyncio.gather(*sent), Deadline("producing").left_s())
            finally:
                await producer.stop()

        asyncio.run(produce())

    def consume(self, topic: str, group: str, count: int) -> Consumed:
        """Subscribe, read, commit."""

        async def consume() -> Consumed:
            consumer = self.consumer(group)
            consumer.subscribe([topic])
            await consumer.start()
            try:
                records = await read(consumer, count)
                await consumer.commit()
                partitions = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]
                committed = {each.partition: await consumer.committed(each) or -1 for each in partitions}
                return Consumed(records, committed)
            finally:
                await consumer.stop()

        return asyncio.run(consume())

    def consumer(self, group: str | None) -> AIOKafkaConsumer:
        """Make a member of a group that starts at the earliest record and commits only when told."""
        return AIOKafkaConsumer(
            **self.common,
            group_id=group,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            session_timeout_ms=10000,
            heartbeat_interval_ms=300,
            fetch_max_wait_ms=100,
        )

    def rebalance(self, topic: str, group: str, protocol: str) -> Shares:
        """The members serve themselves in the background; only their settling is awaited."""
        assert protocol == "eager"

        async def rebalance() -> Shares:
            first, second = self.consumer(group), self.consumer(group)
            losses = _Losses()
            first.subscribe([topic], listener=losses)
            await first.start()
            try:
                await settle([first], lambda: len(held(first)) == PARTITIONS, "the first member alone")
                alone = held(first)
                second.subscribe([topic])
                await second.start()
                await settle(
                    [first, second],
                    lambda: len(held(first)) == len(held(second)) == PARTITIONS // 2,
                    "two members sharing",
                )
                together = held(first), held(second)
                given_up = sorted(losses.partitions)
                await second.stop()
                await settle([first], lambda: len(held(first)) == PARTITIONS, "the first member alone again")
                return Shares(alone, together, given_up, held(first))
            finally:
                await first.stop()

        return asyncio.run(rebalance())

    def seek(self, topic: str, timestamp: int, count: int) -> list[Record]:
        """Ask for the offsets of a time, assign, and seek to them."""

        async def seek() -> list[Record]:
            consumer = self.consumer(None)
            await consumer.start()
            try:
                partitions = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]
                found = await consumer.offsets_for_times(dict.fromkeys(partitions, timestamp))
                consumer.assign(partitions)
                for partition, place in found.items():
                    consumer.seek(partition, place.offset)
                return await read(consumer, count)
            finally:
                await consumer.stop()

        return asyncio.run(seek())

    def delete(self, topic: str) -> list[str]:
        """Delete it and list what is left."""

        async def delete(admin: AIOKafkaAdminClient) -> list[str]:
            answer = await admin.delete_topics([topic])
            [(_, error_code)] = answer.topic_error_codes
            assert error_code == 0
            return sorted(await admin.list_topics())

        return list(self._administer(delete))

    def _administer(self, work: Callable[[AIOKafkaAdminClient], Any]) -> Any:
        async def administer() -> Any:
            admin = AIOKafkaAdminClient(**self.common)
            await admin.start()
            try:
                return await asyncio.wait_for(work(admin), Deadline("an admin call").left_s())
            finally:
                await admin.close()

        return asyncio.run(administer())


class _Losses(ConsumerRebalanceListener):  # type: ignore[misc]
    """Remembers which partitions a member was told to give up."""

    def __init__(self) -> None:
        self.partitions: list[int] = []

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Note them."""
        self.partitions.extend(each.partition for each in revoked)

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Nothing to note: the consumer's own assignment says it."""


def held(consumer: AIOKafkaConsumer) -> list[int]:
    """The partitions that the member holds now."""
    return sorted(each.partition for each in consumer.assignment())


async def read(consumer: AIOKafkaConsumer, count: int) -> list[Record]:
    """Read so many records."""
    deadline = Deadline(f"reading {count} records")
    records: list[Record] = []
    while len(records) < count:
        each = await asyncio.wait_for(consumer.getone(), deadline.left_s())
        records.append(Record(each.partition, each.offset, each.timestamp, each.key.decode(), each.value.decode()))
    return records


async def settle(consumers: Iterable[AIOKafkaConsumer], settled: Callable[[], bool], what: str) -> None:
    """Let the members' rebalances go on until they have settled."""
    deadline = Deadline(what)
    while not settled():
        deadline.left_s()
        for consumer in consumers:
            await consumer.getmany(timeout_ms=50)
