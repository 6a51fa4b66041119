"""
Fetch sessions: what a reader asked for before, so that it need not say it again (KIP-227).

A session remembers partitions and what was last said of each; an incremental
fetch names only what changed, and its answer holds only what changed.  The cache
has a fixed number of places, and all sessions together remember no more than so
many partitions; who finds no place fetches without a session, which always works.
Pure: time and chance come in as arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from streamline.errors import ErrorCode, Refused
from streamline.values import define

NO_SESSION = 0
INITIAL_EPOCH = 0
FINAL_EPOCH = -1
EPOCH_MAX = 2**31 - 1
EVICTION_S = 120.0
"""A session that was used within this time keeps its place (min.incremental.fetch.session.eviction.ms)."""
PARTITIONS_MAX = 250_000
"""What all sessions together remember at most; each partition takes a few hundred bytes."""

Key = tuple[bytes, str, int]
"""(topic id, topic name, partition); a session uses either ids or names, the other one is empty."""


@define(slots=True)
class Wanted:
    """
    One partition that a reader wants.

    @ivar start_offset: where the reader's own log begins, if it has one.
    @ivar told_high_watermark: what it was last told; -1 before the first answer, after an error, after it was told
        where its log parts from ours, and in a new leader epoch, in which a follower takes nothing for known that it
        was told before.
    """

    key: Key
    fetch_offset: int
    max_bytes: int
    current_leader_epoch: int = -1
    last_fetched_epoch: int = -1
    start_offset: int = -1
    told_high_watermark: int = -1
    told_start_offset: int = -1


class Session:
    """The partitions of one reader, in the order in which they are read."""

    __slots__ = ("epoch", "partitions", "session_id", "used_s", "uses_ids")

    def __init__(self, session_id: int, uses_ids: bool, used_s: float) -> None:
        self.session_id = session_id
        self.uses_ids = uses_ids
        self.used_s = used_s
        self.epoch = 1
        self.partitions: dict[Key, Wanted] = {}

    def update(self, wanted: Iterable[Wanted], forgotten: Iterable[Key]) -> None:
        """Take in what a fetch says."""
        for partition in wanted:
            known = self.partitions.get(partition.key)
            if known is None:
                self.partitions[partition.key] = partition
            else:
                known.fetch_offset = partition.fetch_offset
                known.max_bytes = partition.max_bytes
                if partition.current_leader_epoch != known.current_leader_epoch:
                    known.told_high_watermark = -1
                known.current_leader_epoch = partition.current_leader_epoch
                known.last_fetched_epoch = partition.last_fetched_epoch
                known.start_offset = partition.start_offset
        for key in forgotten:
            self.partitions.pop(key, None)

    def give_way(self, key: Key) -> None:
        """Read this partition last from now on: it has had its share."""
        partition = self.partitions.pop(key, None)
        if partition is not None:
            self.partitions[key] = partition


class FetchSessions:
    """
    All sessions of a node.

    @ivar partitions: how many they remember together.
    """

    def __init__(
        self, slots: int, partitions_max: int = PARTITIONS_MAX, forgets: Callable[[], bool] | None = None
    ) -> None:
        """@param forgets: says of a session that is continued whether it is forgotten, as if it had been evicted."""
        self._forgets = forgets
        self._slots = slots
        self._partitions_max = partitions_max
        self._sessions: dict[int, Session] = {}
        """Least recently used first, so that eviction looks at one session only."""
        self.partitions = 0

    def __len__(self) -> int:
        return len(self._sessions)

    def begin(self, session_id: int, uses_ids: bool, now_s: float, wanted: Iterable[Wanted]) -> Session | None:
        """
        Make a session where there is a place.

        @param session_id: drawn by chance, at least 1.
        """
        if session_id in self._sessions or not self._has_place(now_s):
            return None
        session = Session(session_id, uses_ids, now_s)
        session.update(wanted, ())
        if self.partitions + len(session.partitions) > self._partitions_max:
            return None
        self._sessions[session_id] = session
        self.partitions += len(session.partitions)
        return session

    def resume(
        self,
        session_id: int,
        epoch: int,
        uses_ids: bool,
        now_s: float,
        wanted: Iterable[Wanted],
        forgotten: Iterable[Key],
    ) -> Session | None:
        """
        Return the session that an incremental fetch continues, brought up to date; its epoch moves on.

        None where no partition is left in it: it has ended then.

        @raise Refused: FETCH_SESSION_ID_NOT_FOUND, also where it has become too large and has been ended for that;
            INVALID_FETCH_SESSION_EPOCH, or FETCH_SESSION_TOPIC_ID_ERROR.
        """
        if self._forgets is not None and self._forgets():
            self.end(session_id)
        session = self._sessions.get(session_id)
        if session is None:
            raise Refused(ErrorCode.FETCH_SESSION_ID_NOT_FOUND)
        if epoch != session.epoch:
            raise Refused(ErrorCode.INVALID_FETCH_SESSION_EPOCH)
        if session.uses_ids != uses_ids:
            raise Refused(ErrorCode.FETCH_SESSION_TOPIC_ID_ERROR)
        before = len(session.partitions)
        session.update(wanted, forgotten)
        self.partitions += len(session.partitions) - before
        if not session.partitions:
            self.end(session_id)
            return None
        if self.partitions > self._partitions_max:
            self.end(session_id)
            raise Refused(ErrorCode.FETCH_SESSION_ID_NOT_FOUND)
        session.epoch = 1 if session.epoch == EPOCH_MAX else session.epoch + 1
        session.used_s = now_s
        self._sessions[session_id] = self._sessions.pop(session_id)
        return session

    def end(self, session_id: int) -> None:
        """Forget a session; fine where there is none."""
        session = self._sessions.pop(session_id, None)
        if session is not None:
            self.partitions -= len(session.partitions)

    def _has_place(self, now_s: float) -> bool:
        if len(self._sessions) < self._slots:
            return True
        if not self._sessions:
            return False
        oldest = next(iter(self._sessions.values()))
        if now_s - oldest.used_s < EVICTION_S:
            return False
        self.end(oldest.session_id)
        return True
