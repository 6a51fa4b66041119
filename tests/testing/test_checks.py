"""Each checker finds, in a history made by hand, what it is there for."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from streamline.model import TopicPartition
from streamline.testing import checks
from streamline.testing.checks import Anomaly, Pardon
from streamline.testing.durability import PowerCuts, judge
from streamline.testing.history import FAIL, INFO, OK, Change, History, Lookup, Poll, Send

KEY = TopicPartition("topic", 0)


def send(value: str, number: int, offset: int = -1, **more: Any) -> Send:
    """Return a send that was acknowledged a second after it was sent, unless told otherwise."""
    status = OK if offset >= 0 else INFO
    kept = {"status": status, "offset": offset, "acks": -1, "idempotent": True, "done_at": number + 1.0, **more}
    return Send(producer="p", key=KEY, value=value, number=number, sent_at=float(number), **kept)


def poll(position: int, *values: str, at: float = 100.0, **more: Any) -> Poll:
    """Return a poll that brought these values from C{position} on."""
    records = list(enumerate(values, position))
    return Poll(consumer="c", key=KEY, asked_at=at, at=at, position=position, records=records, **more)


def final(*values: str, start: int = 0) -> Poll:
    """Return the reading of everything at the end."""
    return poll(start, *values, at=1000.0, is_final=True, is_reset=True)


def kinds(anomalies: list[Anomaly]) -> list[str]:
    """Return what kinds of anomaly there are."""
    return [anomaly.kind for anomaly in anomalies]


class CheckerTests(SynchronousTestCase):
    """Bad histories are found out."""

    def test_good_history(self) -> None:
        """A history in which nothing went wrong has no anomaly."""
        history = History(
            sends=[send("a", 0, 0), send("b", 1, 1), send("c", 2), send("d", 3, status=FAIL)],
            polls=[poll(0, "a"), poll(1, "b", at=101.0), final("a", "b")],
        )
        self.assertEqual(checks.check_all(history), [])

    def test_lost_write(self) -> None:
        """An acknowledged send that nobody read, though a later offset was read."""
        history = History(sends=[send("a", 0, 0), send("b", 1, 1)], polls=[poll(1, "b")])
        self.assertEqual(kinds(checks.lost_writes(history)), ["lost-write"])
        self.assertEqual(checks.lost_writes(history, Pardon(lost=["a"])), [])
        history.starts[KEY] = 1
        self.assertEqual(checks.lost_writes(history), [], "retention took it")

    def test_unseen(self) -> None:
        """An acknowledged send that is not there at the end, with or without a known offset."""
        for offset in (1, -1):
            sends = [send("a", 0, 0), send("b", 1, offset, status=OK)]
            history = History(sends=sends, polls=[poll(0, "a", "b"), final("a")])
            self.assertEqual(kinds(checks.unseen(history)), ["unseen"], offset)

    def test_inconsistent_offset(self) -> None:
        """One offset with two values: acknowledged and read, or read twice."""
        for history in (
            History(sends=[send("a", 0, 0)], polls=[poll(0, "b")]),
            History(polls=[poll(0, "a"), poll(0, "b", at=101.0)]),
            History(sends=[send("a", 0, 0), send("b", 1, 0)]),
        ):
            self.assertEqual(kinds(checks.inconsistent_offsets(history)), ["inconsistent-offset"])
            pardon = Pardon(changes=lambda key, before, after: key == KEY and before < after)
            self.assertEqual(checks.inconsistent_offsets(history, pardon), [])

    def test_duplicate(self) -> None:
        """One value at two offsets, unless its producer repeated it without idempotence."""
        history = History(sends=[send("a", 0, 0)], polls=[final("a", "a")])
        self.assertEqual(kinds(checks.duplicates(history)), ["duplicate"])
        history.sends[0].idempotent, history.sends[0].retried = False, True
        self.assertEqual(checks.duplicates(history), [])

    def test_phantom_and_aborted_read(self) -> None:
        """A value that nobody sent, and one whose send had failed."""
        history = History(sends=[send("a", 0, status=FAIL)], polls=[poll(0, "a", "z")])
        self.assertEqual(kinds(checks.phantom_reads(history)), ["aborted-read", "phantom"])

    def test_nonmonotonic_send(self) -> None:
        """A later send of an idempotent producer at a lower offset."""
        history = History(sends=[send("b", 1, 5), send("a", 0, 6)])
        self.assertEqual(kinds(checks.nonmonotonic_sends(history)), ["nonmonotonic-send"])
        self.assertEqual(checks.nonmonotonic_sends(history, Pardon(lost=["a"])), [])

    def test_poll_gaps(self) -> None:
        """Jumps inside a poll and between polls; a new position is no jump."""
        jumps = poll(0, "a")
        jumps.records = [(0, "a"), (2, "c"), (1, "b")]
        self.assertEqual(kinds(checks.poll_gaps(History(polls=[jumps]))), ["int-poll-skip", "int-nonmonotonic-poll"])
        skipped = History(polls=[poll(0, "a"), poll(5, "f")])
        self.assertEqual(kinds(checks.poll_gaps(skipped)), ["poll-skip"])
        skipped.polls[1].is_reset = True
        self.assertEqual(checks.poll_gaps(skipped), [])

    def test_lost_metadata(self) -> None:
        """Topics that were made and are gone, or deleted and are there; nobody knows about the undecided."""
        history = History(
            changes=[
                Change("create", "made", 1, 0.0, OK),
                Change("create", "gone", 1, 0.0, OK),
                Change("create", "deleted", 1, 0.0, OK),
                Change("delete", "deleted", 0, 1.0, OK),
                Change("create", "maybe", 1, 0.0),
            ]
        )
        self.assertEqual(checks.broken_changes(history, ["made"])[0].key, "gone")
        self.assertEqual([one.key for one in checks.broken_changes(history, ["made", "gone", "deleted"])], ["deleted"])

    def test_lost_commit(self) -> None:
        """A committed offset that is fetched as a lower one, unless a power cut explains it."""
        history = History(
            changes=[
                Change("commit", "g/t-0", 5, 0.0, OK, 1.0),
                Change("fetched", "g/t-0", 3, 2.0, OK, 3.0),
                Change("fetched", "g/t-0", 3, 4.0, OK, 5.0),
            ]
        )
        self.assertEqual(kinds(checks.lost_commits(history, lambda before, after: False)), ["lost-commit"])
        self.assertEqual(checks.lost_commits(history, lambda before, after: before <= 2.0 <= after), [])
        history.changes[1].sent_at = 0.5
        self.assertEqual(len(checks.lost_commits(history, lambda before, after: False)), 1, "the first was concurrent")

    def test_double_owner(self) -> None:
        """One partition given to two members of one generation."""
        owners = [Change("assigned", "g/t-0", 7, float(at), OK, float(at), who=who) for at, who in enumerate("aab")]
        history = History(changes=owners)
        self.assertEqual(kinds(checks.double_owners(history, lambda before, after: False)), ["double-owner"])
        owners[2].detail = 8
        self.assertEqual(checks.double_owners(history, lambda before, after: False), [])

    def test_order_across_producer_ids(self) -> None:
        """Whom retention made the node forget may land behind what it sent later; others may not."""
        sends = [send("a", 0, 9, incarnation=1), send("b", 1, 5, incarnation=0)]
        history = History(sends=sends)
        self.assertEqual(kinds(checks.nonmonotonic_sends(history)), ["nonmonotonic-send"])
        history.starts[KEY] = 2
        self.assertEqual(checks.nonmonotonic_sends(history), [])
        sends[0].incarnation = 0
        self.assertEqual(kinds(checks.nonmonotonic_sends(history)), ["nonmonotonic-send"])

    def test_vanished_read(self) -> None:
        """What somebody read, acknowledged or not, is there at the end, unless retention or a power cut took it."""
        history = History(sends=[send("a", 0), send("b", 1)], polls=[poll(0, "a", "b"), poll(0, "b"), final("a")])
        self.assertEqual(kinds(checks.vanished_reads(history)), ["vanished-read"])
        self.assertEqual(checks.vanished_reads(history, Pardon(changes=lambda key, before, after: True)), [])
        history.starts[KEY] = 2
        self.assertEqual(checks.vanished_reads(history), [])
        self.assertEqual(checks.vanished_reads(History(polls=history.polls[:2])), [], "nobody looked at the end")

    def test_moved_start(self) -> None:
        """A log without retention begins at 0."""
        history = History(starts={KEY: 3, TopicPartition("other", 0): 3, TopicPartition("topic", 1): 0})
        self.assertEqual(kinds(checks.moved_starts(history, ["topic"])), ["moved-start"])

    def test_wrong_lookup(self) -> None:
        """A time leads to the first record of at least that time, wherever greater ones lie."""
        read = final("a", "b", "c", "d")
        read.times_ms = [10, 30, 20, 30]
        right = [(10, 0, 10), (11, 1, 30), (20, 1, 30), (31, -1, -1), (-3, 1, 30)]
        wrong = [(11, 2, 20), (20, 2, 20), (31, 3, 30), (10, -1, -1), (10, 0, 11), (-3, 3, 30)]
        for rows, count in ((right, 0), (wrong, len(wrong))):
            history = History(polls=[read], lookups=[Lookup(KEY, *row) for row in rows])
            self.assertEqual(len(checks.wrong_lookups(history, ["topic"])), count)
            self.assertEqual(checks.wrong_lookups(history, []), [])
        empty = History(lookups=[Lookup(KEY, 5, -1, -1), Lookup(KEY, -3, -1, -1)])
        self.assertEqual(checks.wrong_lookups(empty, ["topic"]), [])

    def test_reports(self) -> None:
        """How often values were read, and how long the slowest took."""
        polls = [poll(0, "a", "b", at=7.0), poll(0, "a", at=9.0)]
        history = History(sends=[send("a", 0, 0), send("b", 1, 1)], polls=polls)
        self.assertEqual(checks.consume_counts(history), {1: 1, 2: 1})
        self.assertEqual(checks.longest_lag_s(history), 6.0)


class DurabilityTests(SynchronousTestCase):
    """What power cuts may take, and what not."""

    cuts = PowerCuts([10.0], ["synced"], window_s=20.0)

    def test_young_tail_may_go(self) -> None:
        """Records acknowledged shortly before a cut may be lost, all of them from one on."""
        history = History(sends=[send("a", 1, 0), send("b", 2, 1), send("c", 3, 2)], polls=[final("a")])
        loss = judge(history, self.cuts)
        self.assertEqual([sorted(loss.pardon.lost), loss.anomalies], [["b", "c"], []])
        self.assertEqual(checks.check_all(history, loss.pardon), [])

    def test_offsets_are_used_again(self) -> None:
        """What comes after the cut may have the offset of what is lost, and readers may see the change."""
        history = History(
            sends=[send("a", 1, 0), send("b", 2, 1), send("c", 11, 1)],
            polls=[poll(0, "a", "b", at=5.0), final("a", "c")],
        )
        loss = judge(history, self.cuts)
        self.assertEqual(loss.anomalies + checks.check_all(history, loss.pardon), [])

    def test_no_hole(self) -> None:
        """A record that survives behind a lost one was not the tail."""
        history = History(sends=[send("a", 1, 0), send("b", 2, 1), send("c", 3, 2)], polls=[final("a", "c")])
        self.assertEqual(kinds(judge(history, self.cuts).anomalies), ["hole"])

    def test_nothing_else_is_pardoned(self) -> None:
        """Old records, records sent after every cut, and topics that are synced must not be lost."""
        for lost, topic in ((send("x", -30, 0), "topic"), (send("x", 11, 0), "topic"), (send("x", 5, 0), "synced")):
            lost.key = TopicPartition(topic, 0)
            read = final()
            read.key = lost.key
            history = History(sends=[lost], polls=[read])
            self.assertEqual(kinds(checks.check_all(history, judge(history, self.cuts).pardon)), ["unseen"], lost)

    def test_changes_need_a_cut_between(self) -> None:
        """What was read may change over a cut only, and not in a synced topic."""
        self.assertTrue(self.cuts.may_change(KEY, 5.0, 11.0))
        self.assertFalse(self.cuts.may_change(KEY, 11.0, 12.0))
        self.assertFalse(self.cuts.may_change(TopicPartition("synced", 0), 5.0, 11.0))
        self.assertFalse(PowerCuts([10.0], [], 2.0).may_change(KEY, 5.0, 11.0), "it was durable by then")
