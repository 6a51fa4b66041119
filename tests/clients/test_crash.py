"""
C{kill -9} in the middle of an idempotent produce: every acknowledged record is there once, in order.

The producers do not pause for the crash. They have requests in flight when the node dies, send them again to
its successor on the same data, and cannot know which of them had already been written; the log must.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError, Message, Producer, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient
from kafka import KafkaProducer

from tests.clients.brokers import BrokerProcess
from tests.clients.drivers.base import DEADLINE_S, START_MS, Deadline, sample_records
from tests.clients.drivers.confluent import ConfluentClient, read, results_of
from tests.clients.java import tool
from tests.clients.programs import Followed

#: Records each producer sends, and how many of them it leaves unacknowledged before it waits.
RECORDS = 4000
BACKLOG = 400

#: When the node is killed: at so many acknowledged records. Several kills are one story.
MOMENTS = [[1], [777], [50, 1500, 3200]]

#: Segments of the least size that Kafka allows, so that the log rolls between the kills.
CONFIG = {"segment.bytes": "1048576"}

Offsets = dict[int, int]


@pytest.fixture
def broker(make_broker: Callable[[], BrokerProcess]) -> BrokerProcess:
    """A broker of the test's own, which it may kill."""
    one = make_broker()
    one.start()
    return one


class Killer:
    """Kills and restarts the broker as soon as enough records are acknowledged."""

    def __init__(self, broker: BrokerProcess, moments: Iterable[int]) -> None:
        self.broker = broker
        self.moments = list(moments)

    def check(self, acknowledged: int) -> None:
        """Kill the broker if the next moment has come."""
        if self.moments and acknowledged >= self.moments[0]:
            self.moments.pop(0)
            self.broker.kill()
            self.broker.start()


def long_value(number: int) -> bytes:
    """The number, padded to 2 KB, so that all records together fill several segments."""
    return b"%2000d" % number


def check_log(broker: BrokerProcess, topic: str, acknowledged: Offsets) -> None:
    """The log holds every record once, in the order sent, each at the offset it was acknowledged with."""
    client = ConfluentClient(broker.bootstrap)
    consumer = client.consumer("unused")
    partition = TopicPartition(topic, 0, 0)
    try:
        assert consumer.get_watermark_offsets(partition, timeout=DEADLINE_S) == (0, RECORDS)
        consumer.assign([partition])
        assert [int(record.value) for record in read(consumer, RECORDS)] == list(range(RECORDS))
    finally:
        consumer.close()
    assert acknowledged == {number: number for number in range(RECORDS)}


@pytest.mark.parametrize("moments", MOMENTS, ids=str)
def test_confluent(broker: BrokerProcess, topic: str, moments: list[int]) -> None:
    """librdkafka: batches of at most ten records, five requests in flight."""
    client = ConfluentClient(broker.bootstrap)
    client.create(topic, 1, CONFIG)
    settings = {
        "enable.idempotence": True,
        "batch.num.messages": 10,
        "linger.ms": 1,
        "retry.backoff.ms": 20,
        "reconnect.backoff.max.ms": 100,
    }
    producer = Producer({**client.common, **settings})
    killer = Killer(broker, moments)
    acknowledged: Offsets = {}

    def delivered(error: KafkaError | None, message: Message) -> None:
        assert error is None
        offset, value = message.offset(), message.value()
        assert offset is not None and value is not None
        acknowledged[int(value)] = offset

    deadline = Deadline("producing through crashes")
    for number in range(RECORDS):
        producer.produce(topic, long_value(number), partition=0, on_delivery=delivered)
        producer.poll(0)
        while number - len(acknowledged) >= BACKLOG:
            producer.poll(min(0.05, deadline.left_s()))
            killer.check(len(acknowledged))
    assert killer.moments == []
    assert producer.flush(deadline.left_s()) == 0
    check_log(broker, topic, acknowledged)


