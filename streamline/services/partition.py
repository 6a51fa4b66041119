"""
One partition that this node leads: its log, its producers, its epochs, and who waits for it.

An append has two phases.  L{Partition.append} checks a batch, stamps it and
hands it to the log, all before the connection's next request is looked at, so
that batches enter the log in the order in which they arrived.  L{Partition.flush}
then gives everything collected to the operating system in one write; only what
it wrote is ever counted, shown or acknowledged.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from streamline.config import INT64_MAX, TopicConfig
from streamline.errors import ErrorCode, Refused, StorageFailed
from streamline.interfaces import IAcksPolicy, IClock, ILeadership, IPartitionLog, IReplicator
from streamline.model import NO_OFFSET, NO_PRODUCER_ID, NO_TIMESTAMP, Buffer, LogSlice, PartitionState
from streamline.replication.epochs import LeaderEpochs
from streamline.services.bookkeeping import Bookkeeping
from streamline.services.purgatory import Gathering, Queue
from streamline.services.receipts import Receipt
from streamline.transactions.producers import Batch, ProducerStates
from streamline.wire.batch import BatchHeader, read_header, stamp_append_time, stamp_max_timestamp
from streamline.wire.quick import Looked, look

log = Logger()

Reader = Callable[[int], None]
"""Called with the bytes that have become readable; 0 where something else happened."""

WASTE_BYTES = 16 * 1024
"""A batch that lies in a frame this much larger is copied, or the storage's memory of it would keep the frame."""


