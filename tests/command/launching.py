"""Runs the command under each launcher, as users do, and ends it by process id."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any

from tests.clients.brokers import answers

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_S = 30.0
SLICES = 30
"""A deadline is waited for in so many pieces: a time in which somebody had stopped us takes one of them, not all."""

_TWISTD = [sys.executable, "-c", "from twisted.scripts.twistd import run; run()"]

TWIST = "twist"
TWISTD_FOREGROUND = "twistd -n"
TWISTD_DAEMON = "twistd"
LAUNCHERS: Mapping[str, Sequence[str]] = {
    TWIST: [sys.executable, "-m", "twisted"],
    TWISTD_FOREGROUND: [*_TWISTD, "-n"],
    TWISTD_DAEMON: _TWISTD,
}


def until_served(port: int) -> None:
    """Wait until a node serves clients there."""
    started = time.monotonic()
    while not answers(port):
        assert time.monotonic() - started < DEADLINE_S, "nobody serves there"
        time.sleep(0.005)


class Launched:
    """
    A command that was started in a directory, in a clean environment.

    @ivar process: what was started; of a daemon, the parent that waits for it.
    """

    def __init__(
        self,
        directory: Path,
        arguments: Sequence[str],
        environment: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        self.directory = directory
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("STREAMLINE_")}
        settings: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        self.process = subprocess.Popen(
            arguments,
            cwd=directory,
            env={**inherited, "PYTHONPATH": str(ROOT), **(environment or {})},
            stdin=subprocess.DEVNULL,
            text=True,
            **settings,
        )

    def ended(self, deadline_s: float = DEADLINE_S) -> tuple[int, str, str]:
        """Wait for the end; return exit status, stdout and stderr."""
        for _ in range(SLICES):
            try:
                out, err = self.process.communicate(timeout=deadline_s / SLICES)
            except subprocess.TimeoutExpired:
                continue
            return self.process.returncode, out, err
        self.process.kill()
        out, err = self.process.communicate()
        raise AssertionError(f"still running after {deadline_s} s:\n{out}\n{err}")

    def until_ready(self) -> list[str]:
        """Read the log on stdout until the node says that it is ready; return its lines so far."""
        assert self.process.stdout is not None
        read = Event()
        Thread(target=self._kill_unless, args=(read,), daemon=True).start()
        try:
            return read_until(self.process.stdout, "is ready for clients")
        finally:
            read.set()

    def _kill_unless(self, read: Event) -> None:
        if not any(read.wait(DEADLINE_S / SLICES) for _ in range(SLICES)):
            self.process.kill()

    def until_answering(self, port: int) -> None:
        """Wait for a node whose log goes elsewhere."""
        started = time.monotonic()
        while not answers(port):
            assert time.monotonic() - started < DEADLINE_S, "it does not answer"
            try:
                self.process.wait(0.005)
            except subprocess.TimeoutExpired:
                continue
            raise AssertionError(f"it ended: {self.ended()}")

    def signalled(self, number: signal.Signals) -> tuple[int, str, str]:
        """Send a signal and wait for the end, as L{ended}."""
        self.process.send_signal(number)
        return self.ended()

    def kill(self) -> None:
        """Make sure that nothing stays behind, a daemon included."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()
        pid_file = self.directory / "twistd.pid"
        if pid_file.exists():
            Daemon(int(pid_file.read_text())).end(signal.SIGKILL)


class Daemon:
    """A process that is not our child."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def end(self, number: signal.Signals) -> None:
        """Send a signal and wait until the process has gone; fine where it has gone already."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)
        self.await_end()

    def await_end(self) -> None:
        """Wait until the process has gone; fine where it has gone already."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return
        try:
            waits = (select.select([descriptor], [], [], DEADLINE_S / SLICES) for _ in range(SLICES))
            assert any(ready for ready, _, _ in waits), f"process {self.pid} has not ended after {DEADLINE_S} s"
        finally:
            os.close(descriptor)


def read_until(stream: Iterable[str], words: str) -> list[str]:
    """Read lines until one holds these words; it is a failure if none does."""
    lines: list[str] = []
    for line in stream:
        lines.append(line.rstrip("\n"))
        if words in line:
            return lines
    raise AssertionError(f"no line says {words!r}:\n" + "\n".join(lines))


def events(text: str) -> list[dict[str, Any]]:
    """Read JSON lines; anything else is a failure."""
    return [json.loads(line) for line in text.splitlines()]
