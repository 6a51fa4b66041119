"""
Opens a partition: its log, and from its log what its leader has to know.

Epochs and producers come from checkpoints where there are good ones, and from
the headers of the batches behind them.  The headers are read in slices, so that
a long log does not hold up anybody else.
"""

from __future__ import annotations

from collections.abc import Iterable

from twisted.logger import Logger
from twisted.python.failure import Failure

from streamline.cluster.image import MetadataImage
from streamline.config import TopicConfig
from streamline.errors import StreamlineError
from streamline.interfaces import IAcksPolicy, IClock, IPartitionLog
from streamline.model import NO_EPOCH, LogIdentity, PartitionState, Topic
from streamline.replication.epochs import CHECKPOINT_NAME, LeaderEpochs, load_epochs
from streamline.services.purgatory import Gathering
from streamline.services.remembering import SLICE_HEADERS, replay, restore_producers
from streamline.services.replica import Replica
from streamline.services.turns import next_turn

log = Logger()


def identity_of(topic: Topic, state: PartitionState) -> LogIdentity:
    """Return what a partition's log is called."""
    return LogIdentity(topic.name, state.index, topic.topic_id)


def name_strays(kept: Iterable[LogIdentity], image: MetadataImage) -> None:
    """Say what is on the disk and belongs to nothing."""
    for identity in kept:
        if image.names.get(identity.topic_id) != identity.topic:
            log.warn(
                "{partition} belongs to no topic that the cluster knows; it is left alone", partition=str(identity)
            )


def not_opened(identity: LogIdentity) -> None:
    """Say why a partition could not be opened; for an except clause."""
    failure = Failure()
    log.error("{partition} cannot be opened: {why}", partition=str(identity), why=failure.getErrorMessage())
    if not failure.check(StreamlineError, OSError):
        log.failure("opening {partition} failed in a way that should not happen", failure, partition=str(identity))


async def open_partition(
    kept: IPartitionLog,
    state: PartitionState,
    config: TopicConfig,
    acks: IAcksPolicy,
    clock: IClock,
    gathering: Gathering,
) -> Replica:
    """
    Rebuild what the log implies, and return the copy, which is nothing yet.

    @raise StorageFailed: what is written down beside the log says more than it does, and cannot be put right.
    """
    now_ms = clock.wall_ms()
    epochs, written, from_epochs = _load_epochs(kept)
    producers, from_producers = restore_producers(kept, now_ms)
    replayed = read_bytes = 0
    headers = kept.headers(min(from_epochs, from_producers))
    while True:
        read = 0
        for header in headers:
            if header.base_offset >= from_epochs:  # before that they are known, and this may begin within one
                epochs.assign(header.partition_leader_epoch, header.base_offset)
            replayed += replay(header, producers, from_producers, now_ms)
            read_bytes += header.size
            read += 1
            if read == SLICE_HEADERS:
                break
        if read < SLICE_HEADERS:
            break
        await next_turn(clock)
    epochs.truncate_start(kept.start_offset)
    partition = Replica(kept, state, config, acks, clock, epochs, producers, gathering)
    partition.books.epochs_changed = epochs.entries() != written
    partition.books.unsaved_batches = replayed
    partition.books.unsaved_bytes = read_bytes
    if written and written[-1][1] > kept.end_offset:
        partition.books.write_epochs()  # as after a cut: once the log has grown again, nobody could tell
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
    newest = next(log.headers(log.end_offset - 1), None) if log.end_offset > log.start_offset else None
    if newest is None or newest.partition_leader_epoch != epochs.latest:
        _forget_the_unwritten(epochs, log)
    if newest is not None and epochs.epoch_at(log.start_offset) == NO_EPOCH:
        return LeaderEpochs(), written, log.start_offset  # whatever it is of, it is not of this log
    if newest is None or newest.partition_leader_epoch == epochs.latest:
        return epochs, written, log.end_offset
    return epochs, written, max(log.start_offset, epochs.entries()[-1][1])


def _forget_the_unwritten(epochs: LeaderEpochs, log: IPartitionLog) -> None:
    """
    Forget epochs in which this node led and wrote nothing, where it has copied since what an earlier leader wrote.

    They may have been written down; were they taken for true, the epoch that goes on there would seem to begin there.
    """
    while entries := epochs.entries():
        epoch, start_offset = entries[-1]
        header = next(log.headers(max(start_offset, log.start_offset)), None)
        if header is None or header.partition_leader_epoch == epoch:
            return
        epochs.truncate_end(start_offset)
