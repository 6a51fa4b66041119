"""Fetches of one partition, written and read by hand: the same bytes as any other way, or another way is taken."""

from __future__ import annotations

from copy import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from streamline.errors import ProtocolError
from streamline.wire.codec import encode, reader, writer
from streamline.wire.header import response_header
from streamline.wire.lone import (
    VERSIONS,
    LoneFetch,
    LoneFetchRequest,
    LoneFetchResponse,
    answer_around,
    read_lone_fetch,
)
from streamline.wire.messages.fetch import (
    EpochEndOffset,
    FetchableTopicResponse,
    FetchPartition,
    FetchRequest,
    FetchResponse,
    FetchTopic,
    ForgottenTopic,
    LeaderIdAndEpoch,
    NodeEndpoint,
    PartitionData,
    ReplicaState,
)

INT32 = st.integers(-(1 << 31), (1 << 31) - 1)
INT64 = st.integers(-(1 << 63), (1 << 63) - 1)
UUID = st.binary(min_size=16, max_size=16)
FETCHES = st.builds(
    LoneFetch, INT32, INT32, INT32, INT32, INT32, UUID, INT32, INT32, INT64, INT32, INT64, INT32, INT32, INT64
)
VERSION = st.integers(*VERSIONS)
HEAD = b"a header"


def but(message: Any, **changed: Any) -> Any:
    """Return it with these fields changed."""
    other = copy(message)
    for name, value in changed.items():
        setattr(other, name, value)
    return other


def declared(said: LoneFetch) -> FetchRequest:
    """Return it as any fetch is said."""
    part = FetchPartition(
        partition=said.partition,
        current_leader_epoch=said.current_leader_epoch,
        fetch_offset=said.fetch_offset,
        last_fetched_epoch=said.last_fetched_epoch,
        log_start_offset=said.log_start_offset,
        partition_max_bytes=said.partition_max_bytes,
    )
    return FetchRequest(
        replica_state=ReplicaState(replica_id=said.replica_id, replica_epoch=said.replica_epoch),
        max_wait_ms=said.max_wait_ms,
        min_bytes=said.min_bytes,
        max_bytes=said.max_bytes,
        isolation_level=0,
        session_id=said.session_id,
        session_epoch=said.session_epoch,
        topics=[FetchTopic(topic_id=said.topic_id, partitions=[part])],
        forgotten_topics_data=[],
        rack_id="",
    )


class FetchTests(SynchronousTestCase):
    """Requests."""

    said = LoneFetch(500, 1, 1 << 20, 7, 8, bytes(range(16)), 3, 4, 5, 2, 1, 1 << 19, 2, 9)

    @given(FETCHES, VERSION)
    def test_written(self, said: LoneFetch, version: int) -> None:
        """As a FetchRequest is."""
        written = writer(LoneFetchRequest, version)(LoneFetchRequest(said))
        self.assertEqual(b"".join(written), encode(declared(said), version))

    @given(FETCHES, VERSION)
    def test_read(self, said: LoneFetch, version: int) -> None:
        """From what a FetchRequest is written as, wherever it begins."""
        self.assertEqual(read_lone_fetch(HEAD + encode(declared(said), version), len(HEAD)), said)

    def test_another_form(self) -> None:
        """Whatever says anything else is left to others."""
        plain = declared(self.said)
        topic = plain.topics[0]
        part = topic.partitions[0]
        others = {
            "two topics": but(plain, topics=[topic, topic]),
            "no topic": but(plain, topics=[]),
            "two partitions": but(plain, topics=[but(topic, partitions=[part, part])]),
            "committed": but(plain, isolation_level=1),
            "a rack": but(plain, rack_id="r"),
            "forgotten": but(plain, forgotten_topics_data=[ForgottenTopic(topic_id=bytes(16), partitions=[1])]),
            "a client": but(plain, replica_state=None),
            "a cluster": but(plain, cluster_id="c"),
            "a directory": but(
                plain, topics=[but(topic, partitions=[but(part, replica_directory_id=bytes(15) + b"d")])]
            ),
            "a high watermark": but(plain, topics=[but(topic, partitions=[but(part, high_watermark=1)])]),
        }
        for name, other in others.items():
            self.assertIsNone(read_lone_fetch(encode(other, VERSIONS[1]), 0), name)

    def test_damaged(self) -> None:
        """Each byte counts: what is read at all says what was written, and means the same read otherwise."""
        whole = encode(declared(self.said), VERSIONS[1])
        for at in range(len(whole)):
            other = whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :]
            said = read_lone_fetch(other, 0)
            if said is not None:
                self.assertEqual(encode(declared(said), VERSIONS[1]), other)
                self.assertNotEqual(said, self.said)
        self.assertIsNone(read_lone_fetch(whole[:-1], 0))
        self.assertIsNone(read_lone_fetch(whole + b"\0", 0))


