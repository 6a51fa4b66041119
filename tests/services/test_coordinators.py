"""The group coordinator: what it waits for, what it is fenced by, what it leaves behind."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from streamline.errors import ErrorCode, Refused
from streamline.groups.entries import OffsetEntry
from streamline.groups.messages import Heartbeat, Join, JoinAnswer, Protocol, Sync, SyncAnswer
from streamline.groups.offsets import Commit, NewOffset
from streamline.groups.records import to_record
from streamline.model import OFFSETS_TOPIC, TopicPartition
from streamline.services.shards import LedShard, Reply
from streamline.wire.records import Record, build_batch
from tests.services.rooms import Rooms

GROUP = "readers"
T0 = TopicPartition("t", 0)


class CoordinatorCase(SynchronousTestCase):
    """A node that coordinates the groups of one partition."""

    def setUp(self) -> None:
        """Start it."""
        self.it = Rooms(group_initial_rebalance_delay_ms=0)
        self.addCleanup(self.it.close)
        self.assertEqual(self.successResultOf(self.it.groups.locate(GROUP)), 1)

    @property
    def shard(self) -> LedShard:
        """The one shard."""
        return self.it.groups.shard(GROUP)

    def refusal(self) -> ErrorCode:
        """Return why the shard cannot be asked."""
        with self.assertRaises(Refused) as caught:
            self.it.groups.shard(GROUP)
        return caught.exception.code

    def commit(self, offset: int, partition: TopicPartition = T0) -> list[tuple[ErrorCode, ...]]:
        """Commit; return a list that gets the errors when there is an answer."""
        new = NewOffset(partition=partition, offset=offset)
        reply = self.shard.commit(Commit(group_id=GROUP, offsets=(new,)))
        told: list[tuple[ErrorCode, ...]] = []
        reply.then(told.append)
        return told

    def found(self, partition: TopicPartition = T0) -> int | None:
        """Return what is committed."""
        committed = self.shard.groups.find_offset(GROUP, partition)
        return None if committed is None else committed.offset

    def join(self, member_id: str = "", **fields: Any) -> list[JoinAnswer]:
        """Join; return a list that gets the answer."""
        reply: Reply[JoinAnswer] = Reply()
        fields = {
            "token": reply,
            "group_id": GROUP,
            "member_id": member_id,
            "member_id_suffix": self.it.groups.new_member_suffix(),
            "session_timeout_ms": 10_000,
            "rebalance_timeout_ms": 10_000,
            "protocol_type": "consumer",
            "protocols": (Protocol("range", b""),),
            "requires_known_member_id": False,
        } | fields
        told: list[JoinAnswer] = []
        self.shard.join(Join(**fields), reply).then(told.append)
        self.it.clock.advance(0.02)
        return told

    def sync(self, member_id: str, generation_id: int = 1) -> list[SyncAnswer]:
        """Sync, assigning everything to oneself; return a list that gets the answer."""
        reply: Reply[SyncAnswer] = Reply()
        request = Sync(
            token=reply,
            group_id=GROUP,
            member_id=member_id,
            generation_id=generation_id,
            assignments={member_id: b"all"},
        )
        told: list[SyncAnswer] = []
        self.shard.sync(request, reply).then(told.append)
        return told


class WritingTests(CoordinatorCase):
    """Nothing is answered before every in-sync replica has it."""

    def test_commit_waits_for_the_replicas(self) -> None:
        """And is found only then."""
        self.it.leadership.is_held = True
        told = self.commit(7)
        self.assertEqual((told, self.found()), ([], None))
        self.it.leadership.release()
        self.assertEqual((told, self.found()), ([(ErrorCode.NONE,)], 7))

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
        self.it.partition.config = evolve(self.it.partition.config, min_insync_replicas=2)
        self.assertEqual(self.commit(7), [(ErrorCode.COORDINATOR_NOT_AVAILABLE,)])
        self.assertIsNone(self.found())

    def test_replicas_lost_while_it_waits(self) -> None:
        """NOT_ENOUGH_REPLICAS_AFTER_APPEND, in a coordinator's words (KR24)."""
        self.it.leadership.is_held = True
        told = self.commit(7)
        self.it.partition.config = evolve(self.it.partition.config, min_insync_replicas=2)
        self.it.leadership.release()
        self.assertEqual(told, [(ErrorCode.COORDINATOR_NOT_AVAILABLE,)])

    def test_full_disk(self) -> None:
        """Refused like any other record."""
        self.it.replicas.full = Refused(ErrorCode.KAFKA_STORAGE_ERROR, "full")
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


