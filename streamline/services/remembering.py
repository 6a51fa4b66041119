"""
What a log says of the producers that wrote it: from the newest good snapshot, and from the batches behind that.
"""

from __future__ import annotations

from streamline.interfaces import IClock, IPartitionLog
from streamline.model import NO_PRODUCER_ID
from streamline.services.bookkeeping import crc_before
from streamline.services.turns import next_turn
from streamline.transactions.producers import Batch, ProducerStates
from streamline.transactions.snapshots import batches_name, blob_offset, load_producers, snapshot_offset
from streamline.wire.batch import BatchHeader

SLICE_HEADERS = 2000
"""Headers that are read in one turn, so that a long log does not hold up anybody else."""


def restore_producers(log: IPartitionLog, now_ms: int) -> tuple[ProducerStates, int]:
    """Return the producers of the newest good snapshot, and the offset behind it."""
    producers = ProducerStates()
    drop_stale(log)
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


def drop_stale(log: IPartitionLog) -> bool:
    """Drop what says more than the log: once the log has grown again, it would pass for the truth; tell of any."""
    names = [name for name in log.checkpoint_names() if (blob_offset(name) or 0) > log.end_offset]
    for name in names:
        log.drop_checkpoint(name)
    return bool(names)


def replay(header: BatchHeader, producers: ProducerStates, from_offset: int, now_ms: int) -> bool:
    """Take a batch into account; return whether it was a producer's."""
    if header.producer_id == NO_PRODUCER_ID or header.base_offset < from_offset or header.is_control:
        return False
    batch = Batch(
        header.base_sequence, header.last_sequence, header.base_offset, header.last_offset, header.max_timestamp
    )
    producers.wrote(header.producer_id, header.producer_epoch, batch, now_ms)
    producers.settle()
    return True


async def rebuild_producers(log: IPartitionLog, clock: IClock) -> ProducerStates:
    """Return the producers that wrote a log which nobody writes meanwhile."""
    now_ms = clock.wall_ms()
    producers, from_offset = restore_producers(log, now_ms)
    for read, header in enumerate(log.headers(from_offset), 1):
        replay(header, producers, from_offset, now_ms)
        if read % SLICE_HEADERS == 0:
            await next_turn(clock)
    return producers
