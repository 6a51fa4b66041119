"""Faults, one at a time: each does what it says, is counted only where it took effect, and ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import SynchronousTestCase

from streamline.testing.simulation import DiskFaults, Fabric, Machine, MachineDown, Process, Simulation, Weather
from streamline.testing.simulation.faults import KIND_NAMES, Fault, Plan
from streamline.testing.simulation.injector import STOP_PATIENCE_S, Injector, Stop, Supervisor

AT_S = 5.0
PORT = 9092


class FaultCase(SynchronousTestCase):
    """A program on a machine, a client with a connection to it, and a plan of one fault."""

    def setUp(self) -> None:
        """Make them."""
        self.simulation = Simulation(1)
        self.fabric = Fabric.of(self.simulation, Weather(split_chance=0.0))
        self.machine = Machine(self.fabric, "n1", "10.0.0.1")
        self.supervisor = Supervisor(self.machine, self.program)
        self.started: list[float] = []
        self.stopped: list[float] = []
        self.is_busy = False
        self.stopping: Callable[[], Deferred[None]] = lambda: succeed(None)
        self.supervisor.start()
        self.client = Machine(self.fabric, "c1", "10.0.1.1").start()
        factory = Factory.forProtocol(Protocol)
        self.connection = self.client.network.connect("10.0.0.1", PORT, factory, 5.0)
        self.connection.addErrback(lambda _: None)

    def work(self) -> None:
        """Write, as long as the process lives."""
        assert self.machine.process is not None
        self.machine.process.reactor.callLater(0.01, self.work)
        if self.machine.process.disk.exists("/file"):
            self.write()

    def program(self, process: Process) -> Stop:
        """Listen, and make a file."""
        self.started.append(self.simulation.now)
        if self.is_busy:
            self.work()
        process.network.listen(f"tcp:{PORT}:interface=10.0.0.1", Factory.forProtocol(Protocol))
        if not process.disk.exists("/file"):
            process.disk.open("/file", create=True)

        def stop() -> Deferred[None]:
            self.stopped.append(self.simulation.now)
            return self.stopping()

        return stop

    @property
    def faults(self) -> DiskFaults:
        """What is wrong with the disk."""
        return self.machine.platter.faults

    def inject(self, kind: str, length_s: float = 2.0, amount: float = 0.0) -> Injector:
        """Plan a fault, and let its time come."""
        plan = Plan((kind,), (Fault(0, AT_S, kind, length_s, amount),), ())
        injector = Injector(self.supervisor, plan)
        injector.begin()
        self.simulation.run(AT_S)
        return injector

    def until(self, at: float) -> None:
        """Let time pass."""
        self.simulation.run(at)

    def write(self, data: bytes = b"data") -> None:
        """Write into the file, unsynced."""
        assert self.machine.process is not None
        self.machine.process.disk.open("/file").write([data], 0)


class DeathTests(FaultCase):
    """Processes that die, and who starts them again."""

    def test_kill(self) -> None:
        """The process dies at once and comes back when the fault is over; what it had written is there."""
        self.write()
        injector = self.inject("kill", amount=3.0)
        self.assertFalse(self.machine.running)
        self.assertEqual(injector.counts(), {"kill": 1})
        self.until(AT_S + 3)
        self.assertEqual(self.started, [0.0, AT_S + 2.0])
        assert self.machine.process is not None
        self.assertEqual(self.machine.process.disk.read_file("/file"), b"data")

    def test_kill_in_a_call(self) -> None:
        """Above 10, it dies in the middle of the disk call of that number, not before."""
        injector = self.inject("kill", amount=11.5)
        self.write()
        self.assertTrue(self.machine.running)
        self.assertRaises(MachineDown, self.write)
        self.assertFalse(self.machine.running)
        self.assertEqual(injector.counts(), {"kill": 1, "met: death in a disk call": 1})

    def test_power(self) -> None:
        """A power cut is told to who asked, and takes the names that were not synced."""
        cuts: list[float] = []
        self.machine.on_power_cut = lambda: cuts.append(self.simulation.now)
        self.inject("power")
        self.assertEqual((cuts, self.machine.powered), ([AT_S], False))
        self.until(AT_S + 3)
        self.assertTrue(self.machine.powered and self.machine.running)

    def test_no_second_death(self) -> None:
        """Who is dead already cannot die, and it does not count."""
        self.machine.crash(power=False)
        self.supervisor.restart_s = 60.0
        self.simulation.run(1)
        for kind in ("kill", "power", "stop", "stall"):
            injector = Injector(self.supervisor, Plan((kind,), (Fault(0, 2.0, kind, 1.0, 0.0),), ()))
            self.machine.died = lambda: None
            injector.begin()
        self.machine.crash(power=False)
        self.simulation.run(3)
        self.assertEqual(injector.counts(), {})

    def test_stop(self) -> None:
        """It is asked to stop, dies when it has, and is started again."""
        injector = self.inject("stop")
        self.until(AT_S + 3)
        self.assertEqual((self.stopped, self.started), ([AT_S], [0.0, AT_S + 2.0]))
        self.assertEqual(injector.counts(), {"stop": 1})

    def test_stop_that_takes_too_long(self) -> None:
        """Who does not stop is killed."""
        self.stopping = Deferred
        self.inject("stop")
        self.until(AT_S + STOP_PATIENCE_S - 1)
        self.assertEqual(self.machine.process and self.machine.process.name, "n1.1")
        self.until(AT_S + STOP_PATIENCE_S + 3)
        self.assertEqual(self.machine.process and self.machine.process.name, "n1.2")

    def test_relapse(self) -> None:
        """It dies, and soon after its restart once more; in all ways there are."""
        ways = set()
        for amount in ((number + 0.2) / 81 for number in range(81)):
            self.setUp()
            cuts: list[float] = []
            self.machine.on_power_cut = lambda cuts=cuts: cuts.append(self.simulation.now)  # type: ignore[misc]
            self.is_busy = True
            self.work()
            self.inject("relapse", amount=amount)
            self.until(AT_S + 60)
            self.assertEqual(len(self.started), 3, amount)
            ways.add((len(cuts), len(self.stopped)))
        self.assertEqual(ways, {(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (2, 0)})

    def test_relapse_after_syncs_that_do_not_end(self) -> None:
        """Before the first death, it may be that no sync ends for a while."""
        told: list[object] = []
        self.inject("relapse", amount=8.2 / 81)
        assert self.machine.process is not None
        self.machine.process.disk.open("/file").sync_later().addBoth(told.append)
        self.until(AT_S + 1.9)
        self.assertTrue(self.machine.running)
        self.until(AT_S + 2.1)
        self.assertEqual((told, self.machine.running), ([], False))

    def test_lost_sync(self) -> None:
        """No sync ends between its beginning and the power cut."""
        told: list[object] = []
        self.inject("lost-sync")
        assert self.machine.process is not None
        self.machine.process.disk.open("/file").sync_later().addBoth(told.append)
        self.until(AT_S + 1.9)
        self.assertTrue(self.machine.running)
        self.until(AT_S + 2.1)
        self.assertEqual((told, self.machine.powered), ([], False))


class NetworkFaultTests(FaultCase):
    """Connections that break, and links that are down."""

    def arrives(self, to_node: bool) -> bool:
        """Say whether bytes pass now, in one direction, within two seconds."""
        assert self.machine.process is not None
        before = self.simulation.now
        here, there = (self.client, self.machine) if to_node else (self.machine.process, self.client.machine)
        source = here.machine if isinstance(here, Process) else here
        target = there if isinstance(there, Machine) else there.machine
        seen: list[float] = []
        self.fabric.link(source, target).carry(lambda: seen.append(self.simulation.now))
        self.until(before + 0.5)
        return bool(seen)

    def wire(self) -> Any:
        """Return the transport of the one connection."""
        connection: Any = self.successResultOf(self.connection)
        return connection.transport

    def test_reset_and_silence(self) -> None:
        """One connection breaks, or swallows everything; without one there is nothing to count."""
        for kind, is_told in (("reset", True), ("silence", False)):
            self.setUp()
            injector = self.inject(kind)
            self.until(AT_S + 1)
            self.assertEqual(injector.counts(), {kind: 1})
            self.assertEqual(self.wire().connected, not is_told)
            self.setUp()
            self.simulation.run(1)
            self.wire().abortConnection()
            self.assertEqual(self.inject(kind).counts(), {})

    def test_cut(self) -> None:
        """Nothing passes, in either direction, until it is over."""
        self.inject("cut")
        self.assertFalse(self.arrives(True) or self.arrives(False))
        self.until(AT_S + 2.1)
        self.assertTrue(self.arrives(True) and self.arrives(False))

    def test_one_way(self) -> None:
        """The amount says in which direction nothing passes."""
        for amount, to_node in ((0.2, False), (0.8, True)):
            self.setUp()
            self.inject("one-way", amount=amount)
            self.assertEqual((self.arrives(True), self.arrives(False)), (to_node, not to_node))

    def test_clog(self) -> None:
        """Packets are held up, and lost neither."""
        self.inject("clog")
        self.assertFalse(self.arrives(True))
        self.until(AT_S + 2.5)
        self.assertTrue(self.arrives(True))


class DiskFaultTests(FaultCase):
    """What is wrong with the disk, and for how long."""

    def test_each_is_set_and_put_right(self) -> None:
        """A fault changes one thing and takes it back."""
        kinds = {
            "slow-disk": "sync_mean_s",
            "full-disk": "full_chance",
            "write-error": "write_error_chance",
            "read-error": "read_error_chance",
        }
        for kind, name in kinds.items():
            self.setUp()
            injector = self.inject(kind, amount=0.7)
            self.assertEqual((getattr(self.faults, name), injector.counts()), (0.7, {kind: 1}))
            self.until(AT_S + 2.1)
            self.assertEqual(getattr(self.faults, name), getattr(DiskFaults(), name), kind)

    def test_stuck(self) -> None:
        """No sync ends before the fault does."""
        self.inject("stuck-disk")
        self.assertGreater(self.faults.stuck_until, AT_S + 2.0)

    def test_restart_after_errors(self) -> None:
        """Whoever met errors is restarted once they are over."""
        for kind in ("read-error", "write-error", "sync-error"):
            self.setUp()
            self.inject(kind, amount=1.0)
            self.until(AT_S + 4)
            self.assertEqual(self.stopped, [AT_S + 2.0], kind)

    def test_restart_after_a_start_without_space(self) -> None:
        """A full disk needs a restart only where something was started on it."""
        self.inject("full-disk", amount=1.5)
        self.until(AT_S + 4)
        self.assertEqual(self.stopped, [])
        self.setUp()
        self.inject("full-disk", amount=1.5)
        self.machine.crash(power=False)
        self.until(AT_S + 4)
        self.assertEqual(self.stopped, [AT_S + 2.0])

    def test_sync_error(self) -> None:
        """The next sync fails."""
        self.inject("sync-error")
        assert self.machine.process is not None
        self.assertRaises(OSError, self.machine.process.disk.open("/file").sync)

    def test_end(self) -> None:
        """At the end everything is whole again, whatever was still to last."""
        for kind in KIND_NAMES:
            self.setUp()
            injector = self.inject(kind, length_s=100.0, amount=0.9 if kind != "kill" else 20.0)
            injector.end()
            self.assertEqual(self.faults, DiskFaults(), kind)


class OtherFaultTests(FaultCase):
    """The event loop and the date."""

    def test_stall(self) -> None:
        """Timers are as late as the loop stood still."""
        called: list[float] = []
        assert self.machine.process is not None
        self.machine.process.reactor.callLater(AT_S + 1, lambda: called.append(self.simulation.now))
        self.inject("stall")
        self.until(AT_S + 5)
        self.assertEqual(called, [AT_S + 2.0])

    def test_clock_jump(self) -> None:
        """The date is wrong from then on; the clock that counts is not."""
        assert self.machine.process is not None
        clock = self.machine.process.reactor
        ahead = clock.wall_ms() - clock.seconds() * 1000
        self.inject("clock-jump", amount=60_000.0)
        self.assertEqual(clock.wall_ms() - clock.seconds() * 1000, ahead + 60_000)

    def test_every_kind_can_be_injected(self) -> None:
        """There is a way to do each kind that can be planned."""
        for kind in KIND_NAMES:
            self.setUp()
            self.assertEqual(self.inject(kind, amount=0.5).counts(), {kind: 1})
