"""C{streamline demo}: one command, one line to copy, and an end that leaves nothing."""

from __future__ import annotations

import io
import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Timer

from twisted.trial.unittest import SynchronousTestCase

from streamline import __version__
from streamline.cli.main import main
from streamline.model import Endpoint
from streamline.testing.embedded.conversation import Conversation
from tests.testing.cluster_case import metadata

ROOT = Path(__file__).parents[2]
DEADLINE_S = 60.0
BOOTSTRAP = re.compile(r"    ((127\.0\.0\.1:\d+,?)+)\n")


def free_ports(count: int) -> int:
    """Return the first of so many ports in a row that nobody listened on a moment ago."""
    for first in range(20_000, 30_000, count):
        try:
            for number in range(first, first + count):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", number))
        except OSError:
            continue
        return first
    raise AssertionError("there are no free ports")


class Demo:
    """The command as a process; it is killed where it does not end."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "streamline.cli", "demo", *arguments],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._watchdog = Timer(DEADLINE_S, self.process.kill)
        self._watchdog.start()

    def bootstrap(self) -> str:
        """Read what it prints until it says where clients connect."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if found := BOOTSTRAP.fullmatch(line):
                return found[1]
        raise AssertionError(f"it ended: {self.end()}")

    def end(self, number: signal.Signals | None = None) -> tuple[int, str]:
        """Send a signal, or none, and wait for the end; return status and stderr."""
        if number is not None:
            self.process.send_signal(number)
        _, err = self.process.communicate()
        self._watchdog.cancel()
        return self.process.returncode, err


class DemoTests(SynchronousTestCase):
    """It runs a cluster until it is told to end."""

    def cluster_id(self, bootstrap: str) -> str:
        """Return the id that the first node of a cluster tells clients."""
        host, port = bootstrap.split(",")[0].split(":")
        with Conversation(Endpoint(host, int(port)), DEADLINE_S) as talk:
            said = metadata(talk)
        self.assertEqual(len(said.brokers), len(bootstrap.split(",")))
        return said.cluster_id or ""

    def test_three_nodes(self) -> None:
        """They are one cluster on neighbouring ports; SIGINT ends it without a word."""
        first = free_ports(6)
        demo = Demo("--port", str(first))
        bootstrap = demo.bootstrap()
        self.assertEqual(bootstrap, ",".join(f"127.0.0.1:{first + at}" for at in range(3)))
        self.assertNotEqual(self.cluster_id(bootstrap), "")
        self.assertEqual(demo.end(signal.SIGINT), (0, ""))

    def test_data_is_kept(self) -> None:
        """The same directory is the same cluster, on the ports of before; SIGTERM ends it, too."""
        with TemporaryDirectory() as home:
            first = Demo("--nodes", "1", "--data", home, "--port", str(free_ports(2)))
            bootstrap = first.bootstrap()
            cluster_id = self.cluster_id(bootstrap)
            self.assertEqual(first.end(signal.SIGTERM), (0, ""))
            again = Demo("--nodes", "1", "--data", home)
            self.assertEqual(again.bootstrap(), bootstrap)
            self.assertEqual(self.cluster_id(bootstrap), cluster_id)
            self.assertEqual(again.end(signal.SIGTERM), (0, ""))

    def test_port_taken(self) -> None:
        """It says which, and what to do."""
        first = free_ports(2)
        with socket.socket() as other:
            other.bind(("127.0.0.1", first + 1))
            other.listen()
            status, err = Demo("--nodes", "1", "--port", str(first)).end()
        self.assertEqual(status, 1)
        self.assertEqual(
            err,
            f"streamline: ports {first} to {first + 1} are needed, and port {first + 1} is taken; "
            "choose others with --port\n",
        )

    def test_another_cluster_lives_there(self) -> None:
        """A directory of one node is none of three."""
        with TemporaryDirectory() as home:
            (Path(home) / "ports.json").write_text("[29998, 29999]")
            status, err = Demo("--data", home).end()
        self.assertEqual(status, 1)
        self.assertIn("holds a cluster of 1 from port 29998 on", err)


class CommandLineTests(SynchronousTestCase):
    """What is wrong is said before anything is imported."""

    def run_main(self, *arguments: str) -> tuple[object, str]:
        """Run it here; return its status and all that it wrote."""
        written = io.StringIO()
        with redirect_stderr(written), redirect_stdout(written), self.assertRaises(SystemExit) as ended:
            main(arguments)
        return ended.exception.code, written.getvalue()

    def test_version(self) -> None:
        """The package's."""
        self.assertEqual(self.run_main("--version"), (0, f"streamline {__version__}\n"))

    def test_nonsense(self) -> None:
        """Unknown commands, and numbers that are none, or too many."""
        for arguments, words in (
            ((), "required: command"),
            (("demon",), "invalid choice: 'demon'"),
            (("demo", "--nodes", "0"), "must be a number from 1 to 9, not '0'"),
            (("demo", "--port", "http"), "must be a number from 1 to 65535, not 'http'"),
        ):
            status, written = self.run_main(*arguments)
            self.assertEqual(status, 2)
            self.assertIn(words, written)
