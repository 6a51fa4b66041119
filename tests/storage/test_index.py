"""Indexes are Kafka's, byte for byte, and are doubted where they cannot be right."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from streamline.storage.index import IndexDoubted, OffsetIndex, TimeIndex

OFFSETS = bytes.fromhex("00000004 00000100  00000009 00000300  7fffffff 7ffffffe")
TIMES = bytes.fromhex("0000019b77000000 00000004  0000019b77000001 00000009")


class OffsetIndexTests(SynchronousTestCase):
    """Offsets to positions."""

    def test_format(self) -> None:
        """Relative offset and position, big-endian."""
        index = OffsetIndex.decode(OFFSETS, 2**31 - 1)
        self.assertEqual([list(index.offsets), list(index.positions)], [[4, 9, 2**31 - 1], [256, 768, 2**31 - 2]])
        self.assertEqual([index.encode(), index.encode(1), index.encode(3)], [OFFSETS, OFFSETS[8:], b""])

    def test_doubt(self) -> None:
        """An index that is cut, does not rise, is negative, or leads out of the log."""
        for wrong in (OFFSETS[:-1], OFFSETS[8:16] + OFFSETS[:8], OFFSETS[:8] * 2, b"\xff" + OFFSETS[1:], bytes(16)):
            self.assertRaises(IndexDoubted, OffsetIndex.decode, wrong, 2**31 - 1)
        self.assertRaises(IndexDoubted, OffsetIndex.decode, OFFSETS, 2**31 - 2)

    @given(st.sets(st.tuples(st.integers(0, 500), st.integers(0, 10))), st.integers(-5, 505))
    def test_lookups(self, pairs: set[tuple[int, int]], wanted: int) -> None:
        """Lookups agree with looking at all entries."""
        entries = [(offset, offset * 20 + more) for offset, more in sorted(dict(pairs).items())]
        index = OffsetIndex()
        for offset, position in entries:
            index.append(offset, position)
        self.assertEqual(index.before_offset(wanted), sum(offset <= wanted for offset, _ in entries) - 1)
        self.assertEqual(index.reaching(wanted), sum(offset < wanted for offset, _ in entries))
        self.assertEqual(index.before_position(wanted * 20), sum(at <= wanted * 20 for _, at in entries) - 1)
        index.truncate(wanted * 20)
        self.assertEqual(len(index), sum(at < wanted * 20 for _, at in entries))


class TimeIndexTests(SynchronousTestCase):
    """Times to offsets."""

    def test_format(self) -> None:
        """Timestamp and relative offset, big-endian."""
        index = TimeIndex.decode(TIMES)
        self.assertEqual([index.entry(0), index.last(), index.latest, len(index)],
                         [(1767228047360, 4), (1767228047361, 9), 1767228047361, 2])
        self.assertEqual([index.encode(), index.encode(1)], [TIMES, TIMES[12:]])

    def test_doubt(self) -> None:
        """An index that is cut or does not rise."""
        for wrong in (TIMES[:-1], TIMES[12:] + TIMES[:12], TIMES[:12] * 2, bytes(24), b"\xff" * 12):
            self.assertRaises(IndexDoubted, TimeIndex.decode, wrong)

    def test_extend(self) -> None:
        """Only a greater time is an entry; -1 is none."""
        index = TimeIndex()
        for timestamp, offset in ((-1, 0), (5, 1), (5, 2), (4, 3), (6, 4)):
            index.extend(timestamp, offset)
        self.assertEqual([index.entry(0), index.entry(1), len(index)], [(5, 1), (6, 4), 2])
        self.assertEqual([index.before(time) for time in (4, 5, 6, 7)], [-1, 0, 1, 1])

    def test_truncate(self) -> None:
        """Entries from an offset on go, and the latest time with them."""
        index = TimeIndex.decode(TIMES)
        index.truncate(9)
        self.assertEqual([len(index), index.latest], [1, 1767228047360])
        index.truncate(4)
        self.assertEqual([len(index), index.latest, index.last()], [0, -1, None])
        index.extend(3, 1)
        self.assertEqual(index.last(), (3, 1))
