"""Produce: which batches are refused, with which error, and what becomes of those that are taken."""

from __future__ import annotations

from streamline.errors import ErrorCode
from streamline.wire.batch import HEADER_BYTES, read_header
from streamline.wire.compress import GZIP, LZ4, NO_COMPRESSION, SNAPPY, ZSTD
from streamline.wire.crc import crc32c
from streamline.wire.records import Record, build_batch, records
from tests.api.produce_case import ProduceCase, changed
from tests.broker import batch_of, joined

HOUR_MS = 3_600_000


class BatchTests(ProduceCase):
    """What Kafka's ProduceRequest, UnifiedLog and LogValidator refuse, with their errors (SE9)."""

    def test_shapes(self) -> None:
        good = batch_of(b"a", b"b")
        cases: tuple[tuple[ErrorCode, bytes | None], ...] = (
            (ErrorCode.INVALID_RECORD, None),
            (ErrorCode.INVALID_RECORD, b""),
            (ErrorCode.CORRUPT_MESSAGE, b"\0"),
            (ErrorCode.CORRUPT_MESSAGE, good[:60]),
            (ErrorCode.CORRUPT_MESSAGE, good[:-1]),
            (ErrorCode.INVALID_RECORD, good + good),
            (ErrorCode.INVALID_RECORD, good + b"\0"),
            (ErrorCode.INVALID_RECORD, good * 2000),
            (ErrorCode.CORRUPT_MESSAGE, changed(good, 8, "i", 2**31 - 1)),
            (ErrorCode.CORRUPT_MESSAGE, changed(good, 8, "i", -1)),
            (ErrorCode.CORRUPT_MESSAGE, changed(good, 8, "i", 48)),
            (ErrorCode.CORRUPT_MESSAGE, changed(good, 17, "I", 0, recount=False)),
            (ErrorCode.INVALID_RECORD, changed(good, 16, "b", 0)),
            (ErrorCode.INVALID_RECORD, changed(good, 16, "b", 1)),
            (ErrorCode.CORRUPT_MESSAGE, changed(good, 16, "b", 3)),
            (ErrorCode.CORRUPT_MESSAGE, changed(good, 16, "b", -1)),
        )
        for number, (code, batch) in enumerate(cases):
            with self.subTest(number):
                self.refuses(code, batch)

    def test_headers(self) -> None:
        good = batch_of(b"a", b"b")
        cases = (
            (ErrorCode.INVALID_RECORD, changed(good, 57, "i", 0)),
            (ErrorCode.INVALID_RECORD, changed(good, 57, "i", -1)),
            (ErrorCode.INVALID_RECORD, changed(good, 57, "i", 3)),
            (ErrorCode.INVALID_RECORD, changed(changed(good, 57, "i", 3), 23, "i", 2)),
            (ErrorCode.INVALID_RECORD, changed(good, 23, "i", 5)),
            (ErrorCode.INVALID_RECORD, changed(good, 23, "i", -1)),
            (ErrorCode.INVALID_RECORD, changed(good, 0, "q", 7)),
            (ErrorCode.INVALID_RECORD, changed(good, 21, "h", 0x20)),
            (ErrorCode.INVALID_RECORD, changed(good, 21, "h", 0x40)),
            (ErrorCode.INVALID_RECORD, changed(good, 21, "h", 0x10)),
            (ErrorCode.UNSUPPORTED_COMPRESSION_TYPE, changed(good, 21, "h", 7)),
            (ErrorCode.INVALID_RECORD, changed(good, 21, "h", GZIP)),
            (ErrorCode.INVALID_TIMESTAMP, changed(good, 21, "h", 0x08)),
            (ErrorCode.INVALID_RECORD, changed(changed(good, 43, "q", 5), 53, "i", -1)),
        )
        for number, (code, batch) in enumerate(cases):
            with self.subTest(number):
                self.refuses(code, batch)

    def test_records(self) -> None:
        """One client's broken records would break everybody who consumes them."""
        good = batch_of(b"a", b"b")
        body = good[HEADER_BYTES:]
        broken = (body[:-1], body + b"\0", b"\xff" * len(body), bytes(len(body)), body[:1] + b"\1" + body[2:][::-1])
        for number, records_ in enumerate(broken):
            batch = changed(good[:HEADER_BYTES] + records_, 8, "i", HEADER_BYTES - 12 + len(records_))
            with self.subTest(number):
                self.refuses(ErrorCode.INVALID_RECORD, batch)

    def test_transactions_are_refused_plainly(self) -> None:
        batch = batch_of(b"v", producer_id=5, producer_epoch=0, base_sequence=0, is_transactional=True)
        self.refuses(ErrorCode.INVALID_TXN_STATE, batch)

    def test_bomb(self) -> None:
        """A megabyte of zeros that would be thirty gigabytes is refused before it is that."""
        self.refuses(ErrorCode.MESSAGE_TOO_LARGE, build_batch([Record(bytes(40 << 20))], compression=ZSTD))

    def test_every_codec_is_kept_as_it_came(self) -> None:
        for offset, codec in enumerate((NO_COMPRESSION, GZIP, SNAPPY, LZ4, ZSTD)):
            batch = batch_of(b"value" * 50, compression=codec)
            self.assertEqual(self.produce(batch).error_code, ErrorCode.NONE, codec)
            found = joined(self.broker.fetch("t", offset))
            self.assertEqual(found[16:], batch[16:], "all but offset, length and epoch")

    def test_stamped(self) -> None:
        """The leader gives the offset and its epoch; the checksum covers neither."""
        self.produce(batch_of(b"a", b"b"))
        self.produce(batch_of(b"c"))
        header = read_header(joined(self.broker.fetch("t", 2)))
        self.assertEqual((header.base_offset, header.partition_leader_epoch), (2, 0))

    def test_wrong_max_timestamp_is_put_right(self) -> None:
        batch = changed(batch_of(b"v", timestamp=self.now_ms), 35, "q", self.now_ms - 5)
        self.assertEqual(self.produce(batch).error_code, ErrorCode.NONE)
        found = joined(self.broker.fetch("t"))
        self.assertEqual(read_header(found).max_timestamp, self.now_ms)
        self.assertEqual(read_header(found).crc, crc32c(found[21:]))


