"""Names and small files are Kafka's."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from streamline.model import TopicPartition
from streamline.storage import layout

TOPIC_ID = bytes.fromhex("00112233445566778899aabbccddeeff")


class NameTests(SynchronousTestCase):
    """Names are made and recognised."""

    def test_segments(self) -> None:
        """Twenty digits and a suffix."""
        self.assertEqual(layout.segment_path("/d", 7), "/d/00000000000000000007.log")
        self.assertEqual(layout.segment_file("00000000000000000007.timeindex"), (7, ".timeindex"))
        for name in ("7.log", "00000000000000000007.log.deleted", "00000000000000000007.snapshot", "x.log", ".log"):
            self.assertIsNone(layout.segment_file(name), name)

    def test_partitions(self) -> None:
        """A topic's name may look like a partition's."""
        self.assertEqual(layout.partition_directory("a-1-0"), TopicPartition("a-1", 0))
        self.assertEqual(layout.partition_directory("__consumer_offsets-49"), TopicPartition("__consumer_offsets", 49))
        for name in ("a", "a-", "-1", "a-01", "a-b", "a b-1", "metadata", f"a-1.{'0' * 32}-delete"):
            self.assertIsNone(layout.partition_directory(name), name)

    def test_set_aside(self) -> None:
        """A directory's other name says what becomes of it, and fits whatever the topic's is."""
        name = layout.aside_directory(TopicPartition("orders", 3), bytes(16), layout.DELETE_DIRECTORY)
        self.assertEqual(name, f"orders-3.{'0' * 32}-delete")
        self.assertTrue(layout.is_deleted_directory(name))
        long = layout.aside_directory(TopicPartition("t" * 249, 12), b"\xff" * 16, layout.STRAY_DIRECTORY)
        self.assertEqual([len(long), long.endswith(f"-12.{'f' * 32}-stray")], [255, True])
        for other in (long, "orders-3", "orders-delete", "orders-3.xyz-delete"):
            self.assertFalse(layout.is_deleted_directory(other), other)

    def test_blobs(self) -> None:
        """What could be a segment's, or ours, is no blob's name."""
        for name in ("leader-epoch-checkpoint", "00000000000000000007.snapshot", "00000000000000000007.txnindex"):
            self.assertTrue(layout.is_checkpoint_name(name), name)
        for name in ("", ".", "..", "a/b", "partition.metadata", "7.log", "x.index", "x.timeindex", "x.tmp"):
            self.assertFalse(layout.is_checkpoint_name(name), name)


class ContentTests(SynchronousTestCase):
    """Small files are written as Kafka does, and what makes no sense is recognised."""

    def test_metadata(self) -> None:
        """As PartitionMetadata.encode writes it."""
        data = b"version: 0\ntopic_id: ABEiM0RVZneImaq7zN3u_w\n"
        self.assertEqual(layout.encode_metadata(TOPIC_ID), data)
        self.assertEqual(layout.decode_metadata(data), TOPIC_ID)
        other = (data.replace(b"0\n", b"1\n"), data.replace(b"_w", b"_"), b"\xff" * 40)
        for wrong in (b"", data[:-1], data + b"x", *other):
            self.assertIsNone(layout.decode_metadata(wrong), wrong)

    def test_offsets(self) -> None:
        """As CheckpointFile writes them."""
        offsets = {TopicPartition("b", 10): 5, TopicPartition("a", 0): 2**40, TopicPartition("b", 9): 0}
        data = b"0\n3\na 0 1099511627776\nb 9 0\nb 10 5\n"
        self.assertEqual(layout.encode_offsets(offsets), data)
        self.assertEqual(layout.decode_offsets(data), offsets)
        self.assertEqual(layout.decode_offsets(layout.encode_offsets({})), {})

    def test_offsets_that_make_no_sense(self) -> None:
        """Half a file is no file."""
        data = b"0\n2\na 0 7\nb 9 1234\n"
        wrong = [data[:length] for length in range(len(data))]
        wrong += [b"1" + data[1:], data + data, data + b"c 1 1\n", data.replace(b"7", b"-7")]
        wrong += [data.replace(b"b 9", b"b"), data.replace(b"b 9", b"a 0"), data.replace(b"7", b"x"), b"\xff" + data]
        for text in wrong:
            self.assertIsNone(layout.decode_offsets(text), text)

    def test_clean_shutdown(self) -> None:
        """As CleanShutdownFileHandler writes it."""
        data = b'{"version":0,"brokerEpoch":17}'
        self.assertEqual([layout.encode_clean_shutdown(17), layout.decode_clean_shutdown(data)], [data, 17])
        self.assertEqual(layout.decode_clean_shutdown(layout.encode_clean_shutdown(-1)), -1)
        for wrong in (b"", b"{}", data[:-1], b"[]", b"17", b'{"version":1,"brokerEpoch":17}', b'{"version":0}',
                      b'{"version":0,"brokerEpoch":"x"}', b"\xff"):  # fmt: skip
            self.assertIsNone(layout.decode_clean_shutdown(wrong), wrong)
