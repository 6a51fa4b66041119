"""
Copies partitions from their leaders: one fetcher for each leader, one fetch at a time, many partitions in it.

What to fetch and what to do with what comes is decided in L{streamline.replication.fetcher}; here is the asking, and
the doing: append, cut, begin anew.

# Note [One after the other]

A fetch says how far this node's logs go, and a leader counts on that.  So the next one waits until everything that the
last one brought counts: until it is flushed, or synced where the topic asks for that.

Who led a moment ago may have records that do not count yet, and comes to follow with them.  They are in its log all the
same, with the epoch that they brought, and a leader that has others in their place has to see that: so the first fetch
waits for them as well, and says where the whole log ends.

# Note [Answer now]

A fetch waits at the leader for as long as there is nothing to copy, and what is followed from now on, or has rested
since, would have to wait for its end: after a fail-over, the producers of those partitions as well.  Another fetch
beside it would say how far logs go that the first one is about.  So the leader is asked to answer that one as it is.

# Note [Very many]

A fetch may bring something for thousands of partitions.  Some are taken in each turn of the reactor; for those that
wait it is as if the answer had not come yet, and nothing is asked for until all of them have had their turn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from streamline.errors import ProtocolError, StorageFailed
from streamline.interfaces import IClock, IFollowing, IReplica, Whim, fires
from streamline.model import Buffer, LogIdentity, PartitionState
from streamline.replication.fetcher import Fetcher
from streamline.replication.follower_session import Fetch, PartitionKey
from streamline.replication.following import Append, Cut, FollowedPartition, LeaderAnswer, Step
from streamline.replication.messages import error_of, fetch_answers
from streamline.replication.throttle import Throttle
from streamline.replication.truncation import LogRange
from streamline.wire.batch import HEADER_BYTES, MAGIC, BatchHeader, is_intact, read_header
from streamline.wire.lone import LoneFetchResponse
from streamline.wire.messages.fetch import FetchResponse
from streamline.wire.types import Buffers

log = Logger()

Ask = Callable[[int, Fetch], Deferred[FetchResponse | LoneFetchResponse]]
"""Sends a fetch to a leader."""
Hurry = Callable[[int], None]
"""Has a leader answer the fetch that waits there."""
Answer = tuple[PartitionKey, LeaderAnswer, Buffers]
"""What came for a partition, with its records."""

TAKEN_AT_ONCE = 100
"""Partitions of one answer that are taken in one turn, about ten milliseconds of work where each has records."""


def batches_of(records: memoryview) -> Iterator[tuple[BatchHeader, memoryview]]:
    """
    Yield the batches that a leader sent.

    @raise ProtocolError: they are damaged, or cut short.
    """
    at = 0
    while at < len(records):
        if len(records) - at < HEADER_BYTES:
            raise ProtocolError(f"{len(records) - at} bytes are no record batch")
        header = read_header(records, at)
        end = at + header.size
        is_sound = header.magic == MAGIC and header.size >= HEADER_BYTES and header.last_offset_delta >= 0
        if not is_sound or end > len(records) or not is_intact(records, at, header):
            raise ProtocolError(f"the batch at offset {header.base_offset} came damaged")
        yield header, records[at:end]
        at = end


@implementer(IFollowing)
class Following:
    """
    A partition that this node follows, in one leader epoch.

    @ivar followed: what is decided about it.
    """

    def __init__(
        self,
        line: Line,
        replica: IReplica,
        state: PartitionState,
        advanced: Callable[[int], None],
        throttle: Callable[[], Throttle | None],
    ) -> None:
        kept = replica.log
        self.followed = FollowedPartition(
            state.leader,
            state.leader_epoch,
            replica.epochs,
            LogRange(kept.start_offset, kept.end_offset),
            kept.high_watermark,
            throttle,
        )
        self.identity: LogIdentity = kept.identity
        self.high_watermark = self.followed.high_watermark
        self._line = line
        self._replica = replica
        self._advanced: Callable[[int], None] | None = advanced
        self._is_counting = replica.counted_offset < kept.end_offset

    @property
    def is_counting(self) -> bool:
        """Whether there is something in our log that does not count yet."""
        return self._is_counting

    @property
    def key(self) -> PartitionKey:
        """What it is called in a fetch."""
        return self.identity.topic_id, self.identity.partition

    def appended(self, end_offset: int) -> None:
        """Hear that our copy counts up to here; once a sync that is waited for has come that far, fetch on."""
        if self._advanced is None:
            return
        self.followed.appended(end_offset)
        self.tell()
        if self._is_counting and end_offset >= self._replica.log.end_offset:
            self._is_counting = False
            self._line.done(self)

    def close(self) -> None:
        """Copy nothing any more."""
        if self._advanced is not None:
            self._advanced = None
            self._line.remove(self)

    def tell(self) -> None:
        """Tell of a new high watermark."""
        high_watermark = self.followed.high_watermark
        if self._advanced is not None and high_watermark != self.high_watermark:
            rose = high_watermark > self.high_watermark
            self.high_watermark = self._replica.log.high_watermark = high_watermark
            if rose:
                self._advanced(high_watermark)

    # What is to be done

    def take(self, step: Step, records: Buffer) -> bool:
        """Do what was decided; return whether it is done, or L{Line.done} follows."""
        try:
            if isinstance(step, Append):
                return self._append(memoryview(records))
            if isinstance(step, Cut):
                self._say_cut(step)
                self._replica.cut(step.offset)
            else:
                log.info("{partition} begins anew at {offset}", partition=str(self.identity), offset=step.offset)
                self._replica.begin_anew(step.offset)
            kept = self._replica.log
            self.followed.cut(kept.start_offset, kept.end_offset)
            self.tell()
        except (ProtocolError, StorageFailed) as error:
            self.refused(error)
        return True

    def _append(self, records: memoryview) -> bool:
        try:
            self._copy(records)
        finally:  # what came before the damage is sound
            kept = self._replica.log
            if kept.end_offset > self.followed.log.end_offset:
                self._replica.write()
                self._is_counting = self._replica.counted_offset < kept.end_offset
        return not self._is_counting

    def _copy(self, records: memoryview) -> None:
        replica, followed, kept = self._replica, self.followed, self._replica.log
        for header, batch in batches_of(records):
            if header.next_offset <= kept.end_offset:
                continue  # it came before, and could not be written then
            if followed.begins_within(header):
                replica.begin_anew(header.base_offset)
                followed.cut(kept.start_offset, kept.end_offset)
            if not followed.takes(header, kept.end_offset):
                break
            replica.copy(header, batch)

    def refused(self, error: Exception) -> None:
        """Rest a while, as what came could not be taken."""
        self._is_counting = False
        self.followed.refused(self._line.now_s())
        log.warn("{partition} cannot be copied: {why}", partition=str(self.identity), why=str(error))

    def _say_cut(self, cut: Cut) -> None:
        say = log.warn if cut.is_below_high_watermark else log.info
        say(
            "{partition} is cut from {end_offset} to {offset}, where its leader's log leaves it",
            partition=str(self.identity),
            end_offset=self._replica.log.end_offset,
            offset=cut.offset,
        )

    def follow_start(self) -> None:
        """Hide what the leader keeps no longer."""
        due = self.followed.due_start_offset
        if due is None or self._is_counting:
            return
        try:
            self._replica.advance_start(due)
        except StorageFailed as error:
            self.refused(error)
        else:
            self.followed.started(self._replica.log.start_offset)
            self._line.moved(self)


class Line:
    """What is fetched from one leader; C{crumbles} says of an answer whether its partitions are taken one by one."""

    def __init__(self, clock: IClock, leader: int, ask: Ask, hurry: Hurry, crumbles: Whim | None = None) -> None:
        self.leader = leader
        self._clock = clock
        self._ask = ask
        self._hurry = hurry
        self._fetcher = Fetcher()
        self._followings: dict[PartitionKey, Following] = {}
        self._open_steps: dict[Following, None] = {}
        self._is_asking = False
        self._is_hurried = False
        self._timer: IDelayedCall | None = None
        self._is_soon = False
        self._is_stopped = False
        self._crumbles = crumbles
        self._untaken: Iterator[Answer] = iter(())
        self._is_taking = False
        """See Note [Very many]."""
        self._taking: IDelayedCall | None = None

    def now_s(self) -> float:
        """Return the time."""
        now: float = self._clock.seconds()
        return now

    def add(self, following: Following) -> None:
        """Follow a partition from now on."""
        self._followings[following.key] = following
        self._fetcher.add(following.key, following.followed, self.now_s())
        if following.is_counting:
            self._open_steps[following] = None
        self._go_on_soon()

    def remove(self, following: Following) -> None:
        """Follow it no more."""
        if self._followings.get(following.key) is following:
            del self._followings[following.key]
            self._fetcher.remove(following.key)
        self._open_steps.pop(following, None)
        self._go_on_soon()

    def done(self, following: Following) -> None:
        """Hear that what a partition was brought counts by now."""
        if following in self._open_steps:
            del self._open_steps[following]
            self.moved(following)
            if not self._open_steps:
                self._go_on()

    def moved(self, following: Following) -> None:
        """Hear that a log begins or ends elsewhere, which the next fetch is to say."""
        self._fetcher.moved(following.key, self.now_s())

    def reachable(self) -> None:
        """Hear that the leader can be reached."""
        self._fetcher.reachable()
        self._go_on_soon()

    def stop(self) -> None:
        """Ask for nothing any more."""
        self._is_stopped = True
        self._wait_no_more()
        if self._taking is not None:
            self._taking.cancel()
            self._taking = None

    # Asking

    def _wait_no_more(self) -> None:
        self._is_soon = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _go_on_soon(self) -> None:
        """Go on in the next turn; whoever comes until then, and that may be thousands, is fetched with the others."""
        if not (self._is_stopped or self._is_soon):
            self._wait_no_more()
            self._is_soon = True
            self._timer = self._clock.callLater(0, self._due)

    def _due(self) -> None:
        self._timer, self._is_soon = None, False
        self._go_on()

    def _go_on(self) -> None:
        """Fetch, if it is time; see Note [One after the other]."""
        if self._is_stopped or self._is_taking or self._open_steps:
            return
        fetch = self._fetcher.next_fetch(self.now_s())
        if fetch is not None:
            self._wait_no_more()
            self._is_asking, self._is_hurried = True, False
            self._ask(self.leader, fetch).addCallbacks(self._answered, self._unanswered).addErrback(self._failed)
            self._wake_at(self._fetcher.rested_s)
        elif not self._is_asking:
            self._wake_at(self._fetcher.wake_s)
        elif not self._is_hurried:
            self._hurry_on()

    def _hurry_on(self) -> None:
        """Have the fetch under way answered where something else is to be asked for.  See Note [Answer now]."""
        if self._fetcher.is_kept_waiting(self.now_s()):
            self._is_hurried = True
            self._hurry(self.leader)
        else:
            self._wake_at(self._fetcher.rested_s)

    def _wake_at(self, time_s: float | None) -> None:
        if time_s is not None and self._timer is None:
            self._timer = self._clock.callLater(max(0.0, time_s - self.now_s()), self._due)

    def _answered(self, response: FetchResponse | LoneFetchResponse) -> None:
        self._is_asking = False
        if self._is_stopped:
            return
        if self._fetcher.heard(error_of(response.error_code), response.session_id, self.now_s()):
            self._untaken = fetch_answers(response)
        self._is_taking = True
        self._take_on(1 if fires(self._crumbles) else TAKEN_AT_ONCE)

    def _take_on(self, at_once: int) -> None:
        """Take some of what has come, and fetch on after the last of it."""
        self._taking = None
        some = list(islice(self._untaken, at_once))
        self._take_some(some)
        if len(some) == at_once and not self._is_stopped:
            self._taking = self._clock.callLater(0, self._take_later, at_once)
        else:
            self._is_taking = False
            self._go_on()

    def _take_later(self, at_once: int) -> None:
        maybeDeferred(self._take_on, at_once).addErrback(self._failed)

    def _take_some(self, some: Sequence[Answer]) -> None:
        steps = dict(self._fetcher.answered([(key, answer) for key, answer, _ in some], self.now_s()))
        due = []
        for key, _, records in some:
            if (following := self._followings.get(key)) is not None:
                following.tell()
                following.follow_start()
                if (step := steps.get(key)) is not None:
                    due.append((following, step, records if isinstance(records, Buffer) else b"".join(records)))
        self._open_steps.update((following, None) for following, _, _ in due)  # all, before any of them is done
        for following, step, brought in due:
            self._take(following, step, brought)

    def _take(self, following: Following, step: Step, records: Buffer) -> None:
        if following not in self._open_steps:
            return  # it is followed no more, which an earlier step led to
        if isinstance(step, Append):
            following.followed.copied(len(records), self.now_s())
        try:
            is_done = following.take(step, records)
        except Exception as error:  # of one partition; the others have nothing to do with it
            log.failure("{partition} cannot be copied", partition=str(following.identity))
            following.refused(error)
            is_done = True
        if is_done:
            self.done(following)

    def _unanswered(self, failure: Failure) -> None:
        failure.trap(Exception)
        self._is_asking = False
        if not self._is_stopped:
            self._fetcher.unanswered(self.now_s())
            self._go_on()

    def _failed(self, failure: Failure) -> None:
        log.failure("what node {leader} sent could not be taken", failure, leader=self.leader)
        self._untaken, self._is_taking = iter(()), False
        if not self._is_asking and not self._is_stopped:
            self._fetcher.unanswered(self.now_s())
            self._go_on()
