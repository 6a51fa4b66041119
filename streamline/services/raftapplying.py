"""
What a replica has applied: committed entries in, what the proposers are told out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.python.failure import Failure

from streamline.errors import Refused
from streamline.interfaces import IStateMachine
from streamline.raft import Entry, EntryKind, Proposal, Snapshot
from streamline.services.raftwaiting import Proposals


class Applied:
    """
    A state machine, and how far it has come.

    @ivar index: of the last entry.
    @ivar term: of that entry.
    @ivar command_index: of the last command; others change nothing for the machine.
    @ivar snapshot_index: up to where there is a snapshot, taken or given.
    @ivar bytes_since: how long the commands since then are.
    """

    def __init__(self, machine: IStateMachine, snapshot: Snapshot) -> None:
        self._machine = machine
        self.index = self.command_index = self.snapshot_index = 0
        self.term = 0
        self.bytes_since = 0
        if snapshot.index:
            self.restore(snapshot)

    @property
    def entries_since(self) -> int:
        """How many entries there were since the last snapshot."""
        return self.index - self.snapshot_index

    def restore(self, snapshot: Snapshot) -> None:
        """Start over from a snapshot, which is durable."""
        self._machine.restore(snapshot.data)
        self.index = self.command_index = self.snapshot_index = snapshot.index
        self.term = snapshot.term
        self.bytes_since = 0

    def take_snapshot(self) -> bytes:
        """Return all that was applied."""
        self.snapshot_index = self.index
        self.bytes_since = 0
        return self._machine.take_snapshot()

    def apply(self, entries: Sequence[Entry], awaited: Proposals) -> dict[Proposal, Any]:
        """
        Apply entries; return the results of those that somebody waits for, refusals as Failures.

        @raise Exception: whatever the machine raises that is no L{Refused}; it can go no further.
        """
        results: dict[Proposal, Any] = {}
        for entry in entries:
            self.index, self.term = entry.index, entry.term
            if entry.kind is not EntryKind.COMMAND:
                continue
            self.command_index = entry.index
            self.bytes_since += len(entry.payload)
            result = self._apply(entry)
            proposal = Proposal(entry.index, entry.term)
            if proposal in awaited:
                results[proposal] = result
        return results

    def _apply(self, entry: Entry) -> Any:
        try:
            return self._machine.apply(entry.index, entry.payload)
        except Refused as refusal:
            return Failure(refusal)
