"""
What a partition writes down beside its log, so that a restart need not read it from the batches again.

Epochs are written before a record of a new epoch is acknowledged (KR4).  Producers
are written when the log rolls, when it closes, and now and then in between;
nothing is written twice, because each blob costs two syncs that nobody else gets
anything done meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.logger import Logger

from streamline.errors import StreamlineError
from streamline.interfaces import IPartitionLog
from streamline.replication.epochs import CHECKPOINT_NAME, LeaderEpochs, dump_epochs
from streamline.transactions.producers import ProducerStates
from streamline.transactions.snapshots import blob_offset, dump_producers

log = Logger()

SNAPSHOT_AFTER_BATCHES = 1000
"""Batches of producers since the last snapshot; reading the headers of fewer costs less than another snapshot."""
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
    """

    def __init__(self, log: IPartitionLog, epochs: LeaderEpochs, producers: ProducerStates) -> None:
        self.epochs_changed = False
        self.unsaved_batches = 0
        self._log = log
        self._epochs = epochs
        self._producers = producers

    def checkpoint(self) -> None:
        """
        Write down what would take long to read again.

        Order: epochs before the storage moves its recovery point past them.
        """
        self.save_epochs()
        if self.unsaved_batches >= SNAPSHOT_AFTER_BATCHES:
            self._try(self._save_producers, self._log.flushed_offset)

    def close(self) -> None:
        """Write down everything."""
        self.save_epochs()
        if self.unsaved_batches:
            self._try(self._save_producers, self._log.flushed_offset)

    def rolled(self) -> None:
        """Hear that the log has begun a new part, of which no batch has been taken into account yet."""
        if len(self._producers):
            self._try(self._save_producers, self._log.segment_offset)

    def save_epochs(self) -> None:
        """Write the epochs down, if they changed."""
        if self.epochs_changed:
            self._try(self.write_epochs)

    def write_epochs(self) -> None:
        """
        Write the epochs down where what is there would say more than the log.

        @raise StorageFailed: that cannot be done.
        """
        self._log.put_checkpoint(CHECKPOINT_NAME, dump_epochs(self._epochs.entries()))
        self.epochs_changed = False

    def _save_producers(self, offset: int) -> None:
        log = self._log
        for name, data in dump_producers(offset, crc_before(log, offset), self._producers.producers()):
            log.put_checkpoint(name, data)
        self.unsaved_batches = 0
        known = [(of, name) for name in log.checkpoint_names() if (of := blob_offset(name)) is not None]
        kept = sorted({of: None for of, _ in known if of <= offset})[-SNAPSHOTS_KEPT:]
        for of, name in known:
            if of < kept[0]:
                log.drop_checkpoint(name)

    def _try(self, write: Callable[..., None], *args: int) -> None:
        """Write something down if that can be done: nothing is lost, as what it says can be read from the batches."""
        try:
            write(*args)
        except (StreamlineError, OSError) as error:
            log.warn("{partition}: cannot be written down: {why}", partition=str(self._log.identity), why=str(error))
