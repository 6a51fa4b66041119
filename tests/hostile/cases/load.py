"""As much honest work as the node can do: what others wait for then is no attack's doing."""

from __future__ import annotations

from streamline.wire.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from tests.broker import batch_of, fetch_request
from tests.hostile.arena import Arena, Case, framed

PARTITIONS = 4


def make_topic(arena: Arena) -> None:
    """Make the topic that is written to."""
    arena.make("busy", PARTITIONS)


def _produces(batch: bytes) -> list[bytes]:
    return [
        framed(
            ProduceRequest(
                acks=1,
                timeout_ms=30_000,
                topic_data=[
                    TopicProduceData(name="busy", partition_data=[PartitionProduceData(index=index, records=batch)])
                ],
            ),
            9,
        )
        for index in range(PARTITIONS)
    ]


def large_batches(arena: Arena) -> None:
    """Batches of a megabyte, as fast as they are taken; logs are synced in the background meanwhile."""
    requests = _produces(batch_of(*[bytes(10_000)] * 100))
    arena.ask(arena.connect(4), requests, in_flight=5, least=64)


def small_batches(arena: Arena) -> None:
    """A record of a hundred bytes in each request."""
    arena.ask(arena.connect(8), _produces(batch_of(bytes(100))), in_flight=5, least=1000)


def reading(arena: Arena) -> None:
    """Written and read at once."""
    fetches = [
        framed(fetch_request("busy", index=index, max_bytes=1 << 20, partition_max_bytes=1 << 20), 12)
        for index in range(PARTITIONS)
    ]
    produces = _produces(batch_of(*[bytes(1000)] * 16))
    requests = [request for pair in zip(produces, fetches, strict=True) for request in pair]
    arena.ask(arena.connect(8), requests, in_flight=5, least=100)


CASES = (
    Case("load", "produce of 1 MiB batches, flat out", large_batches, prepare=make_topic, memory_mib=300),
    Case("load", "produce of 100 B records, flat out", small_batches, prepare=make_topic),
    Case("load", "produce of 16 KiB and fetch of 1 MiB, flat out", reading, prepare=make_topic, memory_mib=300),
)
