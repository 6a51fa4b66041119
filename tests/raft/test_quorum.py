"""Majorities, against the plainest way to say what they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from streamline.raft.quorum import Tally, agreed, majority, tally

VOTERS = st.lists(st.integers(1, 9), unique=True, min_size=1, max_size=7)
SETS = st.lists(VOTERS, min_size=1, max_size=2)
VALUES = st.dictionaries(st.integers(1, 9), st.integers(0, 12))
VOTES = st.dictionaries(st.integers(1, 9), st.booleans())


def quorums(voters: Sequence[int]) -> list[tuple[int, ...]]:
    """Return every set of voters that is more than half of them."""
    return [some for size in range(len(voters) + 1) for some in combinations(voters, size) if 2 * size > len(voters)]


def is_agreed(sets: Sequence[Sequence[int]], values: Mapping[int, int], number: int) -> bool:
    """Say whether in each set some quorum has reached a number."""
    return all(any(all(values.get(one, 0) >= number for one in some) for some in quorums(voters)) for voters in sets)


class AgreedTests(SynchronousTestCase):
    """The highest number that majorities have reached."""

    @given(SETS, VALUES)
    def test_is_what_quorums_say(self, sets: list[list[int]], values: dict[int, int]) -> None:
        """A quorum of each set has reached it, and none has reached more."""
        reached = agreed(sets, values)
        self.assertTrue(is_agreed(sets, values, reached))
        self.assertFalse(is_agreed(sets, values, reached + 1))

    @given(VOTERS, VALUES)
    def test_two_equal_sets_are_one(self, voters: list[int], values: dict[int, int]) -> None:
        """A joint configuration of the same voters changes nothing."""
        self.assertEqual(agreed([voters, voters], values), agreed([voters], values))

    @given(SETS, VALUES, st.integers(1, 9), st.integers(0, 5))
    def test_grows_with_everybody(self, sets: list[list[int]], values: dict[int, int], who: int, by: int) -> None:
        """Nobody's progress takes anything back."""
        more = {**values, who: values.get(who, 0) + by}
        self.assertGreaterEqual(agreed(sets, more), agreed(sets, values))

    def test_by_hand(self) -> None:
        """A few that can be read."""
        self.assertEqual(agreed([(1,)], {1: 5}), 5)
        self.assertEqual(agreed([(1, 2)], {1: 5}), 0)
        self.assertEqual(agreed([(1, 2, 3)], {1: 5, 2: 4}), 4)
        self.assertEqual(agreed([(1, 2, 3, 4)], {1: 5, 2: 4, 3: 3}), 3)
        self.assertEqual(agreed([(1, 2, 3), (3, 4, 5)], {1: 9, 2: 9, 3: 9}), 0)
        self.assertEqual(agreed([(1, 2, 3), (3, 4, 5)], {1: 9, 2: 9, 3: 9, 4: 7}), 7)

    def test_nobody_agrees_on_nothing(self) -> None:
        """Without voters nothing is ever agreed."""
        self.assertEqual(agreed([], {1: 5}), 0)
        self.assertEqual(agreed([()], {1: 5}), 0)


class TallyTests(SynchronousTestCase):
    """What an election has come to."""

    @given(SETS, VOTES)
    def test_is_what_quorums_say(self, sets: list[list[int]], votes: dict[int, bool]) -> None:
        """Won where quorums granted, lost where in one set none can any more, and open otherwise."""
        won = all(any(all(votes.get(one) is True for one in some) for some in quorums(voters)) for voters in sets)
        lost = any(all(any(votes.get(one) is False for one in some) for some in quorums(voters)) for voters in sets)
        expected = Tally.LOST if lost else Tally.WON if won else Tally.PENDING
        self.assertEqual(tally(sets, votes), expected)

    @given(SETS, VOTES, VOTES)
    def test_two_winners_share_a_voter(
        self, sets: list[list[int]], votes: dict[int, bool], others: dict[int, bool]
    ) -> None:
        """Whoever votes once cannot make two winners: this is what Election Safety rests on."""
        other_votes = {one: granted and not votes.get(one, False) for one, granted in others.items()}
        self.assertFalse(tally(sets, votes) is Tally.WON and tally(sets, other_votes) is Tally.WON)

    @given(VOTERS, VOTERS, VOTES, VOTES)
    def test_joint_overlaps_both(
        self, before: list[int], after: list[int], votes: dict[int, bool], others: dict[int, bool]
    ) -> None:
        """A winner by joint consensus shares a voter with any winner by the old or the new voters alone."""
        other_votes = {one: granted and not votes.get(one, False) for one, granted in others.items()}
        if tally([before, after], votes) is Tally.WON:
            self.assertIsNot(tally([before], other_votes), Tally.WON)
            self.assertIsNot(tally([after], other_votes), Tally.WON)

    def test_no_voters(self) -> None:
        """Nobody is elected by nobody."""
        self.assertEqual(tally([], {1: True}), Tally.LOST)
        self.assertEqual(tally([()], {1: True}), Tally.LOST)

    def test_majority(self) -> None:
        """More than half."""
        self.assertEqual([majority(count) for count in (1, 2, 3, 4, 5)], [1, 2, 2, 3, 3])
