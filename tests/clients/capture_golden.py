"""
Capture golden frames: C{python -m tests.clients.capture_golden}, with Apache Kafka from C{.ci/jvm}.

Each client takes the same tour of a real Apache Kafka through a recording proxy: connect, create a topic,
produce with every codec, fetch, join a group, commit, leave, look up offsets, describe, delete. What crossed
the wire is written to C{tests/wire/golden/<client>.jsonl}, where the codec's tests replay it.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.clients.brokers import ROOT, KafkaBroker, free_port, java
from tests.clients.drivers.base import sample_records
from tests.clients.drivers.confluent import results_of
from tests.clients.drivers.kafkajs import KafkaJsClient
from tests.clients.record import Frame, RecordingProxy, telling_frames

GOLDEN = ROOT / "tests" / "wire" / "golden"
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
VALUES = [b"value-%d-" % number + b"x" * 40 for number in range(3)]


def tour_confluent(bootstrap: str) -> None:
    """librdkafka, through its Python binding."""
    from confluent_kafka import Consumer, Producer, TopicPartition
    from confluent_kafka.admin import (  # type: ignore[attr-defined]
        AdminClient,
        ConfigResource,
        NewTopic,
        OffsetSpec,
        ResourceType,
    )

    common: dict[str, Any] = {"bootstrap.servers": bootstrap, "client.id": "golden"}
    admin = AdminClient(common)
    results_of(admin.create_topics([NewTopic("confluent", 2, 1, config={"retention.ms": "3600000"})]))
    for codec in CODECS:
        producer = Producer({**common, "compression.type": codec, "enable.idempotence": codec == "none"})
        for value in VALUES:
            producer.produce("confluent", value, key=b"key", partition=0, headers={"header": b"1"})
        assert producer.flush(20) == 0
    consumer = Consumer(
        {
            **common,
            "group.id": "confluent-group",
            "auto.offset.reset": "earliest",
            "heartbeat.interval.ms": 100,
        }
    )
    consumer.subscribe(["confluent"])
    for _ in range(len(CODECS) * len(VALUES)):
        message = consumer.poll(20)
        assert message is not None and message.error() is None
    assert consumer.poll(0.5) is None, "half a second in which the group is kept alive"
    consumer.commit(asynchronous=False)
    partition = TopicPartition("confluent", 0)
    consumer.committed([partition], timeout=20)
    consumer.offsets_for_times([TopicPartition("confluent", 0, 1000)], timeout=20)
    admin.list_consumer_groups().result()
    results_of(admin.describe_consumer_groups(["confluent-group"]))
    consumer.close()
    specs = {partition: OffsetSpec.latest(), TopicPartition("confluent", 1): OffsetSpec.earliest()}
    results_of(admin.list_offsets(specs))
    results_of(admin.describe_configs([ConfigResource(ResourceType.TOPIC, "confluent")]))
    admin.describe_cluster().result()
    results_of(admin.delete_consumer_groups(["confluent-group"]))
    results_of(admin.delete_topics(["confluent"]))


def tour_kafka_python(bootstrap: str) -> None:
    """The oldest Python client."""
    from kafka import KafkaConsumer, KafkaProducer, TopicPartition
    from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient, NewTopic, OffsetSpec

    common = {"bootstrap_servers": bootstrap, "client_id": "golden"}
    admin = KafkaAdminClient(**common)
    admin.create_topics([NewTopic("kafka-python", 2, 1, topic_configs={"retention.ms": "3600000"})])
    for codec in CODECS:
        producer = KafkaProducer(**common, compression_type=None if codec == "none" else codec, acks="all")
        for value in VALUES:
            producer.send("kafka-python", value, key=b"key", partition=0, headers=[("header", b"1")])
        producer.flush(20)
        producer.close()
    partition = TopicPartition("kafka-python", 0)
    consumer = KafkaConsumer(
        "kafka-python",
        **common,
        group_id="kafka-python-group",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        heartbeat_interval_ms=100,
        consumer_timeout_ms=20000,
    )
    for _ in range(len(CODECS) * len(VALUES)):
        next(consumer)
    assert not consumer.poll(500)
    consumer.commit()
    consumer.committed(partition)
    consumer.offsets_for_times({partition: 1000})
    admin.list_groups()
    admin.describe_groups(["kafka-python-group"])
    consumer.close()
    admin.list_group_offsets("kafka-python-group")
    admin.list_partition_offsets({partition: OffsetSpec.LATEST})
    admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, "kafka-python")], config_filter="all")
    admin.describe_cluster()
    admin.describe_topic_partitions(["kafka-python"])
    admin.delete_groups(["kafka-python-group"])
    admin.delete_topics(["kafka-python"])
    admin.close()


def tour_aiokafka(bootstrap: str) -> None:
    """The asyncio client, which asks in the oldest versions."""
    asyncio.run(_tour_aiokafka(bootstrap))


async def _tour_aiokafka(bootstrap: str) -> None:
    from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
    from aiokafka.admin import AIOKafkaAdminClient, NewTopic
    from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

    common = {"bootstrap_servers": bootstrap, "client_id": "golden"}
    admin = AIOKafkaAdminClient(**common)
    await admin.start()
    await admin.create_topics([NewTopic("aiokafka", 2, 1, topic_configs={"retention.ms": "3600000"})])
    for codec in CODECS:
        producer = AIOKafkaProducer(
            **common,
            compression_type=None if codec == "none" else codec,
            enable_idempotence=codec == "none",
        )
        await producer.start()
        for value in VALUES:
            await producer.send("aiokafka", value, key=b"key", partition=0, headers=[("header", b"1")])
        await producer.stop()
    partition = TopicPartition("aiokafka", 0)
    consumer = AIOKafkaConsumer(
        "aiokafka",
        **common,
        group_id="aiokafka-group",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        heartbeat_interval_ms=100,
    )
    await consumer.start()
    for _ in range(len(CODECS) * len(VALUES)):
        await asyncio.wait_for(consumer.getone(), 20)
    assert not await consumer.getmany(timeout_ms=500)
    await consumer.commit()
    await consumer.committed(partition)
    await consumer.offsets_for_times({partition: 1000})
    await consumer.end_offsets([partition])
    await admin.list_consumer_groups()
    await admin.describe_consumer_groups(["aiokafka-group"])
    await consumer.stop()
    await admin.list_consumer_group_offsets("aiokafka-group")
    await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, "aiokafka")])
    await admin.describe_cluster()
    await admin.delete_topics(["aiokafka"])
    await admin.close()


def tour_kafkajs(bootstrap: str) -> None:
    """The Node client."""
    client = KafkaJsClient(bootstrap)
    client.create("kafkajs")
    for codec in CODECS:
        client.produce("kafkajs", codec, sample_records(codec, 4, 1000))
    client.step("idempotent", "kafkajs", 2)
    client.consume("kafkajs", "kafkajs-group", 22)
    client.rebalance("kafkajs", "kafkajs-pair", "eager")
    client.step("offsets", "kafkajs")
    client.seek("kafkajs", 3000, 5)
    client.step("describe", "kafkajs")
    client.delete("kafkajs")


def tour_java(bootstrap: str) -> None:
    """Kafka's own command line tools, which ask in the newest versions."""

    def tool(main: str, *arguments: str, text: str = "") -> None:
        command = java(f"org.apache.kafka.tools.{main}", "--bootstrap-server", bootstrap, *arguments)
        subprocess.run(command, check=True, input=text.encode(), timeout=60, stdout=subprocess.DEVNULL)

    def consume(*arguments: str) -> None:
        tool("consumer.ConsoleConsumer", "--topic", "java", "--timeout-ms", "2000", *arguments)

    topic = ("--topic", "java")
    tool("TopicCommand", "--create", *topic, "--partitions", "2", "--config", "retention.ms=3600000")
    lines = "".join(f"{value.decode()}\n" for value in VALUES)
    for codec in CODECS:
        tool("ConsoleProducer", "--topic", "java", "--compression-codec", codec, text=lines)
    often = ("--command-property", "heartbeat.interval.ms=100")
    consume("--group", "java-group", "--from-beginning", *often)
    consume("--partition", "0", "--offset", "earliest")
    tool("TopicCommand", "--describe", "--topic", "java")
    tool("consumer.group.ConsumerGroupCommand", "--list")
    tool("consumer.group.ConsumerGroupCommand", "--describe", "--group", "java-group")
    for when in ("-1", "-2", "-3", "1000"):
        tool("GetOffsetShell", "--topic", "java", "--time", when)
    tool("TopicCommand", "--delete", "--topic", "java")


