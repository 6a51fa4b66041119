"""Copying from leaders: one fetch after the other, steps done in between, and no partition in the way of others."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IDelayedCall

from streamline.errors import ErrorCode, ProtocolError, StorageFailed
from streamline.replication.following import BACK_OFF_S
from streamline.services.fetchers import TAKEN_AT_ONCE, batches_of
from streamline.services.peer_call import NoAnswer
from streamline.testing.contracts.storage_harness import make_batch
from tests.services.replicating_case import (
    BROKER_EPOCHS,
    LEADER,
    NODE,
    Kept,
    ReplicatingCase,
    said,
    state_of,
)

SOON_S = 2.0
"""Longer than anybody rests."""


def damaged(batch: bytes) -> bytes:
    """Return a batch with a bit of its records turned."""
    return batch[:-1] + bytes([batch[-1] ^ 1])


class LineTests(ReplicatingCase):
    """One partition that node 2 leads."""

    def setUp(self) -> None:
        """Follow it; the first fetch is under way."""
        super().setUp()
        self.copy = self.replica()
        self.following = self.follow(self.copy)

    def test_who_asks(self) -> None:
        request = self.others.came(LEADER)
        state = request.replica_state
        assert state is not None
        self.assertEqual((state.replica_id, state.replica_epoch), (NODE, BROKER_EPOCHS + NODE))
        self.assertEqual(self.asks(), {0: 0})

    def test_copied(self) -> None:
        """Batches are appended, and what the leader says is committed is told as far as it is here."""
        self.answers(said(0, make_batch(0, 2), make_batch(2), high_watermark=2))
        self.assertEqual([self.copy.log.flushed_offset, self.copy.log.high_watermark], [3, 2])
        self.assertEqual([self.following.high_watermark, self.copy.advances], [2, [2]])
        self.assertEqual(self.asks(), {0: 3})
        self.answers(said(high_watermark=9))
        self.assertEqual(self.following.high_watermark, 3)

    def test_one_in_flight(self) -> None:
        self.follow(self.replica(1))
        self.others.reachable(LEADER)
        self.turn(0.1)
        self.assertEqual(self.asks(), {0: 0})
        self.answers(said())
        self.assertEqual(self.asks(), {1: 0})

    def test_one_timer_a_turn(self) -> None:
        """Whoever is to be fetched from now on waits for the same turn as all the others, and that may be thousands."""
        call_later, delays = self.clock.callLater, list[float]()

        def counted(delay: float, *args: Any, **kw: Any) -> IDelayedCall:
            delays.append(delay)
            return call_later(delay, *args, **kw)

        self.patch(self.clock, "callLater", counted)
        states = {index: self.replica(index) for index in range(1, 100)}
        roles = [self.replicator.follow(copy, state_of(index=index), lambda _: None) for index, copy in states.items()]
        self.assertEqual(delays, [0])
        self.turn()
        self.answers(said())
        self.assertEqual(self.asks(), dict.fromkeys(states, 0))
        delays.clear()
        for role in roles:
            role.close()
        self.assertEqual(delays, [0])

    def test_hurried(self) -> None:
        """See Note [Answer now]: what is followed from now on does not wait until there are records of another one."""
        self.assertEqual(self.others.hurried, [])
        self.follow(self.replica(1))
        self.follow(self.replica(2))
        self.assertEqual([self.others.hurried, self.asks()], [[LEADER], {0: 0}])
        self.turn(1.0)
        self.assertEqual(self.others.hurried, [LEADER], "once is enough")
        self.answers(said())
        self.assertEqual(self.asks(), {1: 0, 2: 0})
        self.follow(self.replica(3))
        self.assertEqual(self.others.hurried, [LEADER, LEADER])

    def test_hurried_once_it_has_rested(self) -> None:
        """A leader that did not know yet that it leads is asked again soon, whatever else it is asked meanwhile."""
        other = self.replica(1)
        self.follow(other)
        self.answers(said())
        self.answers(said(1, code=ErrorCode.NOT_LEADER_OR_FOLLOWER))
        self.assertEqual([self.asks(), self.others.hurried], [{}, [LEADER]])
        self.turn(BACK_OFF_S / 2)
        self.assertEqual(self.others.hurried, [LEADER])
        self.turn(BACK_OFF_S)
        self.assertEqual(self.others.hurried, [LEADER, LEADER])
        self.answers()
        self.assertEqual(self.asks(), {1: 0})

    def test_waits_for_the_sync(self) -> None:
        """See Note [One after the other]: a fetch says what counts, and is not sent before it does."""
        self.copy.is_held = True
        self.answers(said(0, make_batch(0), high_watermark=1))
        self.turn(SOON_S)
        self.assertEqual([self.others.asked, self.following.high_watermark], [[], 0])
        self.copy.count()
        self.assertEqual([self.asks(), self.following.high_watermark], [{0: 1}, 1])

    def test_what_it_wrote_as_a_leader_does_not_count_yet(self) -> None:
        """It is in the log all the same: the leader is told of it, and of its epoch, once its sync has ended."""
        other = self.replica(1)
        other.fill(2)
        other.is_held = True
        other.fill(1, epoch=3)
        self.follow(other, leader_epoch=4)
        self.answers(said())
        self.turn(SOON_S)
        self.assertEqual([self.others.asked, other.epochs.entries()], [[], [(0, 0), (3, 2)]])
        other.count()
        self.assertEqual(self.asks(), {1: 3})
        (asked,) = (part for topic in self.others.came(LEADER).topics for part in topic.partitions if part.partition)
        self.assertEqual(asked.last_fetched_epoch, 3)

    def test_every_step_before_the_next_fetch(self) -> None:
        """Or the leader would send again what another partition has just been brought."""
        other = self.replica(1)
        self.follow(other)
        self.answers(said())
        self.answers(said(0, make_batch(0)), said(1, make_batch(0)))
        self.assertEqual(self.asks(), {0: 1, 1: 1})
        other.is_held = True
        self.answers(said(0, make_batch(1)), said(1, make_batch(1)))
        self.assertEqual(self.others.asked, [])
        other.count()
        self.assertEqual(self.asks(), {0: 2, 1: 2})

    def test_cut(self) -> None:
        self.answers(said(0, make_batch(0), make_batch(1), make_batch(2), high_watermark=1))
        self.answers(said(diverging=(0, 2), high_watermark=9))
        self.assertEqual([self.copy.cuts, self.copy.log.end_offset, self.asks()], [[2], 2, {0: 2}])
        self.assertEqual(self.following.high_watermark, 1)  # KR7

    def test_begins_anew(self) -> None:
        """Where the leader keeps nothing that goes on from here."""
        self.answers(said(code=ErrorCode.OFFSET_OUT_OF_RANGE, log_start_offset=7))
        self.assertEqual([self.copy.log.start_offset, self.copy.log.end_offset, self.asks()], [7, 7, {0: 7}])

    def test_leader_begins_within_a_batch(self) -> None:
        """After DeleteRecords: the whole batch is taken, and hidden as far as the leader hides it."""
        self.answers(said(code=ErrorCode.OFFSET_OUT_OF_RANGE, log_start_offset=7))
        self.answers(said(0, make_batch(5, 4), high_watermark=9, log_start_offset=7))
        self.assertEqual([self.copy.log.end_offset, self.asks()], [9, {0: 9}])
        self.answers(said(high_watermark=9, log_start_offset=7))
        self.assertEqual(self.copy.log.start_offset, 7)

    def test_hides_what_the_leader_hides(self) -> None:
        self.answers(said(0, make_batch(0), make_batch(1), high_watermark=2))
        self.answers(said(high_watermark=2, log_start_offset=1))
        self.assertEqual(self.copy.log.start_offset, 1)

    # What goes wrong

    def test_damaged(self) -> None:
        """What came before the damage is kept; the rest is asked for again, after a while."""
        self.answers(said(0, make_batch(0), damaged(make_batch(1))))
        self.assertEqual([self.copy.log.flushed_offset, self.others.asked], [1, []])
        self.turn(SOON_S)
        self.assertEqual(self.asks(), {0: 1})

    def test_nothing_but_damage(self) -> None:
        """However it looks: no length, none that leads anywhere, another format, less than there are records."""
        sound = make_batch(0)
        for records in (
            damaged(sound), sound[:40], sound[:-1], sound + sound[:60], bytes(61), sound[:16] + b"\1" + sound[17:],
            sound[:8] + (-12).to_bytes(4, "big", signed=True) + sound[12:17] + bytes(44),
            sound[:8] + (10).to_bytes(4, "big") + sound[12:],
        ):  # fmt: skip
            self.assertRaises(ProtocolError, list, batches_of(memoryview(records)))

    def fails_alone(self, trouble: Exception) -> None:
        """Have our copy fail, and expect another one to go on, and ours to be tried again."""
        other = self.replica(1)
        self.follow(other)
        self.answers(said())
        self.copy.trouble = trouble
        self.answers(said(0, make_batch(0)), said(1, make_batch(0)))
        self.assertEqual([self.asks(), other.log.end_offset], [{1: 1}, 1])
        self.copy.trouble = None
        self.turn(SOON_S)
        self.answers(said(1))
        self.assertEqual(self.asks(), {0: 0})
        self.answers(said(0, make_batch(0)))
        self.assertEqual(self.copy.log.end_offset, 1)

    def test_one_that_cannot_be_written(self) -> None:
        self.fails_alone(StorageFailed("full"))

    def test_one_that_is_defective(self) -> None:
        self.fails_alone(KeyError("a defect"))
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    def test_one_that_cannot_be_cut(self) -> None:
        self.answers(said(0, make_batch(0), make_batch(1)))
        self.copy.trouble = StorageFailed("full")
        self.answers(said(diverging=(0, 1)))
        self.assertEqual(self.others.asked, [])
        self.turn(SOON_S)
        self.assertEqual(self.asks(), {0: 2})

    def test_taken_and_not_written(self) -> None:
        """What was taken before something went wrong is not taken twice, and counts with the next."""
        first, second = make_batch(0), make_batch(1)
        write = self.copy.write

        def fails() -> None:
            raise StorageFailed("full")

        self.copy.write = fails  # type: ignore[method-assign]
        self.answers(said(0, first))
        self.copy.write = write  # type: ignore[method-assign]
        self.turn(SOON_S)
        self.assertEqual(self.asks(), {0: 0})
        self.answers(said(0, first, second))
        self.assertEqual([self.copy.log.flushed_offset, self.asks()], [2, {0: 2}])

    def test_telling_fails(self) -> None:
        """Whoever is told of a new high watermark may be defective: what is copied from that node goes on."""

        def told(_: int) -> None:
            raise KeyError("a defect")

        self.following.close()
        self.copy.role = self.replicator.follow(self.copy, state_of(), told)
        self.answers(said())
        self.answers(said(0, make_batch(0), high_watermark=1))
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)
        self.turn(SOON_S)
        self.assertEqual(self.asks(), {0: 1})

    def test_error(self) -> None:
        """A partition that the leader does not lead yet rests; the fetch of others is not disturbed."""
        self.answers(said(code=ErrorCode.NOT_LEADER_OR_FOLLOWER))
        self.assertEqual(self.others.asked, [])
        self.turn(SOON_S)
        self.assertEqual(self.asks(), {0: 0})

    def test_fenced(self) -> None:
        """Only newer metadata help."""
        self.answers(said(code=ErrorCode.FENCED_LEADER_EPOCH))
        self.turn(60.0)
        self.assertEqual(self.others.asked, [])
        self.follow(self.copy, leader_epoch=2)
        self.assertEqual(self.asks(), {0: 0})

    def test_no_answer(self) -> None:
        self.others.answer(LEADER, NoAnswer("gone"))
        self.assertEqual(self.others.asked, [])
        self.turn(SOON_S)
        self.assertEqual(self.asks(), {0: 0})

    def test_reachable_again(self) -> None:
        """There is no need to rest then."""
        for _ in range(6):
            self.others.answer(LEADER, NoAnswer("gone"))
            self.turn(SOON_S)
        self.others.answer(LEADER, NoAnswer("gone"))
        self.turn(0.1)
        self.assertEqual(self.others.asked, [])
        self.others.reachable(LEADER)
        self.turn()
        self.assertEqual(self.asks(), {0: 0})

    # Very many; see Note [Very many]

    def very_many(self, count: int) -> list[Kept]:
        """Follow so many more, and have a record come for each."""
        copies = [self.copy, *(self.replica(index) for index in range(1, count))]
        for copy in copies[1:]:
            self.follow(copy)
        self.answers(said())
        self.turn()
        self.assertEqual(len(self.asks()), count - 1)
        self.answers(*(said(index, make_batch(0), high_watermark=1) for index in range(1, count)))
        return copies[1:]

    def taken(self, copies: list[Kept]) -> int:
        """Return how many have their record."""
        return sum(copy.log.flushed_offset for copy in copies)

    def test_some_in_each_turn(self) -> None:
        """And nothing is asked for before the last of them has been taken."""
        copies = self.very_many(2 * TAKEN_AT_ONCE + 2)
        self.assertEqual((self.taken(copies), self.others.asked), (TAKEN_AT_ONCE, []))
        self.one_turn()
        self.assertEqual((self.taken(copies), self.others.asked), (2 * TAKEN_AT_ONCE, []))
        self.one_turn()
        self.assertEqual(self.asks(), dict.fromkeys(range(1, 2 * TAKEN_AT_ONCE + 2), 1))

    def test_one_by_one(self) -> None:
        """Where a whim says so."""
        self.replicator._lines[LEADER]._crumbles = lambda: True
        copies = self.very_many(4)
        self.assertEqual(self.taken(copies), 1)
        self.one_turn()
        self.assertEqual(self.taken(copies), 2)

    def test_forgotten_before_its_turn(self) -> None:
        """Nothing is brought to it, and others are taken all the same."""
        copies = self.very_many(TAKEN_AT_ONCE + 3)
        self.replicator.forget(copies[-1].log.identity)
        self.one_turn()
        self.assertEqual((self.taken(copies), copies[-1].log.end_offset), (TAKEN_AT_ONCE + 1, 0))
        self.one_turn()
        self.assertEqual(len(self.asks()), TAKEN_AT_ONCE + 1)

    def test_another_epoch_before_its_turn(self) -> None:
        """What was asked in the one before means nothing."""
        copies = self.very_many(TAKEN_AT_ONCE + 3)
        self.follow(copies[-1], leader_epoch=2)
        self.one_turn()
        self.assertEqual(copies[-1].log.end_offset, 0)
        self.assertEqual(self.asks()[TAKEN_AT_ONCE + 2], 0)

    def test_what_fails_in_a_later_turn(self) -> None:
        """The rest is asked for again, and the session begins anew."""
        copies = self.very_many(2 * TAKEN_AT_ONCE + 2)

        def told() -> None:
            raise KeyError("a defect")

        followed = self.replicator._followed[copies[TAKEN_AT_ONCE].log.identity]
        followed.tell = told  # type: ignore[method-assign]
        self.one_turn()
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)
        del followed.tell
        self.assertEqual(self.others.asked, [])
        self.turn(SOON_S)
        taken = {index: int(0 < index <= TAKEN_AT_ONCE) for index in range(2 * TAKEN_AT_ONCE + 2)}
        self.assertEqual(self.asks(), taken)

    def test_stopped_before_the_last_was_taken(self) -> None:
        copies = self.very_many(TAKEN_AT_ONCE + 3)
        self.successResultOf(self.replicator.stop())
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.taken(copies), TAKEN_AT_ONCE)

    # Its end

    def test_stopped(self) -> None:
        """It asks nothing, whatever happens, and leaves no timer."""
        self.successResultOf(self.replicator.stop())
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.answers(said(0, make_batch(0)))
        self.others.reachable(LEADER)
        self.turn(SOON_S)
        self.assertEqual([self.others.asked, self.copy.log.end_offset, self.clock.getDelayedCalls()], [[], 0, []])

    def test_stopped_while_it_rests(self) -> None:
        self.others.answer(LEADER, NoAnswer("gone"))
        self.successResultOf(self.replicator.stop())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_forgotten_during_a_step(self) -> None:
        """Nobody is told anything any more, and others need not wait for its sync."""
        other = self.replica(1)
        self.follow(other)
        self.answers(said())
        self.copy.is_held = True
        self.answers(said(0, make_batch(0), high_watermark=1), said(1, make_batch(0)))
        self.assertEqual(self.others.asked, [])
        self.replicator.forget(self.copy.log.identity)
        self.turn()
        self.assertEqual(self.asks(), {1: 1})
        self.copy.count()
        self.assertEqual(self.copy.advances, [])

    def test_answer_to_an_earlier_epoch(self) -> None:
        """What was asked in it means nothing in the next."""
        self.follow(self.copy, leader_epoch=2)
        self.answers(said(0, make_batch(0)))
        self.assertEqual([self.copy.log.end_offset, self.asks()], [0, {0: 0}])

    def test_batches_of_a_later_epoch(self) -> None:
        """No leader has them."""
        self.answers(said(0, make_batch(0, leader_epoch=1), make_batch(1, leader_epoch=2), make_batch(2)))
        self.assertEqual(self.copy.log.end_offset, 1)
