"""Which ISR a leader asks for, and what it takes for certain."""

from __future__ import annotations

from streamline.errors import ErrorCode
from streamline.replication.isr_changes import BACK_OFF_MAX_S, OVERTAKEN, IsrAsk, IsrMember
from tests.replication.leading_case import EPOCH, LAG_MAX_S, LeadingCase


class ShrinkTests(LeadingCase):
    """Replicas are dropped for being late."""

    def test_who_is_late(self) -> None:
        """KR23."""
        self.fetches(n2=10, n3=10)
        self.append(20)
        self.now += LAG_MAX_S
        self.fetches(n2=20)
        self.asks_nothing()
        self.now += 1
        ask = self.asks(1, 2)
        self.assertEqual((ask.leader_epoch, ask.partition_epoch), (EPOCH, 7))
        self.assertEqual(ask.isr, (IsrMember(1, 11), IsrMember(2, 12)))

    def test_who_has_everything_is_never_late(self) -> None:
        """KR23: however long ago it fetched."""
        self.fetches(n2=10, n3=10)
        self.now += 100 * LAG_MAX_S
        self.asks_nothing()
        self.append(11)
        self.asks_nothing()

    def test_who_had_everything_a_moment_ago(self) -> None:
        """KR23: while records keep coming a follower never has all of them, and is in sync nevertheless."""
        self.fetches(n2=10, n3=10)
        for round in range(1, 6):
            self.now += LAG_MAX_S / 2
            self.append(10 + 10 * round)
            self.fetches(n2=10 * round, n3=10 * round)
            self.asks_nothing()

    def test_who_reads_and_falls_behind(self) -> None:
        """KR23: fetching is not enough."""
        self.fetches(n2=10, n3=10)
        for round in range(1, 4):
            self.append(10 + 10 * round)
            self.now += LAG_MAX_S / 2
            self.fetches(n2=10 + 10 * round, n3=10 + round)
        self.asks(1, 2)

    def test_who_never_fetches(self) -> None:
        """It has a moment after the election, and no more."""
        self.fetches(n2=10)
        self.now += LAG_MAX_S
        self.asks_nothing()
        self.now += 1
        self.asks(1, 2)

    def test_until_it_is_agreed_on_nothing_changes(self) -> None:
        """KR23: who is to be dropped counts until the metadata say otherwise, whatever the answer was."""
        self.fetches(n2=10, n3=10)
        self.append(20)
        self.now += LAG_MAX_S + 1
        self.fetches(n2=20)
        ask = self.asks(1, 2)
        self.fetches(n2=20)
        self.assertEqual((self.led.maximal_isr, self.led.high_watermark), ((1, 2, 3), 10))
        self.led.answered(ask, ErrorCode.NONE, 8, self.now)
        self.shows(10)
        self.metadata(isr=(1, 2))
        self.shows(20)


class ExpandTests(LeadingCase):
    """Replicas are taken back once they have caught up."""

    def setUp(self) -> None:
        """Node 3 is not in sync."""
        super().setUp()
        self.begin(isr=(1, 2))
        self.append(20)
        self.fetches(n2=20)

    def test_who_has_what_is_committed(self) -> None:
        """KR14; the epoch under which it fetched goes along (KR18)."""
        self.shows(20)
        self.fetches(n3=19)
        self.asks_nothing()
        self.fetches(n3=20)
        self.assertEqual(self.asks(1, 2, 3).isr, (IsrMember(1, 11), IsrMember(2, 12), IsrMember(3, 13)))

    def test_who_has_less_than_this_epoch_began_with(self) -> None:
        """KR14: more may be committed than we know of, but nothing of this epoch."""
        self.begin(high_watermark=4, isr=(1, 2))
        self.fetches(n3=9)
        self.asks_nothing()
        self.fetches(n3=10)
        self.asks(1, 2, 3)

    def test_who_has_not_fetched_in_this_epoch(self) -> None:
        """KR14."""
        self.begin(high_watermark=0, end_offset=0, isr=(1, 2))
        self.asks_nothing()

    def test_who_is_fenced(self) -> None:
        """KR16: the leader looks, too."""
        self.fetches(n3=20)
        self.broker(3, fenced=True)
        self.asks_nothing()
        self.broker(3, fenced=False)
        self.asks(1, 2, 3)

    def test_who_is_about_to_stop(self) -> None:
        """KR16."""
        self.fetches(n3=20)
        self.broker(3, shutting_down=True)
        self.asks_nothing()

    def test_who_is_another_process_than_the_metadata_know(self) -> None:
        """KR18: in whichever order we hear of it."""
        self.assertIsNone(self.fetch(3, 20, broker_epoch=30))
        self.asks_nothing()
        self.broker(3, epoch=30)
        self.asks(1, 2, 3)
        self.broker(3, epoch=40)
        self.assertEqual(self.led.maximal_isr, (1, 2))

    def test_who_was_dropped_and_is_silent(self) -> None:
        """What it has may be enough while nothing is committed; but it does not ask for more."""
        self.begin(isr=(1,))
        self.fetches(n3=10)
        self.append(30)
        self.now += LAG_MAX_S + 1
        self.asks_nothing()
        self.fetches(n3=11)
        self.asks(1, 3)

    def test_the_order_of_an_isr_means_nothing(self) -> None:
        self.begin(isr=(2, 3, 1))
        self.fetches(n2=10, n3=10)
        self.asks_nothing()


