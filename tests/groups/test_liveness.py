"""Heartbeats, leaving, sessions, and what becomes of timers."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from streamline.config import BrokerConfig
from streamline.errors import ErrorCode
from streamline.groups.classic import ClassicGroup
from streamline.groups.messages import (
    Heartbeat,
    HeartbeatAnswer,
    Join,
    JoinAnswer,
    Leave,
    LeaveAnswer,
    Leaving,
    Left,
    Sync,
    SyncAnswer,
    Timer,
    TimerKind,
)
from streamline.groups.states import GroupState
from tests.groups.harness import GROUP, RANGE, Harness


class HeartbeatTests(SynchronousTestCase):
    """A heartbeat says whether the member may go on."""

    def setUp(self) -> None:
        self.it = Harness()

    def test_stable(self) -> None:
        _, follower = self.it.stable_group()
        self.assertEqual(self.it.heartbeat(follower, 1), ErrorCode.NONE)

    def test_before_the_assignment(self) -> None:
        _, follower = self.it.joined_group()
        self.assertEqual(self.it.heartbeat(follower, 1), ErrorCode.NONE)

    def test_during_a_rebalance(self) -> None:
        leader, follower = self.it.stable_group()
        self.it.join(leader)
        self.assertEqual(self.it.heartbeat(follower, 1), ErrorCode.REBALANCE_IN_PROGRESS)

    def test_refusals(self) -> None:
        leader, _ = self.it.stable_group()
        self.assertEqual(self.it.heartbeat(leader, 1, group_id=""), ErrorCode.INVALID_GROUP_ID)
        self.assertEqual(self.it.heartbeat(leader, 1, group_id="other"), ErrorCode.UNKNOWN_MEMBER_ID)
        self.assertEqual(self.it.heartbeat("stranger", 1), ErrorCode.UNKNOWN_MEMBER_ID)
        self.assertEqual(self.it.heartbeat(leader, 0), ErrorCode.ILLEGAL_GENERATION)
        self.assertEqual(self.it.heartbeat(leader, 1, instance_id="ship"), ErrorCode.UNKNOWN_MEMBER_ID)

    def test_empty(self) -> None:
        members = self.it.stable_group()
        self.it.leave(*members)
        self.assertEqual(self.it.heartbeat(members[0], 2), ErrorCode.UNKNOWN_MEMBER_ID)

    def test_it_keeps_a_member_alive(self) -> None:
        leader, follower = self.it.stable_group()
        for _ in range(4):
            self.it.advance(9_000)
            self.it.heartbeat(leader, 1)
            self.it.heartbeat(follower, 1)
        self.assertEqual(self.it.member_ids, [leader, follower])

    def test_refused_ones_keep_nobody_alive(self) -> None:
        leader, _ = self.it.stable_group()
        self.it.advance(9_000)
        self.it.heartbeat(leader, 7)
        self.it.advance(1_000)
        self.assertEqual(self.it.member_ids, [])

    def test_commit_keeps_a_member_alive_too(self) -> None:
        leader, follower = self.it.stable_group()
        self.it.advance(9_000)
        self.it.heartbeat(follower, 1)
        self.it.commit({("t", 0): 1}, member_id=leader, generation_id=1)
        self.it.advance(9_000)
        self.assertEqual(self.it.member_ids, [leader, follower])


class LeaveTests(SynchronousTestCase):
    """Members leave, one by one or several at once."""

    def setUp(self) -> None:
        self.it = Harness()
        self.leader, self.follower = self.it.stable_group()

    def test_others_are_called_back(self) -> None:
        answer = self.it.leave(self.follower)
        self.assertEqual(answer, LeaveAnswer(members=(Left(self.follower, None, ErrorCode.NONE),)))
        self.assertEqual(self.it.heartbeat(self.leader, 1), ErrorCode.REBALANCE_IN_PROGRESS)
        self.assertNotIn(Timer(TimerKind.SESSION, GROUP, self.follower), self.it.timers)

    def test_each_member_has_its_own_answer(self) -> None:
        answer = self.it.leave("ghost", self.follower, self.follower)
        self.assertEqual(
            [left.error for left in answer.members],
            [ErrorCode.UNKNOWN_MEMBER_ID, ErrorCode.NONE, ErrorCode.UNKNOWN_MEMBER_ID],
        )

    def test_strangers_disturb_nobody(self) -> None:
        self.it.leave("ghost")
        self.assertEqual(self.it.state, GroupState.STABLE)

    def test_unknown_group(self) -> None:
        answer = self.it.leave("ghost", group_id="other")
        self.assertEqual(answer, LeaveAnswer(members=(Left("ghost", None, ErrorCode.UNKNOWN_MEMBER_ID),)))

    def test_group_without_name(self) -> None:
        self.assertEqual(self.it.leave("ghost", group_id=""), LeaveAnswer(error=ErrorCode.INVALID_GROUP_ID))

    def test_requests_of_a_member_that_leaves_are_answered(self) -> None:
        for member in (self.leader, self.follower):
            self.it.join(member)
        syncing = self.it.sync(self.follower, 2)
        self.it.leave(self.follower)
        self.assertEqual(self.it.synced(syncing).error, ErrorCode.UNKNOWN_MEMBER_ID)

    def test_last_laggard_leaves_and_the_rest_go_on(self) -> None:
        token = self.it.join(self.leader)
        self.assertNotIn(token, self.it.answers)
        self.it.leave(self.follower)
        self.assertEqual(self.it.joined(token).generation_id, 2)

    def test_member_without_instance_and_id(self) -> None:
        self.assertEqual(self.it.leave(Leaving("")).members[0].error, ErrorCode.UNKNOWN_MEMBER_ID)


class TimerTests(SynchronousTestCase):
    """A timer counts when it is set, and not once it was cancelled."""

    def setUp(self) -> None:
        self.it = Harness()
        self.member = self.it.stable_group(1)[0]
        self.timer = Timer(TimerKind.SESSION, GROUP, self.member)

    def test_one_that_was_cancelled_means_nothing(self) -> None:
        self.it.leave(self.member)
        self.assertEqual(self.it.shard.timer_expired(self.timer, self.it.now_ms + 60_000), [])
        self.assertEqual(self.it.state, GroupState.EMPTY)

    def test_one_of_a_group_that_is_gone_means_nothing(self) -> None:
        self.assertEqual(self.it.shard.timer_expired(Timer(TimerKind.JOIN, "other"), 0), [])

    def test_a_date_that_steps_changes_no_session(self) -> None:
        for step_ms in (-3_600_000, 3_600_000):
            it = Harness()
            members = it.stable_group(1)
            it.step_ms = step_ms
            it.advance(9_999)
            self.assertEqual(it.member_ids, members)
            it.advance(1)
            self.assertEqual(it.member_ids, [])


class DeadGroupTests(SynchronousTestCase):
    """A group that ended sends everybody to look for its coordinator."""

    def test_every_request_is_refused(self) -> None:
        group = ClassicGroup(GROUP, BrokerConfig(), 0)
        self.assertEqual(group.unloaded(0), [])
        self.assertEqual(group.state, GroupState.DEAD)
        join = Join(
            token="j",
            group_id=GROUP,
            member_id="",
            member_id_suffix="1",
            session_timeout_ms=10_000,
            rebalance_timeout_ms=10_000,
            protocol_type="consumer",
            protocols=(RANGE,),
        )
        gone = ErrorCode.COORDINATOR_NOT_AVAILABLE
        named: dict[str, Any] = {"group_id": GROUP, "member_id": "m", "generation_id": 0}
        leave = Leave(token="l", group_id=GROUP, members=(Leaving("m"),))
        answers: list[Any] = [
            *group.join_received(join, 0),
            *group.sync_received(Sync(token="s", **named), 0),
            *group.heartbeat_received(Heartbeat(token="h", **named), 0),
            *group.leave_received(leave, 0),
        ]
        self.assertEqual(
            [answer.body for answer in answers],
            [JoinAnswer(error=gone), SyncAnswer(error=gone), HeartbeatAnswer(gone), LeaveAnswer(error=gone)],
        )
        self.assertEqual(group.why_not_commit("m", None, 0), gone)
        self.assertEqual(group.why_not_commit("", None, -1), gone)
        self.assertEqual(group.why_not_delete(), ErrorCode.GROUP_ID_NOT_FOUND)
