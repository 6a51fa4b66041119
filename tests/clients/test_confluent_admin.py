"""What the admin client of librdkafka sees: topics, configs, the cluster, groups and offsets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import (
    ConsumerGroupState,
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ConfigResource,
    ConfigSource,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from tests.clients.brokers import BrokerProcess
from tests.clients.drivers.base import DEADLINE_S, PARTITIONS, START_MS, sample_records
from tests.clients.drivers.confluent import ConfluentClient, held, poll_until, results_of


@pytest.fixture
def client(broker: BrokerProcess) -> ConfluentClient:
    """The driver, for what is not being tested."""
    return ConfluentClient(broker.bootstrap)


@pytest.fixture
def admin(client: ConfluentClient) -> AdminClient:
    """An admin client."""
    return AdminClient(client.common)


def error_of(call: Callable[[], Any]) -> int:
    """The Kafka error code that a call is refused with."""
    with pytest.raises(KafkaException) as refused:
        call()
    error = refused.value.args[0]
    assert isinstance(error, KafkaError)
    return error.code()


def topic_configs(admin: AdminClient, topic: str) -> dict[str, Any]:
    """The configs of a topic, by name."""
    [configs] = results_of(admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic)]))
    return dict(configs)


def test_cluster(admin: AdminClient, broker: BrokerProcess) -> None:
    """The cluster has an id and one node, which is the controller."""
    cluster = admin.describe_cluster().result(DEADLINE_S)
    assert cluster.cluster_id
    assert cluster.controller.id == 1
    assert [(node.id, node.host, node.port) for node in cluster.nodes] == [(1, "127.0.0.1", broker.port)]


def test_created_topic(admin: AdminClient, topic: str) -> None:
    """A topic has the partitions, replicas and configs it was created with, and an id."""
    config = {"retention.ms": "3600000", "cleanup.policy": "compact,delete"}
    results_of(admin.create_topics([NewTopic(topic, 3, 1, config=config)]))
    [described] = results_of(admin.describe_topics(TopicCollection([topic])))
    assert described.topic_id is not None
    assert not described.is_internal
    assert [each.id for each in described.partitions] == [0, 1, 2]
    for each in described.partitions:
        assert each.leader.id == 1
        assert [node.id for node in each.replicas] == [node.id for node in each.isr] == [1]
    configs = topic_configs(admin, topic)
    assert configs["retention.ms"].value == "3600000"
    assert configs["retention.ms"].source == ConfigSource.DYNAMIC_TOPIC_CONFIG.value
    assert configs["cleanup.policy"].value == "compact,delete"
    assert configs["segment.bytes"].value == str(1 << 30)
    assert configs["segment.bytes"].source == ConfigSource.DEFAULT_CONFIG.value
    assert configs["segment.bytes"].is_default


def test_manual_assignment(admin: AdminClient, topic: str) -> None:
    """A topic may say which nodes hold its partitions."""
    results_of(admin.create_topics([NewTopic(topic, 2, replica_assignment=[[1], [1]])]))
    assert sorted(admin.list_topics(topic, timeout=DEADLINE_S).topics[topic].partitions) == [0, 1]


def test_validate_only(admin: AdminClient, topic: str) -> None:
    """A topic that is only validated does not come to be."""
    results_of(admin.create_topics([NewTopic(topic, 1, 1)], validate_only=True))
    assert topic not in admin.list_topics(timeout=DEADLINE_S).topics


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (NewTopic("no spaces", 1, 1), KafkaError.TOPIC_EXCEPTION),
        (NewTopic("x" * 250, 1, 1), KafkaError.TOPIC_EXCEPTION),
        (NewTopic("too-many-replicas", 1, 2), KafkaError.INVALID_REPLICATION_FACTOR),
        (NewTopic("no-partitions", 0, 1), KafkaError.INVALID_PARTITIONS),
        (NewTopic("strange-config", 1, 1, config={"no.such.config": "1"}), KafkaError.INVALID_CONFIG),
        (NewTopic("bad-value", 1, 1, config={"retention.ms": "soon"}), KafkaError.INVALID_CONFIG),
        (NewTopic("unknown-node", 1, replica_assignment=[[7]]), KafkaError.INVALID_REPLICA_ASSIGNMENT),
    ],
    ids=lambda value: value.topic[:20] if isinstance(value, NewTopic) else "",
)
def test_refused_topic(admin: AdminClient, wrong: NewTopic, code: int) -> None:
    """A topic that cannot be is refused with the error that says why."""
    assert error_of(lambda: results_of(admin.create_topics([wrong]))) == code
    assert wrong.topic not in admin.list_topics(timeout=DEADLINE_S).topics


def test_existing_and_unknown_topic(admin: AdminClient, client: ConfluentClient, topic: str) -> None:
    """A topic is created once and deleted once."""
    client.create(topic)
    assert error_of(lambda: client.create(topic)) == KafkaError.TOPIC_ALREADY_EXISTS
    client.delete(topic)
    assert error_of(lambda: client.delete(topic)) == KafkaError.UNKNOWN_TOPIC_OR_PART


def test_deleted_topic_starts_anew(admin: AdminClient, client: ConfluentClient, topic: str) -> None:
    """A topic that is created again under an old name has nothing of the old one."""
    for _ in range(2):
        client.create(topic)
        client.produce(topic, "none", sample_records("none", 4, START_MS))
        assert offsets(admin, topic, OffsetSpec.latest()) == [2, 2]
        client.delete(topic)


def test_broker_configs(admin: AdminClient) -> None:
    """The broker's own settings can be read, the one of the configuration file among them."""
    [configs] = results_of(admin.describe_configs([ConfigResource(ResourceType.BROKER, "1")]))
    assert configs["group.initial.rebalance.delay.ms"].value == "0"
    assert configs["group.initial.rebalance.delay.ms"].source == ConfigSource.STATIC_BROKER_CONFIG.value
    assert configs["message.max.bytes"].is_default