class FencingTests(CoordinatorCase):
    """A coordinator writes under the epoch in which it was elected, or not at all (KR29)."""

    def test_another_node_is_elected(self) -> None:
        """Whoever waits is sent there."""
        (joined,) = self.join()
        self.sync(joined.member_id)
        waiting = self.join(protocol_type="consumer")
        shard = self.shard
        self.it.elect(2)
        self.assertEqual(self.refusal(), ErrorCode.NOT_COORDINATOR)
        self.assertEqual([answer.error for answer in waiting], [ErrorCode.NOT_COORDINATOR])
        self.assertTrue(shard.is_closed)

    def test_elected_again_it_loads_again(self) -> None:
        """Its groups are those of the log."""
        (joined,) = self.join()
        self.sync(joined.member_id)
        self.commit_as_member(joined.member_id)
        before = self.shard
        self.it.elect(2)
        self.it.elect(1)
        self.it.turns()
        self.assertIsNot(self.shard, before)
        self.assertEqual(self.found(), 5)
        self.assertEqual(self.sync(joined.member_id)[0].assignment, b"all")

    def commit_as_member(self, member_id: str) -> None:
        """Commit offset 5 in the first generation."""
        new = NewOffset(partition=T0, offset=5)
        commit = Commit(group_id=GROUP, member_id=member_id, generation_id=1, offsets=(new,))
        told: list[Any] = []
        self.shard.commit(commit).then(told.append)
        self.assertEqual(told, [(ErrorCode.NONE,)])

    def test_commit_under_an_epoch_that_is_over(self) -> None:
        """The partition has been told before the coordinator was: nothing is written."""
        partition = self.it.partition
        partition.state = evolve(partition.state, leader_epoch=partition.state.leader_epoch + 1)
        end_offset = partition.log.end_offset
        self.assertEqual(self.commit(7), [(ErrorCode.NOT_COORDINATOR,)])
        self.assertEqual(partition.log.end_offset, end_offset)

    def test_commit_in_flight_when_another_is_elected(self) -> None:
        """Its outcome is unknown here; the client is sent to whoever knows."""
        self.it.leadership.is_held = True
        told = self.commit(7)
        self.it.elect(2)
        self.it.partition.abandon(Refused(ErrorCode.NOT_LEADER_OR_FOLLOWER))
        self.assertEqual(told, [(ErrorCode.NOT_COORDINATOR,)])

    def test_change_that_is_no_election_disturbs_nobody(self) -> None:
        """Other topics come and go."""
        before = self.shard
        self.successResultOf(self.it.controller.ensure_topic("t", 1, 1, {}))
        self.assertIs(self.shard, before)

    def test_no_timer_is_left(self) -> None:
        """Sessions end with the leadership."""
        self.join(requires_known_member_id=True)
        self.it.elect(2)
        self.assertEqual(self.it.deadlines._buckets and list(self.it.deadlines._buckets.values()), [{}])


