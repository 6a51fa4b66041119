"""AlterConfigs and IncrementalAlterConfigs: each resource by itself, and what is changed takes effect."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from streamline.errors import ErrorCode
from streamline.wire.messages.configs import (
    AlterableConfig,
    AlterConfigsRequest,
    AlterConfigsResource,
    AlterConfigsResourceResponse,
    DescribeConfigsRequest,
    DescribeConfigsResource,
    IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsRequestAlterableConfig,
    IncrementalAlterConfigsRequestAlterConfigsResource,
)
from tests.broker import Broker, batch_of

TOPIC, BROKER, LOGGER = 2, 4, 8
SET, DELETE, APPEND, SUBTRACT = range(4)

Change = tuple[str, int, str | None]


def resource(kind: int, name: str, *changes: Change) -> IncrementalAlterConfigsRequestAlterConfigsResource:
    """Return what is to become of a resource."""
    configs = [
        IncrementalAlterConfigsRequestAlterableConfig(name=setting, config_operation=operation, value=value)
        for setting, operation, value in changes
    ]
    return IncrementalAlterConfigsRequestAlterConfigsResource(
        resource_type=kind, resource_name=name, configs=configs
    )


class ChangesCase(SynchronousTestCase):
    """A node with a topic."""

    def setUp(self) -> None:
        """Start it."""
        self.broker = Broker().start()
        self.broker.create("t", retention_bytes="77")

    def alter(self, *resources: Any, version: int = 1, **more: Any) -> list[AlterConfigsResourceResponse]:
        """Change single settings."""
        request = IncrementalAlterConfigsRequest(resources=resources, **more)
        response = self.broker.ask(request, version)
        found: list[AlterConfigsResourceResponse] = list(response.responses)
        self.assertEqual(
            [(one.resource_type, one.resource_name) for one in found],
            [(one.resource_type, one.resource_name) for one in resources],
        )
        for one in found:
            self.assertEqual(bool(one.error_code), one.error_message is not None)
        return found

    def change(self, kind: int, name: str, *changes: Change, **more: Any) -> ErrorCode:
        """Change one resource."""
        (response,) = self.alter(resource(kind, name, *changes), **more)
        return ErrorCode(response.error_code)

    def replace(self, kind: int, name: str, version: int = 2, **settings: str | None) -> ErrorCode:
        """Change all settings of one resource."""
        configs = [AlterableConfig(name=key.replace("_", "."), value=value) for key, value in settings.items()]
        request = AlterConfigsRequest(
            resources=[AlterConfigsResource(resource_type=kind, resource_name=name, configs=configs)]
        )
        (response,) = self.broker.ask(request, version).responses
        return ErrorCode(response.error_code)

    def shown(self, kind: int, name: str, setting: str) -> list[tuple[str, int]]:
        """Return a setting's value and synonyms with their sources."""
        asked = DescribeConfigsResource(resource_type=kind, resource_name=name, configuration_keys=[setting])
        (result,) = self.broker.ask(DescribeConfigsRequest(resources=[asked], include_synonyms=True), 4).results
        self.assertEqual(result.error_code, ErrorCode.NONE)
        if not result.configs:
            return []
        (found,) = result.configs
        self.assertEqual((found.value, found.config_source), (found.synonyms[0].value, found.synonyms[0].source))
        return [(one.value, one.source) for one in found.synonyms]

    @property
    def configs(self) -> dict[str, str]:
        """The topic's own settings."""
        return dict(self.broker.node.broker.metadata.image.configs.get("t", {}))


