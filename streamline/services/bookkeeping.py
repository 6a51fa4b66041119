"""
What a partition writes down beside its log, so that a restart need not read it from the batches again.

Epochs are on disk before a record of a new epoch is acknowledged (KR4).  Producers
are written when the log rolls, when it closes, and now and then in between, also
where there are none: a log that says so need not be read to see it.  They are
caches, so nobody waits for them, and the storage keeps those of many logs together;
nothing is written twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred, gatherResults, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from streamline.errors import StreamlineError
from streamline.interfaces import IKeepsLater, IPartitionLog
from streamline.replication.epochs import CHECKPOINT_NAME, LeaderEpochs, dump_epochs
from streamline.transactions.producers import ProducerStates
from streamline.transactions.snapshots import blob_offset, dump_producers

log = Logger()

Blobs = list[tuple[str, bytes]]
"""Names and contents, to be put in order."""

SNAPSHOT_AFTER_BATCHES = 1000
"""Batches of producers since the last snapshot; reading the headers of fewer costs less than another snapshot."""
SNAPSHOT_AFTER_BYTES = 2**24
"""Bytes since the last snapshot, whoever wrote them: an opening reads through them to see who did."""
CLOSED_AFTER_BYTES = 2**16
"""The same where the log is closed: whoever opens it reads as much at once."""
SNAPSHOTS_KEPT = 3
"""The newest, and two in case it is damaged."""


def crc_before(log: IPartitionLog, offset: int) -> int:
    """Return the checksum of the batch that ends at C{offset}; 0 where the log has none."""
    if offset <= log.start_offset:
        return 0
    header = next(log.headers(offset - 1), None)
    return header.crc if header is not None and header.next_offset == offset else 0


class Bookkeeping:
    """
    The blobs of one partition.

    @ivar epochs_changed: whether the epochs are not as they were written down.
    @ivar unsaved_batches: batches of producers since the last snapshot.
    @ivar unsaved_bytes: bytes of all batches since then, as far as they have been written.
    @ivar knows_producers: whether what is known of producers is what the log says; else nothing is said of them.
    """

    def __init__(self, log: IPartitionLog, epochs: LeaderEpochs, producers: ProducerStates) -> None:
        self.epochs_changed = False
        self.unsaved_batches = 0
        self.unsaved_bytes = 0
        self.knows_producers = True
        self._log = log
        self._epochs = epochs
        self._producers = producers
        self._keep = log.put_checkpoints_later if IKeepsLater.providedBy(log) else self._keep_now

    def _keep_now(self, blobs: Sequence[tuple[str, bytes]]) -> Deferred[None]:
        for name, data in blobs:
            self._log.put_checkpoint(name, data)
        return succeed(None)

    def checkpoint(self) -> None:
        """
        Write down what would take long to read again.

        Order: epochs before the storage moves its recovery point past them.
        """
        self.save_epochs()
        if self.unsaved_batches >= SNAPSHOT_AFTER_BATCHES or self.unsaved_bytes >= SNAPSHOT_AFTER_BYTES:
            self._save(self._producers_below, self._log.flushed_offset)

    def close(self) -> Deferred[None]:
        """Write down everything; fire when that is durable, or cannot be."""
        kept: list[Deferred[None]] = []
        if self.epochs_changed:
            kept.append(self._save(self._dumped_epochs))
        if self.unsaved_batches or self.unsaved_bytes >= CLOSED_AFTER_BYTES:
            kept.append(self._save(self._producers_below, self._log.flushed_offset))
        return gatherResults(kept).addCallback(lambda _: None)

    def rolled(self) -> None:
        """Hear that the log has begun a new part, of which no batch has been taken into account yet."""
        self._save(self._producers_below, self._log.segment_offset)

    def save_epochs(self) -> None:
        """Write the epochs down, if they changed."""
        if self.epochs_changed:
            try:
                self.write_epochs()
            except (StreamlineError, OSError) as error:
                self._not_saved(error)

    def write_epochs(self) -> None:
        """
        Write the epochs down where what is there would say more than the log.

        @raise StorageFailed: that cannot be done.
        """
        for name, data in self._dumped_epochs():
            self._log.put_checkpoint(name, data)
        self.epochs_changed = False

    def _dumped_epochs(self) -> Blobs:
        return [(CHECKPOINT_NAME, dump_epochs(self._epochs.entries()))]

    def _producers_below(self, offset: int) -> Blobs:
        if not self.knows_producers:
            return []
        log = self._log
        blobs = dump_producers(offset, crc_before(log, offset), self._producers.producers())
        self.unsaved_batches = self.unsaved_bytes = 0
        known = [(of, name) for name in log.checkpoint_names() if (of := blob_offset(name)) is not None]
        kept = sorted({of: None for of, _ in known if of < offset})[1 - SNAPSHOTS_KEPT :]
        for of, name in known:
            if of < offset and of not in kept:
                log.drop_checkpoint(name)
        return blobs

    def _save(self, dump: Callable[..., Blobs], *args: int) -> Deferred[None]:
        """Write something down if that can be done: nothing is lost, as what it says can be read from the batches."""
        try:
            blobs = dump(*args)
            kept = self._keep(blobs) if blobs else succeed(None)
        except (StreamlineError, OSError) as error:
            self._not_saved(error)
            return succeed(None)
        return kept.addErrback(self._not_kept)

    def _not_kept(self, failure: Failure) -> None:
        failure.trap(StreamlineError, OSError)
        self.unsaved_bytes = SNAPSHOT_AFTER_BYTES  # the next checkpoint tries it once more
        self._not_saved(failure.value)

    def _not_saved(self, error: BaseException | None) -> None:
        log.warn("{partition}: cannot be written down: {why}", partition=str(self._log.identity), why=str(error))
