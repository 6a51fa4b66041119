"""Which settings may change, and how: Kafka's refusals, and nothing that would have no effect."""

from __future__ import annotations

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from streamline.cluster.commands import BROKER_CONFIGS, CLUSTER_WIDE, TOPIC_CONFIGS
from streamline.cluster.image import MetadataImage
from streamline.cluster.settings import DYNAMIC, Alteration, Operation, alter, broker_config, replacing
from streamline.config import BrokerConfig, TopicConfig
from streamline.errors import ErrorCode, Refused
from streamline.model import Broker, Endpoint, PartitionState, Topic
from streamline.settings import settings_of

OWN = BrokerConfig(log_retention_ms=1000)
SET, DELETE, APPEND, SUBTRACT = Operation


class SettingsCase(SynchronousTestCase):
    """A cluster of two brokers and a topic."""

    def setUp(self) -> None:
        """Make the image."""
        state = PartitionState(index=0, replicas=(1,), isr=(1,), leader=1)
        brokers = {node: Broker(node_id=node, endpoint=Endpoint("h", 1)) for node in (1, 2)}
        topic = Topic(name="t", topic_id=b"t" * 16, partitions=(state,))
        self.image = MetadataImage(brokers=brokers, topics={"t": topic}, names={topic.topic_id: "t"})

    def alter(self, kind: int, name: str, *wanted: Alteration) -> dict[str, str | None]:
        """Return what would change."""
        command = alter(self.image, kind, name, wanted, OWN)
        if command is None:
            return {}
        self.assertEqual((command.resource_type, command.resource_name), (kind, name))
        return {change.name: change.value for change in command.changes}

    def refuses(self, code: ErrorCode, kind: int, name: str, *wanted: Alteration) -> str:
        """Expect a refusal; return its sentence."""
        refusal = self.assertRaises(Refused, alter, self.image, kind, name, wanted, OWN)
        assert isinstance(refusal, Refused)
        self.assertEqual(refusal.code, code, refusal.message)
        self.assertTrue(refusal.message)
        return refusal.message


class TopicTests(SettingsCase):
    """A topic's settings."""

    def test_set_and_delete(self) -> None:
        self.image = evolve(self.image, configs={"t": {"retention.ms": "5", "segment.ms": "6"}})
        wanted = [Alteration("retention.ms", DELETE), Alteration("segment.ms", SET, "7")]
        self.assertEqual(self.alter(TOPIC_CONFIGS, "t", *wanted), {"retention.ms": None, "segment.ms": "7"})

    def test_as_it_is_already(self) -> None:
        self.image = evolve(self.image, configs={"t": {"retention.ms": "5"}})
        wanted = [Alteration("retention.ms", SET, "5"), Alteration("segment.ms", DELETE)]
        self.assertEqual(self.alter(TOPIC_CONFIGS, "t", *wanted), {})

    def test_delete_what_nobody_knows(self) -> None:
        """Kafka's tools do so to clear throttles, which this release does not have."""
        wanted = [Alteration("leader.replication.throttled.replicas", DELETE), Alteration("segment.ms", SET, "7")]
        self.assertEqual(self.alter(TOPIC_CONFIGS, "t", *wanted), {"segment.ms": "7"})
        self.assertEqual(self.alter(BROKER_CONFIGS, "1", Alteration("leader.replication.throttled.rate", DELETE)), {})

    def test_lists(self) -> None:
        """They begin with what is in force, even where it is nobody's own."""
        append, subtract = (Alteration("cleanup.policy", how, "compact") for how in (APPEND, SUBTRACT))
        self.assertEqual(self.alter(TOPIC_CONFIGS, "t", append), {"cleanup.policy": "delete,compact"})
        self.image = evolve(self.image, configs={"t": {"cleanup.policy": "delete,compact"}})
        self.assertEqual(self.alter(TOPIC_CONFIGS, "t", append), {})
        self.assertEqual(self.alter(TOPIC_CONFIGS, "t", subtract), {"cleanup.policy": "delete"})

    def test_refused(self) -> None:
        unknown = Alteration("retention.mss", SET, "5")
        self.assertIn("retention.ms", self.refuses(ErrorCode.INVALID_CONFIG, TOPIC_CONFIGS, "t", unknown))
        for name, how, value in (
            ("retention.ms", SET, "soon"),
            ("retention.ms", SET, "-2"),
            ("cleanup.policy", APPEND, "keep"),
            ("cleanup.policy", SUBTRACT, "delete"),
            ("retention.ms", APPEND, "5"),
            ("compression.type", SUBTRACT, "producer"),
            ("log.retention.ms", SET, "5"),
        ):
            self.refuses(ErrorCode.INVALID_CONFIG, TOPIC_CONFIGS, "t", Alteration(name, how, value))
        good = Alteration("retention.ms", SET, "5")
        self.refuses(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, TOPIC_CONFIGS, "u", good)
        self.refuses(ErrorCode.INVALID_REQUEST, TOPIC_CONFIGS, "t", good, good)

    def test_replacing(self) -> None:
        self.image = evolve(self.image, configs={"t": {"retention.ms": "5", "segment.ms": "6"}})
        wanted = replacing(self.image, TOPIC_CONFIGS, "t", {"segment.ms": "7", "flush.ms": "8"})
        found = self.alter(TOPIC_CONFIGS, "t", *wanted)
        self.assertEqual(found, {"retention.ms": None, "segment.ms": "7", "flush.ms": "8"})


