"""
One process's reactor in the simulation.

It is a L{ReactorBase}, so that start-up and shut-down triggers, C{stop} and the
like behave as in production; only what waits is replaced.  Timers go to the
heap that all nodes share.  Sockets are ready when the simulated network says so
and are read and written one event each.

The stock C{twisted.internet.task.Clock} is no base for this: it sorts on each
call, and its C{advance} shows timers a time that is not theirs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from twisted.internet import error
from twisted.internet.base import DelayedCall, ReactorBase
from twisted.internet.interfaces import IDelayedCall, IHalfCloseableDescriptor, IReactorFDSet
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from streamline.interfaces import IClock
from streamline.testing.simulation.world import Simulation, Timer

log = Logger()

TURN_S = 0.000001
"""What a turn of the loop takes at least: even a call without delay finds a later time."""

THREAD_DELAY_S = 0.0005
"""Longest that a call which another thread asked for waits."""


@implementer(IClock, IReactorFDSet)
class SimReactor(ReactorBase):
    """
    The clock and the event loop of one process, from its start to its death.

    @ivar rate: seconds that its clock counts in one true second.
    @ivar wall_offset_ms: what its date is ahead of the true one; it may be changed at any time.
    @ivar dead: nothing of this process happens any more.
    @ivar stalled_until: true time before which the loop does not turn (F15).
    """

    _registerAsIOThread = False

    def __init__(
        self, simulation: Simulation, name: str, *, rate: float = 1.0, seconds: float = 0.0, epoch_ms: int = 0
    ) -> None:
        self.simulation = simulation
        self.name = name
        self.number = simulation.next_owner_number()
        self.dead = False
        self.stalled_until = 0.0
        self.rate = rate
        self.epoch_ms = epoch_ms
        self.wall_offset_ms = 0
        self._born = simulation.now
        self._first_seconds = seconds
        self._floor = seconds
        self._readers: dict[Any, None] = {}
        self._writers: dict[Any, None] = {}
        self._due: dict[tuple[str, Any], None] = {}
        super().__init__()

    def installWaker(self) -> None:
        """Need none: no thread and no signal ever wakes this reactor."""

    def _initThreads(self) -> None:
        """Have no threads."""

    # IClock

    def seconds(self) -> float:
        """Return what this process takes for the time since some start; it never goes back."""
        passed = (self.simulation.now - self._born) * self.rate
        return max(self._floor, self._first_seconds + passed)

    def wall_ms(self) -> int:
        """Return the date as this process sees it, jumps included."""
        return self.epoch_ms + self.wall_offset_ms + int(self.simulation.now * 1000)

    def true_time(self, seconds: float) -> float:
        """Return the true time at which this clock shows C{seconds}."""
        return self._born + (seconds - self._first_seconds) / self.rate

    def noticed(self, timer: Timer) -> None:
        """See to it that no timer finds itself called before its time, by a rounding error."""
        if timer.time > self._floor:
            self._floor = timer.time

    def callLater(
        self, delay: float, callable: Callable[..., Any], *args: object, **kw: object
    ) -> DelayedCall:
        """Call a function later, by this process's clock."""
        if delay < 0:
            raise AssertionError(f"{delay} is not greater than or equal to 0 seconds")
        now, delay = self.seconds(), max(delay, TURN_S)
        timer = Timer(now + delay, callable, args, kw, self._cancelCallLater, self.simulation.sooner, self.seconds)
        self.simulation.enter(timer, self, max(self.simulation.now, self.true_time(now + delay)))
        return timer

    def getDelayedCalls(self) -> list[IDelayedCall]:
        """Return the timers that are still to be called."""
        return list(self.simulation.timers_of(self))

    # Threads, which there are none of

    def callFromThread(self, f: Callable[..., Any], *args: object, **kw: object) -> None:
        """Call a function soon, in the order of these calls."""
        self.threadCallQueue.append((f, args, kw))
        if len(self.threadCallQueue) == 1:
            self.callLater(THREAD_DELAY_S, self._run_thread_calls)

    def _run_thread_calls(self) -> None:
        queue, self.threadCallQueue = self.threadCallQueue, []
        for f, args, kw in queue:
            self.simulation.within(self, f, *args, **kw)

    def getThreadPool(self) -> Any:
        """
        Refuse.

        @raise NotImplementedError: what blocks goes through L{streamline.interfaces.IDisk.elsewhere}.
        """
        raise NotImplementedError("the simulation has no threads; use the disk's elsewhere()")

    def callInThread(self, *args: object, **kw: object) -> None:
        """Refuse, as L{getThreadPool} does."""
        self.getThreadPool()

    # Start and stop

    def boot(self) -> None:
        """Be running, as C{reactor.run()} makes a real one."""
        self.startRunning(installSignalHandlers=False)

    def stop(self) -> None:
        """Fire the shutdown triggers at the end of this turn."""
        super().stop()
        self._justStopped = False
        self.callLater(0, self.fireSystemEvent, "shutdown")

    def stall(self, seconds: float) -> None:
        """Let the event loop stand still for this long, as a slow blocking call does."""
        self.stalled_until = max(self.stalled_until, self.simulation.now + seconds)

    # IReactorFDSet: descriptors whose socket is simulated

    def addReader(self, reader: Any) -> None:
        """Call C{doRead} of this when its socket has something."""
        if reader not in self._readers:
            self._readers[reader] = None
            if reader.socket.readable:
                self.ready("doRead", reader)

    def addWriter(self, writer: Any) -> None:
        """Call C{doWrite} of this when its socket has room."""
        if writer not in self._writers:
            self._writers[writer] = None
            if writer.socket.writable:
                self.ready("doWrite", writer)

    def removeReader(self, reader: Any) -> None:
        """Undo L{addReader}."""
        self._readers.pop(reader, None)

    def removeWriter(self, writer: Any) -> None:
        """Undo L{addWriter}."""
        self._writers.pop(writer, None)

    def removeAll(self) -> list[Any]:
        """Forget all descriptors and return them."""
        found = list({**self._readers, **self._writers})
        self._readers.clear()
        self._writers.clear()
        return found

    def hears(self, descriptor: Any) -> bool:
        """Say whether a descriptor is waiting for something to read."""
        return descriptor in self._readers

    def getReaders(self) -> list[Any]:
        """Return the descriptors that want to read."""
        return list(self._readers)

    def getWriters(self) -> list[Any]:
        """Return the descriptors that want to write."""
        return list(self._writers)

    def ready(self, method: str, descriptor: Any, delay: float = 0.0) -> None:
        """
        Hear that a socket became ready; its descriptor gets a turn if it wants one.

        @param method: C{doRead}, C{doWrite}, or C{hangup} for a reset that is noticed without reading.
        """
        if (method, descriptor) not in self._due and not self.dead:
            self._due[method, descriptor] = None
            self.callLater(delay, self._turn, method, descriptor)

    def _turn(self, method: str, descriptor: Any) -> None:
        del self._due[method, descriptor]
        if method == "hangup":
            if descriptor.connected:
                self._disconnect(descriptor, error.ConnectionLost(), method)
            return
        wanted = self._readers if method == "doRead" else self._writers
        if descriptor in wanted and not self.dead:
            self._serve(method, descriptor, wanted)

    def _serve(self, method: str, descriptor: Any, wanted: dict[Any, None]) -> None:
        try:
            why = getattr(descriptor, method)()
        except Exception:
            log.failure("unhandled error in {method} of {name}", method=method, name=self.name)
            why = sys.exc_info()[1]
        if why:
            self._disconnect(descriptor, why, method)
        elif descriptor in wanted and getattr(descriptor.socket, "readable" if method == "doRead" else "writable"):
            self.ready(method, descriptor)

    def _disconnect(self, descriptor: Any, why: Exception, method: str) -> None:
        self.removeReader(descriptor)
        half = method == "doRead" and isinstance(why, error.ConnectionDone)
        if half and IHalfCloseableDescriptor.providedBy(descriptor):
            descriptor.readConnectionLost(Failure(why))
            return
        self.removeWriter(descriptor)
        descriptor.connectionLost(Failure(why))
