"""Messages survive the wire, and nothing but messages gets in."""

from twisted.trial.unittest import SynchronousTestCase

from streamline.errors import ProtocolError
from streamline.wire.codec import decode, encode, reader, writer
from streamline.wire.messages import REQUESTS, RESPONSES
from streamline.wire.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from streamline.wire.schema import Unwritable


class DefaultsTests(SynchronousTestCase):
    """A message of which nobody said anything is a message."""

    def test_survive_in_every_version(self) -> None:
        for table in (REQUESTS, RESPONSES):
            for key, cls in table.items():
                self.assertEqual(cls.KEY, key)
                for version in range(cls.VERSIONS[0], cls.VERSIONS[1] + 1):
                    message = cls()
                    self.assertEqual(decode(cls, version, encode(message, version)), message)


class RecordsTests(SynchronousTestCase):
    """Records are passed through, never copied."""

    def test_written_as_they_came(self) -> None:
        records = memoryview(b"12345678")
        more = b"9"
        message = ProduceRequest(
            topic_data=[TopicProduceData(name="t", partition_data=[PartitionProduceData(records=[records, more])])]
        )
        parts = writer(ProduceRequest, 9)(message)
        self.assertTrue(any(part is records for part in parts))
        self.assertTrue(any(part is more for part in parts))

    def test_read_as_slices(self) -> None:
        message = ProduceRequest(
            topic_data=[TopicProduceData(name="t", partition_data=[PartitionProduceData(records=b"12345678")])]
        )
        frame = encode(message, 9)
        read, at = reader(ProduceRequest, 9)(frame)
        self.assertEqual(at, len(frame))
        records = read.topic_data[0].partition_data[0].records
        assert isinstance(records, memoryview)
        self.assertIs(records.obj, frame)


class RefusalTests(SynchronousTestCase):
    """What cannot be read or written is refused, each with its own error."""

    def test_trailing_bytes(self) -> None:
        frame = encode(ProduceRequest(), 9)
        self.assertRaises(ProtocolError, decode, ProduceRequest, 9, frame + b"\0")

    def test_value_that_the_version_has_no_field_for(self) -> None:
        message = ProduceRequest(topic_data=[TopicProduceData(name="t", partition_data=None)])  # type: ignore[arg-type]
        self.assertRaises(Unwritable, encode, message, 9)
