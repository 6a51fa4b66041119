"""
What one follower wants of this node from one fetch to the next, and which of that may have something new for it.

A follower asks over and over for everything that this node leads and it copies, most of which rests.  So what it wants
stays registered with the partitions, which say when something is new; a fetch looks at what it names and at what said
so, and costs by what moved, not by how many partitions there are.

# Note [What is due]

A partition stays due until a look at it found that the follower has all of it and knows all of it.  An error, records
that were left out, an offset that it was not told yet: all of them make that the next fetch looks again.  Once in a
while everything is looked at, in case that somebody had something to say and did not.  What moves goes to the end, so
that a few partitions with much to copy do not keep out the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Protocol

from streamline.replication.sessions import Key, Wanted
from streamline.services.partition import Partition

LOOK_AT_ALL_S: Final = 30.0
"""How long what rests is not looked at."""


class Waiting(Protocol):
    """A fetch that waits for something new."""

    def more(self, size_bytes: int) -> None:
        """Hear that so many bytes can be copied; 0 where something else is the matter."""

    def committed(self) -> None:
        """Hear that the high watermark of a partition has moved, or its start by request."""


class _Watch:
    """Says of one partition that it is due."""

    __slots__ = ("key", "partition", "standing")

    def __init__(self, standing: Standing, key: Key, partition: Partition) -> None:
        self.standing = standing
        self.key = key
        self.partition = partition

    def more(self, size_bytes: int) -> None:
        """There is more to copy, or the partition is not what it was."""
        standing = self.standing
        standing.mark(self.key)
        if standing.waiting is not None:
            standing.waiting.more(size_bytes)

    def committed(self) -> None:
        """More is committed, or less is kept."""
        standing = self.standing
        standing.mark(self.key)
        if standing.waiting is not None:
            standing.waiting.committed()


class Standing:
    """
    What one follower wants.

    @param partitions: all of it, as its session keeps it up to date.
    @ivar waiting: the fetch to tell of what is new.
    """

    def __init__(self, partitions: Mapping[Key, Wanted], broker_epoch: int, now_s: float) -> None:
        self.waiting: Waiting | None = None
        self._partitions = partitions
        self._broker_epoch = broker_epoch
        self._looked_s = now_s
        self._is_closed = False
        self._watches: dict[Key, _Watch] = {}
        self._due: dict[Key, None] = dict.fromkeys(partitions)

    def fetched(self, named: Iterable[Wanted], forgotten: Iterable[Key], broker_epoch: int, now_s: float) -> None:
        """Take in what an incremental fetch says."""
        for key in forgotten:
            self._due.pop(key, None)
            if (watch := self._watches.pop(key, None)) is not None:
                watch.partition.drop_copier(watch)
        if broker_epoch != self._broker_epoch or now_s - self._looked_s >= LOOK_AT_ALL_S:
            # Leaders know their followers by broker epochs, too, and hear of another one from fetches.
            self._broker_epoch, self._looked_s = broker_epoch, now_s
            self._due = dict.fromkeys(self._partitions)
        for wanted in named:
            self._due.pop(wanted.key, None)
            self._due[wanted.key] = None

    def due(self) -> list[Wanted]:
        """Return what to look at.  See Note [What is due]."""
        partitions = self._partitions
        return [partitions[key] for key in self._due if key in partitions]

    def is_only(self, key: Key, broker_epoch: int | None = None, now_s: float = 0.0) -> bool:
        """
        Say whether nothing but this partition is due.

        @param broker_epoch: what a fetch says that begins at C{now_s}, which may make everything due.
        """
        due = self._due
        if due and (len(due) > 1 or key not in due):
            return False
        if broker_epoch is None:
            return True
        return broker_epoch == self._broker_epoch and now_s - self._looked_s < LOOK_AT_ALL_S

    def mark(self, key: Key) -> None:
        """Have a partition looked at."""
        if not self._is_closed:
            self._due[key] = None

    def watch(self, key: Key, partition: Partition) -> None:
        """Hear of this partition from now on; before it is looked at, so that nothing falls in between."""
        if self._is_closed:
            return
        known = self._watches.get(key)
        if known is not None:
            if known.partition is partition:
                return
            known.partition.drop_copier(known)
        watch = self._watches[key] = _Watch(self, key, partition)
        partition.add_copier(watch)

    def watches(self, key: Key, partition: Partition) -> bool:
        """Say whether it hears of this partition."""
        watch = self._watches.get(key)
        return watch is not None and watch.partition is partition

    def rests(self, key: Key) -> None:
        """Look at this partition no more until it says something."""
        self._due.pop(key, None)

    def close(self) -> None:
        """Want nothing any more; a fetch that still waits finds nothing, and says nothing of the follower."""
        self._is_closed = True
        self._due.clear()
        watches, self._watches = self._watches, {}
        for watch in watches.values():
            watch.partition.drop_copier(watch)
