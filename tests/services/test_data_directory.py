"""A data directory belongs to one node, one process and one disk (DK16, DK17)."""

from __future__ import annotations

import base64
from typing import Any, cast

from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from streamline.config import BrokerConfig, NodeConfig
from streamline.errors import StartRefused
from streamline.services.data_directory import DataDirectory, Meta, decode_meta
from streamline.testing.simulation import Fabric, Machine, MachineDown, Process, Simulation, Weather

BY_KAFKA = b"#\n#Thu Nov 23 03:13:00 UTC 2026\ncluster.id=abc\nversion=1\ndirectory.id=Z1_xyz\nnode.id=1\n"


class DataDirectoryCase(SynchronousTestCase):
    """A machine with a disk."""

    def setUp(self) -> None:
        self.machine = Machine(Fabric.of(Simulation(1), Weather()), "n1", "10.0.0.1")
        self.process = self.machine.start()

    def directory(self, process: Process | None = None, **settings: Any) -> DataDirectory:
        """Return the data directory of a node on this machine."""
        config = NodeConfig(**{"data_dir": "/var/data", **settings})
        return DataDirectory((process or self.process).host, config)

    def opened(self, **settings: Any) -> DataDirectory:
        """Return it open."""
        directory = self.directory(**settings)
        directory.open()
        return directory

    def refusal(self, **settings: Any) -> str:
        """Return why it cannot be opened."""
        return str(self.assertRaises(StartRefused, self.directory(**settings).open))

    def write(self, name: str, data: bytes) -> None:
        """Put a file into it."""
        self.process.disk.make_directories("/var/data")
        self.process.disk.replace_file(f"/var/data/{name}", data)

    def meta(self) -> Meta:
        """Return what is on the disk."""
        return decode_meta(self.process.disk.read_file("/var/data/meta.properties"))


class OpeningTests(DataDirectoryCase):
    """Made once, found again."""

    def test_a_new_one_is_taken_into_possession(self) -> None:
        meta = self.opened(node_id=7).meta
        assert meta is not None
        self.assertEqual((meta.node_id, meta.cluster_id), (7, None))
        self.assertEqual(len(base64.urlsafe_b64decode(meta.directory_id + "==")), 16)
        self.assertEqual(self.meta(), meta)

    def test_the_directory_id_stays(self) -> None:
        first = self.opened()
        first.close()
        self.assertEqual(self.opened().meta, first.meta)

    def test_another_disk_has_another_id(self) -> None:
        first, second = self.opened().meta, self.opened(data_dir="/other").meta
        assert first is not None and second is not None
        self.assertNotEqual(first.directory_id, second.directory_id)

    def test_written_by_kafka(self) -> None:
        self.write("meta.properties", BY_KAFKA)
        self.assertEqual(self.opened().meta, Meta(node_id=1, directory_id="Z1_xyz", cluster_id="abc"))

    def test_the_directory_id_as_bytes(self) -> None:
        """Kafka writes 16 of them; what has another length is none, but stops only what needs it."""
        meta = self.opened().meta
        assert meta is not None
        self.assertEqual(len(meta.directory_uuid), 16)
        for bad in ("Z1_xyz", "x"):
            with self.assertRaises(StartRefused):
                _ = Meta(node_id=1, directory_id=bad).directory_uuid

    def test_opening_twice_is_opening_once(self) -> None:
        directory = self.opened()
        directory.startService()
        directory.stopService()
        self.opened()

    def test_nothing_is_left_but_what_it_is(self) -> None:
        self.opened()
        self.assertEqual(self.process.disk.list_directory("/var/data"), [".lock", "meta.properties"])

    def test_a_probe_that_a_crash_left_behind(self) -> None:
        self.write(".probe", b"x")
        self.opened()
        self.assertFalse(self.process.disk.exists("/var/data/.probe"))

    def test_a_crash_at_any_moment_leaves_a_directory_that_opens(self) -> None:
        for changes in range(1, 25):
            for power in (False, True):
                self.machine = Machine(Fabric.of(Simulation(changes), Weather()), "n1", "10.0.0.1")
                self.process = self.machine.start()
                faults = self.machine.platter.faults
                faults.dies_in, faults.dies_of_power = changes, power
                try:
                    self.opened().join("abc")
                    faults.dies_in = None
                    self.machine.crash(power=power)
                    survived = True
                except MachineDown:
                    survived = False
                self.process = self.machine.start()
                meta = self.opened().meta
                assert meta is not None
                self.assertIn(meta.cluster_id, ("abc",) if survived else ("abc", None))


class RefusalTests(DataDirectoryCase):
    """Why it cannot be this node's."""

    def test_in_use(self) -> None:
        directory = self.opened()
        self.assertIn("in use by a node that is running", self.refusal())
        directory.close()
        self.opened()

    def test_of_another_node(self) -> None:
        self.opened(node_id=1).close()
        self.assertIn("belongs to node 1, not to node 2; start with --node-id 1", self.refusal(node_id=2))
        self.opened(node_id=1)

    def test_of_another_cluster(self) -> None:
        directory = self.opened()
        directory.join("abc")
        directory.join("abc")
        self.assertEqual(self.meta().cluster_id, "abc")
        refusal = self.assertRaises(StartRefused, directory.join, "xyz")
        self.assertIn("belongs to the cluster abc, not to xyz", str(refusal))
        self.assertEqual(self.meta().cluster_id, "abc")

    def test_not_understood(self) -> None:
        of_nothing, of_nobody = b"version=1\nnode.id=1\n", b"version=1\nnode.id=x\ndirectory.id=y\n"
        for data in (b"", b"version=0\n", b"version=1\n", of_nothing, of_nobody, b"\xff\x00"):
            self.write("meta.properties", data)
            self.assertIn("restore it from a backup", self.refusal())
            self.assertEqual(self.process.disk.read_file("/var/data/meta.properties"), data)

    def test_data_without_an_identity(self) -> None:
        self.process.disk.make_directories("/var/data/metadata")
        self.assertIn("holds a node's data but no meta.properties", self.refusal())

    def test_full(self) -> None:
        self.opened().close()
        self.machine.platter.faults.full = True
        self.assertIn("; make room", self.refusal())
        self.machine.platter.faults.full = False
        self.opened()

    def test_not_readable(self) -> None:
        self.opened().close()
        self.machine.platter.faults.read_error_chance = 1.0
        self.assertIn("cannot be used: EIO", self.refusal())

    def test_not_writable(self) -> None:
        self.opened().close()
        self.machine.platter.faults.write_error_chance = 1.0
        self.assertIn("cannot be used: EIO", self.refusal())

    def test_a_file(self) -> None:
        self.process.disk.make_directories("/var")
        self.process.disk.replace_file("/var/data", b"mine")
        self.assertIn("is not a directory", self.refusal())

    def test_a_refusal_holds_nothing(self) -> None:
        self.opened(node_id=1).close()
        self.refusal(node_id=2)
        self.opened(node_id=1)


class SpaceTests(DataDirectoryCase):
    """Little space is worth a word, and no reason not to start."""

    def test_a_warning_below_the_reserve(self) -> None:
        events: list[LogEvent] = []
        globalLogPublisher.addObserver(cast(ILogObserver, events.append))
        self.addCleanup(globalLogPublisher.removeObserver, cast(ILogObserver, events.append))
        self.opened(broker=BrokerConfig(log_space_reserve_bytes=2**60))
        self.assertEqual(len([event for event in events if "reserve_bytes" in event]), 1)
        self.opened(data_dir="/other")
        self.assertEqual(len([event for event in events if "reserve_bytes" in event]), 1)
