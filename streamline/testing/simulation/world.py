"""
The simulated world: one seed, one heap of events, one history.

A L{Simulation} owns true time, which no node can see, and every event that is
still to come, whichever node it belongs to.  Nothing happens between events:
L{Simulation.run} takes the earliest, moves time to it, and calls it.

Events that fall due together run in an order drawn from the seed, because the
real reactor promises none (reliability F16).  Each event goes into a rolling
digest; two runs of one seed must end with the same digest, whatever
C{PYTHONHASHSEED} is.
"""

from __future__ import annotations

import random
import re
from collections import deque
from collections.abc import Callable, Iterator
from hashlib import blake2b
from heapq import heappop, heappush
from struct import Struct
from typing import Any, Protocol

from attrs import define
from twisted.internet.base import DelayedCall
from twisted.logger import Logger

from streamline.testing.simulation import guards
from streamline.testing.simulation.whims import Whims

log = Logger()

RECENT_EVENTS = 200
EVENTS_PER_SECOND_MAX = 500_000

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
_STAMP = Struct("<dII").pack


class MachineDown(BaseException):
    """
    Raised out of a disk call in whose middle the machine or the process died.

    It is no L{Exception}, so that nothing the dying code does about its errors
    gets in the way.
    """


class Livelock(Exception):
    """Events follow each other, and time hardly moves on."""


class Owner(Protocol):
    """Whose event it is: a node's reactor, or the world itself."""

    number: int
    name: str
    dead: bool
    stalled_until: float

    def true_time(self, seconds: float) -> float:
        """Return the true time at which this owner's clock shows C{seconds}."""

    def noticed(self, timer: Timer) -> None:
        """Hear that this timer is about to be called."""


class Timer(DelayedCall):
    """
    One event to come.

    @ivar due: the true time at which it is to run; an entry of the heap with another time is stale.
    @ivar owner: whose it is; it is dropped where the owner died.
    """

    due: float
    owner: Owner


@define
class World:
    """The owner of what happens outside every node: packets, faults, disks at work."""

    number: int = 0
    name: str = "world"
    dead: bool = False
    stalled_until: float = 0.0

    def true_time(self, seconds: float) -> float:
        """Return it as it is: the world's clock is the true one."""
        return seconds

    def noticed(self, timer: Timer) -> None:
        """Do nothing: the world's clock needs no help to be on time."""


@define
class Event:
    """
    One thing that happened, kept for the failure report.

    @ivar what: a function that was called, or a word and the bytes concerned.
    """

    at: float
    source: str
    target: str
    what: Any
    data: bytes = b""

    def __str__(self) -> str:
        text = self.what if isinstance(self.what, str) else _name_of(self.what)
        shown = f" {len(self.data)} B {self.data[:24].hex()}" if self.data else ""
        route = self.source if self.source == self.target else f"{self.source} -> {self.target}"
        return f"{self.at:14.6f}  {route:16}  {text}{shown}"


def _name_of(function: object) -> str:
    """Return a function's name without the address that some have in it, which no seed decides."""
    return _ADDRESS.sub("", getattr(function, "__qualname__", type(function).__name__))


