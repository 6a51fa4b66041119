"""SyncGroup: the leader hands in the assignment, the others wait for theirs."""

from twisted.trial.unittest import SynchronousTestCase

from streamline.errors import ErrorCode
from streamline.groups.entries import GroupEntry, GroupMetadata, MemberMetadata
from streamline.groups.messages import Protocol, SyncAnswer, TimerKind
from streamline.groups.states import GroupState
from tests.groups.harness import GROUP, Harness


class AssignmentTests(SynchronousTestCase):
    """Everybody gets what the leader assigned, once the log has it."""

    def setUp(self) -> None:
        self.it = Harness()
        self.leader, self.follower = self.it.joined_group(2)
        self.plan = {self.leader: b"evens", self.follower: b"odds"}

    def test_nothing_is_told_before_it_is_stored(self) -> None:
        tokens = [self.it.sync(self.follower, 1), self.it.sync(self.leader, 1, self.plan)]
        self.assertEqual([token in self.it.answers for token in tokens], [False, False])
        self.assertEqual(self.it.state, GroupState.COMPLETING_REBALANCE)
        self.it.store()
        answers = [self.it.synced(token) for token in tokens]
        self.assertEqual(
            answers,
            [
                SyncAnswer(protocol_type="consumer", protocol="range", assignment=b"odds"),
                SyncAnswer(protocol_type="consumer", protocol="range", assignment=b"evens"),
            ],
        )
        self.assertEqual(self.it.state, GroupState.STABLE)

    def test_the_record_holds_the_group(self) -> None:
        self.it.sync(self.leader, 1, self.plan)
        (store,) = self.it.pending

        def kept(member_id: str, assignment: bytes) -> MemberMetadata:
            return MemberMetadata(
                member_id=member_id,
                instance_id=None,
                client_id="client",
                client_host="/127.0.0.1",
                rebalance_timeout_ms=60_000,
                session_timeout_ms=10_000,
                subscription=b"range-metadata",
                assignment=assignment,
            )

        metadata = GroupMetadata(
            generation_id=1,
            protocol_type="consumer",
            protocol="range",
            leader_id=self.leader,
            state_timestamp_ms=1_006_000,
            members=(kept(self.leader, b"evens"), kept(self.follower, b"odds")),
        )
        self.assertEqual(store.entry, GroupEntry(GROUP, metadata))

    def test_late_follower_gets_it_at_once(self) -> None:
        self.it.sync(self.leader, 1, self.plan)
        self.it.store()
        self.assertEqual(self.it.synced(self.it.sync(self.follower, 1)).assignment, b"odds")

    def test_member_that_the_leader_left_out_gets_nothing(self) -> None:
        token = self.it.sync(self.follower, 1)
        self.it.sync(self.leader, 1, {self.leader: b"all", "stranger": b"ignored"})
        self.it.store()
        self.assertEqual((self.it.synced(token).error, self.it.synced(token).assignment), (ErrorCode.NONE, b""))

    def test_leader_that_repeats_itself_stores_once(self) -> None:
        first = self.it.sync(self.leader, 1, self.plan)
        second = self.it.sync(self.leader, 1, {self.leader: b"something else"})
        self.assertEqual(self.it.synced(first).error, ErrorCode.REBALANCE_IN_PROGRESS)
        self.assertEqual(len(self.it.pending), 1)
        self.it.store()
        self.assertEqual(self.it.synced(second).assignment, b"evens")

    def test_sessions_count_from_the_answer(self) -> None:
        self.it.sync(self.follower, 1)
        for _ in range(4):
            self.it.advance(6_000)
            self.assertEqual(self.it.heartbeat(self.leader, 1), ErrorCode.NONE)
        self.it.sync(self.leader, 1, self.plan)
        self.it.store()
        self.it.advance(9_999)
        self.assertEqual(self.it.member_ids, [self.leader, self.follower])
        self.it.advance(1)
        self.assertEqual(self.it.member_ids, [])


