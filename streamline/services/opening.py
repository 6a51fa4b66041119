"""
Opens a partition: its log, and from its log what its leader has to know.

Epochs and producers come from checkpoints where there are good ones, and from
the headers of the batches behind them.  The headers are read in slices, so that
a long log does not hold up anybody else.
"""

from __future__ import annotations

from streamline.config import TopicConfig
from streamline.interfaces import IAcksPolicy, IClock, IPartitionLog
from streamline.model import NO_EPOCH, NO_PRODUCER_ID, PartitionState
from streamline.replication.epochs import CHECKPOINT_NAME, LeaderEpochs, load_epochs
from streamline.services.bookkeeping import crc_before
from streamline.services.partition import Partition
from streamline.services.purgatory import Gathering
from streamline.services.turns import next_turn
from streamline.transactions.producers import Batch, ProducerStates
from streamline.transactions.snapshots import batches_name, blob_offset, load_producers, snapshot_offset
from streamline.wire.batch import BatchHeader

SLICE_HEADERS = 2000


async def open_partition(
    log: IPartitionLog,
    state: PartitionState,
    config: TopicConfig,
    acks: IAcksPolicy,
    clock: IClock,
    gathering: Gathering,
) -> Partition:
    """Rebuild what the log implies, and return the partition, not yet leading."""
    now_ms = clock.wall_ms()
    epochs, written, from_epochs = _load_epochs(log)
    producers, from_producers = _load_producers(log, now_ms)
    replayed = 0
    headers = log.headers(min(from_epochs, from_producers))
    while True:
        read = 0
        for header in headers:
            epochs.assign(header.partition_leader_epoch, header.base_offset)
            replayed += _replay(header, producers, from_producers, now_ms)
            read += 1
            if read == SLICE_HEADERS:
                break
        if read < SLICE_HEADERS:
            break
        await next_turn(clock)
    epochs.truncate_start(log.start_offset)
    partition = Partition(log, state, config, acks, clock, epochs, producers, gathering)
    partition.books.epochs_changed = epochs.entries() != written
    partition.books.unsaved_batches = replayed
    return partition


def _load_epochs(log: IPartitionLog) -> tuple[LeaderEpochs, list[tuple[int, int]], int]:
    """Return the epochs, what was written down of them, and where the batches begin that must be read besides."""
    data = log.get_checkpoint(CHECKPOINT_NAME)
    try:
        written = load_epochs(data) if data is not None else None
    except ValueError:
        written = None
    if written is None:
        return LeaderEpochs(), [], log.start_offset
    epochs = LeaderEpochs(written)
    epochs.truncate_end(log.end_offset)
    if log.start_offset < log.end_offset and epochs.epoch_at(log.start_offset) == NO_EPOCH:
        return LeaderEpochs(), written, log.start_offset  # whatever it is of, it is not of this log
    newest = next(log.headers(log.end_offset - 1), None) if log.end_offset > log.start_offset else None
    if newest is None or newest.partition_leader_epoch == epochs.latest:
        return epochs, written, log.end_offset
    return epochs, written, max(log.start_offset, epochs.entries()[-1][1])


def _load_producers(log: IPartitionLog, now_ms: int) -> tuple[ProducerStates, int]:
    """Return the producers of the newest good snapshot, and the offset behind it."""
    producers = ProducerStates()
    _drop_stale(log)
    known = [(offset, name) for name in log.checkpoint_names() if (offset := snapshot_offset(name)) is not None]
    for offset, name in sorted(known, reverse=True):
        snapshot, batches = log.get_checkpoint(name), log.get_checkpoint(batches_name(offset))
        if snapshot is None or batches is None or offset < log.start_offset:
            continue
        try:
            producers.restore(load_producers(offset, crc_before(log, offset), snapshot, batches), now_ms)
        except ValueError:
            continue
        return producers, offset
    return producers, log.start_offset


def _drop_stale(log: IPartitionLog) -> None:
    """Drop what says more than the log: once the log has grown again, it would pass for the truth."""
    for name in log.checkpoint_names():
        offset = blob_offset(name)
        if offset is not None and offset > log.end_offset:
            log.drop_checkpoint(name)


def _replay(header: BatchHeader, producers: ProducerStates, from_offset: int, now_ms: int) -> bool:
    """Take a batch into account; return whether it was a producer's."""
    if header.producer_id == NO_PRODUCER_ID or header.base_offset < from_offset or header.is_control:
        return False
    batch = Batch(
        header.base_sequence, header.last_sequence, header.base_offset, header.last_offset, header.max_timestamp
    )
    producers.wrote(header.producer_id, header.producer_epoch, batch, now_ms)
    producers.settle()
    return True
