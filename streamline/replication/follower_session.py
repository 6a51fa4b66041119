"""
A fetch session as the follower keeps it (KIP-227), the other side of L{streamline.replication.sessions}.

A follower asks its leader for very many partitions, over and over, most of which
have not moved.  Here is what the leader knows already, so that a fetch names only
what is new, and what is to be left out from now on.
"""

from __future__ import annotations

from collections.abc import Mapping

from streamline.errors import ErrorCode
from streamline.replication.following import Position
from streamline.replication.sessions import EPOCH_MAX, INITIAL_EPOCH, NO_SESSION
from streamline.values import frozen

PartitionKey = tuple[bytes, int]
"""(topic id, partition)."""


@frozen(kw_only=True)
class Fetch:
    """
    One fetch.

    @ivar wanted: what it names: in a full fetch (epoch 0) everything, else what the leader does not know yet.
    @ivar forgotten: what the leader is to forget.
    """

    session_id: int
    epoch: int
    wanted: Mapping[PartitionKey, Position]
    forgotten: tuple[PartitionKey, ...]


class FollowerSession:
    """
    What one leader knows of our wishes; one fetch at a time.

    A leader without a place for a session answers each full fetch by itself, and that goes on working.
    """

    def __init__(self) -> None:
        self._session_id = NO_SESSION
        self._epoch = INITIAL_EPOCH
        self._known: dict[PartitionKey, Position] = {}
        """What the leader has been told, and what its next answer is about."""
        self._wanted: dict[PartitionKey, Position] = {}
        """What it has not been told, or what has changed since."""
        self._forgotten: dict[PartitionKey, None] = {}

    @property
    def is_empty(self) -> bool:
        """Whether nothing is wanted."""
        return not self._wanted and len(self._known) == len(self._forgotten)

    @property
    def is_behind(self) -> bool:
        """Whether something is wanted that the leader has not been told."""
        return bool(self._wanted)

    def want(self, key: PartitionKey, position: Position) -> None:
        """Ask for a partition from now on, from here."""
        self._forgotten.pop(key, None)
        if self._known.get(key) == position:
            self._wanted.pop(key, None)
        else:
            self._wanted[key] = position

    def forget(self, key: PartitionKey) -> None:
        """Ask for a partition no more; fine where it was not asked for."""
        self._wanted.pop(key, None)
        if key in self._known:
            self._forgotten[key] = None

    def asked(self, key: PartitionKey) -> Position | None:
        """Return what an answer that comes now is about, or None where it is about nothing that was asked."""
        return self._known.get(key)

    def next_fetch(self) -> Fetch | None:
        """Return the next fetch, or None where nothing is wanted; L{answered} or L{unanswered} must follow."""
        forgotten = tuple(self._forgotten)
        for key in forgotten:
            self._known.pop(key, None)
        wanted = self._wanted
        for key, position in wanted.items():
            self._known.pop(key, None)  # what has moved comes last, or a full fetch would read it first time and again
            self._known[key] = position
        self._wanted, self._forgotten = {}, {}
        if not self._known:
            self._restart(ends=True)
            return None
        if self._epoch == INITIAL_EPOCH:
            return Fetch(session_id=self._session_id, epoch=INITIAL_EPOCH, wanted=dict(self._known), forgotten=())
        return Fetch(session_id=self._session_id, epoch=self._epoch, wanted=wanted, forgotten=forgotten)

    def answered(self, code: ErrorCode, session_id: int) -> bool:
        """
        Take the head of an answer; return whether its partitions mean anything.

        An error of a session ends it, and the next fetch says everything again.
        """
        if code is not ErrorCode.NONE:
            self._restart(ends=code is not ErrorCode.FETCH_SESSION_ID_NOT_FOUND)
            return False
        if session_id == NO_SESSION:
            self._restart()
        elif self._epoch == INITIAL_EPOCH:
            self._session_id, self._epoch = session_id, 1
        else:
            self._epoch = 1 if self._epoch == EPOCH_MAX else self._epoch + 1
        return True

    def unanswered(self) -> None:
        """Hear that no answer will come: what the leader knows is not known any more."""
        self._restart(ends=True)

    def _restart(self, ends: bool = False) -> None:
        """Say everything again with the next fetch, in another session; a full fetch under an id ends that one."""
        self._session_id = self._session_id if ends else NO_SESSION
        self._epoch = INITIAL_EPOCH
