"""Simulated clocks and event loops."""

from __future__ import annotations

import builtins
import os
import random
import socket
import subprocess
import threading
import time
import uuid
from typing import Any

from twisted.internet import threads
from twisted.internet.error import AlreadyCalled, AlreadyCancelled
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from streamline.interfaces import IClock, IRandom
from streamline.testing.simulation import Fabric, Livelock, Machine, Process, Simulation, Weather, guards
from streamline.testing.simulation.guards import Forbidden


def a_process(seed: int = 1, rate: float = 1.0) -> Process:
    """Return a process on a machine of its own."""
    return Machine(Fabric.of(Simulation(seed), Weather()), "n1", "10.0.0.1", rate=rate).start()


class TimerTests(SynchronousTestCase):
    """Timers are called at their time, in its order, as any Twisted reactor's are."""

    def setUp(self) -> None:
        """Start a process."""
        self.process = a_process()
        self.clock = self.process.reactor
        self.simulation = self.process.simulation
        self.called: list[Any] = []

    def note(self, what: object) -> None:
        """Remember that this was called, and when."""
        self.called.append((what, self.clock.seconds()))

    def test_interfaces(self) -> None:
        """Clock and chance have all that their interfaces name."""
        verifyObject(IClock, self.clock)
        verifyObject(IRandom, self.process.rng)

    def test_each_at_its_own_time(self) -> None:
        """A timer sees its own deadline as now, however far the run goes."""
        self.clock.callLater(2, self.note, "b")
        self.clock.callLater(1, self.note, "a")
        self.simulation.run(10)
        self.assertEqual(self.called, [("a", 1.0), ("b", 2.0)])
        self.assertEqual(self.clock.seconds(), 10.0)

    def test_moved_and_cancelled(self) -> None:
        """Timers can be put off, brought forward and cancelled."""
        sooner, later, never = (self.clock.callLater(5, self.note, name) for name in ("sooner", "later", "never"))
        sooner.reset(1)
        later.delay(2)
        never.cancel()
        self.assertRaises(AlreadyCancelled, never.cancel)
        self.simulation.run(10)
        self.assertEqual(self.called, [("sooner", 1.0), ("later", 7.0)])
        self.assertRaises(AlreadyCalled, sooner.reset, 1)

    def test_brought_forward_then_put_off(self) -> None:
        """A timer is called once, at the time it was last given."""
        timer = self.clock.callLater(5, self.note, "x")
        timer.reset(1)
        timer.reset(3)
        self.assertEqual([call.getTime() for call in self.clock.getDelayedCalls()], [3.0])
        self.simulation.run(10)
        self.assertEqual(self.called, [("x", 3.0)])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_ties_are_permuted(self) -> None:
        """Timers due together run in an order that depends on the seed."""
        orders = set()
        for seed in range(20):
            process = a_process(seed)
            order: list[int] = []
            for number in range(4):
                process.reactor.callLater(1, order.append, number)
            process.simulation.run(2)
            orders.add(tuple(order))
        self.assertGreater(len(orders), 5)

    def test_errors_end_in_the_log(self) -> None:
        """A timer that raises does no harm to the others."""
        self.clock.callLater(1, lambda: 1 / 0)
        self.clock.callLater(2, self.note, "after")
        self.simulation.run(3)
        self.assertEqual(self.called, [("after", 2.0)])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_stall(self) -> None:
        """Nothing happens while the loop stands still; then everything is late."""
        self.clock.stall(5)
        self.clock.callLater(1, self.note, "late")
        self.simulation.run(10)
        self.assertEqual(self.called, [("late", 5.0)])

    def test_thread_calls_keep_their_order(self) -> None:
        """Calls from threads run in the order they were asked for."""
        for number in range(10):
            self.clock.callFromThread(self.called.append, number)
        self.simulation.run(1)
        self.assertEqual(self.called, list(range(10)))
        self.assertRaises(NotImplementedError, self.clock.callInThread, print)

    def test_shutdown_triggers(self) -> None:
        """Stopping fires the triggers of a real reactor."""
        self.clock.addSystemEventTrigger("before", "shutdown", self.note, "bye")
        self.clock.callLater(1, self.clock.stop)
        self.simulation.run(2)
        self.assertEqual([what for what, _ in self.called], ["bye"])
        self.assertFalse(self.clock.running)

    def test_dead_processes_have_no_timers(self) -> None:
        """What a process planned dies with it."""
        self.clock.callLater(1, self.note, "never")
        self.process.machine.crash(power=False)
        self.clock.callLater(1, self.note, "never")
        self.simulation.run(2)
        self.assertEqual(self.called, [])

    def test_livelock(self) -> None:
        """Somebody who spins is found out."""

        def spin() -> None:
            self.clock.callLater(0, spin)

        self.simulation.events_per_second_max = 1000
        spin()
        self.assertRaises(Livelock, self.simulation.run, 1)


