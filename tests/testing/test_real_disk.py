"""The real disk keeps the same contract as the simulated one."""

from __future__ import annotations

from collections.abc import Callable
from queue import SimpleQueue
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any

from twisted.internet.defer import Deferred

from streamline.interfaces import IDisk
from streamline.storage.disk import RealDisk
from streamline.testing.contracts import disk

PATIENCE_S = 30.0


class Pump:
    """As much of a reactor as the real disk needs: what threads want called is called by whoever waits."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[Callable[[], object]] = SimpleQueue()

    def callFromThread(self, function: Callable[[], object]) -> None:
        """Take a call from a thread."""
        self._calls.put(function)

    def addSystemEventTrigger(self, *args: object) -> None:
        """Never shut down."""

    def next(self) -> None:
        """Wait for one call and make it."""
        self._calls.get(timeout=PATIENCE_S)()


class RealDiskContractTests(disk.DiskContract):
    """The operating system's files promise what every disk does."""

    def make_disk(self) -> tuple[IDisk, str]:
        """Use a temporary directory."""
        self.pump = Pump()
        real = RealDisk(self.pump)
        self.addCleanup(real.close)
        root = mkdtemp()
        self.addCleanup(rmtree, root)
        return real, root

    def result_of(self, deferred: Deferred[Any]) -> Any:
        """Wait for the threads."""
        outcome: list[Any] = []
        deferred.addBoth(outcome.append)
        while not outcome:
            self.pump.next()
        if hasattr(outcome[0], "raiseException"):
            outcome[0].raiseException()
        return outcome[0]
