"""Headers of record batches: read, checked and stamped without touching a record."""

from __future__ import annotations

import attrs
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from streamline.errors import ErrorCode, Refused
from streamline.wire.batch import (
    CONTROL_BIT,
    DELETE_HORIZON_BIT,
    HEADER_BYTES,
    LOG_APPEND_TIME_BIT,
    STAMP_BYTES,
    TRANSACTIONAL_BIT,
    BatchHeader,
    check,
    checksum,
    headers,
    is_intact,
    produced_header,
    read_header,
    stamp_append_time,
    stamp_max_timestamp,
)
from streamline.wire.construct_spec import batch_specification
from streamline.wire.records import Record, build_batch, records

NOW = 1_700_000_000_000
# What another client (aiokafka 0.14) wrote: three records of producer 7, epoch 1, from sequence 5 on.
FOREIGN = bytes.fromhex(
    "00000000000000000000009fffffffff027e69f1500000000000020000018bcfe568000000018bcfe5686400000000000000"
    "07000100000005000000036c000000026b507676767676767676767676767676767676767676767676767676767676767676"
    "76767676767676760402680278026e015e00c801020150777777777777777777777777777777777777777777777777777777"
    "77777777777777777777777777000c006404000100"
)


def batch(**parts: object) -> bytes:
    """Give a sound batch of three records with some header fields changed, and its checksum right."""
    data = build_batch([Record(b"v", b"k", NOW + i) for i in range(3)])
    header = attrs.evolve(read_header(data), **parts)  # type: ignore[arg-type]
    if "crc" not in parts:
        header.crc = checksum(header, data[HEADER_BYTES:])
    return header.pack() + data[HEADER_BYTES:]


class HeaderTests(SynchronousTestCase):
    """A header is what its 61 bytes say."""

    def test_of_another_client(self) -> None:
        header = read_header(FOREIGN)
        expected = BatchHeader(
            base_offset=0,
            batch_length=159,
            partition_leader_epoch=-1,
            magic=2,
            crc=0x7E69F150,
            attributes=0,
            last_offset_delta=2,
            base_timestamp=NOW,
            max_timestamp=NOW + 100,
            producer_id=7,
            producer_epoch=1,
            base_sequence=5,
            record_count=3,
        )
        self.assertEqual(header, expected)
        self.assertEqual((header.size, header.next_offset, header.last_sequence), (len(FOREIGN), 3, 7))
        self.assertTrue(is_intact(FOREIGN, 0, header))
        self.assertEqual(header.pack(), FOREIGN[:HEADER_BYTES])

    def test_is_what_the_specification_says(self) -> None:
        parsed = batch_specification().parse(FOREIGN)
        header = read_header(FOREIGN)
        self.assertEqual({field.name: parsed[field.name] for field in attrs.fields(BatchHeader)}, attrs.asdict(header))
        self.assertEqual(batch_specification().build(attrs.asdict(header)), FOREIGN[:HEADER_BYTES])

    def test_properties(self) -> None:
        header = read_header(batch(base_offset=100, attributes=3 | LOG_APPEND_TIME_BIT | TRANSACTIONAL_BIT))
        self.assertEqual((header.last_offset, header.next_offset, header.compression), (102, 103, 3))
        self.assertEqual((header.timestamp_type, header.is_transactional, header.is_control), (1, True, False))
        self.assertTrue(read_header(batch(attributes=CONTROL_BIT)).is_control)

    def test_sequences_wrap(self) -> None:
        last = (1 << 31) - 1
        self.assertEqual(read_header(batch(base_sequence=last - 2)).last_sequence, last)
        self.assertEqual(read_header(batch(base_sequence=last - 1)).last_sequence, 0)
        self.assertEqual(read_header(batch(base_sequence=last)).last_sequence, 1)
        self.assertEqual(read_header(batch(base_sequence=-1)).last_sequence, -1)

    def test_too_few_bytes(self) -> None:
        for end in range(HEADER_BYTES):
            error = self.assertRaises(Refused, read_header, FOREIGN[:end])
            self.assertEqual(error.code, ErrorCode.CORRUPT_MESSAGE)

    def test_of_nothing(self) -> None:
        for nothing in (None, b"", memoryview(b"")):
            self.assertEqual(self.assertRaises(Refused, produced_header, nothing).code, ErrorCode.INVALID_RECORD)

    def test_one_after_another_until_one_is_cut(self) -> None:
        first = batch(base_offset=5)
        found = list(headers(memoryview(first + FOREIGN + batch()[:-1])))
        self.assertEqual([(at, header.base_offset) for at, header in found], [(0, 5), (len(first), 0)])

    def test_a_length_that_no_batch_has_ends_the_search(self) -> None:
        for length in (48, 0, -1, -(1 << 31)):
            self.assertRaises(Refused, list, headers(batch(batch_length=length)))


