"""One outcome for many who wait for it."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

T = TypeVar("T")


class Shared(Generic[T]):
    """Tells the outcome of a Deferred to everybody who asked before it came; who comes later starts anew."""

    def __init__(self) -> None:
        self._waiting: list[Deferred[T]] = []

    @property
    def is_awaited(self) -> bool:
        """Whether somebody waits."""
        return bool(self._waiting)

    def wait(self) -> Deferred[T]:
        """Return a Deferred of one's own."""
        waiting: Deferred[T] = Deferred()
        self._waiting.append(waiting)
        return waiting

    def tell(self, outcome: T | Failure) -> None:
        """Fire all that wait; takes a result or a failure."""
        told, self._waiting = self._waiting, []
        for waiting in told:
            waiting.callback(outcome)  # a Failure takes the errback side, as everywhere in Twisted

    def follow(self, source: Deferred[Any]) -> None:
        """Tell whatever comes out of this Deferred."""
        source.addBoth(self.tell)
