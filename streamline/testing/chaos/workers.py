"""Clients that work in threads of their own until they are told to end."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event, Thread

JOIN_S = 120.0


class Worker:
    """
    Calls L{work} in a thread, from L{start} to L{finish}.

    @ivar complaints: what a client said that it must not say, whatever was done to the cluster.
    @param clock: the time in seconds, the same for all that write into one history.
    """

    def __init__(self, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self.clock = clock
        self.complaints: list[str] = []
        self._ending = Event()
        self._thread = Thread(target=self._run, name=name, daemon=True)

    @property
    def is_ending(self) -> bool:
        """Whether it was told to end."""
        return self._ending.is_set()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def ask_to_end(self) -> None:
        """Tell it to end, and do not wait for that."""
        self._ending.set()

    def finish(self) -> None:
        """End, and wait for that; that it does not end is a complaint."""
        self.ask_to_end()
        self._thread.join(JOIN_S)
        if self._thread.is_alive():
            self.complaints.append(f"{self.name}: stuck for {JOIN_S:g} s after its end")

    def pause(self, seconds: float) -> None:
        """Wait, but not beyond the end."""
        self._ending.wait(seconds)

    def complain(self, what: object) -> None:
        """Note something."""
        self.complaints.append(f"{self.name} at {self.clock():.3f}: {what}")

    def work(self) -> None:
        """Do what there is to do, until L{is_ending}."""
        raise NotImplementedError

    def _run(self) -> None:
        try:
            self.work()
        except Exception as error:
            self.complain(repr(error))
