"""The queue before a replica's files: in order, durable before anybody hears, patient with a full disk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from streamline.raft import Configuration, Entry, HardState, Ready, Replica, ReplicaKey, Snapshot
from streamline.raft.ready import Written
from streamline.services.raftstore import RaftStore, decode_snapshot
from streamline.services.raftwriter import RaftWriter
from streamline.testing.simulation import Fabric, Machine, Simulation, Weather

ME = ReplicaKey(1, b"directory of n1!")
ALONE = Configuration((Replica(ME),))


def ready(number: int, *entries: Entry, hard_state: HardState | None = None, snapshot: Snapshot | None = None) -> Ready:
    """Return one that wants this written."""
    written = Written(1, entries[-1].index if entries else 0, 1)
    return Ready(
        number=number, hard_state=hard_state, snapshot=snapshot, entries=entries, written=written,
        messages=(), committed=(), outcomes=(), reads=(),
    )  # fmt: skip


class WriterTests(SynchronousTestCase):
    """One writer, and somebody who notes what it is told."""

    def setUp(self) -> None:
        """Found a log and open it."""
        self.simulation = Simulation(1)
        self.machine = Machine(Fabric.of(self.simulation, Weather()), "n1", "10.0.0.1")
        self.faults = self.machine.platter.faults
        self.told: list[Any] = []
        self.start()
        self.store.found(ME, ALONE)
        self.recovered = self.store.recover(ME)

    def start(self) -> None:
        """Start a process."""
        self.process = self.machine.start()
        self.store = RaftStore(self.process.host.disk, "/data/metadata")
        self.writer = RaftWriter(self.store, self.process.host.clock, self)

    def wait(self, seconds: float = 1.0) -> None:
        """Let time pass."""
        self.simulation.run(self.simulation.now + seconds)

    def on_disk(self) -> tuple[int, tuple[int, ...]]:
        """Cut the power; return the index of the snapshot, and those of the entries."""
        self.machine.crash(power=True)
        self.start()
        self.recovered = recovered = self.store.recover(ME)
        return recovered.snapshot.index, tuple(entry.index for entry in recovered.entries)

    # It is told

    def written(self, readies: Sequence[Ready]) -> None:
        """Note it."""
        self.told += [one.number for one in readies]

    def snapshot_saved(self, snapshot: Snapshot) -> int:
        """Note it, and have all entries gone that it stands for."""
        self.told.append(snapshot.index)
        return snapshot.index

    def snapshot_not_saved(self) -> None:
        """Note it."""
        self.told.append("not saved")

    def writing_failed(self, failure: Failure) -> None:
        """Note it."""
        self.told.append(failure.type)

    # Tests

    def test_nothing_is_told_before_it_is_durable(self) -> None:
        """What comes while a sync is under way goes into the next one; each is told in its turn (RF1, RF2)."""
        self.faults.stuck_until = self.simulation.now + 5.0
        self.writer.write(ready(1, Entry(1, 1), hard_state=HardState(1, ME)))
        self.writer.write(ready(2, Entry(2, 1)))
        self.wait(4.0)
        self.assertEqual((self.told, round(self.writer.busy_s)), ([], 4))
        self.wait(2.0)
        self.assertEqual((self.told, self.writer.busy_s), ([1, 2], 0.0))
        self.assertEqual(self.on_disk(), (0, (1, 2)))

    def test_a_snapshot_takes_the_place_of_the_log(self) -> None:
        """The leader's: what was there is gone, and what follows on it is there (RF12)."""
        self.writer.write(ready(1, Entry(1, 1), Entry(2, 1)))
        self.writer.write(ready(2, Entry(11, 2), snapshot=Snapshot(10, 2, ALONE, b"ten")))
        self.writer.write(ready(3, Entry(12, 2)))
        self.wait()
        self.assertEqual(self.told, [1, 2, 3])
        self.assertEqual(self.on_disk(), (10, (11, 12)))

    def test_a_snapshot_of_before(self) -> None:
        """One's own, asked for before the leader's came and written after it, does not take its place (RF12)."""
        self.writer.write(ready(1, *(Entry(index, 1) for index in range(1, 6))))
        self.writer.write(ready(2, snapshot=Snapshot(10, 2, ALONE, b"ten")))
        self.writer.save(Snapshot(5, 1, ALONE, b"five"))
        self.wait()
        self.assertEqual(self.told, [1, 2, "not saved"])
        data = self.process.host.disk.read_file(self.store.snapshot_path)
        self.assertEqual(decode_snapshot(data, "file").data, b"ten")
        self.assertEqual(self.on_disk(), (10, ()))

    def test_saving(self) -> None:
        """Entries that the snapshot stands for go, others stay; so do the term and the vote (RF1)."""
        self.writer.write(ready(1, *(Entry(index, 1) for index in range(1, 8)), hard_state=HardState(3, ME)))
        self.writer.save(Snapshot(5, 1, ALONE, b"five"))
        self.wait()
        self.assertEqual(self.told, [1, 5])
        self.assertEqual(self.on_disk(), (5, (6, 7)))
        self.assertEqual(self.recovered.hard_state, HardState(3, ME))

    def test_a_full_disk(self) -> None:
        """What cannot be written waits, in its order (RC11); a snapshot just is not taken."""
        self.faults.full = True
        self.writer.save(Snapshot(0, 0, ALONE))
        self.writer.write(ready(1, Entry(1, 1)))
        self.writer.save(Snapshot(1, 1, ALONE))
        self.writer.write(ready(2, Entry(2, 1), snapshot=Snapshot(1, 1, ALONE)))
        self.wait(5.0)
        self.assertEqual(self.told, ["not saved"])
        self.faults.full = False
        self.wait(5.0)
        self.assertEqual(self.told, ["not saved", 1, 1, 2])
        self.assertEqual(self.on_disk(), (1, (2,)))

    def test_what_waited_for_space(self) -> None:
        """It lies behind what was there, as if nothing had been (RC11)."""
        self.writer.write(ready(1, Entry(1, 1)))
        self.wait()
        self.faults.full = True
        self.writer.write(ready(2, Entry(2, 1)))
        self.wait(5.0)
        self.faults.full = False
        self.wait(5.0)
        self.assertEqual(self.on_disk(), (0, (1, 2)))

    def test_a_full_disk_while_a_snapshot_is_saved(self) -> None:
        """The entries hold everything."""
        self.writer.write(ready(1, Entry(1, 1)))
        self.wait()
        self.faults.full = True
        self.writer.save(Snapshot(1, 1, ALONE))
        self.wait()
        self.faults.full = False
        self.writer.write(ready(2, Entry(2, 1)))
        self.wait()
        self.assertEqual(self.told, [1, "not saved", 2])
        self.assertEqual(self.on_disk(), (0, (1, 2)))

    def test_a_sync_that_fails(self) -> None:
        """It is told once, and nothing is written from then on (DK12)."""
        self.faults.failing_syncs = 1
        self.writer.write(ready(1, Entry(1, 1)))
        self.wait()
        self.writer.write(ready(2, Entry(2, 1)))
        self.wait()
        self.assertEqual(self.told, [OSError])

    def test_stopped(self) -> None:
        """Nobody is told of anything, whatever was under way."""
        for full in (False, True):
            self.faults.full = full
            self.writer.write(ready(1, Entry(1, 1)))
            self.writer.stop()
            self.wait(5.0)
            self.assertEqual(self.told, [])
            self.faults.full = False
            self.on_disk()
