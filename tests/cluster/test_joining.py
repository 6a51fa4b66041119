"""Whom a cluster takes, who votes, and whom a node asks."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from streamline.cluster.joining import Member, Search, check_agreement, is_new, to_promote
from streamline.errors import ErrorCode, Refused

DISK = b"d" * 16


def member(node_id: int, is_voter: bool = True, is_caught_up: bool = True) -> Member:
    """Return a member."""
    return Member(node_id=node_id, directory_id=DISK, is_voter=is_voter, is_caught_up=is_caught_up)


class JoiningTests(SynchronousTestCase):
    """Who comes in."""

    def test_new_or_known(self) -> None:
        members = [member(1), member(2, is_voter=False)]
        self.assertTrue(is_new("X", members, "", 3, DISK))
        self.assertFalse(is_new("X", members, "X", 2, DISK), "it may ask again")

    def test_wrong_cluster(self) -> None:
        refused = self.assertRaises(Refused, is_new, "X", [], "Y", 3, DISK)
        self.assertEqual(refused.code, ErrorCode.INCONSISTENT_CLUSTER_ID)

    def test_wiped_disk(self) -> None:
        """RF15: a node whose disk was wiped is somebody else, and two with one id cannot be members."""
        refused = self.assertRaises(Refused, is_new, "X", [member(1)], "", 1, b"e" * 16)
        self.assertEqual(refused.code, ErrorCode.DUPLICATE_VOTER)


class PromotionTests(SynchronousTestCase):
    """Who votes next."""

    def test_first_that_has_caught_up(self) -> None:
        learners = [member(2, is_voter=False, is_caught_up=False), member(3, is_voter=False)]
        self.assertEqual(to_promote([member(1), *learners], 5), learners[1])
        self.assertIsNone(to_promote([member(1), learners[0]], 5))

    def test_enough(self) -> None:
        self.assertIsNone(to_promote([member(1), member(2), member(3, is_voter=False)], 2))


class AgreementTests(SynchronousTestCase):
    """Whether those who would vote could agree."""

    def check(self, there: int, gone: int, learners: int = 0) -> None:
        """Look at so many voters that are there, voters that are not, and learners."""
        kinds = [(True, True)] * there + [(True, False)] * gone + [(False, True)] * learners
        check_agreement(
            [
                Member(node_id=node, directory_id=bytes(16), is_voter=votes, is_caught_up=is_there)
                for node, (votes, is_there) in enumerate(kinds)
            ]
        )

    def test_a_majority(self) -> None:
        for there, gone in ((1, 0), (2, 0), (2, 1), (3, 1), (3, 2)):
            self.check(there, gone)

    def test_no_majority(self) -> None:
        for there, gone in ((1, 1), (1, 2), (2, 2), (2, 3)):
            refusal = self.assertRaises(Refused, self.check, there, gone, 5)
            self.assertEqual(refusal.code, ErrorCode.INVALID_REQUEST)
            self.assertIn(f"of the {there + gone} voters that there would be, {there} are", refusal.message)


class SearchTests(SynchronousTestCase):
    """Everybody is asked in turn, and a hint is followed once."""

    def test_in_turn(self) -> None:
        search = Search(["a:1", "b:1", "a:1"])
        self.assertEqual([search.next() for _ in range(3)], ["a:1", "b:1", "a:1"])

    def test_redirected(self) -> None:
        search = Search(["a:1", "b:1"])
        search.next()
        search.redirected("c:1")
        self.assertEqual([search.next() for _ in range(2)], ["c:1", "b:1"])
