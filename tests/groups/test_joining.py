"""JoinGroup: who comes in, under which id, and whom that disturbs."""

from twisted.trial.unittest import SynchronousTestCase

from streamline.errors import ErrorCode
from streamline.groups.joining import MAX_PENDING_MEMBERS, NEW_MEMBER_JOIN_TIMEOUT_MS
from streamline.groups.messages import NO_GENERATION, JoinAnswer, JoinedMember, Leaving, Protocol
from streamline.groups.states import GroupState
from tests.groups.harness import GROUP, RANGE, STICKY, Harness


class FirstJoinTests(SynchronousTestCase):
    """A group begins with whoever comes first."""

    def setUp(self) -> None:
        self.it = Harness()

    def test_new_client_is_given_an_id_and_told_to_come_back(self) -> None:
        asked = self.it.joined(self.it.join(client_id="rdkafka"))
        self.assertEqual(asked, JoinAnswer(error=ErrorCode.MEMBER_ID_REQUIRED, member_id="rdkafka-1"))
        self.assertEqual(self.it.state, GroupState.EMPTY)
        self.assertEqual(self.it.member_ids, [])

    def test_old_client_is_parked_at_once(self) -> None:
        token = self.it.join(requires_known_member_id=False)
        self.assertNotIn(token, self.it.answers)
        self.assertEqual(self.it.member_ids, ["client-1"])

    def test_static_member_needs_no_second_round(self) -> None:
        token = self.it.join(instance_id="ship")
        self.assertNotIn(token, self.it.answers)
        self.assertEqual(self.it.member_ids, ["ship-1"])

    def test_unused_id_is_forgotten_after_its_session(self) -> None:
        asked = self.it.joined(self.it.join())
        self.it.advance(10_000)
        self.assertEqual(self.it.timers, {})
        again = self.it.joined(self.it.join(asked.member_id))
        self.assertEqual(again.error, ErrorCode.UNKNOWN_MEMBER_ID)

    def test_ids_given_out_are_bounded(self) -> None:
        first = self.it.joined(self.it.join()).member_id
        for _ in range(MAX_PENDING_MEMBERS):
            last = self.it.joined(self.it.join()).member_id
        self.assertEqual(len(self.it.timers), MAX_PENDING_MEMBERS)
        self.assertEqual(self.it.joined(self.it.join(first)).error, ErrorCode.UNKNOWN_MEMBER_ID)
        self.assertNotIn(self.it.join(last), self.it.answers, "the newest is still good")

    def test_id_given_out_does_not_serve_a_static_member(self) -> None:
        asked = self.it.joined(self.it.join())
        again = self.it.joined(self.it.join(asked.member_id, instance_id="ship"))
        self.assertEqual(again.error, ErrorCode.UNKNOWN_MEMBER_ID)

    def test_alone_it_leads(self) -> None:
        member_id, token = self.it.new_member()
        self.it.advance(3_000)
        self.assertEqual(
            self.it.joined(token),
            JoinAnswer(
                member_id=member_id,
                generation_id=1,
                protocol_type="consumer",
                protocol="range",
                leader_id=member_id,
                members=(JoinedMember(member_id, None, b"range-metadata"),),
            ),
        )

    def test_only_the_leader_sees_the_members(self) -> None:
        leader, follower = self.it.new_member(), self.it.new_member(instance_id=None)
        self.it.advance(9_000)
        self.assertEqual(len(self.it.joined(leader[1]).members), 2)
        self.assertEqual(self.it.joined(follower[1]).members, ())
        self.assertEqual(self.it.joined(follower[1]).leader_id, leader[0])


