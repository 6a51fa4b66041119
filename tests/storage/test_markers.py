"""Which ends of a process take nothing of what it wrote, and who may say so."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from streamline.storage.disk import RealDisk
from streamline.storage.markers import Markers


class Machine(RealDisk):
    """A disk of a machine that can be started anew."""

    boot = "first"

    def boot_id(self) -> str:
        """Return which run of the machine this is."""
        return self.boot


class MarkerTests(SynchronousTestCase):
    """A process vouches for what it wrote unless the machine went down, or something failed."""

    def setUp(self) -> None:
        """Have a process write as broker epoch 17."""
        home = TemporaryDirectory()
        self.addCleanup(home.cleanup)
        self.home = home.name
        self.disk = Machine(MemoryReactorClock())
        self.markers = self.markers_of_next()
        self.markers.writing(17)

    def markers_of_next(self) -> Markers:
        """Return those that the next process sees."""
        return Markers(self.disk, self.home)

    def test_killed(self) -> None:
        """A process that was killed lost nothing, however often the next ones are killed before they write."""
        for _ in range(2):
            after = self.markers_of_next()
            self.assertEqual((after.take_clean(), after.intact()), (None, 17))

    def test_machine_went_down(self) -> None:
        """What the machine had not synced may be lost (KR21)."""
        self.disk.boot = "second"
        self.assertIsNone(self.markers_of_next().intact())

    def test_nobody_knows(self) -> None:
        """Where it is not known whether the machine went down, it may have."""
        self.disk.boot = ""
        self.assertIsNone(self.markers_of_next().intact())
        self.markers.writing(18)
        self.disk.boot = "first"
        self.assertEqual(self.markers_of_next().intact(), 17)

    def test_spoilt(self) -> None:
        """Who could not write something vouches for nothing, not even for what comes later."""
        self.markers.spoil()
        self.markers.writing(18)
        self.assertIsNone(self.markers_of_next().intact())

    def test_later_epochs(self) -> None:
        """The last registration counts."""
        self.markers.writing(18)
        self.assertEqual(self.markers_of_next().intact(), 18)

    def test_nonsense(self) -> None:
        """A file that makes no sense says nothing."""
        rows = (b"", b"[]", b"{}", b'{"bootId": 1}', b'{"bootId": "first"}', b'{"bootId": "first", "version": 1}')
        for nonsense in rows:
            (Path(self.home) / ".streamline_last_writer").write_bytes(nonsense)
            self.assertIsNone(self.markers_of_next().intact(), nonsense)

    def test_the_real_machine(self) -> None:
        """It says the same as long as it is up."""
        disks = [RealDisk(MemoryReactorClock()) for _ in range(2)]
        self.assertEqual(len({disk.boot_id() for disk in disks}), 1)
