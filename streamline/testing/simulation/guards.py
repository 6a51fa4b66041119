"""
What nothing may do while simulated events run: see the real clock, draw real
chance, touch real files, sockets or threads (reliability 2.2).

Static checks find such calls in our own code; this finds them wherever they
are, libraries included, by replacing the callables with ones that raise.  The
replacement holds only while events run, and only in the thread that runs them.
"""

from __future__ import annotations

import builtins
import io
import os
import random
import secrets
import socket
import subprocess
import sys
import threading
import time
import uuid
from _thread import get_ident
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from twisted.internet import threads


class Forbidden(AssertionError):
    """Simulated code reached past the four doors."""


BANNED: tuple[tuple[Any, str], ...] = (
    (time, "time time_ns monotonic monotonic_ns perf_counter perf_counter_ns process_time sleep"),
    (random, "random randint randrange randbytes choice choices shuffle sample uniform getrandbits seed SystemRandom"),
    (secrets, "token_bytes token_hex token_urlsafe randbelow randbits choice"),
    (uuid, "uuid1 uuid4"),
    (os, "urandom open listdir scandir remove unlink rename replace mkdir makedirs rmdir fsync fdatasync fork"),
    (builtins, "open input"),
    (io, "open"),
    (socket, "create_connection create_server getaddrinfo gethostbyname socketpair"),
    (socket.socket, "__init__"),
    (subprocess.Popen, "__init__"),
    (threading.Thread, "start"),
    (threads, "deferToThread deferToThreadPool callMultipleInThread"),
)
"""What is replaced: an object and the names of its callables."""

TOLERATED = ("logging", "prometheus_client", "twisted.logger", "linecache", "tokenize", "traceback")
"""Libraries that stamp what nobody branches on, or that print tracebacks."""

GLOBAL_REACTOR = "twisted.internet.reactor"
REACTOR_METHODS = "callLater callFromThread callInThread callWhenRunning connectTCP listenTCP"


def _raising(name: str, original: Callable[..., Any], thread: int) -> Callable[..., Any]:
    def refuse(*args: Any, **kw: Any) -> Any:
        caller = sys._getframe(1).f_globals.get("__name__", "")
        if _lifted or get_ident() != thread or caller.startswith(TOLERATED):
            return original(*args, **kw)
        raise Forbidden(f"{caller} called {name} inside the simulation")

    return refuse


def _banned() -> Iterator[tuple[Any, str]]:
    for holder, names in BANNED:
        for name in names.split():
            yield holder, name
    if (reactor := sys.modules.get(GLOBAL_REACTOR)) is not None:
        for name in REACTOR_METHODS.split():
            yield reactor, name


_lifted: list[bool] = []


@contextmanager
def lifted() -> Iterator[None]:
    """Let the world outside be within reach for a while, to compose a node from plugins that lie on the real disk."""
    _lifted.append(True)
    try:
        yield
    finally:
        _lifted.pop()


@contextmanager
def forbidden() -> Iterator[None]:
    """
    Let the world outside be out of reach for this thread.

    @raise Forbidden: out of the call that reached for it.
    """
    thread = get_ident()
    kept: list[tuple[Any, str, Any, bool]] = []
    try:
        for holder, name in _banned():
            own = vars(holder) if hasattr(holder, "__dict__") else {}
            original = getattr(holder, name)
            kept.append((holder, name, original, name in own))
            setattr(holder, name, _raising(f"{getattr(holder, '__name__', holder)}.{name}", original, thread))
        yield
    finally:
        for holder, name, original, owned in reversed(kept):
            if owned:
                setattr(holder, name, original)
            else:
                delattr(holder, name)