class IncrementalTests(ChangesCase):
    """One setting after another."""

    def test_every_version(self) -> None:
        for version in (0, 1):
            code = self.change(TOPIC, "t", ("retention.ms", SET, str(1000 + version)), version=version)
            self.assertEqual(code, ErrorCode.NONE)
            self.assertEqual(self.configs, {"retention.bytes": "77", "retention.ms": str(1000 + version)})

    def test_every_operation(self) -> None:
        code = self.change(
            TOPIC, "t",
            ("retention.bytes", DELETE, None), ("segment.ms", SET, "5"), ("cleanup.policy", APPEND, "compact"),
        )  # fmt: skip
        self.assertEqual(code, ErrorCode.NONE)
        self.assertEqual(self.configs, {"segment.ms": "5", "cleanup.policy": "delete,compact"})
        self.assertEqual(self.change(TOPIC, "t", ("cleanup.policy", SUBTRACT, "delete")), ErrorCode.NONE)
        self.assertEqual(self.configs["cleanup.policy"], "compact")

    def test_each_resource_by_itself(self) -> None:
        """And each with all of its settings, or with none."""
        codes = [
            one.error_code
            for one in self.alter(
                resource(TOPIC, "t", ("segment.ms", SET, "5"), ("segment.mss", SET, "5")),
                resource(TOPIC, "missing", ("segment.ms", SET, "5")),
                resource(TOPIC, "a/b", ("segment.ms", SET, "5")),
                resource(BROKER, "", ("log.roll.ms", SET, "5")),
                resource(BROKER, "9", ("log.roll.ms", SET, "5")),
                resource(LOGGER, "1", ("root", SET, "DEBUG")),
            )
        ]
        self.assertEqual(
            codes,
            [
                ErrorCode.INVALID_CONFIG,
                ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
                ErrorCode.INVALID_TOPIC_EXCEPTION,
                ErrorCode.NONE,
                ErrorCode.BROKER_ID_NOT_REGISTERED,
                ErrorCode.INVALID_REQUEST,
            ],
        )
        self.assertEqual(self.configs, {"retention.bytes": "77"})

    def test_malformed(self) -> None:
        for changes in ([("segment.ms", SET, None)], [("segment.ms", 4, "5")], [("segment.ms", -1, "5")]):
            self.assertEqual(self.change(TOPIC, "t", *changes), ErrorCode.INVALID_REQUEST)
        twice = resource(TOPIC, "t", ("segment.ms", SET, "5"))
        codes = [one.error_code for one in self.alter(twice, twice)]
        self.assertEqual(codes, [ErrorCode.INVALID_REQUEST] * 2)
        self.assertEqual(self.configs, {"retention.bytes": "77"})

    def test_validated_only(self) -> None:
        index = self.broker.node.broker.metadata.image.index
        self.assertEqual(self.change(TOPIC, "t", ("segment.ms", SET, "5"), validate_only=True), ErrorCode.NONE)
        code = self.change(TOPIC, "t", ("segment.ms", SET, "soon"), validate_only=True)
        self.assertEqual(code, ErrorCode.INVALID_CONFIG)
        self.assertEqual(self.broker.node.broker.metadata.image.index, index)

    def test_many(self) -> None:
        """Others have the reactor in between."""
        client = self.broker.connect()
        missing = [resource(TOPIC, f"t{number}", ("segment.ms", SET, "5")) for number in range(500)]
        client.send(IncrementalAlterConfigsRequest(resources=missing))
        self.assertEqual(client.answers(), [])
        self.broker.wait()
        ((_, answer),) = client.answers()
        self.assertEqual({one.error_code for one in answer.responses}, {ErrorCode.UNKNOWN_TOPIC_OR_PARTITION})


class ReplacingTests(ChangesCase):
    """All settings at once."""

    def test_every_version(self) -> None:
        for version in range(3):
            self.assertEqual(self.replace(TOPIC, "t", version, segment_ms=str(1000 + version)), ErrorCode.NONE)
            self.assertEqual(self.configs, {"segment.ms": str(1000 + version)})

    def test_of_all_brokers(self) -> None:
        self.assertEqual(self.replace(BROKER, "", log_retention_ms="5"), ErrorCode.NONE)
        self.assertEqual(self.replace(BROKER, "", log_roll_ms="6"), ErrorCode.NONE)
        changed = self.broker.node.broker.metadata.image.broker_configs[""]
        rules = {
            "min.insync.replicas": "1", "unclean.leader.election.enable": "false",
            "unclean.recovery.strategy": "balanced",
        }  # fmt: skip
        self.assertEqual(changed, {"log.roll.ms": "6", **rules}, "the cluster is never without its rules")

    def test_malformed(self) -> None:
        self.assertEqual(self.replace(TOPIC, "t", segment_ms=None), ErrorCode.INVALID_REQUEST)
        configs = [AlterableConfig(name="segment.ms", value="5")] * 2
        resources = [AlterConfigsResource(resource_type=TOPIC, resource_name="t", configs=configs)]
        (response,) = self.broker.ask(AlterConfigsRequest(resources=resources)).responses
        self.assertEqual(response.error_code, ErrorCode.INVALID_REQUEST)
        self.assertEqual(self.configs, {"retention.bytes": "77"})


