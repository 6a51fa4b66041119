"""A node in a process of its own: C{twist streamline}, ended by signals, and never left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from threading import Thread

import streamline
from streamline.errors import StartRefused
from streamline.testing.embedded.plans import Plan

READY = "is ready for clients"
"""What a node logs when it serves."""
TAIL_LINES = 40


class OuterNode:
    """
    One node and its processes, one after another.

    @ivar process: the one that lives, or lived last.
    @ivar is_paused: whether it stands still.
    @ivar tail: the last lines of its log.
    @param ended: called, in a thread of its own, when the process has ended.
    """

    def __init__(self, plan: Plan, ended: Callable[[], None]) -> None:
        self.plan = plan
        self.process: subprocess.Popen[str] | None = None
        self.is_paused = False
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._ended = ended
        self._keeper: Thread | None = None

    @property
    def is_running(self) -> bool:
        """Whether it lives, paused or not."""
        return self.process is not None and self.process.poll() is None

    def start(self) -> Future[None]:
        """
        Begin a process; what is returned is done when it serves.

        @raise StartRefused: through the future: it ended instead.
        """
        serving: Future[None] = Future()
        directory = Path(self.plan.data_dir)
        directory.parent.mkdir(parents=True, exist_ok=True)
        config = directory.with_suffix(".toml")
        config.write_text(self.plan.toml())
        # The kernel kills a child when the thread that began it ends: the one which stays as long as the child does.
        self._keeper = Thread(target=self._keep, args=(config, serving), name=directory.name, daemon=True)
        self._keeper.start()
        return serving

    def _keep(self, config: Path, serving: Future[None]) -> None:
        """Begin the process, read what it says until it ends, and tell who waits."""
        given = {name: value for name, value in os.environ.items() if not name.startswith("STREAMLINE_")}
        package = str(Path(streamline.__file__).parents[1])
        paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
        command = [sys.executable, "-m", "streamline.testing.embedded.leash", str(os.getpid())]
        self.process = process = subprocess.Popen(
            [*command, "streamline", "--config", str(config)],
            cwd=config.parent,
            env={**given, "PYTHONPATH": os.pathsep.join(paths)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        assert process.stdout is not None
        with process.stdout, config.with_suffix(".log").open("a", encoding="utf-8") as log:
            for line in process.stdout:
                log.write(line)
                log.flush()
                self.tail.append(line)
                if READY in line and not serving.done():
                    serving.set_result(None)
        process.wait()
        if not serving.done():
            last = "".join(self.tail)
            serving.set_exception(StartRefused(f"node {self.plan.node_id} ended before it served:\n{last}"))
        self._ended()

    def signal(self, number: signal.Signals) -> None:
        """Send the process a signal; fine where it has ended."""
        if self.process is not None:
            self.process.send_signal(number)

    def pause(self) -> None:
        """Hold it, and return when it stands still."""
        if self.process is None or not self.is_running or self.is_paused:
            return
        self.is_paused = True
        self.signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self) -> None:
        """Let it go on."""
        if self.is_paused:
            self.is_paused = False
            self.signal(signal.SIGCONT)

    def wait(self, timeout_s: float) -> None:
        """
        Wait until its process has ended and all that it said is written down.

        @raise TimeoutError: it has not.
        """
        if self._keeper is None:
            return
        self._keeper.join(timeout_s)
        if self._keeper.is_alive():
            raise TimeoutError(f"waited {timeout_s:g} s in vain for node {self.plan.node_id} to end")
        self.is_paused = False
