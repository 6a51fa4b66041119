"""Fetch sessions over the wire (KIP-227): only what changed is asked, and only what changed is told."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from streamline.errors import ErrorCode
from streamline.replication.sessions import EVICTION_S, FINAL_EPOCH, INITIAL_EPOCH, NO_SESSION
from streamline.wire.messages.fetch import FetchPartition, FetchRequest, FetchResponse, FetchTopic, ForgottenTopic
from tests.broker import Broker, batch_of


class SessionTests(SynchronousTestCase):
    """A client with a session, on a node with a topic of three partitions."""

    def setUp(self) -> None:
        """Start it, with two places for sessions."""
        self.broker = Broker(broker={"max_incremental_fetch_session_cache_slots": 2}).start()
        self.topic_id = self.broker.create("t", 3)
        self.client = self.broker.connect()

    def fetch(
        self, session_id: int = 0, epoch: int = INITIAL_EPOCH, offsets: dict[int, int] | None = None, *,
        forget: tuple[int, ...] = (), version: int = 12, topic: str = "t",
    ) -> FetchResponse:  # fmt: skip
        """Fetch from some partitions within a session."""
        parts = [
            FetchPartition(partition=index, fetch_offset=offset, partition_max_bytes=1 << 20)
            for index, offset in (offsets or {}).items()
        ]
        has_ids = version >= 13
        named = {"topic_id": self.topic_id, "topic": ""} if has_ids else {"topic": topic}
        request = FetchRequest(
            min_bytes=0, max_bytes=1 << 20, max_wait_ms=0, isolation_level=0, session_id=session_id,
            session_epoch=epoch, topics=[FetchTopic(partitions=parts, **named)] if parts else [],
            forgotten_topics_data=[ForgottenTopic(partitions=forget, **named)] if forget else [],
        )  # fmt: skip
        answer: FetchResponse = self.broker.ask(request, version, self.client)
        return answer

    def told(self, response: FetchResponse) -> dict[int, tuple[int, int]]:
        """Return (error, high watermark) of the partitions that were mentioned."""
        self.assertEqual(response.error_code, ErrorCode.NONE)
        return {
            data.partition_index: (data.error_code, data.high_watermark)
            for topic in response.responses
            for data in topic.partitions
        }

    def begin(self, **more: int) -> int:
        """Begin a session of all three partitions; return its id."""
        response = self.fetch(offsets={0: 0, 1: 0, 2: 0}, **more)  # type: ignore[arg-type]
        self.assertEqual(self.told(response), {0: (0, 0), 1: (0, 0), 2: (0, 0)})
        self.assertGreater(response.session_id, 0)
        return response.session_id

    def test_nothing_new(self) -> None:
        session_id = self.begin()
        for epoch in (1, 2, 3):
            response = self.fetch(session_id, epoch)
            self.assertEqual((response.session_id, self.told(response)), (session_id, {}))

    def test_only_what_changed(self) -> None:
        session_id = self.begin()
        self.broker.produce("t", batch_of(b"v"), index=1)
        self.assertEqual(self.told(self.fetch(session_id, 1)), {1: (0, 1)})
        self.assertEqual(self.told(self.fetch(session_id, 2, {1: 1})), {}, "the client has moved on")
        self.broker.partition("t", 1).log.advance_start(1)
        self.assertEqual(self.told(self.fetch(session_id, 3)), {1: (0, 1)}, "the log's start has moved")
        self.assertEqual(self.told(self.fetch(session_id, 4)), {})

    def test_errors_are_told_until_they_pass_and_then_once(self) -> None:
        session_id = self.begin()
        for epoch in (1, 2):
            found = self.told(self.fetch(session_id, epoch, {0: 99}))
            self.assertEqual(found, {0: (ErrorCode.OFFSET_OUT_OF_RANGE, -1)})
        self.assertEqual(self.told(self.fetch(session_id, 3, {0: 0})), {0: (0, 0)})
        self.assertEqual(self.told(self.fetch(session_id, 4)), {})

    def test_added_and_forgotten(self) -> None:
        session_id = self.fetch(offsets={0: 0}).session_id
        self.assertEqual(self.told(self.fetch(session_id, 1, {1: 0})), {1: (0, 0)})
        for index in (0, 1):
            self.broker.produce("t", batch_of(b"v"), index=index)
        self.assertEqual(self.told(self.fetch(session_id, 2, forget=(0,))), {1: (0, 1)})

    def test_whoever_gave_records_comes_last_next_time(self) -> None:
        session_id = self.begin()
        for index in range(3):
            self.broker.produce("t", batch_of(b"v"), index=index)
        self.assertEqual(list(self.told(self.fetch(session_id, 1))), [0, 1, 2])
        self.broker.produce("t", batch_of(b"v"), index=2)
        self.broker.produce("t", batch_of(b"v"), index=0)
        session = self.broker.node.broker.sessions.resume(session_id, 2, False, 0.0, [], [])
        assert session is not None
        self.assertEqual([key[2] for key in session.partitions], [0, 1, 2])
        self.fetch(session_id, 3, {0: 0, 1: 1, 2: 1})
        self.assertEqual([key[2] for key in session.partitions], [1, 0, 2])

    def test_wrong_epoch(self) -> None:
        session_id = self.begin()
        response = self.fetch(session_id, 5)
        self.assertEqual(response.error_code, ErrorCode.INVALID_FETCH_SESSION_EPOCH)
        self.assertEqual((response.session_id, list(response.responses)), (NO_SESSION, []))

    def test_unknown(self) -> None:
        self.assertEqual(self.fetch(4711, 1).error_code, ErrorCode.FETCH_SESSION_ID_NOT_FOUND)

    def test_names_and_ids_do_not_mix(self) -> None:
        """KIP-516."""
        session_id = self.begin()
        response = self.fetch(session_id, 1, {0: 0}, version=13)
        self.assertEqual(response.error_code, ErrorCode.FETCH_SESSION_TOPIC_ID_ERROR)
        session_id = self.begin(version=13)
        self.assertEqual(self.told(self.fetch(session_id, 1, version=13)), {})

    def test_closed(self) -> None:
        session_id = self.begin()
        self.assertEqual(self.fetch(session_id, FINAL_EPOCH, {0: 0}).session_id, NO_SESSION)
        self.assertEqual(self.fetch(session_id, 1).error_code, ErrorCode.FETCH_SESSION_ID_NOT_FOUND)

    def test_emptied(self) -> None:
        session_id = self.begin()
        self.assertEqual(self.fetch(session_id, 1, forget=(0, 1, 2)).session_id, NO_SESSION)
        self.assertEqual(self.fetch(session_id, 2).error_code, ErrorCode.FETCH_SESSION_ID_NOT_FOUND)

    def test_begun_anew(self) -> None:
        """A full fetch with the id of a session puts another in its place."""
        first = self.begin()
        second = self.fetch(first, INITIAL_EPOCH, {0: 0}).session_id
        self.assertEqual(len(self.broker.node.broker.sessions), 1)
        self.assertEqual(self.told(self.fetch(second, 1)), {})

    def test_versions_without_sessions(self) -> None:
        for version in (4, 6):
            self.assertEqual(len(self.told(self.fetch(offsets={0: 0}, version=version))), 1)
        self.assertEqual(len(self.broker.node.broker.sessions), 0)

    def test_no_place(self) -> None:
        """SE15: who finds none fetches without a session, and is served all the same."""
        self.begin()
        self.begin()
        for _ in range(50):
            response = self.fetch(offsets={0: 0})
            self.assertEqual((response.session_id, self.told(response)), (NO_SESSION, {0: (0, 0)}))
        self.broker.wait(EVICTION_S)
        self.assertGreater(self.fetch(offsets={0: 0}).session_id, 0)
        self.assertEqual(len(self.broker.node.broker.sessions), 2)

    def test_topic_that_comes_to_exist(self) -> None:
        response = self.fetch(offsets={0: 0}, topic="later")
        self.assertEqual(self.told(response), {0: (ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, -1)})
        self.broker.create("later")
        self.assertEqual(self.told(self.fetch(response.session_id, 1)), {0: (0, 0)})
