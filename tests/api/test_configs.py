"""DescribeConfigs: values, where they come from, and what they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from streamline.api.configs import RESOURCES_PER_TURN
from streamline.cluster.settings import DYNAMIC
from streamline.config import BrokerConfig, TopicConfig
from streamline.errors import ErrorCode
from streamline.settings import settings_of
from streamline.wire.messages.configs import (
    DescribeConfigsRequest,
    DescribeConfigsResource,
    DescribeConfigsResourceResult,
    DescribeConfigsResponse,
    DescribeConfigsResult,
)
from tests.broker import Broker

TOPIC, BROKER, LOGGER, METRICS = 2, 4, 8, 16
DYNAMIC_TOPIC, DYNAMIC_DEFAULT_BROKER, STATIC_BROKER, DEFAULT = 1, 3, 4, 5
BOOLEAN, STRING, INT, LONG, DOUBLE, LIST = 1, 2, 3, 5, 6, 7


class ConfigsCase(SynchronousTestCase):
    """A node with a setting of its own, and a topic with one."""

    def setUp(self) -> None:
        """Start it."""
        self.broker = Broker(broker={"log_retention_ms": 1000, "num_partitions": 3}).start()
        self.broker.create("t", retention_bytes="77", cleanup_policy="compact,delete")

    def ask(self, kind: int, name: str, version: int = 4, keys: Any = None, **more: Any) -> DescribeConfigsResult:
        """Ask for a resource's settings."""
        resource = DescribeConfigsResource(resource_type=kind, resource_name=name, configuration_keys=keys)
        response = self.broker.ask(DescribeConfigsRequest(resources=[resource], **more), version)
        result: DescribeConfigsResult = response.results[0]
        self.assertEqual((result.resource_type, result.resource_name), (kind, name))
        return result

    def settings(self, kind: int, name: str, **more: Any) -> dict[str, DescribeConfigsResourceResult]:
        """Return a resource's settings by name."""
        result = self.ask(kind, name, **more)
        self.assertEqual(result.error_code, ErrorCode.NONE, result.error_message)
        return {setting.name: setting for setting in result.configs}


