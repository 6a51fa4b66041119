"""Kafka's own command line clients, of the newest release, which ask in the newest versions."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from confluent_kafka.admin import AdminClient

from tests.clients.brokers import BrokerProcess
from tests.clients.drivers.base import PARTITIONS, START_MS, Deadline, Record, sample_records
from tests.clients.drivers.confluent import ConfluentClient, results_of
from tests.clients.java import Tools
from tests.clients.programs import Followed

pytestmark = pytest.mark.tools

PRINT_ALL = [f"--formatter-property=print.{what}=true" for what in ("key", "offset", "partition", "timestamp")]


@pytest.fixture
def tools(broker: BrokerProcess) -> Tools:
    """The tools, pointed at the broker."""
    return Tools(broker.bootstrap)


@pytest.fixture
def client(broker: BrokerProcess) -> ConfluentClient:
    """A driver, for what is not being tested."""
    return ConfluentClient(broker.bootstrap)


def consume(tools: Tools, topic: str, count: int, *arguments: str) -> list[Record]:
    """Read so many records with the console consumer."""
    printed = tools.run(
        "kafka-console-consumer", "--topic", topic, "--max-messages", str(count), *PRINT_ALL, *arguments
    )
    pattern = r"CreateTime:(\d+)\tPartition:(\d+)\tOffset:(\d+)\t(\S+)\t(\S+)"
    return [
        Record(int(partition), int(offset), int(timestamp), key, value)
        for timestamp, partition, offset, key, value in re.findall(pattern, printed)
    ]


def test_topics(tools: Tools, topic: str) -> None:
    """kafka-topics creates, describes, lists and deletes."""
    name = ("--topic", topic)
    tools.run("kafka-topics", "--create", *name, "--partitions", "2", "--config", "retention.ms=3600000")
    described = tools.run("kafka-topics", "--describe", *name)
    assert re.search(rf"Topic: {topic}\tTopicId: \S+\tPartitionCount: 2\tReplicationFactor: 1", described)
    assert "retention.ms=3600000" in described
    assert len(re.findall(r"Partition: \d\tLeader: 1\tReplicas: 1\tIsr: 1", described)) == 2
    assert topic in tools.run("kafka-topics", "--list").split()
    tools.run("kafka-topics", "--delete", *name)
    assert topic not in tools.run("kafka-topics", "--list").split()


def test_configs(tools: Tools, topic: str) -> None:
    """kafka-configs shows a topic's own settings, and all of them with where each comes from."""
    tools.run("kafka-topics", "--create", "--topic", topic, "--config", "segment.bytes=1048576")
    described = tools.run("kafka-configs", "--describe", "--topic", topic)
    assert "segment.bytes=1048576" in described
    assert "retention.ms" not in described
    everything = tools.run("kafka-configs", "--describe", "--all", "--topic", topic)
    assert re.search(r"segment.bytes=1048576 .*DYNAMIC_TOPIC_CONFIG:segment.bytes=1048576", everything)
    assert "retention.ms=604800000" in everything
    assert "group.initial.rebalance.delay.ms=0" in tools.run("kafka-configs", "--describe", "--all", "--broker", "1")


def test_cluster(tools: Tools, broker: BrokerProcess) -> None:
    """The node says who it is and what it speaks."""
    assert re.search(r"Cluster ID: \S+", tools.run("kafka-cluster", "cluster-id"))
    listed = tools.run("kafka-broker-api-versions")
    assert f"{broker.bootstrap} (id: 1 rack: null" in listed
    assert "Produce(0): 0 to 13 [usable: 13]" in listed
    assert "Fetch(1): 4 to 18 [usable: 18]" in listed


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_produce_and_consume(tools: Tools, client: ConfluentClient, codec: str, topic: str, group: str) -> None:
    """What the console producer wrote, a group of the console consumer reads; then the group has no lag."""
    client.create(topic)
    lines = "".join(f"key-{number}\t{codec}-{number}\n" for number in range(40))
    keyed = ("--reader-property", "parse.key=true")
    tools.run("kafka-console-producer", "--topic", topic, "--compression-codec", codec, *keyed, text=lines)
    records = consume(tools, topic, 40, "--group", group, "--from-beginning")
    assert sorted((each.key, each.value) for each in records) == sorted(
        (f"key-{number}", f"{codec}-{number}") for number in range(40)
    )
    for partition in range(PARTITIONS):
        offsets = [each.offset for each in records if each.partition == partition]
        assert offsets == list(range(len(offsets)))
    described = tools.run("kafka-consumer-groups", "--describe", "--group", group)
    lags = re.findall(rf"{group} +{topic} +\d +(\d+) +(\d+) +(\d+) +-", described)
    assert len(lags) == PARTITIONS
    assert all(at == end and lag == "0" for at, end, lag in lags)
    assert group in tools.run("kafka-consumer-groups", "--list").split()


def test_seek_by_time(tools: Tools, client: ConfluentClient, topic: str, group: str) -> None:
    """Offsets are found by time, and a group that is reset to a time reads from there."""
    client.create(topic)
    records = sample_records("none", 20, START_MS)
    client.produce(topic, "none", records)
    ends = {"-1": "10", "-2": "0", "-3": "9", str(records[7].timestamp): "4"}
    for when, offset in ends.items():
        found = tools.run("kafka-get-offsets", "--topic-partitions", f"{topic}:0", "--time", when)
        assert found == f"{topic}:0:{offset}\n"
    moment = datetime.fromtimestamp(records[7].timestamp / 1000, UTC)
    to_moment = ("--to-datetime", f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}+00:00")
    reset = ("--reset-offsets", "--group", group, "--topic", topic, *to_moment, "--execute")
    tools.run("kafka-consumer-groups", *reset)
    assert sorted(consume(tools, topic, 13, "--group", group)) == sorted(records[7:])


@pytest.mark.parametrize("assignor", ["RangeAssignor", "CooperativeStickyAssignor"])
def test_rebalance(tools: Tools, client: ConfluentClient, assignor: str, topic: str, group: str) -> None:
    """A second console consumer takes one of the two partitions and gives it back when it ends."""
    client.create(topic)
    strategy = f"partition.assignment.strategy=org.apache.kafka.clients.consumer.{assignor}"
    properties = ("--command-property", strategy, "--command-property", "heartbeat.interval.ms=300")
    member = tools.command("kafka-console-consumer", "--topic", topic, "--group", group, *properties)
    with Followed(member) as first:
        shares_become(client, group, [2], first)
        with Followed(member) as second:
            shares_become(client, group, [1, 1], first, second)
        shares_become(client, group, [2], first)


def shares_become(client: ConfluentClient, group: str, wanted: list[int], *members: Followed) -> None:
    """Ask until the group's members hold so many partitions each."""
    deadline = Deadline(f"a group with shares {wanted}: {[member.lines for member in members]}")
    admin = AdminClient(client.common)
    shares: list[int] = []
    while shares != wanted:
        deadline.left_s()
        [described] = results_of(admin.describe_consumer_groups([group]))
        shares = sorted(len(member.assignment.topic_partitions) for member in described.members)
