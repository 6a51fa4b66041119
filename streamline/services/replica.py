"""
One partition's copy on this node, and what the metadata make of it: a leader's, a follower's, or nobody's for now.

While this node leads, clients append (L{streamline.services.taking}).  While it follows, its replicator copies what the
leader has, and cuts what the leader does not have.

# Note [Where epochs are written down]

Every batch carries the epoch of the leader that wrote it, so a new epoch is on disk as soon as its first batch is, and
the checkpoint of epochs can wait (KR4): opening reads the batches behind what the checkpoint knows.  A cut is another
matter.  It makes the checkpoint say more than the log, and once the log has grown again nobody could tell; so after a
cut the epochs are written down at once, before anything is copied.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from streamline.errors import Refused, StorageFailed, StorageStarved
from streamline.interfaces import IReplica, IReplicator
from streamline.model import NO_OFFSET, NO_PRODUCER_ID, Buffer, PartitionState
from streamline.replication.roles import Role
from streamline.services.bookkeeping import SNAPSHOT_AFTER_BYTES
from streamline.services.partition import Partition
from streamline.services.receipts import Receipt
from streamline.services.remembering import drop_stale, rebuild_producers
from streamline.transactions.producers import ProducerStates
from streamline.wire.batch import BatchHeader

log = Logger()


@implementer(IReplica)
class Replica(Partition):
    """
    What this node has of a partition, whatever it is for it.

    @ivar role: what it is, by the metadata that were applied last.
    @ivar is_starved: whether it is offline only because space, or a descriptor, was lacking; to be opened again.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.role = Role.WAITING
        self.is_starved = False
        self._rebuilding: Deferred[ProducerStates] | None = None
        self._lead_later: Callable[[], None] | None = None

    # Roles

    def become(self, role: Role, state: PartitionState, min_isr: int, replicator: IReplicator) -> None:
        """
        Be what the metadata want of this copy; called with every change of them, in their order.

        @param min_isr: C{min.insync.replicas} as it is agreed on.
        """
        if self.offline is not None:
            return
        before, is_same = self.state, role is self.role and state.leader_epoch == self.state.leader_epoch
        if is_same and (role is not Role.LEADER or _is_alone(before) == _is_alone(state)):
            self.state = state
            if self._leadership is not None:
                self._leadership.changed(state, min_isr)
                self._release_vain()
            elif self._lead_later is not None:
                self._lead_later = lambda: self._lead(min_isr, replicator)
            return
        self._step_down(replicator)
        self.role, self.state = role, state
        if role is Role.LEADER:
            self._lead_later = lambda: self._lead(min_isr, replicator)
            if self._rebuilding is None:
                self._lead_now()
        elif role is Role.FOLLOWER:
            self._follow(replicator)

    def _step_down(self, replicator: IReplicator) -> None:
        """Be nothing; whoever waits for a leader that is no more is told so, as nobody knows what will be (KR26)."""
        self._lead_later = None
        if self._unflushed:
            self.flush()
        for role in (self._leadership, self._following):
            if role is not None:
                role.close()
        replicator.forget(self.log.identity)
        self._leadership = self._following = None
        self._release()

    def _lead_now(self) -> None:
        later, self._lead_later = self._lead_later, None
        if later is not None:
            later()

    def _lead(self, min_isr: int, replicator: IReplicator) -> None:
        """Begin to lead: from here on batches carry our epoch.  See Note [Where epochs are written down]."""
        if self.epochs.assign(self.state.leader_epoch, self.log.end_offset):
            self.books.epochs_changed = True
        self._leadership = replicator.lead(self, self.state, min_isr, self._advanced)

    def _follow(self, replicator: IReplicator) -> None:
        """Begin to follow; an epoch in which we led and wrote nothing is forgotten, as after a cut."""
        latest = self.epochs.latest
        self._following = replicator.follow(self, self.state, self._advanced)
        if self.epochs.latest != latest:
            self.books.epochs_changed = True  # opening forgets what has no record as well, so there is time for that

    def _stop(self, refusal: Refused) -> None:
        self._lead_later = None
        if self._rebuilding is not None:
            self._rebuilding.cancel()
        super()._stop(refusal)

    # Copying

    def copy(self, header: BatchHeader, batch: Buffer) -> None:
        """Take the next batch as the leader has it."""
        books = self.books
        try:
            self.log.append(header, (batch,))
        except StorageFailed as error:
            # What was collected before may be lost as well, and is forgotten with it.
            self._not_written(error)
            self.flush()
            raise
        if self.log.segment_offset != self._segment_offset:
            self._segment_offset = self.log.segment_offset
            books.rolled()
            # Where that could not be written, the log was closed, and has lost what it had collected.
            if self.log.end_offset < header.next_offset:
                self.flush()
                raise StorageFailed(f"{self.log.identity} cannot be written")
        if self.epochs.assign(header.partition_leader_epoch, header.base_offset):
            books.epochs_changed = True
        if header.producer_id != NO_PRODUCER_ID and not header.is_control:
            self._remember(header)
        self._unflushed_bytes += len(batch)

    def write(self) -> None:
        """Write what was copied, and count it or have it synced, as the topic asks for."""
        end_offset = self.log.end_offset
        self.flush()
        if self.log.flushed_offset < end_offset:
            raise StorageFailed(f"{self.log.identity} cannot be written: {self._trouble}")

    def _take_back(self, receipts: list[Receipt], refusal: Refused) -> None:
        super()._take_back(receipts, refusal)
        # Epochs of records that could not be written would keep out those of earlier ones when both come again.
        if self._following is not None and self.epochs.truncate_end(self.log.end_offset):
            self.books.epochs_changed = True

    def cut(self, end_offset: int) -> None:
        """Drop what the leader does not have."""
        self._dropping(lambda: self.log.truncate(end_offset))
        if self.counted_offset < self.log.end_offset:
            self._sync()  # the one that these records waited for says nothing any more
        changed = self.producers.truncate(self.log.end_offset, self._clock.wall_ms())
        if changed or self._rebuilding is not None:
            # Of those whose latest batches have gone, earlier ones are there, and may come again.  What is being read
            # may have gone as well.
            self._rebuild()

    def begin_anew(self, offset: int) -> None:
        """Drop everything."""
        self._dropping(lambda: self.log.restart_at(offset), keeps_epochs=False)
        self.counted_offset = offset
        if self._rebuilding is not None:
            self._rebuilding.cancel()
            self._rebuilding = None
        self.producers.forget()
        self.books.knows_producers = True

    def advance_start(self, offset: int) -> None:
        """Hide what the leader keeps no longer."""
        try:
            self.log.advance_start(offset)
        except (StorageFailed, Refused) as error:
            raise self._broken(error) from error
        if self.epochs.truncate_start(self.log.start_offset):
            self.books.epochs_changed = True

    def _dropping(self, drop: Callable[[], None], keeps_epochs: bool = True) -> None:
        """Drop records, and forget what was known because of them; write the epochs down at once."""
        try:
            drop()
            if drop_stale(self.log):  # what is left may be far behind
                self.books.unsaved_bytes = SNAPSHOT_AFTER_BYTES
        except (StorageFailed, Refused, OSError) as error:
            raise self._broken(error) from error
        end_offset = self.log.end_offset
        self._cuts += 1
        self._syncs = self._unsynced_records = self._unflushed_bytes = 0
        self._flushed_offset = end_offset
        self._segment_offset = self.log.segment_offset
        self.counted_offset = min(self.counted_offset, end_offset)
        while self._unread and self._unread[-1][0] > end_offset:
            self._unread.pop()
        self.epochs.truncate_end(end_offset if keeps_epochs else NO_OFFSET)
        try:
            self.books.write_epochs()
        except StorageFailed as error:
            raise self._broken(error) from error

    def _broken(self, error: Exception) -> StorageFailed:
        """Nobody knows what is in the log now, or on disk beside it; whoever opens it again will."""
        self._stop(self._not_written(error))
        self.is_starved = isinstance(error, StorageStarved)
        return StorageFailed(str(error))

    def _rebuild(self) -> None:
        """Read from the log again who wrote it; nobody leads without that knowledge (KR27)."""
        if self._rebuilding is not None:
            self._rebuilding.cancel()
        self.books.knows_producers = False
        rebuilding = ensureDeferred(rebuild_producers(self.log, self._clock))
        self._rebuilding = rebuilding
        rebuilding.addCallbacks(self._rebuilt, self._not_rebuilt, callbackArgs=(self._cuts,))

    def _rebuilt(self, producers: ProducerStates, cuts: int) -> None:
        if cuts == self._cuts:
            self._rebuilding = None
            self.books.knows_producers = True
            self.producers.restore(producers.producers(), self._clock.wall_ms())
            self._lead_now()

    def _not_rebuilt(self, failure: Failure) -> None:
        if failure.check(CancelledError):
            return
        log.failure("the producers of {partition} cannot be read", failure, partition=str(self.log.identity))
        self._stop(self._not_written(failure.value or StorageFailed("its producers cannot be read")))


def _is_alone(state: PartitionState) -> bool:
    return len(state.replicas) == 1
