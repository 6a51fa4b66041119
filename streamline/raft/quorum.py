"""
The arithmetic of majorities, for one set of voters and for two at once.

While the voters change, both the set before and the set after have to agree
(joint consensus, Raft dissertation section 4.3): every function here takes the
sets that must each agree, one of them or two.  Pure functions of their arguments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import TypeVar

K = TypeVar("K")


class Tally(Enum):
    """What an election has come to."""

    PENDING = "pending"
    WON = "won"
    LOST = "lost"


def majority(count: int) -> int:
    """Return how many of so many voters are more than half."""
    return count // 2 + 1


def agreed(sets: Sequence[Sequence[K]], values: Mapping[K, int]) -> int:
    """
    Return the highest number that a majority of every set has reached.

    @param values: how far each has come; who is missing has not begun and stands at 0.
    @return: 0 where there are no voters, so that nothing is ever agreed without any.
    """
    return min((_agreed_by(voters, values) for voters in sets), default=0)


def _agreed_by(voters: Sequence[K], values: Mapping[K, int]) -> int:
    if not voters:
        return 0
    reached = sorted((values.get(voter, 0) for voter in voters), reverse=True)
    return reached[majority(len(voters)) - 1]


def tally(sets: Sequence[Sequence[K]], votes: Mapping[K, bool]) -> Tally:
    """
    Count an election: won where every set has a majority for it, lost where one set cannot have it any more.

    @param votes: of whoever has answered; votes of others than the voters do not count.
    """
    results = [_tally_of(voters, votes) for voters in sets]
    if Tally.LOST in results or not results:
        return Tally.LOST
    return Tally.PENDING if Tally.PENDING in results else Tally.WON


def _tally_of(voters: Sequence[K], votes: Mapping[K, bool]) -> Tally:
    granted = sum(votes.get(voter) is True for voter in voters)
    refused = sum(votes.get(voter) is False for voter in voters)
    needed = majority(len(voters))
    if granted >= needed:
        return Tally.WON
    return Tally.PENDING if len(voters) - refused >= needed else Tally.LOST
