"""Where partitions' bytes live."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

from streamline.model import Buffer, LogIdentity, LogSlice, PlainBatch

if TYPE_CHECKING:
    from streamline.config import TopicConfig
    from streamline.wire.batch import BatchHeader


class IPartitionLog(Interface):
    """
    The record batches of one partition, as bytes that nobody has to decode.

    A log is written by one caller.  Appends take effect in call order; L{flush}
    and L{sync} say how safe they are.  Offsets are given by the caller, in the
    batches; the log keeps them as they are.
    """

    identity: LogIdentity = Attribute("Which partition this is.")
    start_offset: int = Attribute("The first offset that may be read.")
    end_offset: int = Attribute("The offset after the last record appended.")
    flushed_offset: int = Attribute("The offset after the last record that survives the process; readable up to here.")
    recovery_point: int = Attribute("Everything below survives the loss of power.")
    segment_offset: int = Attribute("The first offset of the part now being written; it moves when the log rolls.")
    size_bytes: int = Attribute("The bytes of all batches kept.")
    high_watermark: int = Attribute(
        "The last high watermark that was set here.  After a restart: a hint that may lag, never one that leads."
    )

    def append(header: BatchHeader, parts: Sequence[Buffer]) -> None:
        """
        Take one whole batch whose base offset is at or after L{end_offset}.

        @param header: the batch's header as it stands in C{parts}.
        @param parts: buffers that together are the batch; they are kept, not copied, and never change later.
        @raise streamline.errors.StorageFailed: nothing of this batch counts.  If what was appended before and not
            flushed was lost with it, the next L{flush} says so, and nothing is taken until then.
        """

    def flush() -> None:
        """
        Give everything appended to the operating system, so that it survives C{kill -9}.

        @raise streamline.errors.StorageFailed: nothing counts of what was appended since the last flush that
            succeeded, and L{end_offset} is L{flushed_offset} again.  The log is closed, unless there was just no
            space: then it goes on once there is some.
        """

    def sync() -> Deferred[int]:
        """Flush, then fire with an offset below which everything survives the loss of power."""

    def read(offset: int, max_bytes: int, *, end_offset: int, at_least_one: bool) -> LogSlice | Deferred[LogSlice]:
        """
        Return whole batches, the first being the one that holds C{offset}.

        No batch that reaches C{end_offset} or beyond is returned.  Batches fit
        in C{max_bytes}, except the first one where C{at_least_one} is true.  A
        Deferred comes back only where the device must be waited for.

        @raise streamline.errors.Refused: OFFSET_OUT_OF_RANGE, or KAFKA_STORAGE_ERROR for a closed log.
        """

    def headers(offset: int) -> Iterator[BatchHeader]:
        """Yield the headers of all flushed batches from the one that holds C{offset}, in order; reads as it goes."""

    def batch_at_timestamp(timestamp_ms: int) -> LogSlice:
        """Return the first batch with a max timestamp of at least C{timestamp_ms}; no parts if there is none."""

    def batch_of_max_timestamp() -> LogSlice:
        """Return the first batch that holds the greatest timestamp of the log; no parts if it is empty."""

    def truncate(end_offset: int) -> None:
        """Drop every batch that reaches beyond C{end_offset}, durably; blobs stay, their owner knows better."""

    def restart_at(offset: int) -> None:
        """Drop everything; the log is empty and starts at C{offset}."""

    def advance_start(offset: int) -> None:
        """
        Hide everything below C{offset}, durably; space is freed when L{retain} next runs.

        L{high_watermark} and L{recovery_point} rise with it (KAFKA-9491).

        @raise streamline.errors.Refused: OFFSET_OUT_OF_RANGE, the log ends before C{offset}.
        """

    def retain(now_ms: int) -> int:
        """
        Roll by age and drop what the topic's retention no longer wants, never at or above L{high_watermark}.

        @return: the bytes freed.
        """

    def configure(config: TopicConfig) -> None:
        """Follow new settings from now on."""

    def put_checkpoint(name: str, data: bytes) -> None:
        """
        Keep a small blob beside the log, durably, replacing one of that name: old or new, never neither.

        It blocks until the blob is durable, which on a disk takes two syncs.

        @raise streamline.errors.StorageFailed: the old one stays.
        """

    def get_checkpoint(name: str) -> bytes | None:
        """Return a blob kept beside the log."""

    def checkpoint_names() -> list[str]:
        """Return the names of the blobs kept beside the log, sorted."""

    def drop_checkpoint(name: str) -> None:
        """Forget a blob; fine where there is none."""

    def close() -> Deferred[None]:
        """Flush, sync and close; reading and appending end here."""


class ITakesRuns(IPartitionLog):
    """What a log may offer besides: to take many batches with one call."""

    def append_run(batches: Sequence[PlainBatch], leader_epoch: int) -> int:
        """
        Take whole batches as so many calls of L{append} would: each gets the next offsets, and the epoch.

        It ends before a batch that it leaves to L{append}: one for which the log must roll, or that cannot be taken.

        @return: how many were taken.
        """


class ILendsRecords(IPartitionLog):
    """What a log may offer besides: to leave the reading to whoever sends."""

    def lend(offset: int, max_bytes: int, *, end_offset: int, at_least_one: bool) -> LogSlice | Deferred[LogSlice]:
        """Return what L{read} would, but where it is much that lies in a file, lend a stretch of that instead."""


class IKeepsLater(IPartitionLog):
    """What a log may offer besides: to keep blobs that nobody waits for, many logs' together."""

    def put_checkpoints_later(blobs: Sequence[tuple[str, bytes]]) -> Deferred[None]:
        """
        Keep blobs as so many calls of L{put_checkpoint} would, in this order, without waiting for a device here.

        One that L{put_checkpoint} puts or L{drop_checkpoint} drops meanwhile may be overtaken by this.

        @raise streamline.errors.StorageFailed: at once where the log is closed, and through the Deferred where not all
            of it is kept; the log goes on then.
        """


class IStorage(Interface):
    """
    Where partitions' bytes live.

    Made with the node's host and settings, started once, stopped once.
    Nothing that looks unknown is ever deleted (KR30).
    """

    clean_epoch: int | None = Attribute("The broker epoch that a clean stop left behind; None after any other (KR21).")
    intact_epoch: int | None = Attribute(
        "The same, and also where the process ended in any other way but the operating system went on, so that"
        " everything it wrote is there."
    )
    broker_epoch: int = Attribute("What this process leaves behind for that; set when it has registered.")

    def start() -> Deferred[None]:
        """
        Make ready, and learn whether the last stop was clean.

        @raise streamline.errors.StartRefused: through the Deferred, with a sentence for people.
        """

    def stop() -> Deferred[None]:
        """Close every log, then record, last of all, that this stop was clean."""

    def identities() -> Sequence[LogIdentity]:
        """Return the partitions that have a log here, sorted."""

    def open(identity: LogIdentity, config: TopicConfig) -> Deferred[IPartitionLog]:
        """
        Open a partition's log, making it if need be; recover it first if the last stop was not clean.

        A log of the same name with another topic id is set aside, not used and not deleted.

        @raise streamline.errors.StorageFailed: through the Deferred; other partitions are not concerned.
        """

    def discard(identity: LogIdentity) -> Deferred[None]:
        """Close and delete a partition's log because its topic was deleted."""

    def checkpoint() -> Deferred[None]:
        """Sync what was written since the last call and note recovery points, starts and high watermarks."""
