"""Varints, both kinds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from streamline.errors import ProtocolError
from streamline.wire.varints import read_text_length, read_unsigned, read_zigzag, unsigned, zigzag


class VarintTests(SynchronousTestCase):
    """What is written is read; what has too many bits is not."""

    @given(st.integers(0, (1 << 32) - 1))
    def test_unsigned(self, value: int) -> None:
        self.assertEqual(read_unsigned(b"x" + unsigned(value) + b"y", 1), (value, 1 + len(unsigned(value))))

    @given(st.integers(-(1 << 63), (1 << 63) - 1))
    def test_zigzag(self, value: int) -> None:
        self.assertEqual(read_zigzag(b"x" + zigzag(value) + b"y", 1), (value, 1 + len(zigzag(value))))

    @given(st.integers(-(1 << 31), (1 << 31) - 1))
    def test_zigzag_of_32_bits(self, value: int) -> None:
        self.assertEqual(read_zigzag(zigzag(value), 0, 32), (value, len(zigzag(value))))

    def test_known(self) -> None:
        self.assertEqual(unsigned(300), b"\xac\x02")
        self.assertEqual([zigzag(value) for value in (0, -1, 1, -2, 63, -64, 64)], [
            b"\0", b"\1", b"\2", b"\3", b"\x7e", b"\x7f", b"\x80\1",
        ])  # fmt: skip

    def test_too_long(self) -> None:
        for data in (b"\xff\xff\xff\xff\x10", b"\x80\x80\x80\x80\x80\0", b"\xff" * 10):
            self.assertRaises(ProtocolError, read_unsigned, data, 0)
            self.assertRaises(ProtocolError, read_zigzag, data, 0, 32)
        for data in (b"\xff" * 9 + b"\2", b"\x80" * 10 + b"\0", b"\xff" * 20):
            self.assertRaises(ProtocolError, read_zigzag, data, 0)

    def test_cut(self) -> None:
        for data in (b"", b"\x80", b"\xff\xff\xff\xff"):
            self.assertRaises(IndexError, read_unsigned, data, 0)
            self.assertRaises(IndexError, read_zigzag, data, 0)

    def test_no_string_is_longer_than_32767(self) -> None:
        self.assertEqual(read_text_length(unsigned(32768), 0), (32768, 3))
        self.assertRaises(ProtocolError, read_text_length, unsigned(32769), 0)
