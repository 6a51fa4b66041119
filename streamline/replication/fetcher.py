"""
All partitions that this node follows from one leader: one session, one fetch at a time.

It says what to fetch, takes the answer apart, and says what is to be done to each
log.  A partition whose answer was an error is left out for a while, so that it
does not make the leader answer at once for all the others.  Where no answer comes
at all, everything rests.
"""

from __future__ import annotations

from collections.abc import Iterable

from streamline.errors import ErrorCode
from streamline.replication.follower_session import Fetch, FollowerSession, PartitionKey
from streamline.replication.following import BACK_OFF_MAX_S, BACK_OFF_S, FollowedPartition, LeaderAnswer, Step


class Fetcher:
    """
    What is fetched from one leader.

    @ivar partitions: what is followed, by topic id and index.
    """

    def __init__(self) -> None:
        self.partitions: dict[PartitionKey, FollowedPartition] = {}
        self._session = FollowerSession()
        self._is_in_flight = False
        self._resting: dict[PartitionKey, None] = {}
        self._back_off_s = BACK_OFF_S
        self._retry_s = float("-inf")

    def add(self, key: PartitionKey, partition: FollowedPartition, now_s: float) -> None:
        """Follow a partition from now on; one that was followed in an earlier epoch is replaced."""
        self.partitions[key] = partition
        self.moved(key, now_s)

    def remove(self, key: PartitionKey) -> None:
        """Follow a partition no more; fine where it was not followed."""
        self.partitions.pop(key, None)
        self._resting.pop(key, None)
        self._session.forget(key)

    def moved(self, key: PartitionKey, now_s: float) -> None:
        """Hear that a step has been taken, or that something else has changed for a partition."""
        partition = self.partitions.get(key)
        if partition is None:
            return
        position = partition.position
        partition.hold_back(now_s)
        self._resting.pop(key, None)
        if position is not None and partition.retry_s <= now_s:
            self._session.want(key, position)
            return
        self._session.forget(key)
        if position is not None:
            self._resting[key] = None

    def next_fetch(self, now_s: float) -> Fetch | None:
        """
        Return what to send to the leader now; L{answered} or L{unanswered} must follow.

        None while one is under way, while everything rests, and where there is nothing to fetch; see L{wake_s}.
        """
        if self._is_in_flight or now_s < self._retry_s:
            return None
        for key in list(self._resting):
            self.moved(key, now_s)
        fetch = self._session.next_fetch()
        self._is_in_flight = fetch is not None
        return fetch

    def is_kept_waiting(self, now_s: float) -> bool:
        """Say whether there is something to ask for that the fetch under way does not say."""
        return self._is_in_flight and (
            self._session.is_behind or any(self.partitions[key].retry_s <= now_s for key in self._resting)
        )

    @property
    def rested_s(self) -> float | None:
        """When the first of those that rest has rested; None where nothing does."""
        return min((self.partitions[key].retry_s for key in self._resting), default=None)

    @property
    def wake_s(self) -> float | None:
        """When L{next_fetch} may have something that it does not have now; None where nothing rests."""
        if self._session.is_empty and not self._resting:
            return None
        rested_s = self.rested_s
        return self._retry_s if rested_s is None else max(self._retry_s, rested_s)

    def heard(self, code: ErrorCode, session_id: int, now_s: float) -> bool:
        """
        Take the head of an answer; return whether what it says of partitions means anything, and is for L{answered}.

        @param code: of the answer as a whole.
        """
        self._is_in_flight = False
        if not self._session.answered(code, session_id):
            self._rest(now_s)
            return False
        self._back_off_s = BACK_OFF_S
        return True

    def answered(
        self, answers: Iterable[tuple[PartitionKey, LeaderAnswer]], now_s: float
    ) -> list[tuple[PartitionKey, Step]]:
        """
        Take what an answer says of some partitions; return what to do to which log, each to be followed by L{moved}.

        All of an answer is taken before the next fetch.
        """
        steps: list[tuple[PartitionKey, Step]] = []
        for key, answer in answers:
            partition, asked = self.partitions.get(key), self._session.asked(key)
            if partition is None or asked is None:
                continue
            step = partition.answered(asked, answer, now_s)
            if step is None:
                self.moved(key, now_s)
            else:
                steps.append((key, step))
        return steps

    def unanswered(self, now_s: float) -> None:
        """Hear that no answer will come: the leader cannot be reached, or took too long."""
        self._is_in_flight = False
        self._session.unanswered()
        self._rest(now_s)

    def reachable(self) -> None:
        """Hear that the leader can be reached after all; there is no need to rest any longer."""
        self._back_off_s = BACK_OFF_S
        self._retry_s = float("-inf")

    def _rest(self, now_s: float) -> None:
        self._retry_s = now_s + self._back_off_s
        self._back_off_s = min(2 * self._back_off_s, BACK_OFF_MAX_S)
