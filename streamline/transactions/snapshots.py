"""
Producer states as they lie beside a log.

Two blobs for an offset.  C{<offset>.snapshot} is Kafka's own format (version 1),
which keeps each producer's newest batch only.  C{<offset>.batches} keeps all the
batches that are remembered: without them, a producer that repeats five requests
after a restart would be told that the first is out of order.  It is written
first, so that no crash leaves a snapshot without it.  Both are caches: where one
is missing or damaged, the log says the same, as far as retention has left it.

# Note [Which log a snapshot is of]

A power cut may leave a snapshot of more than the log holds.  Other batches then
come to stand where the lost ones stood, and the snapshot would pass for one of
them: a batch that was never stored would be answered as a duplicate.  So a
snapshot names the checksum of the last batch before its offset, and counts only
beside a log that has this batch there.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from streamline.model import NO_OFFSET
from streamline.transactions.producers import SEQUENCE_MAX, Batch, Producer
from streamline.wire.crc import crc32c

_SUFFIX = ".snapshot"
_BATCHES_SUFFIX = ".batches"
_VERSION = 1
_HEAD = struct.Struct(">hIi")
_ENTRY = struct.Struct(">qhiqiqiq")
_BATCHES_HEAD = struct.Struct(">IqIi")
_PRODUCER = struct.Struct(">qhb")
_BATCH = struct.Struct(">iiqqq")
_NO_COORDINATOR_EPOCH = -1


def snapshot_name(offset: int) -> str:
    """Return the name of the snapshot of all batches below C{offset}."""
    return f"{offset:020d}{_SUFFIX}"


def batches_name(offset: int) -> str:
    """Return the name of what goes with that snapshot."""
    return f"{offset:020d}{_BATCHES_SUFFIX}"


def blob_offset(name: str) -> int | None:
    """Return the offset in the name of either blob, or None for any other name."""
    return snapshot_offset(name.removesuffix(_BATCHES_SUFFIX).removesuffix(_SUFFIX) + _SUFFIX)


def snapshot_offset(name: str) -> int | None:
    """Return the offset in such a name, or None for any other name."""
    digits = name.removesuffix(_SUFFIX)
    return int(digits) if digits != name and len(digits) == 20 and digits.isdecimal() else None


def dump_producers(offset: int, last_crc: int, producers: Iterable[Producer]) -> list[tuple[str, bytes]]:
    """
    Return the names and contents of the blobs that say what producers wrote below C{offset}, to be put in order.

    @param last_crc: the checksum of the batch that ends there, see Note [Which log a snapshot is of].
    """
    known = [producer for producer in producers if producer.batches]
    entries = b"".join(_entry(producer) for producer in known)
    body = struct.pack(">i", len(known)) + entries
    snapshot = struct.pack(">hI", _VERSION, crc32c(body)) + body
    batches = struct.pack(">qIi", offset, last_crc, len(known)) + b"".join(_batches(producer) for producer in known)
    return [
        (batches_name(offset), struct.pack(">I", crc32c(batches)) + batches),
        (snapshot_name(offset), snapshot),
    ]


def _entry(producer: Producer) -> bytes:
    newest = producer.batches[-1]
    return _ENTRY.pack(
        producer.producer_id,
        producer.epoch,
        newest.last_sequence,
        newest.last_offset,
        newest.last_offset - newest.first_offset,
        newest.timestamp_ms,
        _NO_COORDINATOR_EPOCH,
        NO_OFFSET,
    )


def _batches(producer: Producer) -> bytes:
    return _PRODUCER.pack(producer.producer_id, producer.epoch, len(producer.batches)) + b"".join(
        _BATCH.pack(*batch) for batch in producer.batches
    )


def load_producers(offset: int, last_crc: int, snapshot: bytes, batches: bytes) -> list[Producer]:
    """
    Read what L{dump_producers} wrote.

    @param offset: that of the snapshot's name.
    @param last_crc: the checksum of the batch that ends there.
    @raise ValueError: a blob is damaged, or it is not of this log.
    """
    try:
        version, crc, count = _HEAD.unpack_from(snapshot)
        if version != _VERSION or crc != crc32c(snapshot[6:]):
            raise ValueError("the producer snapshot is damaged")
        entries = list(_ENTRY.iter_unpack(snapshot[_HEAD.size :]))
        remembered = _load_batches(offset, last_crc, batches)
    except struct.error as error:
        raise ValueError(f"the producer snapshot is cut short: {error}") from None
    if len(entries) != count:
        raise ValueError("the producer snapshot is cut short")
    return [_producer(entry, remembered) for entry in entries]


def _producer(entry: tuple[int, ...], remembered: dict[tuple[int, int], tuple[Batch, ...]]) -> Producer:
    producer_id, epoch, last_sequence, last_offset, delta, timestamp_ms, _, _ = entry
    first_sequence = (last_sequence - delta) & SEQUENCE_MAX  # they wrap
    newest = Batch(first_sequence, last_sequence, last_offset - delta, last_offset, timestamp_ms)
    known = remembered.get((producer_id, epoch))
    batches = known if known is not None and known[-1] == newest else (newest,)
    return Producer(producer_id, epoch, batches, timestamp_ms)


def _load_batches(offset: int, last_crc: int, data: bytes) -> dict[tuple[int, int], tuple[Batch, ...]]:
    crc, of_offset, of_crc, count = _BATCHES_HEAD.unpack_from(data)
    if crc != crc32c(data[4:]):
        raise ValueError("the producers' batches are damaged")
    if (of_offset, of_crc) != (offset, last_crc):
        raise ValueError("the producers' batches are not of this log")
    found: dict[tuple[int, int], tuple[Batch, ...]] = {}
    at = _BATCHES_HEAD.size
    for _ in range(count):
        producer_id, epoch, length = _PRODUCER.unpack_from(data, at)
        at += _PRODUCER.size
        end = at + length * _BATCH.size
        found[producer_id, epoch] = tuple(Batch(*row) for row in _BATCH.iter_unpack(data[at:end]))
        at = end
    return {key: batches for key, batches in found.items() if batches}
