"""The group APIs, asked in bytes of a whole node: all versions, real storage, crashes."""

from __future__ import annotations

from streamline.errors import ErrorCode
from streamline.wire.messages.groups import (
    HeartbeatRequest,
    JoinGroupRequest,
    LeaveGroupRequest,
    ListGroupsRequest,
    MemberIdentity,
    SyncGroupRequest,
)
from tests.api.group_case import NAME, GroupCase, beat, join, sync, versions


class JoinTests(GroupCase):
    """JoinGroup and SyncGroup in all versions."""

    def test_every_version_makes_a_generation(self) -> None:
        """Old and new clients get through, one after another."""
        for version in versions(JoinGroupRequest):
            asked = self.client.ask(join(), version)
            if version >= 4:
                self.assertEqual(asked.error_code, ErrorCode.MEMBER_ID_REQUIRED, version)
                asked = self.client.ask(join(asked.member_id), version)
            self.assertEqual(asked.error_code, ErrorCode.NONE, version)
            self.assertEqual(asked.protocol_name, "range")
            self.assertEqual(asked.leader, asked.member_id)
            self.assertEqual([member.metadata for member in asked.members], [b"what I read"])
            if version >= 7:
                self.assertEqual(asked.protocol_type, "consumer")
            self.assertEqual(self.client.ask(sync(asked.member_id, asked.generation_id)).error_code, 0)
            left = self.client.ask(LeaveGroupRequest(group_id=NAME, member_id=asked.member_id), 1)
            self.assertEqual(left.error_code, ErrorCode.NONE)

    def test_refusals_can_be_said_in_every_version(self) -> None:
        """The protocol name of a refusal is null only where null is allowed."""
        for version in versions(JoinGroupRequest):
            refused = self.client.ask(join(session_timeout_ms=1), version)
            self.assertEqual(refused.error_code, ErrorCode.INVALID_SESSION_TIMEOUT)
            self.assertEqual(refused.protocol_name, None if version >= 7 else "")
            self.assertEqual(refused.generation_id, -1)

    def test_member_ids_begin_with_the_clients_name(self) -> None:
        """Kafka's tools show who is who by that."""
        number = self.client.send(join(), client_id="billing")
        self.assertTrue(self.client.answer(number).member_id.startswith("billing-"))
        number = self.client.send(join(), client_id=None)
        self.assertTrue(self.client.answer(number).member_id.startswith("-"))
        ids = {self.client.ask(join()).member_id for _ in range(10)}
        self.assertEqual(len(ids), 10)

    def test_every_version_of_sync(self) -> None:
        """Versions before 5 say nothing of protocols."""
        member = self.lone_member()
        for version in versions(SyncGroupRequest):
            again = self.client.ask(sync(member, 1), version)
            self.assertEqual((again.error_code, again.assignment), (ErrorCode.NONE, b"all"))
            self.assertEqual(again.protocol_name, "range" if version >= 5 else None)
        wrong = self.client.ask(sync(member, 1, protocol_name="sticky"))
        self.assertEqual(wrong.error_code, ErrorCode.INCONSISTENT_GROUP_PROTOCOL)

    def test_members_wait_for_each_other(self) -> None:
        """Each on its own connection; requests of others on the same connection are served meanwhile."""
        leader = self.lone_member()
        second = self.world.client()
        waiting = second.send(join(second.ask(join()).member_id))
        self.world.later(0.5)
        self.assertEqual(second.answers, {})
        self.assertEqual(self.client.ask(beat(leader, 1)).error_code, ErrorCode.REBALANCE_IN_PROGRESS)
        first = self.client.ask(join(leader))
        other = second.answer(waiting)
        self.assertEqual((first.generation_id, other.generation_id), (2, 2))
        self.assertEqual((len(first.members), len(other.members)), (2, 0))
        waiting = second.send(sync(other.member_id, 2))
        self.world.later(0.1)
        plan = {leader: b"left", other.member_id: b"right"}
        self.assertEqual(self.client.ask(sync(leader, 2, plan)).assignment, b"left")
        self.assertEqual(second.answer(waiting).assignment, b"right")

    def test_answers_keep_their_order_on_one_connection(self) -> None:
        """A parked JoinGroup holds back what was asked after it, as in Kafka."""
        leader = self.lone_member()
        second = self.world.client()
        waiting = second.send(join(second.ask(join()).member_id))
        later = second.send(ListGroupsRequest())
        self.world.later(0.5)
        self.assertEqual(second.answers, {})
        self.client.ask(join(leader))
        second.answer(later)
        self.assertIn(waiting, second.answers)

    def test_client_that_goes_while_it_waits(self) -> None:
        """Its member is removed when its time is up; nothing else happens."""
        leader = self.lone_member()
        second = self.world.client()
        second.send(join(second.ask(join()).member_id))
        self.world.later(0.5)
        assert second.transport is not None
        second.transport.loseConnection()
        self.world.later(0.5)
        answer = self.client.ask(join(leader))
        self.assertEqual(len(answer.members), 2)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_old_clients_rebalance_within_their_session(self) -> None:
        """Version 0 has no rebalance time-out."""
        joined = self.client.ask(join(session_timeout_ms=6_000), 0)
        self.client.ask(sync(joined.member_id, 1))
        second = self.world.client()
        waiting = second.send(join(session_timeout_ms=6_000), 0)
        for _ in range(3):
            self.world.later(1.9)
            self.client.ask(beat(joined.member_id, 1))
        self.assertEqual(second.answers, {})
        self.assertEqual(len(second.answer(waiting, 1.0).members), 1)