class Simulation:
    """
    One run of one world.

    @ivar seed: decides everything that is left to chance.
    @ivar now: true seconds since the start.
    @ivar events: how many there were.
    @ivar recent: the last of them, oldest first.
    @ivar events_per_second_max: more events than this in a simulated second mean that somebody spins.
    @ivar whims: what is rare and happens in this run; none, unless they are set before a process starts.
    @ivar trace: called with each event where set, to find the first at which two runs differ.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.now = 0.0
        self.events = 0
        self.recent: deque[Event] = deque(maxlen=RECENT_EVENTS)
        self.events_per_second_max = EVENTS_PER_SECOND_MAX
        self.trace: Callable[[Event], object] | None = None
        self.whims = Whims(seed)
        self.world = World()
        self._owners = 0
        self._heap: list[tuple[float, float, int, Timer]] = []
        self._sequence = 0
        self._tie = self.stream("ties").random
        self._digest = blake2b(digest_size=16)

    def stream(self, name: str) -> random.Random:
        """Return a source of chance of its own, so that one part's draws do not disturb another's."""
        return random.Random(f"{self.seed}/{name}")

    def next_owner_number(self) -> int:
        """Return a number for a new owner of events."""
        self._owners += 1
        return self._owners

    def digest(self) -> str:
        """Return the digest of all that happened so far."""
        return self._digest.hexdigest()

    def saw(self, source: str, target: str, what: str, data: bytes) -> None:
        """Note that bytes moved: over a link, or to a disk."""
        self._digest.update(_STAMP(self.now, len(data), len(what)))
        self._digest.update(f"{source}>{target}:{what}".encode())
        self._digest.update(data)
        self._note(Event(self.now, source, target, what, data))

    def _note(self, event: Event) -> None:
        self.recent.append(event)
        if self.trace is not None:
            self.trace(event)

    # What is to come

    def after(self, delay_s: float, function: Callable[..., object], *args: object) -> Timer:
        """Call a function of the world's own after so many true seconds."""
        timer = Timer(self.now + delay_s, function, args, {}, _forget, self.sooner, self._seconds)
        self.enter(timer, self.world, self.now + delay_s)
        return timer

    def enter(self, timer: Timer, owner: Owner, due: float) -> None:
        """Put a timer where L{run} finds it, at true time C{due}; an earlier entry of it becomes stale."""
        timer.owner = owner
        timer.due = due
        self._sequence += 1
        heappush(self._heap, (due, self._tie(), self._sequence, timer))

    def timers_of(self, owner: Owner) -> Iterator[Timer]:
        """Yield an owner's timers that are still to be called, in no particular order."""
        for due, _, _, timer in self._heap:
            if timer.owner is owner and timer.due == due and timer.active():
                yield timer

    def _seconds(self) -> float:
        return self.now

    def sooner(self, timer: DelayedCall) -> None:
        """Follow a timer that was moved to an earlier time."""
        assert isinstance(timer, Timer)
        self.enter(timer, timer.owner, max(self.now, timer.owner.true_time(timer.time)))

    # What happens

    def run(self, until: float, enough: Callable[[], bool] | None = None) -> None:
        """
        Let happen what happens up to true time C{until}, which then is now.

        @param enough: asked after each event; true ends the run there.
        @raise Livelock: time hardly moves on.
        """
        heap = self._heap
        second, count = self.now + 1, 0
        with guards.forbidden():
            while heap and heap[0][0] <= until:
                due, _, _, timer = heappop(heap)
                if timer.due != due or timer.called or timer.cancelled or timer.owner.dead:
                    continue
                self.now = due
                if due > second:
                    second, count = due + 1, 0
                count += 1
                if count > self.events_per_second_max:
                    raise Livelock(f"{count} events in the second before {due}, the last one: {self.recent[-1]}")
                self._call(timer)
                if enough is not None and enough():
                    return
        self.now = max(self.now, until)

    def _call(self, timer: Timer) -> None:
        owner = timer.owner
        if owner.stalled_until > self.now:
            self.enter(timer, owner, owner.stalled_until)
            return
        if timer.delayed_time > 0.0:
            timer.activate_delay()
            self.enter(timer, owner, max(self.now, owner.true_time(timer.time)))
            return
        owner.noticed(timer)
        timer.called = 1
        self.events += 1
        self._digest.update(_STAMP(self.now, owner.number, 0))
        self._note(Event(self.now, owner.name, owner.name, timer.func))
        if owner is self.world:
            timer.func(*timer.args, **timer.kw)
        else:
            self.within(owner, timer.func, *timer.args, **timer.kw)

    def within(self, owner: Owner, function: Callable[..., object], *args: object, **kw: object) -> None:
        """Call a node's function as its reactor does: an error is logged and goes no further."""
        try:
            function(*args, **kw)
        except MachineDown:
            assert owner.dead, "only a death in the middle of a disk call ends this way"
        except Exception:
            log.failure("unhandled error in {name}", name=owner.name)


def _forget(timer: DelayedCall) -> None:
    """Do nothing: a cancelled timer is dropped when its turn comes."""
