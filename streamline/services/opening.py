"""
Opens a partition: its log, and from its log what its leader has to know.

Epochs and producers come from checkpoints where there are good ones, and from
the headers of the batches behind them.  The headers are read in slices, so that
a long log does not hold up anybody else.
"""

from __future__ import annotations

from streamline.config import TopicConfig
from streamline.interfaces import IAcksPolicy, IClock, IPartitionLog
from streamline.model import NO_PRODUCER_ID, PartitionState
from streamline.replication.epochs import CHECKPOINT_NAME, LeaderEpochs, load_epochs
from streamline.services.partition import Partition
from streamline.services.turns import next_turn
from streamline.transactions.producers import Batch, ProducerStates
from streamline.transactions.snapshots import batches_name, blob_offset, load_producers, snapshot_offset
from streamline.wire.batch import BatchHeader

SLICE_HEADERS = 2000


async def open_partition(
    log: IPartitionLog, state: PartitionState, config: TopicConfig, acks: IAcksPolicy, clock: IClock
) -> Partition:
    """Rebuild what the log implies, and return the partition, not yet leading."""
    epochs, from_epochs = _load_epochs(log)
    producers, from_producers = _load_producers(log)
    headers = log.headers(min(from_epochs, from_producers))
    while True:
        read = 0
        for header in headers:
            _replay(header, epochs, producers, from_producers)
            read += 1
            if read == SLICE_HEADERS:
                break
        if read < SLICE_HEADERS:
            break
        await next_turn(clock)
    producers.settle()
    epochs.truncate_end(log.end_offset)
    return Partition(log, state, config, acks, clock, epochs, producers)


def _load_epochs(log: IPartitionLog) -> tuple[LeaderEpochs, int]:
    """Return the epochs that were written down, and the offset from which batches must be read to complete them."""
    data = log.get_checkpoint(CHECKPOINT_NAME)
    if data is None:
        return LeaderEpochs(), log.start_offset
    try:
        epochs = LeaderEpochs(load_epochs(data))
    except ValueError:
        return LeaderEpochs(), log.start_offset
    epochs.truncate_end(log.end_offset)
    newest = next(log.headers(log.end_offset - 1), None) if log.end_offset > log.start_offset else None
    if newest is None or newest.partition_leader_epoch == epochs.latest:
        return epochs, log.end_offset
    known = epochs.entries()
    return epochs, max(log.start_offset, known[-1][1] if known else 0)


def _load_producers(log: IPartitionLog) -> tuple[ProducerStates, int]:
    """Return the producers of the newest good snapshot, and the offset behind it."""
    producers = ProducerStates()
    _drop_stale(log)
    known = [(offset, name) for name in log.checkpoint_names() if (offset := snapshot_offset(name)) is not None]
    for offset, name in sorted(known, reverse=True):
        data = log.get_checkpoint(name)
        if data is None or offset < log.start_offset:
            continue
        try:
            producers.restore(load_producers(offset, data, log.get_checkpoint(batches_name(offset))))
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


def _replay(header: BatchHeader, epochs: LeaderEpochs, producers: ProducerStates, from_producers: int) -> None:
    epochs.assign(header.partition_leader_epoch, header.base_offset)
    if header.producer_id != NO_PRODUCER_ID and header.base_offset >= from_producers and not header.is_control:
        batch = Batch(
            header.base_sequence, header.last_sequence, header.base_offset, header.last_offset, header.max_timestamp
        )
        producers.wrote(header.producer_id, header.producer_epoch, batch, header.max_timestamp)
        producers.settle()

