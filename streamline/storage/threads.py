"""
Threads that wait for a device, and the bell that brings their results home.

Used by L{streamline.storage.disk} alone.  The threads are daemons: one stuck in
a dying disk does not keep the process alive.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any

from twisted.internet.interfaces import IReactorFDSet, IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

Done = Callable[[Any], Any]
"""Takes a result, or a L{Failure}, in the reactor's thread."""


@implementer(IReadDescriptor)
class Doorbell:
    """
    Brings calls from threads into the reactor.

    An C{eventfd} where the reactor can watch one: its round trip takes 23 us,
    that of C{callFromThread} 26 to 38.
    """

    log = Logger()

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._calls: SimpleQueue[tuple[Done, Any]] = SimpleQueue()
        self._lock = Lock()
        self._open = True
        self._fd = -1
        if IReactorFDSet.providedBy(reactor) and hasattr(os, "eventfd"):
            self._fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
            reactor.addReader(self)

    def ring(self, done: Done, result: Any) -> None:
        """Have C{done(result)} called by the reactor; for any thread, and without effect after L{close}."""
        self._calls.put((done, result))
        with self._lock:  # or the number of a closed eventfd, in use again for something else, might be written to
            if not self._open:
                return
            if self._fd >= 0:
                os.eventfd_write(self._fd, 1)
            else:
                self._reactor.callFromThread(self._answer)

    def doRead(self) -> None:
        """Hear the bell."""
        os.eventfd_read(self._fd)
        self._answer()

    def _answer(self) -> None:
        for _ in range(self._calls.qsize()):
            done, result = self._calls.get()
            try:
                done(result)
            except Exception:
                self.log.failure("A call from a disk thread failed")

    def fileno(self) -> int:
        """Return the eventfd."""
        return self._fd

    def logPrefix(self) -> str:
        """Name ourselves in the reactor's log lines."""
        return "disk"

    def connectionLost(self, reason: Failure) -> None:
        """The reactor forgets all its readers when it ends."""
        self.close()

    def close(self) -> None:
        """Bring nothing more."""
        with self._lock:
            fd, self._fd, self._open = self._fd, -1, False
        if fd >= 0:
            self._fd = fd  # removeReader asks for it
            self._reactor.removeReader(self)
            self._fd = -1
            os.close(fd)


class Threads:
    """Up to C{limit} threads, started when needed, that take calls from one queue."""

    def __init__(self, doorbell: Doorbell, name: str, limit: int) -> None:
        self._doorbell = doorbell
        self._name = name
        self._limit = limit
        self._jobs: SimpleQueue[tuple[Callable[..., Any], tuple[Any, ...], Done] | None] = SimpleQueue()
        self._started = 0
        self._busy = 0

    @property
    def is_wanted(self) -> bool:
        """Whether calls wait for a thread; for any thread."""
        return not self._jobs.empty()

    def tell(self, done: Done, result: Any) -> None:
        """Have C{done(result)} called in the reactor while a call goes on; for any thread."""
        self._doorbell.ring(done, result)

    def call(self, function: Callable[..., Any], args: tuple[Any, ...], done: Done) -> None:
        """Call C{function} in a thread, then C{done} with its result or Failure in the reactor."""
        self._busy += 1
        if self._busy > self._started < self._limit:
            self._started += 1
            Thread(target=self._work, name=f"streamline-{self._name}-{self._started}", daemon=True).start()
        self._jobs.put((function, args, done))

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            function, args, done = job
            try:
                result = function(*args)
            except BaseException:
                result = Failure()
            self._doorbell.ring(self._done, (done, result))
            del job, function, args, done, result

    def _done(self, job: tuple[Done, Any]) -> None:
        self._busy -= 1
        done, result = job
        done(result)

    def close(self) -> None:
        """Let every thread end after what it is doing now."""
        for _ in range(self._started):
            self._jobs.put(None)
        self._started = self._limit
