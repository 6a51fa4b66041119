"""
One partition as a follower sees it: what to fetch next, and what to do with what comes.

It is told what the leader answered, and says what is to be done to the log: append,
cut, or begin anew.  Whoever does that reports where the log ends then.  It lives
as long as one leader epoch.

A follower only ever cuts what the leader has shown not to be in its own log (KR1,
see L{streamline.replication.truncation}).  It begins anew only where the leader
keeps nothing that its log could go on from: where all that we have lies before the
leader's first record, no leader epoch shows it to be the leader's, and what is not
known to be committed may be another branch, which would be read once the high
watermark comes by.  It believes in nobody of an earlier epoch than that of its own
last record: such metadata are older than its log.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from streamline.errors import ErrorCode
from streamline.model import NO_OFFSET
from streamline.replication.epochs import LeaderEpochs
from streamline.replication.throttle import Throttle
from streamline.replication.truncation import Divergence, LogRange, cut_offset, last_epoch_of
from streamline.values import frozen
from streamline.wire.batch import BatchHeader

BACK_OFF_S = 0.02
BACK_OFF_MAX_S = 1.0
"""How long a partition rests after an error; doubled with each that follows (replica.fetch.backoff.ms)."""


LOOK_AGAIN_S = 0.5
"""How long a throttled partition rests at most, before it is looked whether it still is."""


class Position(NamedTuple):
    """
    What a follower asks its leader for; two that are equal are answered alike.

    @ivar leader_epoch: the epoch in which it takes the leader to lead.
    @ivar offset: where its log ends.
    @ivar last_epoch: the epoch of its last record.
    @ivar start_offset: where its log begins.
    """

    leader_epoch: int
    offset: int
    last_epoch: int
    start_offset: int


class LeaderAnswer(NamedTuple):
    """
    What the leader answered for one partition.

    @ivar high_watermark: the leader's; L{NO_OFFSET} with an error.
    @ivar start_offset: where the leader's log begins.
    @ivar has_records: whether there are any.
    """

    code: ErrorCode = ErrorCode.NONE
    high_watermark: int = NO_OFFSET
    start_offset: int = NO_OFFSET
    divergence: Divergence | None = None
    has_records: bool = False


@frozen
class Append:
    """Append the batches that came as far as L{FollowedPartition.takes} them; then L{FollowedPartition.appended}."""


@frozen
class Cut:
    """
    Drop everything from an offset on; then L{FollowedPartition.cut}.

    @ivar is_below_high_watermark: whether that takes away what was committed, as only an unclean election can.
    """

    offset: int
    is_below_high_watermark: bool


@frozen
class BeginAnew:
    """Drop everything and begin at an offset: the leader has nothing before it; then L{FollowedPartition.cut}."""

    offset: int


Step = Append | Cut | BeginAnew


class FollowedPartition:
    """
    A partition that this node follows, in one leader epoch.

    @ivar leader: node id.
    @ivar high_watermark: everything below is committed, as far as we have it.
    @ivar log: what our log has; what counts there as a produce's acks asks for ends it.
    """

    def __init__(
        self,
        leader: int,
        leader_epoch: int,
        epochs: LeaderEpochs,
        log: LogRange,
        high_watermark: int,
        throttle: Callable[[], Throttle | None] = lambda: None,
    ) -> None:
        """
        Begin to follow.

        @param epochs: of our log; L{FollowedPartition} forgets in it epochs that have no record, which are ours from
            having led, and says so by C{has_forgotten}: they are to be written down then.
        @param high_watermark: what we know to be committed.
        @param throttle: returns what holds for this copy while it lacks something, or None.
        """
        self._throttle = throttle
        self.leader = leader
        self.leader_epoch = leader_epoch
        self.log = log
        self.high_watermark = max(min(high_watermark, log.end_offset), log.start_offset)
        self._leader_start_offset = NO_OFFSET
        self._leader_high_watermark = NO_OFFSET
        self._epochs = epochs
        self._is_fenced = leader_epoch < epochs.latest
        self.has_forgotten = not self._is_fenced and epochs.truncate_end(log.end_offset)
        self._is_shown = False  # whether the leader has shown that it has the last of our records
        self._back_off_s = BACK_OFF_S
        self.retry_s = float("-inf")

    @property
    def position(self) -> Position | None:
        """What to ask for next; None where only newer metadata help."""
        if self._is_fenced:
            return None
        log = self.log
        return Position(self.leader_epoch, log.end_offset, last_epoch_of(self._epochs, log), log.start_offset)

    @property
    def lag_records(self) -> int | None:
        """How many committed records we lack; None before the first answer."""
        if self._leader_high_watermark == NO_OFFSET:
            return None
        return max(0, self._leader_high_watermark - self.log.end_offset)

    @property
    def due_start_offset(self) -> int | None:
        """Where our log is to begin because the leader's does, if it begins earlier; then L{started}."""
        due = min(self._leader_start_offset, self.high_watermark)
        return due if due > self.log.start_offset else None

    # Throttling

    @property
    def _throttled(self) -> Throttle | None:
        """What holds now: who has all that is committed is in sync, or may join at once, and waits for nothing."""
        return self._throttle() if self.lag_records else None

    def copied(self, size_bytes: int, now_s: float) -> None:
        """Hear how much the last answer brought, before it is appended."""
        if (throttle := self._throttled) is not None:
            throttle.used(size_bytes, now_s)

    def hold_back(self, now_s: float) -> None:
        """Rest while others have used up what may be copied; not for long, as what may be can change."""
        throttle = self._throttled
        if throttle is not None and throttle.is_full(now_s):
            self.retry_s = max(self.retry_s, min(throttle.free_s, now_s + LOOK_AGAIN_S))

    # What happens

    def answered(self, asked: Position, answer: LeaderAnswer, now_s: float) -> Step | None:
        """
        Take the leader's answer; return what is to be done to the log.

        @param asked: what it answers; if we have moved on meanwhile, it means nothing.
        """
        if asked != self.position:
            return None
        if answer.code is ErrorCode.OFFSET_OUT_OF_RANGE:
            return self._out_of_range(answer, now_s)
        if answer.code is not ErrorCode.NONE:
            self._failed(answer.code, now_s)
            return None
        if answer.divergence is not None:  # before anything that is said of a log which is not ours yet (KR7)
            return self._diverged(answer, answer.divergence, now_s)
        if self._may_be_another_branch(self.log.end_offset, answer.start_offset):
            return BeginAnew(answer.start_offset)
        self._is_shown = True
        self._back_off_s = BACK_OFF_S
        self._leader_high_watermark = answer.high_watermark
        self._leader_start_offset = answer.start_offset
        if answer.has_records:
            return Append()
        self._commit()
        return None

    def takes(self, header: BatchHeader, end_offset: int) -> bool:
        """
        Say whether a batch may follow what ends at C{end_offset}.

        Epochs rise within a log, and none is later than that of the leader who sends it: what an answer that was
        overtaken brings is left out.
        """
        epoch = header.partition_leader_epoch
        return header.base_offset >= end_offset and self._epochs.latest <= epoch <= self.leader_epoch

    def begins_within(self, header: BatchHeader) -> bool:
        """
        Say whether our log has to begin anew where a batch does.

        Where a leader's log begins within a batch, as DeleteRecords may have it, an empty log that begins there can
        take nothing: it has to have the whole batch, and hides what the leader hides once it has it (KAFKA-6975).
        """
        log = self.log
        return log.start_offset == log.end_offset and header.base_offset < log.end_offset < header.next_offset

    def appended(self, end_offset: int) -> None:
        """Hear that the batches of the last answer count up to here."""
        self.log = LogRange(self.log.start_offset, end_offset)
        self._commit()

    def cut(self, start_offset: int, end_offset: int) -> None:
        """Hear what is left of the log; cutting drops whole batches, so that may be less than was asked for."""
        self.log = LogRange(start_offset, end_offset)
        # KR7: nothing that is gone is committed; KR8: nothing before the start is anything else.
        self.high_watermark = max(min(self.high_watermark, end_offset), start_offset)

    def started(self, start_offset: int) -> None:
        """Hear that our log begins later now, because the leader's does or because retention has come by."""
        self.log = LogRange(start_offset, self.log.end_offset)

    def refused(self, now_s: float) -> None:
        """Hear that what came was damaged, or could not be written; ask for it again in a while."""
        self._rest(now_s)

    # Details

    def _commit(self) -> None:
        """Raise the high watermark as far as both the leader's word and our log go."""
        self.high_watermark = max(self.high_watermark, min(self._leader_high_watermark, self.log.end_offset))

    def _may_be_another_branch(self, end_offset: int, start_offset: int) -> bool:
        """
        Say whether what we have up to C{end_offset} may never have been committed, with nobody left to tell.

        @param start_offset: where the leader's log begins.
        """
        return not self._is_shown and self.high_watermark < end_offset <= start_offset

    def _diverged(self, answer: LeaderAnswer, divergence: Divergence, now_s: float) -> Step | None:
        offset = cut_offset(self._epochs, self.log.end_offset, divergence)
        if offset >= self.log.end_offset:  # no honest leader's: each round takes something away
            self._rest(now_s)
            return None
        if offset < self.log.start_offset:
            return BeginAnew(offset)
        if self._may_be_another_branch(offset, answer.start_offset):
            return BeginAnew(answer.start_offset)
        return Cut(offset, offset < self.high_watermark)

    def _out_of_range(self, answer: LeaderAnswer, now_s: float) -> Step | None:
        """
        Begin anew where nothing that we have reaches up to what the leader still has.

        An empty log may as well lie behind the leader's end, after an unclean election.  In every other case our last
        epoch says where to cut, so this answer is a mistake; nothing is thrown away for it.
        """
        theirs, ours = answer.start_offset, self.log
        is_empty = ours.end_offset == ours.start_offset
        if theirs > ours.end_offset or (is_empty and 0 <= theirs < ours.end_offset):
            return BeginAnew(theirs)
        self._rest(now_s)
        return None

    def _failed(self, code: ErrorCode, now_s: float) -> None:
        if code is ErrorCode.FENCED_LEADER_EPOCH:  # the metadata will say who leads now
            self._is_fenced = True
        else:
            self._rest(now_s)

    def _rest(self, now_s: float) -> None:
        self.retry_s = now_s + self._back_off_s
        self._back_off_s = min(2 * self._back_off_s, BACK_OFF_MAX_S)
