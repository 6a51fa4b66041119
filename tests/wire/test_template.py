"""Templates: what they write is what the writer writes, or there is none."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from streamline.wire.template import template

INT32 = st.integers(-(1 << 31), (1 << 31) - 1)
INT64 = st.integers(-(1 << 63), (1 << 63) - 1)


def plain(first: int, second: int, third: int) -> bytes:
    """Write numbers among other bytes."""
    return b"begins" + struct.pack(">i", first) + b"\0" + struct.pack(">qq", second, third) + b"ends"


class TemplateTests(SynchronousTestCase):
    """Of writers that are of the right kind, and of others."""

    made = staticmethod(template(plain, "iqq"))

    @given(INT32, INT64, INT64)
    def test_writes_the_same(self, first: int, second: int, third: int) -> None:
        self.assertEqual(self.made(first, second, third), plain(first, second, third))

    def test_nothing_around_them(self) -> None:
        write = struct.Struct(">q").pack
        self.assertEqual(template(write, "q")(5), write(5))

    def test_a_number_that_is_not_written(self) -> None:
        self.assertRaises(ValueError, template, lambda first, second: struct.pack(">i", first), "ii")

    def test_numbers_in_another_order(self) -> None:
        self.assertRaises(ValueError, template, lambda first, second: struct.pack(">qi", second, first), "iq")

    def test_a_number_that_is_written_twice(self) -> None:
        self.assertRaises(ValueError, template, lambda first: struct.pack(">ii", first, first), "i")

    def test_something_that_depends_on_a_number(self) -> None:
        self.assertRaises(ValueError, template, lambda first: struct.pack(">ib", first, first % 7), "i")