class MaximalIsrTests(LeadingCase):
    """Who was asked for counts until it is certain that he will not be in the ISR."""

    def setUp(self) -> None:
        """Node 3 is being asked for."""
        super().setUp()
        self.begin(isr=(1, 2))
        self.fetches(n2=10, n3=10)
        self.ask = self.asks(1, 2, 3)

    def counts_3(self, counts: bool) -> None:
        """Say whether what node 3 lacks can be committed."""
        end_offset = self.led.end_offset + 10
        self.append(end_offset)
        self.now += LAG_MAX_S + 1  # it holds nothing back by keeping up
        self.fetches(n2=end_offset)
        self.assertEqual((self.led.high_watermark < end_offset, 3 in self.led.maximal_isr), (counts, counts))

    def reply(self, code: ErrorCode, partition_epoch: int = -1, ask: IsrAsk | None = None) -> None:
        """Have the controller answer."""
        self.led.answered(ask or self.ask, code, partition_epoch, self.now)

    def test_from_the_moment_of_asking(self) -> None:
        """KR12."""
        self.counts_3(True)

    def test_one_in_flight(self) -> None:
        """KR13."""
        self.now += 10 * LAG_MAX_S
        self.asks_nothing()

    def test_agreed_on(self) -> None:
        """It counts as one who was asked for until it counts as one who is in sync."""
        self.reply(ErrorCode.NONE, 8)
        self.asks_nothing()
        self.counts_3(True)
        self.metadata(isr=(1, 2, 3))
        self.counts_3(True)

    def test_not_done(self) -> None:
        """KR16: the ISR is the one that was agreed on last."""
        self.reply(ErrorCode.INELIGIBLE_REPLICA)
        self.counts_3(False)

    def test_asked_again_after_a_while(self) -> None:
        self.reply(ErrorCode.INELIGIBLE_REPLICA)
        self.asks_nothing()
        self.now += BACK_OFF_MAX_S
        self.asks(1, 2, 3)

    def test_no_answer(self) -> None:
        """KR12: it may have happened, so the same is asked for again."""
        self.led.unanswered(self.ask, self.now)
        self.counts_3(True)
        self.fetches(n3=self.led.end_offset)
        self.asks(1, 2, 3)

    def test_answers_that_say_nothing(self) -> None:
        """KR12: a controller that is none any more does not know what the next one will make of it."""
        for code in (ErrorCode.NOT_CONTROLLER, ErrorCode.REQUEST_TIMED_OUT, ErrorCode.UNKNOWN_SERVER_ERROR):
            self.setUp()
            self.reply(code)
            self.counts_3(True)

    def test_refused_after_one_without_an_answer(self) -> None:
        """KR12: that one may still arrive, when it is not refused any more."""
        self.led.unanswered(self.ask, self.now)
        self.now += BACK_OFF_MAX_S
        self.reply(ErrorCode.INELIGIBLE_REPLICA, ask=self.asks(1, 2, 3))
        self.counts_3(True)

    def test_making_sure(self) -> None:
        """Where nobody is wanted any more, the ISR of now is asked for; its new epoch ends all doubt (KR13)."""
        self.led.unanswered(self.ask, self.now)
        self.broker(3, fenced=True)
        self.reply(ErrorCode.NONE, 8, self.asks(1, 2))
        self.counts_3(True)
        self.metadata(isr=(1, 2))
        self.counts_3(False)
        self.asks_nothing()

    def test_overtaken(self) -> None:
        """KR13: the metadata will say how it is, and until then nothing is asked."""
        for code in OVERTAKEN:
            self.setUp()
            self.reply(code)
            self.asks_nothing()
            self.counts_3(True)
            self.metadata(isr=(1,))
            self.metadata(isr=(1, 2))
            self.counts_3(False)

    def test_metadata_that_are_about_others(self) -> None:
        """They settle nothing."""
        self.broker(2, fenced=False)
        self.counts_3(True)

    def test_an_answer_that_comes_too_late(self) -> None:
        """KR13: newer metadata win, and another request is not answered by it."""
        late = self.ask
        self.metadata(isr=(1, 2))
        self.ask = self.asks(1, 2, 3)
        self.led.answered(late, ErrorCode.INELIGIBLE_REPLICA, -1, self.now)
        self.led.unanswered(late, self.now)
        self.counts_3(True)
        self.asks_nothing()

    def test_registered_again(self) -> None:
        """KR18: the controller will never take it back as the process that it was."""
        self.led.unanswered(self.ask, self.now)
        self.broker(3, epoch=30)
        self.counts_3(False)

    def test_unregistered(self) -> None:
        self.led.unanswered(self.ask, self.now)
        del self.brokers[3]
        self.metadata()
        self.counts_3(False)

    def test_patience_grows(self) -> None:
        """And begins anew with what the metadata say."""
        waits = []
        ask: IsrAsk | None = self.ask
        for _ in range(8):
            assert ask is not None
            self.led.unanswered(ask, self.now)
            before = self.now
            while (ask := self.led.next_ask(self.now)) is None:
                self.now += 0.01
            waits.append(round(self.now - before, 1))
        self.assertEqual(waits, sorted(waits))
        self.assertEqual((waits[0], waits[-1]), (0.1, BACK_OFF_MAX_S))


class RecoveryTests(LeadingCase):
    """A leader that may lack records says first that it knows."""

    def test_before_anybody_joins(self) -> None:
        """KIP-704, KR25."""
        self.begin(isr=(1,), is_recovering=True)
        self.fetches(n2=10, n3=10)
        ask = self.asks(1)
        self.led.answered(ask, ErrorCode.NONE, 8, self.now)
        self.metadata(is_recovering=False)
        self.asks(1, 2, 3)
