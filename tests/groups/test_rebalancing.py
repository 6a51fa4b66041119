"""From one generation to the next."""

from twisted.trial.unittest import SynchronousTestCase

from streamline.errors import ErrorCode
from streamline.groups.entries import GroupEntry
from streamline.groups.messages import Timer, TimerKind
from streamline.groups.rebalancing import REPEATED_WAIT_MIN_MS
from streamline.groups.states import GroupState
from tests.groups.harness import GROUP, Harness


class InitialDelayTests(SynchronousTestCase):
    """An empty group waits a little for more members (KIP-134)."""

    def setUp(self) -> None:
        self.it = Harness(group_initial_rebalance_delay_ms=3_000)

    def newcomer(self) -> str:
        return self.it.join(requires_known_member_id=False, rebalance_timeout_ms=10_000)

    def test_one_member_waits_once(self) -> None:
        token = self.newcomer()
        self.it.advance(2_999)
        self.assertNotIn(token, self.it.answers)
        self.it.advance(1)
        self.assertEqual(self.it.joined(token).generation_id, 1)

    def test_each_round_with_a_newcomer_adds_one(self) -> None:
        first = self.newcomer()
        self.it.advance(2_000)
        self.newcomer()
        self.it.advance(3_999)
        self.assertNotIn(first, self.it.answers)
        self.it.advance(1)
        self.assertEqual(len(self.it.joined(first).members), 2)

    def test_the_wait_ends_when_a_rebalance_would(self) -> None:
        first = self.newcomer()
        for _ in range(9):
            self.it.advance(1_000)
            self.newcomer()
        self.assertNotIn(first, self.it.answers)
        self.it.advance(1_000)
        self.assertEqual(len(self.it.joined(first).members), 10)

    def test_no_delay_is_a_setting(self) -> None:
        it = Harness(group_initial_rebalance_delay_ms=0)
        token = it.join(requires_known_member_id=False)
        it.advance(0)
        self.assertEqual(it.joined(token).error, ErrorCode.NONE)

    def test_members_that_leave_meanwhile_do_not_shorten_it(self) -> None:
        first, second = self.newcomer(), self.newcomer()
        self.it.leave(self.it.member_ids[0])
        self.assertEqual(self.it.joined(first).error, ErrorCode.UNKNOWN_MEMBER_ID)
        self.it.advance(5_999)
        self.assertNotIn(second, self.it.answers)
        self.it.advance(1)
        self.assertEqual(self.it.joined(second).generation_id, 1)

    def test_nobody_left_at_its_end(self) -> None:
        self.newcomer()
        self.it.leave(self.it.member_ids[0])
        self.it.advance(3_000)
        self.assertEqual(self.it.state, GroupState.EMPTY)
        self.assertEqual(self.it.timers, {})

    def test_it_comes_back_once_a_group_was_empty(self) -> None:
        self.it.leave(*self.it.stable_group(2))
        self.assertEqual(self.it.state, GroupState.EMPTY)
        token = self.newcomer()
        self.it.advance(2_999)
        self.assertNotIn(token, self.it.answers)
        self.it.advance(1)
        self.assertEqual(self.it.joined(token).generation_id, 3)


