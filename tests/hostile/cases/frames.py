"""What is no frame, never becomes one, or holds no request (SE1 to SE6)."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator
from itertools import cycle, islice
from typing import BinaryIO

from streamline.errors import ErrorCode
from streamline.wire.messages.api_versions import ApiVersionsRequest
from streamline.wire.messages.metadata import MetadataRequest
from tests.hostile.arena import Arena, Case, framed, is_at_end, sized
from tests.hostile.corpus import LENGTHS, OTHER_PROTOCOLS, every_request, with_flipped_byte, with_hostile_number

LARGEST = 100 << 20
TICK_S = 0.05


def no_frames(arena: Arena) -> None:
    """Each connection is closed, and without an answer."""
    beginnings = [struct.pack(">i", length) + bytes(6) for length in LENGTHS] + list(OTHER_PROTOCOLS)
    count = 0
    while arena.is_on:
        with arena.closing(arena.connect(len(beginnings))) as connections:
            for one, data in zip(connections, beginnings, strict=True):
                one.send(data)
            assert arena.ended(connections) == len(beginnings), "the node keeps what speaks another protocol"
            count += len(beginnings)
    assert arena.node.report()["ended"] == count


def slow_frames(arena: Arena) -> None:
    """A thousand connections: a byte now and then, no more than a length, nothing at all."""
    connections = arena.connect(1000)
    arena.let_in(1001)
    trickling, begun = connections[:400], connections[400:700]
    for one in trickling + begun:
        one.send(struct.pack(">ih", LARGEST, 0))
    while arena.is_on:
        for one in trickling[::10]:
            one.send(b"x")
        time.sleep(TICK_S)
    assert arena.node.report()["connections"] == 1001, "none of them has had its time yet"


def endless_frames(arena: Arena) -> None:
    """Each begins a hundred megabytes; together they get what there is, and no more."""
    beginning = struct.pack(">ih", LARGEST, 0) + bytes(30 << 20)
    arena.flood(arena.connect(60), beginning)
    assert arena.node.report()["inbound"] < (256 << 20) + (16 << 20)


def spoilt() -> Iterator[bytes]:
    """Yield requests that are cut, or have another byte, or a number that no honest client sends."""
    requests = [good for _, _, good in every_request()]
    for number in cycle(range(10_000)):
        for good in requests:
            at = 8 + number % (len(good) - 8)
            yield good[:at]
            yield with_flipped_byte(good, at)
            yield with_hostile_number(good, at)


def spoilt_requests(arena: Arena) -> None:
    """On connections that come and go, a few hundred a second; what they get is either an answer or the end."""
    supply = spoilt()
    while arena.is_on:
        with arena.closing(arena.connect(40)) as connections:
            for one, request in zip(connections, islice(supply, 40), strict=False):
                one.send(sized(request))
            for one in connections:
                is_at_end(one)


def unknown_requests(arena: Arena) -> None:
    """An unknown API or version, and answers sent as requests, end a connection; ApiVersions never does (KIP-511)."""
    strange = [struct.pack(">hhih", key, version, 5, -1) for key, version in ((999, 0), (-1, 0), (1, 99), (3, -1))]
    answer = struct.pack(">i", 5) + b"\xff" * 40
    while arena.is_on:
        with arena.closing(arena.connect(len(strange) + 1)) as connections:
            for one, request in zip(connections, [*strange, answer], strict=True):
                one.send(sized(request))
            assert arena.ended(connections) == len(connections)
        (polite,) = arena.connect(1)
        polite.settimeout(10)
        with arena.closing([polite]), polite.makefile("rb") as answers:
            polite.sendall(sized(struct.pack(">hhih", 18, 99, 5, -1)))
            assert _next(answers)[:6] == struct.pack(">ih", 5, ErrorCode.UNSUPPORTED_VERSION)
            polite.sendall(framed(MetadataRequest(topics=[]), 1, 7) + framed(ApiVersionsRequest(), 0, 7) * 2)
            assert [_next(answers)[:4] for _ in range(3)] == [struct.pack(">i", 7)] * 3


def _next(answers: BinaryIO) -> bytes:
    return answers.read(int.from_bytes(answers.read(4), "big"))


CASES = (
    Case("SE1", "lengths that no frame has, other protocols", no_frames),
    Case("SE2", "1,000 connections that send a byte now and then, or nothing", slow_frames),
    Case("SE2", "60 requests of 100 MiB that never end", endless_frames, memory_mib=380),
    Case("SE3-5", "spoilt requests of every API", spoilt_requests),
    Case("SE6", "unknown APIs and versions, answers as requests", unknown_requests),
)
