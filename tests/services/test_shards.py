"""One led partition of groups: what its answers wait for."""

from __future__ import annotations

import gc
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from streamline.errors import ErrorCode, Refused
from streamline.groups.messages import Heartbeat
from streamline.groups.offsets import Commit, NewOffset
from streamline.model import TopicPartition
from streamline.services.shards import Reply
from tests.services.coordinator_case import GROUP, T0, CoordinatorCase


class WritingTests(CoordinatorCase):
    """Nothing is answered before every in-sync replica has it."""

    def test_commit_waits_for_the_replicas(self) -> None:
        """And is found only then."""
        self.it.leadership.is_held = True
        told = self.commit(7)
        self.assertEqual((told, self.found()), ([], None))
        self.it.leadership.release()
        self.assertEqual((told, self.found()), ([(ErrorCode.NONE,)], 7))
        self.assertEqual(self.it.deadline_count(), 0)

    def test_commit_that_takes_too_long(self) -> None:
        """It is refused in time; if the log takes it after all, it counts, as the log says so."""
        self.it.leadership.is_held = True
        told = self.commit(7)
        self.it.clock.advance(4.9)
        self.assertEqual(told, [])
        self.it.clock.advance(0.2)
        self.assertEqual((told, self.found()), ([(ErrorCode.COORDINATOR_NOT_AVAILABLE,)], None))
        self.it.leadership.release()
        self.assertEqual((len(told), self.found()), (1, 7))
        gc.collect()  # a Deferred in which a second answer failed says so when it is collected
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_commits_count_in_the_order_of_the_log(self) -> None:
        """Whatever was answered when."""
        self.it.leadership.is_held = True
        first = self.commit(9)
        self.it.clock.advance(6)
        second = self.commit(3)
        self.it.leadership.release()
        self.assertEqual((first, second), ([(ErrorCode.COORDINATOR_NOT_AVAILABLE,)], [(ErrorCode.NONE,)]))
        self.assertEqual(self.found(), 3)

    def test_assignment_waits_for_the_replicas(self) -> None:
        """A member never works on an assignment that could be forgotten."""
        (joined,) = self.join()
        self.it.leadership.is_held = True
        told = self.sync(joined.member_id)
        self.assertEqual(told, [])
        self.it.leadership.release()
        self.assertEqual([answer.assignment for answer in told], [b"all"])

    def test_assignment_that_takes_too_long(self) -> None:
        """The members begin again."""
        (joined,) = self.join()
        self.it.leadership.is_held = True
        told = self.sync(joined.member_id)
        self.it.clock.advance(5.1)
        self.assertEqual([answer.error for answer in told], [ErrorCode.COORDINATOR_NOT_AVAILABLE])
        self.it.leadership.release()
        again = self.join(joined.member_id)
        self.assertEqual([answer.generation_id for answer in again], [2])

    def test_too_few_replicas(self) -> None:
        """Said in a coordinator's words."""
        self.it.leadership.min_isr = 2
        self.assertEqual(self.commit(7), [(ErrorCode.COORDINATOR_NOT_AVAILABLE,)])
        self.assertIsNone(self.found())

    def test_replicas_lost_while_it_waits(self) -> None:
        """NOT_ENOUGH_REPLICAS_AFTER_APPEND, in a coordinator's words (KR24)."""
        self.it.leadership.is_held = True
        told = self.commit(7)
        self.it.leadership.min_isr = 2
        self.it.leadership.release()
        self.assertEqual(told, [(ErrorCode.COORDINATOR_NOT_AVAILABLE,)])

    def test_partition_out_of_order(self) -> None:
        """The commit is refused, as any record would be."""
        self.it.partition.offline = Refused(ErrorCode.KAFKA_STORAGE_ERROR, "full")
        self.assertEqual(self.commit(7), [(ErrorCode.NOT_COORDINATOR,)])

    def test_partly_refused_commit_writes_the_rest(self) -> None:
        """And says so of each."""
        new = (NewOffset(partition=T0, offset=1, metadata="x" * 9999), NewOffset(partition=T0, offset=2))
        told: list[Any] = []
        self.shard.commit(Commit(group_id=GROUP, offsets=new)).then(told.append)
        self.assertEqual(told, [(ErrorCode.OFFSET_METADATA_TOO_LARGE, ErrorCode.NONE)])
        self.assertEqual(self.found(), 2)

    def test_too_large_for_a_batch(self) -> None:
        """The commit is refused as a whole."""
        new = tuple(
            NewOffset(partition=TopicPartition("t", index), offset=1, metadata="x" * 4000) for index in range(300)
        )
        told: list[Any] = []
        self.shard.commit(Commit(group_id=GROUP, offsets=new)).then(told.append)
        self.assertEqual(told, [(ErrorCode.UNKNOWN_SERVER_ERROR,) * 300])


