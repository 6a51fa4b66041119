"""
Record batches: the 61 bytes before the records, which is all that a broker reads of them.

What stands in a header is checked here and nothing is decoded; the records inside are checked by
L{streamline.wire.records}.  Base offset and leader epoch, the two things that the leader decides, lie outside the
checksum, so stamping them computes nothing: the life of a produce's bytes is one slice of its frame.
"""

from collections.abc import Iterator
from struct import Struct
from struct import error as StructError

import attrs

from streamline.errors import ErrorCode, Refused
from streamline.model import NO_PRODUCER_ID, NO_SEQUENCE, NO_TIMESTAMP, Buffer
from streamline.wire.compress import ZSTD
from streamline.wire.crc import crc32c

HEADER_BYTES = 61
LOG_OVERHEAD = 12
"""What comes before what C{batch_length} counts: base offset and length."""
MAGIC = 2
"""The only format that Kafka 4 takes."""
STAMP_BYTES = 16
"""How many bytes L{BatchHeader.place} replaces."""

COMPRESSION_MASK = 0x07
LOG_APPEND_TIME_BIT = 0x08
TRANSACTIONAL_BIT = 0x10
CONTROL_BIT = 0x20
DELETE_HORIZON_BIT = 0x40

_HEADER = Struct(">qiibIhiqqqhii")
stamp = Struct(">qii").pack
"""Writes what L{BatchHeader.place} does: takes the base offset, what C{batch_length} counts, and the leader epoch."""
_CHECKED_AT = 21
"""Where the checksum begins: at the attributes."""
_MAX_SEQUENCE = (1 << 31) - 1


@attrs.define(slots=True, weakref_slot=False)
class BatchHeader:
    """
    The header of a record batch, field by field as on the wire.

    @ivar batch_length: the bytes after this field; L{size} is what counts.
    @ivar base_timestamp: milliseconds; deltas of records count from it.
    """

    base_offset: int
    batch_length: int
    partition_leader_epoch: int
    magic: int
    crc: int
    attributes: int
    last_offset_delta: int
    base_timestamp: int
    max_timestamp: int
    producer_id: int
    producer_epoch: int
    base_sequence: int
    record_count: int

    @property
    def size(self) -> int:
        """The bytes of the whole batch."""
        return self.batch_length + LOG_OVERHEAD

    @property
    def last_offset(self) -> int:
        """The offset of the last record, also where compaction has removed it."""
        return self.base_offset + self.last_offset_delta

    @property
    def next_offset(self) -> int:
        """The offset after the last record."""
        return self.base_offset + self.last_offset_delta + 1

    @property
    def compression(self) -> int:
        """The codec: 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd."""
        return self.attributes & COMPRESSION_MASK

    @property
    def timestamp_type(self) -> int:
        """What timestamps mean: 0 when created, 1 when appended."""
        return 1 if self.attributes & LOG_APPEND_TIME_BIT else 0

    @property
    def is_transactional(self) -> bool:
        """Whether a transaction marker decides about the records."""
        return bool(self.attributes & TRANSACTIONAL_BIT)

    @property
    def is_control(self) -> bool:
        """Whether the one record is a marker, which consumers never see."""
        return bool(self.attributes & CONTROL_BIT)

    @property
    def has_producer_id(self) -> bool:
        """Whether an idempotent producer sent the batch."""
        return self.producer_id > NO_PRODUCER_ID

    @property
    def last_sequence(self) -> int:
        """The sequence number of the last record; they wrap after 2^31 - 1."""
        if self.base_sequence == NO_SEQUENCE:
            return NO_SEQUENCE
        return (self.base_sequence + self.last_offset_delta) & _MAX_SEQUENCE

    def place(self, base_offset: int, leader_epoch: int) -> bytes:
        """
        Give the batch its place in a log; return the first 16 bytes of it, which say so.

        They replace the batch's own, and the rest is written as it came: the checksum does not cover them.
        """
        self.base_offset = base_offset
        self.partition_leader_epoch = leader_epoch
        return stamp(base_offset, self.batch_length, leader_epoch)

    def pack(self) -> bytes:
        """Write the header as it stands, checksum included."""
        return _HEADER.pack(*attrs.astuple(self))


