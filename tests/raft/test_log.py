"""The log: entries, cuts, and how far each thing has come."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from streamline.raft import Entry, InvariantBroken
from streamline.raft.log import Log
from tests.raft.cluster import commands

TERMS = st.lists(st.integers(1, 4), max_size=8).map(sorted)


def terms_of(log: Log) -> list[int]:
    """Return the terms of all entries."""
    return [entry.term for entry in log.between(log.first_index, log.last_index)]


def logged(terms: Sequence[int]) -> Log:
    """Return a log with commands of these terms, all durable."""
    return Log(entries=commands(*terms))


class SpliceTests(SynchronousTestCase):
    """Taking over a leader's entries."""

    @given(TERMS, TERMS, st.integers(0, 8), st.integers(0, 8))
    def test_only_a_conflict_cuts(self, ours: list[int], theirs: list[int], start: int, count: int) -> None:
        """Afterwards the entries of the message are here; what was there and does not conflict still is."""
        shared = 0
        while shared < min(len(ours), len(theirs)) and ours[shared] == theirs[shared]:
            shared += 1
        start = min(start, shared)
        log, sent = logged(ours), commands(*theirs)[start : start + count]
        changed = log.splice(sent)
        expected = theirs[: start + len(sent)]
        if changed is None:
            self.assertEqual(terms_of(log), ours)
            self.assertEqual(terms_of(log)[: len(expected)], expected)
        else:
            self.assertEqual(terms_of(log), expected)
            self.assertEqual(changed, shared + 1)
            self.assertEqual(log.persisted_index, min(shared, len(ours)), "what was replaced is not durable")

    def test_an_old_message_cuts_nothing(self) -> None:
        """A message that is late says less than is known by now."""
        log = logged([1, 1, 1])
        self.assertIsNone(log.splice(commands(1)))
        self.assertEqual(log.last_index, 3)

    def test_committed_entries_stay(self) -> None:
        """A conflict with what is committed is the end of this replica."""
        log = logged([1, 1])
        log.commit_to(2)
        self.assertRaises(InvariantBroken, log.splice, commands(2, first=2))
        self.assertEqual(terms_of(log), [1, 1])

    def test_commit_beyond_the_end(self) -> None:
        """What is not here cannot be committed here."""
        self.assertRaises(InvariantBroken, logged([1]).commit_to, 2)


class DurabilityTests(SynchronousTestCase):
    """What was handed out, and what was reported."""

    def test_handed_out_once(self) -> None:
        """Entries are handed out to be written once, and again where they were replaced."""
        log = Log()
        log.splice(commands(1, 1, 1))
        self.assertEqual(len(log.take_unwritten()), 3)
        self.assertEqual(log.take_unwritten(), ())
        log.splice(commands(2, first=2))
        self.assertEqual(log.take_unwritten(), commands(2, first=2))

    def test_a_report_of_what_was_replaced(self) -> None:
        """A report about an entry that is another one now says nothing (RF3)."""
        log = Log()
        log.splice(commands(1, 1, 1))
        log.splice(commands(2, first=2))
        log.persisted(3, 1)
        self.assertEqual(log.persisted_index, 0)
        log.persisted(2, 1)
        self.assertEqual(log.persisted_index, 0)
        log.persisted(2, 2)
        self.assertEqual(log.persisted_index, 2)

    def test_replaced_entries_are_durable_no_more(self) -> None:
        """What comes in place of a durable entry has yet to be written (RF3)."""
        log = logged([1, 1, 1])
        log.splice(commands(2, first=3))
        self.assertEqual(log.persisted_index, 2)

    def test_delivers_what_is_committed_and_durable(self) -> None:
        """Neither is enough by itself (RF4)."""
        log = Log()
        log.splice(commands(1, 1, 1))
        log.commit_to(2)
        self.assertEqual(log.take_deliverable(10_000), ())
        log.persisted(1, 1)
        self.assertEqual([one.index for one in log.take_deliverable(10_000)], [1])
        log.persisted(3, 1)
        self.assertEqual([one.index for one in log.take_deliverable(10_000)], [2])

    def test_delivers_in_portions(self) -> None:
        """No more bytes at once than asked for, but one entry always."""
        log = logged([1] * 5)
        log.commit_to(5)
        self.assertEqual(len(log.take_deliverable(1)), 1)
        self.assertEqual(len(log.take_deliverable(2 * commands(1)[0].size_bytes)), 2)
        self.assertEqual(len(log.take_deliverable(10_000)), 2)


class BoundaryTests(SynchronousTestCase):
    """What is left of entries that are gone."""

    def test_the_boundary_has_a_term(self) -> None:
        """The entry behind the boundary can still be checked against it (RF13)."""
        log = logged([1, 1, 2, 3])
        log.commit_to(4)
        log.take_deliverable(10_000)
        log.compact(3)
        self.assertEqual([log.term_at(index) for index in (2, 3, 4, 5)], [None, 2, 3, None])
        self.assertEqual((log.first_index, log.last_index, log.last_term), (4, 4, 3))
        log.compact(4)
        self.assertEqual((log.last_index, log.last_term), (4, 3))

    def test_size_and_batches_survive_compaction(self) -> None:
        """What is counted is what is there."""
        log = logged([1] * 6)
        log.commit_to(6)
        log.take_deliverable(10_000)
        size = log.size_between(3, 6)
        log.compact(3)
        self.assertEqual(log.size_between(3, 6), size)
        self.assertEqual([one.index for one in log.batch(4, 6, 2 * size // 3)], [4, 5])
        self.assertEqual([one.index for one in log.batch(5, 6, 1)], [5])

    def test_restore(self) -> None:
        """A leader's snapshot replaces all; nothing counts as durable or is delivered before it is."""
        log = logged([1, 1, 1])
        log.commit_to(1)
        log.take_deliverable(10_000)
        log.restore(10, 4)
        self.assertEqual((log.last_index, log.last_term, log.commit_index, log.delivered_index), (10, 4, 10, 10))
        self.assertEqual(log.persisted_index, 1)
        self.assertFalse(log.is_whole)
        log.splice([Entry(11, 4)])
        log.commit_to(11)
        self.assertEqual(log.take_deliverable(10_000), ())
        log.persisted(3, 1)
        self.assertFalse(log.is_whole)
        log.persisted(11, 4)
        self.assertTrue(log.is_whole)
        self.assertEqual([one.index for one in log.take_deliverable(10_000)], [11])

    @given(TERMS, st.integers(0, 9), st.integers(0, 5))
    def test_highest_not_after(self, terms: list[int], index: int, term: int) -> None:
        """The hint is the last place that may match, and not below the boundary."""
        log = logged(terms)
        known = [0, *terms]
        expected = max(at for at in range(min(index, len(terms)) + 1) if known[at] <= term or at == 0)
        self.assertEqual(log.highest_not_after(index, term), expected)

    @given(TERMS, TERMS)
    def test_is_behind(self, ours: list[int], theirs: list[int]) -> None:
        """The later last term is ahead, and the longer log where it is the same (Raft paper, 5.4.1)."""
        log = logged(ours)
        theirs_last = (theirs[-1] if theirs else 0, len(theirs))
        self.assertEqual(log.is_behind(*theirs_last), theirs_last < (ours[-1] if ours else 0, len(ours)))
