"""Requests of every API of which nearly every byte matters, to be spoilt."""

from __future__ import annotations

from collections.abc import Iterator

from streamline.api.table import TABLE, Api
from streamline.wire.codec import encode
from streamline.wire.header import write_request_header
from tests.wire.samples import Dice, full

HOSTILE = (
    b"\x7f\xff\xff\xff", b"\x80\x00\x00\x00", b"\xff\xff\xff\xfe", b"\xff\xff\xff\xff", b"\xff\xff\xff\xff\x07",
    b"\xff\xff\xff\xff\x0f", b"\x80\x80\x80\x80\x80\x00", b"\xff" * 9 + b"\x01", b"\x02\x00\x00\x00\x00",
    b"\x02\x05\x00\x03\x00", b"\x00", b"\x7f\xff",
)  # fmt: skip
"""Counts and lengths: 2^31 - 1, -2^31, -2, -1, the same as varints, overlong, with doubled or falling tags."""

LENGTHS = (-1, -(2**31), 0, 1, 2, 3, 4, 5, 6, 7, (100 << 20) + 1, 2**31 - 1)
"""Of frames; none is one that a request can have."""

HELLO = bytes.fromhex("16030100c8010000c40303") + bytes(200)
OTHER_PROTOCOLS = (
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"POST /x HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\n", HELLO,
    b"SSH-2.0-OpenSSH_9.9\r\n", b"\0" * 8, b"\xff" * 100,
)  # fmt: skip


def request(api: Api, version: int) -> bytes:
    """Return a request of which nearly every byte matters."""
    head = write_request_header(api.key, version, 77, "c")
    return head + encode(full(api.request, version, Dice(f"{api.key} {version}"), brief=True), version)


def versions(api: Api) -> Iterator[int]:
    """Yield the versions that differ most: the first, the last, and those beside the change of encoding."""
    first, last = api.versions
    flexible = api.request.FLEXIBLE
    beside = () if flexible is None else (flexible - 1, flexible)
    yield from sorted({version for version in (first, last, *beside) if first <= version <= last})


def every_request() -> Iterator[tuple[Api, int, bytes]]:
    """Yield (API, version, request)."""
    for api in TABLE.values():
        for version in versions(api):
            yield api, version, request(api, version)


def with_hostile_number(good: bytes, at: int) -> bytes:
    """Put one of the numbers that no honest client sends over what is there."""
    hostile = HOSTILE[at % len(HOSTILE)]
    return good[:at] + hostile + good[at + len(hostile) :]


def with_flipped_byte(good: bytes, at: int) -> bytes:
    """Change one byte."""
    return good[:at] + bytes([good[at] ^ 0xFF]) + good[at + 1 :]
