"""
The real disk: with the modules it is made of (C{threads}, C{kernel}, C{descriptors}, C{libc}), all that calls C{os}.

It decides nothing.  It carries out what L{IDisk} and L{IFile} promise, has the kernel sync
(L{streamline.storage.kernel}) or waits for the device in threads of its own
(L{streamline.storage.threads}), and never hides an error: every failure is the kernel's L{OSError}.

# Note [Syncs that follow each other]

Whoever waits for a sync wrote before it began to wait, so whoever is found waiting when one begins is covered by it.
When it ends, its thread begins the next one by itself for those who came meanwhile, and the reactor answers the first
ones while the device is busy with the others.  Appending to a deque and taking from it are atomic, so one that both
sides use needs no lock.  Failing ends it: the thread begins nothing more, and the reactor fails everybody.

So a thread is for files that are synced all the time.  The first sync of a file that rested is the kernel's own, which
is quicker for whoever waits for it alone.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, cast

from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure
from zope.interface import implementer

from streamline.interfaces import IDisk, IFile
from streamline.model import Buffer
from streamline.storage import libc
from streamline.storage.descriptors import Descriptor, RealStretch, read_at, rest_of
from streamline.storage.kernel import KernelSyncs
from streamline.storage.threads import Doorbell, Threads

IOV_MAX = os.sysconf("SC_IOV_MAX")
"""Most buffers that one C{pwritev} takes."""

UNSIZED_BYTES = 4096
"""What is read of a file that does not say how long it is, as the kernel's own do not."""
BOOT_ID = "/proc/sys/kernel/random/boot_id"
SYNC_THREADS = 4
OTHER_THREADS = 4


def _answer(done: list[Deferred[None]]) -> None:
    for waiting in done:
        waiting.callback(None)


