"""Fetch sessions without end, and fetches that want to wait for ever (SE15)."""

from __future__ import annotations

from typing import Any

from streamline.errors import ErrorCode
from tests.broker import fetch_request
from tests.hostile.arena import Arena, Case, framed
from tests.hostile.victim import TOPIC, Connection

FOR_EVER = 2**31 - 1


def very_many(arena: Arena) -> None:
    """Who finds no place fetches without a session."""
    begin = framed(fetch_request(TOPIC, session_id=0, session_epoch=0), 12)
    arena.ask(arena.connect(8), [begin], in_flight=50, least=1000)
    assert arena.node.report()["sessions"] == 1000


def wrong(arena: Arena) -> None:
    """A session that is not there, and an epoch that is not next, are errors that clients know."""
    client = Connection(arena.node.port)
    begun: Any = client.ask(fetch_request(TOPIC, session_id=0, session_epoch=0), 12)
    assert begun.session_id != 0
    for session_id, epoch, code in (
        (begun.session_id, 9, ErrorCode.INVALID_FETCH_SESSION_EPOCH),
        (begun.session_id ^ 1, 1, ErrorCode.FETCH_SESSION_ID_NOT_FOUND),
        (-5, 1, ErrorCode.FETCH_SESSION_ID_NOT_FOUND),
        (begun.session_id, 1, ErrorCode.NONE),
    ):
        answer: Any = client.ask(fetch_request(TOPIC, session_id=session_id, session_epoch=epoch), 12)
        assert answer.error_code == code, (session_id, epoch, answer.error_code)
    client.close()
    requests = [
        framed(fetch_request(TOPIC, session_id=number, session_epoch=number % 3), 12) for number in range(1, 1000)
    ]
    arena.ask(arena.connect(8), requests, in_flight=20, least=1000)


def waiting(arena: Arena) -> None:
    """A thousand wait for ever for two gigabytes of what the honest client writes, and each record wakes them all."""
    parked = fetch_request(TOPIC, min_bytes=FOR_EVER, max_bytes=FOR_EVER, max_wait_ms=FOR_EVER)
    connections = arena.connect(500)
    for one in connections:
        one.send(framed(parked, 12))
    greedy = framed(fetch_request(TOPIC, offset=1 << 40, min_bytes=FOR_EVER, max_wait_ms=FOR_EVER), 12)
    for one in arena.connect(500):
        one.send(greedy)
    arena.let_in(1001)
    assert arena.ended(connections, within_s=max(arena.left_s, 1.0)) == 0
    assert arena.node.report()["connections"] == 1001


CASES = (
    Case("SE15", "fetch sessions without end", very_many),
    Case("SE15", "sessions that are not there, wrong epochs", wrong),
    Case("SE15", "1,000 fetches that wait for ever for 2 GiB", waiting),
)
