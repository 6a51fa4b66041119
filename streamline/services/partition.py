"""
One partition as those who write it and read it see it: what counts of it, who waits for it, what may be read.

An append has two phases.  L{Taking.append} checks a batch, stamps it and
hands it to the log, all before the connection's next request is looked at, so
that batches enter the log in the order in which they arrived.  L{Partition.flush}
then gives everything collected to the operating system in one write; only what
it wrote is ever counted, shown or acknowledged.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from streamline.config import INT64_MAX, TopicConfig
from streamline.errors import ErrorCode, Refused, StorageFailed
from streamline.interfaces import IAcksPolicy, IClock, IFollowing, ILeadership, ILendsRecords, IPartitionLog
from streamline.model import NO_OFFSET, LogSlice, PartitionState
from streamline.replication.acks import Standing, is_due, refusal_of
from streamline.replication.epochs import LeaderEpochs
from streamline.replication.followers import FollowerFetch
from streamline.replication.reading import check_follower_read, check_leader_epoch, check_leader_read
from streamline.replication.truncation import LogRange, find_divergence
from streamline.services.purgatory import Gathering, Queue
from streamline.services.receipts import Receipt
from streamline.services.taking import Taking
from streamline.services.telling import Copier, Reader, tell
from streamline.transactions.producers import ProducerStates

log = Logger()

class Partition(Taking):
    """
    The copy of a partition that this node has, whatever it is for it; see L{streamline.services.replica}.

    @ivar counted_offset: our own copy counts up to here: flushed, or synced where the topic asks for that.
    @ivar appended_bytes: bytes of batches taken since the start; C{appended_records} likewise.
    """

    def __init__(
        self,
        log: IPartitionLog,
        state: PartitionState,
        config: TopicConfig,
        acks: IAcksPolicy,
        clock: IClock,
        epochs: LeaderEpochs,
        producers: ProducerStates,
        gathering: Gathering,
    ) -> None:
        super().__init__(log, state, config, acks, clock, epochs, producers)
        self._lend = log.lend if ILendsRecords.providedBy(log) else log.read
        self.counted_offset = self._flushed_offset = log.flushed_offset
        self.appended_bytes = 0
        self.appended_records = 0
        self._for_commit = Queue(gathering)
        self._for_count = Queue(gathering)
        self._for_start = Queue(gathering)
        self._following: IFollowing | None = None
        self._readers: dict[Reader, None] = {}
        self._copiers: dict[Copier, None] = {}
        self._cuts = 0
        """How often the log was cut: a sync that began before says nothing about what came afterwards."""
        self._unread: deque[tuple[int, int]] = deque()
        """(end offset, bytes) of what was flushed and consumers may not read yet."""
        self._unsynced_records = 0
        self._syncs = 0
        """Syncs in flight that acknowledgements wait for."""
        self._sync_timer: IDelayedCall | None = None

    @property
    def is_led(self) -> bool:
        """Whether this node leads it."""
        return self._leadership is not None

    @property
    def is_followed(self) -> bool:
        """Whether this node copies it from a leader."""
        return self._following is not None

    @property
    def leadership(self) -> ILeadership | None:
        """What this node is as the leader; another one with each leader epoch, and none where it does not lead."""
        return self._leadership

    @property
    def high_watermark(self) -> int:
        """Consumers may read up to here."""
        role = self._leadership or self._following
        return role.high_watermark if role is not None else self.log.high_watermark

    def configure(self, config: TopicConfig) -> None:
        """Follow other settings, from the next batch on; what waits to be synced is synced now."""
        self.log.configure(config)
        self._follow_settings(config)
        if self._sync_timer is not None:
            self._sync_timer.reset(0)

    # Its end

    def close(self, refusal: Refused) -> Deferred[None]:
        """Be nothing any more; whoever waits is told C{refusal}."""
        self._stop(refusal)
        written_down = self.books.close()
        return self.log.close().addCallback(lambda _: written_down)

    def abandon(self, refusal: Refused) -> None:
        """Be nothing any more, without writing anything: the log is about to be discarded."""
        self._stop(refusal)

    def _stop(self, refusal: Refused) -> None:
        self.offline = self.offline or refusal
        if self._sync_timer is not None:
            self._sync_timer.cancel()
            self._sync_timer = None
        for role in (self._leadership, self._following):
            if role is not None:
                role.close()
        self._release()

    def _release(self) -> None:
        """Tell everybody who waits to look again: what they waited for may not come."""
        self._for_commit.release_all()
        self._for_count.release_all()
        self._for_start.release_all()
        tell(self._readers, lambda reader: reader(0), self)
        tell(self._copiers, lambda copier: copier.more(0), self)

    # Writing

    def flush(self) -> None:
        """Write what was collected; count it, or wait for the sync that the topic asks for."""
        log = self.log
        receipts, self._unflushed = self._unflushed, []
        size_bytes, self._unflushed_bytes = self._unflushed_bytes, 0
        self.appended_bytes += size_bytes
        self.books.unsaved_bytes += size_bytes
        try:
            log.flush()
        except StorageFailed as error:
            self._take_back(receipts, self._not_written(error))
        else:
            self._trouble = ""
            self.producers.settle()
            if size_bytes and self._copiers:
                tell(self._copiers, lambda copier: copier.more(size_bytes), self)
        flushed_offset = log.flushed_offset
        count, self._flushed_offset = flushed_offset - self._flushed_offset, flushed_offset
        self.appended_records += count
        self._unsynced_records += count
        if size_bytes:
            self._unread.append((flushed_offset, size_bytes))
        if self._unsynced_records >= self.config.flush_messages:
            self._sync()
        elif not self._syncs:
            self._count(flushed_offset)
            if self._sync_timer is None and self._unsynced_records and self.config.flush_ms != INT64_MAX:
                self._sync_timer = self._clock.callLater(self.config.flush_ms / 1000, self._sync_is_due)

    def _take_back(self, receipts: list[Receipt], refusal: Refused) -> None:
        """
        Forget the batches that could not be written.

        Those before the last roll were written with it, and stay: told otherwise, their producer would send them again.
        """
        kept = self.log.flushed_offset
        self.producers.take_back(kept, self._clock.wall_ms())
        for receipt in receipts:
            if receipt.next_offset > kept:
                receipt.refusal = refusal
        try:
            self.log.flush()
        except StorageFailed:  # it is closed for good, not just full
            self._stop(refusal)

    def _sync(self) -> None:
        """Sync, and acknowledge nothing more until that has ended: flush.messages says how much may be lost."""
        self._unsynced_records = 0
        self._syncs += 1
        self.log.sync().addCallbacks(self._synced, self._sync_failed, callbackArgs=(self._cuts,))

    def _sync_is_due(self) -> None:
        self._sync_timer = None
        if self._unsynced_records:
            self._unsynced_records = 0
            self.log.sync().addErrback(self._sync_failed)

    def _synced(self, offset: int, cuts: int) -> None:
        if cuts != self._cuts:
            return
        self._syncs -= 1
        self._count(offset if self._syncs else self.log.flushed_offset)

    def _sync_failed(self, failure: Failure) -> None:
        """A failed sync is never tried again: the pages may be gone.  Nothing that waited for it is acknowledged."""
        if self.offline is None:
            self._stop(self._not_written(failure.value or StorageFailed("the sync failed")))

    def _count(self, offset: int) -> None:
        """Our own copy counts up to C{offset}."""
        if offset <= self.counted_offset:
            return
        self.counted_offset = offset  # also between two roles: who leads next begins with what counts
        role = self._leadership or self._following
        if role is not None:
            role.appended(offset)
            self._for_count.advance(offset)

    def _advanced(self, high_watermark: int) -> None:
        """Hear that consumers may read further; whoever waits for that may do anything, also append."""
        unread, size_bytes = self._unread, 0
        while unread and unread[0][0] <= high_watermark:
            size_bytes += unread.popleft()[1]
        if size_bytes and self._readers:
            tell(self._readers, lambda reader: reader(size_bytes), self)
        self._for_commit.advance(high_watermark)
        if self._copiers:
            tell(self._copiers, lambda copier: copier.committed(), self)

    def start_moved(self) -> None:
        """Have followers hear that the log begins later; nobody else asks for that."""
        tell(self._copiers, lambda copier: copier.committed(), self)

    # Waiting

    def is_settled(self, receipt: Receipt, acks: int) -> bool:
        """Say whether a batch that was appended can be answered."""
        if receipt.refusal is not None or self.offline is not None or receipt.leadership is not self._leadership:
            return True
        policy, leadership, next_offset = self._acks, receipt.leadership, receipt.next_offset
        if leadership is None:
            return True
        reached = leadership.high_watermark if policy.waits_for_commit(acks) else self.counted_offset
        return reached >= next_offset or is_due(policy, acks, next_offset, self._standing(leadership))

    def when_settled(self, receipt: Receipt, acks: int, settle: Callable[[], None]) -> None:
        """Call C{settle} as soon as that is so."""
        if self._acks.waits_for_commit(acks):
            self._for_commit.until(receipt.next_offset, settle, acks)
        else:
            self._for_count.until(receipt.next_offset, settle)

    def _release_vain(self) -> None:
        """Hear that the ISR or what committing takes has changed: who waits in vain is told so at once (KR24)."""
        if self._for_start:
            self._for_start.advance(self.low_watermark)
        policy, leadership = self._acks, self._leadership
        if leadership is not None:
            standing = self._standing(leadership)
            self._for_commit.release_where(lambda acks: is_due(policy, acks, INT64_MAX, standing))

    def _standing(self, leadership: ILeadership) -> Standing:
        return Standing(self.counted_offset, leadership.high_watermark, len(leadership.isr), leadership.min_isr)

    def when_committed(self, end_offset: int) -> Deferred[None]:
        """Fire when everything up to an offset is committed, or when this leadership ends."""
        committed: Deferred[None] = Deferred()
        self._for_commit.until(end_offset, lambda: committed.callback(None))
        return committed

    def verdict(self, receipt: Receipt, acks: int) -> Refused | None:
        """Look at a batch for the last time: None where it is acknowledged, or why it cannot be."""
        if receipt.refusal is not None:
            return receipt.refusal
        leadership = self._leadership
        if leadership is None or receipt.leadership is not leadership:
            return self.offline.again() if self.offline is not None else Refused(ErrorCode.NOT_LEADER_OR_FOLLOWER)
        refusal = refusal_of(self._acks, acks, receipt.next_offset, self._standing(leadership))
        return self.offline.again() if refusal is not None and self.offline is not None else refusal

    def acknowledges(self, receipts: Iterable[Receipt], acks: int) -> bool:
        """Say whether the verdict on every one of these would be None."""
        policy, leadership = self._acks, self._leadership
        if leadership is None:
            return False
        reached = leadership.high_watermark if policy.waits_for_commit(acks) else self.counted_offset
        for receipt in receipts:
            if receipt.next_offset > reached or receipt.refusal is not None or receipt.leadership is not leadership:
                return False
        with suppress(Refused):
            policy.settle(acks, len(leadership.isr), leadership.min_isr)
            return True
        return False

    def add_reader(self, reader: Reader) -> None:
        """Call this with the number of bytes whenever more can be read."""
        self._readers[reader] = None

    def drop_reader(self, reader: Reader) -> None:
        """Call it no more."""
        self._readers.pop(reader, None)

    def add_copier(self, copier: Copier) -> None:
        """Tell this one whenever there is more that followers can read, or more is committed."""
        self._copiers[copier] = None

    def drop_copier(self, copier: Copier) -> None:
        """Tell it no more."""
        self._copiers.pop(copier, None)

    # Reading

    def check_epoch(self, current_leader_epoch: int) -> None:
        """
        Compare the epoch that a client believes in with ours (KIP-320).

        @raise Refused: FENCED_LEADER_EPOCH or UNKNOWN_LEADER_EPOCH.
        """
        if self.offline is not None:
            raise self.offline.again()
        check_leader_epoch(current_leader_epoch, self.state.leader_epoch)

    def check_leader_read(self, offset: int) -> None:
        """See whether a consumer may read from here, where this node leads; raises OFFSET_OUT_OF_RANGE."""
        check_leader_read(offset, self._range())

    def check_follower_read(self, offset: int) -> None:
        """
        See whether a consumer may read from here, where this node follows (KR10).

        @raise Refused: OFFSET_NOT_AVAILABLE, or OFFSET_OUT_OF_RANGE.
        """
        check_follower_read(offset, self._range(), self.high_watermark)

    def read(
        self, offset: int, max_bytes: int, at_least_one: bool, *, is_sent: bool = False
    ) -> LogSlice | Deferred[LogSlice]:
        """
        Return committed batches from the one that holds C{offset}; to who only sends them, they may be lent.

        @raise Refused: OFFSET_OUT_OF_RANGE outside of [start, end].
        """
        if offset < self.log.start_offset or offset > self.log.flushed_offset:
            raise Refused(ErrorCode.OFFSET_OUT_OF_RANGE)
        read = self._lend if is_sent else self.log.read
        return read(offset, max_bytes, end_offset=self.high_watermark, at_least_one=at_least_one)

    def read_as_replica(self, offset: int, max_bytes: int, at_least_one: bool) -> LogSlice | Deferred[LogSlice]:
        """Return batches from the one that holds C{offset}, committed or not, to a follower that may fetch."""
        log = self.log
        if offset < (committed := self.high_watermark):  # what is not may be overwritten while it waits to be sent
            found = self._lend(offset, max_bytes, end_offset=log.flushed_offset, at_least_one=at_least_one)
            if isinstance(found, Deferred) or found.lent is None or found.next_offset <= committed:
                return found
        return log.read(offset, max_bytes, end_offset=log.flushed_offset, at_least_one=at_least_one)

    def fetched(self, follower: FollowerFetch) -> tuple[int, int] | None:
        """
        Hear that a follower fetches; return where its log and ours part, or None.

        @raise Refused: it may not fetch from here.
        """
        if self.offline is not None:
            raise self.offline.again()
        if self._leadership is None:
            raise Refused(ErrorCode.NOT_LEADER_OR_FOLLOWER)
        parted = self._leadership.fetched(follower)
        if self._for_start:
            self._for_start.advance(self.low_watermark)
        return parted

    @property
    def latest_offset(self) -> int:
        """
        What consumers are told is the end of the log.

        @raise Refused: OFFSET_NOT_AVAILABLE while that is not known (KR9).
        """
        return self.high_watermark if self._leadership is None else self._leadership.latest_offset()

    def divergence(self, offset: int, last_fetched_epoch: int) -> tuple[int, int] | None:
        """
        Return the (epoch, end offset) at which a reader's log and ours part, or None where they agree (KIP-595).

        @raise Refused: OFFSET_OUT_OF_RANGE, where that cannot be said, or where it lies before all that is kept.
        """
        return find_divergence(self.epochs, self._range(), offset, last_fetched_epoch)

    def _range(self) -> LogRange:
        return LogRange(self.log.start_offset, self.log.flushed_offset)

    @property
    def low_watermark(self) -> int:
        """Where the log begins of the replica that keeps most; L{NO_OFFSET} where that is not known."""
        return NO_OFFSET if self._leadership is None else self._leadership.low_watermark()

    def when_deleted(self, offset: int, settle: Callable[[], None]) -> None:
        """Call C{settle} once no replica has anything below C{offset}, or when this leadership ends."""
        self._for_start.until(offset, settle)

    def checkpoint(self) -> None:
        """Write down what would otherwise take long to read from the log again."""
        self.books.checkpoint()
