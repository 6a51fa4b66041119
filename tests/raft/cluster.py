"""
A few cores and the messages between them, moved by hand: for tests that say exactly what happens when.

Writes are durable at once unless a replica is told to hold them; messages wait until they are delivered.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from attrs import Factory, define

from streamline.raft import (
    Configuration,
    Entry,
    EntryKind,
    HardState,
    Message,
    Outcome,
    RaftNode,
    RaftSettings,
    ReadState,
    Ready,
    Recovered,
    Replica,
    ReplicaKey,
    Snapshot,
)
from streamline.testing.simulation.cores.disk import CoreDisk, Taken

SETTINGS = RaftSettings(heartbeat_ticks=1, election_ticks=10)


def key(number: int, disk: int = 1) -> ReplicaKey:
    """Return the key of a node with its first, or a later, disk."""
    return ReplicaKey(number, bytes((disk,)) * 16)


def replicas(*numbers: int) -> tuple[Replica, ...]:
    """Return members."""
    return tuple(Replica(key(number)) for number in numbers)


def voters(*numbers: int, learners: Sequence[int] = ()) -> Configuration:
    """Return a configuration."""
    return Configuration(replicas(*numbers), replicas(*learners))


def commands(*terms: int, first: int = 1) -> tuple[Entry, ...]:
    """Return commands of these terms, one after the other."""
    return tuple(Entry(first + at, term, payload=b"%d/%d" % (first + at, term)) for at, term in enumerate(terms))


@define(eq=False)
class Member:
    """
    One replica of a cluster by hand.

    @ivar holds: its writes wait for L{Cluster.write}.
    @ivar waits: the timeouts it draws, above the least; the last one for ever.
    """

    disk: CoreDisk
    settings: RaftSettings
    waits: list[int]
    said: Callable[[str, Ready], object]
    node: RaftNode | None = None
    holds: bool = False
    applied: list[Entry] = Factory(list)
    reads: list[ReadState] = Factory(list)
    outcomes: list[Outcome] = Factory(list)

    def start(self) -> None:
        """Start from the disk."""
        self.node = RaftNode(self.disk.key, self.disk.recovered(), self.settings, self._draw)
        self.applied = []

    def _draw(self, below: int) -> int:
        wait = self.waits.pop(0) if len(self.waits) > 1 else self.waits[0]
        return min(wait, below - 1)

    @property
    def running(self) -> RaftNode:
        """The core, of a replica that runs."""
        assert self.node is not None
        return self.node

    def commands(self) -> list[bytes]:
        """Return the commands that were applied since the start."""
        return [entry.payload for entry in self.applied if entry.kind is EntryKind.COMMAND]


class Cluster:
    """
    Replicas and what is between them.

    @ivar wire: messages on their way, oldest first.
    @ivar is_cut: says whether a link carries nothing.
    """

    def __init__(
        self,
        configuration: Configuration,
        settings: RaftSettings = SETTINGS,
        *,
        logs: dict[int, Sequence[Entry]] | None = None,
        others: Sequence[int] = (),
    ) -> None:
        self.settings = settings
        self.wire: deque[Message] = deque()
        self.cut: dict[tuple[int, int], bool] = {}
        self.said: Callable[[str, Ready], object] = lambda name, ready: None
        self.members: dict[int, Member] = {}
        for one in configuration.member_keys:
            self.add(one.node_id, configuration, (logs or {}).get(one.node_id, ()))
        for number in others:
            self.add(number, Configuration())

    def add(self, number: int, configuration: Configuration, log: Sequence[Entry] = (), disk: int = 1) -> Member:
        """Start a replica with this configuration and log."""
        directory = CoreDisk(key(number, disk), Snapshot(0, 0, configuration))
        directory.entries = list(log)
        directory.hard_state = HardState(log[-1].term if log else 0)
        member = Member(directory, self.settings, [number], lambda name, ready: self.said(name, ready))
        self.members[number] = member
        member.start()
        return member

    def node(self, number: int) -> RaftNode:
        """Return a replica's core."""
        return self.members[number].running

    # What happens

    def tick(self, number: int, count: int = 1) -> None:
        """Let ticks pass for one replica."""
        for _ in range(count):
            self.node(number).tick()
            self.pump(number)

    def pump(self, number: int) -> None:
        """Do what a core wants done."""
        member = self.members[number]
        while member.node is not None and (ready := member.node.ready()) is not None:
            member.said(str(number), ready)
            self.wire.extend(ready.messages)
            member.applied.extend(ready.committed)
            member.reads.extend(ready.reads)
            member.outcomes.extend(ready.outcomes)
            if ready.must_write:
                member.disk.waiting.append(ready)
                if not member.holds:
                    self.write(number)

    def write(self, number: int, count: int | None = None) -> None:
        """Make durable what waits, all of it or the first few Readies, and report that."""
        member = self.members[number]
        member.disk.syncing = len(member.disk.waiting) if count is None else count
        for job in member.disk.synced():
            if isinstance(job, Taken):
                member.disk.drop_to(member.running.snapshot_taken(job.snapshot))
            elif member.node is not None:
                member.node.advance(job)
        self.pump(number)

    def step(self, message: Message) -> None:
        """Deliver a message, at once."""
        member = self.members.get(message.to.node_id)
        if member is not None and member.node is not None:
            member.node.step(message)
            self.pump(message.to.node_id)

    def deliver(self, count: int = 1, where: Callable[[Message], bool] = lambda message: True) -> list[Message]:
        """Deliver the first few messages on their way that fit."""
        delivered: list[Message] = []
        while len(delivered) < count:
            message = next((one for one in self.wire if where(one)), None)
            if message is None:
                break
            self.wire.remove(message)
            delivered.append(message)
            self.step(message)
        return delivered

    def take(self, where: Callable[[Message], bool] = lambda message: True) -> list[Message]:
        """Take messages off the wire."""
        taken = [message for message in self.wire if where(message)]
        self.wire = deque(message for message in self.wire if message not in taken)
        return taken

    def settle(self, seen: Callable[[Message], object] = lambda message: None, limit: int = 20_000) -> None:
        """Deliver until nothing is on its way; what crosses a cut is lost."""
        for _ in range(limit):
            if not self.wire:
                return
            message = self.wire.popleft()
            if not self.cut.get((message.sender.node_id, message.to.node_id)):
                seen(message)
                self.step(message)
        raise AssertionError(f"still talking after {limit} messages: {self.wire[0]}")

    def isolate(self, *numbers: int) -> None:
        """Cut these off from all the others."""
        for one in self.members:
            for other in self.members:
                if (one in numbers) != (other in numbers):
                    self.cut[one, other] = True

    def mend(self) -> None:
        """Let everybody talk to everybody."""
        self.cut.clear()

    def elect(self, number: int) -> None:
        """Have a replica elected, and let its first entry be committed everywhere."""
        self.node(number).campaign()
        self.pump(number)
        self.settle()
        assert self.node(number).is_leader, f"{number} is {self.node(number).role_name}"

    def propose(self, number: int, command: bytes = b"x") -> None:
        """Propose and settle."""
        self.node(number).propose(command)
        self.pump(number)
        self.settle()

    def pass_time(self, ticks: int, *numbers: int) -> None:
        """Let ticks pass for these replicas, or all, and everything that follows from each."""
        for _ in range(ticks):
            for number in numbers or tuple(self.members):
                if self.members[number].node is not None:
                    self.tick(number)
            self.settle()

    # Crashes

    def stop(self, number: int) -> None:
        """End a process; what it wrote and did not sync is lost."""
        member = self.members[number]
        member.node = None
        member.disk.waiting.clear()
        member.disk.syncing = 0

    def start(self, number: int) -> None:
        """Start a process again."""
        self.members[number].start()
        self.pump(number)

    def compact(self, number: int, keep: int = 0) -> Snapshot:
        """Take a snapshot of all that is applied, make it durable, and drop what it stands for."""
        member = self.members[number]
        index = member.applied[-1].index
        snapshot = member.running.snapshot_at(index, b"state at %d" % index)
        member.disk.waiting.append(Taken(snapshot))
        member.disk.syncing = len(member.disk.waiting)
        for job in member.disk.synced():
            if isinstance(job, Ready):
                member.running.advance(job)
        member.disk.drop_to(member.running.snapshot_taken(snapshot, keep))
        self.pump(number)
        return snapshot


def recovered(configuration: Configuration, log: Sequence[Entry] = (), term: int = 0) -> Recovered:
    """Return what a disk with this log gives."""
    return Recovered(
        snapshot=Snapshot(0, 0, configuration),
        hard_state=HardState(max(term, log[-1].term if log else 0)),
        entries=tuple(log),
    )
