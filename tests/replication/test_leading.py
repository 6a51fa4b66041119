"""What a leader takes for committed, and whom it lets fetch."""

from __future__ import annotations

from streamline.errors import ErrorCode, Refused
from streamline.model import NO_EPOCH
from streamline.replication.truncation import Divergence
from tests.replication.leading_case import EPOCH, LAG_MAX_S, LeadingCase


class HighWatermarkTests(LeadingCase):
    """What every in-sync replica has is committed."""

    def test_the_slowest_decides(self) -> None:
        self.append(20)
        self.fetches(n2=15, n3=12)
        self.shows(12)
        self.fetches(n3=20)
        self.shows(15)
        self.fetches(n2=20)
        self.shows(20)

    def test_our_own_copy_counts_too(self) -> None:
        """What we have not synced yet, where the topic asks for that, is not committed although others have it."""
        self.log = type(self.log)(0, 20)
        self.fetches(n2=20, n3=20)
        self.shows(10)
        self.append(17)
        self.shows(17)

    def test_acknowledged_without_a_second_fetch(self) -> None:
        """KR11: nobody waits until followers have heard of the high watermark."""
        self.append(11)
        self.fetches(n2=11, n3=11)
        self.shows(11)

    def test_it_never_falls(self) -> None:
        """Not for a follower that has less than it had, nor for an ISR that has grown."""
        self.append(20)
        self.fetches(n2=20, n3=20)
        self.fetches(n2=12)
        self.append(30)
        self.shows(20)
        self.metadata(replicas=(1, 2, 3, 4), isr=(1, 2, 3, 4))
        self.shows(20)

    def test_nothing_is_known_of_followers_at_first(self) -> None:
        """KR14: what they had in another epoch says nothing; all of them have to fetch in this one."""
        self.shows(6)
        self.fetches(n2=10)
        self.shows(6)
        self.fetches(n3=10)
        self.shows(10)

    def test_alone(self) -> None:
        """A partition with one replica commits at once, whatever min.insync.replicas is."""
        self.begin(replicas=(1,), isr=(1,))
        self.shows(10)
        self.append(20)
        self.shows(20)

    def test_no_more_than_there_is(self) -> None:
        self.begin(high_watermark=12)
        self.shows(10)

    def test_the_isr_shrinks(self) -> None:
        """Who has gone holds nothing back any more."""
        self.append(20)
        self.fetches(n2=20, n3=12)
        self.now += LAG_MAX_S + 1
        self.append(21)
        self.fetches(n2=21)
        self.metadata(isr=(1, 2))
        self.shows(21)

    def test_it_stands_still_below_the_minimum(self) -> None:
        """KR19: a record that one replica has may be lost with it, so nobody may read it."""
        self.append(20)
        self.fetches(n2=15, n3=15)
        self.metadata(isr=(1,))
        self.shows(15)
        self.append(30)
        self.now += LAG_MAX_S + 1
        self.metadata()
        self.shows(15)
        self.assertFalse(self.led.has_enough)
        self.metadata(min_isr=1)
        self.shows(30)

    def test_who_is_asked_for_is_not_enough(self) -> None:
        """KR19: it counts among those who must have a record, not among those who make it safe."""
        self.begin(isr=(1,))
        self.fetches(n2=10)
        self.asks(1, 2)
        self.assertEqual(self.led.maximal_isr, (1, 2))
        self.assertFalse(self.led.has_enough)
        self.shows(6)

    def test_the_minimum_rises(self) -> None:
        """KC4."""
        self.metadata(isr=(1, 2))
        self.metadata(min_isr=3)
        self.append(20)
        self.fetches(n2=20)
        self.shows(6)

    def test_more_is_asked_than_there_are_replicas(self) -> None:
        """All of them are enough then."""
        self.begin(replicas=(1, 2), isr=(1, 2))
        self.metadata(min_isr=3)
        self.fetches(n2=10)
        self.shows(10)
        self.assertEqual(self.led.min_isr, 2)


