"""A storage on a simulated machine that can be killed, lose its power, fill its disk and fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred

from streamline.config import NodeConfig, TopicConfig
from streamline.interfaces import IPartitionLog
from streamline.model import LogIdentity
from streamline.storage.segments import SegmentStorage
from streamline.testing.contracts.storage_harness import IDENTITY, make_batch
from streamline.testing.simulation import Fabric, Machine, MachineDown, Process, Simulation, Weather
from streamline.testing.worlds import EPOCH_MS
from streamline.wire.batch import headers, read_header

T = TypeVar("T")

DATA = "/data"
DIRECTORY = f"{DATA}/{IDENTITY}"
DAY_MS = 86_400_000
SETTINGS: dict[str, Any] = {"segment_bytes": 2**20, "index_interval_bytes": 200}


class Station:
    """
    One machine with a storage on it.

    @ivar log: the log under test, open.
    @ivar open_segments: the storage's option of that name.
    """

    storage: SegmentStorage
    log: IPartitionLog

    def __init__(self, seed: int = 1, **settings: Any) -> None:
        self.settings = SETTINGS | settings
        self.open_segments = "512"
        self.machine = Machine(Fabric.of(Simulation(seed), Weather()), "n1", "10.0.0.1")
        self.faults = self.machine.platter.faults
        self.faults.uncached_chance = 0.0
        self.boot()

    @property
    def process(self) -> Process:
        """What runs now, or ran last."""
        assert self.machine.process is not None
        return self.machine.process

    @property
    def config(self) -> TopicConfig:
        """The topic's settings."""
        return TopicConfig(**self.settings)

    # Starting and ending

    def boot(self) -> None:
        """Start a process that can look at the disk."""
        self.machine.start()

    def start(self) -> None:
        """Start a storage and open the log."""
        host, config = self.process.host, NodeConfig(data_dir=DATA)
        self.storage = SegmentStorage(host, config, open_segments=self.open_segments)
        self.wait(self.storage.start())
        self.log = self.open()

    def open(self, identity: LogIdentity = IDENTITY) -> IPartitionLog:
        """Open a log."""
        return self.wait(self.storage.open(identity, self.config))

    def stop(self) -> None:
        """Stop the storage and its process."""
        self.wait(self.storage.stop())
        self.kill()

    def kill(self, *, power: bool = False) -> None:
        """Kill the process, or cut the power; begin another process that has not started a storage yet."""
        if self.machine.running:
            self.machine.crash(power=power)
        self.faults.dies_in = None
        self.boot()

    def restart(self, *, power: bool = False) -> None:
        """Kill, and start a storage."""
        self.kill(power=power)
        self.start()

    def wait(self, deferred: Deferred[T]) -> T:
        """
        Let time pass until there is a result.

        @raise MachineDown: the machine died before.
        """
        results: list[T] = []
        failures: list[BaseException] = []
        deferred.addCallbacks(results.append, lambda failure: failures.append(failure.value))
        self.pass_time(100, lambda: bool(results or failures))
        if failures:
            raise failures[0]
        return results[0]

    def pass_time(self, seconds: float, enough: Callable[[], bool] = lambda: False) -> None:
        """
        Let time pass.

        @raise MachineDown: the machine died.
        """
        simulation, process = self.machine.simulation, self.process
        simulation.run(simulation.now + seconds, lambda: process.dead or enough())
        if process.dead:
            raise MachineDown

    # The log

    def append(self, *batches: bytes, flush: bool = True) -> None:
        """Append batches."""
        for batch in batches:
            self.log.append(read_header(batch), (batch[:16], batch[16:]))
        if flush:
            self.log.flush()

    def fill(self, count: int, value_bytes: int = 20, **settings: Any) -> list[bytes]:
        """
        Append so many batches of one record and return them.

        The time moves on by a second after each ten offsets, so that a short segment.ms makes small segments, and
        goes up and down a little within them.
        """
        batches = []
        for offset in range(self.log.end_offset, self.log.end_offset + count):
            timestamp = EPOCH_MS + offset // 10 * 1000 + offset * 3 % 10
            batches.append(make_batch(offset, **{"timestamp": timestamp, "value_bytes": value_bytes} | settings))
        self.append(*batches)
        return batches

    def content(self) -> bytes:
        """Return all batches from the start on."""
        data, offset = b"", self.log.start_offset
        while offset < self.log.flushed_offset:
            found = self.log.read(offset, 2**20, end_offset=self.log.flushed_offset, at_least_one=True)
            if isinstance(found, Deferred):
                found = self.wait(found)
            assert found.next_offset > offset, f"reading stops at {offset}"
            data += b"".join(found.parts)
            offset = found.next_offset
        return data

    def offsets(self) -> list[int]:
        """Return the base offsets of all batches."""
        return [header.base_offset for _, header in headers(self.content())]

    # The files

    def files(self) -> dict[str, bytes]:
        """Return the content of each file of the log."""
        disk = self.process.disk
        return {name: disk.read_file(f"{DIRECTORY}/{name}") for name in disk.list_directory(DIRECTORY)}

    def read_file(self, name: str, directory: str = DIRECTORY) -> bytes:
        """Return the content of a file."""
        return self.process.disk.read_file(f"{directory}/{name}")

    def write_file(self, name: str, data: bytes | None, directory: str = DIRECTORY) -> None:
        """Let a file have this content; None removes it."""
        disk, path = self.process.disk, f"{directory}/{name}"
        if disk.exists(path):
            disk.remove(path)
        if data is not None:
            file = disk.open(path, create=True)
            file.write([data], 0)
            file.sync()
            file.close()
        disk.sync_directory(directory)


def segment_name(base_offset: int, suffix: str = ".log") -> str:
    """Return the name of a segment's file."""
    return f"{base_offset:020d}{suffix}"


def started(**settings: Any) -> Station:
    """Return a machine with a log."""
    station = Station(**settings)
    station.start()
    return station
