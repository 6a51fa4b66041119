"""
The half of a partition that takes batches in: checks them against it, stamps and collects them.

A batch comes here once it is sound by itself.  Nothing is written yet when it has
been taken; that is the other half, L{streamline.services.partition}.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from twisted.logger import Logger

from streamline.config import TopicConfig
from streamline.errors import ErrorCode, Refused, StorageFailed
from streamline.interfaces import IAcksPolicy, IClock, ILeadership, IPartitionLog, ITakesRuns
from streamline.model import NO_PRODUCER_ID, NO_SEQUENCE, NO_TIMESTAMP, Buffer, PartitionState
from streamline.replication.epochs import LeaderEpochs
from streamline.services.bookkeeping import Bookkeeping
from streamline.services.receipts import Receipt
from streamline.transactions.producers import Batch, ProducerStates
from streamline.wire.batch import (
    HEADER_BYTES,
    LOG_OVERHEAD,
    BatchHeader,
    read_header,
    stamp_append_time,
    stamp_max_timestamp,
)
from streamline.wire.quick import Looked, look, plain_run

logger = Logger()

WASTE_BYTES = 16 * 1024
"""A batch that lies in a frame this much larger is copied, or the storage's memory of it would keep the frame."""


class Taking:
    """
    A partition as those who append to it see it.

    @ivar offline: why nothing can be done with it any more, or None.
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
        self.epochs = epochs
        self.producers = producers
        self.books = Bookkeeping(log, epochs, producers)
        self.offline: Refused | None = None
        self._acks = acks
        self._clock = clock
        self._leadership: ILeadership | None = None
        self._unflushed: list[Receipt] = []
        self._unflushed_bytes = 0
        self._segment_offset = log.segment_offset
        self._trouble = ""
        self._run_log: ITakesRuns | None = log if ITakesRuns.providedBy(log) else None
        self._follow_settings(config)

    def _follow_settings(self, config: TopicConfig) -> None:
        self.config = config
        self._stamps_time = config.message_timestamp_type == "LogAppendTime"
        self._is_plain = not self._stamps_time and config.compression_type == "producer"
        """Whether batches are stored as they come, so that a quick look at them may be enough."""
        self._compacts = config.compacts

    # Taking

    def look(self, records: Buffer | None, now_ms: int) -> Looked | None:
        """Take the quick look at a batch; None where it or the topic is not plain, and it needs a close one."""
        if records is None or not self._is_plain:
            return None
        return look(records, *self._bounds(now_ms))

    def _bounds(self, now_ms: int) -> tuple[int, int, int]:
        """Return how many bytes a batch may have, and between which timestamps its records must lie."""
        config = self.config
        return (
            config.max_message_bytes,
            now_ms - config.message_timestamp_before_max_ms,
            now_ms + config.message_timestamp_after_max_ms,
        )

    def append(self, records: Buffer, looked: Looked, acks: int, leader_epoch: int | None = None) -> Receipt:
        """
        Take one batch that has been checked by itself; check it against this partition, stamp and collect it.

        @param looked: what was seen in it; a header that says otherwise of the greatest timestamp is put right.
        @param leader_epoch: the only one in which it may be taken, where another node passed it on.
        @raise Refused: it was not taken.
        """
        try:
            self._admit(acks)
            if leader_epoch is not None and leader_epoch != self.state.leader_epoch:
                raise Refused(ErrorCode.NOT_LEADER_OR_FOLLOWER, f"this was for epoch {leader_epoch} of its leader")
        except Refused:
            self._passed_over(looked[0])
            raise
        if type(records) is not memoryview or len(records.obj) > len(records) + WASTE_BYTES:  # type: ignore[arg-type]
            records = memoryview(bytes(records))
        return self._take(records, looked, leader_epoch is not None)

    def append_plain(self, batches: Sequence[memoryview], now_ms: int, acks: int) -> list[Receipt]:
        """
        Take batches as L{look} and L{append} do, up to the first one that cannot be taken so.

        @param batches: none lies in a frame much larger than itself.
        """
        receipts: list[Receipt] = []
        if self._is_plain:
            max_bytes, earliest_ms, latest_ms = self._bounds(now_ms)
            with suppress(Refused):
                self._admit(acks)
                if self._run_log is not None:
                    receipts += self._take_run(self._run_log, batches, max_bytes, earliest_ms, latest_ms)
                for records in batches[len(receipts) :]:
                    looked = look(records, max_bytes, earliest_ms, latest_ms)
                    if looked is None:
                        break
                    receipts.append(self._take(records, looked))
        return receipts

    def _take_run(
        self, log: ITakesRuns, batches: Sequence[memoryview], max_bytes: int, earliest_ms: int, latest_ms: int
    ) -> list[Receipt]:
        """Take batches up to the first about which there is more to do than to give it its place."""
        run = plain_run(batches, max_bytes, earliest_ms, latest_ms, self._compacts)
        if not run:
            return []
        base_offset, leadership = log.end_offset, self._leadership
        receipts: list[Receipt] = []
        for records, count, _ in run[: log.append_run(run, self.state.leader_epoch)]:
            next_offset = base_offset + count
            # Everything that takes batches in is a whole partition.
            receipts.append(Receipt(self, leadership, base_offset, next_offset, NO_TIMESTAMP))  # type: ignore[arg-type]
            self._unflushed_bytes += len(records)
            base_offset = next_offset
        self._unflushed += receipts
        return receipts

    def _admit(self, acks: int) -> None:
        """See whether anything can be taken at the moment."""
        leadership = self._leadership
        if self.offline is not None or leadership is None:
            raise self.offline.again() if self.offline is not None else Refused(ErrorCode.NOT_LEADER_OR_FOLLOWER)
        self._acks.admit(acks, len(leadership.isr), leadership.min_isr)

    def _take(self, records: memoryview, looked: Looked, is_relayed: bool = False) -> Receipt:
        header, max_timestamp, has_null_key = looked
        if header.attributes or (has_null_key and self._compacts):
            self._check(header, has_null_key)
        if header.producer_id != NO_PRODUCER_ID:
            producers = self.producers
            known = producers.check(
                header.producer_id, header.producer_epoch, header.base_sequence, header.last_sequence
            )
            if known is not None:
                return self._again(known)
            if producers.awaits:
                producers.check_awaited(
                    header.producer_id, header.producer_epoch, header.base_sequence, self._clock.wall_ms()
                )
            if is_relayed and header.base_sequence and producers.get(header.producer_id) is None:
                raise Refused(ErrorCode.UNKNOWN_PRODUCER_ID, "what came before this may not have been passed on")
        log = self.log
        if self._stamps_time or header.max_timestamp != max_timestamp:
            header, head, append_time_ms = self._restamped(records, max_timestamp)
        else:
            head, append_time_ms = header.place(log.end_offset, self.state.leader_epoch), NO_TIMESTAMP
        try:
            log.append(header, (head, records[len(head) :]))
        except StorageFailed as error:
            self._passed_over(header)
            raise self._not_written(error) from error
        next_offset = log.end_offset
        if log.segment_offset != self._segment_offset:
            self._segment_offset = log.segment_offset
            self.books.rolled()  # which may close the log, and take what it had not written off its end
        if header.producer_id != NO_PRODUCER_ID:
            self._remember(header)
        self._unflushed_bytes += header.batch_length + LOG_OVERHEAD
        receipt = Receipt(self, self._leadership, header.base_offset, next_offset, append_time_ms)  # type: ignore[arg-type]
        self._unflushed.append(receipt)
        return receipt

    def pass_over(self, records: Buffer | None) -> None:
        """Hear that what may be a batch is refused at the moment, without a look at it."""
        if records is not None and len(records) >= HEADER_BYTES:
            self._passed_over(read_header(records))

    def _passed_over(self, header: BatchHeader) -> None:
        """Hear that a batch is refused at the moment, and may be taken when it comes again (KR26)."""
        if header.producer_id != NO_PRODUCER_ID and header.base_sequence != NO_SEQUENCE:
            self.producers.passed_over(
                header.producer_id, header.producer_epoch, header.base_sequence, self._clock.wall_ms()
            )

    def _check(self, header: BatchHeader, has_null_key: bool) -> None:
        if header.is_transactional:
            raise Refused(ErrorCode.INVALID_TXN_STATE, "no transaction is open: this release serves none")
        if has_null_key and self._compacts:
            raise Refused(ErrorCode.INVALID_RECORD, "every record of a compacted topic needs a key")

    def _again(self, known: Batch) -> Receipt:
        """Answer a batch that is here already as it was, or would have been, answered the first time."""
        timestamp_ms = known.timestamp_ms if self._stamps_time else NO_TIMESTAMP
        # Everything that takes batches in is a whole partition.
        receipt = Receipt(self, self._leadership, known.first_offset, known.last_offset + 1, timestamp_ms)  # type: ignore[arg-type]
        if receipt.next_offset > self.log.flushed_offset:
            self._unflushed.append(receipt)
        return receipt

    def _restamped(self, records: memoryview, max_timestamp: int) -> tuple[BatchHeader, bytes, int]:
        """Give a batch its place and a time that is not its own; return its header, and that as bytes, and when."""
        offset, epoch = self.log.end_offset, self.state.leader_epoch
        append_time_ms = NO_TIMESTAMP
        if self._stamps_time:
            append_time_ms = self._clock.wall_ms()
            head = stamp_append_time(records, offset, epoch, append_time_ms)
        else:
            head = stamp_max_timestamp(records, offset, epoch, max_timestamp)
        return read_header(head), head, append_time_ms

    def _remember(self, header: BatchHeader) -> None:
        batch = Batch(
            header.base_sequence, header.last_sequence, header.base_offset, header.last_offset, header.max_timestamp
        )
        self.producers.wrote(header.producer_id, header.producer_epoch, batch, self._clock.wall_ms())
        self.books.unsaved_batches += 1

    def _not_written(self, error: BaseException) -> Refused:
        why = str(error)
        if why != self._trouble:
            self._trouble = why
            logger.error("{partition} cannot be written: {why}", partition=str(self.log.identity), why=why)
        return Refused(ErrorCode.KAFKA_STORAGE_ERROR, why)