class RefusalTests(SynchronousTestCase):
    """Who does not come in, and why."""

    def setUp(self) -> None:
        self.it = Harness()

    def refused(self, member_id: str = "", **fields: object) -> ErrorCode:
        return self.it.joined(self.it.join(member_id, **fields)).error

    def test_group_without_name(self) -> None:
        self.assertEqual(self.refused(group_id=""), ErrorCode.INVALID_GROUP_ID)

    def test_session_timeout_out_of_bounds(self) -> None:
        for timeout_ms in (5_999, 1_800_001, -1):
            self.assertEqual(self.refused(session_timeout_ms=timeout_ms), ErrorCode.INVALID_SESSION_TIMEOUT)
        for timeout_ms in (6_000, 1_800_000):
            self.assertEqual(self.refused(session_timeout_ms=timeout_ms), ErrorCode.MEMBER_ID_REQUIRED)

    def test_member_id_that_nobody_gave_out(self) -> None:
        self.assertEqual(self.refused("made-up"), ErrorCode.UNKNOWN_MEMBER_ID)
        self.assertIsNone(self.it.shard.describe(GROUP), "nothing is made for it")
        self.it.stable_group()
        self.assertEqual(self.refused("made-up"), ErrorCode.UNKNOWN_MEMBER_ID)

    def test_no_protocols_or_no_type(self) -> None:
        self.assertEqual(self.refused(protocols=()), ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
        self.assertEqual(self.refused(protocol_type=""), ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
        self.assertIsNone(self.it.shard.describe(GROUP), "a group that nobody got into is not kept")

    def test_other_type_than_the_group(self) -> None:
        self.it.stable_group()
        self.assertEqual(self.refused(protocol_type="connect"), ErrorCode.INCONSISTENT_GROUP_PROTOCOL)

    def test_no_protocol_in_common_with_all(self) -> None:
        self.it.stable_group()
        self.assertEqual(self.refused(protocols=(STICKY,)), ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
        self.assertEqual(self.refused(protocols=(STICKY, RANGE)), ErrorCode.MEMBER_ID_REQUIRED)

    def test_lone_member_cannot_drop_the_protocol_it_shares_with_itself(self) -> None:
        (member,) = self.it.stable_group(1)
        self.assertEqual(self.refused(member, protocols=(STICKY,)), ErrorCode.INCONSISTENT_GROUP_PROTOCOL)

    def test_members_who_are_no_consumers_may_form_a_group(self) -> None:
        self.it.stable_group(protocol_type="connect")
        self.assertEqual(self.it.group().protocol_type, "connect")


class SizeTests(SynchronousTestCase):
    """A group has C{group.max.size} places (KIP-389)."""

    def setUp(self) -> None:
        self.it = Harness(group_max_size=2)

    def test_full_stable_group_turns_new_ones_away(self) -> None:
        self.it.stable_group(2)
        self.assertEqual(self.it.joined(self.it.join()), JoinAnswer(error=ErrorCode.GROUP_MAX_SIZE_REACHED))

    def test_full_group_that_waits_for_its_assignment_does_too(self) -> None:
        self.it.joined_group(2)
        self.assertEqual(self.it.joined(self.it.join()).error, ErrorCode.GROUP_MAX_SIZE_REACHED)

    def test_members_of_a_full_group_may_rejoin(self) -> None:
        leader, follower = self.it.stable_group(2)
        tokens = [self.it.join(leader), self.it.join(follower)]
        self.assertEqual([self.it.joined(token).error for token in tokens], [ErrorCode.NONE] * 2)

    def test_while_members_join_the_last_ones_are_left_out(self) -> None:
        first = [self.it.join(requires_known_member_id=False) for _ in range(2)]
        late = self.it.join(requires_known_member_id=False)
        self.assertEqual(self.it.joined(late).error, ErrorCode.GROUP_MAX_SIZE_REACHED)
        self.it.advance(9_000)
        self.assertEqual([self.it.joined(token).error for token in first], [ErrorCode.NONE] * 2)

    def test_group_loaded_too_large_shrinks_to_those_who_come_first(self) -> None:
        wide = Harness()
        members = wide.stable_group(3)
        self.it.log = wide.log
        self.it.reload()
        self.assertEqual(self.it.state, GroupState.PREPARING_REBALANCE)
        tokens = [self.it.join(member) for member in members]
        errors = [self.it.joined(token).error for token in tokens]
        self.assertEqual(errors, [ErrorCode.NONE, ErrorCode.NONE, ErrorCode.GROUP_MAX_SIZE_REACHED])
        self.assertEqual(self.it.member_ids, members[:2])

    def test_id_given_out_is_taken_back_when_the_group_is_full(self) -> None:
        spare = self.it.joined(self.it.join()).member_id
        self.it.advance(0)
        self.it.join(requires_known_member_id=False)
        self.it.join(requires_known_member_id=False)
        self.assertEqual(self.it.joined(self.it.join(spare)).error, ErrorCode.GROUP_MAX_SIZE_REACHED)
        self.assertEqual(self.it.joined(self.it.join(spare)).error, ErrorCode.GROUP_MAX_SIZE_REACHED)
        self.it.advance(9_000)
        self.assertEqual(self.it.state, GroupState.COMPLETING_REBALANCE)


class RejoinTests(SynchronousTestCase):
    """A member that joins again disturbs the others only if it says something new, or leads."""

    def setUp(self) -> None:
        self.it = Harness()

    def test_follower_with_nothing_new_gets_the_generation_again(self) -> None:
        leader, follower = self.it.stable_group()
        answer = self.it.joined(self.it.join(follower))
        self.assertEqual((answer.generation_id, answer.leader_id, answer.members), (1, leader, ()))
        self.assertEqual(self.it.state, GroupState.STABLE)

    def test_leader_of_a_stable_group_causes_a_rebalance(self) -> None:
        leader, _ = self.it.stable_group()
        token = self.it.join(leader)
        self.assertNotIn(token, self.it.answers)
        self.assertEqual(self.it.state, GroupState.PREPARING_REBALANCE)

    def test_follower_with_news_causes_a_rebalance(self) -> None:
        _, follower = self.it.stable_group()
        self.it.join(follower, protocols=(Protocol("range", b"another topic"),))
        self.assertEqual(self.it.state, GroupState.PREPARING_REBALANCE)

    def test_order_of_preference_is_news(self) -> None:
        _, follower = self.it.stable_group(protocols=(RANGE, STICKY))
        self.it.join(follower, protocols=(STICKY, RANGE))
        self.assertEqual(self.it.state, GroupState.PREPARING_REBALANCE)

    def test_answer_that_was_lost_is_given_again_before_the_assignment(self) -> None:
        leader, follower = self.it.joined_group()
        self.assertEqual(len(self.it.joined(self.it.join(leader)).members), 2)
        self.assertEqual(self.it.joined(self.it.join(follower)).members, ())
        self.assertEqual(self.it.state, GroupState.COMPLETING_REBALANCE)

    def test_news_before_the_assignment_begin_again(self) -> None:
        leader, follower = self.it.joined_group()
        waiting = self.it.sync(follower, 1)
        self.it.join(leader, protocols=(RANGE, STICKY))
        self.assertEqual(self.it.synced(waiting).error, ErrorCode.REBALANCE_IN_PROGRESS)
        self.assertEqual(self.it.state, GroupState.PREPARING_REBALANCE)

    def test_request_that_is_repeated_answers_the_one_before(self) -> None:
        _, follower = self.it.stable_group()
        news = (Protocol("range", b"news"),)
        first = self.it.join(follower, protocols=news)
        second = self.it.join(follower, protocols=news)
        self.assertEqual(self.it.joined(first).error, ErrorCode.REBALANCE_IN_PROGRESS)
        self.assertNotIn(second, self.it.answers)

    def test_cooperative_members_rejoin_until_all_is_revoked(self) -> None:
        # KIP-429: after a first assignment that only takes away, members join again with what they still own.
        members = self.it.stable_group(2)
        for round_ in (2, 3):
            owning = (Protocol("range", f"owns after {round_}".encode()),)
            tokens = [self.it.join(member, protocols=owning) for member in members]
            self.assertEqual([self.it.joined(token).generation_id for token in tokens], [round_] * 2)
            seen = self.it.joined(tokens[0]).members
            self.assertEqual([member.metadata for member in seen], [owning[0].metadata] * 2)
            self.it.sync_all(members, round_)
        self.assertEqual(self.it.state, GroupState.STABLE)

    def test_timeouts_can_change_on_rejoining(self) -> None:
        leader, _ = self.it.stable_group()
        self.it.join(leader, session_timeout_ms=30_000)
        self.it.advance(10_000)  # the follower's session ends; it had not rejoined
        self.it.sync_all([leader], 2)
        self.it.advance(29_999)
        self.assertEqual(self.it.member_ids, [leader])
        self.it.advance(1)
        self.assertEqual(self.it.member_ids, [])


class ProtocolVoteTests(SynchronousTestCase):
    """The group's protocol is one that all support, and of those the one that most like best."""

    def choose(self, *preferences: str) -> str | None:
        it = Harness()
        tokens = [
            it.join(requires_known_member_id=False, protocols=tuple(Protocol(name, b"") for name in names))
            for names in preferences
        ]
        it.advance(60_000)
        return it.joined(tokens[0]).protocol

    def test_majority_wins(self) -> None:
        self.assertEqual(self.choose("ab", "ba", "ba"), "b")

    def test_only_what_all_support_can_win(self) -> None:
        self.assertEqual(self.choose("ba", "bca", "a"), "a")

    def test_tie_goes_to_whoever_came_first(self) -> None:
        self.assertEqual(self.choose("ab", "ba"), "a")
        self.assertEqual(self.choose("ba", "ab"), "b")

    def test_protocol_named_twice_counts_once(self) -> None:
        self.assertEqual(self.choose("aab", "b"), "b")


class NewMemberTests(SynchronousTestCase):
    """A member that was never answered may be gone: it is not waited for without end."""

    def test_it_is_removed_after_five_minutes(self) -> None:
        it = Harness(group_initial_rebalance_delay_ms=0)
        members = it.stable_group(1, rebalance_timeout_ms=1_000_000)
        newcomer = it.join(requires_known_member_id=False)
        for _ in range(NEW_MEMBER_JOIN_TIMEOUT_MS // 5_000):
            self.assertNotIn(newcomer, it.answers)
            it.advance(5_000)
            it.heartbeat(members[0], 1)
        self.assertEqual(it.joined(newcomer).error, ErrorCode.UNKNOWN_MEMBER_ID)
        self.assertEqual(it.member_ids, members)

    def test_administrator_removes_a_member_that_waits(self) -> None:
        it = Harness()
        token = it.join(instance_id="ship")
        left = it.leave(Leaving("", "ship"))
        self.assertEqual(left.members[0].error, ErrorCode.NONE)
        self.assertEqual(it.joined(token).error, ErrorCode.UNKNOWN_MEMBER_ID)
        self.assertEqual(it.joined(token).generation_id, NO_GENERATION)
