"""Static members keep their places over restarts (KIP-345, KIP-814)."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from streamline.errors import ErrorCode
from streamline.groups.entries import GroupEntry
from streamline.groups.messages import JoinAnswer, Leaving, Protocol
from streamline.groups.states import GroupState
from tests.groups.harness import RANGE, STICKY, Harness


class StaticMemberTests(SynchronousTestCase):
    """Two static members, C{a} leading and C{b}, at work."""

    def setUp(self) -> None:
        self.it = Harness()
        tokens = [self.it.join(instance_id=name, protocols=(RANGE, STICKY)) for name in "ab"]
        self.it.advance(9_000)
        self.a, self.b = (self.it.joined(token).member_id for token in tokens)
        self.it.sync_all([self.a, self.b])
        self.assertEqual(self.it.state, GroupState.STABLE)

    def restart(self, name: str, **fields: Any) -> str:
        settled: dict[str, Any] = {"instance_id": name, "protocols": (RANGE, STICKY)} | fields
        return self.it.join(**settled)

    def kept_ids(self) -> list[str]:
        entry = self.it.log[-1]
        assert isinstance(entry, GroupEntry) and entry.metadata is not None
        return [member.member_id for member in entry.metadata.members]

    def test_restarted_follower_disturbs_nobody(self) -> None:
        token = self.restart("b")
        self.assertNotIn(token, self.it.answers, "the new id is not yet stored")
        self.it.store()
        answer = self.it.joined(token)
        self.assertEqual((answer.error, answer.generation_id), (ErrorCode.NONE, 1))
        self.assertEqual((answer.leader_id, answer.members, answer.skip_assignment), (self.a, (), False))
        self.assertEqual(self.it.state, GroupState.STABLE)
        self.assertEqual(self.kept_ids(), [self.a, answer.member_id])
        assignment = self.it.synced(self.it.sync(answer.member_id, 1)).assignment
        self.assertEqual(assignment, f"for {self.b}".encode())
        self.assertEqual(self.it.heartbeat(answer.member_id, 1, instance_id="b"), ErrorCode.NONE)

    def test_restarted_leader_leads_without_assigning_anew(self) -> None:
        token = self.restart("a")
        self.it.store()
        answer = self.it.joined(token)
        self.assertEqual((answer.leader_id, answer.skip_assignment), (answer.member_id, True))
        self.assertEqual([member.member_id for member in answer.members], [answer.member_id, self.b])
        self.assertEqual([member.instance_id for member in answer.members], ["a", "b"])

    def test_old_client_is_made_to_believe_that_it_follows(self) -> None:
        token = self.restart("a", supports_skipping_assignment=False)
        self.it.store()
        answer = self.it.joined(token)
        self.assertEqual((answer.leader_id, answer.skip_assignment, answer.members), (self.a, False, ()))
        self.assertNotEqual(answer.member_id, self.a)

    def test_the_one_before_is_fenced(self) -> None:
        self.restart("b")
        self.it.store()
        fenced = ErrorCode.FENCED_INSTANCE_ID
        self.assertEqual(self.it.heartbeat(self.b, 1, instance_id="b"), fenced)
        self.assertEqual(self.it.synced(self.it.sync(self.b, 1, instance_id="b")).error, fenced)
        self.assertEqual(self.it.joined(self.it.join(self.b, instance_id="b")).error, fenced)
        self.assertEqual(self.it.leave(Leaving(self.b, "b")).members[0].error, fenced)
        commit = self.it.commit({("t", 0): 1}, member_id=self.b, instance_id="b", generation_id=1)
        self.assertEqual(commit, (fenced,))

    def test_the_one_before_is_unknown_without_its_instance(self) -> None:
        self.restart("b")
        self.it.store()
        self.assertEqual(self.it.heartbeat(self.b, 1), ErrorCode.UNKNOWN_MEMBER_ID)

    def test_replaced_in_the_middle_of_joining(self) -> None:
        first = self.it.join(self.a, instance_id="a", protocols=(RANGE, STICKY))
        second = self.restart("a")
        answer = self.it.joined(first)
        self.assertEqual(answer, JoinAnswer(error=ErrorCode.FENCED_INSTANCE_ID, member_id=self.a))
        third = self.it.join(self.b, instance_id="b", protocols=(RANGE, STICKY))
        self.assertEqual(self.it.joined(second).generation_id, 2)
        self.assertEqual(self.it.joined(third).generation_id, 2)

    def test_replaced_while_the_assignment_is_made(self) -> None:
        # The leader may have the old id in its hands: everything begins anew.
        for name, member in (("a", self.a), ("b", self.b)):
            self.it.join(member, instance_id=name, protocols=(RANGE, STICKY))
        waiting = self.it.sync(self.b, 2, instance_id="b")
        again = self.restart("b")
        self.assertEqual(self.it.synced(waiting).error, ErrorCode.FENCED_INSTANCE_ID)
        self.assertEqual(self.it.state, GroupState.PREPARING_REBALANCE)
        self.it.join(self.a, instance_id="a", protocols=(RANGE, STICKY))
        self.assertEqual(self.it.joined(again).generation_id, 3)

    def test_restart_with_other_tastes_causes_a_rebalance(self) -> None:
        self.restart("b", protocols=(STICKY,))
        self.assertEqual(self.it.state, GroupState.PREPARING_REBALANCE)

    def test_restart_during_a_rebalance_that_it_did_not_cause(self) -> None:
        self.it.leave(Leaving("", "a"))
        token = self.restart("b")
        self.assertEqual(self.it.joined(token).generation_id, 2)

    def test_rebalance_begins_while_the_new_id_is_being_stored(self) -> None:
        token = self.restart("b")
        newcomer = self.it.join(instance_id="c", protocols=(RANGE, STICKY))
        self.it.store()
        self.assertNotIn(token, self.it.answers, "the rebalance will answer it")
        leader = self.it.join(self.a, instance_id="a", protocols=(RANGE, STICKY))
        for each in (token, newcomer, leader):
            self.assertEqual(self.it.joined(each).generation_id, 2)

    def test_restarted_twice_before_the_first_is_stored(self) -> None:
        first, second = self.restart("b"), self.restart("b")
        self.assertEqual(self.it.joined(first).error, ErrorCode.FENCED_INSTANCE_ID)
        self.it.store()
        self.assertEqual(self.it.joined(second).error, ErrorCode.NONE)
        self.assertEqual(len(self.it.member_ids), 2)
        self.assertEqual(self.kept_ids(), self.it.member_ids)

    def test_new_id_that_cannot_be_stored_is_taken_back(self) -> None:
        token = self.restart("a", protocols=(RANGE,), session_timeout_ms=60_000)
        self.it.fail_store(ErrorCode.NOT_ENOUGH_REPLICAS)
        self.assertEqual(self.it.joined(token), JoinAnswer(error=ErrorCode.COORDINATOR_NOT_AVAILABLE))
        self.assertEqual(self.it.member_ids, [self.a, self.b])
        self.assertEqual(self.it.heartbeat(self.a, 1, instance_id="a"), ErrorCode.NONE)
        self.it.heartbeat(self.b, 1)
        self.it.advance(10_000)
        self.assertEqual(self.it.state, GroupState.EMPTY, "the old session time-out is back too")

    def test_failure_to_store_is_no_matter_once_a_rebalance_has_begun(self) -> None:
        token = self.restart("b")
        self.it.leave(Leaving("", "a"))
        self.it.fail_store(ErrorCode.NOT_ENOUGH_REPLICAS)
        self.assertEqual(self.it.joined(token).generation_id, 2)
        self.assertEqual(self.it.member_ids, [self.it.joined(token).member_id])

    def test_restarted_member_that_is_never_heard_of_again_expires(self) -> None:
        self.restart("b")
        for _ in range(3):  # while it waits for the log, the end of its session counts for nothing
            self.it.advance(5_000)
            self.it.heartbeat(self.a, 1)
        self.it.store()
        self.it.advance(5_000)
        self.it.heartbeat(self.a, 1)
        self.it.advance(4_999)
        self.assertEqual(len(self.it.member_ids), 2)
        self.it.advance(1)
        self.assertEqual(self.it.member_ids, [self.a])

    def test_keeps_its_place_through_a_rebalance_that_it_missed(self) -> None:
        self.it.join(self.a, instance_id="a", protocols=(Protocol("range", b"news"),))
        for _ in range(12):
            self.it.advance(5_000)
            self.it.heartbeat(self.b, 1, instance_id="b")
        self.assertEqual(self.it.state, GroupState.COMPLETING_REBALANCE)
        self.assertEqual(self.it.member_ids, [self.a, self.b])
        self.assertEqual(self.it.joined(self.it.join(self.b, instance_id="b", protocols=(RANGE, STICKY))).error, 0)

    def test_leader_that_is_not_the_oldest_still_leads_after_a_load(self) -> None:
        self.it.join(self.b, instance_id="b", protocols=(STICKY,))
        for _ in range(12):
            self.it.advance(5_000)
            self.it.heartbeat(self.a, 1)
        self.it.sync(self.b, 2, {self.a: b"1", self.b: b"2"})
        self.it.store()
        self.it.reload()
        self.assertEqual(self.it.member_ids, [self.a, self.b])
        answer = self.it.joined(self.it.join(self.a, instance_id="a", protocols=(STICKY,)))
        self.assertEqual(answer.leader_id, self.b)

    def test_survives_a_change_of_coordinator(self) -> None:
        self.it.reload()
        token = self.restart("b", protocols=(RANGE,))
        self.it.store()
        self.assertEqual(self.it.joined(token).generation_id, 1)
        self.assertEqual(self.it.state, GroupState.STABLE)

    def test_administrator_removes_by_instance(self) -> None:
        left = self.it.leave(Leaving("", "b"), Leaving("", "ghost"))
        errors = [member.error for member in left.members]
        self.assertEqual(errors, [ErrorCode.NONE, ErrorCode.UNKNOWN_MEMBER_ID])
        self.assertEqual(self.it.member_ids, [self.a])


class StaticPlaceTests(SynchronousTestCase):
    """A replaced member stands where the old one stood."""

    def test_unsynced_member_must_still_sync_under_its_new_id(self) -> None:
        it = Harness()
        tokens = [it.join(instance_id=name) for name in "ab"]
        it.advance(9_000)
        a, b = (it.joined(token).member_id for token in tokens)
        it.sync(a, 1, {a: b"1", b: b"2"})
        it.store()
        token = it.join(instance_id="b")
        it.store()
        self.assertEqual(it.synced(it.sync(it.joined(token).member_id, 1)).assignment, b"2")
        for _ in range(20):
            it.advance(5_000)
            it.heartbeat(a, 1)
            it.heartbeat(it.joined(token).member_id, 1)
        self.assertEqual(len(it.member_ids), 2)
