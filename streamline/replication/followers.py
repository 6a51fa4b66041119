"""
What a leader knows of one follower: how far its log goes, since when it lacks something, and which process it is.
"""

from __future__ import annotations

from typing import NamedTuple

from streamline.model import NO_EPOCH, NO_OFFSET

NEVER = float("-inf")
NO_BROKER_EPOCH = -1


class FollowerFetch(NamedTuple):
    """
    What a follower says of itself when it fetches one partition.

    @ivar broker_epoch: of the process that asks (KIP-903).
    @ivar leader_epoch: the epoch that it believes the leader to be in (KIP-320).
    @ivar offset: where its log ends; everything below counts there as a produce's C{acks} asks for.
    @ivar last_epoch: the epoch of its last record, L{NO_EPOCH} where it has none (KIP-595).
    @ivar start_offset: where its log begins (KIP-107).
    """

    node_id: int
    broker_epoch: int
    leader_epoch: int
    offset: int
    last_epoch: int = NO_EPOCH
    start_offset: int = NO_OFFSET


class Follower:
    """
    One follower, as its leader in one leader epoch sees it.

    @ivar end_offset: everything below is in its log as in ours; L{NO_OFFSET} until it has fetched in this epoch.
    @ivar start_offset: where its log begins; L{NO_OFFSET} until then.
    @ivar broker_epoch: of the process that fetched last.
    @ivar caught_up_s: the latest time at which it had everything that we had.
    @ivar fetched_s: when it fetched last.
    """

    __slots__ = (
        "_end_when_fetched", "broker_epoch", "caught_up_s", "end_offset", "fetched_s", "node_id", "start_offset",
    )  # fmt: skip

    def __init__(self, node_id: int, caught_up_s: float) -> None:
        self.node_id = node_id
        self.end_offset = NO_OFFSET
        self.start_offset = NO_OFFSET
        self.broker_epoch = NO_BROKER_EPOCH
        self.caught_up_s = caught_up_s
        self.fetched_s = NEVER
        self._end_when_fetched = NO_OFFSET

    def fetched(self, fetch: FollowerFetch, leader_end_offset: int, now_s: float) -> None:
        """
        Hear that it fetches and that its log is a prefix of ours.

        While records keep coming it never has all of them when its fetch arrives; having all that there were at the
        fetch before means that it had everything then.
        """
        if fetch.offset >= leader_end_offset:
            self.caught_up_s = now_s
        elif fetch.offset >= self._end_when_fetched != NO_OFFSET:
            self.caught_up_s = max(self.caught_up_s, self.fetched_s)
        self.end_offset = fetch.offset
        self.start_offset = fetch.start_offset
        self.broker_epoch = fetch.broker_epoch
        self.fetched_s = now_s
        self._end_when_fetched = leader_end_offset

    def left_behind(self, leader_end_offset: int, now_s: float) -> None:
        """Hear that our log is about to grow, from C{leader_end_offset}: who has that had everything until now."""
        if self.end_offset >= leader_end_offset:
            self.caught_up_s = now_s

    def is_caught_up(self, leader_end_offset: int, now_s: float, lag_max_s: float) -> bool:
        """Say whether it has everything, or lacks something for no longer than C{lag_max_s} (KR23)."""
        return self.end_offset >= leader_end_offset or now_s - self.caught_up_s <= lag_max_s

    def is_heard(self, leader_end_offset: int, now_s: float, lag_max_s: float) -> bool:
        """Say whether it still asks for records, as far as there are any that it lacks."""
        return self.end_offset >= leader_end_offset or now_s - self.fetched_s <= lag_max_s