@implementer(IFile)
class RealFile:
    """An open file of the operating system."""

    def __init__(self, fd: int, threads: Callable[[], Threads], kernel: Callable[[], KernelSyncs | None]) -> None:
        self._fd = fd
        self._kernel = kernel
        self._descriptor: Descriptor | None = Descriptor(fd)
        self._threads = threads
        self._failure: OSError | None = None
        self._waiting: deque[Deferred[None]] = deque()
        """Who waits for a sync that has not begun; a thread takes from it.  See Note [Syncs that follow each other]."""
        self._syncing: list[Deferred[None]] = []
        """Who waits for the one that is in flight; a thread's, until that has told the reactor of its end."""
        self._is_syncing = False
        self._closed = False

    def size(self) -> int:
        """Return the length of the file in bytes."""
        return os.fstat(self._fd).st_size

    def write(self, parts: Sequence[Buffer], at: int) -> int:
        """Write all the parts with as few calls as the kernel allows; complete short writes."""
        self._check()
        if len(parts) <= IOV_MAX:
            return self._write(parts, at)
        total = 0
        for first in range(0, len(parts), IOV_MAX):
            total += self._write(parts[first : first + IOV_MAX], at + total)
        return total

    def _write(self, parts: Sequence[Buffer], at: int) -> int:
        length = sum(map(len, parts))
        written = os.pwritev(self._fd, parts, at)
        while written < length:
            more = os.pwritev(self._fd, rest_of(parts, written), at + written)
            if not more:
                raise OSError(errno.EIO, "the device takes no more bytes")
            written += more
        return length

    def read(self, at: int, length: int) -> bytes:
        """Read up to C{length} bytes; the kernel may hand them out in pieces."""
        return read_at(self._fd, at, length)

    def stretch(self, at: int, length: int) -> RealStretch:
        """Lend a part of the file."""
        if self._descriptor is None:
            raise OSError(errno.EBADF, "the file is closed")
        return RealStretch(self._descriptor, at, length)

    def is_cached(self, at: int, length: int) -> bool:
        """Probe the first and the last byte; true where the file system cannot tell."""
        probe = [bytearray(1)]
        try:
            os.preadv(self._fd, probe, at, os.RWF_NOWAIT)
            if length > 1:
                os.preadv(self._fd, probe, at + length - 1, os.RWF_NOWAIT)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
                raise
        return True

    def truncate(self, size: int) -> None:
        """Cut or extend the file; also gives back what L{allocate} reserved beyond C{size}."""
        self._check()
        os.ftruncate(self._fd, size)

    def allocate(self, size: int) -> None:
        """Reserve blocks beyond the end of the file; a full disk or an unable file system is no error here."""
        libc.reserve(self._fd, size)

    def sync(self) -> None:
        """Call C{fdatasync}; a failure ends the file's life."""
        self._check()
        try:
            os.fdatasync(self._fd)
        except OSError as error:
            self._failure = error
            raise

    def fileno(self) -> int:
        """
        Return the descriptor.

        @raise OSError: a sync has failed, or the file is closed.
        """
        self._check()
        return self._fd

    def is_written(self) -> bool:
        """Say whether everything that the kernel has written back for us arrived; if not, the file's life ends."""
        try:
            libc.check_written(self._fd)
        except OSError as error:
            self._failure = error
        return self._failure is None

    def sync_later(self) -> Deferred[None]:
        """Share the next C{fdatasync}, at most one of which is in flight."""
        try:
            self._check()
        except OSError:
            return fail()
        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        if not self._is_syncing:
            self._begin_sync()
        return waiting

    def _begin_sync(self) -> None:
        self._is_syncing = True
        kernel = self._kernel()
        if kernel is not None and kernel.begin(self._fd, self._synced):
            self._syncing.extend(self._waiting)
            self._waiting.clear()
        else:
            self._sync_in_thread()

    def _sync_in_thread(self) -> None:
        threads = self._threads()
        threads.call(self._sync_on, (threads,), self._synced)

    def _sync_on(self, threads: Threads) -> None:
        """Sync, in a thread, for as long as somebody waits for it and nobody else needs the thread."""
        waiting, syncing = self._waiting, self._syncing
        while True:
            while waiting:
                syncing.append(waiting.popleft())
            os.fdatasync(self._fd)
            if not waiting or threads.is_wanted:
                return
            threads.tell(_answer, syncing)
            syncing = self._syncing = []

    def _synced(self, result: Any) -> None:
        self._is_syncing = False
        done, self._syncing = self._syncing, []
        if isinstance(result, Failure):
            # Note [A failed fsync is final]: Linux reports a write-back error once and marks the pages clean, so that
            # a second fdatasync would say yes for bytes that never arrived (reliability rule DK12).
            self._failure = OSError(errno.EIO, f"an earlier sync failed: {result.value}")
            done += self._waiting
            self._waiting.clear()
            if self._closed:
                self._release()
            for waiting in done:
                waiting.errback(result)
            return
        if self._waiting:
            self._is_syncing = True
            self._sync_in_thread()
        elif self._closed:
            self._release()
        _answer(done)

    def close(self) -> None:
        """Close the file once no sync is in flight any more."""
        if not self._closed:
            self._closed = True
            if not self._is_syncing:
                self._release()

    def _release(self) -> None:
        self._fd, self._descriptor = -1, None

    def _check(self) -> None:
        """Refuse to go on after a failed sync, or after the end."""
        if self._failure is not None:
            raise OSError(self._failure.errno or errno.EIO, str(self._failure))
        if self._closed:
            raise OSError(errno.EBADF, "the file is closed")


