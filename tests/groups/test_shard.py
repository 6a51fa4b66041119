"""One partition of groups: loading, listing, deleting."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from streamline.errors import ErrorCode
from streamline.groups.entries import Entry, GroupEntry, OffsetEntry
from streamline.groups.messages import DescribedMember, ListedGroup
from streamline.groups.offsets import Commit, NewOffset
from streamline.groups.shard import Ended, Filter, GroupShard
from streamline.groups.states import GroupState
from streamline.model import TopicPartition
from tests.groups.harness import GROUP, Harness

T0, T1 = TopicPartition("t", 0), TopicPartition("t", 1)


class ReplayTests(SynchronousTestCase):
    """A shard is what its log says, in the log's order."""

    def setUp(self) -> None:
        self.it = Harness()

    def replayed(self, *entries: Entry) -> GroupShard:
        shard = GroupShard(self.it.config)
        for entry in entries:
            shard.replay(entry)
        return shard

    def test_later_entry_wins(self) -> None:
        self.it.commit({T0: 1})
        self.it.commit({T0: 2})
        found = self.replayed(*self.it.log).find_offset(GROUP, T0)
        assert found is not None
        self.assertEqual(found.offset, 2)

    def test_tombstone_of_an_offset(self) -> None:
        self.it.commit({T0: 1, T1: 1})
        shard = self.replayed(*self.it.log, OffsetEntry(GROUP, T0, None))
        self.assertEqual([partition for partition, _ in shard.all_offsets(GROUP)], [T1])

    def test_tombstone_of_what_was_never_there(self) -> None:
        shard = self.replayed(OffsetEntry(GROUP, T0, None), GroupEntry(GROUP, None))
        self.assertEqual(shard.listed(), [])

    def test_tombstone_of_a_group(self) -> None:
        self.it.stable_group()
        self.assertEqual(self.replayed(*self.it.log, GroupEntry(GROUP, None)).listed(), [])

    def test_offsets_outlive_a_group_that_was_deleted_before_they_were_committed(self) -> None:
        # Compaction may keep the offset at its old place and the tombstone after it.
        self.it.commit({T0: 1})
        shard = self.replayed(*self.it.log, GroupEntry(GROUP, None))
        self.assertEqual(shard.listed(), [ListedGroup(GROUP, "", GroupState.EMPTY)])
        self.assertEqual(len(shard.expire(10**15)), 2)

    def test_offsets_alone_are_a_group(self) -> None:
        self.it.commit({T0: 1})
        self.assertEqual(self.replayed(*self.it.log).listed(), [ListedGroup(GROUP, "", GroupState.EMPTY)])

    def test_members_come_back_in_their_order_with_their_leader(self) -> None:
        members = self.it.stable_group(3)
        self.it.leave(members[0])
        for member in members[2:0:-1]:
            self.it.join(member)
        self.it.sync(members[1], 2, {member: b"!" for member in members[1:]})
        self.it.store()
        self.assertEqual(self.replayed(*self.it.log).describe(GROUP), self.it.group())

    def test_group_entry_replaces_what_was_known(self) -> None:
        self.it.commit({T0: 1})
        self.it.stable_group()
        shard = self.replayed(*self.it.log)
        self.assertEqual([group.state for group in shard.listed()], [GroupState.STABLE])
        self.assertIsNotNone(shard.find_offset(GROUP, T0))


class ViewTests(SynchronousTestCase):
    """What DescribeGroups and ListGroups show."""

    def setUp(self) -> None:
        self.it = Harness()

    def test_stable_group_shows_its_protocol_and_metadata(self) -> None:
        leader, _ = self.it.stable_group()
        group = self.it.group()
        self.assertEqual((group.state, group.protocol_type, group.protocol), ("Stable", "consumer", "range"))
        self.assertEqual(
            group.members[0],
            DescribedMember(
                member_id=leader,
                instance_id=None,
                client_id="client",
                client_host="/127.0.0.1",
                metadata=b"range-metadata",
                assignment=f"for {leader}".encode(),
            ),
        )

    def test_group_in_between_does_not(self) -> None:
        leader, _ = self.it.stable_group()
        self.it.join(leader)
        group = self.it.group()
        self.assertEqual((group.state, group.protocol), (GroupState.PREPARING_REBALANCE, ""))
        self.assertEqual({member.metadata for member in group.members}, {b""})

    def test_unknown_group(self) -> None:
        self.assertIsNone(self.it.shard.describe("other"))

    def test_list_by_state_and_type(self) -> None:
        self.it.stable_group()
        self.it.commit({T0: 1}, group_id="keeper")

        def listed(*states: str, types: tuple[str, ...] = ()) -> list[str]:
            return [group.group_id for group in self.it.shard.listed(Filter.of(states, types))]

        self.assertEqual(listed(), [GROUP, "keeper"])
        self.assertEqual(listed("Stable"), [GROUP])
        self.assertEqual(listed(" eMPTY ", "dead"), ["keeper"])
        self.assertEqual(listed("nonsense"), [])
        self.assertEqual(listed(types=("Classic",)), [GROUP, "keeper"])
        self.assertEqual(listed(types=("consumer",)), [])
        self.assertEqual(listed("Stable", types=("consumer", "classic")), [GROUP])


