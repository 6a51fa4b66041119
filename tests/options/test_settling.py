"""Settings come out of options, variables and a file in one order, and complaints name the right place."""

from __future__ import annotations

import os
import tempfile

from attrs import fields
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from streamline.config import BrokerConfig, NodeConfig
from streamline.interfaces import IAuthorizer
from streamline.model import Endpoint
from streamline.options.declared import BROKER_OPTIONS, OPTIONS
from streamline.options.settling import settle
from streamline.options.sources import gather
from streamline.plugins import Backend, Installed, discover
from streamline.settings import settings_of

BACKENDS = discover()


class OptionsCase(SynchronousTestCase):
    """Settles options with a file of its own."""

    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.path = os.path.join(directory.name, "node.toml")

    def settled(self, file: str | None = None, environment: dict[str, str] | None = None, **spoken: str) -> NodeConfig:
        """Return what comes out; options are spoken with underscores."""
        command_line = {name.replace("_", "-"): text for name, text in spoken.items()}
        if file is not None:
            with open(self.path, "w", encoding="utf-8") as toml:
                toml.write(file)
            command_line["config"] = self.path
        return settle(gather(command_line, environment or {}), BACKENDS)

    def complaint(self, file: str | None = None, environment: dict[str, str] | None = None, **spoken: str) -> str:
        """Return why these are refused; one line."""
        message = str(self.assertRaises(ValueError, self.settled, file, environment, **spoken))
        self.assertNotIn("\n", message)
        return message


class DefaultTests(OptionsCase):
    """A node that nobody configured."""

    def test_settings_of_a_node_alone(self) -> None:
        config = self.settled()
        self.assertEqual((config.node_id, config.data_dir, config.storage), (1, "./streamline-data", "segments"))
        self.assertEqual(config.broker, BrokerConfig())

    def test_listeners_beside_the_kafka_port(self) -> None:
        config = self.settled(listen="tcp:1234:interface=127.0.0.1")
        self.assertEqual(config.cluster_listen, "tcp:1235:interface=127.0.0.1")
        self.assertEqual(config.http_listen, "tcp:1236:interface=127.0.0.1")

    def test_every_setting_has_an_option(self) -> None:
        names = {attribute.name.replace("_", "-") for attribute in fields(NodeConfig)} - {"broker"}
        self.assertLessEqual(names | set(BROKER_OPTIONS), set(OPTIONS))

    def test_min_insync_replicas_follow_the_replication_factor(self) -> None:
        broker = self.settled(default_replication_factor="3").broker
        self.assertEqual((broker.default_replication_factor, broker.min_insync_replicas), (3, 2))
        broker = self.settled(default_replication_factor="3", min_insync_replicas="1").broker
        self.assertEqual(broker.min_insync_replicas, 1)

    def test_a_node_that_names_itself_is_alone(self) -> None:
        self.assertEqual(self.settled(seed_nodes="127.0.0.1:9092").seed_nodes, (Endpoint("127.0.0.1", 9092),))


class ReadingTests(OptionsCase):
    """Values of each kind, from each place."""

    def test_from_the_command_line(self) -> None:
        config = self.settled(node_id="7", rack="a", advertised_addr="k:1", auto_create_topics="off", reads="leader")
        self.assertEqual((config.node_id, config.rack, config.advertised_addr), (7, "a", Endpoint("k", 1)))
        self.assertFalse(config.broker.auto_create_topics_enable)

    def test_from_the_environment(self) -> None:
        config = self.settled(None, {"STREAMLINE_NODE_ID": "7", "STREAMLINE_RACK": "", "PATH": "x"})
        self.assertEqual((config.node_id, config.rack), (7, None))

    def test_from_a_file(self) -> None:
        config = self.settled(
            "node-id = 7\nauto-create-topics = false\nseed-nodes = ['127.0.0.1:9092']\ndefault-partitions = 3\n"
            "[broker]\nlog.retention.ms = 1000\n'log.segment.bytes' = '2097152'\n"
            "log.cleaner.min.cleanable.ratio = 1\n"
        )
        self.assertEqual((config.node_id, config.broker.num_partitions), (7, 3))
        self.assertEqual((config.broker.log_retention_ms, config.broker.log_segment_bytes), (1000, 2097152))
        self.assertEqual(config.broker.log_cleaner_min_cleanable_ratio, 1.0)
        self.assertFalse(config.broker.auto_create_topics_enable)

    def test_the_file_is_named_by_the_environment_too(self) -> None:
        self.settled("node-id = 7")
        self.assertEqual(self.settled(None, {"STREAMLINE_CONFIG": self.path}).node_id, 7)

    def test_an_option_goes_before_the_broker_table(self) -> None:
        file = "[broker]\nnum.partitions = 5\ndefault.replication.factor = 3"
        self.assertEqual(self.settled(file, default_partitions="2").broker.num_partitions, 2)
        self.assertEqual(self.settled(file).broker.min_insync_replicas, 2)

    def test_what_kubernetes_adds_is_passed_over(self) -> None:
        self.settled(
            None,
            {
                "STREAMLINE_PORT": "tcp://10.0.0.1:9092",
                "STREAMLINE_SERVICE_HOST": "10.0.0.1",
                "STREAMLINE_SERVICE_PORT_KAFKA": "9092",
                "STREAMLINE_PORT_9092_TCP_ADDR": "10.0.0.1",
            },
        )

    @settings(max_examples=50)
    @given(*[st.none() | st.integers(0, 2**31)] * 3)
    def test_precedence(self, spoken: int | None, inherited: int | None, written: int | None) -> None:
        config = self.settled(
            "" if written is None else f"node-id = {written}",
            {} if inherited is None else {"STREAMLINE_NODE_ID": str(inherited)},
            **({} if spoken is None else {"node_id": str(spoken)}),
        )
        expected = next((each for each in (spoken, inherited, written) if each is not None), 1)
        self.assertEqual(config.node_id, expected)

    @settings(max_examples=50)
    @given(st.sampled_from(sorted(settings_of(BrokerConfig))))
    def test_each_broker_setting_can_be_written_with_or_without_quotes(self, name: str) -> None:
        default = settings_of(BrokerConfig)[name].default
        value = f"'{default}'" if isinstance(default, str) else str(default).lower()
        for key in (name, f"'{name}'"):
            self.assertEqual(self.settled(f"[broker]\n{key} = {value}").broker, BrokerConfig())