class WaitingForOthersTests(LeadingCase):
    """Who is about to join holds the high watermark back, or it would never reach it."""

    def setUp(self) -> None:
        """Node 3 is not in sync."""
        super().setUp()
        self.begin(isr=(1, 2))

    def test_who_keeps_up(self) -> None:
        self.fetches(n2=10, n3=10)
        self.append(20)
        self.fetches(n2=20)
        self.shows(10)
        self.now += LAG_MAX_S + 1
        self.fetches(n2=20)
        self.shows(20)

    def test_who_does_not(self) -> None:
        self.fetches(n3=3)
        self.append(20)
        self.fetches(n2=20)
        self.shows(20)

    def test_who_is_fenced(self) -> None:
        """KR17."""
        self.fetches(n2=10, n3=10)
        self.append(20)
        self.fetches(n2=20)
        self.broker(3, fenced=True)
        self.shows(20)

    def test_who_is_about_to_stop(self) -> None:
        """KR17: it would hold produces back until it is late."""
        self.fetches(n2=10, n3=10)
        self.append(20)
        self.fetches(n2=20)
        self.broker(3, shutting_down=True)
        self.shows(20)

    def test_who_has_registered_again(self) -> None:
        """KR18: it is another process, of which we know nothing."""
        self.fetches(n2=10, n3=10)
        self.append(20)
        self.fetches(n2=20)
        self.broker(3, epoch=30)
        self.shows(20)

    def test_time_passes(self) -> None:
        """Without any event, looking now and then is enough."""
        self.fetches(n2=10, n3=10)
        self.append(20)
        self.fetches(n2=20)
        self.now += LAG_MAX_S + 1
        self.led.next_ask(self.now)
        self.shows(20)


class LatestOffsetTests(LeadingCase):
    """What a leader tells as the end of its log."""

    def test_after_an_election(self) -> None:
        """KR9: more may have been told by the last leader than we know of, but nothing of this epoch."""
        refusal = self.assertRaises(Refused, lambda: self.led.latest_offset)
        self.assertEqual(refusal.code, ErrorCode.OFFSET_NOT_AVAILABLE)
        self.append(12)
        self.fetches(n2=10, n3=10)
        self.assertEqual(self.led.latest_offset, 10)
        self.fetches(n2=12, n3=11)
        self.assertEqual(self.led.latest_offset, 11)


class LowWatermarkTests(LeadingCase):
    """From where on nobody keeps anything less than we do (KIP-107)."""

    def test_who_is_there(self) -> None:
        """All that are there say so before it moves."""
        self.fetch(2, 10, start_offset=6)
        self.assertEqual(self.led.low_watermark(6), -1)
        self.fetch(3, 10, start_offset=4)
        self.assertEqual(self.led.low_watermark(6), 4)
        self.fetch(3, 10, start_offset=6)
        self.assertEqual(self.led.low_watermark(6), 6)

    def test_who_is_gone(self) -> None:
        """Nobody is waited for whose node is gone, unless it may be the next to lead."""
        self.fetch(2, 10, start_offset=6)
        self.fetch(3, 10, start_offset=4)
        self.broker(3, fenced=True)
        self.metadata(isr=(1, 2))
        self.assertEqual(self.led.low_watermark(6), 6)
        self.metadata(isr=(1,), elr=(3,))
        self.assertEqual(self.led.low_watermark(6), 4)


class FetchTests(LeadingCase):
    """Who may fetch, and what counts of it."""

    def test_another_epoch(self) -> None:
        """KR5: a replica that does not know us yet, or that we do not, changes nothing here."""
        self.fetches(n2=10)
        self.is_refused(ErrorCode.FENCED_LEADER_EPOCH, 3, 10, leader_epoch=EPOCH - 1)
        self.is_refused(ErrorCode.UNKNOWN_LEADER_EPOCH, 3, 10, leader_epoch=EPOCH + 1)
        self.is_refused(ErrorCode.FENCED_LEADER_EPOCH, 3, 10, leader_epoch=NO_EPOCH)
        self.shows(6)

    def test_no_replica(self) -> None:
        self.is_refused(ErrorCode.NOT_LEADER_OR_FOLLOWER, 4, 10)

    def test_an_earlier_process(self) -> None:
        """KR15, KR18: what it has may be gone with it."""
        self.broker(3, epoch=20)
        self.is_refused(ErrorCode.NOT_LEADER_OR_FOLLOWER, 3, 10)
        self.assertIsNone(self.fetch(3, 10, broker_epoch=20))

    def test_an_earlier_process_than_one_that_fetched(self) -> None:
        """The metadata may not have it yet."""
        self.assertIsNone(self.fetch(3, 10, broker_epoch=20))
        self.is_refused(ErrorCode.NOT_LEADER_OR_FOLLOWER, 3, 10)

    def test_divergence(self) -> None:
        """Where logs part, nothing counts of what the follower has."""
        self.append(20)
        self.fetches(n2=20)
        self.assertEqual(self.fetch(3, 15, last_epoch=4), Divergence(4, 10))
        self.shows(6)
        self.fetches(n3=10)
        self.shows(10)

    def test_out_of_range(self) -> None:
        self.is_refused(ErrorCode.OFFSET_OUT_OF_RANGE, 3, 11, last_epoch=NO_EPOCH)

    def test_a_replica_that_was_taken_away_and_came_back(self) -> None:
        """KR14: what it had before is not what it has now."""
        self.fetches(n2=10, n3=10)
        self.metadata(replicas=(1, 2), isr=(1, 2))
        self.metadata(replicas=(1, 2, 3))
        self.assertEqual(self.led.followers[3].end_offset, -1)