class LoadingTests(CoordinatorCase):
    """Nothing is answered before the log has been read to its end."""

    def reload(self) -> None:
        """Lose the leadership and get it back."""
        self.it.elect(2)
        self.it.elect(1)

    def test_requests_are_put_off_meanwhile(self) -> None:
        """COORDINATOR_LOAD_IN_PROGRESS, until it is done."""
        self.it.fill(300)
        self.commit(7)
        self.reload()
        self.assertEqual(self.refusal(), ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)
        with self.assertRaises(Refused):
            self.it.groups.shards()
        self.it.turns()
        self.assertEqual(self.found(), 7)

    def test_it_waits_for_what_is_not_committed_yet(self) -> None:
        """Another coordinator may have acknowledged it before the high watermark got here."""
        self.it.leadership.is_held = True
        self.commit(7)
        self.reload()
        self.it.turns(10)
        self.assertEqual(self.refusal(), ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)
        self.it.leadership.release()
        self.it.partition._poke(0)
        self.it.turns()
        self.assertEqual(self.found(), 7)

    def test_leadership_that_ends_meanwhile(self) -> None:
        """The load goes nowhere, and a later one is not disturbed."""
        self.it.fill(300)
        self.commit(7)
        self.reload()
        self.reload()
        self.it.turns()
        self.assertEqual(self.found(), 7)
        self.it.elect(2)
        self.it.turns()
        self.assertEqual(self.refusal(), ErrorCode.NOT_COORDINATOR)

    def test_records_that_are_not_understood_are_passed_over(self) -> None:
        """One bad record takes the groups away from nobody."""
        self.commit(7)
        bad = [Record(b"?", b"?"), Record(b"\0\x09", to_record(OffsetEntry(GROUP, T0, None))[0])]
        newer = Record(b"", b"\0\x03" + b"\0\x01g")
        self.it.replicas.append_now(OFFSETS_TOPIC, 0, build_batch([*bad, newer]), -1)
        self.reload()
        self.it.turns()
        self.assertEqual(self.found(), 7)

    def test_partition_that_cannot_be_read(self) -> None:
        """Its groups are looked for elsewhere."""
        self.commit(7)
        self.it.partition.offline = Refused(ErrorCode.KAFKA_STORAGE_ERROR, "gone bad")
        self.reload()
        self.it.turns()
        self.assertEqual(self.refusal(), ErrorCode.NOT_COORDINATOR)

    def test_started_over_an_existing_log(self) -> None:
        """As after a restart of the node."""
        self.commit(7)
        self.it.restart_coordinator()
        self.it.turns()
        self.assertEqual(self.found(), 7)


class HousekeepingTests(CoordinatorCase):
    """What the coordinator does unasked."""

    def test_expiry_is_looked_at_now_and_then(self) -> None:
        """And written to the log."""
        self.commit(7)
        self.it.clock.advance(7 * 86_400)
        self.assertIsNone(self.found())
        self.it.restart_coordinator()
        self.it.turns(5)
        self.assertIsNone(self.found())

    def test_large_expiry_is_written_in_several_batches(self) -> None:
        """No batch grows past what the partition takes."""
        self.it.fill(2500)
        self.it.restart_coordinator()
        self.it.turns()
        before = self.it.partition.log.end_offset
        self.it.clock.advance(7 * 86_400)
        self.assertEqual(self.it.partition.log.end_offset, before + 2501)
        self.assertEqual(len(list(self.it.partition.log.headers(before))), 3)

    def test_failed_expiry_is_tried_again(self) -> None:
        """Nothing is forgotten before it is written that it is."""
        self.commit(7)
        self.it.replicas.full = Refused(ErrorCode.KAFKA_STORAGE_ERROR, "full")
        self.it.clock.advance(7 * 86_400)
        self.assertEqual(self.found(), 7)
        self.it.replicas.full = None
        self.it.clock.advance(600)
        self.assertIsNone(self.found())

    def test_stopped_it_does_nothing(self) -> None:
        """No chore and no session goes on."""
        self.join(requires_known_member_id=True)
        self.it.groups.stopService()
        self.assertEqual(self.refusal(), ErrorCode.NOT_COORDINATOR)
        self.it.clock.advance(86_400)
        self.assertEqual(self.it.clock.getDelayedCalls(), [])


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
        self.assertEqual(sum(len(bucket) for bucket in self.it.deadlines._buckets.values()), 1)
