"""
Consensus of one: the metadata log of a node that has no peers.

A command is written, synced (group commit), applied, and then answered: in that
order.  It never answers what a power cut could take back, and never applies
what is not durable.  A snapshot of the state machine bounds the file.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure
from zope.interface import implementer

from streamline.config import NodeConfig
from streamline.errors import ErrorCode, Refused, StartRefused, StreamlineError
from streamline.interfaces import Host, IConsensus, IFile, IStateMachine
from streamline.services.commandlog import Entry, encode_entry, read_entries
from streamline.wire.crc import crc32c

SNAPSHOT_EVERY_ENTRIES = 1000
ENTRIES_NAME = "commands.log"
SNAPSHOT_NAME = "commands.snapshot"


@frozen
class _Proposal:
    entry: Entry
    outcome: Deferred[Any]


@implementer(IConsensus)
class SingleConsensus:
    """The metadata log of a node alone; it always leads, in term 1."""

    term = 1

    def __init__(self, host: Host, config: NodeConfig) -> None:
        self._disk = host.disk
        self._directory = f"{config.data_dir}/metadata"
        self._node_id = config.node_id
        self.leader_id: int | None = None
        self.applied_index = 0
        self._machine: IStateMachine | None = None
        self._file: IFile | None = None
        self._end = 0
        self._last_index = 0
        self._synced_index = 0
        self._snapshot_index = 0
        self._waiting: deque[_Proposal] = deque()
        self._failed: StreamlineError | None = None

    def start(self, machine: IStateMachine) -> Deferred[None]:
        """Recover what was agreed before and apply it."""
        self._machine = machine
        try:
            self._disk.make_directories(self._directory)
            self._restore(machine)
            self._replay(machine)
        except OSError as error:
            return _refuse(StartRefused(f"cannot read the metadata in {self._directory}: {error.strerror or error}"))
        except StartRefused as error:
            return _refuse(error)
        self.leader_id = self._node_id
        return succeed(None)

    def stop(self) -> Deferred[None]:
        """Close the file; proposals whose sync has not ended have an unknown outcome."""
        self.leader_id = None
        self._fail(Refused(ErrorCode.REQUEST_TIMED_OUT, "the node stopped before the change was durable"))
        if self._file is not None:
            self._file.close()
            self._file = None
        return succeed(None)

    def propose(self, command: bytes) -> Deferred[Any]:
        """Write, sync, apply, answer."""
        if self._file is None:
            return _refuse(Refused(ErrorCode.NOT_CONTROLLER, "this node is not running"))
        if self._failed is not None:
            return _refuse(self._failed)
        entry = Entry(self._last_index + 1, self._synced_index, command)
        data = encode_entry(entry)
        try:
            self._file.write([data], self._end)
        except OSError as error:
            return self._cut(error)
        self._end += len(data)
        self._last_index = entry.index
        proposal = _Proposal(entry, Deferred())
        self._waiting.append(proposal)
        self._file.sync_later().addCallbacks(self._synced, self._sync_failed, callbackArgs=(entry.index,))
        return proposal.outcome

    def read_barrier(self) -> Deferred[None]:
        """Everything that was committed here has been applied here."""
        return succeed(None)

    def _restore(self, machine: IStateMachine) -> None:
        path = f"{self._directory}/{SNAPSHOT_NAME}"
        if not self._disk.exists(path):
            return
        data = self._disk.read_file(path)
        if len(data) < 12 or crc32c(data[4:]) != int.from_bytes(data[:4], "big"):
            raise StartRefused(f"{path} is damaged; restore it from a backup")
        machine.restore(data[12:])
        self._snapshot_index = self.applied_index = self._last_index = int.from_bytes(data[4:12], "big")

    def _replay(self, machine: IStateMachine) -> None:
        path = f"{self._directory}/{ENTRIES_NAME}"
        if not self._disk.exists(path):
            self._disk.replace_file(path, b"")
        self._file = file = self._disk.open(path)
        entries, self._end = read_entries(file.read(0, file.size()), self._snapshot_index, path)
        if self._end < file.size():
            file.truncate(self._end)
        file.sync()  # what is kept may only be in the page cache: applied means durable
        if entries and entries[0].index > self._snapshot_index + 1:
            raise StartRefused(f"{path} begins behind its snapshot; restore both from one backup")
        for entry in entries:
            if entry.index > self._snapshot_index:
                self._last_index = entry.index
                self._apply(machine, entry)
        self._synced_index = self._last_index

    def _synced(self, _: None, index: int) -> None:
        machine = self._machine
        assert machine is not None
        self._synced_index = max(self._synced_index, index)
        while self._waiting and self._waiting[0].entry.index <= index:
            proposal = self._waiting.popleft()
            proposal.outcome.callback(self._apply(machine, proposal.entry))
        is_due = self.applied_index - self._snapshot_index >= SNAPSHOT_EVERY_ENTRIES
        if is_due and not self._waiting and self._file is not None:
            self._take_snapshot(machine)

    def _apply(self, machine: IStateMachine, entry: Entry) -> Any:
        self.applied_index = entry.index
        try:
            return machine.apply(entry.index, entry.payload)
        except Refused as refusal:
            return Failure(refusal)

    def _take_snapshot(self, machine: IStateMachine) -> None:
        """Order: the snapshot is durable under its name before the entries that it replaces go."""
        assert self._file is not None
        body = self.applied_index.to_bytes(8, "big") + machine.take_snapshot()
        try:
            self._disk.replace_file(f"{self._directory}/{SNAPSHOT_NAME}", crc32c(body).to_bytes(4, "big") + body)
        except OSError:
            return  # a full disk, most likely; the entries hold everything, and the next command tries again
        self._snapshot_index = self.applied_index
        try:
            self._file.truncate(0)
            self._file.sync()  # or a torn write could leave old entries behind a bad one
            self._end = 0
        except OSError as error:
            self._fail(Refused(ErrorCode.KAFKA_STORAGE_ERROR, f"the metadata cannot be written: {error.strerror}"))

    def _cut(self, error: OSError) -> Deferred[Any]:
        """A write that failed half way is taken off again; a full disk leaves the log usable (DK10)."""
        assert self._file is not None
        refusal = Refused(ErrorCode.KAFKA_STORAGE_ERROR, f"the metadata cannot be written: {error.strerror or error}")
        try:
            self._file.truncate(self._end)
        except OSError:
            self._fail(refusal)
        return _refuse(refusal)

    def _sync_failed(self, failure: Failure) -> None:
        """Never retry a sync (the pages may be gone): nothing more is accepted until recovery has looked."""
        self._fail(Refused(ErrorCode.KAFKA_STORAGE_ERROR, f"the metadata cannot be synced: {failure.value}"))

    def _fail(self, refusal: Refused) -> None:
        self._failed = self._failed or refusal
        while self._waiting:
            self._waiting.popleft().outcome.errback(refusal)


def _refuse(error: StreamlineError) -> Deferred[Any]:
    refused: Deferred[Any] = Deferred()
    refused.errback(error)
    return refused