class RebalanceTests(SynchronousTestCase):
    """A group at work waits for its members, but not for ever."""

    def setUp(self) -> None:
        self.it = Harness()
        self.leader, self.follower = self.it.stable_group(2)

    def test_newcomer_waits_until_all_have_rejoined(self) -> None:
        _, newcomer = self.it.new_member()
        leader = self.it.join(self.leader)
        self.assertNotIn(newcomer, self.it.answers)
        follower = self.it.join(self.follower)
        answers = [self.it.joined(token) for token in (newcomer, leader, follower)]
        self.assertEqual([answer.generation_id for answer in answers], [2, 2, 2])
        self.assertEqual([len(answer.members) for answer in answers], [0, 3, 0])

    def test_members_learn_of_it_by_their_heartbeats(self) -> None:
        self.it.new_member()
        self.assertEqual(self.it.heartbeat(self.follower, 1), ErrorCode.REBALANCE_IN_PROGRESS)

    def test_member_id_given_out_is_waited_for(self) -> None:
        spare = self.it.joined(self.it.join()).member_id
        leader, follower = self.it.join(self.leader), self.it.join(self.follower)
        self.assertNotIn(leader, self.it.answers)
        newcomer = self.it.join(spare)
        for token in (leader, follower, newcomer):
            self.assertEqual(self.it.joined(token).generation_id, 2)

    def test_member_id_given_out_is_waited_for_no_longer_than_its_session(self) -> None:
        self.it.joined(self.it.join())
        leader, follower = self.it.join(self.leader), self.it.join(self.follower)
        self.it.advance(9_999)
        self.assertNotIn(leader, self.it.answers)
        self.it.advance(1)
        self.assertEqual(self.it.joined(leader).generation_id, 2)
        self.assertEqual(self.it.joined(follower).generation_id, 2)

    def test_member_id_given_back_is_not_waited_for(self) -> None:
        spare = self.it.joined(self.it.join()).member_id
        leader, _ = self.it.join(self.leader), self.it.join(self.follower)
        self.it.leave(spare)
        self.assertEqual(self.it.joined(leader).generation_id, 2)

    def test_member_id_given_back_disturbs_nobody(self) -> None:
        spare = self.it.joined(self.it.join()).member_id
        self.assertEqual(self.it.leave(spare).members[0].error, ErrorCode.NONE)
        self.assertEqual(self.it.state, GroupState.STABLE)

    def test_laggard_is_removed_when_the_rebalance_times_out(self) -> None:
        token = self.it.join(self.leader)
        for _ in range(11):
            self.it.advance(5_000)
            self.it.heartbeat(self.follower, 1)
        self.assertNotIn(token, self.it.answers)
        self.it.advance(5_000)
        self.assertEqual(self.it.joined(token).generation_id, 2)
        self.assertEqual(self.it.member_ids, [self.leader])
        self.assertEqual(self.it.heartbeat(self.follower, 1), ErrorCode.UNKNOWN_MEMBER_ID)

    def test_longest_rebalance_timeout_counts(self) -> None:
        _, newcomer = self.it.new_member(rebalance_timeout_ms=90_000, session_timeout_ms=60_000)
        self.it.join(self.leader)  # says 60 s, and so did the follower
        for _ in range(17):
            self.it.advance(5_000)
            self.it.heartbeat(self.follower, 1)
        self.assertNotIn(newcomer, self.it.answers)
        self.it.advance(5_000)
        self.assertEqual(self.it.joined(newcomer).generation_id, 2)

    def test_silent_laggard_ends_the_wait_early(self) -> None:
        token = self.it.join(self.leader)
        self.it.advance(10_000)
        self.assertEqual(self.it.joined(token).generation_id, 2)

    def test_leader_that_does_not_rejoin_is_replaced(self) -> None:
        self.it.new_member()
        token = self.it.join(self.follower)
        self.it.advance(10_000)
        answer = self.it.joined(token)
        self.assertEqual(answer.leader_id, self.follower)
        self.assertEqual(len(answer.members), 2)

    def test_leader_that_leaves_hands_over(self) -> None:
        self.it.leave(self.leader)
        self.assertEqual(self.it.joined(self.it.join(self.follower)).leader_id, self.follower)

    def test_commits_of_the_old_generation_count_until_all_have_rejoined(self) -> None:
        self.it.new_member()
        fields = {"member_id": self.follower, "generation_id": 1}
        self.assertEqual(self.it.commit({("t", 0): 7}, **fields), (ErrorCode.NONE,))

    def test_assignment_of_a_generation_that_was_broken_off_is_nobodys(self) -> None:
        for member in (self.leader, self.follower):
            self.it.join(member)
        self.assertNotEqual(self.it.group().members[0].assignment, b"")
        self.it.leave(self.follower)
        self.assertEqual(self.it.group().members[0].assignment, b"")

    def test_last_one_to_leave_empties_the_group(self) -> None:
        self.it.leave(self.leader, self.follower)
        self.assertEqual(self.it.state, GroupState.EMPTY)
        self.it.store()
        entry = self.it.log[-1]
        assert isinstance(entry, GroupEntry) and entry.metadata is not None
        kept = entry.metadata
        self.assertEqual((kept.generation_id, kept.protocol_type), (2, "consumer"))
        self.assertEqual((kept.protocol, kept.leader_id, kept.members), (None, None, ()))
        self.assertEqual(self.it.timers, {})

    def test_all_silent_empties_the_group(self) -> None:
        self.it.advance(10_000)
        self.assertEqual(self.it.state, GroupState.EMPTY)
        self.assertEqual(self.it.timers, {})


