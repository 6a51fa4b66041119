"""
What a replica keeps on its disk: C{raft.log} and C{raft.snapshot}.

The log is one file at a time, from one snapshot to the next.  It grows by
records that are synced; it is shortened by a new file that is put in place
whole, so that at every moment there is the old one or the new one.  The same
happens at each start: after a sync that failed the page cache shows
bytes that the device never got, and what a replica speaks of must be durable, not
just readable.

Order, wherever a snapshot stands for entries: it is durable under its name before the
log without them is put in place (RF12).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from attrs import Factory, evolve
from twisted.internet.defer import Deferred

from streamline.errors import ProtocolError, StartRefused
from streamline.interfaces import IDisk, IFile
from streamline.raft import Configuration, Entry, HardState, Ready, Recovered, ReplicaKey, Snapshot
from streamline.raft.configuration import decode_configuration, encode_configuration
from streamline.services.raftrecords import Beginning, Kind, RecordWriter, read_contents
from streamline.values import define
from streamline.wire.crc import crc32c

LOG_NAME = "raft.log"
SNAPSHOT_NAME = "raft.snapshot"

_CRC = struct.Struct(">I")
_SNAPSHOT = struct.Struct(">QQI")


def encode_snapshot(snapshot: Snapshot) -> bytes:
    """Return a snapshot's file: a CRC-32C of all the rest; index, term, the configuration and its length, the data."""
    configuration = encode_configuration(snapshot.configuration)
    body = _SNAPSHOT.pack(snapshot.index, snapshot.term, len(configuration)) + configuration + snapshot.data
    return _CRC.pack(crc32c(body)) + body


def decode_snapshot(data: bytes, name: str) -> Snapshot:
    """
    Read a snapshot's file.

    @raise StartRefused: it is damaged.
    """
    at = _CRC.size + _SNAPSHOT.size
    if len(data) < at or crc32c(data[_CRC.size :]) != _CRC.unpack_from(data)[0]:
        raise StartRefused(f"{name} is damaged; restore it from a backup, together with {LOG_NAME}")
    index, term, length = _SNAPSHOT.unpack_from(data, _CRC.size)
    try:
        configuration = decode_configuration(data[at : at + length])
    except ProtocolError as error:
        raise StartRefused(f"{name} cannot be read: {error}; run the release that wrote it") from error
    return Snapshot(index, term, configuration, data[at + length :])


@define
class _Log:
    """
    What the log's file says, to be written anew.

    @ivar records: of the file.
    """

    beginning: Beginning
    hard_state: HardState
    entries: list[Entry]
    records: RecordWriter = Factory(RecordWriter)

    def whole(self) -> bytes:
        """Return the file."""
        return self.records.whole(self.beginning, self.hard_state, self.entries)

    def note(self, hard_state: HardState | None, entries: Sequence[Entry]) -> None:
        """Hear what was written behind that; entries take the place of those with their indices, and all behind."""
        self.hard_state = hard_state or self.hard_state
        if entries and self.entries:
            del self.entries[max(0, entries[0].index - self.entries[0].index) :]
        self.entries += entries


