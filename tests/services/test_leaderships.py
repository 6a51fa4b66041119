"""Leading: what followers say moves the high watermark, and the controller is asked for the ISR that there is."""

from __future__ import annotations

from attrs import evolve
from twisted.python.failure import Failure

from streamline.errors import ErrorCode, Refused
from streamline.interfaces import ILeadership
from streamline.model import PartitionState
from streamline.services.leaderships import SharedLeadership
from streamline.services.peer_call import NoAnswer
from streamline.services.replication import CONSIDERED_AT_ONCE
from tests.services.replicating_case import BROKER_EPOCHS, ReplicatingCase

LAG_MAX_S = 10.0
BACK_OFFS_S = (0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0)
"""How long asking rests after each answer that settles nothing."""
AT_MOST_S = 0.06
"""Much less than the leaders' own rounds."""
STEP_S = 0.01
"""In which time passes here while something is waited for; whoever looks at a whole second is seen a step later."""


class AskCase(ReplicatingCase):
    """Leading, and what is asked of the controller meanwhile."""

    leadership: ILeadership

    def wants(self, *isr: int) -> None:
        """Expect one request under way, for this ISR."""
        self.assertEqual([[one.node_id for one in change.isr] for change, _ in self.others.altered], [list(isr)])

    def wants_nothing(self) -> None:
        """Expect none."""
        self.assertEqual(self.others.altered, [])

    def agrees(self) -> None:
        """Have the controller agree to it, and the metadata say so."""
        ((change, answer),) = self.others.altered
        self.others.altered.clear()
        self.changed(self.leadership, isr=tuple(one.node_id for one in change.isr))
        answer.callback(self.state.partition_epoch)
        self.turn()

    def fails(self, error: Exception) -> None:
        """Have it refuse, or not answer."""
        ((_, answer),) = self.others.altered
        self.others.altered.clear()
        answer.errback(Failure(error))

    def wait_for_ask(self, within_s: float = AT_MOST_S) -> float:
        """Let time pass until something is asked for; return how long that took."""
        began = self.clock.seconds()
        while not self.others.altered:
            self.turn(STEP_S)
            assert self.clock.seconds() - began <= within_s, "nothing was asked for"
        return self.clock.seconds() - began