class Partition:
    """
    A partition as its leader sees it.

    @ivar counted_offset: our own copy counts up to here: flushed, or synced where the topic asks for that.
    @ivar offline: why nothing can be done with it any more, or None.
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
        self.log = log
        self.state = state
        self.epochs = epochs
        self.producers = producers
        self.books = Bookkeeping(log, epochs, producers)
        self.counted_offset = log.flushed_offset
        self.offline: Refused | None = None
        self.appended_bytes = self.appended_records = 0
        self._acks = acks
        self._clock = clock
        self._leadership: ILeadership | None = None
        self._for_commit = Queue(gathering)
        self._for_count = Queue(gathering)
        self._readers: dict[Reader, None] = {}
        self._unflushed: list[Receipt] = []
        self._unflushed_bytes = self._unflushed_records = 0
        self._segment_offset = log.segment_offset
        self._unread: deque[tuple[int, int]] = deque()
        """(end offset, bytes) of what was flushed and consumers may not read yet."""
        self._unsynced_records = 0
        self._syncs = 0
        """Syncs in flight that acknowledgements wait for."""
        self._sync_timer: IDelayedCall | None = None
        self._trouble = ""
        self._follow(config)

    def configure(self, config: TopicConfig) -> None:
        """Follow other settings, from the next batch on; what waits to be synced is synced now."""
        self.log.configure(config)
        self._follow(config)
        if self._sync_timer is not None:
            self._sync_timer.reset(0)

    def _follow(self, config: TopicConfig) -> None:
        self.config = config
        self._stamps_time = config.message_timestamp_type == "LogAppendTime"
        self._is_plain = not self._stamps_time and config.compression_type == "producer"

    # Leading

    def lead(self, replicator: IReplicator) -> None:
        """Begin to lead; from here on batches carry our epoch, which is written down before the first one."""
        books, epochs = self.books, self.epochs
        if self.state.leader_epoch > epochs.latest:
            epochs.assign(self.state.leader_epoch, self.log.end_offset)
            books.epochs_changed = True
            if len(epochs.entries()) > 1:  # a log's only epoch follows from its first batch
                books.save_epochs()
        self._leadership = replicator.lead(self.log, self.state, self.config.min_insync_replicas, self._advanced)

    @property
    def high_watermark(self) -> int:
        """Consumers may read up to here."""
        return self._leadership.high_watermark if self._leadership is not None else self.log.high_watermark

    def close(self, refusal: Refused) -> Deferred[None]:
        """Lead no more; whoever waits is told C{refusal}."""
        self._stop(refusal)
        self.books.close()
        return self.log.close()

    def abandon(self, refusal: Refused) -> None:
        """Lead no more, without writing anything: the log is about to be discarded."""
        self._stop(refusal)

    def _stop(self, refusal: Refused) -> None:
        self.offline = self.offline or refusal
        if self._sync_timer is not None:
            self._sync_timer.cancel()
            self._sync_timer = None
        if self._leadership is not None:
            self._leadership.close()
        self._for_commit.release_all()
        self._for_count.release_all()
        self._poke(0)

    # Appending

    def look(self, records: Buffer | None, now_ms: int) -> Looked | None:
        """Take the quick look at a batch; None where it or the topic is not plain, and it needs a close one."""
        if records is None or not self._is_plain:
            return None
        config = self.config
        return look(
            records,
            config.max_message_bytes,
            now_ms - config.message_timestamp_before_max_ms,
            now_ms + config.message_timestamp_after_max_ms,
        )

    def append(self, records: Buffer, looked: Looked, acks: int) -> Receipt:
        """
        Take one batch that has been checked by itself; check it against this partition, stamp and collect it.

        @param looked: what was seen in it; a header that says otherwise of the greatest timestamp is put right.
        @raise Refused: it was not taken.
        """
        header, max_timestamp, has_null_key = looked
        leadership = self._leadership
        if self.offline is not None or leadership is None:
            raise self.offline.again() if self.offline is not None else Refused(ErrorCode.NOT_LEADER_OR_FOLLOWER)
        if header.attributes and header.is_transactional:
            raise Refused(ErrorCode.INVALID_TXN_STATE, "no transaction is open: this release serves none")
        if has_null_key and self.config.compacts:
            raise Refused(ErrorCode.INVALID_RECORD, "every record of a compacted topic needs a key")
        self._acks.admit(acks, len(leadership.isr), self.config.min_insync_replicas)
        if header.producer_id != NO_PRODUCER_ID:
            known = self.producers.check(
                header.producer_id, header.producer_epoch, header.base_sequence, header.last_sequence
            )
            if known is not None:
                return self._again(known)
        return self._collect(records, header, max_timestamp)

    def _again(self, known: Batch) -> Receipt:
        """Answer a batch that is here already as it was, or would have been, answered the first time."""
        timestamp_ms = known.timestamp_ms if self._stamps_time else NO_TIMESTAMP
        receipt = Receipt(self, known.first_offset, known.last_offset + 1, timestamp_ms)
        if receipt.next_offset > self.log.flushed_offset:
            self._unflushed.append(receipt)
        return receipt

    def _collect(self, records: Buffer, header: BatchHeader, max_timestamp: int) -> Receipt:
        if type(records) is not memoryview or len(records.obj) > len(records) + WASTE_BYTES:  # type: ignore[arg-type]
            records = memoryview(bytes(records))
        log = self.log
        append_time_ms = NO_TIMESTAMP
        if self._stamps_time or header.max_timestamp != max_timestamp:
            head, header, append_time_ms = self._restamp(records, max_timestamp)
        else:
            head = header.place(log.end_offset, self.state.leader_epoch)
        try:
            log.append(header, (head, records[len(head) :]))
        except StorageFailed as error:
            raise self._not_written(error) from error
        next_offset = log.end_offset
        if log.segment_offset != self._segment_offset:
            self._segment_offset = log.segment_offset
            self.books.rolled()  # which may close the log, and take what it had not written off its end
        if header.producer_id != NO_PRODUCER_ID:
            self._remember(header)
        self._unflushed_bytes += len(records)
        self._unflushed_records += header.record_count
        receipt = Receipt(self, header.base_offset, next_offset, append_time_ms)
        self._unflushed.append(receipt)
        return receipt

    def _restamp(self, view: memoryview, max_timestamp: int) -> tuple[bytes, BatchHeader, int]:
        """Return a header to replace the batch's own, as bytes and as it is then, and the append time."""
        offset, epoch = self.log.end_offset, self.state.leader_epoch
        if self._stamps_time:
            now_ms = self._clock.wall_ms()
            head = stamp_append_time(view, offset, epoch, now_ms)
            return head, read_header(head), now_ms
        head = stamp_max_timestamp(view, offset, epoch, max_timestamp)
        return head, read_header(head), NO_TIMESTAMP

    def _remember(self, header: BatchHeader) -> None:
        batch = Batch(
            header.base_sequence, header.last_sequence, header.base_offset, header.last_offset, header.max_timestamp
        )
        self.producers.wrote(header.producer_id, header.producer_epoch, batch, self._clock.wall_ms())
        self.books.unsaved_batches += 1

    def flush(self) -> None:
        """Write what was collected; count it, or wait for the sync that the topic asks for."""
        log = self.log
        receipts, self._unflushed = self._unflushed, []
        size_bytes, self._unflushed_bytes = self._unflushed_bytes, 0
        count, self._unflushed_records = self._unflushed_records, 0
        self.appended_bytes += size_bytes
        self.appended_records += count
        self._unsynced_records += count
        try:
            log.flush()
        except StorageFailed as error:
            self._take_back(receipts, self._not_written(error))
        else:
            self._trouble = ""
            self.producers.settle()
        flushed_offset = log.flushed_offset
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
        self.producers.take_back(kept)
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
        self.log.sync().addCallbacks(self._synced, self._sync_failed)

    def _sync_is_due(self) -> None:
        self._sync_timer = None
        if self._unsynced_records:
            self._unsynced_records = 0
            self.log.sync().addErrback(self._sync_failed)

    def _synced(self, offset: int) -> None:
        self._syncs -= 1
        self._count(offset if self._syncs else self.log.flushed_offset)

    def _sync_failed(self, failure: Failure) -> None:
        """A failed sync is never tried again: the pages may be gone.  Nothing that waited for it is acknowledged."""
        if self.offline is None:
            self._stop(self._not_written(failure.value or StorageFailed("the sync failed")))

    def _count(self, offset: int) -> None:
        """Our own copy counts up to C{offset}."""
        if offset > self.counted_offset and self._leadership is not None:
            self.counted_offset = offset
            self._leadership.appended(offset)
            self._for_count.advance(offset)

    def _advanced(self, high_watermark: int) -> None:
        """Hear that consumers may read further; whoever waits for that may do anything, also append."""
        unread, size_bytes = self._unread, 0
        while unread and unread[0][0] <= high_watermark:
            size_bytes += unread.popleft()[1]
        if size_bytes and self._readers:
            self._poke(size_bytes)
        self._for_commit.advance(high_watermark)

    def _not_written(self, error: BaseException) -> Refused:
        why = str(error)
        if why != self._trouble:
            self._trouble = why
            log.error("{partition} cannot be written: {why}", partition=str(self.log.identity), why=why)
        return Refused(ErrorCode.KAFKA_STORAGE_ERROR, why)

    # Waiting

    def is_settled(self, receipt: Receipt, acks: int) -> bool:
        """Say whether a batch that was appended can be answered."""
        if receipt.refusal is not None or self.offline is not None:
            return True
        reached = self.high_watermark if self._acks.waits_for_commit(acks) else self.counted_offset
        return reached >= receipt.next_offset

    def when_settled(self, receipt: Receipt, acks: int, settle: Callable[[], None]) -> None:
        """Call C{settle} as soon as that is so."""
        queue = self._for_commit if self._acks.waits_for_commit(acks) else self._for_count
        queue.until(receipt.next_offset, settle)

    def verdict(self, receipt: Receipt, acks: int) -> Refused | None:
        """Look at a batch for the last time: None where it is acknowledged, or why it cannot be."""
        if receipt.refusal is not None:
            return receipt.refusal
        policy, leadership = self._acks, self._leadership
        assert leadership is not None
        reached = leadership.high_watermark if policy.waits_for_commit(acks) else self.counted_offset
        if reached < receipt.next_offset:
            return self.offline.again() if self.offline is not None else Refused(ErrorCode.REQUEST_TIMED_OUT)
        try:
            policy.settle(acks, len(leadership.isr), self.config.min_insync_replicas)
        except Refused as late:
            return late
        return None

    def add_reader(self, reader: Reader) -> None:
        """Call this with the number of bytes whenever more can be read."""
        self._readers[reader] = None

    def drop_reader(self, reader: Reader) -> None:
        """Call it no more."""
        self._readers.pop(reader, None)

    def _poke(self, size_bytes: int) -> None:
        for reader in list(self._readers):
            try:
                reader(size_bytes)
            except Exception:  # a reader's trouble is not that of whoever appended
                log.failure("a reader of {partition} failed", partition=str(self.log.identity))
                self.drop_reader(reader)

    # Reading

    def check_epoch(self, current_leader_epoch: int) -> None:
        """
        Compare the epoch that a client believes in with ours (KIP-320).

        @raise Refused: FENCED_LEADER_EPOCH or UNKNOWN_LEADER_EPOCH.
        """
        if self.offline is not None:
            raise self.offline.again()
        if 0 <= current_leader_epoch < self.state.leader_epoch:
            raise Refused(ErrorCode.FENCED_LEADER_EPOCH)
        if current_leader_epoch > self.state.leader_epoch:
            raise Refused(ErrorCode.UNKNOWN_LEADER_EPOCH)

    def read(self, offset: int, max_bytes: int, at_least_one: bool) -> LogSlice | Deferred[LogSlice]:
        """
        Return committed batches from the one that holds C{offset}.

        @raise Refused: OFFSET_OUT_OF_RANGE outside of [start, end].
        """
        if offset < self.log.start_offset or offset > self.log.flushed_offset:
            raise Refused(ErrorCode.OFFSET_OUT_OF_RANGE)
        high_watermark = self.high_watermark
        return self.log.read(offset, max_bytes, end_offset=high_watermark, at_least_one=at_least_one)

    def divergence(self, offset: int, last_fetched_epoch: int) -> tuple[int, int] | None:
        """
        Return the (epoch, end offset) at which a reader's log and ours part, or None where they agree (KIP-595).

        @raise Refused: OFFSET_OUT_OF_RANGE, where that cannot be said, or where it lies before all that is kept.
        """
        epoch, end_offset = self.epochs.end_of(last_fetched_epoch, self.log.flushed_offset)
        if end_offset == NO_OFFSET or offset < self.log.start_offset:
            raise Refused(ErrorCode.OFFSET_OUT_OF_RANGE)
        if epoch < last_fetched_epoch or end_offset < offset:
            return epoch, end_offset
        return None

    # Keeping

    def checkpoint(self) -> None:
        """Write down what would otherwise take long to read from the log again."""
        self.books.checkpoint()