class RaftStore:
    """
    The files of one replica.

    Nothing in here decides when; L{streamline.services.raftwriter} does.

    @ivar snapshot_index: of the latest snapshot that is durable; 0 is none.
    """

    def __init__(self, disk: IDisk, directory: str) -> None:
        self._disk = disk
        self.directory = directory
        self.log_path = f"{directory}/{LOG_NAME}"
        self.snapshot_path = f"{directory}/{SNAPSHOT_NAME}"
        self.snapshot_index = 0
        self._log: _Log | None = None
        self._file: IFile | None = None
        self._end = 0

    # Founding and recovering

    def is_founded(self) -> bool:
        """
        Say whether there is a log.

        @raise StartRefused: there is a snapshot, and the log that goes with it is gone.
        """
        if self._disk.exists(self.log_path):
            return True
        if self._disk.exists(self.snapshot_path):
            raise StartRefused(f"{self.log_path} is missing; restore it from a backup, together with {SNAPSHOT_NAME}")
        return False

    def found(self, owner: ReplicaKey, configuration: Configuration) -> None:
        """Begin an empty log, durably."""
        self.put_whole(Beginning(owner, 0, configuration), HardState(), ())

    def put_whole(self, beginning: Beginning, hard_state: HardState, entries: Sequence[Entry]) -> None:
        """Put a log in place, whole and durable, instead of whatever is there."""
        self._disk.make_directories(self.directory)
        self._disk.replace_file(self.log_path, RecordWriter().whole(beginning, hard_state, entries))

    def recover(self, owner: ReplicaKey) -> Recovered:
        """
        Read what there is, write it anew, and be open for more.

        @raise StartRefused: it is damaged, incomplete, or somebody else's.
        @raise OSError: the disk does not let us.
        """
        contents = read_contents(self._disk.read_file(self.log_path), self.log_path)
        beginning = contents.beginning
        if beginning.owner != owner:
            raise StartRefused(
                f"{self.log_path} was written by the replica {beginning.owner}, and this is {owner}; "
                "a data directory cannot be put together of parts"
            )
        snapshot = self._recovered_snapshot(beginning)
        log = _Log(beginning, contents.hard_state, list(contents.entries))
        self._disk.replace_file(self.log_path, log.whole())
        self._open(log)
        return Recovered(snapshot=snapshot, hard_state=contents.hard_state, entries=contents.entries)

    def _recovered_snapshot(self, beginning: Beginning) -> Snapshot:
        snapshot = Snapshot(0, 0, beginning.configuration)
        if self._disk.exists(self.snapshot_path):
            snapshot = decode_snapshot(self._disk.read_file(self.snapshot_path), self.snapshot_path)
        if snapshot.index < beginning.boundary_index:
            # RF13: what the log goes on from is not there.
            raise StartRefused(
                f"{self.log_path} begins behind entry {beginning.boundary_index}, and {self.snapshot_path} "
                "does not reach so far; restore both from one backup"
            )
        self.snapshot_index = snapshot.index
        return snapshot

    def _open(self, log: _Log) -> None:
        file = self._disk.open(self.log_path)
        self.close()
        self._log, self._file, self._end = log, file, file.size()

    def close(self) -> None:
        """Close the log; fine where it is not open."""
        if self._file is not None:
            self._file.close()
            self._file = None

    # Growing

    def append(self, readies: Sequence[Ready]) -> None:
        """
        Write terms, votes and entries behind what is there, in their order.

        @raise OSError: nothing of it was written, and where that is for want of space, it may be tried again.
        """
        log = self._opened()
        records = log.records
        self._write([part for one in readies for part in records.written(one.hard_state, one.entries)])
        for ready in readies:
            log.note(ready.hard_state, ready.entries)

    def _write(self, parts: Sequence[bytes]) -> None:
        assert self._file is not None, "only an open log can be written"
        try:
            self._file.write(parts, self._end)
        except OSError:
            self._opened().records.rewind(len(parts))
            self._file.truncate(self._end)  # half of a record is none (RC11); where this fails, too, it is the disk
            raise
        self._end += sum(map(len, parts))

    def sync(self) -> Deferred[None]:
        """Fire when what was appended is durable."""
        assert self._file is not None, "only an open log can be synced"
        records = self._opened().records
        return self._file.sync_later().addCallback(records.are_synced, records.number)

    def mark(self) -> None:
        """
        Say in the file how much of it is durable; it only helps to tell damage from a torn tail.

        @raise OSError: it was not written.
        """
        self._write([self._opened().records.next(Kind.MARK)])

    def _opened(self) -> _Log:
        assert self._log is not None, "only a log that was recovered can grow"
        return self._log

    # Being cut

    def put_snapshot(self, snapshot: Snapshot) -> Deferred[None]:
        """Put a snapshot in place, durably, off the reactor; fails with an L{OSError}, and the one before is there."""
        data = encode_snapshot(snapshot)
        putting = self._disk.elsewhere(self._disk.replace_file, self.snapshot_path, data)
        return putting.addCallback(self._snapshot_put, snapshot)

    def _snapshot_put(self, _: None, snapshot: Snapshot) -> None:
        self.snapshot_index = snapshot.index

    def cut(self, index: int) -> Deferred[None]:
        """Drop entries up to C{index}, which a durable snapshot stands for."""
        log = self._opened()
        return self._put(index, log.hard_state, [entry for entry in log.entries if entry.index > index])

    def begin_anew(self, index: int, hard_state: HardState | None, entries: Sequence[Entry]) -> Deferred[None]:
        """Replace the log by one that begins behind a snapshot of the leader's, which is durable."""
        return self._put(index, hard_state or self._opened().hard_state, list(entries))

    def _put(self, index: int, hard_state: HardState, entries: list[Entry]) -> Deferred[None]:
        """Nothing is appended until this has fired; where it fails, the log before is there and goes on."""
        assert index <= self.snapshot_index, "only what is in a snapshot may go"
        log = _Log(evolve(self._opened().beginning, boundary_index=index), hard_state, entries)
        putting = self._disk.elsewhere(self._disk.replace_file, self.log_path, log.whole())
        return putting.addCallback(lambda _: self._open(log))

    def has_room(self, more_bytes: int) -> bool:
        """Say whether so many bytes most likely fit on the disk."""
        return self._disk.space(self.directory)[0] >= more_bytes
