"""Every client creates, produces with each codec, consumes in a group, rebalances, seeks by time, deletes."""

from __future__ import annotations

import pytest
from _pytest.mark import ParameterSet

from tests.clients.brokers import BrokerProcess
from tests.clients.drivers.aio import AioKafkaClient
from tests.clients.drivers.base import PARTITIONS, START_MS, Client, sample_records
from tests.clients.drivers.confluent import ConfluentClient
from tests.clients.drivers.kafka_python import KafkaPythonClient
from tests.clients.drivers.kafkajs import KafkaJsClient

CLIENTS = (
    ConfluentClient,
    KafkaPythonClient,
    AioKafkaClient,
    KafkaJsClient,
)
NEED_TOOLS = (KafkaJsClient,)


def each_client(attribute: str | None = None) -> list[ParameterSet]:
    """Parameters for every client; with every value of the attribute, when one is named."""
    parameters = []
    for make in CLIENTS:
        marks = [pytest.mark.tools] if make in NEED_TOOLS else []
        if attribute is None:
            parameters.append(pytest.param(make, marks=marks, id=make.name))
            continue
        for value in getattr(make, attribute):
            parameters.append(pytest.param(make, value, marks=marks, id=f"{make.name}-{value}"))
    return parameters


@pytest.mark.parametrize(("make", "codec"), each_client("codecs"))
def test_produce_and_consume(make: type[Client], codec: str, broker: BrokerProcess, topic: str, group: str) -> None:
    """What a group reads is what was produced: key, value, time, place and order; and its commit is kept."""
    client = make(broker.bootstrap)
    records = sample_records(codec, 50, START_MS)
    client.create(topic)
    client.produce(topic, codec, records)
    consumed = client.consume(topic, group, len(records))
    for partition in range(PARTITIONS):
        expected = [each for each in records if each.partition == partition]
        assert [each for each in consumed.records if each.partition == partition] == expected
    assert consumed.committed == dict.fromkeys(range(PARTITIONS), len(records) // PARTITIONS)


@pytest.mark.parametrize(("make", "protocol"), each_client("protocols"))
def test_rebalance(make: type[Client], protocol: str, broker: BrokerProcess, topic: str, group: str) -> None:
    """A second member takes half of the partitions and gives them back when it leaves."""
    client = make(broker.bootstrap)
    client.create(topic)
    shares = client.rebalance(topic, group, protocol)
    everything = list(range(PARTITIONS))
    assert shares.alone == everything
    assert sorted([*shares.together[0], *shares.together[1]]) == everything
    assert shares.given_up == (everything if protocol == "eager" else shares.together[1])
    assert shares.after == everything


@pytest.mark.parametrize("make", each_client())
def test_seek_by_time(make: type[Client], broker: BrokerProcess, topic: str) -> None:
    """A time leads to the first record at or after it, in each partition."""
    client = make(broker.bootstrap)
    records = sample_records("none", 20, START_MS)
    client.create(topic)
    client.produce(topic, "none", records)
    wanted = records[7:]
    assert sorted(client.seek(topic, wanted[0].timestamp, len(wanted))) == sorted(wanted)


@pytest.mark.parametrize("make", each_client())
def test_delete(make: type[Client], broker: BrokerProcess, topic: str) -> None:
    """A deleted topic is gone, and others are not."""
    client = make(broker.bootstrap)
    kept = f"{topic}-kept"
    for name in (topic, kept):
        client.create(name)
        client.produce(name, "none", sample_records("none", 2, START_MS))
    left = client.delete(topic)
    assert kept in left
    assert topic not in left
