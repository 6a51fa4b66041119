"""
The disk of a node that can be killed: from then on nothing of it touches a file.

What a killed process had open is closed by the kernel.  A node that is killed within this process leaves objects behind
that know numbers of files; here every number is taken from them, so that none of them can hit a file which gets that
number next.  Calls that a thread is in the middle of are waited for, as the kernel does.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from threading import Condition
from typing import Any
from weakref import WeakSet

from twisted.internet.defer import Deferred, fail
from zope.interface import implementer

from streamline.interfaces import IDisk, IFile
from streamline.storage.disk import RealDisk, RealFile
from streamline.storage.kernel import KernelSyncs
from streamline.storage.threads import Threads

CALLS_END_S = 10.0
"""How long is waited for calls in threads; a device that takes longer is broken."""


@implementer(IFile)
class MortalFile(RealFile):
    """A file that its node's death closes."""

    def __init__(
        self, disk: MortalDisk, fd: int, threads: Callable[[], Threads], kernel: Callable[[], KernelSyncs | None]
    ) -> None:
        super().__init__(fd, threads, kernel)
        self._disk = disk

    def sync(self) -> None:
        """Sync, where anything is synced."""
        if self._disk.syncs:
            super().sync()
        else:
            self._check()

    def sync_later(self) -> Deferred[None]:
        """Sync, where anything is synced; fires in another turn of the reactor in any case."""
        if self._disk.syncs:
            return super().sync_later()
        try:
            self._check()
        except OSError:
            return fail()
        return self._disk.soon()

    def die(self) -> None:
        """Close it, whatever it is used for."""
        descriptor, self._descriptor = self._descriptor, None
        self._fd, self._closed = -1, True
        if descriptor is not None:
            descriptor.close()


@implementer(IDisk)
class MortalDisk(RealDisk):
    """
    The disk of one life of a node.

    @ivar syncs: whether what is to survive the loss of power does; what is to survive the node does in any case.
    """

    def __init__(self, reactor: Any, *, syncs: bool) -> None:
        super().__init__(reactor)
        self.syncs = syncs
        self._files: WeakSet[MortalFile] = WeakSet()
        self._releases: list[Callable[[], None]] = []
        self._alive = Condition()
        self._is_dead = False
        self._calls = 0

    def open(self, path: str, *, create: bool = False, write: bool = True) -> MortalFile:
        """Open a file."""
        self._check()
        flags = os.O_CLOEXEC | (os.O_RDWR if write else os.O_RDONLY)
        flags |= os.O_CREAT | os.O_EXCL if create else 0
        file = MortalFile(self, os.open(path, flags, 0o644), self._sync_threads, self._kernel_syncs)
        self._files.add(file)
        return file

    def lock(self, path: str) -> Callable[[], None]:
        """Take a lock, which death releases."""
        self._check()
        release = super().lock(path)
        self._releases.append(release)
        return release

    def elsewhere(self, function: Callable[..., Any], *args: Any) -> Deferred[Any]:
        """Run a call in a thread, unless the node is dead by then."""
        self._check()
        return super().elsewhere(self._while_alive, function, *args)

    def sync_directory(self, path: str) -> None:
        """Sync a directory, where anything is synced; it has to be there in any case."""
        if self.syncs:
            super().sync_directory(path)
        else:
            os.close(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))

    def sync_together(self, files: Sequence[IFile], directories: Sequence[str]) -> bool:
        """Sync all of them, where anything is synced."""
        if self.syncs:
            return super().sync_together(files, directories)
        for file in files:
            file.sync()
        for path in directories:
            self.sync_directory(path)
        return True

    def replace_file(self, path: str, data: bytes) -> None:
        """Replace a file, syncing it where anything is synced."""
        self._check()
        if self.syncs:
            super().replace_file(path, data)
            return
        with open(path + ".tmp", "wb", buffering=0) as file:
            file.write(data)
        os.replace(path + ".tmp", path)

    def soon(self) -> Deferred[None]:
        """Return what fires in another turn of the reactor."""
        synced: Deferred[None] = Deferred()
        self._reactor.callLater(0, synced.callback, None)
        return synced

    def _check(self) -> None:
        if self._is_dead:
            raise OSError(errno.EBADF, "the node was killed")

    def _while_alive(self, function: Callable[..., Any], *args: Any) -> Any:
        with self._alive:
            self._check()
            self._calls += 1
        try:
            return function(*args)
        finally:
            with self._alive:
                self._calls -= 1
                self._alive.notify_all()

    def die(self) -> None:
        """Close everything, as the kernel does for a process that was killed."""
        with self._alive:
            self._is_dead = True
            self._alive.wait_for(lambda: not self._calls, CALLS_END_S)
        for file in list(self._files):
            file.die()
        for release in self._releases:
            release()
        self.close()
