"""The same records in another codec."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from streamline.wire.batch import check, read_header
from streamline.wire.compress import compress
from streamline.wire.recompress import CODECS, recompress
from streamline.wire.recordcheck import check_records
from streamline.wire.records import Record, build_batch, records

RECORDS = [Record(value=b"value %d" % number, key=b"key", timestamp=1000 + number) for number in range(20)]


class RecompressTests(SynchronousTestCase):
    """A topic's codec replaces the producer's, and nothing else changes."""

    def test_every_codec_from_every_codec(self) -> None:
        for before in CODECS.values():
            batch = build_batch(RECORDS, compression=before, producer_id=7, producer_epoch=1, base_sequence=5)
            for after in CODECS.values():
                stored, header = recompress(batch, after)
                self.assertEqual(header, read_header(stored))
                self.assertEqual(header.compression, after)
                self.assertEqual((header.producer_id, header.producer_epoch, header.base_sequence), (7, 1, 5))
                check(stored, 0, header, max_bytes=1 << 20)
                self.assertEqual(check_records(stored, header).max_timestamp, 1019)
                self.assertEqual(
                    [(record.key, record.value, record.timestamp) for record in records(stored, header)],
                    [(record.key, record.value, record.timestamp) for record in RECORDS],
                )

    def test_names_are_those_of_the_codecs(self) -> None:
        self.assertEqual(compress(CODECS["gzip"], b"x")[:2], b"\x1f\x8b")
        self.assertEqual(compress(CODECS["zstd"], b"x")[:4], b"\x28\xb5\x2f\xfd")
        self.assertEqual(compress(CODECS["lz4"], b"x")[:4], b"\x04\x22\x4d\x18")
        self.assertEqual(compress(CODECS["snappy"], b"x")[:7], b"\x82SNAPPY")
