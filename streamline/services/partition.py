"""
One partition that this node leads: its log, its producers, its epochs, and who waits for it.

An append has two phases.  L{Partition.append} checks a batch, stamps it and
hands it to the log, all before the connection's next request is looked at, so
that batches enter the log in the order in which they arrived.  L{Partition.flush}
then gives everything collected to the operating system in one write; only what
it wrote is ever counted, shown or acknowledged.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from streamline.config import TopicConfig
from streamline.errors import ErrorCode, Refused, StorageFailed
from streamline.interfaces import IAcksPolicy, IClock, ILeadership, IPartitionLog, IReplicator
from streamline.model import NO_OFFSET, NO_PRODUCER_ID, NO_TIMESTAMP, Buffer, LogSlice, PartitionState
from streamline.replication.epochs import CHECKPOINT_NAME, LeaderEpochs, dump_epochs
from streamline.services.purgatory import Queue
from streamline.transactions.producers import Batch, ProducerStates
from streamline.transactions.snapshots import blob_offset, dump_producers
from streamline.wire.batch import BatchHeader, read_header, stamp, stamp_append_time, stamp_max_timestamp
from streamline.wire.quick import Looked, look

log = Logger()

SNAPSHOTS_KEPT = 3
"""Producer snapshots of a log: the newest, and two in case it is damaged."""

Reader = Callable[[int], None]
"""Called with the bytes that have become readable."""


class Receipt:
    """
    What became of one batch.

    @ivar next_offset: the batch is safe once what the acks ask for has reached this offset.
    @ivar refusal: why it was not kept, or None.
    """

    __slots__ = ("append_time_ms", "base_offset", "next_offset", "partition", "refusal")

    def __init__(self, partition: Partition | None, base_offset: int, next_offset: int, append_time_ms: int) -> None:
        self.partition = partition
        self.base_offset = base_offset
        self.next_offset = next_offset
        self.append_time_ms = append_time_ms
        self.refusal: Refused | None = None


def refused(refusal: Refused) -> Receipt:
    """Return the receipt of a batch that was not taken."""
    receipt = Receipt(None, NO_OFFSET, NO_OFFSET, NO_TIMESTAMP)
    receipt.refusal = refusal
    return receipt


class Partition:
    """
    A partition as its leader sees it.

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
    ) -> None:
        self.log = log
        self.state = state
        self.config = config
        self.epochs = epochs
        self.producers = producers
        self.counted_offset = log.flushed_offset
        self.offline: Refused | None = None
        self.appended_bytes = 0
        self.appended_records = 0
        self._acks = acks
        self._clock = clock
        self._leadership: ILeadership | None = None
        self._for_commit = Queue()
        self._for_count = Queue()
        self._readers: dict[Reader, None] = {}
        self._unflushed: list[Receipt] = []
        self._unflushed_bytes = 0
        self._unsynced_records = 0
        self._epochs_changed = False
        self._stamps_time = config.message_timestamp_type == "LogAppendTime"
        self._is_plain = not self._stamps_time and config.compression_type == "producer"
        """Whether batches are stored as they come, so that a quick look is enough."""

    # Leading

    def lead(self, replicator: IReplicator) -> None:
        """Begin to lead."""
        self._leadership = replicator.lead(self.log, self.state, self.config.min_insync_replicas, self._advanced)

    @property
    def high_watermark(self) -> int:
        """Consumers may read up to here."""
        return self._leadership.high_watermark if self._leadership is not None else self.log.high_watermark

    def close(self, refusal: Refused) -> Deferred[None]:
        """Lead no more; whoever waits is told C{refusal}."""
        self._stop(refusal)
        self.checkpoint()
        return self.log.close()

    def abandon(self, refusal: Refused) -> None:
        """Lead no more, without writing anything: the log is about to be discarded."""
        self._stop(refusal)

    def _stop(self, refusal: Refused) -> None:
        self.offline = self.offline or refusal
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
            max(0, now_ms - config.message_timestamp_before_max_ms),
            now_ms + config.message_timestamp_after_max_ms,
        )

    def append(self, records: Buffer, header: BatchHeader, max_timestamp: int, acks: int) -> Receipt:
        """
        Take one batch that has been checked by itself; check it against this partition, stamp and collect it.

        @param max_timestamp: the greatest timestamp of its records; a header that says otherwise is put right.
        @raise Refused: it was not taken.
        """
        leadership = self._leadership
        if self.offline is not None or leadership is None:
            raise self.offline or Refused(ErrorCode.NOT_LEADER_OR_FOLLOWER)
        if header.is_transactional:
            raise Refused(ErrorCode.INVALID_TXN_STATE, "no transaction is open: this release serves none")
        self._acks.admit(acks, len(leadership.isr), self.config.min_insync_replicas)
        if header.producer_id != NO_PRODUCER_ID:
            known = self.producers.check(
                header.producer_id, header.producer_epoch, header.base_sequence, header.last_sequence
            )
            if known is not None:
                return Receipt(self, known.first_offset, known.last_offset + 1, NO_TIMESTAMP)
        return self._collect(memoryview(records), header, max_timestamp)

    def _collect(self, view: memoryview, header: BatchHeader, max_timestamp: int) -> Receipt:
        log = self.log
        segment_offset = log.segment_offset
        append_time_ms = NO_TIMESTAMP
        if header.max_timestamp == max_timestamp and not self._stamps_time:
            header.base_offset = log.end_offset
            header.partition_leader_epoch = self.state.leader_epoch
            head = stamp(view, header.base_offset, header.partition_leader_epoch)
        else:
            head, header, append_time_ms = self._restamp(view, header, max_timestamp)
        try:
            log.append(header, (head, view[len(head) :]))
        except StorageFailed as error:
            raise self._fail(error) from error
        if log.segment_offset != segment_offset:
            self._rolled()
        self._remember(header)
        size_bytes, count = header.size, header.record_count
        self._unflushed_bytes += size_bytes
        self._unsynced_records += count
        self.appended_bytes += size_bytes
        self.appended_records += count
        receipt = Receipt(self, header.base_offset, log.end_offset, append_time_ms)
        self._unflushed.append(receipt)
        return receipt

    def _restamp(self, view: memoryview, header: BatchHeader, max_timestamp: int) -> tuple[bytes, BatchHeader, int]:
        """Return the bytes that replace the batch's first ones, the header as it is then, and the append time."""
        offset, epoch = self.log.end_offset, self.state.leader_epoch
        if self._stamps_time:
            now_ms = self._clock.wall_ms()
            head = stamp_append_time(view, offset, epoch, now_ms)
            return head, read_header(head), now_ms
        head = stamp_max_timestamp(view, offset, epoch, max_timestamp)
        return head, read_header(head), NO_TIMESTAMP

    def _remember(self, header: BatchHeader) -> None:
        if header.partition_leader_epoch != self.epochs.latest:
            self._note_epoch(header)
        if header.producer_id != NO_PRODUCER_ID:
            batch = Batch(
                header.base_sequence, header.last_sequence, header.base_offset, header.last_offset, header.max_timestamp
            )
            self.producers.wrote(header.producer_id, header.producer_epoch, batch, self._clock.wall_ms())

    def _note_epoch(self, header: BatchHeader) -> None:
        self.epochs.assign(header.partition_leader_epoch, header.base_offset)
        self._epochs_changed = True
        if len(self.epochs.entries()) > 1:
            self._save_epochs()  # before anything of the new epoch is acknowledged (KR4)

    def flush(self) -> None:
        """Write what was collected; count it, or wait for the sync that the topic asks for."""
        receipts, self._unflushed = self._unflushed, []
        size_bytes, self._unflushed_bytes = self._unflushed_bytes, 0
        try:
            self.log.flush()
        except StorageFailed as error:
            self.producers.take_back()
            self.epochs.truncate_end(self.log.end_offset)
            refusal = self._fail(error)
            for receipt in receipts:
                receipt.refusal = refusal
            return
        self.producers.settle()
        if self.config.syncs_each_append:
            self.log.sync().addCallbacks(self._synced, self._sync_failed, callbackArgs=(size_bytes,))
            return
        if self._unsynced_records >= self.config.flush_messages:
            self._unsynced_records = 0
            self.log.sync().addErrback(self._sync_failed)
        self._count(self.log.flushed_offset, size_bytes)

    def _synced(self, offset: int, size_bytes: int) -> None:
        self._count(offset, size_bytes)

    def _sync_failed(self, failure: Failure) -> None:
        """A failed sync is never tried again: the pages may be gone.  Nothing that waited for it is acknowledged."""
        self._stop(self._fail(failure.value or StorageFailed("the sync failed")))

    def _count(self, offset: int, size_bytes: int) -> None:
        """Our own copy counts up to C{offset}; say so, and let the readers know."""
        if offset > self.counted_offset and self._leadership is not None:
            self.counted_offset = offset
            self._for_count.advance(offset)
            before = self._leadership.high_watermark
            self._leadership.appended(offset)
            if self._leadership.high_watermark > before:
                self._poke(size_bytes)

    def _advanced(self, high_watermark: int) -> None:
        self._for_commit.advance(high_watermark)

    def _fail(self, error: BaseException) -> Refused:
        refusal = Refused(ErrorCode.KAFKA_STORAGE_ERROR, str(error))
        log.error("{partition} cannot be written: {reason}", partition=str(self.log.identity), reason=str(error))
        return refusal

    # Waiting

    def is_settled(self, receipt: Receipt, acks: int) -> bool:
        """Say whether a batch that was appended can be answered."""
        if receipt.refusal is not None or self.offline is not None:
            return True
        if self._acks.waits_for_commit(acks):
            return self.high_watermark >= receipt.next_offset
        return self.counted_offset >= receipt.next_offset

    def when_settled(self, receipt: Receipt, acks: int, settle: Callable[[], None]) -> None:
        """Call C{settle} as soon as that is so."""
        queue = self._for_commit if self._acks.waits_for_commit(acks) else self._for_count
        queue.until(receipt.next_offset, settle)

    def settle(self, receipt: Receipt, acks: int) -> None:
        """
        Look at a batch for the last time before it is acknowledged.

        @raise Refused: it cannot be acknowledged.
        """
        if receipt.refusal is not None:
            raise receipt.refusal
        if not self.is_settled(receipt, acks):
            raise Refused(ErrorCode.REQUEST_TIMED_OUT)
        reached = self.high_watermark if self._acks.waits_for_commit(acks) else self.counted_offset
        if reached < receipt.next_offset:
            assert self.offline is not None
            raise self.offline
        assert self._leadership is not None
        self._acks.settle(acks, len(self._leadership.isr), self.config.min_insync_replicas)

    def add_reader(self, reader: Reader) -> None:
        """Call this with the number of bytes whenever more can be read."""
        self._readers[reader] = None

    def drop_reader(self, reader: Reader) -> None:
        """Call it no more."""
        self._readers.pop(reader, None)

    def _poke(self, size_bytes: int) -> None:
        for reader in list(self._readers):
            reader(size_bytes)

    # Reading

    def check_epoch(self, current_leader_epoch: int) -> None:
        """
        Compare the epoch that a client believes in with ours (KIP-320).

        @raise Refused: FENCED_LEADER_EPOCH or UNKNOWN_LEADER_EPOCH.
        """
        if self.offline is not None:
            raise self.offline
        if 0 <= current_leader_epoch < self.state.leader_epoch:
            raise Refused(ErrorCode.FENCED_LEADER_EPOCH)
        if current_leader_epoch > self.state.leader_epoch:
            raise Refused(ErrorCode.UNKNOWN_LEADER_EPOCH)

    def read(self, offset: int, max_bytes: int, at_least_one: bool) -> LogSlice | Deferred[LogSlice]:
        """
        Return committed batches from the one that holds C{offset}.

        @raise Refused: OFFSET_OUT_OF_RANGE outside of [start, end].
        """
        if offset < self.log.start_offset or offset > self.log.end_offset:
            raise Refused(ErrorCode.OFFSET_OUT_OF_RANGE)
        high_watermark = self.high_watermark
        if offset >= high_watermark:
            return LogSlice(next_offset=offset)
        return self.log.read(offset, max_bytes, end_offset=high_watermark, at_least_one=at_least_one)

    def divergence(self, offset: int, last_fetched_epoch: int) -> tuple[int, int] | None:
        """Return the (epoch, end offset) at which a reader's log and ours part, or None where they agree (KIP-595)."""
        if last_fetched_epoch < 0:
            return None
        epoch, end_offset = self.epochs.end_of(last_fetched_epoch, self.log.end_offset)
        if end_offset == NO_OFFSET:
            raise Refused(ErrorCode.OFFSET_OUT_OF_RANGE)
        if epoch < last_fetched_epoch or end_offset < offset:
            return epoch, end_offset
        return None

    # Keeping

    def checkpoint(self) -> None:
        """
        Write down what would otherwise have to be read from the log again.

        Order: epochs before the storage moves its recovery point past them.
        """
        if self._epochs_changed:
            self._save_epochs()
        if len(self.producers):
            self._save_producers(self.log.end_offset)

    def _save_epochs(self) -> None:
        self._put(CHECKPOINT_NAME, dump_epochs(self.epochs.entries()))
        self._epochs_changed = False

    def _rolled(self) -> None:
        if len(self.producers):
            self._save_producers(self.log.segment_offset)

    def _save_producers(self, offset: int) -> None:
        for name, data in dump_producers(offset, self.producers.producers()):
            self._put(name, data)
        try:
            known = [(of, name) for name in self.log.checkpoint_names() if (of := blob_offset(name)) is not None]
            kept = sorted({of: None for of, _ in known if of <= offset})[-SNAPSHOTS_KEPT:]
            for of, name in known:
                if of < kept[0]:
                    self.log.drop_checkpoint(name)
        except (OSError, StorageFailed) as error:
            log.warn("{partition}: old snapshots stay: {reason}", partition=str(self.log.identity), reason=str(error))

    def _put(self, name: str, data: bytes) -> None:
        try:
            self.log.put_checkpoint(name, data)
        except (OSError, StorageFailed) as error:
            # Nothing is lost: what it says can be read from the batches.
            log.warn(
                "{partition}: cannot write {name}: {reason}",
                partition=str(self.log.identity),
                name=name,
                reason=str(error),
            )

    def sync_if_due(self) -> None:
        """Sync records that have been unsynced for flush.ms."""
        if self._unsynced_records and not self.config.syncs_each_append:
            self._unsynced_records = 0
            self.log.sync().addErrback(self._sync_failed)