class SizeTests(ProduceCase):
    """max.message.bytes bounds a batch."""

    configs = {"max_message_bytes": "1000"}

    def test_bound(self) -> None:
        room = 1000 - len(batch_of(b""))
        sizes = [len(batch_of(bytes(size))) for size in range(room - 4, room + 2)]
        fits, too_large = sizes.index(1000) + room - 4, sizes.index(1001) + room - 4
        self.assertEqual(self.produce(batch_of(bytes(fits))).error_code, ErrorCode.NONE)
        self.refuses(ErrorCode.MESSAGE_TOO_LARGE, batch_of(bytes(too_large)))


class TimestampTests(ProduceCase):
    """Producers' times are taken within bounds."""

    configs = {"message_timestamp_before_max_ms": str(HOUR_MS)}

    def test_bounds(self) -> None:
        for delta in (-HOUR_MS + 1000, 0, HOUR_MS - 1000):
            self.assertEqual(self.produce(batch_of(b"v", timestamp=self.now_ms + delta)).error_code, ErrorCode.NONE)
        for delta in (-HOUR_MS - 1000, HOUR_MS + 1000):
            self.refuses(ErrorCode.INVALID_TIMESTAMP, batch_of(b"v", timestamp=self.now_ms + delta))

    def test_no_timestamp(self) -> None:
        self.assertEqual(self.produce(batch_of(b"v")).error_code, ErrorCode.NONE)

    def test_far_ends(self) -> None:
        good = batch_of(b"v", timestamp=self.now_ms)
        for at in (27, 35):
            for value in (-(2**63), 2**63 - 1):
                found = self.produce(changed(good, at, "q", value))
                self.assertIn(found.error_code, (ErrorCode.INVALID_TIMESTAMP, ErrorCode.INVALID_RECORD))


