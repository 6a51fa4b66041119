"""DeleteRecords and DescribeLogDirs: what is forgotten, and what there is."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from streamline.errors import ErrorCode
from streamline.model import OFFSETS_TOPIC
from streamline.wire.messages.log_dirs import (
    DescribableLogDirTopic,
    DescribeLogDirsRequest,
    DescribeLogDirsResponse,
)
from streamline.wire.messages.topics import DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic
from tests.broker import DATA, Broker, batch_of


class RecordsCase(SynchronousTestCase):
    """A node with a topic of five records."""

    storage = "memory"

    def setUp(self) -> None:
        """Start it."""
        self.broker = Broker(storage=self.storage).start()
        self.broker.create("t", partitions=2)
        for number in range(5):
            self.broker.produce("t", batch_of(b"%d" % number))


class DeletingTests(RecordsCase):
    """The start of a partition moves."""

    storage = "segments"

    def delete(self, offset: int, topic: str = "t", index: int = 0, version: int = 2) -> tuple[int, int]:
        """Forget what is below an offset; return the error and the new start."""
        part = DeleteRecordsPartition(partition_index=index, offset=offset)
        request = DeleteRecordsRequest(topics=[DeleteRecordsTopic(name=topic, partitions=[part])], timeout_ms=1000)
        (result,) = self.broker.ask(request, version).topics[0].partitions
        self.assertEqual(result.partition_index, index)
        return result.error_code, result.low_watermark

    def test_every_version(self) -> None:
        for version in range(3):
            self.assertEqual(self.delete(version + 1, version=version), (ErrorCode.NONE, version + 1))
        self.assertEqual(self.broker.fetch("t", 3).error_code, ErrorCode.NONE)
        self.assertEqual(self.broker.fetch("t", 2).error_code, ErrorCode.OFFSET_OUT_OF_RANGE)

    def test_everything(self) -> None:
        self.assertEqual(self.delete(-1), (ErrorCode.NONE, 5))
        self.assertEqual(self.delete(2), (ErrorCode.NONE, 5), "it is gone already")
        self.assertEqual(self.broker.produce("t", batch_of(b"5")).base_offset, 5)

    def test_after_a_crash(self) -> None:
        self.delete(3)
        self.broker.crash(power=True)
        self.broker.start()
        self.assertEqual(self.broker.partition("t").log.start_offset, 3)

    def test_refused(self) -> None:
        self.broker.create("compacted", cleanup_policy="compact")
        for offset, topic, index, code in (
            (6, "t", 0, ErrorCode.OFFSET_OUT_OF_RANGE),
            (-2, "t", 0, ErrorCode.OFFSET_OUT_OF_RANGE),
            (1, "t", 2, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
            (1, "missing", 0, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
            (0, "compacted", 0, ErrorCode.POLICY_VIOLATION),
            (0, OFFSETS_TOPIC, 0, ErrorCode.INVALID_TOPIC_EXCEPTION),
        ):
            self.assertEqual(self.delete(offset, topic, index), (code, -1))
        self.assertEqual(self.broker.partition("t").log.start_offset, 0)

    def test_a_disk_that_fails(self) -> None:
        """The log is closed, and says so."""
        self.broker.partition("t").log.close()
        self.assertEqual(self.delete(1)[0], ErrorCode.KAFKA_STORAGE_ERROR)


class DirectoriesTests(RecordsCase):
    """What a node has."""

    def ask(self, topics: dict[str, list[int]] | None, version: int = 5) -> DescribeLogDirsResponse:
        """Ask for it."""
        asked = None
        if topics is not None:
            asked = [DescribableLogDirTopic(topic=name, partitions=indexes) for name, indexes in topics.items()]
        response: DescribeLogDirsResponse = self.broker.ask(DescribeLogDirsRequest(topics=asked), version)
        return response

    def sizes(self, response: DescribeLogDirsResponse) -> dict[tuple[str, int], Any]:
        """Return the size of each partition."""
        (result,) = response.results
        self.assertEqual((response.error_code, result.error_code, result.log_dir), (0, 0, DATA))
        return {
            (topic.name, part.partition_index): part.partition_size
            for topic in result.topics
            for part in topic.partitions
        }

    def test_every_version(self) -> None:
        size_bytes = self.broker.partition("t").log.size_bytes
        self.assertGreater(size_bytes, 0)
        for version in range(1, 6):
            response = self.ask(None, version)
            self.assertEqual(self.sizes(response), {("t", 0): size_bytes, ("t", 1): 0})
            free, total = self.broker.node.broker.host.disk.space(DATA)
            (result,) = response.results
            expected = (total, free) if version >= 4 else (-1, -1)
            self.assertEqual((result.total_bytes, result.usable_bytes), expected)

    def test_some(self) -> None:
        self.assertEqual(list(self.sizes(self.ask({"t": [1, 7], "missing": [0]}))), [("t", 1)])
        self.assertEqual(self.sizes(self.ask({})), {})
