"""
The real world behind the four doors: a reactor, its disk, its sockets, its chance.

This is the only module of a node that knows the time and draws by chance; the
simulator's twin is C{streamline.testing.simulation}.
"""

from __future__ import annotations

import ctypes
import random
import resource
import sys
import time
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint, serverFromString
from twisted.internet.interfaces import (
    IDelayedCall,
    IListeningPort,
    IProtocol,
    IProtocolFactory,
    IStreamServerEndpoint,
)
from twisted.logger import LogLevel
from twisted.python import log as legacy_log
from zope.interface import implementer

from streamline.interfaces import Host, IClock, IDisk, INetwork, IRandom

_M_TRIM_THRESHOLD = -1
_M_TOP_PAD = -2
_M_MMAP_THRESHOLD = -3
KEPT_BYTES = 8 * 1024 * 1024
TOP_PAD_BYTES = 1024 * 1024
SWITCH_S = 0.0005
"""How long a thread may keep the interpreter where another one wants it."""


def server_endpoint(reactor: Any, description: str) -> IStreamServerEndpoint:
    """
    Return the endpoint that a string describes.

    Twisted goes through all plugins for that, and reports each module that it
    cannot import, again and with a traceback on stderr; once was enough.
    """
    again = {"log_level": LogLevel.debug}
    found: IStreamServerEndpoint = legacy_log.callWithContext(again, serverFromString, reactor, description)
    return found


@implementer(IClock)
class ReactorClock:
    """A reactor's timers with a monotonic clock; the reactor's own seconds may jump."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def seconds(self) -> float:
        """Return monotonic seconds."""
        return time.monotonic()

    def wall_ms(self) -> int:
        """Return the date in milliseconds."""
        return time.time_ns() // 1_000_000

    def callLater(self, delay: float, callable: Any, *args: object, **kwargs: object) -> IDelayedCall:
        """Call something later."""
        call: IDelayedCall = self._reactor.callLater(delay, callable, *args, **kwargs)
        return call

    def getDelayedCalls(self) -> list[IDelayedCall]:
        """Return what is to be called."""
        calls: list[IDelayedCall] = self._reactor.getDelayedCalls()
        return calls


@implementer(INetwork)
class ReactorNetwork:
    """A reactor's sockets."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self.sockets_max = resource.getrlimit(resource.RLIMIT_NOFILE)[0]

    def listen(self, endpoint: str, factory: IProtocolFactory) -> Deferred[IListeningPort]:
        """Listen on an endpoint string."""
        listening: Deferred[IListeningPort] = server_endpoint(self._reactor, endpoint).listen(factory)
        return listening

    def connect(self, host: str, port: int, factory: IProtocolFactory, timeout_s: float) -> Deferred[IProtocol]:
        """Connect a protocol."""
        endpoint = TCP6ClientEndpoint if ":" in host else TCP4ClientEndpoint
        connected: Deferred[IProtocol] = endpoint(self._reactor, host, port, timeout=timeout_s).connect(factory)
        return connected


@implementer(IRandom)
class SystemRandom(random.SystemRandom):
    """The operating system's chance."""


def keep_freed_memory() -> None:
    """
    Tell the C library to keep the memory of freed buffers instead of returning each to the system.

    Every large receive, join and read would else be a map, a page fault a page, and an unmap: up to twice the time
    of the work itself.  What is kept is bounded by what was in use at once.  Does nothing where there is no mallopt.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, KEPT_BYTES)
        mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES)
        mallopt(_M_TOP_PAD, TOP_PAD_BYTES)


def share_interpreter() -> None:
    """
    Have threads give the interpreter to each other sooner than Python by itself asks of them.

    A thread of the disk that computes (in recovery, for an index, or as it imports) would else keep the reactor waiting
    for five milliseconds each time that it wakes up; and a busy reactor a thread whose sync has ended.
    """
    sys.setswitchinterval(SWITCH_S)


def real_host(reactor: Any, disk: IDisk) -> Host:
    """Return the four doors of a production node."""
    return Host(clock=ReactorClock(reactor), disk=disk, network=ReactorNetwork(reactor), rng=SystemRandom())
