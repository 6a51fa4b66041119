"""The group coordinator: what it waits for, what it is fenced by, what it leaves behind."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from streamline.cluster.commands import RegisterBroker
from streamline.errors import ErrorCode, Refused
from streamline.groups.entries import OffsetEntry
from streamline.groups.offsets import Commit, NewOffset
from streamline.groups.records import to_record
from streamline.model import OFFSETS_TOPIC
from streamline.services.loading import ENTRIES_PER_TURN
from streamline.wire.records import Record, build_batch
from tests.services.coordinator_case import GROUP, T0, CoordinatorCase
from tests.services.rooms import Rooms


class LocatingTests(SynchronousTestCase):
    """Nobody is sent to a coordinator that is not ready."""

    def test_whoever_asks_while_partitions_are_opened_waits(self) -> None:
        """The first, who had the topic made, and the second, who found it in the image."""
        it = Rooms()
        self.addCleanup(it.close)
        it.storage.is_held = True
        asking = [it.groups.locate(GROUP)]
        self.assertIn(OFFSETS_TOPIC, it.metadata.image.topics)
        asking.append(it.groups.locate(GROUP))
        for each in asking:
            self.assertNoResult(each)
        it.storage.release()
        for each in asking:
            self.assertEqual(self.successResultOf(each), 1)
        it.groups.shard(GROUP)


class PushedTests(CoordinatorCase):
    """What is led early is coordinated early, and given up early: groups and their log are never two nodes'."""

    def test_led_early(self) -> None:
        self.commit(5)
        self.it.elect(2)
        self.assertEqual(self.refusal(), ErrorCode.NOT_COORDINATOR)
        self.it.push(1)
        self.it.turns()
        shard = self.shard
        self.assertEqual(self.found(), 5)
        (told,) = self.commit(6)
        self.assertEqual(told, (ErrorCode.NONE,))
        self.it.elect(1)
        self.assertIs(self.shard, shard, "the log says the same")

    def test_given_up_early(self) -> None:
        """Also where the next that the log says is that this node leads, as it did."""
        self.it.elect(2)
        self.it.elect(1)
        self.it.turns()
        shard = self.shard
        self.it.push(2)
        self.assertTrue(shard.is_closed)
        self.assertEqual(self.refusal(), ErrorCode.NOT_COORDINATOR)
        self.it.push(1, epochs=2)
        self.it.turns()
        self.assertIsNot(self.shard, shard)
        self.assertEqual(self.shard.leader_epoch, self.it.partition.state.leader_epoch)


class FencingTests(CoordinatorCase):
    """A coordinator writes under the epoch in which it was elected, or not at all (KR29)."""

    def test_the_coordinator_is_the_leader(self) -> None:
        """Whoever is asked: two nodes that both name themselves would make two groups of one."""
        other = RegisterBroker(node_id=2, incarnation_id=bytes(16), host="other", port=1, rack=None)
        self.it.metadata.propose(other)
        self.assertEqual(self.successResultOf(self.it.groups.locate(GROUP)), 1)
        self.it.elect(2)
        self.assertEqual(self.successResultOf(self.it.groups.locate(GROUP)), 2)

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
        self.assertEqual(self.it.deadline_count(), 0)

    def test_elected_twice_in_a_row(self) -> None:
        """A new epoch is a new leadership, even of the same node; what the old one wrote counts."""
        (joined,) = self.join()
        self.it.leadership.is_held = True
        told = self.sync(joined.member_id)
        before = self.shard
        self.it.elect(1)
        self.assertEqual([answer.error for answer in told], [ErrorCode.NOT_COORDINATOR])
        self.it.leadership.release()
        self.it.turns()
        self.assertTrue(before.is_closed)
        self.assertEqual(self.sync(joined.member_id)[0].assignment, b"all")

    def test_topic_replaced_at_one_stroke(self) -> None:
        """As by a snapshot: the groups of the old topic are not those of the new."""
        self.commit(7)
        image = self.it.metadata.image
        old = image.topics[OFFSETS_TOPIC]
        new = evolve(old, topic_id=b"n" * 16)
        names = {new.topic_id: OFFSETS_TOPIC}
        self.it.metadata._show(evolve(image, topics={OFFSETS_TOPIC: new}, names=names))
        self.it.turns()
        self.assertIsNone(self.found())


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

    def test_leadership_that_ends_with_nothing_left_to_read(self) -> None:
        """A coordinator that is one no longer does not begin, though its log is read to the end by then."""
        self.it.fill(ENTRIES_PER_TURN)
        self.reload()
        (loading,) = self.it.groups._shards.values()
        self.it.elect(2)
        self.it.turns(10)
        self.assertEqual([loading.is_closed, loading.is_ready], [True, False])

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

    def test_shard_that_is_ready_waits_for_no_other(self) -> None:
        """Offsets of a deleted topic are forgotten where the groups are loaded, though others still load."""
        it = Rooms(offsets_topic_num_partitions=2)
        self.addCleanup(it.close)
        it.groups.locate("a")
        self.successResultOf(it.controller.ensure_topic("t", 1, 1, {}))
        it.groups.shard("a").commit(Commit(group_id="a", offsets=(NewOffset(partition=T0, offset=1),)))
        it.fill(1000)
        it.restart_coordinator()
        with self.assertRaises(Refused):
            it.groups.shard("b")
        self.successResultOf(it.controller.delete_topic(lambda image: image.topics["t"]))
        self.assertIsNone(it.groups.shard("a").groups.find_offset("a", T0))

    def test_failed_expiry_is_tried_again(self) -> None:
        """Nothing is forgotten before it is written that it is."""
        self.commit(7)
        self.it.partition.offline = Refused(ErrorCode.KAFKA_STORAGE_ERROR, "full")
        self.it.clock.advance(7 * 86_400)
        self.assertEqual(self.found(), 7)
        self.it.partition.offline = None
        self.it.clock.advance(600)
        self.assertIsNone(self.found())

    def test_stopped_it_does_nothing(self) -> None:
        """No chore and no session goes on."""
        self.join(requires_known_member_id=True)
        self.it.groups.stopService()
        self.assertEqual(self.refusal(), ErrorCode.NOT_COORDINATOR)
        self.it.clock.advance(86_400)
        self.assertEqual(self.it.clock.getDelayedCalls(), [])