class SessionTests(GroupCase):
    """Members live as long as they are heard."""

    def test_silent_member_is_removed(self) -> None:
        """Its session ends, and nothing is left behind."""
        self.lone_member()
        self.world.later(9.9)
        self.assertEqual(len(self.describe(NAME)[0].members), 1)
        self.world.later(0.2)
        self.assertEqual(self.describe(NAME)[0].group_state, "Empty")

    def test_heartbeats_in_every_version_keep_it(self) -> None:
        """Four versions, one meaning."""
        member = self.lone_member()
        for version in versions(HeartbeatRequest):
            self.world.later(6.0)
            self.assertEqual(self.client.ask(beat(member, 1), version).error_code, ErrorCode.NONE)
        self.assertEqual(self.client.ask(beat(member, 2)).error_code, ErrorCode.ILLEGAL_GENERATION)

    def test_date_that_jumps_ends_no_session(self) -> None:
        """Sessions are counted on a clock that does not step."""
        self.lone_member()
        for jump_ms in (3_600_000, -7_200_000):
            self.world.server.set_wall_clock(jump_ms)
            self.world.later(4.0)
            self.assertEqual(len(self.describe(NAME)[0].members), 1)


class LeaveTests(GroupCase):
    """LeaveGroup in all versions."""

    def test_old_versions_name_one_member(self) -> None:
        """Its error is the answer's."""
        for version in range(3):
            unknown = self.client.ask(LeaveGroupRequest(group_id=NAME, member_id="ghost"), version)
            self.assertEqual(unknown.error_code, ErrorCode.UNKNOWN_MEMBER_ID)
            member = self.lone_member()
            left = self.client.ask(LeaveGroupRequest(group_id=NAME, member_id=member), version)
            self.assertEqual(left.error_code, ErrorCode.NONE)

    def test_new_versions_name_several(self) -> None:
        """Each has its own error."""
        for version in range(3, 6):
            member = self.lone_member()
            members = [MemberIdentity(member_id=member), MemberIdentity(member_id="", group_instance_id="ghost")]
            left = self.client.ask(LeaveGroupRequest(group_id=NAME, members=members), version)
            self.assertEqual(left.error_code, ErrorCode.NONE)
            errors = [(one.member_id, one.group_instance_id, one.error_code) for one in left.members]
            self.assertEqual(errors, [(member, None, 0), ("", "ghost", ErrorCode.UNKNOWN_MEMBER_ID)])

    def test_group_without_name(self) -> None:
        """The whole request is refused."""
        for version in versions(LeaveGroupRequest):
            left = self.client.ask(LeaveGroupRequest(group_id=""), version)
            self.assertEqual(left.error_code, ErrorCode.INVALID_GROUP_ID)


class RestartTests(GroupCase):
    """A group outlives the node's process."""

    def again(self) -> None:
        """Start the node anew and connect."""
        self.world.start()
        self.client = self.world.client()

    def test_member_goes_on_after_a_crash(self) -> None:
        """Its generation and assignment are in the log."""
        member = self.lone_member()
        self.world.kill()
        self.again()
        self.assertEqual(self.client.ask(beat(member, 1)).error_code, ErrorCode.NONE)
        self.assertEqual(self.client.ask(sync(member, 1)).assignment, b"all")

    def test_member_goes_on_after_a_stop(self) -> None:
        """The same after an orderly end."""
        member = self.lone_member()
        self.world.stop()
        self.again()
        self.assertEqual(self.client.ask(beat(member, 1)).error_code, ErrorCode.NONE)

    def test_member_that_does_not_come_back_expires(self) -> None:
        """Sessions are counted from the load."""
        self.lone_member()
        self.world.kill()
        self.again()
        self.world.later(9.0)
        self.assertEqual(len(self.describe(NAME)[0].members), 1)
        self.world.later(2.0)
        self.assertEqual(self.describe(NAME)[0].group_state, "Empty")

    def test_static_member_keeps_its_place_over_both_restarts(self) -> None:
        """The node's and its own (KIP-345)."""
        first = self.client.ask(join(group_instance_id="ship"))
        self.client.ask(sync(first.member_id, 1, {first.member_id: b"all"}))
        self.world.kill()
        self.again()
        second = self.client.ask(join(group_instance_id="ship"))
        self.assertEqual((second.generation_id, second.skip_assignment), (1, True))
        self.world.kill()
        self.again()
        self.assertEqual(self.client.ask(sync(second.member_id, 1)).assignment, b"all")
        fenced = self.client.ask(sync(first.member_id, 1, group_instance_id="ship"))
        self.assertEqual(fenced.error_code, ErrorCode.FENCED_INSTANCE_ID)
