"""Answers that nobody reads (SE12)."""

from __future__ import annotations

from streamline.wire.messages.metadata import MetadataRequest
from tests.broker import batch_of, fetch_request, produce_request
from tests.hostile.arena import Arena, Case, framed
from tests.hostile.victim import Connection


def pipelined(arena: Arena) -> None:
    """The node stops reading when answers pile up."""
    request = framed(MetadataRequest(topics=None), 1)
    assert arena.flood(arena.connect(20), request * 10_000) > 10_000 * len(request)
    assert arena.node.report()["outbound"] < 40 << 20


def large_topic(arena: Arena) -> None:
    """Fill a topic with sixty megabytes."""
    arena.make("large")
    filler = Connection(arena.node.port)
    batch = batch_of(*[bytes(100_000)] * 10)
    for _ in range(60):
        filler.ask(produce_request("large", batch, acks=1), 9)
    filler.close()


def large_fetches(arena: Arena) -> None:
    """A hundred clients ask for fifty megabytes each and take nothing."""
    request = fetch_request("large", max_bytes=50 << 20, partition_max_bytes=50 << 20)
    arena.flood(arena.connect(100), framed(request, 12) * 20)
    assert arena.node.report()["outbound"] < 2 * (256 << 20)


CASES = (
    Case("SE12", "20 x 10,000 requests at once, answers not read", pipelined),
    Case("SE12", "100 x 20 fetches of 50 MiB that are not read", large_fetches, memory_mib=900, prepare=large_topic),
)
