"""What followers are given by a leader, and what their fetches look at."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from streamline.api.lone_fetch import COMMITTED_S
from streamline.api.replica_fetch import ReplicaFetches
from streamline.api.standing import LOOK_AT_ALL_S, Standing
from streamline.errors import ErrorCode, ProtocolError
from streamline.raft import ReplicaKey
from streamline.replication.roles import Role
from streamline.services.replica import Replica
from streamline.wire.messages.fetch import (
    FetchPartition,
    FetchRequest,
    FetchResponse,
    FetchTopic,
    ForgottenTopic,
    ReplicaState,
)
from streamline.wire.messages.topics import DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic
from tests.broker import Broker, batch_of

FOLLOWER = ReplicaKey(2, bytes(16))
PARTITIONS = 5
WAIT_MS = 500


class FollowerCase(SynchronousTestCase):
    """
    A node that leads five partitions, and node 2, which copies them.

    @ivar session_id: the follower's session; C{epoch} is that of its last fetch in it.
    """

    def setUp(self) -> None:
        """Have it lead, and the follower begin a session."""
        self.broker = Broker(2).start()
        self.topic_id = self.broker.create("t", PARTITIONS)
        self.fetches = ReplicaFetches(self.broker.node.broker)
        for index in range(PARTITIONS):
            self.become(index, Role.LEADER)
        begun: Any = self.fetches.answer(FOLLOWER, self.request(*range(PARTITIONS)))
        self.session_id, self.epoch = begun.session_id, 0
        self.assertEqual(len(begun.responses[0].partitions), PARTITIONS)

    def replica(self, index: int) -> Replica:
        """Return a partition's copy here."""
        return next(one for one in self.broker.node.broker.replicas if one.log.identity.partition == index)

    def become(self, index: int, role: Role) -> None:
        """Have the metadata want something of a partition."""
        replica = self.replica(index)
        replicas: Any = self.broker.node.broker.replicas
        leader = 1 if role is Role.LEADER else 2
        state = evolve(replica.state, leader=leader, leader_epoch=1, replicas=(1, 2), isr=(1, 2))
        replica.become(role, state, 1, replicas._replicator)

    def request(self, *indexes: int, offset: int = 0, replica_epoch: int = 1 << 40, **more: Any) -> FetchRequest:
        """Return a fetch of these partitions."""
        parts = [
            FetchPartition(
                partition=index, current_leader_epoch=1, fetch_offset=offset, last_fetched_epoch=1 if offset else -1,
                partition_max_bytes=1 << 20,
            )
            for index in indexes
        ]  # fmt: skip
        topics = [FetchTopic(topic_id=self.topic_id, partitions=parts)] if parts else []
        state = ReplicaState(replica_id=2, replica_epoch=replica_epoch)
        said = {"session_epoch": 0, **more}
        return FetchRequest(
            replica_state=state, max_wait_ms=WAIT_MS, min_bytes=1, max_bytes=1 << 20, topics=topics, **said
        )

    def go_on(self, *indexes: int, **more: Any) -> Any:
        """Send the next fetch of the session."""
        self.epoch += 1
        request = self.request(*indexes, session_id=self.session_id, session_epoch=self.epoch, **more)
        answer = self.fetches.answer(FOLLOWER, request)
        return answer if isinstance(answer, Deferred) else self.of(answer)

    def of(self, answer: FetchResponse) -> dict[int, Any]:
        """Return what an answer says of each partition."""
        self.assertEqual(answer.error_code, ErrorCode.NONE)
        return {part.partition_index: part for topic in answer.responses for part in topic.partitions}

    def rest(self) -> None:
        """Have the follower know everything that there is."""
        waits = self.go_on()
        self.broker.wait(WAIT_MS / 1000 + 0.1)
        self.assertEqual(self.of(self.successResultOf(waits)), {})

    def write(self, index: int) -> int:
        """Append a record; return where its partition ends then."""
        self.broker.produce("t", batch_of(b"v"), index=index, acks=1)
        return self.replica(index).log.end_offset

    @property
    def standing(self) -> Standing:
        """What is kept of the follower's wishes."""
        return self.fetches._standings[2][1]

    def due(self) -> list[int]:
        """Return what the next fetch looks at, whatever it names."""
        return [wanted.key[2] for wanted in self.standing.due()]


