"""The real disk keeps the contract, and what the contract cannot ask of every disk."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import threading
from collections.abc import Sequence
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from streamline.interfaces import IDisk
from streamline.storage import disk as real
from streamline.storage import libc
from streamline.storage.disk import RealDisk
from streamline.storage.threads import Doorbell
from streamline.testing.contracts import disk
from streamline.testing.worlds import RealWorld

T = TypeVar("T")


def descriptors() -> dict[str, str]:
    """Return what each open descriptor of this process is."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[name] = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:
            continue  # that of the listing itself
    return found


class RealDiskContractTests(disk.DiskContract):
    """The real disk promises what every disk does."""

    def make_disk(self) -> tuple[IDisk, str]:
        """Take a temporary directory."""
        self.world = RealWorld()
        self.addCleanup(self.world.close)
        directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, directory, True)
        return self.world.disk, directory

    def result_of(self, deferred: Deferred[T]) -> T:
        """Let the reactor turn."""
        return self.world.result_of(deferred)


class RealDiskTests(SynchronousTestCase):
    """What is particular about the operating system's disk, where threads sync."""

    def setUp(self) -> None:
        """Make a disk and an empty directory."""
        self.world = RealWorld()
        self.addCleanup(self.world.close)
        self.disk = self.world.disk
        self.disk.asks_kernel = False
        self.directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.directory, True)
        self.path = f"{self.directory}/a"

    def make(self) -> real.RealFile:
        """Make a file."""
        file = self.disk.open(self.path, create=True)
        self.addCleanup(file.close)
        return file

    def test_short_writes_are_completed(self) -> None:
        """The kernel may take fewer bytes than it was given; the rest follows, from the middle of a part on."""
        file = self.make()
        taken: list[int] = []

        def pwritev(fd: int, parts: Sequence[bytes], at: int) -> int:
            data = b"".join(parts)[:5]
            taken.append(len(data))
            return os.pwrite(fd, data, at)

        self.patch(os, "pwritev", pwritev)
        self.assertEqual(file.write([b"abc", b"", memoryview(b"defgh"), b"ijkl"], 2), 12)
        self.assertEqual(file.read(0, 99), b"\0\0abcdefghijkl")
        self.assertEqual(taken, [5, 5, 2])

    def test_device_that_takes_nothing(self) -> None:
        """A write that makes no progress is an error, not an endless loop."""
        self.patch(os, "pwritev", lambda fd, parts, at: 0)
        error = self.assertRaises(OSError, self.make().write, [b"abc"], 0)
        self.assertEqual(error.errno, errno.EIO)

    def test_allocated_space_is_given_back(self) -> None:
        """Reserving takes blocks, cutting to the same size returns them."""
        file = self.make()
        file.write([b"x" * 5000], 0)
        file.allocate(8 * 2**20)
        self.assertGreaterEqual(os.stat(self.path).st_blocks * 512, 8 * 2**20)
        file.truncate(5000)
        file.sync()
        self.assertLess(os.stat(self.path).st_blocks * 512, 2**20)
        self.assertEqual(file.size(), 5000)

    def test_full_disk(self) -> None:
        """The kernel's word for it comes through, and the file can be used on."""
        file = self.disk.open("/dev/full")
        self.addCleanup(file.close)
        for _ in range(2):
            error = self.assertRaises(OSError, file.write, [b"abc"], 0)
            self.assertEqual(error.errno, errno.ENOSPC)

    def test_failed_sync_is_final(self) -> None:
        """After a sync failed once, nothing is written or synced any more, though the device says yes (DK12)."""
        file, other = self.make(), self.disk.open(f"{self.directory}/b", create=True)
        self.addCleanup(other.close)
        broken = [OSError(errno.EIO, "broken"), OSError(errno.EIO, "broken")]

        def fdatasync(fd: int) -> None:
            if broken:
                raise broken.pop()

        self.patch(os, "fdatasync", fdatasync)
        self.assertRaises(OSError, file.sync)
        self.assertRaises(OSError, self.end, other.sync_later())
        self.assertEqual(broken, [])
        for one in (file, other):
            self.assertRaises(OSError, one.sync)
            self.assertRaises(OSError, one.write, [b"d"], 0)
            self.assertRaises(OSError, one.truncate, 0)
            self.assertRaises(OSError, self.end, one.sync_later())

    def test_synced_together(self) -> None:
        """Files of one file system are synced with one call, whose word is taken where nothing was lost of them."""
        synced: list[int] = []

        def sync_around(place: int | str) -> bool:
            synced.append(os.stat(place).st_dev)
            return True

        self.patch(libc, "sync_around", sync_around)
        files = [self.make(), self.disk.open(f"{self.directory}/b", create=True)]
        self.addCleanup(files[1].close)
        for directories in ([self.directory], []):
            self.assertTrue(self.disk.sync_together(files, directories))
        self.assertTrue(self.disk.sync_together([], [self.directory, self.directory]))
        self.assertEqual(synced, 3 * [os.stat(self.directory).st_dev])

    def test_not_synced_together(self) -> None:
        """Where the kernel cannot, tells of nothing or tells of a failure, each file can be synced for itself."""
        file = self.make()
        for name, says in (("sync_around", False), ("can_sync_file_systems", False), ("sync_around", True)):
            self.patch(libc, name, lambda *args, says=says: says)
            self.assertFalse(self.disk.sync_together([file], [self.directory]))
            file.sync()

    def test_lost_although_synced_together(self) -> None:
        """What was lost of a file ends its life, whatever was said of the file system (DK12)."""
        file, other = self.make(), self.disk.open(f"{self.directory}/b", create=True)
        self.addCleanup(other.close)

        broken = file.fileno()

        def check_written(fd: int) -> None:
            if fd == broken:
                raise OSError(errno.EIO, "broken")

        self.patch(libc, "check_written", check_written)
        self.assertFalse(self.disk.sync_together([file, other], [self.directory]))
        other.sync()
        self.assertRaises(OSError, file.sync)
        self.assertRaises(OSError, file.write, [b"d"], 0)

    def test_who_tells_of_nothing(self) -> None:
        """Before Linux 5.8, C{syncfs} said that all is well whatever happened."""
        self.addCleanup(libc.can_sync_file_systems.cache_clear)
        told = []
        for system, release in (("Linux", "5.7.9"), ("Linux", "5.10.0-21"), ("Darwin", "23.1.0")):
            libc.can_sync_file_systems.cache_clear()
            self.patch(os, "uname", lambda here=(system, "", release, "", ""): os.uname_result(here))
            told.append(libc.can_sync_file_systems())
        self.assertEqual(told, [False, True, False])

    def test_what_was_lost(self) -> None:
        """The kernel is asked about files that it has; a descriptor of nothing is an error like any other."""
        file = self.make()
        file.write([b"abc"], 0)
        libc.check_written(file.fileno())
        error = self.assertRaises(OSError, libc.check_written, -1)
        self.assertEqual(error.errno, errno.EBADF)

    def end(self, deferred: Deferred[T]) -> T:
        """Wait for a Deferred."""
        return self.world.result_of(deferred)

    def test_syncs_are_grouped(self) -> None:
        """Syncs asked for while one is in flight share the next; each covers what was written before it."""
        file = self.make()
        begun, go_on = threading.Semaphore(0), threading.Semaphore(0)
        count = []

        def fdatasync(fd: int) -> None:
            count.append(fd)
            begun.release()
            go_on.acquire(timeout=10)

        self.patch(os, "fdatasync", fdatasync)
        first = file.sync_later()
        begun.acquire(timeout=10)
        others = [file.sync_later() for _ in range(10)]
        go_on.release()
        self.end(first)
        self.assertFalse(any(one.called for one in others), "a sync that began before does not count for them")
        go_on.release()
        for one in others:
            self.end(one)
        self.assertEqual(len(count), 2)

    def test_the_next_sync_begins_by_itself(self) -> None:
        """The device does not wait for the reactor to come by."""
        file = self.make()
        begun, go_on = threading.Semaphore(0), threading.Semaphore(0)

        def fdatasync(fd: int) -> None:
            begun.release()
            go_on.acquire(timeout=10)

        self.patch(os, "fdatasync", fdatasync)
        first = file.sync_later()
        begun.acquire(timeout=10)
        second = file.sync_later()
        go_on.release()
        self.assertTrue(begun.acquire(timeout=10))
        self.assertFalse(first.called, "the reactor has not had a turn")
        self.end(first)
        self.assertNoResult(second)
        go_on.release()
        self.end(second)

    def test_syncs_of_other_files_have_their_turn(self) -> None:
        """A file that is synced all the time does not keep a thread that others need."""
        self.patch(real, "SYNC_THREADS", 1)
        one, other = self.make(), self.disk.open(f"{self.directory}/b", create=True)
        self.addCleanup(other.close)
        begun, go_on = threading.Semaphore(0), threading.Semaphore(0)
        order: list[int] = []

        def fdatasync(fd: int) -> None:
            order.append(fd)
            begun.release()
            go_on.acquire(timeout=10)

        self.patch(os, "fdatasync", fdatasync)
        waiting = [one.sync_later()]
        begun.acquire(timeout=10)
        waiting += [other.sync_later(), one.sync_later()]
        for _ in waiting:
            go_on.release()
        for each in waiting:
            self.end(each)
        self.assertEqual([order[0] == fd for fd in order], [True, False, True])

    def test_failed_sync_fails_all_who_wait(self) -> None:
        """Those who wait for the next sync hear of the failure too, though the device would say yes to them."""
        file = self.make()
        begun, go_on = threading.Semaphore(0), threading.Semaphore(0)
        broken = [OSError(errno.EIO, "broken")]

        def fdatasync(fd: int) -> None:
            begun.release()
            if broken:
                go_on.acquire(timeout=10)
                raise broken.pop()

        self.patch(os, "fdatasync", fdatasync)
        waiting = [file.sync_later()]
        begun.acquire(timeout=10)
        waiting.append(file.sync_later())
        go_on.release()
        for one in waiting:
            self.assertRaises(OSError, self.end, one)

    def test_close_waits_for_the_sync(self) -> None:
        """The descriptor is not given back, and perhaps away, while a thread syncs it."""
        file = self.make()
        begun, go_on = threading.Semaphore(0), threading.Semaphore(0)

        def fdatasync(fd: int) -> None:
            begun.release()
            go_on.acquire(timeout=10)

        self.patch(os, "fdatasync", fdatasync)
        waiting = file.sync_later()
        begun.acquire(timeout=10)
        file.close()
        self.assertIn(os.path.realpath(self.path), descriptors().values())
        go_on.release()
        self.end(waiting)
        self.assertNotIn(os.path.realpath(self.path), descriptors().values())

    def test_replace_is_durable(self) -> None:
        """The new content is synced before it gets the name, and the name after (DK15)."""
        calls: list[str] = []
        sync, replace = os.fsync, os.replace

        def fsync(fd: int) -> None:
            calls.append("sync " + os.path.basename(os.readlink(f"/proc/self/fd/{fd}")))
            sync(fd)

        def rename(source: str, target: str) -> None:
            calls.append("rename")
            replace(source, target)

        self.patch(os, "fsync", fsync)
        self.patch(os, "replace", rename)
        self.disk.replace_file(self.path, b"x")
        self.assertEqual(calls, ["sync a.tmp", "rename", "sync " + os.path.basename(self.directory)])

    def test_replace_fails_cleanly(self) -> None:
        """What cannot be written leaves the old content and nothing beside it."""
        self.disk.replace_file(self.path, b"old")

        def fsync(fd: int) -> None:
            raise OSError(errno.ENOSPC, "full")

        self.patch(os, "fsync", fsync)
        self.assertRaises(OSError, self.disk.replace_file, self.path, b"new")
        self.assertEqual(self.disk.list_directory(self.directory), ["a"])
        self.assertEqual(self.disk.read_file(self.path), b"old")

    def test_made_directories_are_durable(self) -> None:
        """The parent of each new directory is synced."""
        calls: list[str] = []
        self.patch(self.disk, "sync_directory", calls.append)
        self.disk.make_directories(f"{self.directory}/b/c")
        self.assertEqual(calls, [self.directory, f"{self.directory}/b"])

    def test_uncached(self) -> None:
        """A range that the kernel would have to fetch is not cached."""
        file = self.make()
        file.write([b"x" * 4096 * 3], 0)
        file.sync()

        def preadv(fd: int, parts: Any, at: int, flags: int) -> int:
            self.assertEqual(flags, os.RWF_NOWAIT)
            if at >= 8192:
                raise BlockingIOError
            return 1

        self.assertTrue(file.is_cached(0, 4096 * 3))
        self.patch(os, "preadv", preadv)
        self.assertEqual([file.is_cached(0, 8192), file.is_cached(0, 8193), file.is_cached(8192, 1)],
                         [True, False, False])

    def test_cannot_tell_what_is_cached(self) -> None:
        """Where the file system does not know, reading just goes on."""

        def preadv(fd: int, parts: Any, at: int, flags: int) -> int:
            raise OSError(errno.EOPNOTSUPP, "no")

        self.patch(os, "preadv", preadv)
        self.assertTrue(self.make().is_cached(0, 10))

    def test_nothing_is_left(self) -> None:
        """Closing the disk gives back every descriptor and ends every thread."""
        before, threads = descriptors(), threading.active_count()
        world = RealWorld()
        file = world.disk.open(self.path, create=True)
        world.result_of(file.sync_later())
        world.disk.asks_kernel = False
        world.result_of(file.sync_later())
        world.result_of(world.disk.elsewhere(len, "abc"))
        self.assertGreater(threading.active_count(), threads)
        file.close()
        ending = [thread for thread in threading.enumerate() if thread.name.startswith("streamline-")]
        world.close()
        for thread in ending:
            thread.join(10)
        self.assertEqual(threading.active_count(), threads)
        self.assertEqual(descriptors(), before)

    def test_threads_do_not_keep_the_process(self) -> None:
        """A thread that is stuck in the device is no reason to live on."""
        self.end(self.disk.elsewhere(len, "abc"))
        mine = [thread for thread in threading.enumerate() if thread.name.startswith("streamline-")]
        self.assertTrue(mine and all(thread.daemon for thread in mine))

    def test_late_results_are_dropped(self) -> None:
        """A thread that ends after the disk was closed rings at no door."""
        go_on = threading.Semaphore(0)
        late = self.disk.elsewhere(go_on.acquire, True, 10)
        (thread,) = (one for one in threading.enumerate() if one.name.startswith("streamline-disk"))
        self.disk.close()
        go_on.release()
        thread.join(10)
        self.assertFalse(late.called)

    def test_without_eventfd(self) -> None:
        """A reactor that cannot watch descriptors is called from the thread."""

        class Reactor:
            """The least of a reactor."""

            def __init__(self) -> None:
                self.calls: list[Any] = []

            def callFromThread(self, call: Any) -> None:
                """Keep it."""
                self.calls.append(call)

        reactor = Reactor()
        bell = Doorbell(reactor)
        heard: list[int] = []
        bell.ring(heard.append, 1)
        reactor.calls.pop()()
        bell.close()
        bell.ring(heard.append, 2)
        self.assertEqual([heard, reactor.calls], [[1], []])

    def test_close_is_part_of_the_shutdown(self) -> None:
        """The reactor's end is the disk's end."""
        triggers: list[Any] = []

        class Reactor:
            """The least of a reactor."""

            def addSystemEventTrigger(self, *args: Any) -> None:
                """Keep it."""
                triggers.append(args)

            def callFromThread(self, call: Any) -> None:
                """Drop it."""

        disk = RealDisk(Reactor())
        disk.elsewhere(len, "")
        self.assertEqual(triggers, [("after", "shutdown", disk.close)])
        disk.close()
