"""Record batches that are not what they say, or more than they look like (SE9, SE10)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import cache
from typing import Any

from streamline.errors import ErrorCode
from streamline.model import Buffer
from streamline.wire.batch import checksum, read_header
from streamline.wire.compress import GZIP, LZ4, SNAPPY, ZSTD
from streamline.wire.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from streamline.wire.records import Record, build_batch
from tests.broker import batch_of, produce_request
from tests.hostile.arena import Arena, Case, framed
from tests.hostile.victim import TOPIC, Connection


def _with(batch: bytes, offset: int, code: str, value: int) -> bytes:
    """Write a number into a batch, and a checksum that fits."""
    changed = bytearray(batch)
    struct.pack_into(f">{code}", changed, offset, value)
    header = read_header(changed)
    struct.pack_into(">I", changed, 17, checksum(header, bytes(changed[61:])))
    return bytes(changed)


def bad_batches() -> Iterator[bytes]:
    """Yield batches that must be refused, each for another reason."""
    good = batch_of(b"v" * 50, b"w" * 50)
    yield good[:-1]
    yield good[:30]
    yield b""
    yield good[:17] + b"\0\0\0\0" + good[21:]  # checksum
    for magic in (0, 1, 3, 127):
        yield good[:16] + bytes([magic]) + good[17:]
    for length in (-1, 0, 48, 2**31 - 1):
        yield good[:8] + struct.pack(">i", length) + good[12:]
    for count in (-1, 0, 1, 3, 2**31 - 1):
        yield _with(good, 57, "i", count)
    for delta in (-1, 0, 2, 2**31 - 1):
        yield _with(good, 23, "i", delta)
    yield _with(good, 21, "h", 0x20)  # a control batch
    yield _with(good, 21, "h", 0x07)  # no codec
    for codec in (GZIP, SNAPPY, LZ4, ZSTD):
        yield _with(good, 21, "h", codec)  # not compressed with it
    yield _with(good, 61 + 1 + 1 + 1, "b", 4)  # an offset delta among the records
    yield good[:60] + b"\0" + _record_with_headers(-1)
    yield good * 2000


def _record_with_headers(count: int) -> bytes:
    """Return the bytes of one record that says it has so many headers."""
    body = b"\0\0\0\1\1" + bytes([(count << 1 ^ count >> 31) & 0x7F])
    return bytes([len(body) << 1]) + body


def bad(arena: Arena) -> None:
    """Each is refused by an error, none is stored, and the connection goes on."""
    batches = [*bad_batches()]
    asking = Connection(arena.node.port)
    for number, batch in enumerate(batches):
        answer: Any = asking.ask(produce_request(TOPIC, batch), 9)
        code = answer.responses[0].partition_responses[0].error_code
        assert code != ErrorCode.NONE, f"batch {number} of the bad ones was taken"
    asking.close()
    requests = [framed(produce_request(TOPIC, batch), 9) for batch in batches]
    arena.ask(arena.connect(8), requests, in_flight=4, least=len(requests))


@cache
def bomb_requests() -> tuple[bytes, ...]:
    """Batches that would be gigabytes, and batches of as many records as fit."""
    bodies = [build_batch([Record(bytes(64 << 20))], compression=codec) for codec in (ZSTD, GZIP)]
    bodies.append(build_batch([Record(bytes(15 << 20))], compression=ZSTD))
    bodies.append(build_batch([Record(b"")] * 400_000, compression=ZSTD))
    return tuple(framed(produce_request(TOPIC, batch, acks=1), 9) for batch in bodies)


def bombs(arena: Arena) -> None:
    """Each costs what the limit on what comes out allows."""
    arena.ask(arena.connect(4), bomb_requests(), least=4)


def _produce(*records: Buffer) -> bytes:
    parts = [PartitionProduceData(index=number, records=data) for number, data in enumerate(records)]
    topic = TopicProduceData(name=TOPIC, partition_data=parts)
    return framed(ProduceRequest(acks=1, timeout_ms=1000, topic_data=[topic]), 9)


def large_rubbish(arena: Arena) -> None:
    """Ninety megabytes of rubbish each, from many at once: taken one after another."""
    assert arena.flood(arena.connect(12), _produce(bytes(90 << 20))) > 90 << 20


def very_many_partitions(arena: Arena) -> None:
    """As many batches as a request may name, nearly all of them for partitions that are not there."""
    arena.ask(arena.connect(4), [_produce(*[b"x"] * 19_990)], least=4)


CASES = (
    Case("SE9", "batches that are not what they say", bad),
    Case(
        "SE10", "decompression bombs, 400,000 records in a batch", bombs, memory_mib=400,
        prepare=lambda _: bomb_requests(),
    ),
    Case("SE9", "12 producers of 90 MiB of rubbish", large_rubbish, memory_mib=800),
    Case("SE11", "produces to 20,000 partitions each", very_many_partitions, memory_mib=300),
)  # fmt: skip