class StoreFailureTests(SynchronousTestCase):
    """An assignment that cannot be stored is nobody's."""

    EXPECTED = {
        ErrorCode.UNKNOWN_TOPIC_OR_PARTITION: ErrorCode.COORDINATOR_NOT_AVAILABLE,
        ErrorCode.NOT_ENOUGH_REPLICAS: ErrorCode.COORDINATOR_NOT_AVAILABLE,
        ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND: ErrorCode.COORDINATOR_NOT_AVAILABLE,
        ErrorCode.REQUEST_TIMED_OUT: ErrorCode.COORDINATOR_NOT_AVAILABLE,
        ErrorCode.NOT_LEADER_OR_FOLLOWER: ErrorCode.NOT_COORDINATOR,
        ErrorCode.KAFKA_STORAGE_ERROR: ErrorCode.NOT_COORDINATOR,
        ErrorCode.MESSAGE_TOO_LARGE: ErrorCode.UNKNOWN_SERVER_ERROR,
        ErrorCode.RECORD_LIST_TOO_LARGE: ErrorCode.UNKNOWN_SERVER_ERROR,
        ErrorCode.INVALID_FETCH_SIZE: ErrorCode.UNKNOWN_SERVER_ERROR,
        ErrorCode.COORDINATOR_LOAD_IN_PROGRESS: ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
    }

    def test_everybody_hears_a_coordinators_error_and_rejoins(self) -> None:
        for error, told in self.EXPECTED.items():
            it = Harness()
            leader, follower = it.joined_group(2)
            tokens = [it.sync(follower, 1), it.sync(leader, 1, {leader: b"all"})]
            it.fail_store(error)
            self.assertEqual([it.synced(token).error for token in tokens], [told, told])
            self.assertEqual(it.state, GroupState.PREPARING_REBALANCE)
            again = [it.join(member) for member in (leader, follower)]
            self.assertEqual([it.joined(token).generation_id for token in again], [2, 2])

    def test_failure_after_the_group_moved_on_changes_nothing(self) -> None:
        it = Harness()
        leader, follower = it.joined_group(2)
        it.sync(leader, 1, {leader: b"all"})
        for member in (leader, follower):
            it.join(member, protocols=(Protocol("range", b"news"),))
        self.assertEqual(it.state, GroupState.COMPLETING_REBALANCE)
        it.fail_store(ErrorCode.REQUEST_TIMED_OUT)
        self.assertEqual(it.state, GroupState.COMPLETING_REBALANCE)
        self.assertEqual(it.group().members[0].member_id, leader)


class RefusalTests(SynchronousTestCase):
    """Who gets no assignment, and why."""

    def setUp(self) -> None:
        self.it = Harness()
        self.leader, self.follower = self.it.joined_group(2)

    def refused(self, member_id: str, generation_id: int = 1, **fields: object) -> ErrorCode:
        return self.it.synced(self.it.sync(member_id, generation_id, **fields)).error

    def test_no_name_no_group_no_member(self) -> None:
        self.assertEqual(self.refused(self.leader, group_id=""), ErrorCode.INVALID_GROUP_ID)
        self.assertEqual(self.refused(self.leader, group_id="other"), ErrorCode.UNKNOWN_MEMBER_ID)
        self.assertEqual(self.refused("stranger"), ErrorCode.UNKNOWN_MEMBER_ID)

    def test_empty_group(self) -> None:
        self.it.leave(self.leader, self.follower)
        self.assertEqual(self.refused(self.leader, 2), ErrorCode.UNKNOWN_MEMBER_ID)

    def test_other_generation(self) -> None:
        self.assertEqual(self.refused(self.leader, 0), ErrorCode.ILLEGAL_GENERATION)
        self.assertEqual(self.refused(self.leader, 2), ErrorCode.ILLEGAL_GENERATION)

    def test_other_protocol(self) -> None:
        wrong = ErrorCode.INCONSISTENT_GROUP_PROTOCOL
        self.assertEqual(self.refused(self.follower, protocol_type="connect"), wrong)
        self.assertEqual(self.refused(self.follower, protocol="sticky"), wrong)
        token = self.it.sync(self.follower, 1, protocol_type="consumer", protocol="range")
        self.assertNotIn(token, self.it.answers)

    def test_rebalance_has_begun(self) -> None:
        self.it.leave(self.follower)
        self.assertEqual(self.refused(self.leader), ErrorCode.REBALANCE_IN_PROGRESS)

    def test_instance_of_somebody_else(self) -> None:
        self.it.join(instance_id="ship")
        self.assertEqual(self.refused(self.leader, instance_id="ship"), ErrorCode.FENCED_INSTANCE_ID)
        self.assertEqual(self.refused(self.leader, instance_id="boat"), ErrorCode.UNKNOWN_MEMBER_ID)


class SyncWaitTests(SynchronousTestCase):
    """A member that takes its generation must also take its assignment."""

    def test_leader_that_never_assigns_is_removed(self) -> None:
        it = Harness()
        leader, follower = it.joined_group(2)
        waiting = it.sync(follower, 1)
        for _ in range(11):
            it.advance(5_000)
            self.assertEqual(it.heartbeat(leader, 1), ErrorCode.NONE)
        self.assertNotIn(waiting, it.answers)
        it.advance(5_000)
        self.assertEqual(it.synced(waiting).error, ErrorCode.REBALANCE_IN_PROGRESS)
        self.assertEqual(it.member_ids, [follower])
        answer = it.joined(it.join(follower))
        self.assertEqual((answer.generation_id, answer.leader_id), (2, follower))

    def test_follower_that_never_asks_is_removed_from_a_stable_group(self) -> None:
        it = Harness()
        leader, follower = it.joined_group(2)
        it.sync(leader, 1, {leader: b"all"})
        it.store()
        for _ in range(12):
            it.advance(5_000)
            it.heartbeat(leader, 1)
            it.heartbeat(follower, 1)
        self.assertEqual(it.member_ids, [leader])
        self.assertEqual(it.state, GroupState.PREPARING_REBALANCE)

    def test_wait_is_over_when_all_have_asked(self) -> None:
        it = Harness()
        it.stable_group(3)
        self.assertEqual({timer.kind for timer in it.timers}, {TimerKind.SESSION})
