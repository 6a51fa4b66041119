"""Syncs that the kernel does by itself."""

from __future__ import annotations

import errno
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from streamline.storage import kernel
from streamline.storage.kernel import UNDER_WAY_MAX, KernelSyncs
from streamline.testing.worlds import RealWorld


class KernelCase(SynchronousTestCase):
    """Makes a disk with a file."""

    def setUp(self) -> None:
        """Make them."""
        self.world = RealWorld()
        self.addCleanup(self.world.close)
        self.disk = self.world.disk
        directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, directory, True)
        self.file = self.disk.open(f"{directory}/a", create=True)
        self.addCleanup(self.file.close)

    def end(self, deferred: Deferred[Any]) -> Any:
        """Wait for a Deferred."""
        return self.world.result_of(deferred)


class KernelSyncsTests(KernelCase):
    """On this machine, with this kernel."""

    def make(self) -> KernelSyncs:
        """Make it, where there is such a thing."""
        if sys.platform != "linux" or os.uname().machine not in kernel.CALLS:
            self.skipTest("only Linux syncs by itself, and only where its calls' numbers are known")
        made = self.disk._kernel_syncs()
        assert made is not None
        return made

    def test_it_syncs(self) -> None:
        """Each call is told of its own end, in the reactor, and no thread was needed."""
        self.make()
        before = threading.active_count()
        for number in range(3):
            self.file.write([b"abc"], 3 * number)
            self.end(self.file.sync_later())
        self.assertEqual(threading.active_count(), before)

    def test_several_files(self) -> None:
        """They do not wait for each other."""
        syncs = self.make()
        ended: list[tuple[int, Any]] = []

        def note(number: int) -> Callable[[Any], None]:
            return lambda result: ended.append((number, result))

        descriptors = [os.open(f"{tempfile.gettempdir()}", os.O_RDONLY) for _ in range(5)]
        for number, fd in enumerate(descriptors):
            self.addCleanup(os.close, fd)
            self.assertTrue(syncs.begin(fd, note(number)))
        self.world.turn_until(lambda: len(ended) == 5)
        self.assertEqual(sorted(ended), [(number, None) for number in range(5)])

    def test_more_than_it_keeps(self) -> None:
        """Who is taken is told of the end, however many ask before the reactor turns; the others are not taken."""
        syncs = self.make()
        ended: list[Any] = []
        fd = os.open(tempfile.gettempdir(), os.O_RDONLY)
        self.addCleanup(os.close, fd)
        taken = [syncs.begin(fd, ended.append) for _ in range(3 * UNDER_WAY_MAX)]
        self.assertEqual(taken, [True] * UNDER_WAY_MAX + [False] * 2 * UNDER_WAY_MAX)
        self.world.turn_until(lambda: len(ended) == UNDER_WAY_MAX)
        self.assertTrue(syncs.begin(fd, ended.append))
        self.world.turn_until(lambda: len(ended) == UNDER_WAY_MAX + 1)

    def test_what_cannot_be_synced(self) -> None:
        """It is not begun, and nobody is told of an end."""
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)
        self.addCleanup(os.close, writing)
        self.assertFalse(self.make().begin(writing, self.fail))

    def test_one_that_raises(self) -> None:
        """The others are told all the same."""
        syncs = self.make()
        ended: list[Any] = []
        fd = os.open(tempfile.gettempdir(), os.O_RDONLY)
        self.addCleanup(os.close, fd)
        syncs.begin(fd, lambda result: 1 // 0)
        syncs.begin(fd, ended.append)
        self.world.turn_until(lambda: not syncs._under_way)
        self.assertEqual(ended, [None])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_an_error(self) -> None:
        """It comes as what C{fdatasync} would have raised."""
        syncs = self.make()
        ended: list[Any] = []
        syncs._under_way[7] = ended.append
        kernel._EVENT.pack_into(syncs._events, 0, 7, 0, -errno.EIO, 0)
        self.patch(syncs, "_call", lambda *args: 1)
        os.eventfd_write(syncs.fileno(), 1)
        syncs.doRead()
        self.assertEqual([one.value.errno for one in ended], [errno.EIO])

    def test_closed_by_one_that_is_told(self) -> None:
        """Nobody hears of anything more, although it has ended."""
        syncs = self.make()
        syncs._under_way.update({1: lambda _: syncs.close(), 2: self.fail})
        syncs._events.raw = b"".join(kernel._EVENT.pack(number, 0, 0, 0) for number in (1, 2))
        self.patch(syncs, "_call", lambda *args: 2)
        os.eventfd_write(syncs.fileno(), 1)
        syncs.doRead()
        self.assertEqual(syncs.fileno(), -1)

    def test_another_machine(self) -> None:
        """Where the kernel has no such thing, threads sync."""
        self.patch(kernel, "CALLS", {})
        self.assertIsNone(self.disk._kernel_syncs())
        self.end(self.file.sync_later())
        self.assertTrue(any(one.name.startswith("streamline-sync") for one in threading.enumerate()))

    def test_closing(self) -> None:
        """Whoever closes hears nothing more."""
        syncs = self.make()
        syncs.begin(os.open(tempfile.gettempdir(), os.O_RDONLY), self.fail)
        syncs.close()
        syncs.close()
        self.assertEqual(syncs.fileno(), -1)


class Kernel:
    """
    A kernel that ends syncs when it is told to.

    @ivar ends: what to call then.
    """

    def __init__(self) -> None:
        self.ends: list[Callable[[Any], Any]] = []

    def begin(self, fd: int, done: Callable[[Any], Any]) -> bool:
        """Begin."""
        self.ends.append(done)
        return True

    def close(self) -> None:
        """End nothing more."""


class FileTests(KernelCase):
    """A file whose syncs the kernel does."""

    def setUp(self) -> None:
        """Have a kernel that waits."""
        super().setUp()
        self.kernel = Kernel()
        self.patch(self.disk, "_kernel", self.kernel)

    def test_each_counts_for_those_before_it(self) -> None:
        """Who asks while one is under way waits for the next, which a thread does."""
        first, second = self.file.sync_later(), self.file.sync_later()
        (end,) = self.kernel.ends
        end(None)
        self.successResultOf(first)
        self.assertNoResult(second)
        self.end(second)
        self.assertEqual(len(self.kernel.ends), 1)
        self.file.sync_later()
        self.assertEqual(len(self.kernel.ends), 2, "the file has rested")
        self.kernel.ends.pop()(None)

    def test_a_failure_is_final(self) -> None:
        """It fails all who wait, and nothing is written or synced any more (DK12)."""
        waiting = [self.file.sync_later(), self.file.sync_later()]
        self.kernel.ends.pop()(Failure(OSError(errno.EIO, "broken")))
        for one in waiting:
            self.failureResultOf(one, OSError)
        self.failureResultOf(self.file.sync_later(), OSError)
        self.assertRaises(OSError, self.file.truncate, 0)
        self.assertEqual(self.kernel.ends, [])

    def test_closing_waits(self) -> None:
        """The descriptor is not given back while it is synced."""
        waiting = self.file.sync_later()
        self.file.close()
        self.assertGreaterEqual(self.file._fd, 0)
        self.kernel.ends.pop()(None)
        self.successResultOf(waiting)
        self.assertEqual(self.file._fd, -1)
