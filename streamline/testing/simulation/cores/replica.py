"""
One process around a core, and the place it runs in.

It does with a L{Ready} what the service does: writes, sends, applies.  Its state
machine is a checksum over all commands, so that two of them are either equal or not.
"""

from __future__ import annotations

from binascii import crc32
from collections import deque
from random import Random
from struct import Struct

from attrs import Factory, define

from streamline.raft import Entry, EntryKind, RaftNode, RaftSettings, ReplicaKey, Snapshot
from streamline.testing.simulation.cores.disk import CoreDisk, Job
from streamline.testing.simulation.cores.monitor import Watched

_STATE = Struct(">QI")


@define
class StateMachine:
    """
    What a replica has applied.

    @ivar index: up to where.
    @ivar state: the checksum of it all.
    """

    index: int = 0
    state: int = 0

    def apply(self, entry: Entry) -> None:
        """Apply an entry; only commands change anything."""
        self.index = entry.index
        if entry.kind is EntryKind.COMMAND:
            self.state = crc32(entry.payload, self.state)

    def snapshot(self, padding: int) -> bytes:
        """Return everything, and some bytes more, so that it goes over in several pieces."""
        return _STATE.pack(self.index, self.state) + bytes(padding)

    def restore(self, data: bytes) -> None:
        """Start over."""
        self.index, self.state = _STATE.unpack_from(data) if data else (0, 0)


@define(eq=False)
class Process:
    """
    A replica while it runs.

    @ivar snapshot_index: up to where it last took, or was given, a snapshot.
    @ivar is_resigning: it was asked to stop.
    """

    node: RaftNode
    disk: CoreDisk
    machine: StateMachine
    watched: Watched
    snapshot_index: int
    is_resigning: bool = False

    @classmethod
    def started(cls, disk: CoreDisk, settings: RaftSettings, rng: Random) -> Process:
        """Start from what the disk holds."""
        node = RaftNode(disk.key, disk.recovered(), settings, rng.randrange)
        watched = Watched(node, disk, term=disk.hard_state.term, written_index=disk.last_index)
        process = cls(node, disk, StateMachine(), watched, disk.snapshot.index)
        process.machine.restore(disk.snapshot.data)
        watched.commit_index = node.commit_index
        watched.applied_index = process.machine.index
        return process

    def restore(self, snapshot: Snapshot) -> None:
        """Start over from the leader's snapshot, which is durable by now."""
        self.machine.restore(snapshot.data)
        self.snapshot_index = snapshot.index


@define(eq=False)
class Slot:
    """
    A place that a replica runs in: a node id.

    @ivar tick_s: how long its ticks are, by its own clock, which drifts.
    @ivar process: what runs, or None.
    @ivar stalled_until: the process does nothing before this.
    @ivar sync_s: how long a sync takes, on average.
    @ivar stuck_until: no sync ends before this.
    @ivar unreported: what is durable, and the process has not heard of.
    @ivar lives: counts its processes.
    @ivar disks: counts its disks.
    """

    number: int
    disk: CoreDisk
    tick_s: float
    sync_s: float
    process: Process | None = None
    stalled_until: float = 0.0
    stuck_until: float = 0.0
    unreported: deque[Job] = Factory(deque)
    lives: int = 0
    disks: int = 1

    @property
    def key(self) -> ReplicaKey:
        """Who is there now."""
        return self.disk.key


def key_of(number: int, disks: int) -> ReplicaKey:
    """Return who somebody is: a node id, and how many disks it has had."""
    return ReplicaKey(number, bytes((disks,)) * 16)
