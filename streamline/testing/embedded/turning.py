"""
One thread that turns many reactors, and the way in for everybody else.

A thread for each would have them wait for the interpreter's lock at every system call.  Turned one after another they
are as independent as processes that share a core: one that is taken out stands still, whatever falls due.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Thread, current_thread
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from streamline.testing.embedded.reactors import NodeReactor

log = Logger()


class Turner:
    """
    A thread and the reactors that it turns.

    @ivar current: the one whose turn it is.
    """

    def __init__(self, name: str) -> None:
        self.current: NodeReactor | None = None
        self._reactors: dict[int, NodeReactor] = {}
        self._calls: SimpleQueue[Callable[[], object]] = SimpleQueue()
        self._poll = select.epoll()
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poll.register(self._bell, select.EPOLLIN)
        self._is_open = True
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def is_here(self) -> bool:
        """Whether the caller is in the thread."""
        return current_thread() is self._thread

    # In the thread

    def put_in(self, reactor: NodeReactor) -> None:
        """Turn this one, too."""
        self._reactors[reactor.fileno()] = reactor
        self._poll.register(reactor.fileno(), select.EPOLLIN)

    def take_out(self, reactor: NodeReactor) -> None:
        """Turn it no more; fine where that is so."""
        if self._reactors.pop(reactor.fileno(), None) is not None:
            self._poll.unregister(reactor.fileno())

    def _run(self) -> None:
        while self._is_open:
            for number, _ in self._poll.poll(self._timeout_s()):
                if number == self._bell:
                    os.eventfd_read(self._bell)
            for _ in range(self._calls.qsize()):
                self._calls.get()()
            for number, reactor in list(self._reactors.items()):
                if number in self._reactors:  # an earlier one may have had it taken out
                    self._turn(reactor)
        self._poll.close()
        os.close(self._bell)

    def _turn(self, reactor: NodeReactor) -> None:
        self.current = reactor
        try:
            reactor.turn()
        except Exception:
            log.failure("the reactor of {name} failed", name=reactor.name)
        self.current = None

    def _timeout_s(self) -> float:
        waits = [wait for reactor in self._reactors.values() if (wait := reactor.timeout()) is not None]
        return min(waits, default=-1.0)

    def between(self) -> Deferred[None]:
        """Fire when no reactor has its turn: only then one can be ended."""
        reached: Deferred[None] = Deferred()
        self.call(lambda: reached.callback(None))
        return reached

    # From any thread

    def call(self, function: Callable[[], object]) -> None:
        """Have something called in the thread, soon."""
        self._calls.put(function)
        if self._is_open:
            os.eventfd_write(self._bell, 1)

    def ask(self, function: Callable[..., Any], *args: Any, what: str, timeout_s: float) -> Any:
        """
        Call something in the thread and wait for its result, or for that of the Deferred that it returns.

        @param what: what is waited for, as a message says it.
        @raise TimeoutError: it took longer; a Deferred is cancelled then.
        """
        assert not self.is_here, "this would wait for itself"
        answer: Future[Any] = Future()
        waiting: list[Deferred[Any]] = []

        def begin() -> None:
            deferred = maybeDeferred(function, *args)
            waiting.append(deferred)
            deferred.addCallbacks(answer.set_result, lambda failure: _fail(answer, failure))

        self.call(begin)
        try:
            return answer.result(timeout_s)
        except TimeoutError:
            if answer.done():
                raise
            for one in waiting:
                self.call(one.cancel)
            raise TimeoutError(f"waited {timeout_s:g} s in vain for {what}") from None

    def close(self) -> None:
        """End the thread; whatever it still turned is left as it is."""
        self.call(self._end)
        self._thread.join()

    def _end(self) -> None:
        self._is_open = False


def _fail(answer: Future[Any], failure: Failure) -> None:
    assert failure.value is not None
    answer.set_exception(failure.value)
