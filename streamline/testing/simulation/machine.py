"""
Machines and the processes that run on them, one at a time.

A machine has an address, a disk and a clock, which outlive its processes.
C{kill -9} ends the process: the kernel closes its sockets, and the page cache
stays.  A power cut ends both: sockets fall silent, and the disk keeps what it has.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from zope.interface import implementer

from streamline.interfaces import Host, IRandom
from streamline.testing.simulation.disk import SimDisk
from streamline.testing.simulation.links import Fabric
from streamline.testing.simulation.network import SimNetwork, SimPort
from streamline.testing.simulation.platter import Platter
from streamline.testing.simulation.reactor import SimReactor
from streamline.testing.simulation.sockets import SimSocket
from streamline.testing.simulation.world import Simulation

EPOCH_MS = 1_767_225_600_000
"""The date at which every simulation starts: 2026-01-01."""

FIRST_PORT = 32_768
LAST_PORT = 60_999
ORPHAN_RESET_S = 3.0
"""Longest until a peer that still sends to a rebooted machine is told that nobody is there."""


@implementer(IRandom)
class SimRandom(Random):
    """The chance door: seeded."""


class Process:
    """
    One run of a program on a machine: what it has of the world, until it dies.

    @ivar host: the four doors.
    """

    def __init__(self, machine: Machine, number: int) -> None:
        self.machine = machine
        self.simulation = machine.simulation
        self.name = f"{machine.name}.{number}"
        self.reactor = SimReactor(
            machine.simulation, self.name, rate=machine.rate, seconds=machine.uptime_s(), epoch_ms=EPOCH_MS
        )
        self.reactor.wall_offset_ms = machine.wall_offset_ms
        self.sockets: dict[SimSocket, None] = {}
        self.network = SimNetwork(self)
        self.disk = SimDisk(self, machine.platter)
        self.rng = SimRandom(f"{machine.simulation.seed}/{self.name}")
        whim = machine.simulation.whims.of(self.name)
        self.host = Host(clock=self.reactor, disk=self.disk, network=self.network, rng=self.rng, whim=whim)
        self._descriptors = 2
        self.reactor.boot()

    @property
    def dead(self) -> bool:
        """Whether it has ended."""
        return self.reactor.dead

    def take_socket(self, sock: SimSocket) -> int:
        """Keep a new socket; return its descriptor."""
        self.sockets[sock] = None
        self._descriptors += 1
        return self._descriptors

    def drop_socket(self, sock: SimSocket) -> None:
        """Forget a closed socket."""
        self.sockets.pop(sock, None)

    def end(self, *, power: bool) -> None:
        """Be dead from now on."""
        self.reactor.dead = True
        self.disk.locks.clear()
        for sock in list(self.sockets):
            if power:
                sock.lose_power()
            else:
                sock.close()
        self.sockets.clear()
        self.network.attempts.clear()


class Machine:
    """
    A computer of the simulation.

    @ivar rate: seconds that its clock counts in one true second (F14).
    @ivar wall_offset_ms: what its date is ahead.
    @ivar powered: whether it is on.
    @ivar process: what runs on it, or ran last.
    @ivar died: called in an event of its own after each death of a process here.
    @ivar on_power_cut: called at each power cut.
    """

    def __init__(self, fabric: Fabric, name: str, host: str, *, rate: float = 1.0) -> None:
        self.simulation: Simulation = fabric.simulation
        self.fabric = fabric
        self.name = name
        self.host = host
        self.rate = rate
        self.wall_offset_ms = 0
        self.powered = True
        self.platter = Platter(self.simulation.stream(f"disk {name}"))
        self.ports: dict[int, SimPort] = {}
        self.process: Process | None = None
        self.died: Callable[[], object] = _nobody_cares
        self.on_power_cut: Callable[[], object] = _nobody_cares
        self._booted_at = self.simulation.now
        self._starts = 0
        self._next_port = FIRST_PORT
        self._orphans: list[SimSocket] = []
        fabric.machines[host] = self

    def start(self) -> Process:
        """Start a process, first switching the machine on if it is off."""
        assert self.process is None or self.process.dead, f"{self.name} already runs"
        if not self.powered:
            self._power_on()
        self._starts += 1
        self.process = Process(self, self._starts)
        return self.process

    @property
    def running(self) -> bool:
        """Whether a process lives here."""
        return self.process is not None and not self.process.dead

    def crash(self, *, power: bool) -> None:
        """Kill the process; with C{power}, cut the machine's power too."""
        if power and self.powered:
            self.powered = False
        if self.process is not None and not self.process.dead:
            self.process.end(power=power)
        self.ports.clear()
        if power:
            self.platter.lose_power()
            self.on_power_cut()
        self.simulation.saw(self.name, self.name, "power cut" if power else "kill", b"")
        self.simulation.after(0.0, self.died)

    def _power_on(self) -> None:
        self.powered = True
        self._booted_at = self.simulation.now
        orphans, self._orphans = self._orphans, []
        for sock in orphans:
            self.simulation.after(self.fabric.rng.random() * ORPHAN_RESET_S, self.answer_for_the_dead, sock)

    def answer_for_the_dead(self, sock: SimSocket) -> None:
        """Reset a connection that was lost in a power cut, or note it to be reset once the machine is on."""
        if not self.powered:
            self._orphans.append(sock)
        elif sock.out is not None:
            sock.out.push("rst")

    def uptime_s(self) -> float:
        """Return what this machine's clock counted since it was switched on."""
        return (self.simulation.now - self._booted_at) * self.rate

    def set_wall_clock(self, offset_ms: int) -> None:
        """Set the date to what it is plus an offset; the monotonic clock does not notice (F14)."""
        self.wall_offset_ms = offset_ms
        if self.process is not None:
            self.process.reactor.wall_offset_ms = self.wall_offset_ms

    def next_port(self) -> int:
        """Return an ephemeral port."""
        port = self._next_port
        self._next_port = FIRST_PORT if port == LAST_PORT else port + 1
        return port


def _nobody_cares() -> None:
    """Do nothing about a death."""
