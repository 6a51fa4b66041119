"""Records inside a batch."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from streamline.errors import ErrorCode, Refused
from streamline.wire.batch import HEADER_BYTES, is_intact, read_header
from streamline.wire.records import Record, build_batch, records

NOW = 1_700_000_000_000

# Two records that kafka-python 3.0 wrote with each codec: producer 7, epoch 1, from sequence 5 on.
FOREIGN = {
    codec: bytes.fromhex(data)
    for codec, data in enumerate(
        (
            "00000000000000000000009500000000029eaaf8480000000000010000018bcfe568000000018bcfe568640000000000"
            "0000070001000000050000000266000000026b5076767676767676767676767676767676767676767676767676767676"
            "76767676767676767676767602026802785e00c801020150777777777777777777777777777777777777777777777777"
            "7777777777777777777777777777777700",
            "00000000000000000000005f0000000002c52beeb20001000000010000018bcfe568000000018bcfe568640000000000"
            "000007000100000005000000021f8b0800b1bb036b02ff4b63606060ca0e2823123031653055c4319c6064620c282712"
            "300000fd72829764000000",
            "0000000000000000000000650000000002d1a3f9cb0002000000010000018bcfe568000000018bcfe568640000000000"
            "0000070001000000050000000282534e4150505900000000010000000100000020641c66000000026b50769a01003002"
            "026802785e00c801020150779a01000000",
            "00000000000000000000006b00000000025df6ff340003000000010000018bcfe568000000018bcfe568640000000000"
            "0000070001000000050000000204224d186840640000000000000023230000008f66000000026b5076010014df020268"
            "02785e00c8010201507701001050777777770000000000",
            "0000000000000000000000580000000002c6c7261e0004000000010000018bcfe568000000018bcfe568640000000000"
            "0000070001000000050000000228b52ffd2064f50000b066000000026b507602026802785e00c8010201507700020040"
            "f995800b",
        )
    )
}

BYTES = st.none() | st.binary(max_size=20)
RECORDS = st.lists(
    st.builds(
        Record,
        value=BYTES,
        key=BYTES,
        timestamp=st.integers(0, 1 << 42),
        headers=st.lists(st.tuples(st.text(max_size=5), BYTES), max_size=3),
    ),
    max_size=20,
)


class RecordsTests(SynchronousTestCase):
    """Records survive, with every codec."""

    @given(RECORDS, st.integers(0, 4), st.integers(0, 1 << 40))
    def test_survive(self, written: list[Record], codec: int, base_offset: int) -> None:
        data = build_batch(written, compression=codec, base_offset=base_offset)
        header = read_header(data)
        self.assertTrue(is_intact(data, 0, header))
        self.assertEqual(header.size, len(data))
        self.assertEqual((header.record_count, header.last_offset_delta), (len(written), len(written) - 1))
        read = list(records(b"xy" + data, header, 2))
        self.assertEqual(read, [record._replace(offset=base_offset + i) for i, record in enumerate(written)])

    def test_of_another_client(self) -> None:
        for codec, data in FOREIGN.items():
            header = read_header(data)
            self.assertTrue(is_intact(data, 0, header))
            self.assertEqual(header.compression, codec)
            self.assertEqual(
                list(records(memoryview(data), header)),
                [
                    Record(b"v" * 40, b"k", NOW, [("h", b"x")], 0),
                    Record(b"w" * 40, None, NOW + 100, [], 1),
                ],
            )

    def test_are_written_as_another_client_does(self) -> None:
        data = FOREIGN[0]
        written = build_batch(
            list(records(data, read_header(data))),
            leader_epoch=0,
            producer_id=7,
            producer_epoch=1,
            base_sequence=5,
        )
        self.assertEqual(written, data)

    def test_keep_their_offsets_when_compacted(self) -> None:
        kept = [Record(b"a", b"k", NOW, offset=12), Record(b"b", b"l", NOW, offset=19)]
        data = build_batch(kept, base_offset=10, last_offset=20, producer_id=1, producer_epoch=0, base_sequence=4)
        header = read_header(data)
        self.assertEqual((header.base_offset, header.last_offset, header.record_count), (10, 20, 2))
        self.assertEqual((header.base_sequence, header.last_sequence), (4, 14))
        self.assertEqual([record.offset for record in records(data, header)], [12, 19])
        self.assertRaises(ValueError, build_batch, kept, base_offset=10, last_offset=18)

    def test_a_batch_may_be_left_empty(self) -> None:
        data = build_batch([], base_offset=10, last_offset=20)
        header = read_header(data)
        self.assertEqual((header.next_offset, header.max_timestamp, header.size), (21, -1, HEADER_BYTES))
        self.assertEqual(list(records(data, header)), [])

    def test_appended_at(self) -> None:
        data = build_batch([Record(b"a", timestamp=5), Record(b"b", timestamp=9)], append_time_ms=NOW)
        header = read_header(data)
        self.assertEqual((header.timestamp_type, header.max_timestamp), (1, NOW))
        self.assertEqual([record.timestamp for record in records(data, header)], [NOW, NOW])

    @given(st.integers(0, 1000), st.integers(0, 255))
    def test_broken_ones_are_refused_or_read(self, at: int, byte: int) -> None:
        for data in FOREIGN.values():
            broken = bytearray(data)
            broken[HEADER_BYTES + at % (len(data) - HEADER_BYTES)] = byte
            try:
                list(records(broken, read_header(data)))
            except Refused as error:
                self.assertIn(
                    error.code,
                    (ErrorCode.CORRUPT_MESSAGE, ErrorCode.INVALID_RECORD, ErrorCode.MESSAGE_TOO_LARGE),
                )
