"""KC1: whatever two logs have gone through, a follower ends up with the longest prefix of its leader's."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from streamline.errors import ErrorCode, Refused
from streamline.model import NO_EPOCH
from streamline.replication.epochs import LeaderEpochs
from streamline.replication.following import BeginAnew, Cut
from streamline.replication.truncation import Divergence, LogRange, cut_offset, find_divergence, last_epoch_of
from tests.replication.logs import Log, Record, follow, histories, log


def common_count(some: list[Record], others: list[Record]) -> int:
    """Return how many records two lists begin with alike."""
    pairs = zip(some, others, strict=False)
    return next((at for at, (one, other) in enumerate(pairs) if one != other), min(len(some), len(others)))


class CaseTests(SynchronousTestCase):
    """The ways in which two logs may part, A to G; the leader begins to lead in an epoch after all of them."""

    def parts(self, leader: str, follower: str, *offsets: int, epoch: int = 9) -> None:
        """Expect the follower to cut at these offsets, one after another, and then to have a prefix."""
        mine, its = log(follower), log(leader)
        _, steps = follow(mine, its, epoch)
        self.assertEqual([step.offset for step in steps if isinstance(step, Cut)], list(offsets))
        self.assertEqual(mine.records, its.records[: len(mine.records)])

    def test_a_behind_in_the_same_epoch(self) -> None:
        self.parts("1111", "11")

    def test_b_behind_an_epoch(self) -> None:
        self.parts("1122", "11")

    def test_c_ahead_in_the_same_epoch(self) -> None:
        """KR1: as far as the leader has it, whatever anybody takes for committed."""
        self.parts("11", "1111", 2)

    def test_d_ahead_in_a_later_epoch(self) -> None:
        self.parts("11", "1122", 2)

    def test_e_forked_with_an_epoch_each(self) -> None:
        self.parts("1133", "1122", 2)

    def test_f_the_leader_has_more_of_the_last_common_epoch(self) -> None:
        """KR3: our own end of that epoch counts as well."""
        self.parts("11", "12", 1)

    def test_g_nothing_in_common(self) -> None:
        self.parts("1", "22", 0)
        self.parts("22", "11", 0)

    def test_several_rounds(self) -> None:
        """KR3: fast elections leave epochs on both sides of which the other one has never heard."""
        self.parts("1" * 10 + "3" * 5 + "5" * 5, "1" * 8 + "2" * 4 + "4" * 4 + "6" * 2, 16, 12, 8)
        self.parts("11335", "1122446", 5, 4, 2)

    def test_same_offset_other_record(self) -> None:
        """KR2: two logs are as long, and their last records are of different leaders."""
        self.parts("13", "12", 1)
        self.parts("11", "12", 1)

    def test_who_led_without_writing(self) -> None:
        """Its own epoch has no record, so nobody is asked for it, and the batches of others find their place."""
        mine, its = log("11"), log("1111")
        mine.epochs.assign(2, 2)
        followed, steps = follow(mine, its, 3)
        self.assertEqual([step for step in steps if isinstance(step, Cut)], [])
        self.assertTrue(followed.has_forgotten)
        self.assertEqual(mine.epochs.entries(), [(1, 0)])


class DivergenceTests(SynchronousTestCase):
    """What a leader says of a log that is not in its own."""

    def test_out_of_range(self) -> None:
        epochs, kept = LeaderEpochs([(3, 5)]), LogRange(5, 9)
        for offset, epoch in ((4, 3), (4, NO_EPOCH), (10, NO_EPOCH), (7, 4)):
            refusal = self.assertRaises(Refused, find_divergence, epochs, kept, offset, epoch)
            self.assertEqual(refusal.code, ErrorCode.OFFSET_OUT_OF_RANGE)

    def test_an_empty_log_is_a_prefix(self) -> None:
        for offset in (5, 7, 9):
            self.assertIsNone(find_divergence(LeaderEpochs([(3, 5)]), LogRange(5, 9), offset, NO_EPOCH))

    def test_before_all_that_is_known(self) -> None:
        """Where our first epoch begins, the reader's older ones end."""
        epochs, kept = LeaderEpochs([(3, 5)]), LogRange(5, 9)
        self.assertEqual(find_divergence(epochs, kept, 7, 2), Divergence(2, 5))
        self.assertIsNone(find_divergence(epochs, kept, 5, 2))

    def test_an_epoch_that_we_do_not_know(self) -> None:
        """We cannot be behind a leader with all that we have, unless our log is empty."""
        self.assertEqual(cut_offset(LeaderEpochs(), 0, Divergence(3, 7)), 0)
        self.assertEqual(cut_offset(LeaderEpochs([(1, 0)]), 4, Divergence(3, 7)), 4)

    def test_last_epoch(self) -> None:
        """It is that of the last record."""
        epochs = LeaderEpochs([(1, 0), (4, 6)])
        self.assertEqual([last_epoch_of(epochs, LogRange(0, end)) for end in (0, 1, 6, 7)], [NO_EPOCH, 1, 1, 4])
        self.assertEqual(last_epoch_of(LeaderEpochs([(4, 6)]), LogRange(6, 6)), NO_EPOCH)


class PropertyTests(SynchronousTestCase):
    """KC1, for logs of any history."""

    @settings(max_examples=500, deadline=None)
    @given(histories(), st.data())
    def test_the_longest_common_prefix_is_left(self, logs: list[Log], data: st.DataObject) -> None:
        """No record that the leader has is cut, and none that it does not have is left: more than 10,000 pairs."""
        ends = [data.draw(st.integers(0, len(one.records))) for one in logs]
        for its in logs:
            for end, one in zip(ends, logs, strict=True):
                mine, leader = Log(one.records[:end]), Log(its.records)
                follow(mine, leader, len(logs))
                self.assertEqual(mine.records, one.records[: min(end, common_count(one.records, its.records))])

    @settings(max_examples=700, deadline=None)
    @given(histories(), st.data())
    def test_logs_that_begin_later(self, logs: list[Log], data: st.DataObject) -> None:
        """What was deleted at the start of either log makes no difference to what is left."""
        sides = []
        for _ in range(2):
            records = data.draw(st.sampled_from(logs)).records
            start = data.draw(st.integers(0, len(records)))
            sides.append(Log(records[start:], start))
        mine, its = sides
        had = Log(list(mine.records), mine.start_offset)
        followed, steps = follow(mine, its, len(logs))
        first = max(had.start_offset, its.start_offset)
        self.assertEqual(mine.since(first), its.since(first)[: len(mine.since(first))])
        self.assertTrue(its.start_offset <= mine.end_offset <= its.end_offset)
        self.assertGreaterEqual(followed.high_watermark, mine.start_offset)
        if had.since(first)[:1] == its.since(first)[:1] != []:
            self.assertEqual([step for step in steps if isinstance(step, BeginAnew)], [], "something was in common")
            self.assertEqual(mine.end_offset, first + common_count(had.since(first), its.since(first)))
