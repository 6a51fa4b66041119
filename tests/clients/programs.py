"""Run client programs: to their end, or followed while they run."""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Sequence
from types import TracebackType

from tests.clients.drivers.base import DEADLINE_S


def run(command: Sequence[str], text: str = "", *, with_errors: bool = False) -> str:
    """
    Run a program to its end and return what it printed.

    @param with_errors: return what it complained of as well, behind that.
    @raise AssertionError: it failed; the message holds what it complained of.
    """
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=DEADLINE_S)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr if with_errors else done.stdout


class Followed:
    """
    A program that runs on while its lines, of both outputs, are read.

    Leaving the context ends it, with SIGTERM first, as a user would.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self.command = command
        self.lines: list[str] = []
        self._printed = threading.Condition()

    def __enter__(self) -> Followed:
        self._process = subprocess.Popen(
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.end()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._printed:
                self.lines.append(line.rstrip("\n"))
                self._printed.notify_all()

    def end(self) -> None:
        """Ask the program to stop and wait until it has."""
        self._process.terminate()
        try:
            self._process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(DEADLINE_S)

    def until(self, pattern: str, after: int = 0) -> int:
        """
        Wait until a line matches, and return the number of lines up to and with it.

        @raise AssertionError: none did in time; the message holds all lines.
        """
        wanted = re.compile(pattern)

        def found() -> int:
            numbers = range(after, len(self.lines))
            return next((number + 1 for number in numbers if wanted.search(self.lines[number])), 0)

        with self._printed:
            assert self._printed.wait_for(found, DEADLINE_S), f"no {pattern!r} in {self.lines}"
            return found()
