"""
The world of level 1: slots with replicas, links between them, one heap of events, one digest.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from hashlib import blake2b
from heapq import heappop, heappush
from random import Random
from struct import Struct
from typing import Any

from streamline.raft import Configuration, RaftSettings, Ready, Replica, Snapshot
from streamline.raft.messages import Message
from streamline.testing.simulation.cores.disk import CoreDisk, Job, Taken
from streamline.testing.simulation.cores.links import Links, LinkWeather
from streamline.testing.simulation.cores.monitor import Monitor
from streamline.testing.simulation.cores.replica import Process, Slot, key_of

TICK_S = 0.05
DRIFT_MAX = 0.1
RECENT_EVENTS = 200
SOON_S = 0.02
"""The time in which others notice that a process has died."""

_STAMP = Struct("<dIIII").pack


class CoreWorld:
    """
    Replicas, and what happens to them.

    @ivar now: simulated seconds.
    @ivar slots: by node id.
    @ivar settings: of all replicas.
    @ivar snapshot_entries: how many entries make a replica take a snapshot.
    @ivar notices: the chance that others notice a death at once, as a refused connection tells.
    """

    def __init__(self, seed: int, founders: int, learners: int) -> None:
        self.seed = seed
        self.now = 0.0
        self.events = 0
        self.recent: deque[tuple[float, str]] = deque(maxlen=RECENT_EVENTS)
        self.trace: Callable[[str], object] | None = None
        knobs = self.stream("knobs")
        self.links = Links(LinkWeather.drawn(knobs), self.stream("links"))
        self.monitor = Monitor()
        self.settings = RaftSettings(
            message_entries_max=knobs.choice((1, 3, 100)),
            message_bytes_max=knobs.choice((64, 500, 1 << 20)),
            inflight_entries_max=knobs.choice((1, 10, 1000)),
            inflight_bytes_max=knobs.choice((64, 1000, 1 << 20)),
            uncommitted_bytes_max=knobs.choice((2000, 1 << 20)),
            snapshot_chunk_bytes=knobs.choice((20, 100, 1000)),
            ready_bytes_max=knobs.choice((100, 1 << 20)),
        )
        self.snapshot_entries = knobs.choice((5, 30, 200))
        self.kept_entries = knobs.choice((0, 0, 3, 50))
        self.padding = knobs.choice((0, 20, 200))
        self.notices = knobs.choice((0.0, 0.5, 1.0))
        self._rng = self.stream("world")
        self._disk_rng = self.stream("disks")
        self._heap: list[tuple[float, float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._sequence = 0
        self._tie = self.stream("ties").random
        self._digest = blake2b(digest_size=16)
        self.slots: dict[int, Slot] = {}
        self._found(founders, learners)

    @staticmethod
    def shape(seed: int) -> tuple[int, int]:
        """Draw how many voters and learners a seed's cluster begins with (F1)."""
        rng = Random(f"{seed}/cores/shape")
        return rng.choice((1, 2, 3, 3, 3, 4, 5, 5)), rng.choice((0, 0, 1, 2))

    def stream(self, name: str) -> Random:
        """Return a source of chance of its own."""
        return Random(f"{self.seed}/cores/{name}")

    def digest(self) -> str:
        """Return the digest of all that happened so far."""
        return self._digest.hexdigest()

    # Events

    def at(self, due: float, function: Callable[..., None], *args: Any) -> None:
        """Have something happen at a time."""
        self._sequence += 1
        heappush(self._heap, (due, self._tie(), self._sequence, function, args))

    def run(self, until: float, enough: Callable[[], bool] | None = None) -> bool:
        """
        Let happen what happens up to a time.

        @param enough: asked after each event; true ends it there.
        @return: whether C{enough} was.
        """
        heap = self._heap
        while heap and heap[0][0] <= until:
            self.now, _, _, function, args = heappop(heap)
            self.events += 1
            function(*args)
            if enough is not None and enough():
                return True
        self.now = until
        return False

    def note(self, text: str) -> None:
        """Note what people should see in a failure report."""
        self.recent.append((self.now, text))
        if self.trace is not None:
            self.trace(f"{self.now:12.6f}  {text}")

    def _stamp(self, kind: int, slot: Slot) -> None:
        process = slot.process
        if process is not None:
            node = process.node
            commit_index, last_index = node.commit_index, node.last_index
            self._digest.update(_STAMP(self.now, kind * 64 + slot.number, node.term, commit_index, last_index))
            if self.trace is not None:
                self.trace(f"{self.now:12.6f}  {slot.key} {kind} {node.term} {commit_index} {last_index}")

    # Slots

    def _found(self, founders: int, learners: int) -> None:
        keys = [key_of(number, 1) for number in range(1, founders + learners + 1)]
        replicas = tuple(Replica(key, f"node{key.node_id}:9093") for key in keys)
        founding = Configuration(replicas[:founders], replicas[founders:])
        for number in range(1, founders + learners + 1):
            self.add_slot(number, founding)

    def add_slot(self, number: int, configuration: Configuration) -> Slot:
        """Make a place for a node with an empty disk that begins with this configuration."""
        disk = CoreDisk(key_of(number, 1), Snapshot(0, 0, configuration))
        drift = 1.0 + self._rng.uniform(-DRIFT_MAX, DRIFT_MAX)
        slot = self.slots[number] = Slot(number, disk, TICK_S * drift, self._rng.choice((0.0005, 0.004, 0.02)))
        self.monitor.disks[disk.key] = disk
        return slot

    def wipe(self, slot: Slot) -> None:
        """Put a new disk into a slot whose process is down: whoever starts there is somebody else (RF15)."""
        assert slot.process is None
        slot.disks += 1
        slot.disk = CoreDisk(key_of(slot.number, slot.disks), Snapshot(0, 0, Configuration()))
        self.monitor.disks[slot.key] = slot.disk

    def start(self, slot: Slot) -> None:
        """Start a process, if none runs."""
        if slot.process is not None:
            return
        slot.lives += 1
        slot.stalled_until = 0.0
        process = slot.process = Process.started(slot.disk, self.settings, self.stream(f"{slot.number}.{slot.lives}"))
        self.monitor.restored(process.watched, slot.disk.snapshot, process.machine.state)
        self.note(f"{slot.key} starts")
        self.at(self.now + self._rng.random() * slot.tick_s, self._tick, slot, slot.lives)
        self.pump(slot, process)

    def die(self, slot: Slot, *, power: bool) -> None:
        """End a process, and with C{power} lose what was not synced."""
        if slot.process is None:
            return
        slot.process = None
        slot.unreported.clear()
        if power:
            slot.disk.cut_off(self._disk_rng)
        else:
            slot.disk.killed()
        self.note(f"{slot.key} {'loses power' if power else 'is killed'}")
        for other in self.slots.values():
            if other is not slot and self._rng.random() < self.notices:
                self.at(self.now + self._rng.random() * SOON_S, self.rumour, other, slot)

    def rumour(self, hearer: Slot, gone: Slot) -> None:
        """Tell a replica that another one's process is gone, whether that is true or not."""
        if self._is_up(hearer, self.rumour, hearer, gone) and hearer.process is not None:
            hearer.process.node.peer_gone(gone.key)
            self.pump(hearer, hearer.process)

    def _is_up(self, slot: Slot, again: Callable[..., None], *args: Any) -> bool:
        """Say whether a slot's process does anything; where it stalls, have it happen when it goes on."""
        if slot.process is None:
            return False
        if slot.stalled_until > self.now:
            self.at(slot.stalled_until, again, *args)
            return False
        return True

    def _tick(self, slot: Slot, life: int) -> None:
        if slot.lives != life or not self._is_up(slot, self._tick, slot, life):
            return
        process = slot.process
        assert process is not None
        self.at(self.now + slot.tick_s, self._tick, slot, life)
        process.node.tick()
        self._stamp(1, slot)
        self.pump(slot, process)

    # What a process does

    def pump(self, slot: Slot, process: Process) -> None:
        """Do what the core wants done."""
        self.monitor.moved(process.watched)
        while (ready := process.node.ready()) is not None:
            self._do(slot, process, ready)
            self.monitor.moved(process.watched)

    def _do(self, slot: Slot, process: Process, ready: Ready) -> None:
        self.monitor.handed_out(process.watched, ready)
        if ready.must_write:
            self._write(slot, ready)
        for message in ready.messages:
            self._send(slot, message)
        for entry in ready.committed:
            process.machine.apply(entry)
            self.monitor.applied(entry.index, process.machine.state)
        for read in ready.reads:
            self.read_answered(slot, read.context, read.index)
        if process.machine.index - process.snapshot_index >= self.snapshot_entries:
            self._take_snapshot(slot, process)

    def read_answered(self, slot: Slot, context: bytes, index: int | None) -> None:
        """Hear the answer to a read; whoever asks puts something better here."""

    def _take_snapshot(self, slot: Slot, process: Process) -> None:
        process.snapshot_index = process.machine.index
        data = process.machine.snapshot(self.padding)
        self._write(slot, Taken(process.node.snapshot_at(process.machine.index, data)))

    def _send(self, slot: Slot, message: Message) -> None:
        target = self.slots.get(message.to.node_id)
        if target is not None:
            link = slot.number, target.number
            for due in self.links.arrivals(link, self.now):
                self.at(due, self._arrive, target, message, self.links.broken.get(link, 0))

    def _arrive(self, slot: Slot, message: Message, broken: int) -> None:
        if broken != self.links.broken.get((message.sender.node_id, slot.number), 0):
            return
        if self._is_up(slot, self._arrive, slot, message, broken) and slot.process is not None:
            if self.trace is not None:
                self.note(f"{slot.key} hears {message}")
            slot.process.node.step(message)
            self._stamp(2, slot)
            self.pump(slot, slot.process)

    def disconnect(self, one: Slot, other: Slot) -> None:
        """Break the connections between two slots, and tell both."""
        for here, there in ((one, other), (other, one)):
            link = here.number, there.number
            self.links.broken[link] = self.links.broken.get(link, 0) + 1
            if here.process is not None and here.stalled_until <= self.now:
                here.process.node.connection_lost(there.key)
                self.pump(here, here.process)

    # Disks

    def _write(self, slot: Slot, job: Job) -> None:
        slot.disk.waiting.append(job)
        self._sync(slot)

    def _sync(self, slot: Slot) -> None:
        """Begin a sync for all that waits, unless one is under way."""
        disk = slot.disk
        if disk.waiting and not disk.syncing:
            disk.syncing = len(disk.waiting)
            due = max(self.now, slot.stuck_until) + self._disk_rng.expovariate(1.0) * slot.sync_s
            self.at(due, self._synced, slot, disk, slot.lives)

    def _synced(self, slot: Slot, disk: CoreDisk, life: int) -> None:
        if slot.lives != life or slot.process is None:
            return
        if slot.stuck_until > self.now:
            self.at(slot.stuck_until, self._synced, slot, disk, life)
            return
        slot.unreported.extend(disk.synced())
        self._sync(slot)
        self._report(slot, life)

    def _report(self, slot: Slot, life: int) -> None:
        """Tell the process what is durable; where it stalls, it hears that later."""
        if slot.lives != life or not self._is_up(slot, self._report, slot, life):
            return
        process = slot.process
        assert process is not None
        while slot.unreported:
            job = slot.unreported.popleft()
            if isinstance(job, Ready):
                if job.snapshot is not None:
                    process.restore(job.snapshot)
                    self.monitor.restored(process.watched, job.snapshot, process.machine.state)
                process.node.advance(job)
            else:
                slot.disk.drop_to(process.node.snapshot_taken(job.snapshot, self.kept_entries))
        self._stamp(3, slot)
        self.pump(slot, process)
