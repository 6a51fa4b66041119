"""kcat, the command line client of librdkafka, in Debian's release: a librdkafka of January 2023."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.clients.brokers import BrokerProcess
from tests.clients.drivers.base import PARTITIONS, START_MS, Record, sample_records
from tests.clients.drivers.confluent import ConfluentClient
from tests.clients.programs import Followed, run

pytestmark = pytest.mark.tools


@pytest.fixture
def kcat(broker: BrokerProcess) -> list[str]:
    """The start of every command line."""
    return ["kcat", "-b", broker.bootstrap, "-X", "session.timeout.ms=6000"]


def records_of(printed: str) -> list[Record]:
    """What C{kcat -J} printed."""
    rows: list[dict[str, Any]] = [json.loads(line) for line in printed.splitlines()]
    return [Record(row["partition"], row["offset"], row["ts"], row["key"], row["payload"]) for row in rows]


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_produce_and_consume(kcat: list[str], codec: str, topic: str, group: str) -> None:
    """kcat writes a topic that did not exist, and a group of kcat reads it."""
    records = sample_records(codec, 20, START_MS)
    lines = "".join(f"{record.key}:{record.value}\n" for record in records)
    run([*kcat, "-P", "-t", topic, "-z", codec, "-K:"], lines)
    read = records_of(run([*kcat, "-J", "-e", "-X", "auto.offset.reset=earliest", "-G", group, topic]))
    assert [(each.key, each.value) for each in read] == [(each.key, each.value) for each in records]
    assert run([*kcat, "-J", "-e", "-X", "auto.offset.reset=earliest", "-G", group, topic]) == ""


def test_metadata(kcat: list[str], broker: BrokerProcess, topic: str) -> None:
    """kcat lists the node and the topic."""
    ConfluentClient(broker.bootstrap).create(topic)
    listed = json.loads(run([*kcat, "-L", "-J", "-t", topic]))
    assert [each["name"] for each in listed["brokers"]] == [broker.bootstrap]
    [described] = listed["topics"]
    assert [each["partition"] for each in described["partitions"]] == list(range(PARTITIONS))
    assert [each["leader"] for each in described["partitions"]] == [1] * PARTITIONS


def test_seek_by_time(kcat: list[str], broker: BrokerProcess, topic: str) -> None:
    """kcat asks for the offset of a time, and reads from a time to another."""
    client = ConfluentClient(broker.bootstrap)
    records = sample_records("none", 20, START_MS)
    client.create(topic)
    client.produce(topic, "none", records)
    start, end = records[7].timestamp, records[12].timestamp
    assert run([*kcat, "-Q", "-t", f"{topic}:1:{start}"]) == f"{topic} [1] offset 3\n"
    read = records_of(run([*kcat, "-C", "-J", "-e", "-t", topic, "-o", f"s@{start}", "-o", f"e@{end}"]))
    assert sorted(read) == sorted(records[7:12])


@pytest.mark.parametrize(
    ("strategy", "alone", "joined", "shares", "again"),
    [
        (
            "range",
            r"assigned: .*\[0\].*\[1\]",
            r"assigned: \S+ \[.\]$",
            r"assigned: \S+ \[.\]$",
            r"assigned: .*, ",
        ),
        (
            "cooperative-sticky",
            "incremental assignment of 2 ",
            "incremental assignment of 1 ",
            "incremental revoke of 1 ",
            "incremental assignment of 1 ",
        ),
    ],
    ids=["eager", "cooperative"],
)
def test_rebalance(
    kcat: list[str],
    broker: BrokerProcess,
    topic: str,
    group: str,
    strategy: str,
    alone: str,
    joined: str,
    shares: str,
    again: str,
) -> None:
    """A second kcat takes one of the two partitions, and gives it back when it ends."""
    ConfluentClient(broker.bootstrap).create(topic)
    settings = ["-X", f"partition.assignment.strategy={strategy}", "-X", "heartbeat.interval.ms=300"]
    member = [*kcat, *settings, "-G", group, topic]
    with Followed(member) as first:
        line = first.until(alone)
        with Followed(member) as second:
            second.until(joined)
            line = first.until(shares, line)
        first.until(again, line)
