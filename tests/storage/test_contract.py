"""Our storages keep the contract: segments on a real and on a simulated disk, and memory."""

from __future__ import annotations

from typing import TypeVar

from twisted.internet.defer import Deferred

from streamline.config import NodeConfig
from streamline.interfaces import Host, IStorage
from streamline.storage.memory import MemoryStorage
from streamline.storage.segments import SegmentStorage
from streamline.testing.contracts import storage
from streamline.testing.simulation import Fabric, Machine, Process, Simulation, Weather

T = TypeVar("T")


class SegmentTests(storage.DurableStorageContract):
    """Segments on a real disk."""

    def make(self, host: Host, config: NodeConfig) -> IStorage:
        """Make it with few files open, so that they come and go."""
        return SegmentStorage(host, config, open_segments="3")


class MemoryTests(storage.StorageContract):
    """Memory keeps every promise but those about stopping."""

    def make(self, host: Host, config: NodeConfig) -> IStorage:
        """Make it."""
        return MemoryStorage(host, config)


class SimulatedSegmentTests(storage.DurableStorageContract):
    """Segments on a simulated disk, which is slow, and on which each kill ends the process."""

    process: Process

    def make_host(self) -> Host:
        """Start a process."""
        self.machine = Machine(Fabric.of(Simulation(1), Weather()), "n1", "10.0.0.1")
        self.machine.platter.faults.uncached_chance = 0.3
        self.process = self.machine.start()
        return self.process.host

    def make_directory(self) -> str:
        """Name a directory; the storage makes it."""
        return "/data"

    def make(self, host: Host, config: NodeConfig) -> IStorage:
        """Make it."""
        return SegmentStorage(host, config)

    def abandon(self, storage: IStorage) -> None:
        """Kill the process and start another one."""
        self.machine.crash(power=False)
        self.process = self.machine.start()
        self.host = self.process.host

    def result_of(self, deferred: Deferred[T]) -> T:
        """Let time pass until there is a result."""
        results: list[T] = []
        failures: list[BaseException] = []
        deferred.addCallbacks(results.append, lambda failure: failures.append(failure.value))
        simulation = self.machine.simulation
        simulation.run(simulation.now + 100, lambda: bool(results or failures))
        if failures:
            raise failures[0]
        return results[0]

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.machine.simulation.run(self.machine.simulation.now + seconds)
