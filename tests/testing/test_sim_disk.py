"""The simulated disk: it keeps the contract, and loses what a real one may lose."""

from __future__ import annotations

import errno
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from streamline.interfaces import IDisk
from streamline.testing.contracts import disk
from streamline.testing.simulation import Fabric, Machine, MachineDown, Process, SimDisk, Simulation, Weather


def a_machine(seed: int = 1) -> Machine:
    """Return a machine alone in its world."""
    return Machine(Fabric.of(Simulation(seed), Weather()), "n1", "10.0.0.1")


class SimDiskContractTests(disk.DiskContract):
    """The simulated disk promises what every disk does."""

    process: Process

    def make_disk(self) -> tuple[IDisk, str]:
        """Start a process with a directory of its own."""
        self.process = a_machine().start()
        self.process.disk.make_directories("/data")
        return self.process.disk, "/data"

    def result_of(self, deferred: Deferred[Any]) -> Any:
        """Let a second pass."""
        self.process.simulation.run(self.process.simulation.now + 1)
        outcome: list[Any] = []
        deferred.addBoth(outcome.append)
        if not outcome:
            self.fail("nothing happened for a second")
        if hasattr(outcome[0], "raiseException"):
            outcome[0].raiseException()
        return outcome[0]


class PowerCutTests(SynchronousTestCase):
    """What survives when the power is cut, over many seeds."""

    def outcomes(self, prepare: Any, look: Any, seeds: int = 200) -> set[Any]:
        """Return all that C{look} finds after C{prepare} and a power cut, seed by seed."""
        found = set()
        for seed in range(seeds):
            machine = a_machine(seed)
            files = machine.start().disk
            files.make_directories("/data")
            prepare(files)
            machine.crash(power=True)
            found.add(look(machine.start().disk))
        return found

    def test_synced_survives(self) -> None:
        """Synced bytes under a synced name are there, always."""

        def prepare(files: SimDisk) -> None:
            file = files.open("/data/a", create=True)
            file.write([b"x" * 10_000], 0)
            file.sync()
            files.sync_directory("/data")

        self.assertEqual(self.outcomes(prepare, lambda files: files.read_file("/data/a")), {b"x" * 10_000})

    def test_synced_together_survives(self) -> None:
        """So is what was synced together, with all its names; who would fail has to be synced for itself."""

        def prepare(files: SimDisk) -> None:
            files.make_directory("/data/d")
            file = files.open("/data/d/a", create=True)
            file.write([b"x" * 10_000], 0)
            self.assertTrue(files.sync_together([file], ["/data/d", "/data"]))

        self.assertEqual(self.outcomes(prepare, lambda files: files.read_file("/data/d/a")), {b"x" * 10_000})

    def test_sync_together_fails(self) -> None:
        """It says so, and the sync of the file by itself is the one that fails."""
        machine = a_machine()
        files = machine.start().disk
        files.make_directories("/data")
        file = files.open("/data/a", create=True)
        machine.platter.faults.failing_syncs = 1
        self.assertFalse(files.sync_together([file], ["/data"]))
        self.assertRaises(OSError, file.sync)

    def test_unsynced_may_go_page_by_page(self) -> None:
        """Of bytes written over others without a sync, each page may be new or old, in any combination."""

        def prepare(files: SimDisk) -> None:
            file = files.open("/data/a", create=True)
            file.write([b"o" * 8192], 0)
            file.sync()
            files.sync_directory("/data")
            file.write([b"n" * 8192], 0)

        def pages(files: SimDisk) -> tuple[str, str]:
            data = files.read_file("/data/a")
            self.assertEqual(len(data), 8192)
            return _kind(data[:4096]), _kind(data[4096:])

        found = self.outcomes(prepare, pages)
        self.assertTrue({("n", "n"), ("o", "o"), ("o", "n"), ("n", "o")} <= found, found)
        self.assertTrue(any("torn" in pair for pair in found), found)

    def test_appended_may_leave_zeros(self) -> None:
        """The length may be on the device before the bytes are."""

        def prepare(files: SimDisk) -> None:
            file = files.open("/data/a", create=True)
            file.sync()
            files.sync_directory("/data")
            file.write([b"n" * 4096], 0)
            file.write([b"m" * 4096], 4096)

        found = self.outcomes(prepare, lambda files: files.read_file("/data/a"))
        self.assertIn(b"", found)
        self.assertIn(b"n" * 4096 + b"m" * 4096, found)
        self.assertTrue(any(data.startswith(b"\0") for data in found), "no seed left a hole")

    def test_truncation_may_revert(self) -> None:
        """What a truncation took may be back."""

        def prepare(files: SimDisk) -> None:
            file = files.open("/data/a", create=True)
            file.write([b"abc"], 0)
            file.sync()
            files.sync_directory("/data")
            file.truncate(1)

        found = self.outcomes(prepare, lambda files: files.read_file("/data/a"))
        self.assertTrue({b"a", b"abc"} <= found, found)

    def test_names_may_revert_in_any_order(self) -> None:
        """Without a sync of the directory, each created, renamed or removed name is there or not."""

        def prepare(files: SimDisk) -> None:
            for name in ("a", "b"):
                files.open(f"/data/{name}", create=True)
            files.sync_directory("/data")
            files.remove("/data/a")
            files.rename("/data/b", "/data/c")
            files.open("/data/d", create=True)

        found = self.outcomes(prepare, lambda files: tuple(files.list_directory("/data")))
        self.assertEqual(len(found), 8, found)
        self.assertTrue(all(("b" in names) != ("c" in names) for names in found), "a rename is never half there")

    def test_sync_of_one_directory_settles_renames(self) -> None:
        """A name that a durable rename took away does not come back with an older change."""

        def prepare(files: SimDisk) -> None:
            files.make_directories("/data/x")
            files.open("/data/a", create=True)
            files.rename("/data/a", "/data/x/a")
            files.sync_directory("/data/x")

        look = lambda files: (tuple(files.list_directory("/data")), tuple(files.list_directory("/data/x")))  # noqa: E731
        self.assertEqual(self.outcomes(prepare, look), {(("x",), ("a",))})

    def test_replaced_file_is_old_or_new(self) -> None:
        """At whatever change the power is cut, a replaced file holds the one or the other."""
        found = set()
        for seed in range(100):
            machine = a_machine(seed)
            files = machine.start().disk
            files.make_directories("/data")
            files.replace_file("/data/a", b"old")
            machine.platter.faults.dies_in = 1 + seed % 5
            machine.platter.faults.dies_of_power = True
            self.assertRaises(MachineDown, files.replace_file, "/data/a", b"new")
            found.add(machine.start().disk.read_file("/data/a"))
        self.assertEqual(found, {b"old", b"new"})

    def test_failed_sync_is_found_out_by_a_power_cut(self) -> None:
        """After a failed sync the page cache still shows the bytes, and no later sync makes them durable."""

        def prepare(files: SimDisk) -> None:
            file = files.open("/data/a", create=True)
            file.sync()
            files.sync_directory("/data")
            files.platter.faults.failing_syncs = 1
            file.write([b"abc"], 0)
            self.assertRaises(OSError, file.sync)
            self.assertRaises(OSError, file.write, [b"d"], 3)
            self.assertEqual(files.read_file("/data/a"), b"abc")
            files.open("/data/a").sync()

        self.assertEqual(self.outcomes(prepare, lambda files: files.read_file("/data/a")), {b""})