def read_header(buf: Buffer, at: int = 0) -> BatchHeader:
    """
    Read the header of the batch at C{at}; nothing in it is checked.

    @raise Refused: CORRUPT_MESSAGE, fewer than 61 bytes are there.
    """
    try:
        return BatchHeader(*_HEADER.unpack_from(buf, at))
    except StructError:
        raise Refused(ErrorCode.CORRUPT_MESSAGE, f"{len(buf) - at} bytes are no record batch") from None


def produced_header(records: Buffer | None) -> BatchHeader:
    """
    Read the header of what a Produce request has for a partition.

    @raise Refused: INVALID_RECORD, there is nothing; CORRUPT_MESSAGE, there is less than a header.
    """
    if not records:
        raise Refused(ErrorCode.INVALID_RECORD, "a partition of a request needs a record batch")
    return read_header(records)


def headers(buf: Buffer, at: int = 0) -> Iterator[tuple[int, BatchHeader]]:
    """
    Give (position, header) of each whole batch in C{buf}, and stop where one is cut, as at the end of a fetch.

    @raise Refused: CORRUPT_MESSAGE, a length that no batch has, after which nothing can be found.
    """
    end = len(buf)
    while end - at >= HEADER_BYTES:
        header = BatchHeader(*_HEADER.unpack_from(buf, at))
        if header.batch_length < HEADER_BYTES - LOG_OVERHEAD:
            raise Refused(ErrorCode.CORRUPT_MESSAGE, f"a batch cannot have {header.size} bytes")
        if at + header.size > end:
            return
        yield at, header
        at += header.size


def checksum(header: BatchHeader, body: Buffer) -> int:
    """Compute the checksum of a batch from its header and what follows it."""
    return crc32c(body, crc32c(header.pack()[_CHECKED_AT:]))


def is_intact(buf: Buffer, at: int, header: BatchHeader) -> bool:
    """Whether the checksum of a batch that lies whole in C{buf} is right."""
    return crc32c(memoryview(buf)[at + _CHECKED_AT : at + header.size]) == header.crc


def check(
    buf: Buffer,
    at: int,
    header: BatchHeader,
    *,
    max_bytes: int,
    produce_version: int | None = None,
    now_ms: int | None = None,
    timestamp_before_max_ms: int = (1 << 63) - 1,
    timestamp_after_max_ms: int = (1 << 63) - 1,
) -> None:
    """
    Check the one batch that a client sent for a partition, as Kafka's ProduceRequest, UnifiedLog and LogValidator do.

    @param buf: what the request has for the partition; the batch must fill it from C{at} to its end.
    @param max_bytes: the topic's max.message.bytes.
    @param produce_version: the version of the Produce request; None where a coordinator appends.
    @param now_ms: the time; None where timestamps are not checked because the topic has LogAppendTime.
    @raise Refused: with the error code that Kafka gives, or CORRUPT_MESSAGE for what is no batch at all.
    """
    _check_shape(buf, at, header)
    if header.size > max_bytes:
        raise Refused(ErrorCode.MESSAGE_TOO_LARGE, f"a batch of {header.size} bytes is larger than {max_bytes}")
    if not is_intact(buf, at, header):
        raise Refused(ErrorCode.CORRUPT_MESSAGE, f"the checksum of the batch is not {header.crc}")
    _check_attributes(header, produce_version)
    _check_offsets(header)
    if now_ms is not None:
        _check_timestamps(header, now_ms, timestamp_before_max_ms, timestamp_after_max_ms)