def tour_kcat(bootstrap: str) -> None:
    """Debian's kcat, with a librdkafka of early 2023."""

    def kcat(*arguments: str, text: str = "") -> None:
        command = ["kcat", "-b", bootstrap, *arguments]
        subprocess.run(command, check=True, input=text.encode(), timeout=60, stdout=subprocess.DEVNULL)

    kcat("-L")
    for codec in CODECS:
        kcat("-P", "-t", "kcat", "-z", codec, "-K:", text="key:value\n" * 3)
    kcat("-C", "-t", "kcat", "-e", "-o", "beginning")
    kcat("-Q", "-t", "kcat:0:1000")
    kcat("-G", "kcat-group", "-e", "-X", "auto.offset.reset=earliest", "kcat")


TOURS: dict[str, Callable[[str], None]] = {
    "confluent-kafka": tour_confluent,
    "kafka-python": tour_kafka_python,
    "aiokafka": tour_aiokafka,
    "kafkajs": tour_kafkajs,
    "java": tour_java,
    "kcat": tour_kcat,
}


def capture(client: str, directory: Path) -> list[Frame]:
    """Run one client's tour against a fresh Apache Kafka and return the frames worth keeping."""
    proxy_port = free_port()
    broker = KafkaBroker(directory, advertised_port=proxy_port)
    broker.start()
    try:
        with RecordingProxy(proxy_port, broker.port) as proxy:
            TOURS[client](f"127.0.0.1:{proxy_port}")
            return telling_frames(proxy.frames)
    finally:
        broker.kill()


def write(client: str, frames: Sequence[Frame]) -> Path:
    """Write one client's frames, a line of JSON each."""
    GOLDEN.mkdir(parents=True, exist_ok=True)
    path = GOLDEN / f"{client}.jsonl"
    rows = [
        {
            "client": client,
            "direction": frame.direction,
            "api_key": frame.api_key,
            "api_version": frame.api_version,
            "hex": frame.payload.hex(),
        }
        for frame in frames
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def main(clients: Sequence[str]) -> None:
    """Capture the named clients' frames, or everybody's."""
    for client in clients or TOURS:
        with tempfile.TemporaryDirectory() as directory:
            frames = capture(client, Path(directory))
        path = write(client, frames)
        print(f"{path.relative_to(ROOT)}: {len(frames)} frames, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