class AppendTimeTests(ProduceCase):
    """With LogAppendTime the broker's time stands for the producer's, and is told."""

    configs = {"message_timestamp_type": "LogAppendTime"}

    def test_stamped(self) -> None:
        sent = batch_of(b"a", b"b", timestamp=5)
        found = self.produce(sent)
        now_ms = self.broker.process.host.clock.wall_ms()
        self.assertEqual(found.error_code, ErrorCode.NONE)
        self.assertTrue(now_ms - 1000 < found.log_append_time_ms <= now_ms)
        stored = joined(self.broker.fetch("t"))
        header = read_header(stored)
        self.assertEqual((header.timestamp_type, header.max_timestamp), (1, found.log_append_time_ms))
        self.assertEqual(header.crc, crc32c(stored[21:]))
        self.assertEqual([record.timestamp for record in records(stored, header)], [found.log_append_time_ms] * 2)
        self.assertEqual(stored[HEADER_BYTES:], sent[HEADER_BYTES:])

    def test_the_producers_time_does_not_matter(self) -> None:
        self.assertEqual(self.produce(batch_of(b"v", timestamp=self.now_ms + 9 * HOUR_MS)).error_code, ErrorCode.NONE)


class CompactedTests(ProduceCase):
    """Every record of a compacted topic needs a key."""

    configs = {"cleanup_policy": "compact"}

    def test_keys(self) -> None:
        self.assertEqual(self.produce(batch_of(b"v", key=b"")).error_code, ErrorCode.NONE)
        self.refuses(ErrorCode.INVALID_RECORD, batch_of(b"v", key=None))
        self.refuses(ErrorCode.INVALID_RECORD, batch_of(b"v", key=None, timestamp=1000))
        mixed = build_batch([Record(b"v", b"k"), Record(b"w", None)])
        self.refuses(ErrorCode.INVALID_RECORD, mixed)
        self.refuses(ErrorCode.INVALID_RECORD, batch_of(b"v", key=None, compression=GZIP))


class RecompressingTests(ProduceCase):
    """Where compression.type names a codec, batches are put into it."""

    configs = {"compression_type": "gzip", "max_message_bytes": "2000"}

    def test_stored_in_the_topics_codec(self) -> None:
        for codec in (NO_COMPRESSION, GZIP, LZ4):
            found = self.produce(batch_of(b"value" * 100, b"w", compression=codec))
            self.assertEqual(found.error_code, ErrorCode.NONE)
            stored = joined(self.broker.fetch("t", found.base_offset))
            header = read_header(stored)
            self.assertEqual((header.compression, header.base_offset), (GZIP, found.base_offset))
            self.assertEqual(header.crc, crc32c(stored[21:]))
            self.assertEqual([bytes(record.value or b"") for record in records(stored, header)], [b"value" * 100, b"w"])

    def test_bound_holds_for_what_was_sent_and_for_what_is_stored(self) -> None:
        self.refuses(ErrorCode.MESSAGE_TOO_LARGE, batch_of(bytes(3000)))
        plain = bytes(range(256)) * 7
        packed = batch_of(*[plain[:1700]], compression=ZSTD)
        self.assertLess(len(packed), 2000)
        self.assertEqual(self.produce(packed).error_code, ErrorCode.NONE)

    def test_uncompressed(self) -> None:
        self.broker.create("plain", compression_type="uncompressed", max_message_bytes="2000")
        packed = batch_of(bytes(1000), compression=GZIP)
        self.assertEqual(self.broker.produce("plain", packed).error_code, ErrorCode.NONE)
        stored = joined(self.broker.fetch("plain"))
        self.assertEqual(stored[HEADER_BYTES:], batch_of(bytes(1000))[HEADER_BYTES:])
        large = batch_of(bytes(3000), compression=GZIP)
        self.assertEqual(self.broker.produce("plain", large).error_code, ErrorCode.MESSAGE_TOO_LARGE)
