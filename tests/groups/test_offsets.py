"""Committed offsets: who may commit what, what is found again, what expires."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from streamline.errors import ErrorCode
from streamline.groups.entries import CommittedOffset, GroupEntry, OffsetEntry
from streamline.groups.messages import Protocol
from streamline.groups.offsets import Commit, NewOffset, Offsets
from streamline.groups.states import GroupState
from streamline.model import NO_TIMESTAMP, ZERO_UUID, TopicPartition
from tests.groups.harness import GROUP, Harness, subscription

T0, T1 = TopicPartition("t", 0), TopicPartition("t", 1)
U0 = TopicPartition("u", 0)
DAY_MS = 86_400_000
WEEK_MS = 7 * DAY_MS


class CommitTests(SynchronousTestCase):
    """Who may commit."""

    def setUp(self) -> None:
        self.it = Harness()

    def commit(self, **fields: Any) -> ErrorCode:
        (error,) = self.it.commit({T0: 5}, **fields)
        return error

    def test_somebody_outside_makes_a_group_that_only_keeps_offsets(self) -> None:
        self.assertEqual(self.commit(), ErrorCode.NONE)
        self.assertEqual((self.it.state, self.it.group().protocol_type), (GroupState.EMPTY, ""))

    def test_group_without_name_is_a_group_here(self) -> None:
        self.assertEqual(self.commit(group_id=""), ErrorCode.NONE)

    def test_member_of_this_generation(self) -> None:
        leader, _ = self.it.stable_group()
        self.assertEqual(self.commit(member_id=leader, generation_id=1), ErrorCode.NONE)

    def test_member_of_another_generation(self) -> None:
        leader, _ = self.it.stable_group()
        for generation_id in (0, 2, -1):
            error = self.commit(member_id=leader, generation_id=generation_id)
            self.assertEqual(error, ErrorCode.ILLEGAL_GENERATION)

    def test_stranger(self) -> None:
        self.it.stable_group()
        self.assertEqual(self.commit(member_id="ghost", generation_id=1), ErrorCode.UNKNOWN_MEMBER_ID)
        self.assertEqual(self.commit(instance_id="ghost", generation_id=1), ErrorCode.UNKNOWN_MEMBER_ID)

    def test_somebody_outside_while_there_are_members(self) -> None:
        members = self.it.stable_group()
        self.assertEqual(self.commit(), ErrorCode.UNKNOWN_MEMBER_ID)
        self.it.leave(*members)
        self.assertEqual(self.commit(), ErrorCode.NONE)

    def test_member_before_its_assignment(self) -> None:
        leader, _ = self.it.joined_group()
        self.assertEqual(self.commit(member_id=leader, generation_id=1), ErrorCode.REBALANCE_IN_PROGRESS)

    def test_member_of_an_empty_group(self) -> None:
        members = self.it.stable_group()
        self.it.leave(*members)
        self.assertEqual(self.commit(member_id=members[0], generation_id=2), ErrorCode.UNKNOWN_MEMBER_ID)

    def test_generation_of_a_group_that_nobody_knows(self) -> None:
        self.assertEqual(self.commit(generation_id=3), ErrorCode.GROUP_ID_NOT_FOUND)
        error = self.commit(generation_id=3, knows_group_id_not_found=False)
        self.assertEqual(error, ErrorCode.ILLEGAL_GENERATION)

    def test_refused_commit_leaves_nothing(self) -> None:
        self.commit(generation_id=3)
        self.assertEqual(self.it.log, [])
        self.assertEqual(self.it.shard.all_offsets(GROUP), [])

    def test_refusal_is_told_for_each_partition(self) -> None:
        errors = self.it.commit({T0: 1, T1: 2}, generation_id=3)
        self.assertEqual(errors, (ErrorCode.GROUP_ID_NOT_FOUND,) * 2)


class MetadataTests(SynchronousTestCase):
    """What a client wants to find again it finds, unless it is too long."""

    def decide(self, it: Harness, metadata: str | None, **fields: Any) -> tuple[ErrorCode, CommittedOffset | None]:
        new = NewOffset(partition=T0, offset=9, leader_epoch=4, metadata=metadata, topic_id=b"i" * 16)
        decided = it.shard.commit_received(Commit(group_id=GROUP, offsets=(new,), **fields), it.now_ms)
        for entry in decided.entries:
            it.shard.applied(entry)
        return decided.errors[0], it.shard.find_offset(GROUP, T0)

    def test_everything_is_kept(self) -> None:
        it = Harness()
        _, found = self.decide(it, "host-7 ☕")
        expected = CommittedOffset(
            offset=9,
            commit_timestamp_ms=it.now_ms,
            leader_epoch=4,
            metadata="host-7 ☕",
            topic_id=b"i" * 16,
        )
        self.assertEqual(found, expected)

    def test_none_is_nothing(self) -> None:
        _, found = self.decide(Harness(), None)
        assert found is not None
        self.assertEqual(found.metadata, "")

    def test_length_is_counted_as_java_counts(self) -> None:
        cases = [
            ("x" * 4096, ErrorCode.NONE),
            ("x" * 4097, ErrorCode.OFFSET_METADATA_TOO_LARGE),
            ("é" * 4096, ErrorCode.NONE),
            ("\U0001f600" * 2048, ErrorCode.NONE),
            ("\U0001f600" * 2049, ErrorCode.OFFSET_METADATA_TOO_LARGE),
        ]
        for metadata, expected in cases:
            self.assertEqual(self.decide(Harness(), metadata)[0], expected)

    def test_limit_is_a_setting(self) -> None:
        it = Harness(offset_metadata_max_bytes=3)
        self.assertEqual(self.decide(it, "1234"), (ErrorCode.OFFSET_METADATA_TOO_LARGE, None))

    def test_one_too_long_spares_the_others(self) -> None:
        it = Harness()
        offsets = (
            NewOffset(partition=T0, offset=1, metadata="x" * 5000),
            NewOffset(partition=T1, offset=2),
        )
        decided = it.shard.commit_received(Commit(group_id=GROUP, offsets=offsets), it.now_ms)
        self.assertEqual(decided.errors, (ErrorCode.OFFSET_METADATA_TOO_LARGE, ErrorCode.NONE))
        self.assertEqual([entry.partition for entry in decided.entries], [T1])

    def test_retention_asked_for_is_kept(self) -> None:
        it = Harness()
        _, found = self.decide(it, "", retention_ms=500)
        assert found is not None
        self.assertEqual(found.expire_timestamp_ms, it.now_ms + 500)
        _, found = self.decide(it, "")
        assert found is not None
        self.assertEqual(found.expire_timestamp_ms, NO_TIMESTAMP)


class FindTests(SynchronousTestCase):
    """What was committed is found, once the log has it."""

    def setUp(self) -> None:
        self.it = Harness()

    def test_not_before_the_log_has_it(self) -> None:
        new = NewOffset(partition=T0, offset=9)
        (entry,) = self.it.shard.commit_received(Commit(group_id=GROUP, offsets=(new,)), 0).entries
        self.assertIsNone(self.it.shard.find_offset(GROUP, T0))
        self.it.shard.applied(entry)
        found = self.it.shard.find_offset(GROUP, T0)
        assert found is not None
        self.assertEqual(found.offset, 9)

    def test_what_the_log_did_not_take_is_not_found(self) -> None:
        new = NewOffset(partition=T0, offset=9)
        (entry,) = self.it.shard.commit_received(Commit(group_id=GROUP, offsets=(new,)), 0).entries
        self.it.shard.not_applied(entry)
        self.assertIsNone(self.it.shard.find_offset(GROUP, T0))

    def test_later_counts_even_if_lower(self) -> None:
        self.it.commit({T0: 9})
        self.it.commit({T0: 3})
        found = self.it.shard.find_offset(GROUP, T0)
        assert found is not None
        self.assertEqual(found.offset, 3)

    def test_all_in_order_of_topic_and_partition(self) -> None:
        self.it.commit({U0: 1, T1: 2, T0: 3})
        offsets = [(partition, found.offset) for partition, found in self.it.shard.all_offsets(GROUP)]
        self.assertEqual(offsets, [(T0, 3), (T1, 2), (U0, 1)])

    def test_unknown(self) -> None:
        self.it.commit({T0: 9})
        self.assertIsNone(self.it.shard.find_offset(GROUP, T1))
        self.assertIsNone(self.it.shard.find_offset("other", T0))
        self.assertEqual(self.it.shard.all_offsets("other"), [])

    def test_topic_made_anew_has_no_offsets(self) -> None:
        # KR30: the name is the same, the records are not.
        offsets = Offsets()
        old, new = b"o" * 16, b"n" * 16
        offsets.apply(OffsetEntry(GROUP, T0, CommittedOffset(offset=1, commit_timestamp_ms=0, topic_id=old)))
        self.assertIsNotNone(offsets.find(GROUP, T0, old))
        self.assertIsNone(offsets.find(GROUP, T0, new))
        self.assertIsNotNone(offsets.find(GROUP, T0, ZERO_UUID), "a client that asks by name")
        offsets.apply(OffsetEntry(GROUP, T0, CommittedOffset(offset=1, commit_timestamp_ms=0)))
        self.assertIsNotNone(offsets.find(GROUP, T0, new), "a commit by name, of unknown id")


class ExpiryTests(SynchronousTestCase):
    """Offsets are kept for a week after the group needs them no more (KIP-211)."""

    def setUp(self) -> None:
        self.it = Harness()

    def expire(self) -> list[object]:
        entries = self.it.shard.expire(self.it.now_ms)
        for entry in entries:
            self.it.shard.applied(entry)
        return list(entries)

    def test_offsets_of_a_simple_group_expire_each_for_itself(self) -> None:
        self.it.commit({T0: 1})
        self.it.advance(DAY_MS)
        self.it.commit({T1: 1})
        self.it.advance(WEEK_MS - DAY_MS - 1)
        self.assertEqual(self.expire(), [])
        self.it.advance(1)
        self.assertEqual(self.expire(), [OffsetEntry(GROUP, T0, None)])
        self.it.advance(DAY_MS)
        self.assertEqual(self.expire(), [OffsetEntry(GROUP, T1, None), GroupEntry(GROUP, None)])
        self.assertIsNone(self.it.shard.describe(GROUP))
        self.assertEqual(self.expire(), [])

    def test_offsets_of_a_left_group_expire_from_when_it_was_left(self) -> None:
        members = self.it.stable_group(session_timeout_ms=1_800_000)
        self.it.commit({T0: 1}, member_id=members[0], generation_id=1)
        self.it.advance(1_000_000)
        self.it.leave(*members)
        self.it.advance(WEEK_MS - 1)
        self.assertEqual(self.expire(), [])
        self.it.advance(1)
        self.assertEqual(self.expire(), [OffsetEntry(GROUP, T0, None), GroupEntry(GROUP, None)])

    def test_group_left_long_ago_says_so_after_a_load(self) -> None:
        members = self.it.stable_group()
        self.it.commit({T0: 1}, member_id=members[0], generation_id=1)
        self.it.leave(*members)
        self.it.store()
        self.it.advance(WEEK_MS)
        self.it.reload()
        self.assertEqual(len(self.expire()), 2)

    def test_working_group_keeps_what_it_subscribes_to(self) -> None:
        it = self.it
        members = it.stable_group(protocols=(Protocol("range", subscription("t")),), session_timeout_ms=1_800_000)
        it.commit({T0: 1, U0: 1}, member_id=members[0], generation_id=1)
        it.now_ms += WEEK_MS  # heartbeats in between left out
        self.assertEqual(self.expire(), [OffsetEntry(GROUP, U0, None)])
        self.assertEqual(it.state, GroupState.STABLE)

    def test_group_whose_subscriptions_are_unknown_keeps_all(self) -> None:
        members = self.it.stable_group(session_timeout_ms=1_800_000)
        self.it.commit({T0: 1}, member_id=members[0], generation_id=1)
        self.it.now_ms += WEEK_MS
        self.assertEqual(self.expire(), [])

    def test_group_in_a_rebalance_keeps_all(self) -> None:
        members = self.it.stable_group(protocols=(Protocol("range", subscription("t")),))
        self.it.commit({U0: 1}, member_id=members[0], generation_id=1)
        self.it.join(members[0])
        self.it.now_ms += WEEK_MS
        self.assertEqual(self.expire(), [])

    def test_group_with_members_and_no_offsets_stays(self) -> None:
        self.it.stable_group()
        self.assertEqual(self.expire(), [])

    def test_id_given_out_keeps_a_group(self) -> None:
        self.it.join()
        self.assertEqual(self.expire(), [])
        self.it.advance(10_000)
        self.assertEqual(self.expire(), [GroupEntry(GROUP, None)])

    def test_retention_asked_for_counts_instead(self) -> None:
        self.it.commit({T0: 1}, retention_ms=1_000)
        self.it.commit({T1: 1}, retention_ms=2 * WEEK_MS)
        self.it.advance(1_000)
        self.assertEqual(self.expire(), [OffsetEntry(GROUP, T0, None)])
        self.it.advance(WEEK_MS)
        self.assertEqual(self.expire(), [])

    def test_retention_is_a_setting(self) -> None:
        it = Harness(offsets_retention_minutes=1)
        it.commit({T0: 1})
        self.assertEqual(it.shard.expire(it.now_ms + 59_999), [])
        self.assertEqual(len(it.shard.expire(it.now_ms + 60_000)), 2)

    def test_commit_on_its_way_to_the_log_is_not_forgotten(self) -> None:
        # Its record comes before the tombstone, which would take it away.
        self.it.commit({T0: 1})
        self.it.advance(WEEK_MS)
        new = NewOffset(partition=T0, offset=2)
        decided = self.it.shard.commit_received(Commit(group_id=GROUP, offsets=(new,)), self.it.now_ms)
        self.assertEqual(self.expire(), [])
        self.it.shard.applied(decided.entries[0])
        self.assertEqual(self.expire(), [])
        found = self.it.shard.find_offset(GROUP, T0)
        assert found is not None
        self.assertEqual(found.offset, 2)

    def test_commit_that_failed_holds_nothing_up(self) -> None:
        self.it.commit({T0: 1})
        self.it.advance(WEEK_MS)
        new = NewOffset(partition=T0, offset=2)
        commit = Commit(group_id=GROUP, offsets=(new, new))
        decided = self.it.shard.commit_received(commit, self.it.now_ms)
        self.it.shard.not_applied(decided.entries[0])
        self.assertEqual(self.expire(), [])
        self.it.shard.not_applied(decided.entries[1])
        self.assertEqual(len(self.expire()), 2)

    def test_group_that_could_not_be_ended_is_tried_again(self) -> None:
        self.it.leave(*self.it.stable_group())
        self.it.commit({T0: 1})
        self.it.advance(WEEK_MS)
        entries = self.it.shard.expire(self.it.now_ms)
        self.assertEqual(len(entries), 2)
        for entry in entries:
            self.it.shard.not_applied(entry)
        self.assertEqual(self.expire(), entries)
        self.assertEqual(self.it.shard.listed(), [])