class CheckTests(SynchronousTestCase):
    """SE9: what no client may send is refused with Kafka's error code."""

    def refuse(self, data: bytes, code: ErrorCode, **limits: int) -> None:
        """Check C{data} and expect C{code}."""
        error = self.assertRaises(Refused, check, data, 0, read_header(data), **{"max_bytes": 1000} | limits)
        self.assertEqual(error.code, code, error.message)

    def test_sound_batches(self) -> None:
        for data in (FOREIGN, batch(), batch(base_timestamp=-1, max_timestamp=-1)):
            check(data, 0, read_header(data), max_bytes=len(data), produce_version=3, now_ms=NOW)
            check(b"xy" + data, 2, read_header(data), max_bytes=len(data))

    def test_checksum(self) -> None:
        self.refuse(batch(crc=1), ErrorCode.CORRUPT_MESSAGE)
        for at in range(21, len(FOREIGN)):
            broken = bytearray(FOREIGN)
            broken[at] ^= 1
            self.refuse(bytes(broken), ErrorCode.CORRUPT_MESSAGE)

    def test_magic(self) -> None:
        for magic, code in (
            (0, ErrorCode.INVALID_RECORD),
            (1, ErrorCode.INVALID_RECORD),
            (3, ErrorCode.CORRUPT_MESSAGE),
            (-1, ErrorCode.CORRUPT_MESSAGE),
        ):
            self.refuse(batch(magic=magic), code)

    def test_length(self) -> None:
        for length in (0, -1, 48, (1 << 31) - 1):
            self.refuse(batch(batch_length=length), ErrorCode.CORRUPT_MESSAGE)
        self.refuse(batch()[:-1], ErrorCode.CORRUPT_MESSAGE)

    def test_more_than_one_batch(self) -> None:
        self.refuse(batch() + batch(), ErrorCode.INVALID_RECORD)
        self.refuse(batch() * 2000, ErrorCode.INVALID_RECORD)
        self.refuse(batch() + b"\0", ErrorCode.INVALID_RECORD)

    def test_too_large(self) -> None:
        self.refuse(batch(), ErrorCode.MESSAGE_TOO_LARGE, max_bytes=len(batch()) - 1)

    def test_compression(self) -> None:
        for codec in (5, 6, 7):
            self.refuse(batch(attributes=codec), ErrorCode.UNSUPPORTED_COMPRESSION_TYPE)
        self.refuse(batch(attributes=4), ErrorCode.UNSUPPORTED_COMPRESSION_TYPE, produce_version=6)
        zstd = batch(attributes=4)
        check(zstd, 0, read_header(zstd), max_bytes=1000, produce_version=7)

    def test_offsets_and_counts(self) -> None:
        for parts in (
            {"base_offset": 1},
            {"base_offset": -1},
            {"record_count": 0},
            {"record_count": -1},
            {"record_count": 2},
            {"record_count": 4},
            {"last_offset_delta": -1},
            {"last_offset_delta": 3},
            {"last_offset_delta": (1 << 31) - 1, "record_count": -(1 << 31)},
        ):
            self.refuse(batch(**parts), ErrorCode.INVALID_RECORD)

    def test_what_only_brokers_write(self) -> None:
        self.refuse(batch(attributes=CONTROL_BIT), ErrorCode.INVALID_RECORD)
        self.refuse(batch(attributes=DELETE_HORIZON_BIT), ErrorCode.INVALID_RECORD)

    def test_producers(self) -> None:
        self.refuse(batch(producer_id=1, producer_epoch=0, base_sequence=-1), ErrorCode.INVALID_RECORD)
        self.refuse(batch(attributes=TRANSACTIONAL_BIT), ErrorCode.INVALID_RECORD)

    def test_timestamps(self) -> None:
        hour = 3_600_000
        limits = {"now_ms": NOW, "timestamp_before_max_ms": hour, "timestamp_after_max_ms": hour}
        for parts in (
            {"max_timestamp": NOW + hour + 1},
            {"base_timestamp": NOW - hour - 1},
            {"max_timestamp": (1 << 63) - 1},
            {"base_timestamp": -(1 << 63)},
            {"attributes": LOG_APPEND_TIME_BIT},
        ):
            self.refuse(batch(**parts), ErrorCode.INVALID_TIMESTAMP, **limits)
            check(batch(**parts), 0, read_header(batch(**parts)), max_bytes=1000)


class StampTests(SynchronousTestCase):
    """A batch gets its place in the log without being copied or summed again."""

    @given(st.integers(0, (1 << 63) - 1), st.integers(0, (1 << 31) - 1))
    def test_place(self, base_offset: int, leader_epoch: int) -> None:
        head = read_header(FOREIGN).place(base_offset, leader_epoch)
        self.assertEqual(len(head), STAMP_BYTES)
        stamped = head + FOREIGN[STAMP_BYTES:]
        header = read_header(stamped)
        self.assertEqual((header.base_offset, header.partition_leader_epoch), (base_offset, leader_epoch))
        self.assertEqual(attrs.evolve(header, base_offset=0, partition_leader_epoch=-1), read_header(FOREIGN))
        self.assertTrue(is_intact(stamped, 0, header))

    def test_place_and_time(self) -> None:
        head = stamp_append_time(memoryview(b"x" + FOREIGN), 9, 3, NOW + 999, at=1)
        stamped = head + FOREIGN[HEADER_BYTES:]
        header = read_header(stamped)
        self.assertTrue(is_intact(stamped, 0, header))
        self.assertEqual((header.timestamp_type, header.max_timestamp), (1, NOW + 999))
        self.assertEqual({record.timestamp for record in records(stamped, header)}, {NOW + 999})
        self.assertEqual([record.offset for record in records(stamped, header)], [9, 10, 11])

    def test_place_and_right_time(self) -> None:
        stamped = stamp_max_timestamp(batch(max_timestamp=5), 9, 3, NOW + 2) + batch()[HEADER_BYTES:]
        header = read_header(stamped)
        self.assertTrue(is_intact(stamped, 0, header))
        self.assertEqual((header.timestamp_type, header.max_timestamp), (0, NOW + 2))
