"""
A host for tests of what stores or computes: a real disk, a clock that is set by hand, seeded chance.

The disk's threads answer to a reactor of the test's own, which turns only
while the test waits for a Deferred.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IListeningPort, IProtocol, IProtocolFactory
from twisted.internet.selectreactor import SelectReactor
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from streamline.interfaces import Host, IClock, INetwork, IRandom
from streamline.storage.disk import RealDisk

T = TypeVar("T")

EPOCH_MS = 1_767_225_600_000
"""The date at which the clock starts: 2026-01-01."""
TURN_S = 0.01
TURNS_MAX = 3000


@implementer(IClock)
class HandClock(Clock):
    """Time that passes when the test says so."""

    def wall_ms(self) -> int:
        """Return the date."""
        return EPOCH_MS + int(self.seconds() * 1000)


@implementer(IRandom)
class SeededRandom(random.Random):
    """Chance that is the same in every run."""


@implementer(INetwork)
class NoNetwork:
    """A network that nobody is on."""

    sockets_max = 0

    def listen(self, endpoint: str, factory: IProtocolFactory) -> Deferred[IListeningPort]:
        """Refuse."""
        return fail(ConnectError(string="there is no network"))

    def connect(self, host: str, port: int, factory: IProtocolFactory, timeout_s: float) -> Deferred[IProtocol]:
        """Refuse."""
        return fail(ConnectError(string="there is no network"))


class RealWorld:
    """
    A real disk with a reactor of its own.

    @ivar clock: to be advanced by the test.
    """

    def __init__(self, seed: int = 0) -> None:
        self._reactor: Any = SelectReactor()
        self.disk = RealDisk(self._reactor)
        self.clock = HandClock()
        self.host = Host(clock=self.clock, disk=self.disk, network=NoNetwork(), rng=SeededRandom(seed))

    def result_of(self, deferred: Deferred[T]) -> T:
        """
        Wait for a Deferred; return its result or raise its failure.

        @raise TimeoutError: nothing came for half a minute.
        """
        results: list[Any] = []
        deferred.addBoth(results.append)
        self.turn_until(lambda: bool(results))
        if isinstance(results[0], Failure):
            results[0].raiseException()
        result: T = results[0]
        return result

    def turn_until(self, done: Callable[[], bool]) -> None:
        """Let the reactor turn until C{done}."""
        for _ in range(TURNS_MAX):
            if done():
                return
            self._reactor.iterate(TURN_S)
        raise TimeoutError("nothing came")

    def close(self) -> None:
        """Give back threads and descriptors."""
        self.disk.close()
        # A reactor is made to last as long as its process: it keeps the pipe that wakes it to itself.
        for reader in [*self._reactor.removeAll(), *self._reactor._internalReaders]:
            reader.connectionLost(None)
