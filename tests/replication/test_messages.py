"""Fetch and AlterPartition on the wire."""

from __future__ import annotations

from typing import TypeVar, cast

from twisted.trial.unittest import SynchronousTestCase

from streamline.errors import ErrorCode
from streamline.model import NO_OFFSET
from streamline.replication.follower_session import Fetch
from streamline.replication.following import LeaderAnswer, Position
from streamline.replication.isr_changes import IsrAsk, IsrMember
from streamline.replication.messages import (
    ALTER_PARTITION_VERSION,
    FETCH_VERSION,
    Limits,
    alter_partition_answers,
    alter_partition_request,
    error_of,
    fetch_answers,
    fetch_request,
    request_of,
)
from streamline.replication.truncation import Divergence
from streamline.wire.codec import decode, encode
from streamline.wire.lone import LoneFetchRequest, LoneFetchResponse, answer_around
from streamline.wire.messages import fetch as fetches
from streamline.wire.messages import peer
from streamline.wire.schema import Message

LIMITS = Limits(max_wait_ms=500, max_bytes=10_000, partition_max_bytes=1_000)
T, U = b"t" * 16, b"u" * 16
AnyMessage = TypeVar("AnyMessage", bound=Message)


def again(message: AnyMessage, version: int) -> AnyMessage:
    """Return a message as it arrives."""
    return decode(type(message), version, encode(message, version))


class FetchMessageTests(SynchronousTestCase):
    """What a follower asks for and is answered, over the wire and back."""

    def test_request(self) -> None:
        wanted = {(T, 0): Position(5, 10, 4, 2), (U, 1): Position(6, 0, -1, 0), (T, 3): Position(5, 7, 5, 7)}
        fetch = Fetch(session_id=77, epoch=3, wanted=wanted, forgotten=((U, 2), (U, 4)))
        made = fetch_request(fetch, 2, 22, LIMITS)
        request = again(made, FETCH_VERSION)
        assert request.replica_state is not None
        self.assertEqual((request.replica_state.replica_id, request.replica_state.replica_epoch), (2, 22))
        self.assertEqual((request.session_id, request.session_epoch), (77, 3))
        self.assertEqual((request.max_wait_ms, request.min_bytes, request.max_bytes), (500, 1, 10_000))
        said = {
            (topic.topic_id, part.partition): Position(
                part.current_leader_epoch, part.fetch_offset, part.last_fetched_epoch, part.log_start_offset
            )
            for topic in request.topics
            for part in topic.partitions
        }
        self.assertEqual((said, len(request.topics)), (wanted, 2))
        self.assertEqual({part.partition_max_bytes for topic in request.topics for part in topic.partitions}, {1_000})
        forgotten = [(topic.topic_id, list(topic.partitions)) for topic in request.forgotten_topics_data]
        self.assertEqual(forgotten, [(U, [2, 4])])

    def test_one_partition(self) -> None:
        """In a session it is written by hand, and says the same; what more there is to say is said in full."""
        wanted = {(T, 3): Position(5, 10, 4, 2)}
        fetch = Fetch(session_id=77, epoch=3, wanted=wanted, forgotten=())
        lone = request_of(fetch, 2, 22, LIMITS)
        self.assertIsInstance(lone, LoneFetchRequest)
        self.assertEqual(encode(lone, FETCH_VERSION), encode(fetch_request(fetch, 2, 22, LIMITS), FETCH_VERSION))
        others = [
            Fetch(session_id=0, epoch=0, wanted=wanted, forgotten=()),
            Fetch(session_id=77, epoch=3, wanted=wanted, forgotten=((U, 2),)),
            Fetch(session_id=77, epoch=3, wanted={}, forgotten=()),
            Fetch(session_id=77, epoch=3, wanted=wanted | {(T, 4): Position(5, 10, 4, 2)}, forgotten=()),
        ]
        for other in others:
            request = request_of(other, 2, 22, LIMITS)
            self.assertIsInstance(request, fetches.FetchRequest)
            self.assertEqual(encode(request, FETCH_VERSION), encode(fetch_request(other, 2, 22, LIMITS), FETCH_VERSION))

    def test_answer_of_one(self) -> None:
        """It says what any answer says of that partition."""
        before, after = answer_around(7, 77, T, 3, 8, 2, 3)
        answer, _ = LoneFetchResponse.read(FETCH_VERSION, memoryview(before + b"xyz" + after), 5)
        self.assertIsInstance(answer, LoneFetchResponse)
        ((key, said, records),) = fetch_answers(answer)
        self.assertEqual((key, said, records), ((T, 3), LeaderAnswer(ErrorCode.NONE, 8, 2, None, True), b"xyz"))

    def test_answer(self) -> None:
        parts = [
            fetches.PartitionData(
                partition_index=0, error_code=0, high_watermark=8, log_start_offset=2, aborted_transactions=None,
                records=b"xyz",
            ),
            fetches.PartitionData(
                partition_index=1, error_code=0, high_watermark=9, log_start_offset=3, aborted_transactions=None,
                records=b"", diverging_epoch=fetches.EpochEndOffset(epoch=4, end_offset=6),
            ),
            fetches.PartitionData(
                partition_index=2, error_code=1, high_watermark=-1, log_start_offset=50, aborted_transactions=None,
                records=b"",
            ),
        ]  # fmt: skip
        topics = [fetches.FetchableTopicResponse(topic_id=T, partitions=parts)]
        response = again(fetches.FetchResponse(session_id=77, responses=topics), FETCH_VERSION)
        found = [(key, answer, bytes(cast(memoryview, records))) for key, answer, records in fetch_answers(response)]
        self.assertEqual(
            found,
            [
                ((T, 0), LeaderAnswer(high_watermark=8, start_offset=2, has_records=True), b"xyz"),
                ((T, 1), LeaderAnswer(high_watermark=9, start_offset=3, divergence=Divergence(4, 6)), b""),
                ((T, 2), LeaderAnswer(code=ErrorCode.OFFSET_OUT_OF_RANGE, start_offset=50), b""),
            ],
        )

    def test_errors_of_the_future(self) -> None:
        self.assertEqual([error_of(3), error_of(9999)], [ErrorCode(3), ErrorCode.UNKNOWN_SERVER_ERROR])


