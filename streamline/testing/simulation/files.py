"""
One open file of a simulated process.

What was written is in the page cache at once, and on the device when a sync
that began later has ended; L{streamline.testing.simulation.pages} says what
becomes of the rest.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from zope.interface import implementer

from streamline.interfaces import IFile
from streamline.model import Buffer
from streamline.testing.simulation.names import error
from streamline.testing.simulation.pages import Inode
from streamline.testing.simulation.world import MachineDown

if TYPE_CHECKING:
    from streamline.testing.simulation.disk import SimDisk


class SimStretch:
    """Bytes of a file that are read when they are sent."""

    def __init__(self, inode: Inode, at: int, length: int) -> None:
        self._inode = inode
        self._at = at
        self._length = length

    def __len__(self) -> int:
        return self._length

    def read(self) -> bytes:
        """Read them."""
        data = bytes(memoryview(self._inode.data)[self._at : self._at + self._length])
        if len(data) < self._length:
            raise error(errno.EIO, "the file has become shorter")
        return data

    def send(self, socket: Any) -> int:
        """Send some of them."""
        sent: int = socket.send(self.read())
        self._at += sent
        self._length -= sent
        return sent


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

    def stretch(self, at: int, length: int) -> SimStretch:
        """Lend a part of the file."""
        self._check()
        self._disk.may_fail_reading(self._path)
        return SimStretch(self._inode, at, length)

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
        self._disk.sync_takes()
        covered = self._inode.begin_sync()
        if platter.sync_fails():
            self._inode.fail_sync(covered)
            self._broken = True
            raise error(errno.EIO, self._path)
        if not self._disk.make_durable(self._inode.end_sync, covered):
            raise MachineDown

    def settle(self) -> None:
        """
        Be synced together with others, which takes its time once.

        @raise MachineDown: the power went at this one.
        """
        self._check(writing=True)
        if not self._disk.make_durable(self._inode.end_sync, self._inode.begin_sync()):
            raise MachineDown

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
            if not self._disk.make_durable(self._inode.end_sync, covered):
                return
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
