"""Acme's storage keeps Streamline's contract."""

from __future__ import annotations

from acme_storage import AcmeStorage

from streamline.config import NodeConfig
from streamline.errors import StartRefused, StorageFailed
from streamline.interfaces import Host, IStorage
from streamline.testing.contracts import storage
from streamline.testing.contracts.storage_harness import make_batch


class AcmeTests(storage.DurableStorageContract):
    """All of the contract."""

    def make(self, host: Host, config: NodeConfig) -> IStorage:
        """Make it."""
        return AcmeStorage(host, config)

    def test_path(self) -> None:
        """The file can be named."""
        path = f"{self.make_directory()}/records/all.sqlite"
        named = AcmeStorage(self.host, self.config, path=path)
        self.result_of(named.start())
        self.result_of(named.stop())
        self.assertTrue(self.host.disk.exists(path))

    def test_unusable(self) -> None:
        """A path that cannot be used ends the start with a sentence."""
        named = AcmeStorage(self.host, self.config, path=f"{self.config.data_dir}/acme.sqlite/x")
        self.failureResultOf(named.start(), StartRefused)

    def test_failure(self) -> None:
        """What SQLite does not take does not count, and the log goes on."""
        batches = self.fill(2)
        self.storage._tables._connection.execute("PRAGMA query_only = ON")  # type: ignore[attr-defined]
        self.assertRaises(StorageFailed, self.append, make_batch(2))
        self.storage._tables._connection.execute("PRAGMA query_only = OFF")  # type: ignore[attr-defined]
        self.assertEqual([self.log.end_offset, self.log.flushed_offset], [2, 2])
        self.assertEqual(self.read_all(), b"".join(batches))
        self.fill(1)
        self.assertEqual(self.offsets(), [0, 1, 2])