class WatermarkTests(AskCase):
    """Node 1 leads three replicas, all in sync."""

    def setUp(self) -> None:
        """Three records, which nobody else has."""
        super().setUp()
        self.copy = self.replica()
        self.leadership = self.lead(self.copy)
        self.copy.fill(3, epoch=1)

    def test_moves_when_followers_fetched(self) -> None:
        """And only then: to what all of those in sync have."""
        self.assertEqual([self.leadership.high_watermark, self.copy.advances], [0, []])
        self.fetched(self.leadership, 2, 3)
        self.assertEqual(self.leadership.high_watermark, 0)
        self.fetched(self.leadership, 3, 2)
        self.assertEqual([self.leadership.high_watermark, self.copy.log.high_watermark], [2, 2])
        self.fetched(self.leadership, 3, 3)
        self.assertEqual(self.copy.advances, [2, 3])

    def test_our_own_copy(self) -> None:
        """It counts as everybody else's: not before it is synced, where that is waited for."""
        self.copy.is_held = True
        self.copy.fill(1, epoch=1)
        for node_id in (2, 3):
            self.fetched(self.leadership, node_id, 4)
        self.assertEqual(self.leadership.high_watermark, 3)
        self.copy.count()
        self.assertEqual(self.leadership.high_watermark, 4)

    def test_an_earlier_process(self) -> None:
        """KR18: what it had may be gone."""
        refusal = self.assertRaises(Refused, self.fetched, self.leadership, 2, 3, broker_epoch=BROKER_EPOCHS)
        self.assertEqual(refusal.code, ErrorCode.NOT_LEADER_OR_FOLLOWER)

    def test_epochs(self) -> None:
        """KR5."""
        for epoch, code in ((0, ErrorCode.FENCED_LEADER_EPOCH), (2, ErrorCode.UNKNOWN_LEADER_EPOCH)):
            refusal = self.assertRaises(Refused, self.fetched, self.leadership, 2, 3, leader_epoch=epoch)
            self.assertEqual(refusal.code, code)

    def test_parted(self) -> None:
        """What it says of a log that is not ours moves nothing."""
        self.fetched(self.leadership, 3, 3)
        self.assertEqual(self.fetched(self.leadership, 2, 9), (1, 3))
        self.assertEqual(self.leadership.high_watermark, 0)

    def test_out_of_range(self) -> None:
        refusal = self.assertRaises(Refused, self.fetched, self.leadership, 2, 9, last_epoch=-1)
        self.assertEqual(refusal.code, ErrorCode.OFFSET_OUT_OF_RANGE)

    def test_the_end_is_not_known_yet(self) -> None:
        """KR9: what was there when we began to lead may have been committed."""
        other = self.replica(1)
        other.fill(2)
        leadership = self.lead(other)
        refusal = self.assertRaises(Refused, leadership.latest_offset)
        self.assertEqual(refusal.code, ErrorCode.OFFSET_NOT_AVAILABLE)
        for node_id in (2, 3):
            self.fetched(leadership, node_id, 2, last_epoch=0)
        self.assertEqual(leadership.latest_offset(), 2)

    def test_what_does_not_count_yet(self) -> None:
        """KR9: it is of earlier leaders as well, and its end is not the end."""
        other = self.replica(1)
        other.is_held = True
        other.fill(2)
        leadership = self.lead(other)
        self.assertRaises(Refused, leadership.latest_offset)

    def test_below_the_minimum(self) -> None:
        """KR19, by the number that is agreed on."""
        self.changed(self.leadership, min_isr=2, isr=(1,))
        self.copy.fill(1, epoch=1)
        self.assertEqual([self.leadership.high_watermark, self.leadership.min_isr], [0, 2])
        self.changed(self.leadership, min_isr=1)
        self.assertEqual(self.leadership.high_watermark, 4)

    def test_closed(self) -> None:
        """Nobody hears of it any more, and nothing is asked for."""
        self.leadership.close()
        for node_id in (2, 3):
            self.fetched(self.leadership, node_id, 3)
        self.turn(2 * LAG_MAX_S)
        self.assertEqual([self.copy.advances, self.others.altered], [[], []])

    def test_stopped(self) -> None:
        """No timer is left, and what comes later does not make one."""
        self.turn(2 * LAG_MAX_S)
        self.wants(1)
        self.successResultOf(self.replicator.stop())
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.fails(NoAnswer("gone"))
        self.changed(self.leadership, isr=(1, 2))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_one_replica(self) -> None:
        """What counts here is committed; nobody may fetch, and nobody is asked for anything."""
        other = self.replica(1)
        leadership = self.lead(other, replicas=(1,), isr=(1,))
        other.fill(2, epoch=1)
        self.assertEqual([leadership.high_watermark, leadership.latest_offset(), other.advances], [2, 2, [2]])
        self.assertRaises(Refused, self.fetched, leadership, 2, 2)
        self.changed(leadership)
        leadership.close()
        other.fill(1, epoch=1)
        self.assertEqual([leadership.isr, other.advances], [(1,), [2]])


