"""The newest bytes are kept for those who read along, and no more of them than allowed."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from streamline.storage.tail import JOIN_BYTES, PARTS_MAX, Tail, TailBudget


class TailTests(SynchronousTestCase):
    """One log's tail."""

    def setUp(self) -> None:
        """Make a tail that somebody reads."""
        self.budget = TailBudget(limit_bytes=2**21, tail_bytes=2**20)
        self.tail = Tail(self.budget)
        self.tail.want()

    def read(self, start: int, end: int) -> bytes | None:
        """Return a range as one."""
        parts = self.tail.read(start, end)
        return None if parts is None else b"".join(parts)

    def test_ranges(self) -> None:
        """Any range of what was written can be read, however it was written."""
        data = bytes(range(256)) * 4
        for start in range(0, 1024, 100):
            self.tail.add(start, [data[start : start + 30], memoryview(data)[start + 30 : start + 100]],
                          len(data[start : start + 100]))
        for start in range(0, 1000, 37):
            for end in range(start + 1, 1024, 41):
                self.assertEqual(self.read(start, end), data[start:end])

    def test_what_is_not_there(self) -> None:
        """A range that is not wholly kept is none."""
        self.assertIsNone(self.read(0, 1))
        self.tail.add(100, [b"x" * 50], 50)
        self.assertEqual([self.read(99, 110), self.read(100, 151), self.read(120, 150)], [None, None, b"x" * 30])

    def test_many_pieces(self) -> None:
        """Ranges in too many pieces are left to the page cache."""
        for position in range(PARTS_MAX + 5):
            self.tail.add(position, [b"x"], 1)
        self.assertIsNotNone(self.tail.read(5, PARTS_MAX + 5))
        self.assertIsNone(self.tail.read(0, PARTS_MAX + 5))

    def test_nobody_reads(self) -> None:
        """Nothing is kept for nobody, and no longer than somebody reads."""
        idle = Tail(self.budget)
        idle.add(0, [b"x" * 10], 10)
        self.assertEqual(idle.size, 0)
        for number in range(30):
            self.tail.add(number * 50_000, [b"x" * 50_000], 50_000)
        self.assertEqual([self.tail.size, self.budget.used_bytes], [0, 0])

    def test_limit(self) -> None:
        """Reading along goes on with the newest half when there is too much."""
        for number in range(100):
            self.tail.want()
            self.tail.add(number * 50_000, [b"x" * 50_000], 50_000)
            self.assertLessEqual(self.tail.size, 2**20)
            self.assertEqual(self.budget.used_bytes, self.tail.size)
            self.assertIsNotNone(self.read(number * 50_000, (number + 1) * 50_000))

    def test_budget(self) -> None:
        """The tails together keep to the limit; that which did not grow for longest gives way."""
        tails = [Tail(self.budget) for _ in range(5)]
        for tail in tails:
            tail.want()
            for number in range(10):
                tail.add(number * 60_000, [b"x" * 60_000], 60_000)
        self.assertLessEqual(self.budget.used_bytes, 2**21)
        self.assertEqual([bool(tail.size) for tail in tails], [False, False, True, True, True])
        self.assertEqual(self.budget.used_bytes, sum(tail.size for tail in tails))

    def test_larger_than_all(self) -> None:
        """A write larger than the limit is not kept, and breaks nothing."""
        self.tail.add(0, [b"x" * (2**21 + 1)], 2**21 + 1)
        self.assertEqual([self.tail.size, self.budget.used_bytes, self.read(0, 5)], [0, 0, None])

    def test_little_of_much(self) -> None:
        """A small part of a large buffer does not keep all of it."""
        large = bytes(8 * JOIN_BYTES)
        half = memoryview(large)[: 5 * JOIN_BYTES]
        self.tail.add(0, [memoryview(large)[: 2 * JOIN_BYTES]], 2 * JOIN_BYTES)
        self.tail.add(2 * JOIN_BYTES, [half], len(half))
        [copied] = self.tail.read(0, 2 * JOIN_BYTES) or []
        [kept] = self.tail.read(2 * JOIN_BYTES, 7 * JOIN_BYTES) or []
        self.assertIsInstance(copied, bytes)
        self.assertIs(kept, half)

    def test_clear(self) -> None:
        """A cleared tail keeps nothing, and counts for nothing."""
        self.tail.add(0, [b"x" * 10], 10)
        self.tail.clear()
        self.tail.clear()
        self.assertEqual([self.tail.size, self.budget.used_bytes, self.read(0, 1)], [0, 0, None])
