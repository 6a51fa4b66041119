"""
What the contracts of storages stand on: a host, a storage, a log in it, and batches to put into the log.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from streamline.config import NodeConfig, TopicConfig
from streamline.errors import ErrorCode, Refused
from streamline.interfaces import Host, IPartitionLog, IStorage
from streamline.model import LogIdentity, LogSlice
from streamline.testing.worlds import EPOCH_MS, RealWorld
from streamline.wire.batch import headers, read_header
from streamline.wire.records import Record, build_batch

T = TypeVar("T")

TOPIC_ID = bytes(range(16))
OTHER_TOPIC_ID = bytes(range(16, 32))
IDENTITY = LogIdentity("orders", 3, TOPIC_ID)

SMALL_SEGMENTS = 2**20
"""The smallest segment.bytes that there is."""


def make_batch(
    base_offset: int, count: int = 1, *, timestamp: int = EPOCH_MS, value_bytes: int = 10, leader_epoch: int = 0
) -> bytes:
    """Return a batch of records with one timestamp, each with its offset at the beginning of its value."""
    values = (b"%d" % (base_offset + delta) for delta in range(count))
    records = [Record(value=value.ljust(value_bytes, b"."), timestamp=timestamp) for value in values]
    return build_batch(records, base_offset=base_offset, leader_epoch=leader_epoch)


class StorageHarness(SynchronousTestCase):
    """
    Makes a storage for each test; a suite's user says how in L{make}.

    @ivar storage: started.
    @ivar log: open in it, for L{IDENTITY}.
    """

    host: Host
    storage: IStorage
    log: IPartitionLog

    def make(self, host: Host, config: NodeConfig) -> IStorage:
        """Return the storage under test, not yet started."""
        raise NotImplementedError("say how to make the storage")

    def make_host(self) -> Host:
        """Return the host for it: a real disk and a clock that L{advance} moves."""
        self.world = RealWorld()
        self.addCleanup(self.world.close)
        return self.world.host

    def make_directory(self) -> str:
        """Return an empty directory on the host's disk."""
        directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, directory, True)
        return directory

    def result_of(self, deferred: Deferred[T]) -> T:
        """Wait for a Deferred; return its result or raise its failure."""
        return self.world.result_of(deferred)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.world.clock.advance(seconds)

    def abandon(self, storage: IStorage) -> None:
        """Do to a storage what C{kill -9} does, where forgetting it is not enough."""

    def setUp(self) -> None:
        """Make a host and a storage with one log."""
        self.host = self.make_host()
        self.config = NodeConfig(data_dir=self.make_directory())
        self.storage = self.started()
        self.addCleanup(self.stop_last)
        self.log = self.opened()

    def stop_last(self) -> None:
        """Stop the storage that was started last."""
        self.result_of(self.storage.stop())

    def started(self) -> IStorage:
        """Return another storage on the same host and directory, started."""
        storage = self.make(self.host, self.config)
        self.result_of(storage.start())
        return storage

    def restart(self) -> None:
        """Stop the storage, start another one in its place, and open the log."""
        self.result_of(self.storage.stop())
        self.storage = self.started()
        self.log = self.opened()

    def kill(self) -> None:
        """End the storage as C{kill -9} does, start another one in its place, and open the log."""
        self.abandon(self.storage)
        self.storage = self.started()
        self.log = self.opened()

    def opened(self, identity: LogIdentity = IDENTITY, **settings: Any) -> IPartitionLog:
        """Open a log."""
        return self.result_of(self.storage.open(identity, TopicConfig(**settings)))

    # Doing things to the log

    def append(self, *batches: bytes, flush: bool = True) -> None:
        """Append batches, and flush them."""
        for batch in batches:
            self.log.append(read_header(batch), (batch[:16], memoryview(batch)[16:]))
        if flush:
            self.log.flush()

    def fill(self, count: int, *, records: int = 1, value_bytes: int = 10, step_ms: int = 0) -> list[bytes]:
        """Append so many batches at the end, flushed together; return them."""
        batches = []
        for number in range(count):
            base_offset = self.log.end_offset
            timestamp = EPOCH_MS + number * step_ms
            batch = make_batch(base_offset, records, timestamp=timestamp, value_bytes=value_bytes)
            self.append(batch, flush=False)
            batches.append(batch)
        self.log.flush()
        return batches

    def fill_segments(self, count: int) -> list[int]:
        """Append until the log has begun so many more segments; return where they begin."""
        begun: list[int] = []
        while len(begun) < count:
            before = self.log.segment_offset
            self.fill(1, value_bytes=100_000)
            if self.log.segment_offset != before:
                begun.append(self.log.segment_offset)
        return begun

    def read(
        self, offset: int, max_bytes: int = 2**30, *, end_offset: int | None = None, at_least_one: bool = True
    ) -> LogSlice:
        """Read, and wait for it where need be."""
        end = self.log.end_offset if end_offset is None else end_offset
        found = self.log.read(offset, max_bytes, end_offset=end, at_least_one=at_least_one)
        return self.result_of(found) if isinstance(found, Deferred) else found

    def read_all(self) -> bytes:
        """Return everything from the start of the log on."""
        data, offset = b"", self.log.start_offset
        while offset < self.log.flushed_offset:
            found = self.read(offset)
            self.assertGreater(found.next_offset, offset, "reading goes on")
            data += joined(found)
            offset = found.next_offset
        return data

    def offsets(self) -> list[int]:
        """Return the base offset of each batch that can be read."""
        return [header.base_offset for _, header in headers(self.read_all())]

    def assert_refused(self, code: ErrorCode, call: Callable[..., Any], *args: Any, **kw: Any) -> None:
        """Assert that a call is refused with this code, at once or through its Deferred."""

        def do() -> None:
            result = call(*args, **kw)
            if isinstance(result, Deferred):
                self.result_of(result)

        refusal = self.assertRaises(Refused, do)
        self.assertEqual(refusal.code, code)


def joined(found: LogSlice) -> bytes:
    """Return a slice as one."""
    return b"".join(found.parts)
