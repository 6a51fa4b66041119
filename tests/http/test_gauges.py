"""What a whole node says about itself in numbers."""

from __future__ import annotations

from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from twisted.trial.unittest import SynchronousTestCase

from streamline.cluster.greeting import Reason
from streamline.http.gauges import take_snapshot
from streamline.services.peers import Peers
from streamline.services.pulse import BEAT_S
from tests.broker import Broker, batch_of


class GaugesTests(SynchronousTestCase):
    """Every number is there, with a text that says what it is, and is what has happened."""

    def setUp(self) -> None:
        """Start a node that has something to say."""
        self.broker = Broker().start()
        self.peers: Peers | None = None
        self.broker.create("t", 2)
        self.broker.produce("t", batch_of(b"v", b"w"))

    def scrape(self) -> dict[str, Any]:
        """Return what Prometheus would read, by name."""
        node = self.broker.node
        services = node.broker
        snapshot = take_snapshot("1.0", node.factory, services.metadata, services.replicas, node.pulse, self.peers, 7)
        families = list(text_string_to_metric_families(snapshot.render().decode()))
        for family in families:
            self.assertTrue(family.documentation.endswith("."), family.name)
        return {family.name: family for family in families}

    def value(self, name: str, **labels: str) -> float:
        """Return one number."""
        samples = [sample for family in self.scrape().values() for sample in family.samples if sample.name == name]
        (found,) = [sample.value for sample in samples if labels.items() <= sample.labels.items()]
        return float(found)

    def test_requests_and_topics(self) -> None:
        self.assertEqual(self.value("streamline_requests_total", api="Produce"), 1)
        self.assertEqual(self.value("streamline_cluster_partitions"), 2)
        self.assertEqual(self.value("streamline_topic_records_in_total", topic="t"), 2)
        self.assertEqual(self.value("streamline_log_refusing"), 0)

    def test_cluster(self) -> None:
        """A node alone leads all, is the controller, and has nobody to lag or to refuse."""
        self.assertEqual(self.value("streamline_cluster_brokers"), 1)
        self.assertEqual(self.value("streamline_cluster_fenced_brokers"), 0)
        self.assertEqual(self.value("streamline_quorum_controller"), 1)
        self.assertEqual(self.value("streamline_quorum_term"), 1)
        index = self.broker.node.broker.metadata.consensus.applied_index
        self.assertEqual(self.value("streamline_quorum_applied_index"), index)
        self.assertGreater(self.value("streamline_quorum_commit_seconds_count"), 1)
        self.assertEqual(
            self.value("streamline_quorum_commit_seconds_count"),
            self.value("streamline_quorum_commit_seconds_bucket", le="+Inf"),
        )
        self.assertEqual((self.value("streamline_replicas"), self.value("streamline_replicas_leading")), (2, 2))
        self.assertEqual(self.value("streamline_replicas_under_replicated"), 0)
        self.assertEqual(self.value("streamline_replicas_under_min_isr"), 0)
        self.assertEqual(self.scrape()["streamline_follower_lag_records"].samples, [])
        self.assertNotIn("streamline_peers_refused", self.scrape())
        self.assertEqual(self.value("streamline_partitions_recovered_total"), 7)

    def test_refusals(self) -> None:
        """They are counted by reason, each of which is there from the beginning."""
        self.peers = Peers(self.broker.node.broker.host)
        self.assertEqual(self.value("streamline_peers_connected"), 0)
        self.assertEqual(self.value("streamline_peers_refused_total", reason="stranger"), 0)
        self.peers.refusals.note(Reason.STRANGER, "10.0.0.1", "it said nothing")
        self.assertEqual(self.value("streamline_peers_refused_total", reason="stranger"), 1)
        self.assertEqual(self.value("streamline_peers_refused_total", reason="limit"), 0)

    def test_connections(self) -> None:
        before = self.value("streamline_connections_ended_total")
        client = self.broker.connect()
        self.assertEqual(self.value("streamline_connections"), len(self.broker.node.factory.connections))
        client.give(b"\0\0\0\0")
        self.broker.wait(1)
        self.assertEqual(self.value("streamline_connections_ended_total"), before + 1)

    def test_stalls(self) -> None:
        """A beat that comes late is in the buckets above how late it was."""
        self.broker.wait(20 * BEAT_S)
        pulse = self.broker.node.pulse
        beats = pulse.beats
        self.assertGreaterEqual(beats, 20)
        self.assertEqual(self.value("streamline_reactor_stall_seconds_bucket", le="0.001"), beats)
        pulse._due_s -= 0.03
        self.broker.wait(BEAT_S)
        name = "streamline_reactor_stall_seconds"
        counts = [self.value(f"{name}_bucket", le=bound) for bound in ("0.02", "0.05", "5.0", "+Inf")]
        self.assertEqual(counts, [beats, beats + 1, beats + 1, beats + 1])
        self.assertEqual(self.value(f"{name}_count"), beats + 1)
        self.assertAlmostEqual(self.value(f"{name}_sum"), 0.03, places=4)
        self.assertAlmostEqual(self.value("streamline_reactor_stall_longest_seconds"), 0.03, places=4)

    def test_a_stopped_node_beats_no_more(self) -> None:
        self.broker.node.stopService()
        self.broker.wait(1)
        beats = self.broker.node.pulse.beats
        self.broker.wait(1)
        self.assertEqual(self.broker.node.pulse.beats, beats)
