"""
Consensus of one: the metadata log of a node that has no peers.

A command is written, synced (group commit), applied, and then answered: in that
order.  It never answers what a power cut could take back, and never applies
what is not durable.  A snapshot of the state machine bounds the file.
"""

from __future__ import annotations

import errno
from collections import deque
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from streamline.config import NodeConfig
from streamline.errors import ErrorCode, Refused, StartRefused
from streamline.interfaces import Host, IConsensus, IFile, IStateMachine
from streamline.services.commandlog import (
    ENTRIES_NAME,
    SNAPSHOT_NAME,
    Entry,
    decode_snapshot,
    encode_entry,
    encode_mark,
    read_entries,
)
from streamline.services.raftstore import LOG_NAME as RAFT_LOG_NAME
from streamline.services.sharing import Shared
from streamline.values import frozen
from streamline.wire.crc import crc32c

log = Logger()

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


@frozen
class _Proposal:
    entry: Entry
    outcome: Deferred[Any]


@implementer(IConsensus)
class SingleConsensus:
    """
    The metadata log of a node alone; it always leads, in term 1.

    C{snapshot_entries} is how many commands make a snapshot worth its while.
    """

    term = 1

    def __init__(self, host: Host, config: NodeConfig, *, snapshot_entries: str = "1000") -> None:
        self._snapshot_entries = int(snapshot_entries)
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
        self._failed: Refused | None = None
        self._failure: Shared[str] = Shared()

    # Starting and stopping

    def start(self, machine: IStateMachine) -> Deferred[None]:
        """Recover what was agreed before and apply it."""
        self._machine = machine
        try:
            self._disk.make_directories(self._directory)
            entries = self._recover(machine)
            for entry in entries:
                self._apply(machine, entry)
        except OSError as error:
            self._close()
            why = error.strerror or error
            return fail(StartRefused(f"cannot read the metadata in {self._directory}: {why}"))
        except StartRefused:
            self._close()
            return fail()
        self.leader_id = self._node_id
        return succeed(None)

    def stop(self) -> Deferred[None]:
        """Close the file; proposals whose sync has not ended have an unknown outcome."""
        self.leader_id = None
        self._fail(Refused(ErrorCode.REQUEST_TIMED_OUT, "the node stopped before the change was durable"))
        self._close()
        return succeed(None)

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _recover(self, machine: IStateMachine) -> list[Entry]:
        """
        Restore the snapshot, and return the entries behind it.

        They are written anew: after a sync that failed, the page cache shows bytes that it takes for clean and the
        device never got.  What is applied must be durable, not just readable.
        """
        if self._disk.exists(f"{self._directory}/{RAFT_LOG_NAME}"):
            raise StartRefused(
                f"the metadata in {self._directory} are those of a cluster that may have other nodes; "
                "start with --consensus raft, as before"
            )
        path = f"{self._directory}/{ENTRIES_NAME}"
        has_snapshot = self._restore(machine)
        if self._disk.exists(path):
            entries = read_entries(self._disk.read_file(path), path, self._snapshot_index)
        elif has_snapshot:
            raise StartRefused(f"{path} is missing; restore it from a backup, together with {SNAPSHOT_NAME}")
        else:
            entries = []
        self._last_index = self._synced_index = entries[-1].index if entries else self._snapshot_index
        self._put_in_place(encode_mark(self._snapshot_index) + b"".join(map(encode_entry, entries)))
        self._write(encode_mark(self._synced_index))
        return entries

    def _put_in_place(self, data: bytes) -> None:
        """Replace the file, old or new, never neither."""
        path = f"{self._directory}/{ENTRIES_NAME}"
        self._disk.replace_file(path, data)
        file = self._disk.open(path)
        self._close()
        self._file, self._end = file, len(data)

    def _restore(self, machine: IStateMachine) -> bool:
        path = f"{self._directory}/{SNAPSHOT_NAME}"
        if not self._disk.exists(path):
            return False
        index, snapshot = decode_snapshot(self._disk.read_file(path), path)
        machine.restore(snapshot)
        self._snapshot_index = self.applied_index = index
        return True

    # Agreeing

    def propose(self, command: bytes) -> Deferred[Any]:
        """Write, sync, apply, answer."""
        if self._file is None:
            return fail(Refused(ErrorCode.NOT_CONTROLLER, "this node is not running"))
        if self._failed is not None:
            return fail(self._failed.again())
        entry = Entry(self._last_index + 1, command, self._synced_index)
        try:
            self._write(encode_entry(entry))
        except OSError as error:
            return fail(_not_written(error))
        self._last_index = entry.index
        proposal = _Proposal(entry, Deferred())
        self._waiting.append(proposal)
        self._file.sync_later().addCallbacks(self._synced, self._sync_failed, callbackArgs=(entry.index,))
        return proposal.outcome

    def when_failed(self) -> Deferred[str]:
        """Fire once nothing more can be agreed on, because the disk failed (DK14)."""
        return self._failure.wait()

    def read_barrier(self) -> Deferred[None]:
        """Everything that was committed here has been applied here."""
        return succeed(None)

    def _write(self, data: bytes) -> None:
        """
        Add to the file.

        On a full disk, what fails half way is taken off again, and the file stays usable (DK10).

        @raise OSError: it was not added.
        """
        assert self._file is not None
        try:
            self._file.write([data], self._end)
        except OSError as error:
            try:
                self._file.truncate(self._end)
            except OSError:
                self._fail(_not_written(error))
            if error.errno not in NO_SPACE:
                self._fail(_not_written(error))
            raise
        self._end += len(data)

    def _synced(self, _: None, index: int) -> None:
        machine = self._machine
        if self._file is None or machine is None:
            return
        self._synced_index = max(self._synced_index, index)
        while self._waiting and self._waiting[0].entry.index <= index:
            proposal = self._waiting.popleft()
            try:
                result = self._apply(machine, proposal.entry)
            except Exception:
                self._broken(proposal)
                return
            proposal.outcome.callback(result)
        if not self._waiting and self._failed is None:
            self._rest(machine)

    def _apply(self, machine: IStateMachine, entry: Entry) -> Any:
        self.applied_index = entry.index
        try:
            return machine.apply(entry.index, entry.payload or b"")
        except Refused as refusal:
            return Failure(refusal)

    def _broken(self, proposal: _Proposal) -> None:
        """A command that cannot be applied is there for good; to go on without it would be a state of our own."""
        log.failure("metadata command {index} cannot be applied", index=proposal.entry.index)
        refusal = Refused(ErrorCode.UNKNOWN_SERVER_ERROR, "the change cannot be applied; the node's log says why")
        self._fail(refusal)
        proposal.outcome.errback(refusal.again())

    def _rest(self, machine: IStateMachine) -> None:
        """Say that all is durable; where that has become much, put a snapshot in its place."""
        if self.applied_index - self._snapshot_index >= self._snapshot_entries:
            self._take_snapshot(machine)
        try:
            self._write(encode_mark(self._synced_index))
        except OSError:
            return  # it only helps to tell a damaged file from a torn one

    def _take_snapshot(self, machine: IStateMachine) -> None:
        """Order: the snapshot is durable under its name before the entries that it replaces go."""
        body = self.applied_index.to_bytes(8, "big") + machine.take_snapshot()
        try:
            self._disk.replace_file(f"{self._directory}/{SNAPSHOT_NAME}", crc32c(body).to_bytes(4, "big") + body)
        except OSError as error:
            # A full disk, most likely; the entries hold everything, and the next command tries again.
            log.warn("the metadata snapshot cannot be written: {why}", why=error.strerror or str(error))
            return
        self._snapshot_index = self.applied_index
        try:
            self._put_in_place(encode_mark(self._snapshot_index))
        except OSError as error:
            log.warn("the metadata log cannot be cut: {why}", why=error.strerror or str(error))
            if error.errno not in NO_SPACE:
                self._fail(_not_written(error))  # our file may be one that has no name any more

    def _sync_failed(self, failure: Failure) -> None:
        """Never retry a sync (the pages may be gone): nothing more is accepted until recovery has looked."""
        if self._file is not None and self._failed is None:
            log.error("the metadata cannot be synced: {why}", why=failure.getErrorMessage())
        self._fail(Refused(ErrorCode.KAFKA_STORAGE_ERROR, f"the metadata cannot be synced: {failure.value}"))

    def _fail(self, refusal: Refused) -> None:
        """Agree on nothing more, and say so to whoever waits for that or for a command."""
        self._failed = self._failed or refusal
        if self.leader_id is not None:
            self._failure.tell(refusal.message)
        while self._waiting:
            self._waiting.popleft().outcome.errback(refusal.again())


def _not_written(error: OSError) -> Refused:
    return Refused(ErrorCode.KAFKA_STORAGE_ERROR, f"the metadata cannot be written: {error.strerror or error}")
