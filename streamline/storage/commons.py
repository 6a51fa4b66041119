"""
What the logs of one storage share: the doors, the checkpoints, and limits on what they hold together.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable

from attrs import field
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from streamline.interfaces import Host, IDisk
from streamline.storage.checkpoints import Checkpoints
from streamline.storage.layout import DELETED
from streamline.storage.segment import Segment
from streamline.storage.tail import TailBudget
from streamline.storage.together import Together
from streamline.values import define

NOTE_BYTES = 2**30


class OpenSegments:
    """
    The segments that have a file open, those used last at the end.

    Beyond C{limit} those unused for longest are put to rest.  One with
    something to lose stays open, so the limit can be exceeded.
    """

    LOOKED_AT_MAX = 16

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._segments: OrderedDict[Segment, None] = OrderedDict()
        self._last: Segment | None = None

    def __len__(self) -> int:
        return len(self._segments)

    def touch(self, segment: Segment) -> None:
        """Hear that a segment is used."""
        if segment is self._last:
            return
        segments = self._segments
        self._last = segment
        segments[segment] = None
        segments.move_to_end(segment)
        for _ in range(min(self.LOOKED_AT_MAX, len(segments) - self.limit)):
            oldest = next(iter(segments))
            if oldest.can_rest and oldest is not segment:
                oldest.rest()
                del segments[oldest]
            else:
                segments.move_to_end(oldest)

    def forget(self, segment: Segment) -> None:
        """Close a segment that is no longer used."""
        self._segments.pop(segment, None)
        if segment is self._last:
            self._last = None
        segment.rest()


@define(eq=False)
class Commons:
    """
    Shared by all logs of a storage.

    @ivar much_synced: called after each L{NOTE_BYTES} that were synced unasked; noting recovery points then
        bounds what a crash leaves to be rescanned.
    @ivar failed: called when a log had to be closed, so that the next stop is not clean.
    @ivar together: does what waits for the device for many logs at a time.
    """

    log = Logger()

    host: Host
    checkpoints: Checkpoints
    open_segments: OpenSegments
    tails: TailBudget
    much_synced: Callable[[], object]
    failed: Callable[[], object]
    together: Together
    _synced_bytes: int = 0
    _removals: dict[IDelayedCall, tuple[str, ...]] = field(factory=dict)

    def synced(self, length: int) -> None:
        """Hear that a log has synced so many bytes unasked."""
        self._synced_bytes += length
        if self._synced_bytes >= NOTE_BYTES:
            self._synced_bytes = 0
            self.much_synced()

    @property
    def disk(self) -> IDisk:
        """The disk that the logs are on."""
        return self.host.disk

    def remove_later(self, paths: Iterable[str], delay_ms: int) -> None:
        """Remove files that were renamed, after the time for which topics keep them."""

        def remove() -> None:
            self._remove(self._removals.pop(call))

        call = self.host.clock.callLater(delay_ms / 1000, remove)
        self._removals[call] = tuple(paths)

    def remove_now(self) -> None:
        """Remove everything that waits for it."""
        for call, paths in list(self._removals.items()):
            call.cancel()
            for path in paths:
                _remove_file(self.disk, path)
        self._removals.clear()

    def _remove(self, paths: tuple[str, ...]) -> None:
        for path in paths:
            self.disk.elsewhere(_remove_file, self.disk, path).addErrback(self._not_removed, path)

    def _not_removed(self, failure: Failure, path: str) -> None:
        self.log.warn("Cannot remove {path}: {why}", path=path, why=failure.getErrorMessage())


def set_aside(disk: IDisk, paths: Iterable[str]) -> list[str]:
    """Rename files so that they no longer count, in this order; return their new names."""
    renamed = []
    for path in paths:
        if disk.exists(path):
            disk.rename(path, path + DELETED)
            renamed.append(path + DELETED)
    return renamed


def _remove_file(disk: IDisk, path: str) -> None:
    if disk.exists(path):
        disk.remove(path)
