"""pytest's fixtures, as a project has them that installed Streamline."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).parents[2]
DEADLINE_S = 120

PROJECT = '''
import logging
import pytest

pytestmark = pytest.mark.streamline(num_partitions=2, default_replication_factor=1)


def test_one_node(streamline_broker, tmp_path):
    assert [node.node_id for node in streamline_broker.nodes] == [1]
    assert streamline_broker.nodes[0].data_dir.is_relative_to(tmp_path)


@pytest.mark.streamline(nodes=2, num_partitions=4)
def test_marked(streamline_cluster):
    assert streamline_cluster.bootstrap.count(",") == 1
    assert streamline_cluster._broker["num.partitions"] == "4"
    assert streamline_cluster._options["default-replication-factor"] == "1"


def test_that_fails(streamline_cluster, caplog):
    caplog.set_level(logging.INFO)
    streamline_cluster.kill(1)
    streamline_cluster.controller()
    assert len(streamline_cluster.nodes) == 4
'''


class FixtureTests(SynchronousTestCase):
    """They start what a test asks for, and cost a project nothing that does not ask."""

    def python(self, *arguments: str, home: str) -> subprocess.CompletedProcess[str]:
        """Run Python in a directory, away from this project's own settings."""
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        environment.pop("PYTEST_ADDOPTS", None)
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=home,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
        )

    def test_in_a_project(self) -> None:
        """Broker, cluster and marker; the log of the nodes stands beside a test that failed."""
        with TemporaryDirectory() as home:
            (Path(home) / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers -W error\n")
            (Path(home) / "test_project.py").write_text(PROJECT)
            ran = self.python("-m", "pytest", "-p", "streamline.testing.fixtures", home=home)
        self.assertIn("1 failed, 2 passed", ran.stdout)
        self.assertIn("assert 3 == 4", ran.stdout)
        self.assertRegex(ran.stdout, r"node [23]: node [23] is the controller, in epoch \d")

    def test_nothing_is_imported(self) -> None:
        """Loading the plugin loads neither Twisted nor attrs, let alone a node."""
        code = "import sys, streamline.testing.fixtures as it; print(sorted({n.split('.')[0] for n in sys.modules}))"
        with TemporaryDirectory() as home:
            loaded = self.python("-c", code, home=home).stdout
        self.assertIn("'streamline'", loaded)
        for heavy in ("twisted", "attrs", "attr", "zope"):
            self.assertNotIn(f"'{heavy}'", loaded)