class TopicTests(ConfigsCase):
    """A topic's settings."""

    def test_every_version(self) -> None:
        for version in range(1, 5):
            found = self.settings(TOPIC, "t", version=version)
            self.assertEqual(list(found), sorted(settings_of(TopicConfig)))
            self.assertEqual(found["retention.bytes"].config_type, LONG if version >= 3 else 0)

    def test_sources(self) -> None:
        found = self.settings(TOPIC, "t")
        expected = {
            "retention.bytes": ("77", DYNAMIC_TOPIC),
            "cleanup.policy": ("compact,delete", DYNAMIC_TOPIC),
            "retention.ms": ("1000", STATIC_BROKER),
            "segment.bytes": ("1073741824", DEFAULT),
        }
        for name, (value, source) in expected.items():
            self.assertEqual((found[name].value, found[name].config_source), (value, source), name)
            self.assertFalse(found[name].read_only)

    def test_synonyms_only_where_asked(self) -> None:
        self.assertEqual(list(self.settings(TOPIC, "t")["retention.bytes"].synonyms), [])
        found = self.settings(TOPIC, "t", include_synonyms=True)["retention.bytes"].synonyms
        self.assertEqual(
            [(one.name, one.value, one.source) for one in found],
            [("retention.bytes", "77", DYNAMIC_TOPIC), ("log.retention.bytes", "-1", DEFAULT)],
        )

    def test_documentation_only_where_asked(self) -> None:
        self.assertIsNone(self.settings(TOPIC, "t")["retention.ms"].documentation)
        found = self.settings(TOPIC, "t", include_documentation=True)["retention.ms"]
        self.assertIn("segments", found.documentation or "")

    def test_types(self) -> None:
        found = self.settings(TOPIC, "t")
        expected = {
            "retention.ms": LONG, "retention.bytes": LONG, "segment.bytes": INT, "max.message.bytes": INT,
            "min.insync.replicas": INT, "cleanup.policy": LIST, "compression.type": STRING, "preallocate": BOOLEAN,
            "min.cleanable.dirty.ratio": DOUBLE, "flush.messages": LONG, "index.interval.bytes": INT,
            "segment.ms": LONG, "unclean.leader.election.enable": BOOLEAN,
            "leader.replication.throttled.replicas": LIST, "follower.replication.throttled.replicas": LIST,
        }  # fmt: skip
        self.assertEqual({name: found[name].config_type for name in expected}, expected)

    def test_some_keys(self) -> None:
        """Null and, as in Kafka, no keys at all mean all of them."""
        self.assertEqual(list(self.settings(TOPIC, "t", keys=["retention.ms", "nonsense"])), ["retention.ms"])
        self.assertEqual(len(self.settings(TOPIC, "t", keys=[])), len(settings_of(TopicConfig)))

    def test_errors(self) -> None:
        self.assertEqual(self.ask(TOPIC, "missing").error_code, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
        self.assertEqual(self.ask(TOPIC, "a/b").error_code, ErrorCode.INVALID_TOPIC_EXCEPTION)
        for kind in (0, LOGGER, METRICS, -1):
            result = self.ask(kind, "x")
            self.assertEqual((result.error_code, list(result.configs)), (ErrorCode.INVALID_REQUEST, []))
            self.assertTrue(result.error_message)


class BrokerTests(ConfigsCase):
    """A node's settings."""

    def test_all(self) -> None:
        found = self.settings(BROKER, "1")
        self.assertEqual([name for name in settings_of(BrokerConfig) if name not in found], [])
        self.assertEqual(list(found), sorted(found))
        self.assertEqual((found["num.partitions"].value, found["num.partitions"].config_source), ("3", STATIC_BROKER))
        self.assertEqual((found["node.id"].value, found["node.id"].config_type), ("1", INT))
        self.assertEqual([name for name, setting in found.items() if not setting.read_only], sorted(DYNAMIC))

    def test_cluster_wide(self) -> None:
        """The rules that were agreed on with the founding."""
        found = self.settings(BROKER, "")
        self.assertEqual(
            [(one.name, one.value, one.config_source, one.read_only) for one in found.values()],
            [
                ("min.insync.replicas", "1", DYNAMIC_DEFAULT_BROKER, False),
                ("unclean.leader.election.enable", "false", DYNAMIC_DEFAULT_BROKER, False),
                ("unclean.recovery.strategy", "balanced", DYNAMIC_DEFAULT_BROKER, False),
            ],
        )

    def test_other_nodes(self) -> None:
        for name in ("2", "x"):
            self.assertEqual(self.ask(BROKER, name).error_code, ErrorCode.INVALID_REQUEST)


class FloodTests(ConfigsCase):
    """SE11: the answer is a hundred times as large as the question."""

    def test_one_resource_again_and_again(self) -> None:
        resources = [DescribeConfigsResource(resource_type=TOPIC, resource_name="t", configuration_keys=None)] * 5000
        response: DescribeConfigsResponse = self.broker.ask(DescribeConfigsRequest(resources=resources), 4)
        self.assertEqual(len(response.results), 1)

    def test_many_resources(self) -> None:
        resources = [
            DescribeConfigsResource(resource_type=TOPIC, resource_name=f"t{number}", configuration_keys=None)
            for number in range(3000)
        ]
        turns = self.broker.node.broker.turns
        later = turns.later
        steps: list[object] = []

        def seen(step: Callable[[], object]) -> None:
            steps.append(step)
            later(step)

        turns.later = seen  # type: ignore[method-assign]
        answer: DescribeConfigsResponse = self.broker.ask(DescribeConfigsRequest(resources=resources), 4)
        self.assertGreaterEqual(len(steps), len(resources) // RESOURCES_PER_TURN)
        self.assertEqual({result.error_code for result in answer.results}, {ErrorCode.UNKNOWN_TOPIC_OR_PARTITION})
