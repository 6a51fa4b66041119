"""
The disk door of a simulated process.

A L{Platter} belongs to a machine and outlives its processes; L{SimDisk} is what
one process sees of it.  Every call that changes something is a point at which
the process or the machine can be made to die: before it, after it, or in its
middle.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from streamline.interfaces import IDisk, IFile
from streamline.testing.simulation.files import SimFile
from streamline.testing.simulation.names import Directory, error
from streamline.testing.simulation.pages import Inode
from streamline.testing.simulation.platter import Platter
from streamline.testing.simulation.world import MachineDown

if TYPE_CHECKING:
    from streamline.testing.simulation.machine import Process

TEMPORARY = ".tmp"


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

    def make_durable(self, effect: Callable[..., Any], *args: Any) -> bool:
        """Carry out a durable step, or lose power just before or after it; return whether the machine is still on."""
        if not self.platter.ends_here():
            effect(*args)
            return True
        self.platter.rng.choice((_nothing, effect))(*args)
        self.process.machine.crash(power=True)
        return False

    def saw(self, path: str, what: str, data: bytes) -> None:
        """Put a change into the history."""
        self.simulation.saw(self.process.machine.name, path, what, data)

    def sync_takes(self) -> None:
        """Let the sync that is under way take its time, which begins when what was done before it ended."""
        self.takes(self.platter.sync_duration_s(self.simulation.now + (self._busy_s or 0.0)))

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
            if not self.platter.room(1):
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

    def make_directory(self, path: str) -> None:
        """Make one directory."""
        self.change(self.platter.names.make_directory, path)

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
        self.sync_takes()
        self._settle_directory(path)

    def _settle_directory(self, path: str) -> None:
        if not self.make_durable(self.platter.names.sync, self.platter.names.directory(path)):
            raise MachineDown

    def sync_together(self, files: Sequence[IFile], directories: Sequence[str]) -> bool:
        """Sync one after another in the time of one; where one would fail, whoever syncs each for itself learns it."""
        self.alive()
        if self.platter.faults.failing_syncs:
            return False
        self.sync_takes()
        for file in files:
            assert isinstance(file, SimFile)
            self.change(file.settle)
        for path in directories:
            self.change(self._settle_directory, path)
        return True

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

    def boot_id(self) -> str:
        """Return nothing: whatever ends a process here may have taken what it had not synced."""
        self.alive()
        return ""

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
