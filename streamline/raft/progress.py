"""
What a leader knows of one other replica, and how much it sends it.

| state | what is sent | left when |
|---|---|---|
| probe | one message, then heartbeats until one is answered: where the logs meet is not known | accepted: replicate |
| replicate | message after message up to the window, without waiting | rejected, or its connection broke: probe |
| snapshot | pieces of a snapshot, because the entries it needs are gone | it has the snapshot: replicate |

C{0 <= matched_index < next_index}, and C{matched_index} only ever grows: it is what the
replica has durably, by its own word about this leader's log.  Everything else, hints
above all, is about C{next_index}, where a mistake costs a message and nothing more (RF5).
"""

from __future__ import annotations

from enum import Enum

from streamline.raft.log import Log
from streamline.raft.messages import AppendRejection, Entry, Snapshot
from streamline.raft.settings import RaftSettings
from streamline.values import define

PIECE_HEARTBEATS = 5
"""After so many heartbeats without an answer, a piece of a snapshot is sent again."""
SILENT_HEARTBEATS = 3
"""After so many heartbeats without a word from a replica, it is asked for one."""


class Sending(Enum):
    """How entries are sent to a replica."""

    PROBE = "probe"
    REPLICATE = "replicate"
    SNAPSHOT = "snapshot"


@define
class Transmission:
    """
    A snapshot on its way.

    @ivar offset: how much of it the replica has.
    @ivar is_waiting: a piece is sent and not yet answered.
    @ivar silent_heartbeats: how long ago that was.
    """

    snapshot: Snapshot
    offset: int = 0
    is_waiting: bool = False
    silent_heartbeats: int = 0

    def answered(self, offset: int) -> None:
        """Hear how much of it has arrived."""
        self.offset = max(0, min(offset, len(self.snapshot.data)))
        self.is_waiting = False
        self.silent_heartbeats = 0

    def heartbeat_passed(self) -> None:
        """Give a piece up for lost in the end."""
        self.silent_heartbeats += self.is_waiting
        if self.silent_heartbeats >= PIECE_HEARTBEATS:
            self.answered(self.offset)


