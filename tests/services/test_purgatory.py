"""Waiting for an offset, for several things, and no longer than was said."""

from __future__ import annotations

from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from streamline.services.deadlines import BUCKET_S, Deadlines
from streamline.services.purgatory import Gathering, Group, Queue


class QueueTests(SynchronousTestCase):
    """Waiters are released when their offset is reached, and only then."""

    def setUp(self) -> None:
        """Make one."""
        self.queue = Queue(Gathering())
        self.released: list[int] = []

    def until(self, offset: int) -> None:
        """Wait for an offset."""
        self.queue.until(offset, lambda: self.released.append(offset))

    def test_in_order_of_offsets(self) -> None:
        for offset in (5, 9, 7, 7, 3):
            self.until(offset)
        self.queue.advance(6)
        self.assertEqual(self.released, [3, 5])
        self.queue.advance(7)
        self.assertEqual(self.released, [3, 5, 7, 7])
        self.assertEqual(len(self.queue), 1)

    @given(st.lists(st.integers(0, 20), max_size=30), st.lists(st.integers(0, 25), max_size=8))
    def test_any_order(self, offsets: list[int], steps: list[int]) -> None:
        self.setUp()
        for offset in offsets:
            self.until(offset)
        reached = -1
        for step in steps:
            reached = max(reached, step)
            self.queue.advance(reached)
            self.assertEqual(sorted(self.released), sorted(offset for offset in offsets if offset <= reached))

    def test_one_that_waits_again_while_released(self) -> None:
        self.queue.until(1, lambda: self.until(2))
        self.queue.advance(1)
        self.assertEqual(self.released, [])
        self.queue.advance(2)
        self.assertEqual(self.released, [2])

    def test_advanced_while_advancing(self) -> None:
        """Whoever is released may append, and so move the offset on."""
        self.queue.until(1, lambda: self.queue.advance(3))
        self.until(2)
        self.until(3)
        self.queue.advance(2)
        self.assertEqual(self.released, [2, 3])

    def test_release_all(self) -> None:
        self.until(5)
        self.until(9)
        self.queue.release_all()
        self.assertEqual(self.released, [5, 9])
        self.assertEqual(len(self.queue), 0)


class GroupTests(SynchronousTestCase):
    """One request that waits for several things."""

    def setUp(self) -> None:
        """Wait for two things, for a second."""
        self.clock = cast(Any, Clock())
        self.group = Group(2, Deadlines(self.clock), 1.0)

    def test_all_settled(self) -> None:
        self.group.settle()
        self.assertNoResult(self.group.done)
        self.group.settle()
        self.successResultOf(self.group.done)
        self.clock.advance(2)
        self.assertEqual(self.clock.getDelayedCalls(), [], "a request that is answered leaves no timer for good")

    def test_time_is_up(self) -> None:
        self.group.settle()
        self.clock.advance(1.0 + BUCKET_S)
        self.successResultOf(self.group.done)
        self.group.settle()

    def test_cancelled(self) -> None:
        self.group.done.cancel()
        self.failureResultOf(self.group.done, CancelledError)
        self.group.settle()
        self.group.settle()
        self.clock.advance(2)


class GatheringTests(SynchronousTestCase):
    """What many ask for is done once, when all of them have asked."""

    def setUp(self) -> None:
        """Count."""
        self.gathering = Gathering()
        self.done: list[str] = []

    def send(self) -> None:
        """What is asked for."""
        self.done.append("sent")

    def test_at_once(self) -> None:
        self.gathering.once(self.send)
        self.assertEqual(self.done, ["sent"])

    def test_at_the_end(self) -> None:
        with self.gathering:
            with self.gathering:
                self.gathering.once(self.send)
            self.gathering.once(self.send)
            self.assertEqual(self.done, [])
        self.assertEqual(self.done, ["sent"])
        self.gathering.once(self.send)
        self.assertEqual(self.done, ["sent", "sent"])

    def test_released_together(self) -> None:
        """A queue asks for it when the last that was released has been told."""
        queue = Queue(self.gathering)
        for offset in (1, 2, 3):
            queue.until(offset, lambda offset=offset: self.told(offset))  # type: ignore[misc]
        queue.advance(2)
        self.assertEqual(self.done, ["1", "2", "sent"])
        queue.release_all()
        self.assertEqual(self.done, ["1", "2", "sent", "3", "sent"])

    def told(self, offset: int) -> None:
        """Answer, and have it sent."""
        self.done.append(str(offset))
        self.gathering.once(self.send)

    def test_one_that_fails(self) -> None:
        """The others are done, and it is logged."""
        with self.gathering:
            self.gathering.once(self.fails)
            self.gathering.once(self.send)
        self.assertEqual(self.done, ["sent"])
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    def fails(self) -> None:
        """Fail."""
        raise KeyError
