"""A cluster of processes: ended by signals, cut off by proxies, and never left behind."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from twisted.trial.unittest import SynchronousTestCase

from streamline.errors import StartRefused
from streamline.testing import Cluster
from tests.testing.cluster_case import create, metadata, produce, talk_to, values_of

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
DEADLINE_S = 60.0
SILENCE_S = 0.3

DIES = """
import os, sys
from streamline.testing import Cluster
cluster = Cluster(1, processes=True, data_dir=sys.argv[1])
cluster.start()
if sys.argv[2] == "paused":
    cluster.pause(1)
print(cluster.nodes[0].pid, flush=True)
sys.stdin.read()
os._exit(1)
"""


class ProcessTests(SynchronousTestCase):
    """What can be done to nodes of one process can be done to processes."""

    def setUp(self) -> None:
        """Have modules compiled once, as where they are installed."""
        self.patch(os, "environ", {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"})

    def test_damage(self) -> None:
        """Nodes are killed, held and cut off; the others go on, and in the end all are there with their records."""
        with Cluster(3, processes=True, default_replication_factor=1, consensus="raft:tick_ms=50") as cluster:
            self.assertEqual(len({node.pid for node in cluster.nodes} - {None, os.getpid()}), 3)
            create(cluster, "orders", partitions=3)
            for partition in range(3):
                produce(cluster, "orders", [b"a"], partition)

            dead = cluster.controller()
            cluster.kill(dead)
            self.assertNotEqual(cluster.controller(), dead)
            self.assertIsNone(cluster.nodes[dead - 1].pid)
            cluster.restart()

            lonely = cluster.controller()
            cluster.isolate(lonely)
            self.assertNotEqual(cluster.controller(), lonely)
            cluster.heal()
            cluster.wait_all(lonely)

            still = cluster.controller()
            cluster.pause(still)
            with talk_to(cluster, still, SILENCE_S) as talk:
                self.assertRaises(TimeoutError, metadata, talk)
            self.assertNotEqual(cluster.controller(), still)
            cluster.resume()
            cluster.wait_all(still)

            self.assertEqual([values_of(cluster, "orders", at) for at in range(3)], [[b"a"]] * 3)
            self.assertRaises(ValueError, cluster.isolate, 1, clients=True)
            pids = [node.pid for node in cluster.nodes]
        self.assertEqual([pid for pid in pids if pid is not None and is_there(pid)], [])

    def test_a_node_that_cannot_start(self) -> None:
        """What it said is raised."""
        with TemporaryDirectory() as home:
            (Path(home) / "node-1").write_text("")
            with self.assertRaises(StartRefused) as caught:
                Cluster(1, processes=True, data_dir=home).start()
        self.assertIn("is not a directory", str(caught.exception))

    def test_nobody_is_left_behind(self) -> None:
        """A process that dies takes its nodes along, those that stand still as well."""
        for state in ("running", "paused"):
            with TemporaryDirectory() as home:
                self.outlived(home, state)

    def outlived(self, home: str, state: str) -> None:
        """Have a process die that runs a node, and wait until the node has gone."""
        arguments = [sys.executable, "-c", DIES, home, state]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        with subprocess.Popen(
            arguments, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as owner:
            assert owner.stdout is not None and owner.stdin is not None
            node = os.pidfd_open(int(owner.stdout.readline()))
            try:
                self.assertEqual(select.select([node], [], [], 0)[0], [])
                owner.stdin.close()
                self.assertEqual(select.select([node], [], [], DEADLINE_S)[0], [node])
            finally:
                os.close(node)


def is_there(pid: int) -> bool:
    """Say whether there is such a process."""
    return Path(f"/proc/{pid}").exists()
