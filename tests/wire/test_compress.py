"""The codecs, and what they refuse."""

from __future__ import annotations

import struct
import tracemalloc

import cramjam
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from streamline.errors import ErrorCode, Refused
from streamline.wire.compress import (
    GZIP,
    LEAST_OUTPUT_BYTES,
    LZ4,
    MOST_OUTPUT_BYTES,
    NO_COMPRESSION,
    SNAPPY,
    ZSTD,
    compress,
    decompress,
    output_limit,
)

CODECS = (GZIP, SNAPPY, LZ4, ZSTD)
XERIAL = b"\x82SNAPPY\0\0\0\0\1\0\0\0\1"


class CodecTests(SynchronousTestCase):
    """What is compressed comes back."""

    @given(st.sampled_from((NO_COMPRESSION, *CODECS)), st.binary(max_size=300), st.integers(1, 400))
    def test_survives(self, codec: int, data: bytes, times: int) -> None:
        self.assertEqual(bytes(decompress(codec, compress(codec, data * times))), data * times)
        self.assertEqual(bytes(decompress(codec, memoryview(compress(codec, data)))), data)

    def test_both_forms_of_snappy(self) -> None:
        """Java's blocks, and librdkafka's plain one."""
        data = b"streamline" * 10000
        self.assertTrue(compress(SNAPPY, data).startswith(XERIAL))
        self.assertEqual(bytes(decompress(SNAPPY, compress(SNAPPY, data))), data)
        self.assertEqual(bytes(decompress(SNAPPY, bytes(cramjam.snappy.compress_raw(data)))), data)

    def test_unknown_codec(self) -> None:
        error = self.assertRaises(Refused, decompress, 5, b"")
        self.assertEqual(error.code, ErrorCode.UNSUPPORTED_COMPRESSION_TYPE)
        self.assertRaises(ValueError, compress, 5, b"")


class BombTests(SynchronousTestCase):
    """SE10: a small input never becomes a large output."""

    def refused(self, codec: int, data: bytes, code: ErrorCode) -> None:
        """Decompress and expect C{code}, without having allocated more than twice the limit."""
        tracemalloc.start()
        try:
            error = self.assertRaises(Refused, decompress, codec, data)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        self.assertEqual(error.code, code, str(error))
        self.assertLess(peak, 2 * output_limit(len(data)))

    def test_the_rule(self) -> None:
        self.assertEqual(output_limit(10), LEAST_OUTPUT_BYTES)
        self.assertEqual(output_limit(1 << 20), 16 << 20)
        self.assertEqual(output_limit(100 << 20), MOST_OUTPUT_BYTES)

    def test_zeros(self) -> None:
        for codec in CODECS:
            self.refused(codec, compress(codec, bytes(64 << 20)), ErrorCode.MESSAGE_TOO_LARGE)

    def test_exactly_the_limit_is_taken(self) -> None:
        for codec in CODECS:
            data = compress(codec, bytes(LEAST_OUTPUT_BYTES))
            if output_limit(len(data)) == LEAST_OUTPUT_BYTES:
                self.assertEqual(len(decompress(codec, data)), LEAST_OUTPUT_BYTES)
            self.assertEqual(len(decompress(codec, data, LEAST_OUTPUT_BYTES)), LEAST_OUTPUT_BYTES)
            self.assertRaises(Refused, decompress, codec, data, LEAST_OUTPUT_BYTES - 1)

    def test_snappy_that_claims_two_gigabytes(self) -> None:
        block = b"\x80\x80\x80\x80\x08\0"
        self.refused(SNAPPY, block, ErrorCode.MESSAGE_TOO_LARGE)
        self.refused(SNAPPY, XERIAL + struct.pack(">i", len(block)) + block, ErrorCode.MESSAGE_TOO_LARGE)

    def test_snappy_blocks_that_are_none(self) -> None:
        for length in (0, -1, 100, (1 << 31) - 1):
            self.refused(SNAPPY, XERIAL + struct.pack(">i", length) + b"abc", ErrorCode.INVALID_RECORD)
        self.refused(SNAPPY, XERIAL + b"\0\0\0\1\0" * 5000, ErrorCode.INVALID_RECORD)

    def test_zstd_window_of_two_gigabytes(self) -> None:
        last_block_of_bytes = struct.pack("<I", 1 | 1 << 1 | 1000 << 3)[:3] + b"a"
        for window_log in (31, 41):
            frame = b"\x28\xb5\x2f\xfd\0" + bytes([(window_log - 10) << 3]) + last_block_of_bytes
            self.refused(ZSTD, frame, ErrorCode.INVALID_RECORD)

    def test_frames_one_after_another(self) -> None:
        for codec in (GZIP, ZSTD):
            one = compress(codec, bytes(1 << 20))
            self.refused(codec, one * 100, ErrorCode.MESSAGE_TOO_LARGE)

    @given(st.sampled_from(CODECS), st.binary(max_size=60), st.integers(0, 200), st.integers(0, 255))
    def test_garbage_is_refused_or_read(self, codec: int, noise: bytes, at: int, byte: int) -> None:
        broken = bytearray(compress(codec, b"streamline" * 20))
        broken[at % len(broken)] = byte
        for data in (noise, bytes(broken), bytes(broken[: at % len(broken)])):
            try:
                decompress(codec, data)
            except Refused as error:
                self.assertIn(error.code, (ErrorCode.INVALID_RECORD, ErrorCode.MESSAGE_TOO_LARGE))
