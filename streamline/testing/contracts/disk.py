"""
The contract of L{IDisk} and L{IFile}.

It says what every disk does in one life of a process.  What survives the loss
of power cannot be asked of a real disk here; L{streamline.testing.simulation}
has a disk whose power can be cut.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from streamline.interfaces import IDisk, IFile


class DiskContract(SynchronousTestCase):
    """
    A suite to be subclassed.

    @ivar disk: the disk under test.
    @ivar root: an empty directory on it.
    """

    disk: IDisk
    root: str

    def make_disk(self) -> tuple[IDisk, str]:
        """Return the disk to be tested, and an empty directory on it."""
        raise NotImplementedError("say how to make the disk")

    def result_of(self, deferred: Deferred[Any]) -> Any:
        """Wait for a Deferred; return its result or raise its failure."""
        return self.successResultOf(deferred)

    def setUp(self) -> None:
        """Make the disk."""
        self.disk, self.root = self.make_disk()

    def path(self, name: str) -> str:
        """Return a path below the empty directory."""
        return f"{self.root}/{name}"

    def file(self, name: str, data: bytes = b"") -> IFile:
        """Make a file with some content and return it open."""
        file = self.disk.open(self.path(name), create=True)
        self.addCleanup(file.close)
        file.write([data], 0)
        return file

    # Files

    def test_interfaces(self) -> None:
        """Disk and file have every method of their interfaces."""
        verifyObject(IDisk, self.disk)
        verifyObject(IFile, self.file("a"))

    def test_write_gathers_and_read_gives_back(self) -> None:
        """Parts are written one after another; reading is shorter only at the end."""
        file = self.file("a")
        self.assertEqual(file.write([b"ab", memoryview(b"cdef"), bytearray(b"g")], 0), 7)
        self.assertEqual(file.write([b"XY"], 2), 2)
        self.assertEqual(file.size(), 7)
        self.assertEqual([file.read(0, 7), file.read(5, 100), file.read(7, 1), file.read(99, 1)],
                         [b"abXYefg", b"fg", b"", b""])

    def test_write_of_many_parts(self) -> None:
        """More parts than one system call takes are written all the same."""
        file = self.file("a")
        self.assertEqual(file.write([b"%04d" % i for i in range(3000)], 0), 12_000)
        self.assertEqual(file.read(4 * 2999, 4), b"2999")

    def test_nothing_to_write(self) -> None:
        """No parts, or empty ones, change nothing."""
        file = self.file("a", b"x")
        self.assertEqual([file.write([], 0), file.write([b"", b""], 1), file.size()], [0, 0, 1])

    def test_gap_reads_as_zeros(self) -> None:
        """What lies between the end and a later write is zeros."""
        file = self.file("a", b"x")
        file.write([b"y"], 4)
        self.assertEqual(file.read(0, 9), b"x\0\0\0y")

    def test_truncate_cuts_and_extends(self) -> None:
        """A cut loses the end; an extension reads as zeros, not as what was there before."""
        file = self.file("a", b"abcdef")
        file.truncate(2)
        file.truncate(4)
        self.assertEqual([file.size(), file.read(0, 9)], [4, b"ab\0\0"])

    def test_allocate_is_no_growth(self) -> None:
        """Reserved space cannot be seen."""
        file = self.file("a", b"abc")
        file.allocate(1 << 20)
        self.assertEqual([file.size(), file.read(0, 9)], [3, b"abc"])

    def test_a_stretch_is_read_later(self) -> None:
        """It has a length and gives what is there, also once the file is closed; what was cut off is missed."""
        file = self.file("a", b"0123456789")
        stretch, cut = file.stretch(2, 5), file.stretch(8, 2)
        self.assertEqual((len(stretch), stretch.read()), (5, b"23456"))
        file.truncate(9)
        file.close()
        self.assertEqual(stretch.read(), b"23456")
        self.assertRaises(OSError, cut.read)
        self.assertRaises(OSError, file.stretch, 0, 1)

    def test_two_handles_see_each_other(self) -> None:
        """What one handle wrote, another reads at once."""
        file = self.file("a")
        other = self.disk.open(self.path("a"))
        self.addCleanup(other.close)
        file.write([b"new"], 0)
        self.assertEqual(other.read(0, 3), b"new")

    def test_read_only(self) -> None:
        """A file opened for reading refuses a write."""
        self.file("a", b"abc")
        file = self.disk.open(self.path("a"), write=False)
        self.addCleanup(file.close)
        self.assertRaises(OSError, file.write, [b"x"], 0)
        self.assertEqual(file.read(0, 9), b"abc")

    def test_closed(self) -> None:
        """A closed file refuses everything but being closed again."""
        file = self.file("a", b"abc")
        file.close()
        file.close()
        self.assertRaises(OSError, file.read, 0, 1)
        self.assertRaises(OSError, file.write, [b"x"], 0)
        self.assertRaises(OSError, file.size)

    def test_open_and_removed(self) -> None:
        """A file whose name is gone can be used by those who have it open."""
        file = self.file("a", b"abc")
        self.disk.remove(self.path("a"))
        file.write([b"d"], 3)
        self.assertEqual([file.read(0, 9), self.disk.exists(self.path("a"))], [b"abcd", False])

    # Sync

    def test_sync(self) -> None:
        """A sync returns, and changes nothing that can be read."""
        file = self.file("a", b"abc")
        file.sync()
        self.assertEqual(file.read(0, 9), b"abc")

    def test_sync_later_is_shared(self) -> None:
        """All who ask for a sync are told, and the file can be written meanwhile."""
        file = self.file("a", b"abc")
        waiting = [file.sync_later() for _ in range(3)]
        file.write([b"d"], 3)
        waiting.append(file.sync_later())
        self.assertEqual([self.result_of(one) for one in waiting], [None] * 4)

    def test_sync_later_of_a_closed_file(self) -> None:
        """A closed file fails the Deferred rather than the call."""
        file = self.file("a")
        file.close()
        deferred = file.sync_later()
        self.assertRaises(OSError, self.result_of, deferred)

    def test_sync_together(self) -> None:
        """Many files and directories are synced with one call, which changes nothing, or says that it did not."""
        files = [self.file(name, b"abc") for name in "ab"]
        for _ in range(2):
            self.assertIsInstance(self.disk.sync_together(files, [self.root]), bool)
        self.assertIsInstance(self.disk.sync_together([], [self.root]), bool)
        self.assertEqual([file.read(0, 9) for file in files], [b"abc", b"abc"])
        for file in files:
            file.sync()

    def test_sync_together_with_what_is_missing(self) -> None:
        """A closed file, or a directory that is not there, fails the call."""
        file, closed = self.file("a"), self.file("b")
        closed.close()
        self.assertRaises(OSError, self.disk.sync_together, [file, closed], [self.root])
        self.assertRaises(OSError, self.disk.sync_together, [file], [self.path("d")])

    # Names

    def test_open_what_is_missing(self) -> None:
        """A missing file cannot be opened, an existing one not be created."""
        self.assertRaises(FileNotFoundError, self.disk.open, self.path("a"))
        self.file("a")
        self.assertRaises(FileExistsError, self.disk.open, self.path("a"), create=True)
        self.assertRaises(OSError, self.disk.open, self.path("no/such"), create=True)

    def test_what_is_there(self) -> None:
        """Files and directories can be told apart and are listed in order."""
        self.file("b")
        self.file("a")
        self.disk.make_directories(self.path("d/e"))
        self.disk.make_directories(self.path("d/e"))
        names = ("a", "d", "d/e", "c")
        self.assertEqual(self.disk.list_directory(self.root), ["a", "b", "d"])
        self.assertEqual([self.disk.exists(self.path(name)) for name in names], [True, True, True, False])
        self.assertEqual([self.disk.is_directory(self.path(name)) for name in names], [False, True, True, False])
        self.assertRaises(FileNotFoundError, self.disk.list_directory, self.path("c"))

    def test_make_one_directory(self) -> None:
        """A directory is made where there is none, in one that is there."""
        self.disk.make_directory(self.path("d"))
        self.file("d/a")
        self.assertEqual(self.disk.list_directory(self.path("d")), ["a"])
        self.assertRaises(FileExistsError, self.disk.make_directory, self.path("d"))
        self.assertRaises(FileNotFoundError, self.disk.make_directory, self.path("e/f"))

    def test_directory_in_the_way(self) -> None:
        """Where a file has the name, no directory can be made."""
        self.file("a")
        self.assertRaises(OSError, self.disk.make_directories, self.path("a/b"))

    def test_rename_replaces_a_file(self) -> None:
        """The new name shows the old content; the old name is gone."""
        self.file("a", b"new")
        self.file("b", b"old")
        self.disk.rename(self.path("a"), self.path("b"))
        self.assertEqual(self.disk.list_directory(self.root), ["b"])
        self.assertEqual(self.disk.read_file(self.path("b")), b"new")
        self.assertRaises(FileNotFoundError, self.disk.rename, self.path("a"), self.path("c"))

    def test_rename_a_directory(self) -> None:
        """A directory moves with all it holds, and replaces none that holds something."""
        self.disk.make_directories(self.path("d"))
        self.file("d/a", b"x")
        self.disk.rename(self.path("d"), self.path("e"))
        self.assertEqual(self.disk.read_file(self.path("e/a")), b"x")
        self.disk.make_directories(self.path("f/g"))
        self.assertRaises(OSError, self.disk.rename, self.path("e"), self.path("f"))

    def test_remove(self) -> None:
        """Files can be removed one by one, directories with all they hold."""
        self.disk.make_directories(self.path("d/e"))
        self.file("d/a")
        self.file("d/e/b")
        self.disk.remove(self.path("d/a"))
        self.assertRaises(FileNotFoundError, self.disk.remove, self.path("d/a"))
        self.disk.remove_tree(self.path("d"))
        self.assertEqual(self.disk.list_directory(self.root), [])

    def test_sync_directory(self) -> None:
        """A directory can be synced; a missing one cannot."""
        self.disk.sync_directory(self.root)
        self.assertRaises(OSError, self.disk.sync_directory, self.path("d"))

    def test_replace_file(self) -> None:
        """A file is made or replaced as a whole, and nothing else is left behind."""
        self.disk.replace_file(self.path("a"), b"one")
        self.disk.replace_file(self.path("a"), b"2")
        self.assertEqual(self.disk.read_file(self.path("a")), b"2")
        self.assertEqual(self.disk.list_directory(self.root), ["a"])

    # The rest

    def test_space(self) -> None:
        """No more is free than there is."""
        free, total = self.disk.space(self.root)
        self.assertTrue(0 < free <= total, (free, total))

    def test_lock(self) -> None:
        """A lock is held by one at a time, by this process or another."""
        release = self.disk.lock(self.path("lock"))
        self.assertRaises(BlockingIOError, self.disk.lock, self.path("lock"))
        release()
        self.disk.lock(self.path("lock"))()

    def test_elsewhere(self) -> None:
        """A function runs later and gives its result, or its failure."""
        file = self.file("a", b"abc")
        self.assertEqual(self.result_of(self.disk.elsewhere(file.read, 1, 2)), b"bc")
        self.assertRaises(FileNotFoundError, self.result_of, self.disk.elsewhere(self.disk.open, self.path("no")))
