"""Everything that is fetched from one leader."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from streamline.errors import ErrorCode
from streamline.replication.epochs import LeaderEpochs
from streamline.replication.fetcher import Fetcher
from streamline.replication.follower_session import Fetch, PartitionKey
from streamline.replication.following import (
    BACK_OFF_MAX_S,
    BACK_OFF_S,
    LOOK_AGAIN_S,
    Append,
    Cut,
    FollowedPartition,
    LeaderAnswer,
    Step,
)
from streamline.replication.throttle import UNLIMITED, Throttle
from streamline.replication.truncation import Divergence, LogRange

A, B, C = ((b"t" * 16, index) for index in range(3))


def followed(end_offset: int, leader_epoch: int = 5) -> FollowedPartition:
    """Return a partition whose log has epoch 1 up to here."""
    return FollowedPartition(2, leader_epoch, LeaderEpochs([(1, 0)]), LogRange(0, end_offset), 0)


class ThrottledTests(SynchronousTestCase):
    """A partition at 10, whose leader has committed more, and a hundred bytes a second."""

    def setUp(self) -> None:
        """Fetch it."""
        self.now = 100.0
        self.fetcher = Fetcher()
        self.throttle = Throttle()
        self.throttle.limit(100, self.now)
        self.a = FollowedPartition(
            2, 5, LeaderEpochs([(1, 0)]), LogRange(0, 10), 0, lambda: self.throttle
        )
        self.fetcher.add(A, self.a, self.now)
        self.fetcher.next_fetch(self.now)

    def comes(self, end_offset: int, high_watermark: int) -> Fetch | None:
        """Have twenty bytes come; return what is fetched next."""
        said = answer(has_records=True, high_watermark=high_watermark)
        self.assertTrue(self.fetcher.heard(ErrorCode.NONE, 77, self.now))
        self.assertEqual(self.fetcher.answered([(A, said)], self.now), [(A, Append())])
        self.a.copied(20, self.now)
        self.a.appended(end_offset)
        self.fetcher.moved(A, self.now)
        return self.fetcher.next_fetch(self.now)

    def test_held_back(self) -> None:
        """It rests until it may go on, and looks now and then whether it may earlier."""
        self.assertIsNone(self.comes(12, 50))
        self.assertEqual(self.fetcher.wake_s, self.throttle.free_s)
        self.throttle.used(1000, self.now)
        self.now += 0.2
        self.assertIsNone(self.fetcher.next_fetch(self.now))
        self.assertEqual(self.fetcher.wake_s, self.now + LOOK_AGAIN_S)
        self.throttle.limit(UNLIMITED, self.now)
        self.now += LOOK_AGAIN_S
        fetch = self.fetcher.next_fetch(self.now)
        assert fetch is not None
        self.assertEqual({key: position.offset for key, position in fetch.wanted.items()}, {A: 12})

    def test_in_sync(self) -> None:
        """Who has what is committed copies at any speed, and uses nothing up."""
        self.throttle.used(1000, self.now)
        self.assertIsNotNone(self.comes(12, 10))
        self.assertIsNotNone(self.comes(14, 12))
        self.assertEqual(self.throttle.used_bytes, 1000)


def answer(code: ErrorCode = ErrorCode.NONE, **given: Any) -> LeaderAnswer:
    """Return what the leader says of a partition."""
    return LeaderAnswer(code=code, **{"high_watermark": 10, "start_offset": 0, **given})


class FetcherTests(SynchronousTestCase):
    """Two partitions, at 10 and at 20."""

    def setUp(self) -> None:
        """Fetch nothing yet."""
        self.now = 100.0
        self.fetcher = Fetcher()
        self.a, self.b = followed(10), followed(20)
        self.fetcher.add(A, self.a, self.now)
        self.fetcher.add(B, self.b, self.now)

    def fetch(self) -> Fetch:
        """Return the next fetch."""
        fetch = self.fetcher.next_fetch(self.now)
        assert fetch is not None
        return fetch

    def fetches_nothing(self) -> None:
        """Expect none."""
        self.assertIsNone(self.fetcher.next_fetch(self.now))

    def reply(self, *answers: tuple[PartitionKey, LeaderAnswer]) -> list[tuple[PartitionKey, Step]]:
        """Have the leader answer, in a session."""
        self.assertTrue(self.fetcher.heard(ErrorCode.NONE, 77, self.now))
        return self.fetcher.answered(answers, self.now)

    def offsets(self, fetch: Fetch) -> dict[PartitionKey, int]:
        """Return what a fetch names."""
        return {key: position.offset for key, position in fetch.wanted.items()}

    def test_one_at_a_time(self) -> None:
        self.assertEqual(self.offsets(self.fetch()), {A: 10, B: 20})
        self.fetches_nothing()
        self.reply()
        self.fetch()

    def test_steps(self) -> None:
        """What is to be done to logs is said, and done before it is asked from there."""
        self.fetch()
        steps = self.reply((A, answer(has_records=True)), (B, answer(divergence=Divergence(1, 15))))
        self.assertEqual(steps, [(A, Append()), (B, Cut(15, False))])
        self.a.appended(12)
        self.b.cut(0, 15)
        self.fetcher.moved(A, self.now)
        self.fetcher.moved(B, self.now)
        self.assertEqual(self.offsets(self.fetch()), {A: 12, B: 15})

    def test_partitions_that_came_or_went_meanwhile(self) -> None:
        """An answer is about what was asked, and about nothing else."""
        self.fetch()
        self.fetcher.remove(A)
        self.fetcher.add(C, followed(3), self.now)
        self.fetcher.add(B, followed(20, leader_epoch=6), self.now)
        records = answer(has_records=True)
        self.assertEqual(self.reply((A, records), (B, records), (C, records)), [])
        fetch = self.fetch()
        self.assertEqual((self.offsets(fetch), fetch.forgotten), ({C: 3, B: 20}, (A,)))
        self.assertEqual(fetch.wanted[B].leader_epoch, 6)

    def test_an_error_rests(self) -> None:
        """The others go on, and the leader is not asked for it again and again."""
        self.fetch()
        self.reply((A, answer(ErrorCode.NOT_LEADER_OR_FOLLOWER)))
        fetch = self.fetch()
        self.assertEqual((self.offsets(fetch), fetch.forgotten), ({}, (A,)))
        self.reply()
        self.assertEqual(self.fetcher.wake_s, self.a.retry_s)
        self.now = self.a.retry_s
        self.assertEqual(self.offsets(self.fetch()), {A: 10})

    def test_a_fenced_partition_is_left_out(self) -> None:
        """KR5: until the metadata say whom to follow."""
        self.fetch()
        self.reply((A, answer(ErrorCode.FENCED_LEADER_EPOCH)))
        self.now += 10 * BACK_OFF_MAX_S
        fetch = self.fetch()
        self.assertEqual((self.offsets(fetch), fetch.forgotten), ({}, (A,)))
        self.reply()
        self.fetcher.add(A, followed(10, leader_epoch=6), self.now)
        self.assertEqual(self.offsets(self.fetch()), {A: 10})

    def test_no_answer(self) -> None:
        """Everything rests, longer each time, and is said again then."""
        waits = []
        for _ in range(8):
            self.fetch()
            self.fetcher.unanswered(self.now)
            self.fetches_nothing()
            wake_s = self.fetcher.wake_s
            assert wake_s is not None
            waits.append(round(wake_s - self.now, 6))
            self.now = wake_s
        self.assertEqual((waits, waits[0], waits[-1]), (sorted(waits), BACK_OFF_S, BACK_OFF_MAX_S))
        self.assertEqual(self.offsets(self.fetch()), {A: 10, B: 20})
        self.reply()
        self.fetch()
        self.fetcher.unanswered(self.now)
        self.assertEqual(self.fetcher.wake_s, self.now + BACK_OFF_S)

    def test_the_leader_is_there_again(self) -> None:
        self.fetch()
        self.fetcher.unanswered(self.now)
        self.fetcher.reachable()
        self.fetch()

    def test_a_session_that_is_gone(self) -> None:
        self.fetch()
        self.reply()
        self.fetch()
        gone = ErrorCode.FETCH_SESSION_ID_NOT_FOUND
        self.assertFalse(self.fetcher.heard(gone, 0, self.now))
        self.fetches_nothing()
        self.now += BACK_OFF_S
        self.assertEqual(self.offsets(self.fetch()), {A: 10, B: 20})

    def test_nothing_to_fetch(self) -> None:
        self.fetcher.remove(A)
        self.fetcher.remove(B)
        self.fetcher.moved(A, self.now)
        self.fetches_nothing()
        self.assertIsNone(self.fetcher.wake_s)
        self.fetcher.add(C, followed(3), self.now)
        self.assertEqual(self.offsets(self.fetch()), {C: 3})
