"""
Carrying out a fault plan, and bringing what died back to life.

A L{Supervisor} runs one program on one machine, again and again; an
L{Injector} does to it what a L{Plan} says, and counts what took effect.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from twisted.internet.defer import Deferred

from streamline.testing.simulation.faults import Fault, Plan
from streamline.testing.simulation.machine import Machine, Process
from streamline.testing.simulation.platter import DiskFaults
from streamline.testing.simulation.sockets import SimSocket

RESTART_S = 1.0
AT_ONCE_BELOW = 10.0
"""Deaths with a smaller amount happen between events rather than in a disk call."""


Stop = Callable[[], Deferred[Any]]

STUCK_ON_S = 0.1

RELAPSE_S = 5.0
"""Longest from a restart to the second death; most come much sooner."""
RELAPSE_CALLS = 500.0
"""Most disk calls from a restart to the second death; most come much sooner."""

STEPS_MAX = 100.0
"""Most durable steps until a power cut that is to be at one of them."""

STOP_PATIENCE_S = 30.0
"""How long a process may take to stop before it is killed."""


class Supervisor:
    """
    Runs a program on a machine, and runs it again some time after each death.

    The program is called with its process, and may return what stops it.

    @ivar restart_s: how long after the next death.
    @ivar starts: how often the program was started.
    @ivar on_start: called after the next start, once.
    """

    def __init__(self, machine: Machine, program: Callable[[Process], Stop | None]) -> None:
        self.machine = machine
        self.restart_s = RESTART_S
        self.starts = 0
        self.on_start: Callable[[], object] | None = None
        self._program = program
        self._stop: Stop | None = None
        machine.died = self._died

    def start(self) -> None:
        """Start the program, unless it runs."""
        if not self.machine.running:
            self.starts += 1
            process = self.machine.start()
            self._stop = None
            self.machine.simulation.within(process.reactor, self._run, process)
            on_start, self.on_start = self.on_start, None
            if on_start is not None:
                on_start()

    def _run(self, process: Process) -> None:
        self._stop = self._program(process)

    def stop(self) -> bool:
        """Ask the program to stop, and kill it when it has or takes too long; say whether there was one to ask."""
        process = self.machine.process
        if process is None or process.dead or self._stop is None:
            return False
        stop, self._stop = self._stop, None
        self.machine.simulation.after(STOP_PATIENCE_S, self._kill, process)
        self.machine.simulation.within(process.reactor, self._ask, stop, process)
        return True

    def _ask(self, stop: Stop, process: Process) -> None:
        stop().addBoth(lambda _: self._kill(process))

    def _kill(self, process: Process) -> None:
        if not process.dead:
            self.machine.crash(power=False)

    def _died(self) -> None:
        delay_s, self.restart_s = self.restart_s, RESTART_S
        self.machine.simulation.after(delay_s, self.start)


class Injector:
    """
    Does to one machine what a plan says.

    @ivar injected: how many faults of each kind took effect.
    """

    def __init__(self, supervisor: Supervisor, plan: Plan) -> None:
        self.supervisor = supervisor
        self.machine = supervisor.machine
        self.plan = plan
        self.injected: dict[str, int] = {}
        self._rng: Random = self.machine.simulation.stream("victims")

    def begin(self) -> None:
        """Put every fault of the plan where it will happen."""
        simulation = self.machine.simulation
        for fault in self.plan.faults:
            simulation.after(fault.at - simulation.now, self._inject, fault)

    def end(self) -> None:
        """Mend all that is still broken."""
        self.machine.fabric.heal()
        self.mend_disk()

    def mend_disk(self) -> None:
        """Let nothing be wrong with the disk any more."""
        healthy = DiskFaults()
        for name in DiskFaults.__slots__:
            if name != "__weakref__":
                setattr(self.machine.platter.faults, name, getattr(healthy, name))

    def hit(self, kind: str) -> None:
        """Count a fault that took effect."""
        self.injected[kind] = self.injected.get(kind, 0) + 1

    def counts(self) -> dict[str, int]:
        """Return how often each fault took effect, those that disk calls met included."""
        return {**self.injected, **{f"met: {name}": count for name, count in self.machine.platter.hits.items()}}

    def _inject(self, fault: Fault) -> None:
        self.machine.simulation.saw("fault", self.machine.name, fault.kind, b"")
        if self.strike(fault):
            self.hit(fault.kind)

    def strike(self, fault: Fault) -> bool:
        """Do one thing to the machine; return whether it took effect."""
        took_effect: bool = getattr(self, "_" + fault.kind.replace("-", "_"))(fault)
        return took_effect

    def _later(self, fault: Fault, function: Callable[..., object], *args: object) -> None:
        self.machine.simulation.after(fault.length_s, function, *args)

    # Deaths

    def _kill(self, fault: Fault) -> bool:
        return self._die(fault, power=False)

    def _power(self, fault: Fault) -> bool:
        return self._die(fault, power=True)

    def _stop(self, fault: Fault) -> bool:
        if not self.supervisor.stop():
            return False
        self.supervisor.restart_s = fault.length_s
        return True

    def _relapse(self, fault: Fault) -> bool:
        """
        Die in one of three ways and, soon after the restart, in another.

        All choices are in the amount: how, and when: at once, in the middle of a disk call, or after a while in which
        no sync ended, so that recovery finds much that is not durable; how again, and when: after some time, with
        syncs that end meanwhile or that do not, or in the middle of a disk call, often one of recovery's (DK6).
        """
        first, rest = divmod(fault.amount * 3, 1)
        second, rest = divmod(rest * 3, 1)
        when_again, rest = divmod(rest * 3, 1)
        when, rest = divmod(rest * 3, 1)
        ways = (lambda: self._fall(power=False), lambda: self._fall(power=True), self.supervisor.stop)

        def once_more() -> None:
            delay_s = rest**3 * RELAPSE_S
            if when_again == 0 and second < 2:
                self._die_in(int(RELAPSE_CALLS**rest), power=second == 1)
                return
            if when_again == 1:
                self._stick(delay_s)
            self.machine.simulation.after(delay_s, ways[int(second)])

        self.supervisor.restart_s = fault.length_s
        self.supervisor.on_start = once_more
        if when == 0 or not self.machine.running:
            return ways[int(first)]()
        if when == 1 and first < 2:
            self._die_in(int(AT_ONCE_BELOW * rest) + 1, power=first == 1)
        else:
            self._stick(fault.length_s)
            self._later(fault, ways[int(first)])
        return True

    def _lost_sync(self, fault: Fault) -> bool:
        self._stick(fault.length_s)
        self._later(fault, lambda: self._fall(power=True))
        return True

    def _stick(self, seconds: float) -> None:
        """Let no sync end for a little longer than this."""
        self.machine.platter.faults.stuck_until = self.machine.simulation.now + seconds + STUCK_ON_S

    def _fall(self, *, power: bool) -> bool:
        if not self.machine.running:
            return False
        self.machine.crash(power=power)
        return True

    def _die(self, fault: Fault, *, power: bool) -> bool:
        if not self.machine.running:
            return False
        self.supervisor.restart_s = fault.length_s
        if fault.amount < AT_ONCE_BELOW:
            self.machine.crash(power=power)
        else:
            self._die_in(int(fault.amount - AT_ONCE_BELOW) + 1, power=power)
        return True

    def _die_in(self, calls: int, *, power: bool) -> None:
        """Die in the middle of a disk call."""
        self.machine.platter.faults.dies_in = calls
        self.machine.platter.faults.dies_of_power = power

    def _crash_point(self, fault: Fault) -> bool:
        """Lose power at one of the next durable steps: any of the next few is as likely as any of the next many."""
        if not self.machine.running:
            return False
        self.supervisor.restart_s = fault.length_s
        self.machine.platter.faults.dies_at_step = int(STEPS_MAX**fault.amount)
        return True

    # The network

    def _victim(self) -> SimSocket | None:
        process = self.machine.process
        sockets = list(process.sockets) if process is not None else []
        return self._rng.choice(sockets) if sockets else None

    def _reset(self, _: Fault) -> bool:
        victim = self._victim()
        if victim is not None:
            victim.reset()
        return victim is not None

    def _silence(self, _: Fault) -> bool:
        victim = self._victim()
        if victim is not None:
            victim.silence()
        return victim is not None

    def _cut(self, fault: Fault) -> bool:
        fabric = self.machine.fabric
        fabric.cut([self.machine], fabric.machines.values())
        self._later(fault, fabric.heal)
        return True

    def _one_way(self, fault: Fault) -> bool:
        fabric = self.machine.fabric
        others = list(fabric.machines.values())
        if fault.amount < 0.5:
            fabric.cut(others, [self.machine], both_ways=False)
        else:
            fabric.cut([self.machine], others, both_ways=False)
        self._later(fault, fabric.heal)
        return True

    def _clog(self, fault: Fault) -> bool:
        self.machine.fabric.clog(self.machine, fault.length_s)
        return True

    # The disk

    def _set(self, fault: Fault, name: str, value: object) -> bool:
        faults = self.machine.platter.faults
        setattr(faults, name, value)
        self._later(fault, setattr, faults, name, getattr(DiskFaults(), name))
        return True

    def _slow_disk(self, fault: Fault) -> bool:
        return self._set(fault, "sync_mean_s", fault.amount)

    def _stuck_disk(self, fault: Fault) -> bool:
        self._stick(fault.length_s)
        return True

    def _full_disk(self, fault: Fault) -> bool:
        self._later(fault, self._space_again, self.supervisor.starts)
        return self._set(fault, "full_chance", fault.amount)

    def _space_again(self, starts: int) -> None:
        """Restart what was started while there was no space: a partition that could not be opened then stays closed."""
        if self.supervisor.starts > starts:
            self.supervisor.stop()

    def _sync_error(self, fault: Fault) -> bool:
        self.machine.platter.faults.failing_syncs += 1
        self._later(fault, self.supervisor.stop)
        return True

    def _write_error(self, fault: Fault) -> bool:
        self._later(fault, self.supervisor.stop)
        return self._set(fault, "write_error_chance", fault.amount)

    def _read_error(self, fault: Fault) -> bool:
        self._later(fault, self.supervisor.stop)
        return self._set(fault, "read_error_chance", fault.amount)

    # The process

    def _stall(self, fault: Fault) -> bool:
        if not self.machine.running or self.machine.process is None:
            return False
        self.machine.process.reactor.stall(fault.length_s)
        return True

    def _clock_jump(self, fault: Fault) -> bool:
        self.machine.set_wall_clock(int(fault.amount))
        return True