class ConcurrentRebalanceTests(SynchronousTestCase):
    """
    Nobody who did nothing wrong loses its membership while others come and go.

    Another broker answered UNKNOWN_MEMBER_ID here.
    """

    def setUp(self) -> None:
        self.it = Harness()
        self.members = self.it.stable_group(3)

    def test_join_that_crosses_another_rebalance(self) -> None:
        first = self.it.join(self.members[0])
        news = [self.it.new_member() for _ in range(2)]
        crossing = [self.it.join(member) for member in self.members[1:]]
        tokens = [first, *crossing, *[token for _, token in news]]
        self.assertEqual([self.it.joined(token).error for token in tokens], [ErrorCode.NONE] * 5)
        self.assertEqual({self.it.joined(token).generation_id for token in tokens}, {2})

    def test_rebalance_within_a_rebalance(self) -> None:
        tokens = [self.it.join(member) for member in self.members]
        self.assertEqual({self.it.joined(token).generation_id for token in tokens}, {2})
        follower = self.it.sync(self.members[1], 2)
        newcomer = self.it.new_member()[1]  # before the leader has assigned
        self.assertEqual(self.it.synced(follower).error, ErrorCode.REBALANCE_IN_PROGRESS)
        late = self.it.sync(self.members[2], 2)
        self.assertEqual(self.it.synced(late).error, ErrorCode.REBALANCE_IN_PROGRESS)
        plan = self.it.sync(self.members[0], 2, {member: b"stale" for member in self.members})
        self.assertEqual(self.it.synced(plan).error, ErrorCode.REBALANCE_IN_PROGRESS)
        self.assertEqual(self.it.pending, [], "a stale assignment is not stored")
        again = [self.it.join(member) for member in self.members]
        self.assertEqual({self.it.joined(token).generation_id for token in [newcomer, *again]}, {3})

    def test_rebalance_while_the_assignment_is_being_stored(self) -> None:
        for member in self.members:
            self.it.join(member)
        waiting = self.it.sync(self.members[0], 2, {member: b"2" for member in self.members})
        newcomer = self.it.new_member()[1]
        self.assertEqual(self.it.synced(waiting).error, ErrorCode.REBALANCE_IN_PROGRESS)
        self.it.store()
        self.assertEqual(self.it.state, GroupState.PREPARING_REBALANCE)
        again = [self.it.join(member) for member in self.members]
        self.assertEqual({self.it.joined(token).generation_id for token in [newcomer, *again]}, {3})

    def test_member_that_joins_with_its_id_from_two_generations_ago(self) -> None:
        for generation_id in (2, 3):
            for member in self.members:
                self.it.join(member)
            self.it.sync_all(self.members[:1], generation_id)
        self.assertEqual(self.it.heartbeat(self.members[2], 1), ErrorCode.ILLEGAL_GENERATION)
        self.assertEqual(self.it.joined(self.it.join(self.members[2])).generation_id, 3)

    def test_two_members_are_told_to_come_back_at_once(self) -> None:
        asked = [self.it.joined(self.it.join()).member_id for _ in range(2)]
        tokens = [self.it.join(member) for member in [*asked, *self.members]]
        self.assertEqual({self.it.joined(token).error for token in tokens}, {ErrorCode.NONE})

    def test_sessions_do_not_end_while_a_member_waits_for_the_others(self) -> None:
        waiting = self.it.join(self.members[0])
        for _ in range(9):
            self.it.advance(5_000)
            for member in self.members[1:]:
                self.it.heartbeat(member, 1)
        self.assertNotIn(waiting, self.it.answers)
        tokens = [waiting, *[self.it.join(member) for member in self.members[1:]]]
        self.assertEqual({self.it.joined(token).error for token in tokens}, {ErrorCode.NONE})
        self.it.advance(9_999)
        self.assertEqual(self.it.heartbeat(self.members[0], 2), ErrorCode.NONE)


