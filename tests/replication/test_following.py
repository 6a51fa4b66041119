"""What a follower does with what its leader answers."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from streamline.errors import ErrorCode
from streamline.model import NO_EPOCH
from streamline.replication.epochs import LeaderEpochs
from streamline.replication.following import (
    BACK_OFF_MAX_S,
    Append,
    BeginAnew,
    Cut,
    FollowedPartition,
    LeaderAnswer,
    Position,
    Step,
)
from streamline.replication.truncation import Divergence, LogRange
from streamline.wire.batch import BatchHeader


def batch(offset: int, epoch: int) -> BatchHeader:
    """Return the header of a batch of one record."""
    return BatchHeader(offset, 49, epoch, 2, 0, 0, 0, 0, 0, -1, -1, -1, 1)


class FollowingCase(SynchronousTestCase):
    """Node 2 leads in epoch 5; our log has epoch 3 from offset 4 to 10, and epoch 4 up to 20."""

    def setUp(self) -> None:
        """12 is known to be committed."""
        self.now = 100.0
        self.begin(12)

    def begin(self, high_watermark: int, start: int = 4, end: int = 20, leader_epoch: int = 5) -> None:
        """Begin to follow."""
        self.epochs = LeaderEpochs([(3, 4), (4, 10)] if end > start else [])
        self.followed = FollowedPartition(2, leader_epoch, self.epochs, LogRange(start, end), high_watermark)

    def answer(self, code: ErrorCode = ErrorCode.NONE, **given: Any) -> Step | None:
        """Have the leader answer what is asked for now."""
        position = self.followed.position
        assert position is not None
        if code is ErrorCode.NONE:
            given = {"high_watermark": 20, "start_offset": 4, **given}
        return self.followed.answered(position, LeaderAnswer(code=code, **given), self.now)


class PositionTests(FollowingCase):
    """What it asks for."""

    def test_the_end_of_its_log(self) -> None:
        self.assertEqual(self.followed.position, Position(5, 20, 4, 4))

    def test_an_empty_log(self) -> None:
        self.begin(0, start=7, end=7)
        self.assertEqual(self.followed.position, Position(5, 7, NO_EPOCH, 7))

    def test_metadata_that_are_older_than_the_log(self) -> None:
        """KR5: the leader of an earlier epoch than our own records cannot be the leader of now."""
        self.begin(12, leader_epoch=3)
        self.assertIsNone(self.followed.position)
        self.assertEqual(self.epochs.entries(), [(3, 4), (4, 10)])

    def test_answers_to_something_else(self) -> None:
        """We have moved on meanwhile."""
        stale = Position(5, 15, 4, 4)
        divergence = LeaderAnswer(divergence=Divergence(3, 8))
        self.assertIsNone(self.followed.answered(stale, divergence, self.now))
        self.assertEqual(self.followed.log, LogRange(4, 20))


class CommitTests(FollowingCase):
    """How far it knows what is committed."""

    def test_nothing_new(self) -> None:
        self.assertIsNone(self.answer(high_watermark=15))
        self.assertEqual(self.followed.high_watermark, 15)

    def test_no_further_than_the_log_goes(self) -> None:
        self.assertIsNone(self.answer(high_watermark=30))
        self.assertEqual((self.followed.high_watermark, self.followed.lag_records), (20, 10))

    def test_records(self) -> None:
        """They count once they are in our log."""
        self.assertIsNone(self.followed.lag_records)
        self.assertEqual(self.answer(high_watermark=30, has_records=True), Append())
        self.assertEqual(self.followed.high_watermark, 12)
        self.epochs.assign(5, 20)
        self.followed.appended(25)
        self.assertEqual((self.followed.high_watermark, self.followed.lag_records), (25, 5))
        self.assertEqual(self.followed.position, Position(5, 25, 5, 4))

    def test_a_leader_that_knows_less(self) -> None:
        """KR9: what was told once stays told."""
        self.assertIsNone(self.answer(high_watermark=8))
        self.assertEqual(self.followed.high_watermark, 12)

    def test_a_high_watermark_of_another_branch(self) -> None:
        """KR7: cut first; what the leader has committed says nothing about a log that is not its own."""
        self.answer(high_watermark=20, divergence=Divergence(4, 16))
        self.assertEqual(self.followed.high_watermark, 12)
        self.epochs.truncate_end(16)
        self.followed.cut(4, 16)
        self.assertEqual(self.followed.high_watermark, 12)

    def test_a_high_watermark_behind_the_cut(self) -> None:
        """KR7: only an unclean election does that, and says so."""
        self.assertEqual(self.answer(divergence=Divergence(3, 9)), Cut(9, True))
        self.followed.cut(4, 9)
        self.assertEqual(self.followed.high_watermark, 9)

    def test_a_hint_that_leads(self) -> None:
        self.begin(25)
        self.assertEqual(self.followed.high_watermark, 20)

    def test_a_hint_before_the_start(self) -> None:
        """KR8."""
        self.begin(2)
        self.assertEqual(self.followed.high_watermark, 4)


class CutTests(FollowingCase):
    """What it throws away."""

    def test_where_the_logs_part(self) -> None:
        """KR1: not at the high watermark, which may lie before or behind."""
        self.assertEqual(self.answer(divergence=Divergence(4, 16)), Cut(16, False))

    def test_an_epoch_that_we_know_less_far(self) -> None:
        """KR3."""
        self.assertEqual(self.answer(divergence=Divergence(3, 14)), Cut(10, True))

    def test_whole_batches(self) -> None:
        """A log may be cut further than was asked for; what is left is what counts."""
        self.answer(divergence=Divergence(4, 16))
        self.epochs.truncate_end(14)
        self.followed.cut(4, 14)
        self.assertEqual(self.followed.position, Position(5, 14, 4, 4))

    def test_nothing_to_cut(self) -> None:
        """No leader says so; it is asked again in a while."""
        self.assertIsNone(self.answer(divergence=Divergence(4, 25)))
        self.assertGreater(self.followed.retry_s, self.now)

    def test_before_the_start(self) -> None:
        """Nothing that we have is in the leader's log."""
        self.assertEqual(self.answer(divergence=Divergence(2, 3)), BeginAnew(3))
        self.epochs.truncate_end(0)
        self.followed.cut(3, 3)
        self.assertEqual(self.followed.high_watermark, 3)
        self.assertEqual(self.followed.position, Position(5, 3, NO_EPOCH, 3))

    def test_the_leader_keeps_nothing_that_goes_on_from_here(self) -> None:
        """KR8: the high watermark comes along."""
        step = self.answer(ErrorCode.OFFSET_OUT_OF_RANGE, start_offset=50)
        self.assertEqual(step, BeginAnew(50))
        self.epochs.truncate_end(0)
        self.followed.cut(50, 50)
        self.assertEqual(self.followed.high_watermark, 50)

    def test_out_of_range_for_no_reason(self) -> None:
        """KR1: whatever the matter is, nothing is thrown away that the leader's log may go on from."""
        for start_offset in (-1, 4, 20):
            self.setUp()
            self.assertIsNone(self.answer(ErrorCode.OFFSET_OUT_OF_RANGE, start_offset=start_offset))
            self.assertEqual(self.followed.log, LogRange(4, 20))
            self.assertGreater(self.followed.retry_s, self.now)

    def test_an_empty_log_behind_the_leaders_end(self) -> None:
        """There is nothing to lose."""
        self.begin(30, start=30, end=30)
        self.assertEqual(self.answer(ErrorCode.OFFSET_OUT_OF_RANGE, start_offset=3), BeginAnew(3))
        self.begin(30, start=30, end=30)
        self.assertIsNone(self.answer(ErrorCode.OFFSET_OUT_OF_RANGE, start_offset=-1))

    def test_another_branch_before_the_leaders_start(self) -> None:
        """
        KR1, KR7: cut to where the leader's log begins, what was never committed would stay, and be read once the high
        watermark has come by: the leader knows no epoch of it any more.
        """
        self.assertEqual(self.answer(high_watermark=20, start_offset=15, divergence=Divergence(4, 15)), BeginAnew(15))
        self.epochs.truncate_end(0)
        self.followed.cut(15, 15)
        self.assertEqual(self.followed.position, Position(5, 15, NO_EPOCH, 15))
        self.assertEqual(self.followed.high_watermark, 15)

    def test_another_branch_up_to_the_leaders_start(self) -> None:
        """It ends where the leader's begins, so that nothing is said to part."""
        self.assertEqual(self.answer(high_watermark=30, start_offset=20, has_records=True), BeginAnew(20))
        self.assertEqual(self.followed.high_watermark, 12)

    def test_committed_up_to_the_leaders_start(self) -> None:
        """There is one branch only of what is committed: what is known of its producers stays known."""
        for high_watermark, end in ((20, 20), (15, 15)):
            self.begin(high_watermark)
            divergence = None if end == 20 else Divergence(4, 15)
            step = self.answer(high_watermark=30, start_offset=end, divergence=divergence)
            self.assertEqual(step, None if divergence is None else Cut(15, False))

    def test_a_log_that_was_shown_to_be_the_leaders(self) -> None:
        """The leader deletes what its followers are not told to be committed yet."""
        self.answer(high_watermark=12, start_offset=4)
        self.assertIsNone(self.answer(high_watermark=20, start_offset=20))
        self.assertEqual((self.followed.high_watermark, self.followed.due_start_offset), (20, 20))

    def test_the_leaders_log_begins_later(self) -> None:
        """Ours does, too, as far as all of that was committed here."""
        self.assertIsNone(self.followed.due_start_offset)
        self.answer(high_watermark=12, start_offset=4)
        self.assertIsNone(self.followed.due_start_offset)
        self.answer(high_watermark=15, start_offset=9)
        self.assertEqual(self.followed.due_start_offset, 9)
        self.epochs.truncate_start(9)
        self.followed.started(9)
        self.assertIsNone(self.followed.due_start_offset)
        self.assertEqual((self.followed.log, self.followed.high_watermark), (LogRange(9, 20), 15))
        self.answer(high_watermark=15, start_offset=18)
        self.assertEqual(self.followed.due_start_offset, 15)


