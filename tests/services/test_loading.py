"""Reading the entries of a partition of groups."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.trial.unittest import SynchronousTestCase

from streamline.errors import ErrorCode, Refused
from streamline.groups.entries import Entry, OffsetEntry
from streamline.model import OFFSETS_TOPIC, TopicPartition
from streamline.services.loading import ENTRIES_PER_TURN, load_entries
from streamline.testing.worlds import HandClock
from streamline.wire.records import Record, build_batch
from tests.services.rooms import Rooms


class CountingClock(HandClock):
    """Counts the turns that are asked for."""

    turns = 0

    def callLater(self, delay: float, callable: Callable[..., Any], *args: Any, **kw: Any) -> IDelayedCall:
        """Count."""
        self.turns += 1
        call: IDelayedCall = super().callLater(delay, callable, *args, **kw)
        return call


class LoadingTests(SynchronousTestCase):
    """A log is read to where it ends, in turns."""

    def setUp(self) -> None:
        """Make a partition."""
        self.it = Rooms()
        self.addCleanup(self.it.close)
        self.it.groups.locate("g")
        self.clock = CountingClock()

    def load(self) -> Deferred[list[Entry]]:
        """Read it."""

        async def collect() -> list[Entry]:
            return [entry async for entry in load_entries(self.it.partition, self.clock)]

        return Deferred.fromCoroutine(collect())

    def test_empty(self) -> None:
        """Nothing takes no turn."""
        self.assertEqual(self.successResultOf(self.load()), [])
        self.assertEqual(self.clock.turns, 0)

    def test_in_order_and_in_turns(self) -> None:
        """Others have the reactor in between."""
        self.it.fill(2000)
        loading = self.load()
        self.assertNoResult(loading)
        self.clock.advance(0)
        entries = self.successResultOf(loading)
        self.assertEqual(
            [entry.partition.partition for entry in entries if isinstance(entry, OffsetEntry)], list(range(2000))
        )
        self.assertEqual(self.clock.turns, 2000 // ENTRIES_PER_TURN)

    def test_only_what_was_there_when_it_began(self) -> None:
        """Else a busy log would never be read to its end."""
        self.it.fill(ENTRIES_PER_TURN)
        loading = self.load()
        self.it.fill(100)
        self.clock.advance(0)
        self.assertEqual(len(self.successResultOf(loading)), ENTRIES_PER_TURN)

    def test_partition_that_is_lost_meanwhile(self) -> None:
        """Says so."""
        self.it.fill(10)
        self.it.leadership.is_held = True
        self.it.fill(10)
        loading = self.load()
        self.it.partition.abandon(Refused(ErrorCode.NOT_LEADER_OR_FOLLOWER))
        self.assertEqual(self.failureResultOf(loading, Refused).value.code, ErrorCode.NOT_LEADER_OR_FOLLOWER)

    def test_only_records_that_are_understood(self) -> None:
        """Bad ones are named in the log of the node, newer kinds are not."""
        key = b"\0\1\0\1g\0\1t\0\0\0\0"
        bad = Record(b"\0\x09", key)
        newer = Record(b"", b"\0\3\0\1g")
        tombstone = Record(None, key)
        self.it.replicas.append_now(OFFSETS_TOPIC, 0, build_batch([bad, newer, tombstone]), -1)
        self.assertEqual(self.successResultOf(self.load()), [OffsetEntry("g", TopicPartition("t", 0), None)])
