"""Producer states beside a log: written, read again, and never believed when damaged or of another log."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from streamline.transactions.producers import SEQUENCE_MAX, Batch, Producer
from streamline.transactions.snapshots import (
    batches_name,
    blob_offset,
    dump_producers,
    load_producers,
    snapshot_name,
    snapshot_offset,
)
from streamline.wire.crc import crc32c

OFFSET = 41
CRC = 0xDEADBEEF
PRODUCERS = [
    Producer(3, 0, (Batch(0, 4, 0, 4, 1000),), 1000),
    Producer(9, 32767, tuple(Batch(n, n, 10 + n, 10 + n, 2000 + n) for n in range(5)), 2004),
    Producer(2**62, 1, (Batch(SEQUENCE_MAX, 1, 38, 40, 3000),), 3000),
]


def blobs(producers: list[Producer] = PRODUCERS) -> tuple[bytes, bytes]:
    """Return the contents of both blobs."""
    found = dict(dump_producers(OFFSET, CRC, producers))
    return found[snapshot_name(OFFSET)], found[batches_name(OFFSET)]


class NameTests(SynchronousTestCase):
    """Names are Kafka's."""

    def test_there_and_back(self) -> None:
        self.assertEqual(snapshot_name(41), "00000000000000000041.snapshot")
        self.assertEqual(snapshot_offset(snapshot_name(41)), 41)
        self.assertEqual(snapshot_offset(snapshot_name(2**63 - 1)), 2**63 - 1)

    def test_both_blobs_of_an_offset(self) -> None:
        names = (snapshot_name(41), batches_name(41), "x.batches")
        self.assertEqual([blob_offset(name) for name in names], [41, 41, None])

    def test_other_names(self) -> None:
        for name in ("41.snapshot", "0000000000000000004x.snapshot", "00000000000000000041.log", batches_name(41), ""):
            self.assertIsNone(snapshot_offset(name), name)


class SnapshotTests(SynchronousTestCase):
    """What was written is read."""

    def test_there_and_back(self) -> None:
        self.assertEqual(load_producers(OFFSET, CRC, *blobs()), PRODUCERS)

    def test_nobody(self) -> None:
        self.assertEqual(load_producers(OFFSET, CRC, *blobs([])), [])

    def test_producers_without_batches_are_left_out(self) -> None:
        self.assertEqual(load_producers(OFFSET, CRC, *blobs([Producer(1, 0, (), 5)])), [])

    def test_as_kafka_writes_it(self) -> None:
        """Version, checksum of what follows it, count, and 40 bytes for each producer's newest batch."""
        snapshot, _ = blobs([Producer(3, 2, (Batch(0, 4, 0, 4, 900), Batch(5, 9, 20, 24, 1000)), 1000)])
        entry = struct.pack(">qhiqiqiq", 3, 2, 9, 24, 4, 1000, -1, -1)
        body = struct.pack(">i", 1) + entry
        self.assertEqual(snapshot, struct.pack(">hI", 1, crc32c(body)) + body)

    def test_of_another_log(self) -> None:
        """See Note [Which log a snapshot is of]."""
        self.assertRaises(ValueError, load_producers, OFFSET, CRC + 1, *blobs())
        self.assertRaises(ValueError, load_producers, OFFSET + 1, CRC, *blobs())

    @given(st.data())
    def test_damage(self, data: st.DataObject) -> None:
        """Any byte changed, any end cut off: refused, in either blob."""
        snapshot, batches = blobs()
        whole = bytearray(snapshot + batches)
        at = data.draw(st.integers(0, len(whole) - 1))
        whole[at] ^= data.draw(st.integers(1, 255))
        changed = bytes(whole[: len(snapshot)]), bytes(whole[len(snapshot) :])
        self.assertRaises(ValueError, load_producers, OFFSET, CRC, *changed)
        cut = data.draw(st.integers(0, len(snapshot) - 1))
        self.assertRaises(ValueError, load_producers, OFFSET, CRC, snapshot[:cut], batches)
        cut = data.draw(st.integers(0, len(batches) - 1))
        self.assertRaises(ValueError, load_producers, OFFSET, CRC, snapshot, batches[:cut])