def _kind(page: bytes) -> str:
    return chr(page[0]) if page == page[:1] * len(page) else "torn"


class DeathTests(SynchronousTestCase):
    """Processes that die at a disk call, and disks that refuse."""

    def test_kill_keeps_what_was_written(self) -> None:
        """The page cache outlives the process; its locks do not."""
        machine = a_machine()
        files = machine.start().disk
        files.lock("/lock")
        files.open("/a", create=True).write([b"abc"], 0)
        machine.crash(power=False)
        again = machine.start().disk
        self.assertEqual(again.read_file("/a"), b"abc")
        again.lock("/lock")

    def test_dead_processes_change_nothing(self) -> None:
        """Whatever a dead process still calls has no effect."""
        machine = a_machine()
        files = machine.start().disk
        file = files.open("/a", create=True)
        machine.crash(power=False)
        self.assertRaises(MachineDown, file.write, [b"abc"], 0)
        self.assertRaises(MachineDown, files.remove, "/a")
        self.assertEqual(machine.start().disk.read_file("/a"), b"")

    def test_death_in_a_write_leaves_a_part(self) -> None:
        """A process that dies while it writes has written none, some or all."""
        lengths = set()
        for seed in range(100):
            machine = a_machine(seed)
            file = machine.start().disk.open("/a", create=True)
            machine.platter.faults.dies_in = 1
            self.assertRaises(MachineDown, file.write, [b"abc"], 0)
            self.assertFalse(machine.running)
            lengths.add(len(machine.start().disk.read_file("/a")))
        self.assertEqual(lengths, {0, 1, 2, 3})

    def test_no_space(self) -> None:
        """A full disk takes a part at most, says so, and lets go of what is removed."""
        machine = a_machine()
        machine.platter.capacity_bytes = 10
        files = machine.start().disk
        file = files.open("/a", create=True)
        file.write([b"12345678"], 0)
        with self.assertRaises(OSError) as caught:
            file.write([b"abcd"], 8)
        self.assertEqual(caught.exception.errno, errno.ENOSPC)
        self.assertLessEqual(file.size(), 10)
        files.remove("/a")
        self.assertEqual(files.space("/"), (10, 10))

    def test_input_and_output_errors(self) -> None:
        """Reads and writes fail with EIO where they are told to, and each failure is counted."""
        machine = a_machine()
        file = machine.start().disk.open("/a", create=True)
        machine.platter.faults.read_error_chance = machine.platter.faults.write_error_chance = 1.0
        for call in (lambda: file.read(0, 1), lambda: file.write([b"a"], 0)):
            with self.assertRaises(OSError) as caught:
                call()
            self.assertEqual(caught.exception.errno, errno.EIO)
        self.assertEqual(machine.platter.hits, {"read EIO": 1, "write EIO": 1})


