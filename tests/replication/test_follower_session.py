"""What a follower says in a fetch, and what it leaves out."""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from streamline.errors import ErrorCode
from streamline.replication.follower_session import Fetch, FollowerSession, PartitionKey
from streamline.replication.following import Position
from streamline.replication.sessions import EPOCH_MAX, NO_SESSION, FetchSessions, Wanted

A, B, C = ((b"t" * 16, index) for index in range(3))


def at(offset: int, leader_epoch: int = 5) -> Position:
    """Return a position."""
    return Position(leader_epoch, offset, 4, 0)


class FollowerSessionTests(SynchronousTestCase):
    """A leader that gives a session is told only what it does not know."""

    def setUp(self) -> None:
        """Want two partitions."""
        self.session = FollowerSession()
        self.session.want(A, at(10))
        self.session.want(B, at(20))

    def fetch(self) -> Fetch:
        """Return the next fetch."""
        fetch = self.session.next_fetch()
        assert fetch is not None
        return fetch

    def begin(self, session_id: int = 77) -> None:
        """Have the first fetch answered with a session."""
        self.fetch()
        self.assertTrue(self.session.answered(ErrorCode.NONE, session_id))

    def test_everything_at_first(self) -> None:
        fetch = self.fetch()
        self.assertEqual((fetch.session_id, fetch.epoch, fetch.forgotten), (NO_SESSION, 0, ()))
        self.assertEqual(fetch.wanted, {A: at(10), B: at(20)})

    def test_nothing_that_is_known(self) -> None:
        self.begin()
        fetch = self.fetch()
        self.assertEqual((fetch.session_id, fetch.epoch, fetch.wanted, fetch.forgotten), (77, 1, {}, ()))

    def test_what_has_changed(self) -> None:
        self.begin()
        self.session.want(A, at(11))
        self.session.want(B, at(20))
        self.session.want(C, at(0))
        self.assertEqual(self.fetch().wanted, {A: at(11), C: at(0)})
        self.session.answered(ErrorCode.NONE, 77)
        self.session.want(B, at(20, leader_epoch=6))
        fetch = self.fetch()
        self.assertEqual((fetch.epoch, fetch.wanted), (2, {B: at(20, leader_epoch=6)}))

    def test_what_is_to_be_forgotten(self) -> None:
        self.begin()
        self.session.forget(A)
        self.session.forget(C)
        fetch = self.fetch()
        self.assertEqual((fetch.wanted, fetch.forgotten), ({}, (A,)))
        self.assertIsNone(self.session.asked(A))

    def test_wanted_again(self) -> None:
        """Before the leader has heard of it, nothing was forgotten."""
        self.begin()
        self.session.forget(A)
        self.session.want(A, at(10))
        fetch = self.fetch()
        self.assertEqual((fetch.wanted, fetch.forgotten), ({}, ()))

    def test_answers_are_about_what_was_asked(self) -> None:
        self.fetch()
        self.session.want(A, at(15))
        self.assertEqual(self.session.asked(A), at(10))
        self.session.answered(ErrorCode.NONE, 77)
        self.fetch()
        self.assertEqual(self.session.asked(A), at(15))

    def test_without_a_place(self) -> None:
        """Everything is said each time, what has moved last."""
        for _ in range(3):
            self.assertEqual(self.fetch().epoch, 0)
            self.session.answered(ErrorCode.NONE, NO_SESSION)
        self.session.want(A, at(11))
        self.assertEqual(list(self.fetch().wanted), [B, A])

    def test_a_session_that_is_not_known_any_more(self) -> None:
        self.begin()
        self.fetch()
        self.assertFalse(self.session.answered(ErrorCode.FETCH_SESSION_ID_NOT_FOUND, NO_SESSION))
        fetch = self.fetch()
        self.assertEqual((fetch.session_id, fetch.epoch), (NO_SESSION, 0))
        self.assertEqual(fetch.wanted, {A: at(10), B: at(20)})

    def test_other_errors_and_no_answer(self) -> None:
        """A full fetch under its id ends a session that may still be there."""
        self.begin()
        self.fetch()
        self.assertFalse(self.session.answered(ErrorCode.INVALID_FETCH_SESSION_EPOCH, NO_SESSION))
        self.assertEqual((self.fetch().session_id, len(self.session._known)), (77, 2))
        self.session.answered(ErrorCode.NONE, 78)
        self.fetch()
        self.session.unanswered()
        fetch = self.fetch()
        self.assertEqual((fetch.session_id, fetch.epoch, len(fetch.wanted)), (78, 0, 2))

    def test_epochs_wrap(self) -> None:
        self.begin()
        self.session._epoch = EPOCH_MAX
        self.assertEqual(self.fetch().epoch, EPOCH_MAX)
        self.session.answered(ErrorCode.NONE, 77)
        self.assertEqual(self.fetch().epoch, 1)

    def test_nothing_wanted(self) -> None:
        self.assertFalse(self.session.is_empty)
        self.begin()
        self.session.forget(A)
        self.session.forget(B)
        self.assertTrue(self.session.is_empty)
        self.assertIsNone(self.session.next_fetch())
        self.session.want(C, at(1))
        fetch = self.fetch()
        self.assertEqual((fetch.session_id, fetch.epoch, fetch.wanted), (77, 0, {C: at(1)}))

    def test_both_sides_agree(self) -> None:
        """Whatever is wanted, and whichever answers are lost, the leader reads what we want, and nothing else."""
        chance = Random(1)
        leader, mine = FetchSessions(2), FollowerSession()
        wishes: dict[PartitionKey, Position] = {}
        for number in range(3000):
            for _ in range(chance.randrange(3)):
                key = (b"t" * 16, chance.randrange(6))
                if chance.random() < 0.3:
                    wishes.pop(key, None)
                    mine.forget(key)
                else:
                    wishes[key] = at(chance.randrange(4))
                    mine.want(key, wishes[key])
            fetch = mine.next_fetch()
            self.assertEqual(fetch is None, not wishes)
            if fetch is None:
                continue
            wanted = [Wanted((key[0], "", key[1]), position.offset, 1) for key, position in fetch.wanted.items()]
            reads, session_id = self.read(leader, fetch, wanted, number)
            self.assertEqual(reads, {key[1]: position.offset for key, position in wishes.items()})
            if chance.random() < 0.1:
                mine.unanswered()
                if fetch.epoch == 0:  # nobody but the leader knows of this one; it forgets it in time
                    leader.end(session_id)
            else:
                mine.answered(ErrorCode.NONE, session_id)

    def read(
        self, leader: FetchSessions, fetch: Fetch, wanted: list[Wanted], number: int
    ) -> tuple[dict[int, int], int]:
        """Be the leader: return what is read, and the id of the session."""
        if fetch.epoch == 0:
            leader.end(fetch.session_id)
            leader.begin(number + 1, True, 0.0, wanted)
            self.assertLess(len(leader), 2, "a session was left behind")
            return {one.key[2]: one.fetch_offset for one in wanted}, number + 1
        forgotten = [(key[0], "", key[1]) for key in fetch.forgotten]
        session = leader.resume(fetch.session_id, fetch.epoch, True, 0.0, wanted, forgotten)
        assert session is not None
        return {one.key[2]: one.fetch_offset for one in session.partitions.values()}, fetch.session_id