def _check_shape(buf: Buffer, at: int, header: BatchHeader) -> None:
    if header.magic != MAGIC:
        if header.magic in (0, 1):
            raise Refused(ErrorCode.INVALID_RECORD, f"message format {header.magic} is no longer taken")
        raise Refused(ErrorCode.CORRUPT_MESSAGE, f"there is no message format {header.magic}")
    if header.size < HEADER_BYTES:
        raise Refused(ErrorCode.CORRUPT_MESSAGE, f"a batch cannot have {header.size} bytes")
    if at + header.size > len(buf):
        raise Refused(ErrorCode.CORRUPT_MESSAGE, f"a batch of {header.size} bytes is cut at {len(buf) - at}")
    if at + header.size < len(buf):
        raise Refused(ErrorCode.INVALID_RECORD, "a partition takes exactly one record batch of a request")


def _check_attributes(header: BatchHeader, produce_version: int | None) -> None:
    if header.compression > ZSTD:
        raise Refused(ErrorCode.UNSUPPORTED_COMPRESSION_TYPE, f"there is no codec {header.compression}")
    if header.compression == ZSTD and produce_version is not None and produce_version < 7:
        raise Refused(ErrorCode.UNSUPPORTED_COMPRESSION_TYPE, "zstd needs Produce 7")
    if header.is_control:
        raise Refused(ErrorCode.INVALID_RECORD, "clients do not write control records")
    if header.attributes & DELETE_HORIZON_BIT:
        raise Refused(ErrorCode.INVALID_RECORD, "clients do not set a delete horizon")
    if header.has_producer_id:
        if header.base_sequence < 0:
            raise Refused(ErrorCode.INVALID_RECORD, f"sequence {header.base_sequence} of an idempotent producer")
    elif header.is_transactional:
        raise Refused(ErrorCode.INVALID_RECORD, "a transactional batch needs a producer id")


def _check_offsets(header: BatchHeader) -> None:
    if header.base_offset != 0:
        raise Refused(ErrorCode.INVALID_RECORD, f"a client's batch begins at offset 0, not {header.base_offset}")
    if header.record_count <= 0:
        raise Refused(ErrorCode.INVALID_RECORD, f"a batch cannot have {header.record_count} records")
    if header.last_offset_delta != header.record_count - 1:
        raise Refused(
            ErrorCode.INVALID_RECORD,
            f"{header.record_count} records do not end at offset delta {header.last_offset_delta}",
        )


def _check_timestamps(header: BatchHeader, now_ms: int, before_max_ms: int, after_max_ms: int) -> None:
    if header.timestamp_type:
        raise Refused(ErrorCode.INVALID_TIMESTAMP, "clients do not say when records were appended")
    earliest, latest = now_ms - before_max_ms, now_ms + after_max_ms
    for timestamp in (header.base_timestamp, header.max_timestamp):
        if timestamp != NO_TIMESTAMP and not earliest <= timestamp <= latest:
            raise Refused(
                ErrorCode.INVALID_TIMESTAMP, f"timestamp {timestamp} is not between {earliest} and {latest}"
            )


def stamp_append_time(buf: Buffer, base_offset: int, leader_epoch: int, timestamp_ms: int, at: int = 0) -> bytes:
    """
    Give the 61 bytes of header of a batch in a topic with LogAppendTime; the records follow as they came.

    The batch then carries when it was appended as its max timestamp, which stands for all its records.
    """
    header = read_header(buf, at)
    header.attributes |= LOG_APPEND_TIME_BIT
    return _restamp(buf, header, base_offset, leader_epoch, timestamp_ms, at)


def stamp_max_timestamp(buf: Buffer, base_offset: int, leader_epoch: int, timestamp_ms: int, at: int = 0) -> bytes:
    """Give the 61 bytes of header of a batch whose max timestamp was wrong; Kafka corrects it, so do we."""
    return _restamp(buf, read_header(buf, at), base_offset, leader_epoch, timestamp_ms, at)


def _restamp(
    buf: Buffer, header: BatchHeader, base_offset: int, leader_epoch: int, timestamp_ms: int, at: int
) -> bytes:
    header.base_offset, header.partition_leader_epoch = base_offset, leader_epoch
    header.max_timestamp = timestamp_ms
    header.crc = checksum(header, memoryview(buf)[at + HEADER_BYTES : at + header.size])
    return header.pack()
