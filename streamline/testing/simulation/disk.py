"""
The disk door of a simulated process.

A L{Platter} belongs to a machine and outlives its processes; L{SimDisk} is what
one process sees of it, L{SimFile} one open file.  Every call that changes
something is a point at which the process or the machine can be made to die, in
its middle.  How long a sync takes, what fails and when is data in
L{DiskFaults}, set before or between events, never drawn by the code under test.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from random import Random
from typing import TYPE_CHECKING, Any

from attrs import define
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from streamline.interfaces import IDisk, IFile
from streamline.model import Buffer
from streamline.testing.simulation.names import Directory, Names, error
from streamline.testing.simulation.pages import Inode
from streamline.testing.simulation.world import MachineDown

if TYPE_CHECKING:
    from streamline.testing.simulation.machine import Process

CAPACITY_BYTES = 64 * 2**30
TEMPORARY = ".tmp"


@define(kw_only=True)
class DiskFaults:
    """
    What is wrong with a disk at present (F9, F10, F12).

    @ivar sync_mean_s: how long a sync takes on average, exponentially distributed.
    @ivar stuck_until: true time before which no sync ends.
    @ivar uncached_chance: chance that a range is said not to be in the page cache.
    @ivar thread_mean_s: how long a call waits for a thread.
    @ivar full: whether there is no space left.
    @ivar read_error_chance: chance that a read fails with EIO.
    @ivar write_error_chance: chance that a write fails with EIO.
    @ivar failing_syncs: how many of the next syncs fail with EIO.
    @ivar dies_in: how many changes later the process dies in the middle of one, or None.
    @ivar dies_of_power: whether it is a power cut then.
    """

    sync_mean_s: float = 0.001
    stuck_until: float = 0.0
    uncached_chance: float = 0.05
    thread_mean_s: float = 0.0002
    full: bool = False
    read_error_chance: float = 0.0
    write_error_chance: float = 0.0
    failing_syncs: int = 0
    dies_in: int | None = None
    dies_of_power: bool = False


class Platter:
    """
    What a machine's disk holds.

    @ivar used_bytes: the length of all files.
    @ivar hits: how often each kind of fault took effect.
    """

    def __init__(self, rng: Random, *, capacity_bytes: int = CAPACITY_BYTES) -> None:
        self.rng = rng
        self.names = Names()
        self.faults = DiskFaults()
        self.capacity_bytes = capacity_bytes
        self.used_bytes = 0
        self.hits: dict[str, int] = {}

    def hit(self, fault: str) -> None:
        """Count a fault that took effect."""
        self.hits[fault] = self.hits.get(fault, 0) + 1

    def lose_power(self) -> None:
        """Keep what the device holds."""
        self.names.lose_power(self.rng)
        self.used_bytes = sum(len(inode.data) for inode in self.names.inodes())

    def room(self, more: int) -> int:
        """Return how many of so many more bytes fit."""
        return 0 if self.faults.full else max(0, min(more, self.capacity_bytes - self.used_bytes))

    def sync_duration_s(self, now: float) -> float:
        """Draw how long a sync takes that begins now."""
        faults = self.faults
        return max(self.rng.expovariate(1.0) * faults.sync_mean_s, faults.stuck_until - now)

    def sync_fails(self) -> bool:
        """Say whether the sync that ends now failed."""
        if self.faults.failing_syncs > 0:
            self.faults.failing_syncs -= 1
            self.hit("sync EIO")
            return True
        return False


@implementer(IFile)
class SimFile:
    """One open file of one process."""

    def __init__(self, disk: SimDisk, path: str, inode: Inode, writable: bool) -> None:
        self._disk = disk
        self._path = path
        self._inode = inode
        self._writable = writable
        self._open = True
        self._broken = False
        self._syncing = False
        self._waiting: list[Deferred[None]] = []

    def _check(self, *, writing: bool = False) -> None:
        self._disk.alive()
        if not self._open or (writing and not self._writable):
            raise error(errno.EBADF, self._path)
        if writing and self._broken:
            raise error(errno.EIO, self._path)

    def size(self) -> int:
        """Return the length."""
        self._check()
        return len(self._inode.data)

    def write(self, parts: Sequence[Buffer], at: int) -> int:
        """Write; a part of it may be there after an error or a death."""
        self._check(writing=True)
        data = b"".join(parts)
        platter = self._disk.platter
        if platter.rng.random() < platter.faults.write_error_chance:
            platter.hit("write EIO")
            raise error(errno.EIO, self._path)
        growth = max(0, at + len(data) - len(self._inode.data))
        short = growth - platter.room(growth)
        if short:
            platter.hit("ENOSPC")
            self._put(data[: platter.rng.randrange(len(data) - min(short, len(data)) + 1)], at)
            raise error(errno.ENOSPC, self._path)
        self._disk.change(self._put, data, at, partly=self._put_part)
        return len(data)

    def _put(self, data: bytes, at: int) -> None:
        if data:
            before = len(self._inode.data)
            self._inode.write(at, data)
            self._disk.platter.used_bytes += len(self._inode.data) - before
            self._disk.saw(self._path, "write", data)

    def _put_part(self, data: bytes, at: int) -> None:
        self._put(data[: self._disk.platter.rng.randrange(len(data) + 1)], at)

    def read(self, at: int, length: int) -> bytes:
        """Read from the page cache."""
        self._check()
        self._disk.may_fail_reading(self._path)
        return bytes(memoryview(self._inode.data)[at : at + length])

    def is_cached(self, at: int, length: int) -> bool:
        """Say yes, most of the time."""
        platter = self._disk.platter
        return platter.rng.random() >= platter.faults.uncached_chance

    def truncate(self, size: int) -> None:
        """Cut or extend."""
        self._check(writing=True)
        platter = self._disk.platter
        growth = max(0, size - len(self._inode.data))
        if platter.room(growth) < growth:
            platter.hit("ENOSPC")
            raise error(errno.ENOSPC, self._path)
        self._disk.change(self._resize, size)

    def _resize(self, size: int) -> None:
        self._disk.platter.used_bytes += size - len(self._inode.data)
        self._inode.truncate(size)
        self._disk.saw(self._path, "truncate", b"%d" % size)

    def allocate(self, size: int) -> None:
        """Take it as the hint that it is."""
        self._check(writing=True)

    def sync(self) -> None:
        """Sync now; the event loop stands still meanwhile, unless this is called L{SimDisk.elsewhere}."""
        self._check(writing=True)
        self._disk.change(self._sync)

    def _sync(self) -> None:
        platter = self._disk.platter
        self._disk.takes(platter.sync_duration_s(self._disk.simulation.now))
        covered = self._inode.begin_sync()
        if platter.sync_fails():
            self._inode.fail_sync(covered)
            self._broken = True
            raise error(errno.EIO, self._path)
        self._inode.end_sync(covered)

    def sync_later(self) -> Deferred[None]:
        """Sync, sharing the sync with whoever else asks before it begins."""
        outcome: Deferred[None] = Deferred()
        try:
            self._check(writing=True)
        except OSError:
            outcome.errback()
            return outcome
        self._waiting.append(outcome)
        if not self._syncing:
            self._begin_sync()
        return outcome

    def _begin_sync(self) -> None:
        waiting, self._waiting = self._waiting, []
        self._syncing = True
        simulation = self._disk.simulation
        delay_s = self._disk.platter.sync_duration_s(simulation.now)
        simulation.after(delay_s, self._end_sync, self._inode.begin_sync(), waiting)

    def _end_sync(self, covered: int, waiting: list[Deferred[None]]) -> None:
        if self._disk.process.dead:
            return
        self._syncing = False
        failed = self._broken or self._disk.platter.sync_fails()
        if failed:
            self._inode.fail_sync(covered)
            self._broken = True
            waiting, self._waiting = waiting + self._waiting, []
        else:
            self._inode.end_sync(covered)
            self._disk.saw(self._path, "synced", b"")
            if self._waiting:
                self._begin_sync()
        self._disk.process.reactor.callLater(0, self._tell, waiting, failed)

    def _tell(self, waiting: list[Deferred[None]], failed: bool) -> None:
        for outcome in waiting:
            if failed:
                outcome.errback(error(errno.EIO, self._path))
            else:
                outcome.callback(None)

    def close(self) -> None:
        """Close it; a sync in flight goes on."""
        self._open = False


@implementer(IDisk)
class SimDisk:
    """
    The files of a machine, as one process uses them.

    @ivar locks: the paths that this process has locked; they are free again when it dies.
    """

    def __init__(self, process: Process, platter: Platter) -> None:
        self.process = process
        self.platter = platter
        self.simulation = process.simulation
        self.locks: dict[str, None] = {}
        self._busy_s: float | None = None

    # What every call goes through

    def alive(self) -> None:
        """
        Go on only in a living process.

        @raise MachineDown: it is dead; nothing that it still tries has an effect.
        """
        if self.process.dead:
            raise MachineDown

    def change(self, effect: Callable[..., Any], *args: Any, partly: Callable[..., Any] | None = None) -> Any:
        """
        Carry out a change, or die before, after or (where it has parts) in the middle of it.

        @raise MachineDown: it died.
        """
        self.alive()
        faults = self.platter.faults
        if faults.dies_in is None:
            return effect(*args)
        faults.dies_in -= 1
        if faults.dies_in > 0:
            return effect(*args)
        faults.dies_in = None
        self.platter.hit("death in a disk call")
        self.platter.rng.choice((_nothing, effect, partly or _nothing))(*args)
        self.process.machine.crash(power=faults.dies_of_power)
        raise MachineDown

    def saw(self, path: str, what: str, data: bytes) -> None:
        """Put a change into the history."""
        self.simulation.saw(self.process.machine.name, path, what, data)

    def takes(self, seconds: float) -> None:
        """Let the call that is under way take this long."""
        if self._busy_s is None:
            self.process.reactor.stall(seconds)
        else:
            self._busy_s += seconds

    def may_fail_reading(self, path: str) -> None:
        """
        Fail now and then.

        @raise OSError: EIO.
        """
        if self.platter.rng.random() < self.platter.faults.read_error_chance:
            self.platter.hit("read EIO")
            raise error(errno.EIO, path)

    # IDisk

    def open(self, path: str, *, create: bool = False, write: bool = True) -> SimFile:
        """Open a file."""
        self.alive()
        if create:
            if self.platter.faults.full:
                self.platter.hit("ENOSPC")
                raise error(errno.ENOSPC, path)
            inode = self.change(self.platter.names.create, path)
        else:
            inode = self.platter.names.file(path)
        return SimFile(self, path, inode, write)

    def exists(self, path: str) -> bool:
        """Say whether there is something."""
        self.alive()
        return self.platter.names.find(path) is not None

    def is_directory(self, path: str) -> bool:
        """Say whether there is a directory."""
        self.alive()
        return isinstance(self.platter.names.find(path), Directory)

    def list_directory(self, path: str) -> list[str]:
        """Return the names, sorted."""
        self.alive()
        return sorted(self.platter.names.directory(path).entries)

    def make_directories(self, path: str) -> None:
        """Make directories, durably."""
        self.change(self.platter.names.make_directories, path)

    def rename(self, source: str, target: str) -> None:
        """Rename, replacing a file."""
        self.change(self._rename, source, target)

    def _rename(self, source: str, target: str) -> None:
        replaced = self.platter.names.rename(source, target)
        if isinstance(replaced, Inode):
            self.platter.used_bytes -= len(replaced.data)
        self.saw(target, "rename", source.encode())

    def remove(self, path: str) -> None:
        """Remove a file."""
        self.change(self._remove, path)

    def _remove(self, path: str) -> None:
        self.platter.used_bytes -= len(self.platter.names.remove(path).data)
        self.saw(path, "remove", b"")

    def remove_tree(self, path: str) -> None:
        """Remove a directory with all it holds, name by name."""
        self.alive()
        for name in self.list_directory(path):
            below = f"{path}/{name}"
            if self.is_directory(below):
                self.remove_tree(below)
            else:
                self.remove(below)
        self.change(self.platter.names.remove_directory, path)

    def sync_directory(self, path: str) -> None:
        """Make names durable."""
        self.change(self._sync_directory, path)

    def _sync_directory(self, path: str) -> None:
        self.takes(self.platter.sync_duration_s(self.simulation.now))
        self.platter.names.sync(self.platter.names.directory(path))

    def read_file(self, path: str) -> bytes:
        """Return a file's content."""
        file = self.open(path, write=False)
        return file.read(0, file.size())

    def replace_file(self, path: str, data: bytes) -> None:
        """Replace a file, by way of a temporary one."""
        aside = path + TEMPORARY
        if self.exists(aside):
            self.remove(aside)
        file = self.open(aside, create=True)
        file.write([data], 0)
        file.sync()
        file.close()
        self.rename(aside, path)
        self.sync_directory(path.rpartition("/")[0] or "/")

    def space(self, path: str) -> tuple[int, int]:
        """Return free and total bytes."""
        self.alive()
        self.platter.names.directory(path)
        return self.platter.room(self.platter.capacity_bytes), self.platter.capacity_bytes

    def lock(self, path: str) -> Callable[[], None]:
        """Lock a file, making it if need be."""
        self.alive()
        if path in self.locks:
            raise BlockingIOError(errno.EWOULDBLOCK, "locked", path)
        if not self.exists(path):
            self.open(path, create=True)
        self.locks[path] = None

        def release() -> None:
            self.locks.pop(path, None)

        return release

    def elsewhere(self, function: Callable[..., Any], *args: Any) -> Deferred[Any]:
        """Run a function in one event of its own, a little later, without holding up the event loop."""
        outcome: Deferred[Any] = Deferred()
        self.simulation.after(self._thread_delay_s(), self._in_thread, function, args, outcome)
        return outcome

    def _thread_delay_s(self) -> float:
        return self.platter.rng.expovariate(1.0) * self.platter.faults.thread_mean_s

    def _in_thread(self, function: Callable[..., Any], args: tuple[Any, ...], outcome: Deferred[Any]) -> None:
        if self.process.dead:
            return
        self._busy_s = self._thread_delay_s()
        result: Any
        try:
            result = function(*args)
        except MachineDown:
            return
        except Exception:
            result = Failure()
        finally:
            busy_s, self._busy_s = self._busy_s, None
        self.process.reactor.callLater(busy_s, outcome.callback, result)


def _nothing(*args: Any) -> None:
    """Have no effect."""