@define
class Progress:
    """
    One replica, as its leader sees it.

    @ivar next_index: the next entry to send.
    @ivar matched_index: it has the entries up to here, durably.
    @ivar sending: how it is sent entries.
    @ivar is_due: something must be said even if there is nothing to say: a heartbeat, or a new round.
    @ivar is_paused: in probe, a message is out and not answered.
    @ivar transmission: in snapshot, what is on its way.
    @ivar sent_commit_index: what it knows to be committed if all arrives that was sent.
    @ivar round: the last round that it answered; see L{streamline.raft.reading}.
    @ivar is_active: it has been heard from since the quorum was last checked.
    @ivar heard_tick: when it was last heard from; -1 is never.
    @ivar caught_up_tick: when it last had all there was when it was heard from before; -1 is never.
    @ivar silent_heartbeats: since it was heard from.
    """

    next_index: int
    matched_index: int = 0
    sending: Sending = Sending.PROBE
    is_due: bool = True
    is_paused: bool = False
    transmission: Transmission | None = None
    sent_commit_index: int = 0
    round: int = 0
    is_active: bool = True
    heard_tick: int = -1
    caught_up_tick: int = -1
    silent_heartbeats: int = 0
    _end_before: int = 0
    _end_before_tick: int = -1

    # What comes back

    def heard(self, tick: int, round_: int) -> None:
        """Hear anything at all from it."""
        self.is_active = True
        self.silent_heartbeats = 0
        self.heard_tick = tick
        self.round = max(self.round, round_)

    def matched(self, index: int, log: Log, tick: int) -> bool:
        """
        Hear that it has the entries up to C{index}, durably; say whether that is news.

        The only place where C{matched_index} is set.
        """
        is_news = index > self.matched_index
        self.matched_index = max(self.matched_index, index)
        self._note_how_caught_up(log.last_index, tick)
        if self.sending is Sending.PROBE or self._needs_no_snapshot(log):
            self.become_replicate()
        self.next_index = max(self.next_index, self.matched_index + 1)
        return is_news

    def _needs_no_snapshot(self, log: Log) -> bool:
        """
        Say whether it has the snapshot on its way, or what it needs next is in the log (RF12: or it waits for ever).

        It may have that snapshot and need another: the log may begin further on by now.
        """
        sent = self.transmission
        return sent is not None and self.matched_index >= min(sent.snapshot.index, log.boundary_index)

    def _note_how_caught_up(self, last_index: int, tick: int) -> None:
        """Kafka's notion: it has all now, or has by now what there was when it was last heard from."""
        if self.matched_index >= last_index:
            self.caught_up_tick = tick
        elif self.matched_index >= self._end_before:
            self.caught_up_tick = max(self.caught_up_tick, self._end_before_tick)
        self._end_before, self._end_before_tick = last_index, tick

    def rejected(self, rejection: AppendRejection, log: Log) -> None:
        """Go back to where the logs may meet, unless the rejection is about something older than what is known."""
        if self.sending is Sending.SNAPSHOT or rejection.rejected_index <= self.matched_index:
            return
        if self.sending is Sending.PROBE and rejection.rejected_index != self.next_index - 1:
            return
        hint = log.highest_not_after(min(rejection.hint_index, rejection.rejected_index - 1), rejection.hint_term)
        self.become_probe()
        self.next_index = max(min(rejection.rejected_index, hint + 1), self.matched_index + 1)
        self.is_due = True

    # How it is sent

    def become_probe(self) -> None:
        """Find out where the logs meet, from what is known for certain."""
        self.sending = Sending.PROBE
        self.next_index = self.matched_index + 1
        self.is_paused = False
        self.transmission = None

    def become_replicate(self) -> None:
        """Send without waiting."""
        self.sending = Sending.REPLICATE
        self.is_paused = False
        self.transmission = None

    def become_snapshot(self, snapshot: Snapshot) -> None:
        """Send a snapshot; what follows it is sent when it has arrived."""
        self.sending = Sending.SNAPSHOT
        self.transmission = Transmission(snapshot)

    def connection_lost(self) -> None:
        """Hear that what was sent may not have arrived."""
        if self.transmission is not None:
            self.transmission.answered(self.transmission.offset)
        else:
            self.become_probe()

    def heartbeat_passed(self) -> None:
        """Be due: what is sent then is empty and cheap, and its answer shows whether anything was lost."""
        self.is_due = True
        self.silent_heartbeats += 1
        if self.transmission is not None:
            self.transmission.heartbeat_passed()

    def wants_answer(self, round_: int) -> bool:
        """
        Say whether the answer to a message without entries would tell anything.

        It would not where the replica has everything that it was sent, and was heard from lately: since the quorum was
        last checked (RF8), and not too long before.  Where the logs do not meet, it says so unasked.
        """
        is_known = self.sending is Sending.REPLICATE and self.matched_index >= self.next_index - 1
        is_heard = self.is_active and self.silent_heartbeats < SILENT_HEARTBEATS
        return not (is_known and is_heard and self.round >= round_)

    def sent(self, prev_index: int, entries: int, commit_index: int) -> None:
        """Note that a message is out: so many entries behind C{prev_index}, and a commit index."""
        self.sent_commit_index = max(self.sent_commit_index, min(commit_index, prev_index + entries))
        self.is_due = False
        if self.sending is Sending.PROBE:
            self.is_paused = True
        else:
            self.next_index += entries

    def next_batch(self, log: Log, settings: RaftSettings) -> tuple[Entry, ...]:
        """Return the entries that may be sent now: what one message holds, and the window lets through."""
        if self.next_index > log.last_index or self.is_paused:
            return ()
        last = min(log.last_index, self.next_index + settings.message_entries_max - 1)
        bytes_max = settings.message_bytes_max
        if self.sending is Sending.REPLICATE:
            in_flight = log.size_between(max(self.matched_index, log.boundary_index), self.next_index - 1)
            last = min(last, self.matched_index + settings.inflight_entries_max)
            if last < self.next_index or (in_flight and in_flight >= settings.inflight_bytes_max):
                return ()
            bytes_max = min(bytes_max, settings.inflight_bytes_max - in_flight)
        return log.batch(self.next_index, last, bytes_max)
