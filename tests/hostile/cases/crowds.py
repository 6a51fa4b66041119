"""Too many connections, and too many at once (SE13)."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Sequence
from contextlib import suppress

from streamline.wire.messages.api_versions import ApiVersionsRequest
from tests.hostile.arena import Arena, Case
from tests.hostile.victim import Connection

RESET = struct.pack("ii", 1, 0)
"""As SO_LINGER: a close sends a reset."""


def one_too_many(arena: Arena) -> None:
    """Whoever comes then is closed at once; when somebody goes, another may come."""
    connections = arena.connect(1199)  # and the honest one
    arena.let_in(1000)
    assert arena.ended(connections[999:]) == 200
    assert arena.node.report()["turned_away"] == 200
    while arena.is_on:
        arena.ended(arena.connect(20))
    connections[0].close()
    arena.let_in(999)
    again = Connection(arena.node.port)
    again.ask(ApiVersionsRequest(), 0)
    again.close()


def from_one_address(arena: Arena) -> None:
    """Others come from elsewhere, and are let in."""
    _crowd_from(arena, "127.0.0.2", 60)
    arena.let_in(51)
    while arena.is_on:
        _crowd_from(arena, "127.0.0.2", 10)
    arena.let_in(51)


def _crowd_from(arena: Arena, address: str, count: int) -> None:
    for _ in range(count):
        one = socket.create_connection(("127.0.0.1", arena.node.port), timeout=10, source_address=(address, 0))
        arena.adopt(one)


def in_one_second(arena: Arena) -> None:
    """As many as can come do; so many a second are let in, and the others are closed at once."""
    began, count = time.monotonic(), 0
    while arena.is_on:
        with arena.closing(arena.connect(50)):
            count += 50
    seconds = time.monotonic() - began
    turned_away = arena.node.report()["turned_away"]
    assert turned_away >= count - 100 * (seconds + 2), (count, turned_away)


def resets(arena: Arena) -> None:
    """Connections that come and are reset, as fast as they can."""
    while arena.is_on:
        for number, one in enumerate(arena.connect(50)):
            if number % 3:
                with suppress(OSError):
                    one.send(struct.pack(">ih", 1000, 3) + b"x" * (number * 10))
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        arena.close()
    arena.let_in(1)


def half_open(arena: Arena) -> None:
    """Connections that say at once that they will say nothing more are closed."""
    while arena.is_on:
        with arena.closing(arena.connect(50)) as connections:
            _shut(connections)
            assert arena.ended(connections) == 50
    arena.let_in(1)


def _shut(connections: Sequence[socket.socket]) -> None:
    for number, one in enumerate(connections):
        if number % 2:
            one.send(struct.pack(">ih", 1000, 3))
        one.shutdown(socket.SHUT_WR)


CASES = (
    Case("SE13", "1,200 connections where 1,000 may be", one_too_many, settings=("max.connections=1000",)),
    Case("SE13", "more from one address than may be", from_one_address, settings=("max.connections.per.ip=50",)),
    Case(
        "SE13", "more connections a second than may be", in_one_second,
        settings=("max.connection.creation.rate=100",),
    ),
    Case("SE13", "connections that come and are reset", resets),
    Case("SE13", "connections that are half closed", half_open),
)  # fmt: skip
