"""
A broker as a child process: Streamline, or the Apache Kafka that the suites are proved against.

Everything binds to loopback, keeps its data in a directory of its own, and is ended by process id. A broker
counts as started when it has answered an ApiVersions request, which is the first thing every client asks.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from tests.clients.programs import run

ROOT = Path(__file__).resolve().parents[2]
KAFKA_LIBS = ROOT / ".cache" / "kafka" / "libs"

#: What Kafka's own start script passes to the JVM, but for the heap.
KAFKA_JVM_OPTIONS = (
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-Djava.awt.headless=true",
)

#: Settings that spare the tests waiting: no pause before a group's first rebalance, and short sessions.
SINGLE_NODE_SETTINGS = {
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "offsets.topic.num.partitions": "3",
}

_METADATA_V0 = struct.pack(">ihhihi", 14, 3, 0, 1, -1, 0)
"""A node that has not yet found its cluster answers ApiVersions, and no client with this."""


class BrokerFailed(Exception):
    """A broker ended, or did not answer in time; the message holds the end of its log."""


def free_port() -> int:
    """Return a loopback port that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def new_cluster_id() -> str:
    """Return a cluster id that does not begin with a dash: Kafka's tools would take it for an option."""
    return urlsafe_b64encode(b"\0" + uuid.uuid4().bytes[1:]).decode().rstrip("=")


def answers(port: int, request: bytes = _METADATA_V0, timeout_s: float = 1.0) -> bool:
    """
    Ask 127.0.0.1:C{port} once; True when a whole answer came back in time.

    @param request: a frame with its length and correlation id 1; Metadata 0 unless told otherwise.
    """
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=timeout_s) as connection:
            connection.sendall(request)
            answer = connection.makefile("rb")
            head = answer.read(4)
            return len(head) == 4 and len(answer.read(int.from_bytes(head, "big"))) >= 4
    except OSError:
        return False