def test_configs_of_unknown_topic(admin: AdminClient) -> None:
    """Configs of what is not there are refused."""
    assert error_of(lambda: topic_configs(admin, "no-such-topic")) == KafkaError.UNKNOWN_TOPIC_OR_PART


def offsets(admin: AdminClient, topic: str, spec: OffsetSpec) -> list[int]:
    """The offset that the spec leads to in each partition."""
    wanted = {TopicPartition(topic, partition): spec for partition in range(PARTITIONS)}
    futures = admin.list_offsets(wanted, isolation_level=IsolationLevel.READ_UNCOMMITTED)
    found = {partition.partition: future.result(DEADLINE_S) for partition, future in futures.items()}
    return [found[partition].offset for partition in range(PARTITIONS)]


def test_list_offsets(admin: AdminClient, client: ConfluentClient, topic: str) -> None:
    """Earliest, latest, by time and of the greatest time."""
    client.create(topic)
    client.produce(topic, "none", sample_records("none", 10, START_MS))
    assert offsets(admin, topic, OffsetSpec.earliest()) == [0, 0]
    assert offsets(admin, topic, OffsetSpec.latest()) == [5, 5]
    assert offsets(admin, topic, OffsetSpec.for_timestamp(START_MS + 5000)) == [3, 2]
    assert offsets(admin, topic, OffsetSpec.for_timestamp(START_MS + 60_000)) == [-1, -1]
    assert offsets(admin, topic, OffsetSpec.max_timestamp()) == [4, 4]


def test_groups(admin: AdminClient, client: ConfluentClient, topic: str, group: str) -> None:
    """A group is listed and described while it has a member, and when it is empty."""
    client.create(topic)
    member = client.consumer(group)
    member.subscribe([topic])
    poll_until([member], lambda: len(held(member)) == PARTITIONS, "one member")
    [described] = results_of(admin.describe_consumer_groups([group]))
    assert described.state == ConsumerGroupState.STABLE
    assert described.partition_assignor == "range"
    assert described.coordinator.id == 1
    [seen] = described.members
    assert seen.client_id == "streamline-tests"
    assert "127.0.0.1" in seen.host
    assert sorted(each.partition for each in seen.assignment.topic_partitions) == held(member)
    assert listed(admin, group) == ConsumerGroupState.STABLE
    member.close()
    [described] = results_of(admin.describe_consumer_groups([group]))
    assert described.state == ConsumerGroupState.EMPTY
    assert described.members == []


def listed(admin: AdminClient, group: str) -> ConsumerGroupState:
    """The state that the list of groups shows for one of them."""
    groups = admin.list_consumer_groups().result(DEADLINE_S)
    assert groups.errors == []
    [state] = [each.state for each in groups.valid if each.group_id == group]
    return ConsumerGroupState(state)
