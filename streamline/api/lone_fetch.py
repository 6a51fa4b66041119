"""
A follower's fetch that names one partition, of which it has everything: answered the moment a record is written.

Where records are written one at a time, each goes to every follower by such a fetch, and the next one says that it is
there; a producer with C{acks=all} waits for that, and for nothing else.  So it goes the short way: it is taken from the
bytes of its frame (L{streamline.wire.lone}), waits without anything being made for it, and its answer is the record
between two strings of bytes.

The short way is for what is usual.  Whatever is not (another partition has something new as well, the leader is another
one, an answer is due without records) goes on the long one, L{streamline.api.replica_fetch}, from where it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred

from streamline.api.call import BrokerServices
from streamline.api.standing import Standing
from streamline.errors import Refused
from streamline.interfaces import ILeadership, Whim, fires
from streamline.model import NO_OFFSET, LogSlice, Part
from streamline.replication.followers import FollowerFetch
from streamline.replication.sessions import Session, Wanted
from streamline.services.deadlines import Deadline
from streamline.services.partition import Partition
from streamline.wire.lone import LoneFetch, answer_around

COMMITTED_S: Final = 0.005
"""How long a follower is not told of another high watermark for itself."""
LONE_BYTES: Final = 1 << 16
"""With more than this to send, it does not matter which way it goes."""


class Asker(Protocol):
    """The connection of a follower."""

    def respond(self, parts: Sequence[Part]) -> None:
        """Send a response, its header included."""

    def answered(self, number: int, answer: Any) -> None:
        """Send the response to a request, or wait for it."""


LongWay = Callable[["LoneReading", float, bool], Any]
"""
Goes on with a fetch, which may wait for so many seconds yet, or must answer now; returns the response or a L{Deferred}
of it.
"""


class LoneReading:
    """
    What one follower asks in one session, as far as that goes the short way; one fetch after the other.

    @ivar session: that one.
    @ivar standing: what it wants of all partitions.
    @ivar is_waiting: whether one waits for an answer.
    @ivar said: the latest fetch.
    @ivar wanted: what that one says of its partition.
    @ivar heard_by: whom it has told how far the follower's log goes.
    """

    said: LoneFetch
    wanted: Wanted

    def __init__(
        self, broker: BrokerServices, session: Session, standing: Standing, keeps_silent: Whim | None, long_way: LongWay
    ) -> None:
        self.is_waiting = False
        self._broker = broker
        self.session = session
        self.standing = standing
        self._keeps_silent = keeps_silent
        self._long_way = long_way
        self._asker: Asker
        self._number = 0
        self._partition: Partition
        self.heard_by: ILeadership | None = None
        self._deadline: Deadline | None = None
        self._until_s = 0.0
        self._is_committed = False

    def find(self, said: LoneFetch, now_s: float) -> Partition | None:
        """Return the partition that a fetch is about, where that can go the short way; nothing happens thereby."""
        if self.is_waiting or said.session_id != self.session.session_id:
            return None
        key = said.topic_id, "", said.partition
        if not self.standing.is_only(key, said.replica_epoch, now_s):
            return None
        broker = self._broker
        if min(said.partition_max_bytes, said.max_bytes, broker.config.broker.fetch_max_bytes) < LONE_BYTES:
            return None
        name = broker.metadata.image.names.get(said.topic_id)
        if name is None or said.min_bytes > 1 or said.max_wait_ms <= 0 or fires(broker.cuts_short):
            return None
        try:
            partition = broker.replicas.leading(name, said.partition)
        except Refused:
            return None
        log = partition.log
        is_usual = log.identity.topic_id == said.topic_id and said.fetch_offset == log.flushed_offset
        return partition if is_usual and self.standing.watches(key, partition) else None

    def begin(self, asker: Asker, number: int, said: LoneFetch, partition: Partition, now_s: float) -> None:
        """Hear how far the follower's log goes, and wait for more; its session has been brought up to date."""
        self._asker, self._number, self.said, self._partition = asker, number, said, partition
        wanted = self.wanted = self.session.partitions[said.topic_id, "", said.partition]
        wait_s = said.max_wait_ms / 1000
        self._until_s = now_s + wait_s
        leadership = self.heard_by = partition.leadership
        if not self._hears(partition, said):
            self.heard_by = None  # it hears again on the long way, where it is told what is the matter
            self._go_the_long_way()
            return
        told, log = wanted.told_high_watermark, partition.log
        is_told = partition.high_watermark == told and log.start_offset == wanted.told_start_offset
        if partition.leadership is not leadership or log.flushed_offset != said.fetch_offset or told == NO_OFFSET:
            self._go_the_long_way()  # something has come meanwhile, or it is to be told at once
            return
        standing = self.standing
        self._is_committed = not is_told
        if is_told:
            standing.rests(wanted.key)
        else:
            standing.mark(wanted.key)
            wait_s = min(COMMITTED_S, wait_s)
        self.is_waiting = True
        standing.waiting = self
        if fires(self._broker.answers_early):
            wait_s = 0.0
        self._deadline = self._broker.deadlines.after(wait_s, self.hurry)

    def _hears(self, partition: Partition, said: LoneFetch) -> bool:
        """Tell the leader how far the follower's log goes; return whether the two agree."""
        heard = FollowerFetch(
            said.replica_id, said.replica_epoch, said.current_leader_epoch, said.fetch_offset, said.last_fetched_epoch,
            said.log_start_offset,
        )  # fmt: skip
        try:
            return partition.fetched(heard) is None
        except Refused:
            return False

    # What partitions say, and what a clock says

    def more(self, size_bytes: int) -> None:
        """Answer with what has been written, unless there is more to it."""
        if not self.is_waiting:
            return
        found = self._read() if 0 < size_bytes <= LONE_BYTES else None
        if found is None:
            self._go_the_long_way()
            return
        said, partition, wanted = self.said, self._partition, self.wanted
        self._wait_no_more()
        high_watermark = wanted.told_high_watermark = partition.high_watermark
        start_offset = wanted.told_start_offset = partition.log.start_offset
        self.session.give_way(wanted.key)
        head, tail = answer_around(
            self._number, self.session.session_id, said.topic_id, said.partition, high_watermark, start_offset,
            found.size_bytes,
        )  # fmt: skip
        parts = found.parts if found.lent is None else (found.lent,)
        self._asker.respond([head, *parts, tail])

    def _read(self) -> LogSlice | None:
        """Return what has been written, where the follower is in sync with the leader that it told where it is."""
        said, partition, leadership = self.said, self._partition, self.heard_by
        if leadership is None or partition.leadership is not leadership or said.replica_id not in leadership.isr:
            return None  # who is not in sync may be throttled
        if not self.standing.is_only(self.wanted.key):
            return None
        found = partition.read_as_replica(said.fetch_offset, LONE_BYTES, at_least_one=True)
        return None if isinstance(found, Deferred) or not found.size_bytes else found

    def committed(self) -> None:
        """Hear of another high watermark, or start; see Note [News of what is committed] of the long way."""
        if self.is_waiting and not self._is_committed:
            self._is_committed = True
            if fires(self._keeps_silent):
                return  # it is told when this fetch has waited for as long as it may
            assert self._deadline is not None
            self._deadline.cancel()
            wait_s = min(COMMITTED_S, self.said.max_wait_ms / 1000)
            self._deadline = self._broker.deadlines.after(wait_s, self.hurry)

    def hurry(self) -> None:
        """Answer with what there is by now."""
        if self.is_waiting:
            self._go_the_long_way(must_answer=True)

    def cancel(self) -> None:
        """Hear that the follower waits no more."""
        if self.is_waiting:
            self._wait_no_more()

    def _wait_no_more(self) -> None:
        self.is_waiting = False
        if self.standing.waiting is self:
            self.standing.waiting = None
        if self._deadline is not None:
            self._deadline.cancel()

    def _go_the_long_way(self, must_answer: bool = False) -> None:
        if self.is_waiting:
            self._wait_no_more()
        else:
            self.standing.mark(self.wanted.key)
        left_s = max(0.0, self._until_s - self._broker.host.clock.seconds())
        answer = self._long_way(self, left_s, must_answer)
        self._asker.answered(self._number, answer)