@pytest.mark.parametrize("moments", MOMENTS, ids=str)
def test_kafka_python(broker: BrokerProcess, topic: str, moments: list[int]) -> None:
    """kafka-python: small batches, five requests in flight."""
    ConfluentClient(broker.bootstrap).create(topic, 1, CONFIG)
    producer = KafkaProducer(
        bootstrap_servers=broker.bootstrap,
        enable_idempotence=True,
        acks="all",
        batch_size=20000,
        linger_ms=1,
        retry_backoff_ms=20,
        reconnect_backoff_max_ms=100,
        request_timeout_ms=5000,
    )
    killer = Killer(broker, moments)
    sent: list[Any] = []
    deadline = Deadline("producing through crashes")
    done = 0
    try:
        for number in range(RECORDS):
            sent.append(producer.send(topic, long_value(number), partition=0))
            if number - done >= BACKLOG:
                sent[done + BACKLOG // 2].get(deadline.left_s())
                while done < len(sent) and sent[done].is_done:
                    done += 1
                killer.check(done)
        assert killer.moments == []
        acknowledged = {number: sent[number].get(deadline.left_s()).offset for number in range(RECORDS)}
    finally:
        producer.close(timeout=1)
    check_log(broker, topic, acknowledged)


@pytest.mark.tools
@pytest.mark.parametrize("moments", MOMENTS, ids=str)
def test_java(broker: BrokerProcess, topic: str, moments: list[int], tmp_path: Path) -> None:
    """The Java producer: what it was sent is what its own test program printed as acknowledged."""
    ConfluentClient(broker.bootstrap).create(topic, 1)
    config = tmp_path / "producer.properties"
    config.write_text(
        "enable.idempotence=true\nretries=1000000\nbatch.size=200\nlinger.ms=1\n"
        "retry.backoff.ms=20\nreconnect.backoff.max.ms=100\nrequest.timeout.ms=5000\n"
    )
    arguments = ("--topic", topic, "--max-messages", str(RECORDS), "--acks", "-1")
    command = tool(
        "kafka-verifiable-producer",
        *arguments,
        *("--throughput", "2000", "--command-config", str(config)),
        *("--bootstrap-server", broker.bootstrap),
    )
    killer = Killer(broker, moments)
    with Followed(command) as producer:
        for moment in moments:
            producer.until(f'"value":"{moment}"')
            killer.check(moment)
        producer.until('"name":"shutdown_complete"')
    printed = [json.loads(line) for line in producer.lines if line.startswith("{")]
    acknowledged = {int(each["value"]): each["offset"] for each in printed if each["name"] == "producer_send_success"}
    check_log(broker, topic, acknowledged)


def test_what_was_agreed(broker: BrokerProcess, topic: str, group: str) -> None:
    """Topics, their ids and configs, deletions and committed offsets outlive the process."""
    client = ConfluentClient(broker.bootstrap)
    client.create(topic, config={"retention.ms": "12345678"})
    client.create(f"{topic}-deleted")
    before = topic_id(client, topic)
    client.produce(topic, "lz4", sample_records("lz4", 10, START_MS))
    client.consume(topic, group, 10)
    client.delete(f"{topic}-deleted")
    broker.kill()
    broker.start()
    again = ConfluentClient(broker.bootstrap)
    assert topic_id(again, topic) == before
    consumer = again.consumer(group)
    try:
        committed = consumer.committed([TopicPartition(topic, 0), TopicPartition(topic, 1)], DEADLINE_S)
        assert [each.offset for each in committed] == [5, 5]
        assert f"{topic}-deleted" not in consumer.list_topics(timeout=DEADLINE_S).topics
    finally:
        consumer.close()


def topic_id(client: ConfluentClient, topic: str) -> str:
    """The id that the topic got when it was created."""
    admin = AdminClient(client.common)
    [described] = results_of(admin.describe_topics(TopicCollection([topic])))
    return str(described.topic_id)
