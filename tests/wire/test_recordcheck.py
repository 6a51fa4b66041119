"""Records are checked as if they were read."""

from __future__ import annotations

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from streamline.errors import ErrorCode, Refused
from streamline.wire.batch import BatchHeader, read_header
from streamline.wire.compress import ZSTD, compress
from streamline.wire.recordcheck import Checked, check_records, checking
from streamline.wire.records import Record, build_batch, records
from streamline.wire.varints import zigzag
from tests.wire.test_records import FOREIGN, RECORDS

NOW = 1_700_000_000_000


def raw(body: bytes, count: int, compression: int = 0) -> tuple[bytes, BatchHeader]:
    """Give a batch of anything."""
    header = read_header(build_batch([]))
    body = compress(compression, body)
    header = attrs.evolve(
        header, batch_length=49 + len(body), record_count=count, attributes=compression, base_timestamp=NOW
    )
    return header.pack() + body, header


def record(
    offset: bytes = b"\0",
    *,
    delta: bytes = b"\0",
    key: bytes = b"\1",
    value: bytes = b"\2v",
    headers: bytes = b"\0",
    length: int = 0,
) -> bytes:
    """Give one record, sound unless told otherwise."""
    body = b"\0" + delta + offset + key + value + headers
    return zigzag(len(body) + length) + body


class SoundTests(SynchronousTestCase):
    """What can be read is accepted, and what the records say together is right."""

    def accept(self, written: list[Record], codec: int = 0) -> None:
        """Check C{written} as a batch."""
        data = build_batch(written, compression=codec)
        header = read_header(data)
        times = [record.timestamp for record in written]
        earliest = min(header.base_timestamp, *times)
        expected = Checked(max(times), earliest, any(record.key is None for record in written))
        self.assertEqual(check_records(memoryview(b"xy" + data), header, 2), expected)

    @given(RECORDS.filter(bool), st.integers(0, 4))
    def test_any(self, written: list[Record], codec: int) -> None:
        self.accept(written, codec)

    @settings(max_examples=60, deadline=None)
    @given(st.data())
    def test_many_alike(self, data: st.DataObject) -> None:
        """Runs of one shape, with breaks in them: the fast path, and the way in and out of it."""
        written: list[Record] = []
        for _ in range(data.draw(st.integers(1, 6))):
            size = data.draw(st.sampled_from([0, 1, 50, 57, 63, 64, 100, 8191, 8192]))
            key = data.draw(st.sampled_from([None, b"", b"key", b"k" * 63, b"k" * 64]))
            step = data.draw(st.sampled_from([0, 0, 1, 70, -1]))
            start = data.draw(st.sampled_from([0, 10, 63, 64, 8000, 9000, -5]))
            for i in range(data.draw(st.integers(1, 80))):
                written.append(Record(bytes(size), key, NOW + start + step * i))
        self.accept(written)

    def test_more_than_offsets_of_one_and_two_bytes_count(self) -> None:
        for count in (64, 65, 8192, 8193, 16384, 20000):
            self.accept([Record(b"v", None, NOW + i % 50) for i in range(count)])

    def test_of_another_client(self) -> None:
        for data in FOREIGN.values():
            self.assertEqual(check_records(data, read_header(data)), Checked(NOW + 100, NOW, True))

    def test_no_timestamp(self) -> None:
        data = build_batch([Record(b"v"), Record(b"w")])
        self.assertEqual(check_records(data, read_header(data)), Checked(-1, -1, True))