class LookTests(FollowerCase):
    """A fetch costs by what moved."""

    def test_what_rests_is_not_looked_at(self) -> None:
        """Once the follower has everything, only what has news is due."""
        self.rest()
        self.assertEqual(self.due(), [])
        self.write(3)
        self.assertEqual(self.due(), [3])

    def test_whoever_waits_is_told_at_once(self) -> None:
        """Records of a partition that nobody named since the first fetch end the wait in the same turn."""
        self.rest()
        fetched_s = self.broker.node.broker.host.clock.seconds()
        waits = self.go_on(3)
        self.assertNoResult(waits)
        self.broker.wait(0.1)
        self.write(3)
        led: Any = self.replica(3).leadership
        self.assertEqual(led._led.followers[2].fetched_s, fetched_s, "to look again is not to fetch again")
        brought = self.of(self.successResultOf(waits))
        self.assertEqual(list(brought), [3])
        self.assertTrue(len(b"".join(map(bytes, brought[3].records))))

    def test_records_that_were_not_taken_come_again(self) -> None:
        """A follower that says nothing new of a partition did not take what it was given."""
        self.rest()
        self.write(3)
        self.assertEqual(list(self.go_on()), [3])
        self.assertEqual(list(self.go_on()), [3])
        waits = self.go_on(3, offset=1)
        self.assertNoResult(waits)

    def test_what_moved_comes_last(self) -> None:
        """A partition with much to copy does not keep out the others."""
        self.rest()
        self.write(3)
        self.write(1)
        self.assertEqual(list(self.go_on(3, offset=1)), [1, 3])
        self.assertEqual(self.due(), [1, 3])

    def test_a_leader_that_is_none_any_more(self) -> None:
        """It says so at once, though nothing was written; until the follower wants it no more."""
        self.rest()
        waits = self.go_on()
        self.become(4, Role.FOLLOWER)
        self.assertEqual(
            {index: part.error_code for index, part in self.of(self.successResultOf(waits)).items()},
            {4: ErrorCode.NOT_LEADER_OR_FOLLOWER},
        )
        self.assertEqual(self.due(), [4])
        forgotten = [ForgottenTopic(topic_id=self.topic_id, partitions=[4])]
        self.assertNoResult(self.go_on(forgotten_topics_data=forgotten))
        self.assertEqual(self.due(), [])

    def test_another_broker_epoch(self) -> None:
        """A follower that has registered again says so of everything, or it would not be let into an ISR."""
        self.rest()
        self.go_on(replica_epoch=1 << 41)
        epochs = [self.replica(index)._leadership._led.followers[2].broker_epoch for index in range(PARTITIONS)]  # type: ignore[union-attr]
        self.assertEqual(epochs, [1 << 41] * PARTITIONS)

    def test_everything_once_in_a_while(self) -> None:
        """Nothing rests for ever."""
        self.rest()
        self.broker.wait(LOOK_AT_ALL_S)
        waits = self.go_on()
        self.assertNoResult(waits)
        ends = [self.replica(index)._leadership._led.followers[2].fetched_s for index in range(PARTITIONS)]  # type: ignore[union-attr]
        self.assertEqual(ends, [self.broker.node.broker.host.clock.seconds()] * PARTITIONS)


class CommittedTests(FollowerCase):
    """News of the high watermark."""

    def setUp(self) -> None:
        """Have one record copied."""
        super().setUp()
        self.rest()
        end_offset = self.write(0)
        self.go_on()
        self.waits = self.go_on(0, offset=end_offset)

    def test_told_soon(self) -> None:
        """It is committed at once, and the follower hears of it without records, soon."""
        self.assertEqual(self.replica(0).high_watermark, 1)
        self.assertNoResult(self.waits)
        self.broker.wait(COMMITTED_S + 0.011)
        self.assertEqual(self.of(self.successResultOf(self.waits))[0].high_watermark, 1)

    def test_a_start_that_moves(self) -> None:
        """What was deleted at the leader is soon hidden at a follower that waits for records."""
        self.broker.wait(COMMITTED_S + 0.011)
        waits = self.go_on()
        deleted = DeleteRecordsPartition(partition_index=0, offset=1)
        topics = [DeleteRecordsTopic(name="t", partitions=[deleted])]
        self.broker.ask(DeleteRecordsRequest(topics=topics, timeout_ms=1000), 2)
        self.broker.wait(COMMITTED_S + 0.011)
        self.assertEqual(self.of(self.successResultOf(waits))[0].log_start_offset, 1)

    def test_goes_with_records(self) -> None:
        """Records that come before that bring it along."""
        self.write(0)
        part = self.of(self.successResultOf(self.waits))[0]
        self.assertEqual([part.high_watermark, bool(part.records)], [1, True])


class SessionTests(FollowerCase):
    """Sessions end, and what was kept for them goes."""

    def test_another_session(self) -> None:
        """A follower has one; what waits in the one before hears nothing, and says nothing of the follower."""
        self.rest()
        waits, before = self.go_on(), self.standing
        self.fetches.answer(FOLLOWER, self.request(*range(PARTITIONS)))
        self.write(3)
        self.assertNoResult(waits)
        self.assertEqual(before.due(), [])
        self.assertEqual([len(self.replica(index)._copiers) for index in range(PARTITIONS)], [1] * PARTITIONS)
        self.broker.wait(WAIT_MS / 1000 + 0.1)
        self.assertEqual(self.of(self.successResultOf(waits)), {})
        self.assertEqual([len(self.replica(index)._copiers) for index in range(PARTITIONS)], [1] * PARTITIONS)

    def test_the_session_before_is_not_known(self) -> None:
        """It has ended."""
        first = self.session_id
        self.fetches.answer(FOLLOWER, self.request(0))
        late: Any = self.fetches.answer(FOLLOWER, self.request(session_id=first, session_epoch=1))
        self.assertEqual(late.error_code, ErrorCode.FETCH_SESSION_ID_NOT_FOUND)

    def test_no_session(self) -> None:
        """A fetch that ends the session is answered by itself, and nothing of it stays."""
        last = self.request(0, session_id=self.session_id, session_epoch=-1)
        waits: Any = self.fetches.answer(FOLLOWER, last)
        if isinstance(waits, Deferred):
            self.broker.wait(WAIT_MS / 1000 + 0.1)
            waits = self.successResultOf(waits)
        self.assertEqual(list(self.of(waits)), [0])
        self.assertEqual([len(self.replica(index)._copiers) for index in range(PARTITIONS)], [0] * PARTITIONS)

    def test_somebody_else(self) -> None:
        """Nobody speaks for another node."""
        with self.assertRaises(ProtocolError):
            self.fetches.answer(ReplicaKey(3, bytes(16)), self.request(0))