class AnswerTests(SynchronousTestCase):
    """Responses."""

    data = PartitionData(
        partition_index=3, error_code=0, high_watermark=5, last_stable_offset=5, log_start_offset=1,
        aborted_transactions=None, records=b"records",
    )  # fmt: skip

    def frame(self, response: FetchResponse, version: int = VERSIONS[1]) -> bytes:
        """Return it with its header."""
        return response_header(FetchResponse.KEY, version, 77) + encode(response, version)

    def whole(self, *parts: PartitionData, **more: Any) -> FetchResponse:
        """Return what brings these."""
        topics = [FetchableTopicResponse(topic_id=bytes(range(16)), partitions=list(parts))]
        given: dict[str, Any] = {"throttle_time_ms": 0, "session_id": 9, "responses": topics}
        return FetchResponse(**(given | more))

    def read(self, frame: bytes) -> Any:
        """Read what is in a frame, to its end."""
        answer, end = reader(LoneFetchResponse, VERSIONS[1])(memoryview(frame), 5)
        self.assertEqual(end, len(frame))
        return answer

    @given(INT32, UUID, INT32, INT64, INT64, st.sampled_from([1, 2, 126, 127, 128, 16382, 16383, 16384]), VERSION)
    def test_written_and_read(
        self, session_id: int, topic_id: bytes, index: int, high: int, start: int, size: int, version: int
    ) -> None:
        """As a FetchResponse is; lengths are written in one byte, two or three."""
        records = bytes(size)
        data = but(
            self.data, partition_index=index, high_watermark=high, last_stable_offset=high, log_start_offset=start,
            records=records,
        )  # fmt: skip
        topics = [FetchableTopicResponse(topic_id=topic_id, partitions=[data])]
        frame = self.frame(self.whole(session_id=session_id, responses=topics), version)
        before, after = answer_around(77, session_id, topic_id, index, high, start, size)
        self.assertEqual(before + records + after, frame)
        answer = self.read(frame)
        self.assertIsInstance(answer, LoneFetchResponse)
        self.assertEqual(
            [answer.session_id, answer.topic_id, answer.partition, answer.high_watermark, answer.start_offset],
            [session_id, topic_id, index, high, start],
        )
        self.assertEqual(bytes(answer.records), records)

    def test_another_form(self) -> None:
        """Whatever says anything else is a FetchResponse."""
        data = self.data
        others = {
            "an error": self.whole(error_code=70),
            "a wait": self.whole(data, throttle_time_ms=1),
            "nothing": self.whole(responses=[]),
            "two partitions": self.whole(data, data),
            "of a partition": self.whole(but(data, error_code=6)),
            "no records": self.whole(but(data, records=b"")),
            "null": self.whole(but(data, records=None)),
            "parted": self.whole(but(data, diverging_epoch=EpochEndOffset(epoch=1, end_offset=2))),
            "led elsewhere": self.whole(but(data, current_leader=LeaderIdAndEpoch(leader_id=1, leader_epoch=2))),
            "read elsewhere": self.whole(but(data, preferred_read_replica=1)),
            "aborted": self.whole(but(data, aborted_transactions=[])),
            "not stable": self.whole(but(data, last_stable_offset=4)),
            "nodes": self.whole(data, node_endpoints=[NodeEndpoint(node_id=1, host="h", port=2)]),
        }
        for name, other in others.items():
            answer = self.read(self.frame(other))
            self.assertIsInstance(answer, FetchResponse, name)
            self.assertEqual(encode(answer, VERSIONS[1]), encode(other, VERSIONS[1]), name)

    def test_damaged(self) -> None:
        """What does not end where it says is none."""
        frame = self.frame(self.whole(self.data))
        for at in range(5, len(frame)):
            with self.assertRaises(ProtocolError):
                self.read(frame[:at])
        self.assertEqual(bytes(self.read(frame).records), b"records")

    def test_every_byte(self) -> None:
        """One that is changed is seen, or is in what it says."""
        frame = self.frame(self.whole(self.data))
        for at in range(5, len(frame)):
            other = frame[:at] + bytes([frame[at] ^ 0x55]) + frame[at + 1 :]
            try:
                answer, end = reader(LoneFetchResponse, VERSIONS[1])(memoryview(other), 5)
            except ProtocolError:
                continue
            if isinstance(answer, LoneFetchResponse):
                said = answer.session_id, answer.topic_id, answer.partition
                around = answer_around(77, *said, answer.high_watermark, answer.start_offset, len(answer.records))
                self.assertEqual(around[0] + bytes(answer.records) + around[1], other)
