"""What producers and consumers of librdkafka rely on, beyond what every client is asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition

from tests.clients.brokers import BrokerProcess
from tests.clients.drivers.base import DEADLINE_S, PARTITIONS, START_MS, sample_records
from tests.clients.drivers.confluent import ConfluentClient, held, poll_until, read


@pytest.fixture
def client(broker: BrokerProcess) -> ConfluentClient:
    """The driver, for what is not being tested."""
    return ConfluentClient(broker.bootstrap)


def produce(
    client: ConfluentClient, topic: str, values: list[bytes], **settings: Any
) -> list[tuple[KafkaError | None, Message]]:
    """Produce to partition 0 and return the delivery reports, in order."""
    reports: list[tuple[KafkaError | None, Message]] = []
    producer = Producer({**client.common, **{key.replace("_", "."): it for key, it in settings.items()}})
    for value in values:
        producer.produce(topic, value, partition=0, on_delivery=lambda error, sent: reports.append((error, sent)))
        producer.poll(0)
    assert producer.flush(DEADLINE_S) == 0
    return reports


def from_start(client: ConfluentClient, topic: str, count: int, more: Mapping[str, Any] | None = None) -> list[str]:
    """The first values of partition 0."""
    consumer = client.consumer("unused", more)
    consumer.assign([TopicPartition(topic, 0, 0)])
    try:
        return [record.value for record in read(consumer, count)]
    finally:
        consumer.close()


def test_idempotent_producer(client: ConfluentClient, topic: str) -> None:
    """Small batches, five in flight: each record is there once, at the offset it was acknowledged with."""
    client.create(topic)
    values = [b"%d" % number for number in range(2000)]
    reports = produce(client, topic, values, enable_idempotence=True, batch_num_messages=7, linger_ms=0)
    assert [error for error, _ in reports] == [None] * len(values)
    assert [sent.offset() for _, sent in reports] == list(range(len(values)))
    assert from_start(client, topic, len(values)) == [value.decode() for value in values]


@pytest.mark.parametrize("acks", ["0", "1", "all"])
def test_acks(client: ConfluentClient, topic: str, acks: str) -> None:
    """Every acks setting brings the records there."""
    client.create(topic)
    reports = produce(client, topic, [b"a", b"b"], acks=acks)
    assert [error for error, _ in reports] == [None, None]
    assert from_start(client, topic, 2) == ["a", "b"]


def test_auto_created_topic(client: ConfluentClient, topic: str) -> None:
    """A topic that nobody created comes to be when it is first written."""
    [(error, sent)] = produce(client, topic, [b"first"])
    assert error is None
    assert (sent.partition(), sent.offset()) == (0, 0)


def test_too_large(client: ConfluentClient, topic: str) -> None:
    """A record over max.message.bytes is refused, and the next one is not."""
    client.create(topic)
    too_large, fine = b"x" * 1_200_000, b"y"
    [(error, _)] = produce(client, topic, [too_large], message_max_bytes=2_000_000)
    assert error is not None
    assert error.code() == KafkaError.MSG_SIZE_TOO_LARGE
    [(error, sent)] = produce(client, topic, [fine])
    assert error is None
    assert sent.offset() == 0


def test_large_records(client: ConfluentClient, topic: str) -> None:
    """Records near the limit come back whole, in answers that are more than a socket takes at once."""
    client.create(topic)
    values = [bytes([65 + number]) * 990_000 for number in range(20)]
    reports = produce(client, topic, values, enable_idempotence=True)
    assert [error for error, _ in reports] == [None] * len(values)
    whole = {"fetch.message.max.bytes": 30_000_000}
    assert from_start(client, topic, len(values), whole) == [value.decode() for value in values]


def test_fetch_inside_a_batch(client: ConfluentClient, topic: str) -> None:
    """Reading from the middle of a batch begins with the record that was asked for."""
    client.create(topic)
    produce(client, topic, [b"%d" % number for number in range(100)], linger_ms=50, compression_type="lz4")
    consumer = client.consumer("unused")
    consumer.assign([TopicPartition(topic, 0, 57)])
    assert [record.offset for record in read(consumer, 43)] == list(range(57, 100))
    consumer.close()


def test_offset_out_of_range(client: ConfluentClient, topic: str) -> None:
    """Reading past the end is an error that the consumer is told of."""
    client.create(topic)
    consumer = Consumer({**client.common, "group.id": "unused", "auto.offset.reset": "error"})
    consumer.assign([TopicPartition(topic, 0, 1000)])
    message = consumer.poll(DEADLINE_S)
    assert message is not None
    error = message.error()
    assert error is not None
    assert error.code() == KafkaError._AUTO_OFFSET_RESET
    assert "out of range" in error.str().lower()
    consumer.close()


def test_watermarks(client: ConfluentClient, topic: str) -> None:
    """The watermarks are the log's start and end."""
    client.create(topic)
    produce(client, topic, [b"x"] * 3)
    consumer = client.consumer("unused")
    assert consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=DEADLINE_S) == (0, 3)
    consumer.close()


def test_resumes_where_it_committed(client: ConfluentClient, topic: str, group: str) -> None:
    """A group's next member goes on where the last one committed, and sees the metadata of the commit."""
    client.create(topic)
    client.produce(topic, "none", sample_records("none", 10, START_MS))
    first = client.consumer(group)
    first.subscribe([topic])
    poll_until([first], lambda: len(held(first)) == PARTITIONS, "the first member")
    places = [TopicPartition(topic, 0, 3, metadata="so far"), TopicPartition(topic, 1, 5)]
    first.commit(offsets=places, asynchronous=False)
    first.close()
    second = client.consumer(group)
    second.subscribe([topic])
    assert [(record.partition, record.offset) for record in read(second, 2)] == [(0, 3), (0, 4)]
    committed = second.committed([TopicPartition(topic, 0)], timeout=DEADLINE_S)
    assert [(each.offset, each.metadata) for each in committed] == [(3, "so far")]
    second.close()


def test_static_member(client: ConfluentClient, topic: str, group: str) -> None:
    """A static member that restarts gets its partitions back, and the others notice nothing."""
    client.create(topic)
    moved: list[int] = []
    stays = client.consumer(group, {"group.instance.id": "stays"})
    stays.subscribe([topic], on_revoke=lambda _, gone: moved.extend(each.partition for each in gone))
    restarts = client.consumer(group, {"group.instance.id": "restarts"})
    restarts.subscribe([topic])

    def shared() -> bool:
        return len(held(stays)) == len(held(restarts)) == PARTITIONS // 2

    poll_until([stays, restarts], shared, "two static members")
    before = held(restarts)
    moved.clear()
    restarts.close()
    restarts = client.consumer(group, {"group.instance.id": "restarts"})
    restarts.subscribe([topic])
    poll_until([stays, restarts], shared, "the restarted member")
    assert held(restarts) == before
    assert moved == []
    restarts.close()
    stays.close()


def test_member_that_dies(client: ConfluentClient, topic: str, group: str) -> None:
    """A member that stops polling is put out, and its partitions go to the other."""
    client.create(topic)
    stuck = client.consumer(group, {"session.timeout.ms": 2000, "max.poll.interval.ms": 2000})
    lives = client.consumer(group)
    for member in (stuck, lives):
        member.subscribe([topic])
    poll_until([stuck, lives], lambda: len(held(stuck)) == len(held(lives)) == 1, "two members")
    poll_until([lives], lambda: len(held(lives)) == PARTITIONS, "the member that lives")
    stuck.close()
    lives.close()
