"""
Where each leader epoch begins in a log (KIP-101, KIP-279, KIP-320).

The cache answers "where does this epoch end?", which is how a follower finds
the point at which its log and the leader's part.  It is written to disk before
a batch of a new epoch is acknowledged (KR4), and rebuilt from the batches that
recovery reads.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable

from streamline.model import NO_EPOCH, NO_OFFSET

CHECKPOINT_NAME = "leader-epoch-checkpoint"


class LeaderEpochs:
    """
    The leader epochs of one log.

    Both lists rise strictly: an epoch begins where the one before it ends.
    """

    def __init__(self, entries: Iterable[tuple[int, int]] = ()) -> None:
        self._epochs: list[int] = []
        self._starts: list[int] = []
        for epoch, start in entries:
            self.assign(epoch, start)

    @property
    def latest(self) -> int:
        """The epoch of the newest batch, L{NO_EPOCH} in an empty log."""
        return self._epochs[-1] if self._epochs else NO_EPOCH

    def entries(self) -> list[tuple[int, int]]:
        """Return (epoch, first offset) pairs, oldest first."""
        return list(zip(self._epochs, self._starts, strict=True))

    def assign(self, epoch: int, start_offset: int) -> bool:
        """
        Hear that the batch at C{start_offset} carries C{epoch}.

        Entries that it contradicts, of later epochs or later offsets, are dropped.

        @return: whether anything changed and must be written down.
        """
        if epoch < 0 or epoch == self.latest:
            return False
        keep = min(bisect_left(self._epochs, epoch), bisect_left(self._starts, start_offset))
        del self._epochs[keep:]
        del self._starts[keep:]
        self._epochs.append(epoch)
        self._starts.append(start_offset)
        return True

    def end_of(self, epoch: int, log_end_offset: int) -> tuple[int, int]:
        """
        Return the largest epoch that is not beyond C{epoch}, and the offset at which it ends (KIP-279).

        (L{NO_EPOCH}, L{NO_OFFSET}) where the log knows nothing that old, or nothing that new.
        """
        if not self._epochs or epoch > self.latest or epoch < 0:
            return NO_EPOCH, NO_OFFSET
        if epoch == self.latest:
            return epoch, log_end_offset
        at = bisect_right(self._epochs, epoch)
        if at == 0:
            return epoch, self._starts[0]
        return self._epochs[at - 1], self._starts[at]

    def epoch_at(self, offset: int) -> int:
        """Return the epoch of the batch that holds C{offset}."""
        at = bisect_right(self._starts, offset)
        return self._epochs[at - 1] if at else NO_EPOCH

    def truncate_end(self, end_offset: int) -> bool:
        """Forget epochs that begin at or beyond C{end_offset}; return whether there were any."""
        keep = bisect_left(self._starts, end_offset)
        changed = keep < len(self._epochs)
        del self._epochs[keep:]
        del self._starts[keep:]
        return changed

    def truncate_start(self, start_offset: int) -> bool:
        """Forget epochs that end at or before C{start_offset}; the one that holds it begins there from now on."""
        drop = bisect_right(self._starts, start_offset) - 1
        if drop < 0 or (drop == 0 and self._starts[0] == start_offset):
            return False
        del self._epochs[:drop]
        del self._starts[:drop]
        self._starts[0] = start_offset
        return True


def dump_epochs(entries: Iterable[tuple[int, int]]) -> bytes:
    """Write entries as Kafka's C{leader-epoch-checkpoint}, version 0: a count, then a line per epoch."""
    lines = [f"{epoch} {start}" for epoch, start in entries]
    return "\n".join(["0", str(len(lines)), *lines, ""]).encode("ascii")


def load_epochs(data: bytes) -> list[tuple[int, int]]:
    """
    Read what L{dump_epochs} wrote.

    @raise ValueError: it is something else; the caller rebuilds it from the log.
    """
    version, count, *lines = data.decode("ascii").splitlines()
    if version != "0" or int(count) != len(lines):
        raise ValueError("not a leader epoch checkpoint")
    entries = []
    for line in lines:
        epoch, start = line.split()
        entries.append((int(epoch), int(start)))
    return entries