class RefusalTests(SynchronousTestCase):
    """What cannot be read is refused."""

    def test_counts(self) -> None:
        """SE9: more or fewer records than the header says."""
        body = record(b"\0") + record(b"\2")
        check_records(*raw(body, 2))
        for count in (0, 1, 3, 1000, -1, -(1 << 31), (1 << 31) - 1):
            self.assertEqual(
                self.assertRaises(Refused, check_records, *raw(body, count)).code, ErrorCode.INVALID_RECORD
            )

    def test_one_broken_record(self) -> None:
        """SE9: in each of its parts."""
        for broken in BROKEN:
            for before in (0, 1, 100, 9000):
                alike = b"".join(record(zigzag(i)) for i in range(before))
                body = alike + broken(zigzag(before))
                data, header = raw(body, before + 1)
                error = self.assertRaises(Refused, check_records, data, header)
                self.assertEqual(error.code, ErrorCode.INVALID_RECORD, error.message)

    def test_sound_counterparts(self) -> None:
        """The records above are refused for what is wrong with them and nothing else."""
        for before in (0, 1, 100, 9000):
            body = b"".join(record(zigzag(i)) for i in range(before))
            check_records(*raw(body + record(zigzag(before), headers=b"\2\2h\2v"), before + 1))

    def test_compressed(self) -> None:
        check_records(*raw(record(), 1, ZSTD))
        self.assertRaises(Refused, check_records, *raw(record(length=1), 1, ZSTD))
        data, header = raw(bytes(64 << 20), 1, ZSTD)
        self.assertEqual(self.assertRaises(Refused, check_records, data, header).code, ErrorCode.MESSAGE_TOO_LARGE)
        data, header = raw(record(value=zigzag(5000) + bytes(5000)), 1, ZSTD)
        self.assertRaises(Refused, check_records, data, header, 0, 5000)

    def test_not_compressed_at_all(self) -> None:
        data, header = raw(record(), 1)
        for codec in (1, 2, 3, 4):
            header.attributes = codec
            self.assertEqual(self.assertRaises(Refused, check_records, data, header).code, ErrorCode.INVALID_RECORD)

    @settings(max_examples=600, deadline=None)
    @given(st.data())
    def test_agrees_with_reading(self, data: st.DataObject) -> None:
        """A broken byte anywhere is refused exactly when the records cannot be read, or have wrong offsets."""
        size = data.draw(st.sampled_from([1, 60, 70]))
        written = [Record(b"v" * size, b"k" if i % 9 else None, NOW + i) for i in range(40)]
        batch = bytearray(build_batch(written))
        header = read_header(batch)
        for _ in range(data.draw(st.integers(1, 2))):
            at = data.draw(st.integers(61, len(batch) - 1))
            batch[at] = data.draw(st.sampled_from([0, 1, 2, 0x7F, 0x80, 0xFF, batch[at] ^ 1, batch[at] ^ 2]))
        try:
            read: list[int] | None = [record.offset for record in records(bytes(batch), header)]
        except Refused:
            read = None
        try:
            check_records(bytes(batch), header)
        except Refused:
            self.assertNotEqual(read, list(range(40)))
        else:
            self.assertEqual(read, list(range(40)))


BROKEN = (
    lambda offset: record(offset, length=1),
    lambda offset: record(offset, length=-1),
    lambda offset: record(offset)[:-1],
    lambda offset: b"\1" + record(offset)[1:],
    lambda offset: b"\xff\xff\xff\xff\x10" + record(offset),
    lambda offset: record(zigzag(5) if offset == b"\0" else b"\0"),
    lambda offset: record(b"\1"),
    lambda offset: record(offset, delta=b"\xff" * 10),
    lambda offset: record(offset, delta=zigzag((1 << 63) - 1)),
    lambda offset: record(offset, delta=b"\xff" * 9 + b"\3"),
    lambda offset: record(offset, key=b"\3"),
    lambda offset: record(offset, key=b"\x7e"),
    lambda offset: record(offset, key=b"\xfe\xff\xff\xff\x0f"),
    lambda offset: record(offset, value=b"\3"),
    lambda offset: record(offset, value=b"\4v"),
    lambda offset: record(offset, value=b"\0v"),
    lambda offset: record(offset, value=b"\xfe\xff\xff\xff\x0f"),
    lambda offset: record(offset, headers=b"\1"),
    lambda offset: record(offset, headers=b"\2"),
    lambda offset: record(offset, headers=b"\2\2h\2"),
    lambda offset: record(offset, headers=b"\2\1\2v"),
    lambda offset: record(offset, headers=b"\2\2h\3"),
    lambda offset: record(offset, headers=b"\xfe\xff\xff\xff\x0f"),
    lambda offset: record(offset, headers=b"\0\0"),
    lambda offset: record(offset) + b"\0",
)


class SliceTests(SynchronousTestCase):
    """Much work is done in slices."""

    def pauses(self, body: bytes, count: int, compression: int = 0) -> int:
        """Count how often a check pauses."""
        return sum(1 for _ in checking(*raw(body, count, compression)))

    def test_few_records_are_checked_at_once(self) -> None:
        self.assertEqual(self.pauses(b"".join(record(zigzag(i)) for i in range(5000)), 5000), 0)

    def test_many_records(self) -> None:
        """Of two sizes: those of one size are checked many times faster, and pause less often."""
        count = 60_000
        values = (b"\2v", b"\4vv")
        body = b"".join(record(zigzag(i), value=values[i % 2]) for i in range(count))
        self.assertGreaterEqual(self.pauses(body, count), 2)
        count = 300_000
        self.assertGreaterEqual(self.pauses(b"".join(record(zigzag(i)) for i in range(count)), count), 1)

    def test_many_odd_records(self) -> None:
        """Timestamps that go up and down by much."""
        count = 20_000
        body = b"".join(record(zigzag(i), delta=zigzag(-(i % 2) * 100)) for i in range(count))
        self.assertGreaterEqual(self.pauses(body, count), 8)

    def test_many_headers_in_one_record(self) -> None:
        count = 100_000
        body = record(headers=zigzag(count) + b"\2h\1" * count)
        self.assertGreaterEqual(self.pauses(body, 1), 10)

    def test_many_headers_in_many_records(self) -> None:
        body = b"".join(record(zigzag(i), headers=zigzag(50) + b"\2h\1" * 50) for i in range(2000))
        self.assertGreaterEqual(self.pauses(body, 2000), 10)
