"""Fetch as followers ask it: what they say moves the high watermark, and they are given what is not committed."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from streamline.api.replica_fetch import ReplicaFetches
from streamline.errors import ErrorCode, ProtocolError
from streamline.model import NO_OFFSET
from streamline.raft import ReplicaKey
from streamline.replication.roles import Role
from streamline.services.replica import Replica
from streamline.wire.messages.fetch import (
    FetchPartition,
    FetchRequest,
    FetchResponse,
    FetchTopic,
    PartitionData,
    ReplicaState,
)
from streamline.wire.messages.peer_raft import FetchNowRequest
from tests.broker import Broker, batch_of, joined

FOLLOWER = ReplicaKey(2, bytes(16))
EPOCH = 1


class ReplicaFetchCase(SynchronousTestCase):
    """
    Node 1 leads in epoch 1, and node 2 follows; both are in sync.

    @ivar replica: three batches of one record are in it, of epoch 0; none is known to be committed.
    """

    def setUp(self) -> None:
        """Have it lead."""
        self.broker = Broker().start()
        self.topic_id = self.broker.create("t")
        for _ in range(3):
            self.broker.produce("t", batch_of(b"v"))
        self.replica: Replica = self.broker.partition("t")
        replicas: Any = self.broker.node.broker.replicas
        state = evolve(self.replica.state, leader=1, leader_epoch=EPOCH, replicas=(1, 2), isr=(1, 2))
        self.replica.log.high_watermark = 0
        self.replica.become(Role.LEADER, state, 1, replicas._replicator)
        self.fetches = ReplicaFetches(self.broker.node.broker)

    def request(self, offset: int, *, last_epoch: int = 0, wait_ms: int = 0, **more: Any) -> FetchRequest:
        """Return what node 2 asks for."""
        epoch = more.pop("epoch", EPOCH)
        part = FetchPartition(
            partition=0, current_leader_epoch=epoch, fetch_offset=offset, partition_max_bytes=1 << 20,
            last_fetched_epoch=last_epoch if offset else -1,
        )  # fmt: skip
        given: dict[str, Any] = {
            "replica_state": ReplicaState(replica_id=2, replica_epoch=7), "session_epoch": -1,
            "topics": [FetchTopic(topic_id=self.topic_id, partitions=[part])],
        }  # fmt: skip
        return FetchRequest(max_wait_ms=wait_ms, min_bytes=1, max_bytes=1 << 20, **(given | more))

    def asked(self, request: FetchRequest) -> Any:
        """Ask; return the answer, or a list where it will be."""
        answer = self.fetches.answer(FOLLOWER, request)
        if not isinstance(answer, Deferred):
            return answer
        came: list[FetchResponse] = []
        answer.addCallback(came.append)
        return came

    def of(self, response: FetchResponse) -> PartitionData:
        """Return what is said of the partition."""
        self.assertEqual(response.error_code, ErrorCode.NONE)
        data: PartitionData = response.responses[0].partitions[0]
        return data

    def fetch(self, offset: int, **more: Any) -> PartitionData:
        """Fetch without waiting."""
        return self.of(self.asked(self.request(offset, **more)))


class ReadingTests(ReplicaFetchCase):
    """What comes back, and what it moves."""

    def test_what_is_not_committed(self) -> None:
        """Followers get it, or it never would be."""
        data = self.fetch(0)
        self.assertEqual([data.high_watermark, data.error_code], [0, ErrorCode.NONE])
        size = len(joined(data)) // 3
        self.assertEqual(len(joined(self.fetch(2))), size)
        self.assertEqual(self.replica.high_watermark, 2)

    def test_committed_by_the_fetch(self) -> None:
        """And said in its answer."""
        data = self.fetch(3)
        self.assertEqual([data.high_watermark, joined(data), self.replica.high_watermark], [3, b"", 3])

    def test_out_of_range(self) -> None:
        """With the leader's start, which says where to begin anew."""
        self.replica.log.advance_start(2)
        for offset in (1, 9):
            data = self.fetch(offset, last_epoch=-1)
            self.assertEqual([data.error_code, data.log_start_offset], [ErrorCode.OFFSET_OUT_OF_RANGE, 2])
            self.assertEqual(data.high_watermark, NO_OFFSET)

    def test_parted(self) -> None:
        """It is told where, gets no records, and what it says moves nothing."""
        data = self.fetch(9)
        assert data.diverging_epoch is not None
        self.assertEqual((data.diverging_epoch.epoch, data.diverging_epoch.end_offset), (0, 3))
        self.assertEqual([joined(data), self.replica.high_watermark], [b"", 0])

    def test_epochs(self) -> None:
        """KR5: nobody is served who follows another leader, or does not say which."""
        for epoch, code in (
            (0, ErrorCode.FENCED_LEADER_EPOCH), (-1, ErrorCode.FENCED_LEADER_EPOCH),
            (2, ErrorCode.UNKNOWN_LEADER_EPOCH),
        ):  # fmt: skip
            self.assertEqual(self.fetch(3, epoch=epoch).error_code, code)
        self.assertEqual(self.replica.high_watermark, 0)

    def test_speaks_for_another(self) -> None:
        """It could move the high watermark: that connection ends."""
        for state in (ReplicaState(replica_id=3, replica_epoch=7), None):
            request = self.request(3, replica_state=state)
            self.assertRaises(ProtocolError, self.fetches.answer, FOLLOWER, request)
        self.assertEqual(self.replica.high_watermark, 0)

    def test_no_replica(self) -> None:
        request = self.request(3, replica_state=ReplicaState(replica_id=3, replica_epoch=7))
        answer = self.fetches.answer(ReplicaKey(3, bytes(16)), request)
        assert isinstance(answer, FetchResponse)
        self.assertEqual(self.of(answer).error_code, ErrorCode.NOT_LEADER_OR_FOLLOWER)

    def test_an_earlier_process(self) -> None:
        """KR18."""
        self.fetch(1)
        state = ReplicaState(replica_id=2, replica_epoch=6)
        self.assertEqual(self.fetch(3, replica_state=state).error_code, ErrorCode.NOT_LEADER_OR_FOLLOWER)
        self.assertEqual(self.replica.high_watermark, 1)


