"""
What of a replica is on its device: what the worst power cut leaves of it.

It is read from the device itself, not from what the node believes, so that a sync that never was, or that covered
another file, shows.
"""

from __future__ import annotations

from streamline.raft import Configuration, Entry, EntryKind, HardState, ReplicaKey
from streamline.raft.configuration import decode_configuration
from streamline.services.raftrecords import Contents, read_contents
from streamline.services.raftstore import LOG_NAME, SNAPSHOT_NAME, decode_snapshot
from streamline.testing.simulation.pages import Inode
from streamline.testing.simulation.platter import Platter

CONFIGURATIONS_KEPT = 2
"""A replica that loses what it had not committed goes back to the configuration before, and no further."""


class DurableReplica:
    """
    One replica's files as the device has them, until the disk is replaced.

    @ivar key: whose they are.
    """

    def __init__(self, key: ReplicaKey, platter: Platter, directory: str) -> None:
        self.key = key
        self._names = platter.names
        self._directory = directory
        self._log: tuple[Inode | None, int] = None, 0
        self._snapshot: tuple[Inode | None, int] = None, 0
        self._contents: Contents | None = None
        self._snapshot_index = 0
        self._snapshot_configuration = Configuration()

    @property
    def hard_state(self) -> HardState:
        """The term and the vote."""
        contents = self._read()
        return HardState() if contents is None else contents.hard_state

    @property
    def last_index(self) -> int:
        """The index of the last entry, as such or in a snapshot."""
        contents, snapshot_index = self._read(), self._read_snapshot()
        entries = () if contents is None else contents.entries
        return max(snapshot_index, entries[-1].index if entries else 0)

    def has(self, index: int, term: int) -> bool:
        """Say whether the entry of this index and term is there, or in a snapshot."""
        if index <= self._read_snapshot():
            return True
        entry = self._entry(index)
        return entry is not None and entry.term == term

    def _entry(self, index: int) -> Entry | None:
        contents = self._read()
        entries = () if contents is None else contents.entries
        at = index - entries[0].index if entries else -1
        return entries[at] if 0 <= at < len(entries) else None

    @property
    def configurations(self) -> list[Configuration]:
        """Those that it could find itself in after a start."""
        contents = self._read()
        if contents is None:
            return []
        begins = self._snapshot_configuration if self._read_snapshot() else contents.beginning.configuration
        said = [one.payload for one in contents.entries if one.kind is EntryKind.CONFIGURATION]
        return [begins, *map(decode_configuration, said[-CONFIGURATIONS_KEPT:])]

    # Reading, when anything has changed

    def _read(self) -> Contents | None:
        inode, version = self._inode(LOG_NAME)
        if (inode, version) != self._log:
            self._log = inode, version
            self._contents = None if inode is None else read_contents(inode.durable, f"{self.key} {LOG_NAME}")
        return self._contents

    def _read_snapshot(self) -> int:
        inode, version = self._inode(SNAPSHOT_NAME)
        if (inode, version) != self._snapshot:
            self._snapshot = inode, version
            self._snapshot_index, self._snapshot_configuration = 0, Configuration()
            if inode is not None:
                snapshot = decode_snapshot(inode.durable, f"{self.key} {SNAPSHOT_NAME}")
                self._snapshot_index, self._snapshot_configuration = snapshot.index, snapshot.configuration
        return self._snapshot_index

    def _inode(self, name: str) -> tuple[Inode | None, int]:
        inode = self._names.durable_file(f"{self._directory}/{name}")
        return inode, 0 if inode is None else inode.version


class NothingDurable:
    """A voter that was named and has begun nothing so far."""

    hard_state = HardState()
    last_index = 0

    def __init__(self, key: ReplicaKey) -> None:
        self.key = key

    def has(self, index: int, term: int) -> bool:
        """Say no."""
        return False