class DeleteTests(SynchronousTestCase):
    """A group that nobody is in can be deleted with all it keeps."""

    def setUp(self) -> None:
        self.it = Harness()

    def delete(self) -> Ended:
        ended = self.it.shard.delete_received(GROUP, self.it.now_ms)
        self.it.carry_out(ended.decisions)
        return ended

    def applied(self, ended: Ended) -> None:
        for entry in ended.entries:
            self.it.shard.applied(entry)

    def test_unknown(self) -> None:
        self.assertEqual(self.delete(), Ended(error=ErrorCode.GROUP_ID_NOT_FOUND))

    def test_with_members(self) -> None:
        self.it.stable_group()
        self.assertEqual(self.delete(), Ended(error=ErrorCode.NON_EMPTY_GROUP))
        self.assertEqual(self.it.state, GroupState.STABLE)

    def test_empty(self) -> None:
        self.it.commit({T0: 1, T1: 2})
        ended = self.delete()
        expected = (OffsetEntry(GROUP, T0, None), OffsetEntry(GROUP, T1, None), GroupEntry(GROUP, None))
        self.assertEqual(ended.entries, expected)
        self.applied(ended)
        self.assertIsNone(self.it.shard.describe(GROUP))
        self.assertEqual(self.it.shard.all_offsets(GROUP), [])

    def test_its_timers_go_with_it(self) -> None:
        self.it.join()
        self.assertEqual(len(self.it.timers), 1)
        self.delete()
        self.assertEqual(self.it.timers, {})

    def test_whoever_joins_meanwhile_founds_a_new_group(self) -> None:
        self.it.leave(*self.it.stable_group())
        ended = self.delete()
        _, token = self.it.new_member()
        self.applied(ended)
        self.it.advance(3_000)
        self.assertEqual(self.it.joined(token).generation_id, 1)

    def test_what_the_old_group_stored_means_nothing_to_the_new(self) -> None:
        self.it.leave(*self.it.stable_group())
        late = self.it.pending.pop()
        self.delete()
        (member,) = self.it.joined_group(1)
        self.it.sync(member, 1, {member: b"all"})
        self.assertEqual(self.it.shard.stored(late, self.it.now_ms), [])
        self.assertEqual(self.it.state, GroupState.COMPLETING_REBALANCE)

    def test_commit_on_its_way_is_deleted_too(self) -> None:
        new = NewOffset(partition=T1, offset=2)
        self.it.commit({T0: 1})
        decided = self.it.shard.commit_received(Commit(group_id=GROUP, offsets=(new,)), self.it.now_ms)
        ended = self.delete()
        self.assertIn(OffsetEntry(GROUP, T1, None), ended.entries)
        self.it.shard.applied(decided.entries[0])
        self.assertIsNotNone(self.it.shard.describe(GROUP))
        self.applied(ended)
        self.assertIsNone(self.it.shard.describe(GROUP))

    def test_deleted_topics_take_their_offsets_along(self) -> None:
        self.it.commit({T0: 1, TopicPartition("u", 0): 1})
        new = NewOffset(partition=T1, offset=2)
        self.it.shard.commit_received(Commit(group_id="other", offsets=(new,)), self.it.now_ms)
        entries = self.it.shard.topics_deleted(["t", "v"])
        self.assertEqual(entries, [OffsetEntry(GROUP, T0, None), OffsetEntry("other", T1, None)])


class GoneTests(SynchronousTestCase):
    """After another node took over, nothing of the old shard matters."""

    def test_log_answers_that_come_too_late(self) -> None:
        it = Harness()
        leader, _ = it.joined_group()
        token = it.sync(leader, 1, {leader: b"all"})
        (store,) = it.pending
        it.carry_out(it.shard.unloaded(it.now_ms))
        self.assertEqual(it.synced(token).error, ErrorCode.NOT_COORDINATOR)
        late: list[Any] = [
            *it.shard.stored(store, it.now_ms),
            *it.shard.store_failed(store, ErrorCode.NOT_LEADER_OR_FOLLOWER, it.now_ms),
        ]
        self.assertEqual(late, [])
        self.assertEqual(it.timers, {})
