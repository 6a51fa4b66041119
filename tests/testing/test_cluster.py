"""A cluster in this process: its nodes are real, and what is done to them is what happens to processes."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from streamline.errors import StartRefused
from streamline.storage.layout import CLEAN_SHUTDOWN
from streamline.testing import Cluster
from streamline.testing.embedded.conversation import is_led_there
from tests.testing.cluster_case import (
    address_of,
    create,
    metadata,
    open_files,
    produce,
    talk_to,
    values_of,
)

SILENCE_S = 0.3
"""How long nothing has to come for a test to believe that nothing does."""


class Home(SynchronousTestCase):
    """A temporary directory, and clusters that end with the test."""

    def setUp(self) -> None:
        """Make the directory."""
        temporary = TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.home = Path(temporary.name)

    def cluster(self, nodes: int = 3, **settings: Any) -> Cluster:
        """Start a cluster that keeps its data, whose topics have one replica, and which is quick to elect."""
        chosen: dict[str, Any] = {"default_replication_factor": 1, "consensus": "raft:tick_ms=20", **settings}
        cluster = Cluster(nodes, data_dir=self.home / "data", sync=False, **chosen)
        self.addCleanup(cluster.stop, clean=False)
        cluster.start()
        return cluster


class ClusterTests(Home):
    """Three nodes are one cluster."""

    def test_every_node_knows_all(self) -> None:
        """Each lists three brokers at the addresses of the bootstrap line, and the same controller."""
        cluster = self.cluster()
        for node in cluster.nodes:
            with talk_to(cluster, node.node_id) as talk:
                said = metadata(talk)
            addresses = ",".join(f"{one.host}:{one.port}" for one in sorted(said.brokers, key=lambda one: one.node_id))
            self.assertEqual(addresses, cluster.bootstrap)
            self.assertEqual(said.controller_id, cluster.controller())

    def test_records_of_all_leaders(self) -> None:
        """Partitions are led by different nodes, and records are read from each."""
        cluster = self.cluster()
        create(cluster, "orders", partitions=3)
        for partition in range(3):
            produce(cluster, "orders", [b"a", b"b%d" % partition], partition)
        self.assertEqual({cluster.leader("orders", partition) for partition in range(3)}, {1, 2, 3})
        for partition in range(3):
            self.assertEqual(values_of(cluster, "orders", partition), [b"a", b"b%d" % partition])
        self.assertEqual(cluster.wait_isr("orders", 2), (cluster.leader("orders", 2),))

    def test_many_at_once(self) -> None:
        """Two clusters of one process know nothing of each other."""
        with Cluster(1) as one, Cluster(1) as other:
            create(one, "orders")
            ids = []
            for cluster in (one, other):
                with talk_to(cluster, 1) as talk:
                    ids.append(metadata(talk).cluster_id)
            self.assertNotEqual(*ids)
            with self.assertRaises(TimeoutError):
                other.leader("orders", timeout_s=0.05)

    def test_nothing_is_left(self) -> None:
        """After its end no file, socket or directory of a cluster is there."""
        Cluster(1).__enter__().stop()  # whatever is opened once for all
        before = open_files()
        with Cluster(2) as cluster:
            directory = cluster.nodes[0].data_dir
            cluster.kill(2)
        self.assertEqual(open_files() - before, set())
        self.assertFalse(directory.parent.exists())

    def test_a_leader_says_itself_that_it_leads(self) -> None:
        """Of two replicas one serves the partition; a node that has not heard of its leadership is not named yet."""
        cluster = self.cluster(2)
        create(cluster, "orders", replicas=2)
        leading = []
        for node_id in cluster.node_ids:
            with talk_to(cluster, node_id) as talk:
                leading += [node_id] * is_led_there(talk, "orders", 0)
        self.assertEqual(leading, [cluster.leader("orders", 0)])

    def test_data_that_is_kept(self) -> None:
        """The next cluster in the same directory goes on where the last one ended, on the same ports."""
        first = self.cluster(2)
        create(first, "orders")
        produce(first, "orders", [b"a"])
        first.stop(clean=True)
        again = self.cluster(2)
        self.assertEqual(again.bootstrap, first.bootstrap)
        self.assertEqual(values_of(again, "orders"), [b"a"])


class DamageTests(Home):
    """What is done to nodes is what happens to processes."""

    def test_killed(self) -> None:
        """Another node is the controller; the dead one refuses connections, and said no farewell; it comes back."""
        cluster = self.cluster(num_partitions=3)
        create(cluster, "orders", partitions=3)
        for partition in range(3):
            produce(cluster, "orders", [b"a"], partition)
        dead = cluster.controller()
        cluster.kill(dead)
        self.assertNotEqual(cluster.controller(), dead)
        node = cluster.nodes[dead - 1]
        self.assertFalse(node.is_running)
        with self.assertRaises(ConnectionRefusedError):
            talk_to(cluster, dead)
        self.assertEqual([path for path in node.data_dir.rglob(CLEAN_SHUTDOWN)], [])
        cluster.restart()
        self.assertTrue(node.is_running)
        self.assertEqual([values_of(cluster, "orders", at) for at in range(3)], [[b"a"]] * 3)

    def test_all_killed(self) -> None:
        """Nodes that were all dead find each other again."""
        cluster = self.cluster()
        create(cluster, "orders")
        cluster.kill(1, 2, 3)
        cluster.restart()
        self.assertIn(cluster.leader("orders"), (1, 2, 3))

    def test_shut_down(self) -> None:
        """A node that is told to stop says so to its directory."""
        cluster = self.cluster()
        cluster.shut_down(2)
        self.assertNotEqual(list(cluster.nodes[1].data_dir.rglob(CLEAN_SHUTDOWN)), [])

    def test_paused(self) -> None:
        """The kernel takes connections of a node that stands still, and nothing answers until it goes on."""
        cluster = self.cluster(1)
        cluster.pause(1)
        with talk_to(cluster, 1, SILENCE_S) as talk:
            self.assertRaises(TimeoutError, metadata, talk)
        self.assertTrue(cluster.nodes[0].is_paused)
        cluster.resume()
        with talk_to(cluster, 1) as talk:
            self.assertEqual(metadata(talk).controller_id, 1)

    def test_isolated(self) -> None:
        """The others have another controller; clients still reach the old one; healing makes them three again."""
        cluster = self.cluster()
        lonely = cluster.controller()
        cluster.isolate(lonely)
        self.assertNotEqual(cluster.controller(), lonely)
        with talk_to(cluster, lonely) as talk:
            self.assertEqual(len(metadata(talk).brokers), 3)
        cluster.heal()
        cluster.wait_all(lonely)

    def test_cut_off_from_clients(self) -> None:
        """What a client asks waits, on connections old and new, and is answered when they are healed."""
        cluster = self.cluster(1)
        with talk_to(cluster, 1) as old:
            metadata(old)
            cluster.isolate(1, clients=True)
            old.timeout(SILENCE_S)
            self.assertRaises(TimeoutError, metadata, old)
            with talk_to(cluster, 1, SILENCE_S) as new:
                self.assertRaises(TimeoutError, metadata, new)
        cluster.heal()
        with talk_to(cluster, 1) as talk:
            self.assertEqual(metadata(talk).controller_id, 1)

    def test_paused_and_stopped(self) -> None:
        """A cluster ends whatever state its nodes are in."""
        cluster = self.cluster()
        cluster.pause(1)
        cluster.kill(2)
        cluster.isolate(3)
        cluster.stop()
        self.assertFalse(cluster.nodes[0].is_running)


class RefusalTests(Home):
    """What cannot be is said, and nothing is left of the attempt."""

    def test_waiting_in_vain(self) -> None:
        """The message says what was waited for, and what was there instead."""
        cluster = self.cluster(1)
        create(cluster, "orders")
        with self.assertRaises(TimeoutError) as caught:
            cluster.wait_isr("orders", 0, 2, timeout_s=0.05)
        self.assertEqual(
            str(caught.exception),
            "waited 0.05 s in vain for partition 0 of orders to have 2 in sync: "
            "in sync are [1], and the replicas are [1]",
        )

    def test_settings(self) -> None:
        """Unknown ones, wrong ones, and those that are the cluster's own."""
        for setting, words in (
            ("num_partition", "there is no setting 'num_partition'; did you mean 'num_partitions'?"),
            ("node_id", "node_id is for the cluster to choose"),
        ):
            given: dict[str, Any] = {setting: 2}
            with self.assertRaises(TypeError) as caught:
                Cluster(**given)
            self.assertEqual(str(caught.exception), words)
        with self.assertRaises(ValueError) as wrong:
            Cluster(1, num_partitions=0).start()
        self.assertIn("num.partitions must be at least 1", str(wrong.exception))

    def test_settings_reach_nodes(self) -> None:
        """Kafka's settings and the command's options are both taken."""
        cluster = self.cluster(1, storage="memory", num_partitions=5)
        create(cluster, "orders", partitions=-1)
        self.assertEqual(cluster.leader("orders", 4), 1)
        self.assertEqual([one for one in os.listdir(cluster.nodes[0].data_dir) if one.startswith("orders")], [])

    def test_a_node_that_cannot_start(self) -> None:
        """Its own sentence is raised, and the others do not stay."""
        (self.home / "data").mkdir()
        (self.home / "data" / "node-2").write_text("")
        before = open_files()
        with self.assertRaises(StartRefused) as caught:
            self.cluster()
        self.assertIn("is not a directory", str(caught.exception))
        self.assertEqual(open_files() - before, set())

    def test_no_such_node(self) -> None:
        """Nodes have the ids from 1 on."""
        cluster = self.cluster(1)
        with self.assertRaises(ValueError) as caught:
            cluster.kill(2)
        self.assertEqual(str(caught.exception), "there is no node 2; there are [1]")

    def test_another_cluster_lives_there(self) -> None:
        """A directory is for as many nodes as it was begun with."""
        self.cluster(1).stop(clean=False)
        with self.assertRaises(ValueError) as caught:
            self.cluster(2)
        self.assertIn("holds a cluster of 1 from port", str(caught.exception))
        self.assertEqual(address_of(self.cluster(1), 1).host, "127.0.0.1")
