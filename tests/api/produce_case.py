"""What the tests of Produce begin with."""

from __future__ import annotations

import struct
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from streamline.errors import ErrorCode
from streamline.model import NO_OFFSET
from streamline.wire.crc import crc32c
from streamline.wire.messages.produce import PartitionProduceResponse
from tests.broker import Broker


def changed(batch: bytes, at: int, form: str, value: int, *, recount: bool = True) -> bytes:
    """Return a batch with one field of its header changed, its checksum right again unless told otherwise."""
    data = bytearray(batch)
    struct.pack_into(f">{form}", data, at, value)
    if recount:
        struct.pack_into(">I", data, 17, crc32c(memoryview(data)[21:]))
    return bytes(data)


class ProduceCase(SynchronousTestCase):
    """A node with a topic of two partitions."""

    configs: dict[str, str] = {}
    settings: dict[str, Any] = {}

    def setUp(self) -> None:
        """Start it."""
        self.broker = Broker(broker=self.settings).start()
        self.topic_id = self.broker.create("t", 2, **self.configs)
        self.now_ms = self.broker.process.host.clock.wall_ms()

    def produce(self, batch: bytes | None, version: int = 9, **more: Any) -> PartitionProduceResponse:
        """Produce a batch."""
        topic_id = self.topic_id if version >= 13 else bytes(16)
        return self.broker.produce("t", batch, version=version, topic_id=topic_id, **more)

    def refuses(self, code: ErrorCode, batch: bytes | None, version: int = 9, **more: Any) -> None:
        """Expect a batch to be refused, and nothing to be written."""
        before = self.broker.partition("t").log.end_offset
        found = self.produce(batch, version, **more)
        self.assertEqual(ErrorCode(found.error_code), code, found.error_message)
        self.assertEqual(found.base_offset, NO_OFFSET)
        self.assertEqual(self.broker.partition("t").log.end_offset, before)