class BrokerProcess:
    """One broker on loopback, restarted on the same ports and data as often as a test likes."""

    name = ""

    def __init__(self, directory: Path, settings: Mapping[str, str] | None = None) -> None:
        self.directory = directory
        self.directory.mkdir(parents=True, exist_ok=True)
        self.settings = {**SINGLE_NODE_SETTINGS, **(settings or {})}
        self.port = free_port()
        self.data_dir = directory / "data"
        self.log_path = directory / "broker.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._prepared = False

    @property
    def bootstrap(self) -> str:
        """The host:port that clients start from."""
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The process id of the running broker."""
        if self._process is None:
            raise BrokerFailed(f"{self.name} is not running")
        return self._process.pid

    def command(self) -> Sequence[str]:
        """The command line that runs the broker in the foreground."""
        raise NotImplementedError

    def prepare(self) -> None:
        """Write configuration and format storage; the first start does it, if nobody has before."""
        self._prepared = True

    def environment(self) -> dict[str, str]:
        """The child's environment."""
        return dict(os.environ)

    def segments(self, topic: str, partition: int = 0) -> Path:
        """The directory that holds the partition's segments."""
        [found] = self.data_dir.rglob(f"{topic}-{partition}")
        return found

    def start(self, deadline_s: float = 60.0) -> float:
        """
        Start the process and wait until it answers.

        @return: seconds from starting the process to its first answer.
        @raise BrokerFailed: it ended, or C{deadline_s} passed.
        """
        if not self._prepared:
            self.prepare()
        self._started = time.monotonic()
        with open(self.log_path, "ab") as log:
            self._process = subprocess.Popen(
                self.command(),
                cwd=self.directory,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        while not answers(self.port):
            if self._ended(within_s=0.005) or self.seconds_since_start() > deadline_s:
                self.kill()
                raise BrokerFailed(f"{self.name} did not start:\n{self.log_tail()}")
        return self.seconds_since_start()

    def seconds_since_start(self) -> float:
        """Seconds since the process was started."""
        return time.monotonic() - self._started

    def _ended(self, within_s: float) -> bool:
        """Wait that long for the process to end."""
        assert self._process is not None
        try:
            self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> None:
        """End the process with SIGKILL, as a crash would; nothing it holds in memory is saved."""
        self._end(signal.SIGKILL, 10.0)

    def stop(self, deadline_s: float = 30.0) -> int:
        """
        Ask the process to stop, with SIGTERM.

        @return: its exit code.
        @raise BrokerFailed: it was still running after C{deadline_s}, and was killed.
        """
        code = self._end(signal.SIGTERM, deadline_s)
        if code is None:
            self.kill()
            raise BrokerFailed(f"{self.name} did not stop in {deadline_s} s:\n{self.log_tail()}")
        return code

    def _end(self, how: signal.Signals, deadline_s: float) -> int | None:
        if self._process is None:
            return 0
        self._process.send_signal(how)
        try:
            code = self._process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            return None
        self._process = None
        return code

    def log_tail(self, size: int = 4000) -> str:
        """The last C{size} characters of what the broker printed; none when it never ran."""
        if not self.log_path.exists():
            return ""
        return self.log_path.read_text(errors="replace")[-size:]


class StreamlineBroker(BrokerProcess):
    """A Streamline node, run by C{twist streamline} from this source tree."""

    name = "streamline"

    def __init__(
        self,
        directory: Path,
        settings: Mapping[str, str] | None = None,
        options: Sequence[str] = (),
        node_id: int = 1,
    ) -> None:
        super().__init__(directory, settings)
        self.options = tuple(options)
        self.node_id = node_id
        self.cluster_port = 0
        self.http_port = free_port()

    def prepare(self) -> None:
        """Write the broker settings to a TOML file; the data directory is made by the node."""
        super().prepare()
        rows = [f"{json.dumps(key)} = {json.dumps(value)}" for key, value in self.settings.items()]
        (self.directory / "node.toml").write_text("\n".join(["[broker]", *rows, ""]))

    def environment(self) -> dict[str, str]:
        """This source tree first on the import path, and its modules compiled once, as an installation has them."""
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        return {**kept, "PYTHONPATH": str(ROOT)}

    def command(self) -> Sequence[str]:
        """C{python -m twisted} is C{twist}."""
        return (
            sys.executable,
            "-m",
            "twisted",
            "streamline",
            f"--node-id={self.node_id}",
            f"--listen=tcp:{self.port}:interface=127.0.0.1",
            f"--cluster-listen=tcp:{self.cluster_port}:interface=127.0.0.1",
            f"--http-listen=tcp:{self.http_port}:interface=127.0.0.1",
            f"--data-dir={self.data_dir}",
            f"--config={self.directory / 'node.toml'}",
            *self.options,
        )


class KafkaBroker(BrokerProcess):
    """An Apache Kafka node in KRaft mode, from the jars that C{.ci/jvm} resolved."""

    name = "kafka"

    def __init__(
        self,
        directory: Path,
        settings: Mapping[str, str] | None = None,
        jvm_options: Sequence[str] = ("-Xmx512m", "-XX:TieredStopAtLevel=1"),
        advertised_port: int | None = None,
    ) -> None:
        super().__init__(directory, settings)
        self.controller_port = free_port()
        self.cluster_id = new_cluster_id()
        self.advertised_port = advertised_port or self.port
        self.jvm_options = tuple(jvm_options)

    def prepare(self) -> None:
        """Write server.properties and format the log directory."""
        super().prepare()
        listener, controller = f"127.0.0.1:{self.port}", f"127.0.0.1:{self.controller_port}"
        properties = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "listeners": f"PLAINTEXT://{listener},CONTROLLER://{controller}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self.advertised_port}",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
            "controller.quorum.voters": f"1@{controller}",
            "log.dirs": str(self.data_dir),
            "offsets.topic.replication.factor": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            **self.settings,
        }
        path = self.directory / "server.properties"
        path.write_text("".join(f"{key}={value}\n" for key, value in properties.items()))
        run(java("kafka.tools.StorageTool", "format", "-t", self.cluster_id, "-c", str(path)))

    def command(self) -> Sequence[str]:
        """The broker's main class, with the JVM flags of Kafka's start script."""
        flags = (*KAFKA_JVM_OPTIONS, *self.jvm_options)
        return java("kafka.Kafka", str(self.directory / "server.properties"), jvm_options=flags)


class BrokerMaker(Protocol):
    """Makes a broker in a directory, with Kafka's settings."""

    def __call__(self, directory: Path, settings: Mapping[str, str] | None = None) -> BrokerProcess:
        """Make it; nothing runs yet."""


def java(main: str, *arguments: str, jvm_options: Sequence[str] = ()) -> list[str]:
    """
    The command line of a class in Kafka's jars.

    @raise BrokerFailed: the jars are not there; C{.ci/jvm} fetches them.
    """
    if not KAFKA_LIBS.is_dir():
        raise BrokerFailed("Apache Kafka's jars are missing: run .ci/jvm")
    return ["java", *jvm_options, "-cp", f"{KAFKA_LIBS}/*", main, *arguments]
