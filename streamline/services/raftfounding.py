"""
How a replica's directory begins: founded, recovered, or taken over from consensus of one.

What C{single} wrote keeps its places in the log, in term 1, and the node is the only
voter: so it goes on as it was, and may be joined by others from then on.
"""

from __future__ import annotations

from streamline.config import NodeConfig
from streamline.errors import StartRefused
from streamline.interfaces import IDisk
from streamline.raft import Configuration, Entry, HardState, Recovered, Replica, ReplicaKey, Snapshot
from streamline.services.commandlog import ENTRIES_NAME, SNAPSHOT_NAME, decode_snapshot, read_entries
from streamline.services.raftrecords import Beginning
from streamline.services.raftstore import RaftStore, encode_snapshot
from streamline.values import frozen

SINGLE_TERM = 1
"""The term that consensus of one is in, always."""


@frozen
class _Single:
    """What consensus of one left behind."""

    snapshot_index: int
    snapshot: bytes
    entries: tuple[Entry, ...]


class Founding:
    """
    The directory of a replica, before it starts.

    @ivar store: its files.
    """

    def __init__(self, disk: IDisk, config: NodeConfig) -> None:
        self._disk = disk
        self._directory = f"{config.data_dir}/metadata"
        self.store = RaftStore(disk, self._directory)

    def is_founded(self) -> bool:
        """
        Say whether there is a log, or one of consensus of one to be taken over.

        @raise StartRefused: something is missing.
        """
        return self._has_single() or self.store.is_founded()

    def found(self, me: ReplicaKey, configuration: Configuration) -> None:
        """
        Begin a log.

        @raise StartRefused: there is one, or the disk does not let us.
        """
        if self.is_founded():
            raise StartRefused(f"{self._directory} has a metadata log already; it cannot found another")
        try:
            self.store.found(me, configuration)
        except OSError as error:
            raise self._refusal("begin", error) from error

    def recover(self, me: ReplicaKey, *, is_alone: bool) -> Recovered:
        """
        Return what the directory holds, of whatever kind; one who is alone founds what there is not.

        @raise StartRefused: it cannot be trusted, or not be read or written.
        """
        try:
            if self._has_single():
                self._take_over(me)
            elif not self.store.is_founded():
                if not is_alone:
                    raise StartRefused(f"{self._directory} has no metadata log, and nobody has founded one")
                self.store.found(me, Configuration((Replica(me),)))
            return self.store.recover(me)
        except OSError as error:
            self.store.close()
            raise self._refusal("read", error) from error

    def _refusal(self, verb: str, error: OSError) -> StartRefused:
        return StartRefused(f"cannot {verb} the metadata in {self._directory}: {error.strerror or error}")

    # From consensus of one

    def _path(self, name: str) -> str:
        return f"{self._directory}/{name}"

    def _has_single(self) -> bool:
        return self._disk.exists(self._path(ENTRIES_NAME)) or self._disk.exists(self._path(SNAPSHOT_NAME))

    def _take_over(self, me: ReplicaKey) -> None:
        """
        Write what consensus of one wrote as a replica would have.

        Order: the old files go when the new log is durable, and as long as that is not there, all is done again.
        """
        if not self._disk.exists(self.store.log_path):
            single = self._read_single()
            configuration = Configuration((Replica(me),))
            if single.snapshot_index:
                snapshot = Snapshot(single.snapshot_index, SINGLE_TERM, configuration, single.snapshot)
                self._disk.replace_file(self.store.snapshot_path, encode_snapshot(snapshot))
            beginning = Beginning(me, single.snapshot_index, configuration)
            self.store.put_whole(beginning, HardState(SINGLE_TERM, me), single.entries)
        for name in (ENTRIES_NAME, SNAPSHOT_NAME):
            if self._disk.exists(self._path(name)):
                self._disk.remove(self._path(name))
        self._disk.sync_directory(self._directory)

    def _read_single(self) -> _Single:
        entries_path, snapshot_path = self._path(ENTRIES_NAME), self._path(SNAPSHOT_NAME)
        index, snapshot = 0, b""
        if self._disk.exists(snapshot_path):
            index, snapshot = decode_snapshot(self._disk.read_file(snapshot_path), snapshot_path)
        if not self._disk.exists(entries_path):
            raise StartRefused(f"{entries_path} is missing; restore it from a backup, together with {SNAPSHOT_NAME}")
        found = read_entries(self._disk.read_file(entries_path), entries_path, index)
        entries = tuple(Entry(one.index, SINGLE_TERM, payload=one.payload or b"") for one in found)
        return _Single(index, snapshot, entries)