class BatchTests(FollowingCase):
    """Which batches may follow what is there."""

    def test_in_order(self) -> None:
        """Compaction may leave gaps."""
        self.assertEqual([self.followed.takes(batch(at, 5), 20) for at in (19, 20, 25)], [False, True, True])

    def test_epochs(self) -> None:
        """KR4: they rise in a log, and none is later than that of whom we follow."""
        takes = [self.followed.takes(batch(20, epoch), 20) for epoch in (3, 4, 5, 6)]
        self.assertEqual(takes, [False, True, True, False])


class ErrorTests(FollowingCase):
    """When it asks again."""

    def test_fenced(self) -> None:
        """KR5: there is another leader, and asking this one again is no use."""
        self.assertIsNone(self.answer(ErrorCode.FENCED_LEADER_EPOCH))
        self.assertIsNone(self.followed.position)

    def test_patience_grows(self) -> None:
        """And is new after an answer that is none of these."""
        waits = []
        for _ in range(8):
            self.assertIsNone(self.answer(ErrorCode.UNKNOWN_LEADER_EPOCH))
            waits.append(self.followed.retry_s - self.now)
        self.assertEqual(waits, sorted(waits))
        self.assertAlmostEqual(waits[0], 0.02)
        self.assertAlmostEqual(waits[-1], BACK_OFF_MAX_S)
        self.answer()
        self.followed.refused(self.now)
        self.assertAlmostEqual(self.followed.retry_s - self.now, 0.02)