class ComplaintTests(OptionsCase):
    """One sentence, with the place and the way out."""

    def test_the_place_is_named_as_it_was_spelled(self) -> None:
        self.assertTrue(self.complaint(node_id="x").startswith("--node-id must be a whole number"))
        self.assertTrue(self.complaint(None, {"STREAMLINE_NODE_ID": "-1"}).startswith("STREAMLINE_NODE_ID must be"))
        self.assertTrue(self.complaint("node-id = 'x'").startswith(f"node-id in {self.path} must be"))
        self.assertTrue(self.complaint(default_partitions="0").startswith("--default-partitions must be at least 1"))
        message = self.complaint("[broker]\nnum.partitions = 0")
        self.assertTrue(message.startswith(f"num.partitions in {self.path} must be at least 1"), message)

    def test_unknown_names_are_told_the_nearest(self) -> None:
        self.assertIn("did you mean 'STREAMLINE_NODE_ID'?", self.complaint(None, {"STREAMLINE_NODEID": "1"}))
        self.assertIn("did you mean 'node-id'?", self.complaint("node_id = 1"))
        message = self.complaint("[broker]\nlog.retention.msec = 1")
        self.assertIn("did you mean 'log.retention.ms'?", message)
        self.assertIn(self.path, message)

    def test_a_file_that_cannot_be_used(self) -> None:
        self.assertIn("cannot be read: No such file", self.complaint(config=self.path + "x"))
        self.assertIn("is not TOML", self.complaint("node-id"))
        self.assertIn("in quotes", self.complaint("[broker]\nmax.connections = 1\nmax.connections.per.ip = 1"))
        self.assertIn("must be a table", self.complaint("broker = 1"))
        self.assertIn("must be a string, a number", self.complaint("node-id = 2020-01-01"))

    def test_plugins(self) -> None:
        self.assertIn("did you mean 'segments'?", self.complaint(storage="segmints"))
        self.assertTrue(self.complaint(None, {"STREAMLINE_ACKS": "x"}).startswith("STREAMLINE_ACKS: "))
        self.assertIn("should be key=value", self.complaint(storage="segments:x"))
        self.assertIn("no plugin 'x' for IAuthorizer: none is installed", self.complaint(authorizer="x"))

    def test_an_authorizer_that_nobody_would_ask(self) -> None:
        """It is refused although it is installed: its owner would rely on it."""
        installed = Installed([*BACKENDS.backends, Backend(IAuthorizer, "acme", "Asks Acme.", "acme.Authorizer")])
        given = gather({"authorizer": "acme"}, {})
        message = str(self.assertRaises(ValueError, settle, given, installed))
        self.assertIn("--authorizer has no effect in this release", message)

    def test_choices(self) -> None:
        self.assertIn("--reads must be one of any, leader", self.complaint(reads="all"))
        self.assertIn("--log-format must be one of auto, text, json", self.complaint(log_format="x"))

    def test_clients_must_be_told_an_address(self) -> None:
        self.assertIn("add --advertised-addr", self.complaint(listen="tcp:9092"))
        self.settled(listen="tcp:9092", advertised_addr="k:9092")

    def test_what_a_node_alone_has_no_use_for(self) -> None:
        for option, value in (("cluster_listen", "tcp:1"), ("advertised_cluster_addr", "k:1"), ("seed_nodes", "a:1")):
            message = self.complaint(None, None, consensus="single", **{option: value})
            self.assertIn(f"--{option.replace('_', '-')} has no effect with single consensus", message)

    def test_a_place_for_other_nodes(self) -> None:
        self.assertIn("add --cluster-listen", self.complaint(listen="tcp:65535:interface=127.0.0.1"))
        message = self.complaint(cluster_listen="tcp:1")
        self.assertIn("--cluster-listen tcp:1 does not tell other nodes where to connect", message)
        config = self.settled(listen="tcp:9092", advertised_addr="k.example:19092")
        self.assertEqual(config.advertised_cluster_addr, Endpoint("k.example", 9093))
        config = self.settled(cluster_listen="tcp:1", advertised_cluster_addr="k:2")
        self.assertEqual(config.advertised_cluster_addr, Endpoint("k", 2))
        self.assertIsNone(self.settled(consensus="single").cluster_listen)