class WaitingTests(ReplicaFetchCase):
    """A follower that has everything waits."""

    def setUp(self) -> None:
        """Have it know the high watermark, in a session."""
        super().setUp()
        first = self.asked(self.request(3, session_epoch=0))
        self.session_id = first.session_id
        self.assertEqual(self.of(first).high_watermark, 3)

    def waits(self, session_epoch: int = 1) -> list[FetchResponse]:
        """Ask for more, with nothing new to say; return where the answer comes."""
        request = self.request(3, wait_ms=500, session_id=self.session_id, session_epoch=session_epoch, topics=[])
        came: list[FetchResponse] = self.asked(request)
        self.assertEqual(came, [])
        return came

    def test_flushed(self) -> None:
        """The moment that there is more, although it is not committed."""
        came = self.waits()
        self.broker.node.broker.replicas.append_now("t", 0, batch_of(b"w"), -1)
        (answer,) = came
        self.assertEqual(self.of(answer).high_watermark, 3)
        self.assertTrue(joined(self.of(answer)))

    def test_nothing(self) -> None:
        """At the end of its time it is told nothing: a session leaves out what has not moved."""
        came = self.waits()
        self.broker.wait(0.6)
        self.assertEqual([answer.responses for answer in came], [[]])
        self.waits(2)

    def test_high_watermark(self) -> None:
        """One that it does not know is told soon, without anything else."""
        self.broker.node.broker.replicas.append_now("t", 0, batch_of(b"w"), -1)
        part = self.request(4, last_epoch=EPOCH).topics
        request = self.request(4, wait_ms=500, session_id=self.session_id, session_epoch=1, topics=part)
        came = self.asked(request)
        self.broker.wait(0.02)
        (answer,) = came
        self.assertEqual([self.of(answer).high_watermark, joined(self.of(answer))], [4, b""])

    def test_told_again_after_a_cut(self) -> None:
        """Of an answer that says where its log parts from ours it takes nothing else (KR7)."""
        request = self.request(9, session_id=self.session_id, session_epoch=1)
        self.assertIsNotNone(self.of(self.asked(request)).diverging_epoch)
        request = self.request(3, wait_ms=500, session_id=self.session_id, session_epoch=2)
        self.assertEqual(self.of(self.asked(request)).high_watermark, 3)
        self.waits(3)

    def test_answer_now(self) -> None:
        """It is told nothing at once, and asks for something else."""
        came = self.waits()
        self.fetches.answer_now(ReplicaKey(3, bytes(16)), FetchNowRequest())
        self.assertEqual(came, [], "another follower wants something else")
        self.fetches.answer_now(FOLLOWER, FetchNowRequest())
        self.assertEqual([answer.responses for answer in came], [[]])
        self.fetches.answer_now(FOLLOWER, FetchNowRequest())
        self.assertEqual(len(came), 1)

    def test_it_leads_no_longer(self) -> None:
        """KR26."""
        came = self.waits()
        replicas: Any = self.broker.node.broker.replicas
        state = evolve(self.replica.state, leader=2, leader_epoch=2)
        self.replica.become(Role.FOLLOWER, state, 1, replicas._replicator)
        (answer,) = came
        self.assertEqual(self.of(answer).error_code, ErrorCode.NOT_LEADER_OR_FOLLOWER)

    def test_unknown_session(self) -> None:
        answer = self.asked(self.request(3, session_id=self.session_id + 1, session_epoch=1))
        self.assertEqual(answer.error_code, ErrorCode.FETCH_SESSION_ID_NOT_FOUND)
