"""
The log as the core sees it: entries behind a boundary, and how far each thing has come.

Everything at or before the boundary is in a snapshot; its index and term are kept,
because the next entry is checked against them (RF13).

    boundary <= delivered <= commit <= last       delivered <= persisted <= written <= last

(After a snapshot from the leader, persisted is behind the boundary until the snapshot
is durable; nothing is delivered meanwhile.)  Writing is asynchronous: an entry
is handed out to be written, and counts as persisted only when that is reported.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from streamline.raft.messages import Entry


class InvariantBroken(Exception):
    """
    Something that cannot be, if every replica keeps its promises; going on would spread it.

    The replica must stop: its log, or that of another one, has lost what was agreed.
    """


class Log:
    """
    Entries, and how far they are written, synced, committed and delivered.

    @ivar boundary_index: of the last entry that is no longer here.
    @ivar boundary_term: its term.
    @ivar last_index: of the last entry, or the boundary.
    @ivar written_index: entries up to it have been handed out to be written.
    @ivar persisted_index: entries up to it are durable here.
    @ivar commit_index: entries up to it are committed, as far as known.
    @ivar delivered_index: entries up to it have been handed out to be applied.
    """

    def __init__(self, boundary_index: int = 0, boundary_term: int = 0, entries: Sequence[Entry] = ()) -> None:
        self._begin(boundary_index, boundary_term)
        self._extend(entries)
        self.written_index = self.persisted_index = self.last_index

    def _begin(self, index: int, term: int) -> None:
        self.boundary_index = self.last_index = index
        self.boundary_term = term
        self.written_index = self.commit_index = self.delivered_index = index
        self._entries: list[Entry] = []
        self._sums = [0]  # of sizes, the boundary's first: a difference of two is the size of what lies between

    @property
    def last_term(self) -> int:
        """The term of the last entry, or of the boundary."""
        return self._entries[-1].term if self._entries else self.boundary_term

    @property
    def first_index(self) -> int:
        """The index of the first entry that is, or would be, here."""
        return self.boundary_index + 1

    @property
    def deliverable_index(self) -> int:
        """What may be applied: committed, and durable here as well, so that no crash takes back what was seen (RF4)."""
        return min(self.commit_index, self.persisted_index)

    @property
    def is_settled(self) -> bool:
        """Whether there is nothing to hand out."""
        return self.written_index == self.last_index and self.delivered_index >= self.deliverable_index

    @property
    def is_whole(self) -> bool:
        """Whether what lies before the boundary is durable: false while the leader's snapshot is being written."""
        return self.persisted_index >= self.boundary_index

    def term_at(self, index: int) -> int | None:
        """Return the term of the entry at an index, that of the boundary included; None where it is not known."""
        at = index - self.boundary_index
        if at == 0:
            return self.boundary_term
        return self._entries[at - 1].term if 0 < at <= len(self._entries) else None

    def entry_at(self, index: int) -> Entry:
        """Return the entry at an index that is in here."""
        return self._entries[index - self.first_index]

    def is_behind(self, last_term: int, last_index: int) -> bool:
        """Say whether a log that ends so is older than this one (Raft paper, section 5.4.1)."""
        return (last_term, last_index) < (self.last_term, self.last_index)

    def size_between(self, after_index: int, to_index: int) -> int:
        """Return the bytes of the entries after one index up to another, both at or behind the boundary."""
        return self._sums[to_index - self.boundary_index] - self._sums[after_index - self.boundary_index]

    def between(self, first_index: int, last_index: int) -> tuple[Entry, ...]:
        """Return the entries from one index to another, both included."""
        return tuple(self._entries[first_index - self.first_index : last_index - self.boundary_index])

    def batch(self, first_index: int, last_index: int, bytes_max: int) -> tuple[Entry, ...]:
        """Return the entries from one index to another at most, of so many bytes at most, but one if there is one."""
        at = first_index - self.first_index
        end = bisect_right(self._sums, self._sums[at] + bytes_max) - 1
        return tuple(self._entries[at : min(max(end, at + 1), last_index - self.boundary_index)])

    def highest_not_after(self, index: int, term: int) -> int:
        """Return the highest index up to C{index} whose term is not above C{term}, not below the boundary."""
        at = min(index, self.last_index)
        while at > self.boundary_index and self._entries[at - self.first_index].term > term:
            at -= 1
        return at

    # Growing and being cut

    def append(self, entry: Entry) -> None:
        """Add an entry at the end, as a leader does."""
        assert entry.index == self.last_index + 1, "a log has no gaps"
        self._extend((entry,))

    def splice(self, entries: Sequence[Entry]) -> int | None:
        """
        Take over entries that follow on one that is known to be the leader's.

        Entries that are there already stay, and so does what lies behind them: the
        message may be an old one.  Only a conflict cuts the log, and never at or below
        what is committed.

        @return: the index of the first entry that changed, or None.
        @raise InvariantBroken: a committed entry conflicts.
        """
        new = next((at for at, entry in enumerate(entries) if self.term_at(entry.index) != entry.term), None)
        if new is None:
            return None
        first = entries[new].index
        if first <= self.last_index:
            self._cut(first)
        self._extend(entries[new:])
        return first

    def _cut(self, index: int) -> None:
        if index <= self.commit_index:
            raise InvariantBroken(f"entry {index} is committed (up to {self.commit_index}) and would be replaced")
        del self._entries[index - self.first_index :]
        del self._sums[index - self.boundary_index :]
        self.last_index = index - 1
        # What was durable there is so no more: the entries that come instead have yet to be written (RF3).
        self.written_index = min(self.written_index, index - 1)
        self.persisted_index = min(self.persisted_index, index - 1)

    def _extend(self, entries: Sequence[Entry]) -> None:
        total = self._sums[-1]
        for entry in entries:
            total += entry.size_bytes
            self._entries.append(entry)
            self._sums.append(total)
        self.last_index += len(entries)

    def restore(self, index: int, term: int) -> None:
        """Begin anew behind a snapshot of the leader's, which is yet to be made durable."""
        self.persisted_index = min(self.persisted_index, self.commit_index)
        self._begin(index, term)

    def compact(self, index: int) -> None:
        """Drop the entries up to C{index}, all of them delivered, and keep its term."""
        assert self.boundary_index <= index <= self.delivered_index, "only what is in a snapshot may go"
        term = self.term_at(index)
        assert term is not None
        del self._entries[: index - self.boundary_index]
        del self._sums[: index - self.boundary_index]
        self.boundary_index, self.boundary_term = index, term

    # How far things have come

    def commit_to(self, index: int) -> bool:
        """
        Hear that entries up to C{index} are committed; say whether that is news.

        @raise InvariantBroken: there are not so many.
        """
        if index <= self.commit_index:
            return False
        if index > self.last_index:
            raise InvariantBroken(f"entry {index} is committed, and the log ends at {self.last_index}")
        self.commit_index = index
        return True

    def take_unwritten(self) -> tuple[Entry, ...]:
        """Hand out what is to be written; where it overlaps what was written before, it takes its place."""
        if self.written_index == self.last_index:
            return ()
        unwritten = self.between(self.written_index + 1, self.last_index)
        self.written_index = self.last_index
        return unwritten

    def persisted(self, index: int, term: int) -> None:
        """Hear that the log is durable up to C{index}, of this term; ignore it if another entry is there now (RF3)."""
        if index > self.persisted_index and self.term_at(index) == term:
            self.persisted_index = index

    def take_deliverable(self, bytes_max: int) -> tuple[Entry, ...]:
        """Hand out what is to be applied, of about so many bytes at most."""
        if self.delivered_index >= self.deliverable_index:
            return ()
        entries = self.batch(self.delivered_index + 1, self.deliverable_index, bytes_max)
        self.delivered_index += len(entries)
        return entries

    def delivered_by_snapshot(self, index: int) -> None:
        """Hear, at a start, that a snapshot holds what the entries up to C{index} did."""
        self.commit_to(index)
        self.delivered_index = index
