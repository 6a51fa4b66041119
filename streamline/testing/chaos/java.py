"""
Kafka's own verifiable producer, in a JVM: it sends numbers, and prints what became of each.

It needs C{java}, and Kafka's jars in a directory that C{STREAMLINE_KAFKA_LIBS} names.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from streamline.model import TopicPartition
from streamline.testing.chaos.workers import Worker
from streamline.testing.chaos.writers import ACKS_ALL, PATIENCE_S
from streamline.testing.history import INFO, OK, History, Send

LIBS = "STREAMLINE_KAFKA_LIBS"
MAIN_CLASS = "org.apache.kafka.tools.VerifiableProducer"
JVM_OPTIONS = ("-Xmx128m", "-XX:TieredStopAtLevel=1", "-Xshare:auto")
KEYS = 1000
"""So many keys spread records over all partitions; without any, one partition gets them for a while."""
LONGEST_S = 4 * 3600
"""It ends by itself after about so long, whatever becomes of this process."""
CLOSED = "Producer closed while send in progress"
LAST_LINES = 20


def is_there() -> bool:
    """Say whether there is a JVM, and whether the jars are where it is said that they are."""
    return shutil.which("java") is not None and Path(os.environ.get(LIBS, "-")).is_dir()


class JavaWriter(Worker):
    """
    The producer, idempotent and patient.

    @param keys: the partitions of one topic, all of them.
    @param per_second: how many records it sends.
    """

    def __init__(
        self,
        name: str,
        bootstrap: str,
        history: History,
        keys: Sequence[TopicPartition],
        per_second: float,
        clock: Callable[[], float],
    ) -> None:
        super().__init__(name, clock)
        self.bootstrap = bootstrap
        self.topic = keys[0].topic
        self._keys = keys
        self._per_second = per_second
        self._history = history
        self._prefix = zlib.crc32(name.encode()) >> 1  # a number that fits its own
        self._answered: set[int] = set()
        self._unfinished: set[int] = set()
        """What was under way when it was told to end: it does not always wait for all of that."""
        self._sent = -1
        self._last: list[str] = []
        self._process: subprocess.Popen[str] | None = None

    def command(self, config: Path) -> list[str]:
        """
        Return what is run.

        @raise KeyError: nobody says where the jars are.
        """
        arguments = {
            "--topic": self.topic,
            "--bootstrap-server": self.bootstrap,
            "--throughput": str(round(self._per_second)),
            "--max-messages": str(round(self._per_second * LONGEST_S)),
            "--acks": str(ACKS_ALL),
            "--value-prefix": str(self._prefix),
            "--repeating-keys": str(KEYS),
            "--command-config": str(config),
        }
        classes = str(Path(os.environ[LIBS]).absolute() / "*")
        words = [word for pair in arguments.items() for word in pair]
        return ["java", *JVM_OPTIONS, "-cp", classes, MAIN_CLASS, *words]

    def settings(self) -> str:
        """Return what the producer is told beside that: the tool alone would not try again."""
        patience_ms = int(PATIENCE_S * 1000)
        told = {
            "client.id": self.name,
            "enable.idempotence": "true",
            "retries": 2**31 - 1,
            "delivery.timeout.ms": patience_ms,
            "max.block.ms": patience_ms,
        }
        return "".join(f"{name}={value}\n" for name, value in told.items())

    def work(self) -> None:
        """Run it, and read what it prints, until it has said what became of everything."""
        with tempfile.TemporaryDirectory() as home:
            config = Path(home) / "producer.properties"
            config.write_text(self.settings())
            with subprocess.Popen(
                self.command(config),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            ) as self._process:
                if self.is_ending:
                    self._process.terminate()
                assert self._process.stdout is not None
                for line in self._process.stdout:
                    self._heard(line)
        self._judge()

    def ask_to_end(self) -> None:
        """Have it finish what it has begun, and end."""
        super().ask_to_end()
        if self._process is not None:
            self._process.terminate()

    def _heard(self, line: str) -> None:
        try:
            said = json.loads(line)
        except ValueError:
            self._last = [*self._last, line][-LAST_LINES:]
            return
        if said.get("name") == "producer_send_success":
            self._acked(said)
        elif said.get("name") == "producer_send_error":
            self._failed(said)
        elif said.get("name") == "tool_data":
            self._sent = int(said["sent"])

    def _failed(self, said: dict[str, Any]) -> None:
        if self.is_ending and CLOSED in str(said.get("message")):
            self._unfinished.add(number_of(said))
        else:
            self.complain(f"{said.get('value')} failed: {said.get('exception')} {said.get('message')}")

    def _acked(self, said: dict[str, Any]) -> None:
        number = number_of(said)
        self._answered.add(number)
        key, at = TopicPartition(said["topic"], said["partition"]), self.clock()
        self._history.sends.append(
            Send(self.name, key, said["value"], number, at, ACKS_ALL, True, OK, said["offset"], at)
        )

    def _judge(self) -> None:
        """Complain of what was never answered; such a record may be anywhere."""
        if self._sent < 0:
            self.complain(f"ended without saying what became of its records: {''.join(self._last)}")
        lost = [number for number in range(self._sent) if number not in self._answered]
        if missing := [number for number in lost if number not in self._unfinished]:
            self.complain(f"{len(missing)} sends were not acknowledged, the first of them {self._prefix}.{missing[0]}")
        for number in lost:
            for key in self._keys:
                value = f"{self._prefix}.{number}"
                self._history.sends.append(Send(self.name, key, value, number, self.clock(), ACKS_ALL, True, INFO))


def number_of(said: dict[str, Any]) -> int:
    """Return which record a line is about; the tool puts its prefix before that."""
    return int(said["value"].partition(".")[2])