class AskingTests(AskCase):
    """Node 1 leads; node 3 is not in sync."""

    def setUp(self) -> None:
        """Two records that node 2 has."""
        super().setUp()
        self.copy = self.replica()
        self.leadership = self.lead(self.copy, isr=(1, 2))
        self.copy.fill(2, epoch=1)
        self.fetched(self.leadership, 2, 2)

    def join(self) -> None:
        """Have node 3 catch up."""
        self.fetched(self.leadership, 3, 2)
        self.turn()

    def fence(self, node_id: int) -> None:
        """Have the metadata say that a node is fenced."""
        brokers = self.others.brokers
        self.others.brokers = {**brokers, node_id: evolve(brokers[node_id], fenced=True)}
        self.leadership.changed(self.state, 2)

    def test_grows(self) -> None:
        """From the moment of asking the new one counts, and once it is agreed on."""
        self.join()
        self.wants(1, 2, 3)
        ((change, _),) = self.others.altered
        self.assertEqual([one.broker_epoch for one in change.isr], [BROKER_EPOCHS + node for node in (1, 2, 3)])
        self.assertEqual([change.leader_epoch, change.partition_epoch], [1, 7])
        self.copy.fill(1, epoch=1)
        self.fetched(self.leadership, 2, 3)
        self.assertEqual(self.leadership.high_watermark, 2)
        self.agrees()
        self.assertEqual(self.leadership.isr, (1, 2, 3))
        self.turn(AT_MOST_S)
        self.wants_nothing()

    def test_shrinks(self) -> None:
        """By silence, which nobody tells; within a tenth of the time that is too long."""
        self.copy.fill(1, epoch=1)
        self.turn(LAG_MAX_S - 0.1)
        self.wants_nothing()
        self.wait_for_ask(1.1 + STEP_S)
        self.wants(1)
        self.agrees()
        self.assertEqual(self.leadership.isr, (1,))

    def test_together(self) -> None:
        """What comes in one turn of the reactor goes in one turn; one request a partition."""
        other = self.replica(1)
        leadership = self.lead(other, isr=(1, 2))
        for _ in range(3):
            self.fetched(leadership, 3, 0)
            self.fetched(self.leadership, 3, 2)
        self.wants_nothing()
        self.turn()
        self.assertEqual([change.index for change, _ in self.others.altered], [1, 0])
        self.fetched(leadership, 3, 0)
        self.turn(AT_MOST_S)
        self.assertEqual(len(self.others.altered), 2)

    def test_very_many(self) -> None:
        """Some are considered in each turn; those that nothing has happened to as well, now and then."""
        led = [self.lead(self.replica(index), isr=(1, 2)) for index in range(1, CONSIDERED_AT_ONCE + 11)]
        for leadership in led:
            self.fetched(leadership, 3, 0)
        self.one_turn()
        self.assertEqual(len(self.others.altered), CONSIDERED_AT_ONCE)
        self.one_turn()
        self.assertEqual(len(self.others.altered), CONSIDERED_AT_ONCE + 10)
        for _, answer in self.others.altered:
            answer.errback(NoAnswer("busy"))
        self.others.altered.clear()
        for leadership in led:
            self.fetched(leadership, 2, 0)

    def test_asked_again_after_a_refusal(self) -> None:
        """Each time after a longer rest, whoever else is resting."""
        self.join()
        for back_off_s in BACK_OFFS_S:
            self.fails(Refused(ErrorCode.INELIGIBLE_REPLICA))
            waited_s = self.wait_for_ask(back_off_s + AT_MOST_S)
            self.assertGreaterEqual(waited_s, back_off_s - 0.001)
            self.wants(1, 2, 3)

    def test_refused_one_after_the_other(self) -> None:
        """The second does not miss its turn because the first has a timer already."""
        other = self.replica(1)
        leadership = self.lead(other, isr=(1, 2))
        self.join()
        self.fetched(leadership, 3, 0)
        self.turn()
        (_, first), (_, second) = self.others.altered
        self.others.altered.clear()
        first.errback(Refused(ErrorCode.INELIGIBLE_REPLICA))
        self.turn(0.03)
        second.errback(Refused(ErrorCode.INELIGIBLE_REPLICA))
        self.turn(0.03)
        self.turn(0.06)
        self.assertEqual(sorted(change.index for change, _ in self.others.altered), [0, 1])

    def test_unknown_outcome(self) -> None:
        """It may have happened: node 3 counts, and the controller is asked until it says something definite."""
        self.join()
        self.fails(NoAnswer("gone"))
        self.copy.fill(1, epoch=1)
        self.fetched(self.leadership, 2, 3)
        self.fence(3)
        self.assertEqual(self.leadership.high_watermark, 2)
        self.wait_for_ask()
        self.wants(1, 2)
        self.agrees()
        self.assertEqual(self.leadership.high_watermark, 3)

    def test_refused_for_good(self) -> None:
        """Who was refused, and is not even there, holds nothing back."""
        self.join()
        self.fence(3)
        self.fails(Refused(ErrorCode.INELIGIBLE_REPLICA))
        self.copy.fill(1, epoch=1)
        self.fetched(self.leadership, 2, 3)
        self.assertEqual(self.leadership.high_watermark, 3)

    def test_overtaken(self) -> None:
        """The metadata are about to say how it is; until then there is nothing to ask."""
        self.join()
        self.fails(Refused(ErrorCode.INVALID_UPDATE_VERSION))
        self.turn(5.0)
        self.wants_nothing()
        self.changed(self.leadership)
        self.wants(1, 2, 3)

    def test_another_epoch(self) -> None:
        """Answers to what an earlier leadership asked for mean nothing to the next."""
        self.join()
        ((_, answer),) = self.others.altered
        self.others.altered.clear()
        state: PartitionState = self.state
        later = self.replicator.lead(self.copy, state, 2, self.copy.advances.append)
        assert isinstance(later, SharedLeadership)
        answer.errback(Refused(ErrorCode.INELIGIBLE_REPLICA))
        self.turn(AT_MOST_S)
        self.wants_nothing()
        self.assertEqual(later.followers_out_of_sync, 1)

    def test_once_it_has_stopped(self) -> None:
        """A node that stops asks for nothing more."""
        self.successResultOf(self.replicator.stop())
        leadership = self.lead(self.copy, isr=(1, 2))
        self.fetched(leadership, 3, 2)
        self.turn(AT_MOST_S)
        self.wants_nothing()