class EffectTests(ChangesCase):
    """What is changed is in force at once, and shown with where it comes from."""

    def test_sources(self) -> None:
        default = str(7 * 24 * 3_600_000)
        self.assertEqual(self.shown(TOPIC, "t", "retention.ms"), [(default, 5)])
        self.change(BROKER, "", ("log.retention.ms", SET, "3"))
        self.change(BROKER, "1", ("log.retention.ms", SET, "2"))
        self.change(TOPIC, "t", ("retention.ms", SET, "1"))
        everything = [("1", 1), ("2", 2), ("3", 3), (default, 5)]
        self.assertEqual(self.shown(TOPIC, "t", "retention.ms"), everything)
        self.assertEqual(self.shown(BROKER, "1", "log.retention.ms"), everything[1:])
        self.assertEqual(self.shown(BROKER, "", "log.retention.ms"), [("3", 3)])
        self.change(TOPIC, "t", ("retention.ms", DELETE, None))
        self.change(BROKER, "1", ("log.retention.ms", DELETE, None))
        self.assertEqual(self.shown(TOPIC, "t", "retention.ms"), [("3", 3), (default, 5)])

    def test_partitions_follow(self) -> None:
        """Batches that are too large now are refused, whoever said so; the topic's own word counts most."""
        batch = batch_of(bytes(500))
        for kind, name, setting in (
            (BROKER, "", "message.max.bytes"), (BROKER, "1", "message.max.bytes"), (TOPIC, "t", "max.message.bytes"),
        ):  # fmt: skip
            self.assertEqual(self.broker.produce("t", batch).error_code, ErrorCode.NONE)
            self.assertEqual(self.change(kind, name, (setting, SET, "100")), ErrorCode.NONE)
            self.assertEqual(self.broker.produce("t", batch).error_code, ErrorCode.MESSAGE_TOO_LARGE)
            self.assertEqual(self.change(kind, name, (setting, DELETE, None)), ErrorCode.NONE)

    def test_how_batches_are_stored(self) -> None:
        self.change(TOPIC, "t", ("message.timestamp.type", SET, "LogAppendTime"))
        self.assertGreater(self.broker.produce("t", batch_of(b"v")).log_append_time_ms, 0)
        self.change(TOPIC, "t", ("message.timestamp.type", DELETE, None))
        self.assertEqual(self.broker.produce("t", batch_of(b"v")).log_append_time_ms, -1)
        self.change(TOPIC, "t", ("cleanup.policy", SET, "compact"))
        self.assertEqual(self.broker.produce("t", batch_of(b"v", key=None)).error_code, ErrorCode.INVALID_RECORD)

    def test_logs_follow(self) -> None:
        """The next batch goes into a segment of its own."""
        self.change(TOPIC, "t", ("segment.bytes", SET, str(1 << 20)))
        for _ in range(2):
            self.assertEqual(self.broker.produce("t", batch_of(bytes(700_000))).error_code, ErrorCode.NONE)
        self.assertEqual(self.broker.partition("t").log.segment_offset, 1)

    def test_new_topics_and_restarts(self) -> None:
        self.change(BROKER, "", ("log.segment.bytes", SET, str(2 << 20)))
        self.broker.create("u")
        self.assertEqual(self.broker.partition("u").config.segment_bytes, 2 << 20)
        self.broker.stop()
        self.broker.start()
        self.broker.until(lambda: self.broker.node.factory.is_serving)
        self.assertEqual(self.shown(TOPIC, "t", "segment.bytes")[0], (str(2 << 20), 3))

    def test_flushes_that_were_to_come_later(self) -> None:
        self.broker = Broker(storage="segments").start()
        self.broker.create("t")
        self.change(TOPIC, "t", ("flush.ms", SET, "60000"))
        self.broker.produce("t", batch_of(b"v"))
        log = self.broker.partition("t").log
        self.broker.wait(1.0)
        self.assertEqual(log.recovery_point, 0)
        self.change(TOPIC, "t", ("flush.ms", SET, "10"))
        self.broker.wait(1.0)
        self.assertEqual(log.recovery_point, 1)
