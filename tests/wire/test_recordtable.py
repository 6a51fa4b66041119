"""Records in tables that were derived beforehand: taken where they are right, and with few steps; else left alone."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from streamline.wire import recordtable
from streamline.wire.batch import HEADER_BYTES, read_header
from streamline.wire.crc import crc32c
from streamline.wire.quick import look
from streamline.wire.recordcheck import check_records
from streamline.wire.records import Record, build_batch
from streamline.wire.recordtable import ROWS_MAX, TABLES_MAX, greatest_delta_of_many

LATEST = 1 << 60
MAX_BYTES = 1 << 21


def rows(count: int, size: int, *times: int) -> bytes:
    """Return a batch of so many values of one size; the first time is that of the first record."""
    deltas = [*times, *[times[-1]] * (count - len(times))]
    return build_batch([Record(value=b"v" * size, timestamp=1000 + delta) for delta in deltas])


def found(batch: bytes) -> int | None:
    """Look whether the records are such a table."""
    return greatest_delta_of_many(memoryview(batch), HEADER_BYTES, read_header(batch).record_count)


def steps_of(batch: bytes) -> int:
    """Count the interpreter's steps of a quick look at a batch, after one that derives what can be."""
    steps = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal steps
        frame.f_trace_opcodes = True
        steps += event == "opcode"
        return trace

    looked = look(memoryview(batch), MAX_BYTES, 0, LATEST)
    assert looked is not None
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        look(memoryview(batch), MAX_BYTES, 0, LATEST)
    finally:
        sys.settrace(before)
    return steps


class TableTests(SynchronousTestCase):
    """What such a table says is so."""

    def test_values_of_one_size(self) -> None:
        """On both sides of each number from which something takes one more byte."""
        for count in (33, 63, 64, 65, 150, ROWS_MAX):
            for size in (0, 1, 54, 55, 56, 57, 58, 63, 64, 100, 1000, 4080):
                for times in ((0,), (0, 5), (0, 63, 7)):
                    self.assertEqual(found(rows(count, size, *times)), max(times), f"{count} of {size}, {times}")

    def test_what_is_no_such_table(self) -> None:
        for name, batch in {
            "too many": rows(ROWS_MAX + 1, 10, 0),
            "far apart": rows(100, 10, 0, 64),
            "falling": rows(100, 10, 1, 0),
            "keys": build_batch([Record(value=b"v", key=b"k", timestamp=1)] * 100),
            "headers": build_batch([Record(value=b"v", timestamp=1, headers=[("h", b"")])] * 100),
            "no value": build_batch([Record(value=None, timestamp=1)] * 100),
            "two sizes": build_batch([Record(value=b"v" * (9 + n // 50), timestamp=1) for n in range(100)]),
            "very large": rows(40, 20_000, 0),
        }.items():
            self.assertIsNone(found(batch), name)

    def test_every_byte(self) -> None:
        """One that says something, changed to anything, and it is no table, or a sound one; as also a byte less."""
        for count, size in ((40, 1), (70, 60)):
            batch = rows(count, size, 0)
            for at in range(HEADER_BYTES, len(batch)):
                for value in {0, 1, 2, 127, 128, batch[at] ^ 1, batch[at] ^ 2}:
                    changed = bytearray(batch)
                    changed[at] = value
                    changed[17:21] = crc32c(changed[21:]).to_bytes(4, "big")
                    delta = found(bytes(changed))
                    if delta is not None:
                        checked = check_records(bytes(changed), read_header(changed))
                        self.assertEqual(checked.max_timestamp - 1000, delta, f"byte {at} = {value}")
                        self.assertTrue(checked.has_null_key)
            self.assertIsNone(found(batch[:-1]))
            self.assertIsNone(found(batch + b"\0"))

    def test_it_takes_few_steps(self) -> None:
        """However many records there are; where nothing is known beforehand, it is 876 and 1477."""
        few, many = steps_of(rows(60, 100, 0, 1)), steps_of(rows(500, 100, 0, 1))
        self.assertLess(few, 440)
        self.assertLess(many, 560)

    def test_nothing_is_derived_in_vain(self) -> None:
        """Records of many sizes are no table, and none is made for each number of them and size of the first one."""
        before = recordtable._table.cache_info()
        for count in range(40, 90):
            batch = build_batch([Record(value=b"v" * (n % 50), timestamp=1) for n in range(count)])
            self.assertIsNone(found(batch))
            batch = build_batch([Record(value=b"v" * (50 - n % 50), timestamp=1) for n in range(count)])
            self.assertIsNone(found(batch))
        self.assertEqual(recordtable._table.cache_info().misses, before.misses)

    def test_what_is_kept_is_bounded(self) -> None:
        for size in range(2 * TABLES_MAX):
            found(rows(33, size, 0))
        self.assertLessEqual(recordtable._table.cache_info().currsize, TABLES_MAX)