class NobodyJoinsTests(SynchronousTestCase):
    """Static members that stay away keep their places while their sessions last (KIP-345)."""

    def test_the_wait_is_repeated_at_a_bounded_rate(self) -> None:
        it = Harness(group_initial_rebalance_delay_ms=0)
        tokens = [it.join(instance_id=name, rebalance_timeout_ms=10, session_timeout_ms=30_000) for name in "ab"]
        it.advance(0)
        members = [it.joined(token).member_id for token in tokens]
        it.sync_all(members)
        it.leave(members[0])
        timer = Timer(TimerKind.JOIN, GROUP)
        self.assertEqual(it.timers[timer], it.now_ms + 10)
        it.advance(10)
        self.assertEqual(it.state, GroupState.PREPARING_REBALANCE)
        self.assertEqual(it.timers[timer], it.now_ms + REPEATED_WAIT_MIN_MS)
        token = it.join(members[1])
        self.assertEqual(it.joined(token).generation_id, 2)

    def test_it_ends_with_their_sessions(self) -> None:
        it = Harness()
        it.join(instance_id="a", session_timeout_ms=30_000)
        it.join(instance_id="b", session_timeout_ms=30_000)
        it.advance(9_000)
        it.sync_all(it.member_ids)
        it.leave(it.member_ids[0])
        it.advance(29_999)
        self.assertEqual(len(it.member_ids), 1)
        it.advance(60_000)
        self.assertEqual(it.state, GroupState.EMPTY)
        self.assertEqual(it.timers, {})


class LoadTests(SynchronousTestCase):
    """A group goes on where its last record left it."""

    def test_members_go_on_without_noticing(self) -> None:
        it = Harness()
        leader, follower = it.stable_group()
        before = it.group()
        it.reload()
        self.assertEqual(it.group(), before)
        self.assertEqual(it.heartbeat(follower, 1), ErrorCode.NONE)
        self.assertEqual(it.synced(it.sync(leader, 1)).assignment, f"for {leader}".encode())

    def test_sessions_begin_with_the_load(self) -> None:
        it = Harness()
        it.stable_group()
        it.advance(9_000)
        it.reload()
        it.advance(9_999)
        self.assertEqual(len(it.member_ids), 2)
        it.advance(1)
        self.assertEqual(it.state, GroupState.EMPTY)

    def test_generation_that_was_not_stored_is_forgotten(self) -> None:
        it = Harness()
        leader, follower = it.stable_group()
        for member in (leader, follower):
            it.join(member)
        it.reload()
        self.assertEqual(it.heartbeat(leader, 2), ErrorCode.ILLEGAL_GENERATION)
        tokens = [it.join(member) for member in (leader, follower)]
        self.assertEqual([it.joined(token).generation_id for token in tokens], [2, 2])

    def test_whoever_waits_is_sent_to_the_new_coordinator(self) -> None:
        it = Harness()
        leader, follower = it.stable_group()
        joining = it.join(leader)
        it.reload()
        self.assertEqual(it.joined(joining).error, ErrorCode.NOT_COORDINATOR)
        for member in (leader, follower):
            it.join(member)
        syncing = it.sync(follower, 2)
        it.reload()
        self.assertEqual(it.synced(syncing).error, ErrorCode.NOT_COORDINATOR)

    def test_empty_group_is_loaded_empty(self) -> None:
        it = Harness()
        it.leave(*it.stable_group())
        it.store()
        it.reload()
        self.assertEqual(it.state, GroupState.EMPTY)
        self.assertEqual(it.timers, {})
        self.assertEqual(it.group(GROUP).protocol_type, "consumer")