class AlterPartitionMessageTests(SynchronousTestCase):
    """What leaders of one node ask for together."""

    def test_request(self) -> None:
        members = (IsrMember(1, 11), IsrMember(3, 13))
        asks = [
            (key, IsrAsk(number=1, leader_epoch=5, partition_epoch=7, isr=members)) for key in ((T, 0), (U, 4), (T, 1))
        ]
        request = again(alter_partition_request(1, 11, asks), ALTER_PARTITION_VERSION)
        self.assertEqual((request.broker_id, request.broker_epoch), (1, 11))
        said = {(topic.topic_id, part.partition_index): part for topic in request.topics for part in topic.partitions}
        self.assertEqual((list(said), len(request.topics)), ([(T, 0), (T, 1), (U, 4)], 2))
        for part in said.values():
            self.assertEqual((part.leader_epoch, part.partition_epoch, part.leader_recovery_state), (5, 7, 0))
            isr = [IsrMember(member.broker_id, member.broker_epoch) for member in part.new_isr_with_epochs]
            self.assertEqual(tuple(isr), members)

    def response(self, error_code: int = 0) -> peer.AlterPartitionResponse:
        """Return an answer about one partition."""
        part = peer.AlterPartitionResponsePartitionData(
            partition_index=0, error_code=107, leader_id=1, leader_epoch=5, isr=[1], leader_recovery_state=0,
            partition_epoch=7,
        )  # fmt: skip
        topics = [peer.AlterPartitionResponseTopicData(topic_id=T, partitions=[part])]
        return again(
            peer.AlterPartitionResponse(error_code=error_code, topics=topics), ALTER_PARTITION_VERSION
        )

    def test_answer(self) -> None:
        """What is left out has no answer."""
        answers = alter_partition_answers(self.response(), [(T, 0), (T, 1)])
        self.assertEqual(answers, {(T, 0): (ErrorCode.INELIGIBLE_REPLICA, 7)})

    def test_error_of_the_whole(self) -> None:
        stale = (ErrorCode.STALE_BROKER_EPOCH, NO_OFFSET)
        answers = alter_partition_answers(self.response(77), [(T, 0), (T, 1)])
        self.assertEqual(answers, {(T, 0): stale, (T, 1): stale})
