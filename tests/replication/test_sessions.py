"""Fetch sessions (KIP-227): what is remembered, for how long, and how much of it."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from streamline.errors import ErrorCode, Refused
from streamline.model import ZERO_UUID
from streamline.replication.sessions import EPOCH_MAX, EVICTION_S, FetchSessions, Key, Session, Wanted


def key(index: int, topic: str = "t") -> Key:
    """Return a partition's key."""
    return ZERO_UUID, topic, index


def wanted(*indexes: int, offset: int = 0) -> list[Wanted]:
    """Return partitions of one topic."""
    return [Wanted(key(index), offset, 100) for index in indexes]


class SessionCase(SynchronousTestCase):
    """A cache with two places and room for ten partitions."""

    def setUp(self) -> None:
        """Make it."""
        self.sessions = FetchSessions(2, 10)
        self.now_s = 1000.0

    def begin(self, session_id: int, *indexes: int) -> Session | None:
        """Begin a session."""
        return self.sessions.begin(session_id, False, self.now_s, wanted(*indexes))

    def resume(
        self, session_id: int, epoch: int, more: list[Wanted] | None = None, less: tuple[Key, ...] = (),
        uses_ids: bool = False,
    ) -> Session | None:  # fmt: skip
        """Continue one."""
        return self.sessions.resume(session_id, epoch, uses_ids, self.now_s, more or [], less)

    def refuses(self, code: ErrorCode, session_id: int, epoch: int, **more: bool) -> None:
        """Expect a continuation to be refused."""
        refusal = self.assertRaises(Refused, self.resume, session_id, epoch, **more)
        self.assertEqual(refusal.code, code)


class EpochTests(SessionCase):
    """Each incremental fetch carries the next number."""

    def test_numbers_count_on(self) -> None:
        self.begin(5, 0)
        self.resume(5, 1)
        self.resume(5, 2)
        self.refuses(ErrorCode.INVALID_FETCH_SESSION_EPOCH, 5, 2)
        self.refuses(ErrorCode.INVALID_FETCH_SESSION_EPOCH, 5, 4)
        self.resume(5, 3)

    def test_wraps_to_one(self) -> None:
        """Zero would begin a new session."""
        session = self.begin(5, 0)
        assert session is not None
        session.epoch = EPOCH_MAX
        self.resume(5, EPOCH_MAX)
        self.assertEqual(session.epoch, 1)

    def test_unknown(self) -> None:
        self.refuses(ErrorCode.FETCH_SESSION_ID_NOT_FOUND, 5, 1)

    def test_names_or_ids(self) -> None:
        self.begin(5, 0)
        self.refuses(ErrorCode.FETCH_SESSION_TOPIC_ID_ERROR, 5, 1, uses_ids=True)
        self.resume(5, 1)


class ContentTests(SessionCase):
    """A session holds what was asked for and not forgotten."""

    def test_adding_changing_forgetting(self) -> None:
        session = self.begin(5, 0, 1)
        assert session is not None
        self.resume(5, 1, wanted(1, offset=7) + wanted(2), (key(0),))
        offsets = {known: partition.fetch_offset for known, partition in session.partitions.items()}
        self.assertEqual(offsets, {key(1): 7, key(2): 0})

    def test_what_was_told_is_kept_when_the_offset_changes(self) -> None:
        session = self.begin(5, 0)
        assert session is not None
        session.partitions[key(0)].told_high_watermark = 9
        self.resume(5, 1, wanted(0, offset=7))
        self.assertEqual(session.partitions[key(0)].told_high_watermark, 9)

    def test_what_was_told_in_another_leader_epoch(self) -> None:
        """Whoever follows anew knows nothing of the leader, and has to hear it though nothing has changed."""
        session = self.begin(5, 0)
        assert session is not None
        session.partitions[key(0)].told_high_watermark = 9
        self.resume(5, 1, [Wanted(key(0), 0, 100, current_leader_epoch=3)])
        self.assertEqual(session.partitions[key(0)].told_high_watermark, -1)

    def test_give_way(self) -> None:
        session = self.begin(5, 0, 1, 2)
        assert session is not None
        session.give_way(key(0))
        session.give_way(key(9))
        self.assertEqual(list(session.partitions), [key(1), key(2), key(0)])

    def test_emptied(self) -> None:
        """A session of nothing ends, as in Kafka."""
        self.begin(5, 0)
        self.assertIsNone(self.resume(5, 1, less=(key(0),)))
        self.refuses(ErrorCode.FETCH_SESSION_ID_NOT_FOUND, 5, 2)


class PlaceTests(SessionCase):
    """There are so many places; whoever finds none fetches without a session."""

    def test_full(self) -> None:
        self.begin(5, 0)
        self.begin(6, 0)
        self.assertIsNone(self.begin(7, 0))
        self.assertEqual(len(self.sessions), 2)
        self.sessions.end(5)
        self.assertIsNotNone(self.begin(7, 0))

    def test_same_id(self) -> None:
        self.begin(5, 0)
        self.assertIsNone(self.begin(5, 0))

    def test_least_recently_used_goes(self) -> None:
        self.begin(5, 0)
        self.begin(6, 0)
        self.now_s += EVICTION_S / 2
        self.resume(5, 1)
        self.now_s += EVICTION_S / 2
        self.assertIsNotNone(self.begin(7, 0))
        self.refuses(ErrorCode.FETCH_SESSION_ID_NOT_FOUND, 6, 1)
        self.resume(5, 2)

    def test_recently_used_stays(self) -> None:
        self.begin(5, 0)
        self.begin(6, 0)
        self.now_s += EVICTION_S - 0.1
        self.assertIsNone(self.begin(7, 0))

    def test_no_places_at_all(self) -> None:
        self.assertIsNone(FetchSessions(0).begin(5, False, 0.0, wanted(0)))

    def test_partitions_of_all_together(self) -> None:
        """Places alone would not bound memory: each session could name any number of partitions."""
        self.begin(5, *range(6))
        self.assertIsNone(self.begin(6, *range(5)))
        self.assertIsNotNone(self.begin(6, *range(4)))
        self.assertEqual(self.sessions.partitions, 10)

    def test_grown_too_large(self) -> None:
        self.begin(5, 0)
        refusal = self.assertRaises(Refused, self.resume, 5, 1, wanted(*range(11)))
        self.assertEqual(refusal.code, ErrorCode.FETCH_SESSION_ID_NOT_FOUND)
        self.assertEqual((len(self.sessions), self.sessions.partitions), (0, 0))

    def test_the_count_is_kept(self) -> None:
        self.begin(5, 0, 1, 2)
        self.resume(5, 1, wanted(3), (key(0), key(1)))
        self.assertEqual(self.sessions.partitions, 2)
        self.sessions.end(5)
        self.assertEqual(self.sessions.partitions, 0)