class BrokerTests(SettingsCase):
    """Settings of one broker, and of all."""

    def test_those_that_take_effect(self) -> None:
        for name in (CLUSTER_WIDE, "1"):
            found = self.alter(BROKER_CONFIGS, name, Alteration("log.retention.ms", SET, "5"))
            self.assertEqual(found, {"log.retention.ms": "5"})
        self.assertEqual(sorted(DYNAMIC), sorted(attribute.metadata["synonym"] for attribute in
                                                 settings_of(TopicConfig).values()))

    def test_those_that_would_not(self) -> None:
        for name in settings_of(BrokerConfig):
            if name not in DYNAMIC:
                wanted = Alteration(name, DELETE)
                self.assertIn(name, self.refuses(ErrorCode.INVALID_REQUEST, BROKER_CONFIGS, "1", wanted))

    def test_rules_are_the_same_for_all(self) -> None:
        """KIP-966: they are never one broker's own, and never gone."""
        for rule, value in (("min.insync.replicas", "2"), ("unclean.leader.election.enable", "true")):
            self.assertEqual(self.alter(BROKER_CONFIGS, CLUSTER_WIDE, Alteration(rule, SET, value)), {rule: value})
            self.refuses(ErrorCode.INVALID_CONFIG, BROKER_CONFIGS, "1", Alteration(rule, SET, value))
            self.refuses(ErrorCode.INVALID_CONFIG, BROKER_CONFIGS, CLUSTER_WIDE, Alteration(rule, DELETE))
            self.image = evolve(self.image, broker_configs={CLUSTER_WIDE: {rule: value}})
            self.assertEqual(replacing(self.image, BROKER_CONFIGS, CLUSTER_WIDE, {}), [])

    def test_brokers(self) -> None:
        wanted = Alteration("log.retention.ms", SET, "5")
        self.refuses(ErrorCode.BROKER_ID_NOT_REGISTERED, BROKER_CONFIGS, "3", wanted)
        self.refuses(ErrorCode.BROKER_ID_NOT_REGISTERED, BROKER_CONFIGS, "01", wanted)
        for name in ("x", "-1", "1.0", "\u0661"):
            self.refuses(ErrorCode.INVALID_REQUEST, BROKER_CONFIGS, name, wanted)

    def test_values(self) -> None:
        wanted = Alteration("log.retention.ms", SET, "soon")
        self.refuses(ErrorCode.INVALID_CONFIG, BROKER_CONFIGS, "1", wanted)

    def test_what_is_in_force(self) -> None:
        """What is set for one node counts before what is set for all, and that before what it was started with."""
        self.image = evolve(
            self.image,
            broker_configs={
                CLUSTER_WIDE: {"log.retention.ms": "5", "log.roll.ms": "6"}, "1": {"log.roll.ms": "7"}, "3": {},
            },
        )  # fmt: skip
        found = [(config.log_retention_ms, config.log_roll_ms) for config in
                 (broker_config(self.image, node, OWN) for node in (1, 2))]
        self.assertEqual(found, [(5, 7), (5, 6)])
        self.assertIs(broker_config(MetadataImage(), 1, OWN), OWN)
