"""
Records: what is inside a batch.

A broker reads records only where it must: in its own logs (offsets, transactions), when it compacts, and to find a
time.  What clients send is checked without being decoded, by L{streamline.wire.recordcheck}.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from streamline.errors import ErrorCode, ProtocolError, Refused
from streamline.model import (
    NO_EPOCH,
    NO_PRODUCER_EPOCH,
    NO_PRODUCER_ID,
    NO_SEQUENCE,
    NO_TIMESTAMP,
    Buffer,
)
from streamline.wire.batch import (
    CONTROL_BIT,
    HEADER_BYTES,
    LOG_APPEND_TIME_BIT,
    LOG_OVERHEAD,
    MAGIC,
    TRANSACTIONAL_BIT,
    BatchHeader,
    checksum,
)
from streamline.wire.compress import NO_COMPRESSION, compress, decompress
from streamline.wire.varints import read_zigzag, zigzag


class Record(NamedTuple):
    """
    One record.

    @ivar timestamp: milliseconds since 1970, or -1.
    @ivar offset: where it is in the log; ignored by L{build_batch} unless told otherwise.
    """

    value: Buffer | None = None
    key: Buffer | None = None
    timestamp: int = NO_TIMESTAMP
    headers: Sequence[tuple[str, Buffer | None]] = ()
    offset: int = -1


def build_batch(
    records: Iterable[Record],
    *,
    base_offset: int = 0,
    compression: int = NO_COMPRESSION,
    leader_epoch: int = NO_EPOCH,
    producer_id: int = NO_PRODUCER_ID,
    producer_epoch: int = NO_PRODUCER_EPOCH,
    base_sequence: int = NO_SEQUENCE,
    is_transactional: bool = False,
    is_control: bool = False,
    append_time_ms: int | None = None,
    last_offset: int | None = None,
) -> bytes:
    """
    Write records as one batch.

    @param base_offset: the offset of the first record; the others follow without a gap, unless C{last_offset} is
        given.
    @param append_time_ms: when the batch is appended, in a topic with LogAppendTime.
    @param last_offset: given by compaction, which keeps the offsets that records have and the range of the batch,
        even when no record is left.
    @raise ValueError: a record's offset is not in the batch.
    """
    kept = list(records)
    first = next((record.timestamp for record in kept if record.timestamp != NO_TIMESTAMP), NO_TIMESTAMP)
    deltas = range(len(kept)) if last_offset is None else _deltas(kept, base_offset, last_offset)
    parts = [_record(record, delta, record.timestamp - first) for record, delta in zip(kept, deltas, strict=True)]
    body = compress(compression, b"".join(parts))
    attributes = compression | TRANSACTIONAL_BIT * is_transactional | CONTROL_BIT * is_control
    latest = max((record.timestamp for record in kept), default=NO_TIMESTAMP)
    header = BatchHeader(
        base_offset=base_offset,
        batch_length=HEADER_BYTES - LOG_OVERHEAD + len(body),
        partition_leader_epoch=leader_epoch,
        magic=MAGIC,
        crc=0,
        attributes=attributes if append_time_ms is None else attributes | LOG_APPEND_TIME_BIT,
        last_offset_delta=len(kept) - 1 if last_offset is None else last_offset - base_offset,
        base_timestamp=first,
        max_timestamp=latest if append_time_ms is None else append_time_ms,
        producer_id=producer_id,
        producer_epoch=producer_epoch,
        base_sequence=base_sequence,
        record_count=len(kept),
    )
    header.crc = checksum(header, body)
    return header.pack() + body


def _deltas(kept: Sequence[Record], base_offset: int, last_offset: int) -> list[int]:
    """Return where records that compaction kept lie in their batch."""
    for record in kept:
        if not base_offset <= record.offset <= last_offset:
            raise ValueError(f"offset {record.offset} is not between {base_offset} and {last_offset}")
    return [record.offset - base_offset for record in kept]


def _record(record: Record, offset_delta: int, timestamp_delta: int) -> bytes:
    parts: list[Buffer] = [b"\0", zigzag(timestamp_delta), zigzag(offset_delta)]
    for data in (record.key, record.value):
        parts += _sized(data)
    parts.append(zigzag(len(record.headers)))
    for name, value in record.headers:
        parts += _sized(name.encode())
        parts += _sized(value)
    body = b"".join(parts)
    return zigzag(len(body)) + body


def _sized(data: Buffer | None) -> tuple[bytes, Buffer]:
    return (zigzag(-1), b"") if data is None else (zigzag(len(data)), data)


def records(buf: Buffer, header: BatchHeader, at: int = 0) -> Iterator[Record]:
    """
    Read the records of the batch at C{at}, one after another.

    Keys and values are copies.  In a batch with LogAppendTime every record has the batch's timestamp.

    @raise Refused: CORRUPT_MESSAGE or INVALID_RECORD, for what no client and no broker has written.
    """
    body = decompress(header.compression, memoryview(buf)[at + HEADER_BYTES : at + header.size])
    body = bytes(body)
    at, end = 0, len(body)
    for _ in range(header.record_count):
        try:
            length, at = read_zigzag(body, at, 32)
            stop = at + length
            if length < 0 or stop > end:
                raise ProtocolError(f"a record cannot have {length} bytes")
            record = _read(body, at, stop, header)
        except (ProtocolError, IndexError, UnicodeDecodeError) as error:
            raise Refused(ErrorCode.CORRUPT_MESSAGE, f"a record cannot be read: {error}") from None
        at = stop
        yield record
    if at != end:
        raise Refused(ErrorCode.CORRUPT_MESSAGE, f"{end - at} bytes follow the last record")


def _read(body: bytes, at: int, stop: int, header: BatchHeader) -> Record:
    timestamp_delta, at = read_zigzag(body, at + 1)
    offset_delta, at = read_zigzag(body, at, 32)
    key, at = _read_sized(body, at, stop)
    value, at = _read_sized(body, at, stop)
    count, at = read_zigzag(body, at, 32)
    if not 0 <= count <= stop - at:
        raise ProtocolError(f"a record cannot have {count} headers")
    found = []
    for _ in range(count):
        name, at = _read_sized(body, at, stop)
        if name is None:
            raise ProtocolError("a header has no name")
        data, at = _read_sized(body, at, stop)
        found.append((str(name, "utf-8"), data))
    if at != stop:
        raise ProtocolError("a record is not as long as it says")
    timestamp = header.max_timestamp if header.timestamp_type else header.base_timestamp + timestamp_delta
    return Record(value, key, timestamp, found, header.base_offset + offset_delta)


def _read_sized(body: bytes, at: int, stop: int) -> tuple[bytes | None, int]:
    length, at = read_zigzag(body, at, 32)
    if length == -1:
        return None, at
    if not 0 <= length <= stop - at:
        raise ProtocolError(f"{length} bytes do not fit a record")
    return body[at : at + length], at + length