class TimeTests(SynchronousTestCase):
    """How long disk calls take."""

    def test_sync_later_groups(self) -> None:
        """Those who ask while a sync runs share the next one, and it covers what they wrote."""
        machine = a_machine()
        machine.platter.faults.stuck_until = 2.0
        process = machine.start()
        process.disk.make_directories("/data")
        file = process.disk.open("/data/a", create=True)
        process.disk.sync_directory("/data")
        process.simulation.run(2.0)
        machine.platter.faults.stuck_until = 5.0
        told: list[float] = []
        for data in (b"a", b"b", b"c"):
            file.write([data], file.size())
            file.sync_later().addCallback(lambda _: told.append(process.simulation.now))
        process.simulation.run(4.9)
        self.assertEqual(told, [])
        process.simulation.run(10)
        self.assertEqual(len(told), 3)
        self.assertLess(told[0], told[1])
        self.assertEqual(told[1], told[2])
        machine.crash(power=True)
        self.assertEqual(machine.start().disk.read_file("/data/a"), b"abc")

    def test_blocking_sync_stalls_the_loop(self) -> None:
        """A sync on the event loop holds up every timer; one elsewhere does not."""
        machine = a_machine()
        process = machine.start()
        file = process.disk.open("/a", create=True)
        called: list[float] = []
        machine.platter.faults.stuck_until = 3.0
        process.disk.elsewhere(file.sync).addCallback(lambda _: called.append(-process.simulation.now))
        process.reactor.callLater(1.0, lambda: called.append(process.simulation.now))
        process.simulation.run(2.0)
        self.assertEqual(called, [1.0])
        process.reactor.callLater(0.5, file.sync)
        process.reactor.callLater(0.6, lambda: called.append(process.simulation.now))
        process.simulation.run(4.0)
        self.assertIn(3.0, called)
        self.assertNotIn(2.6, called)