@implementer(IDisk)
class RealDisk:
    """
    The file systems of this machine, and a few threads that wait for them.

    @ivar asks_kernel: whether the kernel is asked to sync by itself.
    """

    def __init__(self, reactor: Any, *, asks_kernel: bool = True) -> None:
        self.asks_kernel = asks_kernel
        self._reactor = reactor
        self._kernel: KernelSyncs | None = None
        self._doorbell: Doorbell | None = None
        self._syncs: Threads | None = None
        self._others: Threads | None = None

    def close(self) -> None:
        """End the threads and give back what they need; happens by itself when the reactor stops."""
        for threads in (self._syncs, self._others):
            if threads is not None:
                threads.close()
        self._syncs = self._others = None
        if self._kernel is not None:
            self._kernel.close()
            self._kernel = None
        if self._doorbell is not None:
            self._doorbell.close()
            self._doorbell = None

    def _ring(self) -> Doorbell:
        if self._doorbell is None:
            self._doorbell = Doorbell(self._reactor)
            self._reactor.addSystemEventTrigger("after", "shutdown", self.close)
        return self._doorbell

    def _kernel_syncs(self) -> KernelSyncs | None:
        if self._kernel is None and self.asks_kernel:
            self._ring()  # its end is the kernel's, too
            try:
                self._kernel = KernelSyncs(self._reactor)
            except OSError:
                self.asks_kernel = False
        return self._kernel

    def _sync_threads(self) -> Threads:
        if self._syncs is None:
            self._syncs = Threads(self._ring(), "sync", SYNC_THREADS)
        return self._syncs

    def open(self, path: str, *, create: bool = False, write: bool = True) -> RealFile:
        """Open a file; never truncates, as ext4 would then flush it at close."""
        flags = os.O_CLOEXEC | (os.O_RDWR if write else os.O_RDONLY)
        if create:
            flags |= os.O_CREAT | os.O_EXCL
        return RealFile(os.open(path, flags, 0o644), self._sync_threads, self._kernel_syncs)

    def exists(self, path: str) -> bool:
        """Say whether a file or directory is there."""
        return os.path.exists(path)

    def is_directory(self, path: str) -> bool:
        """Say whether a directory is there."""
        return os.path.isdir(path)

    def list_directory(self, path: str) -> list[str]:
        """Return the names in a directory, sorted."""
        return sorted(os.listdir(path))

    def make_directories(self, path: str) -> None:
        """Make a directory and its parents, syncing the parent of each new one."""
        if os.path.isdir(path):
            return
        parent = os.path.dirname(os.path.abspath(path))
        self.make_directories(parent)
        self.make_directory(path)
        self.sync_directory(parent)

    def make_directory(self, path: str) -> None:
        """Make a directory."""
        os.mkdir(path)

    def rename(self, source: str, target: str) -> None:
        """Rename a file or directory, replacing a file."""
        os.replace(source, target)

    def remove(self, path: str) -> None:
        """Remove a file."""
        os.unlink(path)

    def remove_tree(self, path: str) -> None:
        """Remove a directory with all it holds."""
        shutil.rmtree(path)

    def sync_directory(self, path: str) -> None:
        """Call C{fsync} on a directory."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def sync_together(self, files: Sequence[IFile], directories: Sequence[str]) -> bool:
        """Call C{syncfs}, where it can be relied on.  See Note [Syncing a file system]."""
        ours = cast("Sequence[RealFile]", files)
        fds = [file.fileno() for file in ours]
        if not (libc.can_sync_file_systems() and libc.sync_file_systems(fds, directories)):
            return False
        return all([file.is_written() for file in ours])

    def read_file(self, path: str) -> bytes:
        """Return all of a file."""
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return read_at(fd, 0, os.fstat(fd).st_size or UNSIZED_BYTES)
        finally:
            os.close(fd)

    def replace_file(self, path: str, data: bytes) -> None:
        """Write C{path.tmp}, sync it, rename it and sync the directory."""
        aside = path + ".tmp"
        try:
            with open(aside, "wb", buffering=0) as file:
                view = memoryview(data)
                while view:
                    view = view[file.write(view) :]
                os.fsync(file.fileno())
            os.replace(aside, path)
        except OSError:
            if os.path.exists(aside):
                os.unlink(aside)
            raise
        self.sync_directory(os.path.dirname(os.path.abspath(path)))

    def space(self, path: str) -> tuple[int, int]:
        """Return (bytes free for unprivileged users, bytes in total)."""
        facts = os.statvfs(path)
        return facts.f_bavail * facts.f_frsize, facts.f_blocks * facts.f_frsize

    def boot_id(self) -> str:
        """Return Linux's name for this run of the kernel; on others nothing."""
        try:
            return self.read_file(BOOT_ID).decode("ascii").strip()
        except OSError:
            return ""

    def lock(self, path: str) -> Callable[[], None]:
        """Take C{flock}; the kernel drops it when the process dies, however it dies."""
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(fd)
            raise
        held = [fd]

        def release() -> None:
            if held:
                os.close(held.pop())

        return release

    def elsewhere(self, function: Callable[..., Any], *args: Any) -> Deferred[Any]:
        """Run a call in one of a few threads of our own."""
        if self._others is None:
            self._others = Threads(self._ring(), "disk", OTHER_THREADS)
        result: Deferred[Any] = Deferred()
        # Deferred.callback turns a Failure into the error path by itself.
        self._others.call(function, args, result.callback)
        return result