class ClockTests(SynchronousTestCase):
    """Each machine's idea of the time."""

    def test_drift(self) -> None:
        """A fast clock counts more seconds, and its timers are called when it says so, never before."""
        process = a_process(rate=1.1)
        seen: list[tuple[float, float]] = []
        for number in range(1, 100):
            delay = number * 0.1
            process.reactor.callLater(delay, lambda due: seen.append((due, process.reactor.seconds())), delay)
        process.simulation.run(10)
        self.assertEqual(len(seen), 99)
        self.assertTrue(all(due <= now < due + 1e-6 for due, now in seen), seen)
        self.assertAlmostEqual(process.reactor.seconds(), 11.0)

    def test_wall_clock_jumps(self) -> None:
        """The date may jump, also for later processes; the clock that only counts does not."""
        process = a_process()
        before = process.reactor.wall_ms()
        process.simulation.run(1)
        process.machine.set_wall_clock(-3_600_000)
        self.assertEqual(process.reactor.wall_ms() - before, 1000 - 3_600_000)
        self.assertEqual(process.reactor.seconds(), 1.0)
        process.machine.crash(power=False)
        self.assertEqual(process.machine.start().reactor.wall_ms() - before, 1000 - 3_600_000)

    def test_seconds_after_a_restart(self) -> None:
        """The counting clock goes on over a new process, and begins again when the machine does."""
        process = a_process()
        process.simulation.run(5)
        process.machine.crash(power=False)
        again = process.machine.start()
        self.assertEqual(again.reactor.seconds(), 5.0)
        process.machine.crash(power=True)
        self.assertEqual(process.machine.start().reactor.seconds(), 0.0)


class DigestTests(SynchronousTestCase):
    """The digest tells histories apart."""

    def history(self, seed: int, extra: float | None = None) -> str:
        """Return the digest of a small run."""
        process = a_process(seed)
        for number in range(5):
            process.reactor.callLater(number, process.rng.random)
        if extra is not None:
            process.reactor.callLater(extra, lambda: None)
        process.disk.open("/a", create=True).write([process.rng.randbytes(8)], 0)
        process.simulation.run(10)
        return process.simulation.digest()

    def test_same_and_different(self) -> None:
        """The same seed gives the same; another seed, or one event more, does not."""
        self.assertEqual(self.history(1), self.history(1))
        self.assertEqual(len({self.history(1), self.history(2), self.history(1, 2.5)}), 3)


class GuardTests(SynchronousTestCase):
    """Nothing gets past the four doors while events run."""

    ways = {
        "time": lambda: time.time(),
        "monotonic": lambda: time.monotonic(),
        "sleep": lambda: time.sleep(0),
        "random": lambda: random.random(),
        "urandom": lambda: os.urandom(1),
        "uuid4": lambda: uuid.uuid4(),
        "open": lambda: builtins.open("/dev/null").close(),
        "os.open": lambda: os.open("/dev/null", os.O_RDONLY),
        "socket": lambda: socket.socket(),
        "thread": lambda: threading.Thread(target=print).start(),
        "deferToThread": lambda: threads.deferToThread(print),
        "process": lambda: subprocess.Popen(["true"]),
    }

    def test_each_way_out_is_closed(self) -> None:
        """Each of them raises inside an event, and names itself."""
        for name, way in self.ways.items():
            process = a_process()
            process.reactor.callLater(1, way)
            process.simulation.run(2)
            errors = self.flushLoggedErrors(Forbidden)
            self.assertEqual(len(errors), 1, name)
            self.assertIn("inside the simulation", str(errors[0].value))

    def test_everything_is_put_back(self) -> None:
        """Outside events, all is as before, also after an error."""
        before = [time.time, random.random, os.urandom, builtins.open, socket.socket.__init__, threading.Thread.start]
        simulation = Simulation(1)
        simulation.after(1, lambda: 1 / 0)
        self.assertRaises(ZeroDivisionError, simulation.run, 2)
        after = [time.time, random.random, os.urandom, builtins.open, socket.socket.__init__, threading.Thread.start]
        self.assertEqual(before, after)
        socket.socket().close()

    def test_other_threads_are_left_alone(self) -> None:
        """A thread of somebody else's, such as a test runner's, can read the time meanwhile."""
        simulation = Simulation(1)
        running, done = threading.Event(), threading.Event()
        seen: list[float] = []

        def other() -> None:
            running.wait()
            seen.append(time.time())
            done.set()

        thread = threading.Thread(target=other)
        thread.start()
        simulation.after(1, running.set)
        simulation.after(1.5, done.wait, 10)
        simulation.run(2)
        thread.join()
        self.assertEqual(len(seen), 1)

    def test_lifted(self) -> None:
        """Where the guards are lifted, and only there, the world outside can be reached."""
        process = a_process()

        def look() -> None:
            with guards.lifted():
                time.time()
            time.time()

        process.reactor.callLater(1, look)
        process.simulation.run(2)
        self.assertEqual(len(self.flushLoggedErrors(Forbidden)), 1)