class DeletingTests(CoordinatorCase):
    """A group is deleted when the log says so."""

    def delete(self) -> list[ErrorCode]:
        """Delete the group; return a list that gets the outcome."""
        told: list[ErrorCode] = []
        self.shard.delete(GROUP).then(told.append)
        return told

    def test_answered_when_all_replicas_have_it(self) -> None:
        """Offsets and group together."""
        self.commit(7)
        self.it.leadership.is_held = True
        told = self.delete()
        self.assertEqual(told, [])
        self.it.leadership.release()
        self.assertEqual((told, self.found(), self.shard.groups.listed()), ([ErrorCode.NONE], None, []))

    def test_large_group_is_deleted_in_several_batches(self) -> None:
        """The answer waits for the last of them."""
        for first in range(0, 1500, 500):
            new = tuple(NewOffset(partition=TopicPartition("t", first + i), offset=1) for i in range(500))
            self.shard.commit(Commit(group_id=GROUP, offsets=new)).then(lambda _: None)
        before = self.it.partition.log.end_offset
        self.it.leadership.is_held = True
        told = self.delete()
        self.it.leadership.release(before + 1000)
        self.assertEqual(told, [], "the replicas have the first batch only")
        self.it.leadership.release()
        self.assertEqual(told, [ErrorCode.NONE])
        self.assertEqual(self.shard.groups.all_offsets(GROUP), [])

    def test_delete_that_fails(self) -> None:
        """The group keeps its offsets."""
        self.commit(7)
        self.it.partition.offline = Refused(ErrorCode.KAFKA_STORAGE_ERROR, "full")
        self.assertEqual(self.delete(), [ErrorCode.NOT_COORDINATOR])
        self.assertEqual((self.found(), len(self.shard.groups.listed())), (7, 1))


class ReplyTests(SynchronousTestCase):
    """The place of an answer."""

    def test_there_at_once(self) -> None:
        """No Deferred is made."""
        reply: Reply[int] = Reply()
        reply.tell(3)
        self.assertEqual(reply.then(str), "3")

    def test_later(self) -> None:
        """A Deferred of the translated answer."""
        reply: Reply[int] = Reply()
        waiting = reply.then(str)
        assert isinstance(waiting, Deferred)
        self.assertNoResult(waiting)
        reply.tell(3)
        self.assertEqual(self.successResultOf(waiting), "3")

    def test_nobody_waits_any_more(self) -> None:
        """A client that went away is told nothing."""
        reply: Reply[int] = Reply()
        waiting = reply.then(str)
        assert isinstance(waiting, Deferred)
        waiting.addErrback(lambda _: None).cancel()
        reply.tell(3)


class HeartbeatPathTests(CoordinatorCase):
    """The hot one stays cheap."""

    def test_heartbeat_is_answered_without_a_deferred(self) -> None:
        """And leaves one timer, however many there were."""
        (joined,) = self.join()
        self.sync(joined.member_id)
        for _ in range(100):
            reply: Reply[Any] = Reply()
            beat = Heartbeat(token=reply, group_id=GROUP, member_id=joined.member_id, generation_id=1)
            answer = self.shard.heartbeat(beat, reply).then(lambda answer: answer.error)
            self.assertIs(answer, ErrorCode.NONE)
        self.assertEqual(self.it.deadline_count(), 1)
