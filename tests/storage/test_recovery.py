"""After any crash a log holds whole batches from its start on, and everything that was synced (DK1-DK4, DK6)."""

from __future__ import annotations

import contextlib
from struct import iter_unpack, pack

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from streamline.config import TopicConfig
from streamline.storage import recovery
from streamline.storage.layout import OFFSET_INDEX
from streamline.testing.contracts.storage_harness import IDENTITY, make_batch
from streamline.testing.simulation import MachineDown
from streamline.testing.worlds import EPOCH_MS
from streamline.wire.batch import read_header
from streamline.wire.records import Record, build_batch
from tests.storage.machines import DATA, DIRECTORY, SETTINGS, Station, segment_name

FIRST = segment_name(0)


def plan_for(station: Station, **settings: object) -> recovery.Plan:
    """Return how to load the log's directory after a crash."""
    config = TopicConfig(**(SETTINGS | settings))
    return recovery.Plan(station.process.disk, DIRECTORY, config, 0, clean=False, recovery_point=0, start_offset=0)


def loaded_bytes(station: Station, **settings: object) -> bytes:
    """Load the log's directory as after a crash; return what the first segment holds then."""
    loaded = recovery.load(plan_for(station, **settings))
    data = station.read_file(FIRST)
    assert loaded.segments[0].size == len(data)
    assert loaded.end_offset == sum(1 for _ in walk(data)), "no gap, nothing twice"
    for segment in loaded.segments:
        segment.rest()
    return data


def walk(data: bytes) -> list[int]:
    """Return the base offsets of batches of one record each."""
    offsets, at = [], 0
    while at < len(data):
        header = read_header(data, at)
        offsets.append(header.base_offset)
        at += header.size
    return offsets


class DamageTests(SynchronousTestCase):
    """Recovery keeps the batches before the first that is not whole."""

    def setUp(self) -> None:
        """Write five batches; nothing is running."""
        self.station = Station()
        self.station.start()
        self.batches = self.station.fill(5)
        self.station.kill()
        self.data = b"".join(self.batches)

    def whole(self, length: int) -> bytes:
        """Return the batches that lie within the first bytes of the segment."""
        data = b""
        for batch in self.batches:
            if len(data) + len(batch) > length:
                break
            data += batch
        return data

    def test_cut_at_every_byte(self) -> None:
        """Cut anywhere, the log ends with the last whole batch (DK1)."""
        for length in range(len(self.whole(len(self.data) // 2)) - 1, len(self.data) + 1):
            self.station.write_file(FIRST, self.data[:length])
            self.assertEqual(loaded_bytes(self.station), self.whole(length), length)

    def test_flip_every_bit(self) -> None:
        """A wrong bit is found wherever a checksum or the order of offsets covers it (DK2)."""
        missed = 0
        for bit in range(len(self.data) * 8):
            data = bytearray(self.data)
            data[bit // 8] ^= 1 << bit % 8
            self.station.write_file(FIRST, bytes(data))
            found = loaded_bytes(self.station)
            within = bit // 8 - len(self.whole(bit // 8))
            if 12 <= within < 16:
                # The leader epoch: outside the checksum in Kafka's format; it is seen where a later one is lower.
                self.assertTrue(found.startswith(self.whole(bit // 8)))
                missed += 1
            else:
                self.assertEqual(found, self.whole(bit // 8), bit)
        self.assertEqual(missed, 5 * 32)

    def test_epoch_falls(self) -> None:
        """A batch of an older leader than the one before it is where the log ends."""
        batches = [make_batch(0, leader_epoch=3), make_batch(1, leader_epoch=5), make_batch(2, leader_epoch=4)]
        self.station.write_file(FIRST, b"".join(batches))
        self.assertEqual(loaded_bytes(self.station), b"".join(batches[:2]))

    def test_bad_tails(self) -> None:
        """Zeros, a batch twice, one that leaves a gap, and garbage are no part of the log (DK3)."""
        gap = make_batch(6)
        for tail in (bytes(1), bytes(61), bytes(70_000), self.batches[-1], self.batches[0], gap, b"\xff" * 500):
            self.station.write_file(FIRST, self.data + tail)
            self.assertEqual(loaded_bytes(self.station), self.data, tail[:20])

    def test_gaps_of_compaction(self) -> None:
        """Where a topic is compacted, offsets may be missing, but not come twice."""
        data = self.data + make_batch(9) + make_batch(9)
        self.station.write_file(FIRST, data)
        self.assertEqual(recovery.load(plan_for(self.station, cleanup_policy="compact")).end_offset, 10)

    def test_batch_larger_than_a_block(self) -> None:
        """Batches are checked though they are longer than what is read at once."""
        large = make_batch(5, value_bytes=3 * recovery.SCAN_BYTES)
        for damage, kept in ((None, 6), (40, 5), (len(large) - 1, 5)):
            data = bytearray(large)
            if damage is not None:
                data[damage] ^= 1
            self.station.write_file(FIRST, self.data + bytes(data) + make_batch(6) * (damage is not None))
            self.assertEqual(len(walk(loaded_bytes(self.station))), kept)

    def test_scan_begins_at_the_recovery_point(self) -> None:
        """What is known to be durable is not looked at again: damage there is for the readers to find."""
        station = Station()
        station.start()
        batches = station.fill(40)
        station.wait(station.storage.checkpoint())
        batches += station.fill(10)
        station.kill()
        for offset, seen in ((5, False), (45, True)):
            data = bytearray(b"".join(batches))
            data[sum(map(len, batches[:offset])) + 70] ^= 1
            station.write_file(FIRST, bytes(data))
            station.start()
            self.assertEqual(station.log.end_offset, offset if seen else 50)
            station.kill()

    def test_index_that_lies(self) -> None:
        """An entry that pretends to be below the recovery point leads no scan past what is not."""
        station = Station()
        station.start()
        batches = station.fill(20)
        station.wait(station.storage.checkpoint())
        batches += station.fill(20)
        station.stop()
        data = bytearray(b"".join(batches))
        data[sum(map(len, batches[:25])) + 70] ^= 1
        entries = [list(entry) for entry in iter_unpack(">ii", station.read_file(segment_name(0, ".index")))]
        (slot,) = (slot for slot, (offset, _) in enumerate(entries) if offset < 20 <= entries[slot + 1][0])
        entries[slot : slot + 2] = [[entries[slot][0], entries[-1][1]]]
        del entries[slot + 1 :]
        station.write_file(segment_name(0, ".index"), b"".join(pack(">ii", *entry) for entry in entries))
        station.write_file(FIRST, bytes(data))
        station.write_file("recovery-point-offset-checkpoint", b"0\n1\norders 3 20\n", DATA)
        station.write_file(".kafka_cleanshutdown", None, DATA)
        station.start()
        self.assertEqual(station.log.end_offset, 25)

    def test_index_beyond_the_recovery_point(self) -> None:
        """A true entry of a batch that may not be durable leads no scan past others that are not."""
        station = Station()
        station.start()
        batches = station.fill(40)
        station.stop()
        data = bytearray(b"".join(batches))
        data[sum(map(len, batches[:25])) + 70] ^= 1
        station.write_file(FIRST, bytes(data))
        station.write_file("recovery-point-offset-checkpoint", b"0\n1\norders 3 20\n", DATA)
        station.write_file(".kafka_cleanshutdown", None, DATA)
        station.start()
        self.assertEqual(station.log.end_offset, 25)

    def test_clean_marker_beside_half_a_batch(self) -> None:
        """The log is scanned if it does not end with a whole batch, however the last stop was."""
        self.station.start()
        self.station.stop()
        self.station.write_file(FIRST, self.data[:-10])
        self.station.start()
        self.assertEqual(self.station.content(), self.whole(len(self.data) - 10))

    def test_index_ahead_of_the_log(self) -> None:
        """Entries of batches that were lost are forgotten, also in the time index."""
        station = Station()
        station.start()
        batches = [station.fill(1, timestamp=EPOCH_MS + number)[0] for number in range(40)]
        station.stop()
        station.write_file(FIRST, b"".join(batches[:25]).ljust(len(b"".join(batches)), b"\0"))
        station.write_file("recovery-point-offset-checkpoint", b"0\n1\norders 3 20\n", DATA)
        station.write_file(".kafka_cleanshutdown", None, DATA)
        station.start()
        self.assertEqual(b"".join(station.log.batch_of_max_timestamp().parts), batches[24])
        self.assertEqual(station.log.batch_at_timestamp(EPOCH_MS + 25).parts, ())
        station.fill(1, timestamp=EPOCH_MS + 7)
        self.assertEqual(station.log.batch_at_timestamp(EPOCH_MS + 25).parts, ())
        station.fill(30, timestamp=EPOCH_MS + 7)
        self.assertEqual(b"".join(station.log.batch_of_max_timestamp().parts), batches[24])

    def test_noted_beyond_the_end(self) -> None:
        """Where the disk lost what was durable, what comes in its place is not taken for durable."""
        station = Station()
        station.start()
        batches = station.fill(60)
        station.log.high_watermark = 60
        station.stop()
        station.write_file(FIRST, b"".join(batches[:20]))
        station.start()
        self.assertEqual([station.log.end_offset, station.log.high_watermark], [20, 20])
        for name in ("recovery-point-offset-checkpoint", "replication-offset-checkpoint"):
            self.assertEqual(station.read_file(name, DATA), b"0\n1\norders 3 20\n")

    def test_segments_after_damage_go(self) -> None:
        """Behind a bad batch nothing is kept, not in later segments either."""
        station = Station()
        station.start()
        station.fill(25, value_bytes=100_000)
        bases = sorted(int(name[:20]) for name in station.files() if name.endswith(".log"))
        self.assertGreater(len(bases), 2)
        station.kill()
        data = bytearray(station.read_file(segment_name(bases[1])))
        data[250_000] ^= 1
        station.write_file(segment_name(bases[1]), bytes(data))
        station.start()
        self.assertEqual(station.offsets(), list(range(bases[1] + 2)))
        station.fill(1)
        station.restart()
        self.assertEqual(station.log.end_offset, bases[1] + 3)

    def test_missing_segment(self) -> None:
        """Where a segment is missing the log ends, as offsets must not be missing."""
        station = Station()
        station.start()
        station.fill(35, value_bytes=100_000)
        bases = sorted(int(name[:20]) for name in station.files() if name.endswith(".log"))
        station.kill()
        station.write_file(segment_name(bases[1]), None)
        station.start()
        self.assertEqual([station.log.end_offset, station.offsets()], [bases[1], list(range(bases[1]))])


class SideFilesTests(SynchronousTestCase):
    """Whatever becomes of the files beside the log, it starts, and they are made anew as they were (DK4)."""

    def damaged(self, name: str, directory: str, *, clean: bool) -> None:
        """Damage one file in several ways; each time, start, use the log, stop, and compare the file."""
        for damage in (_gone, _emptied, _zeroed, _cut, _halved, _extended, _flipped, _nudged):
            if damage is _nudged and not name.endswith("index"):
                continue  # the file would say something else, in good order
            station = Station(segment_bytes=2**20)
            station.start()
            for number in range(60):
                station.fill(1, value_bytes=50_000, timestamp=EPOCH_MS + number)
            station.log.high_watermark = 60
            station.wait(station.storage.checkpoint())
            station.stop()
            marker = f"{DATA}/.kafka_cleanshutdown"
            if not clean and name not in marker:
                station.process.disk.remove(marker)
            before = station.read_file(name, directory)
            station.write_file(name, damage(before), directory)
            station.start()
            self.assertEqual(station.offsets(), list(range(60)), (name, damage))
            for number in (0, 17, 41, 59):
                found = station.log.batch_at_timestamp(EPOCH_MS + number)
                self.assertEqual(found.next_offset, number + 1, (name, damage))
            station.log.high_watermark = 60
            station.stop()
            self.assertEqual(station.read_file(name, directory), before, (name, damage, clean))

    def test_after_a_clean_stop(self) -> None:
        """Each file, although the last stop was clean."""
        for name in (segment_name(20, ".index"), segment_name(40, ".timeindex"), "partition.metadata"):
            self.damaged(name, DIRECTORY, clean=True)
        for name in ("recovery-point-offset-checkpoint", "replication-offset-checkpoint", ".kafka_cleanshutdown"):
            self.damaged(name, DATA, clean=True)

    def test_after_a_crash(self) -> None:
        """Each file, and the last stop was not clean."""
        for name in (segment_name(0, ".index"), segment_name(40, ".index"), segment_name(20, ".timeindex")):
            self.damaged(name, DIRECTORY, clean=False)
        for name in ("recovery-point-offset-checkpoint", "replication-offset-checkpoint"):
            self.damaged(name, DATA, clean=False)

    def with_a_batch_in_a_value(self) -> tuple[Station, bytes]:
        """Return a stopped station whose record 5 looks like a batch from its middle on, and that batch."""
        station = Station(segment_ms=500)
        station.start()
        hidden = make_batch(77)
        for offset in range(12):
            value = b"%d" % offset if offset != 5 else b"x" * 100 + hidden
            record = Record(value=value.ljust(100, b"."), timestamp=EPOCH_MS + offset // 10 * 1000)
            station.append(build_batch([record], base_offset=offset, leader_epoch=0))
        station.stop()
        return station, hidden

    def test_cut_by_an_index_that_lies(self) -> None:
        """What is cut off begins with a batch, though an entry shows something that only looks like one."""
        station, hidden = self.with_a_batch_in_a_value()
        name = segment_name(0, ".index")
        entries = [list(entry) for entry in iter_unpack(">ii", station.read_file(name))]
        entries[1][1] = station.read_file(FIRST).index(hidden)
        station.write_file(name, b"".join(pack(">ii", *entry) for entry in entries))
        station.start()
        station.log.truncate(5)
        self.assertEqual([station.log.end_offset, station.offsets()], [5, [0, 1, 2, 3, 4]])

    def test_index_that_is_believed_too_much(self) -> None:
        """An entry that looks well but is not true is found out when it is used, and the index is made anew."""
        station, hidden = self.with_a_batch_in_a_value()
        name = segment_name(0, ".index")
        before, data = station.read_file(name), station.read_file(FIRST)
        entries = [list(entry) for entry in iter_unpack(">ii", before)]
        for change in (lambda: [entries[1][0] - 1, entries[1][1]], lambda: [entries[1][0], data.index(hidden)]):
            station.write_file(name, b"".join(pack(">ii", *entry) for entry in [entries[0], change(), *entries[2:]]))
            station.start()
            for offset in range(12):
                for max_bytes in (1, 300, 600, 700, 10_000):
                    found = station.log.read(offset, max_bytes, end_offset=12, at_least_one=True)
                    found = station.wait(found) if isinstance(found, Deferred) else found
                    bases = walk(b"".join(found.parts))
                    self.assertTrue(bases, "at least one")
                    self.assertEqual(bases, list(range(offset, offset + len(bases))))
                    self.assertEqual(found.next_offset, offset + len(bases))
            station.stop()
            self.assertEqual(station.read_file(name), before)

    def test_garbage_is_let_be(self) -> None:
        """Files and directories that are not ours are neither read nor removed."""
        station = Station()
        station.start()
        station.fill(3)
        for name in ("notes.txt", "7.log", "x.deleted", segment_name(3) + "~"):
            station.write_file(name, b"mine")
        station.process.disk.make_directories(f"{DATA}/lost+found")
        station.write_file("file", b"mine", f"{DATA}/lost+found")
        station.process.disk.make_directories(f"{DATA}/old-0-backup")
        station.stop()
        station.start()
        self.assertEqual(station.offsets(), [0, 1, 2])
        self.assertEqual([identity.topic for identity in station.storage.identities()], ["orders"])
        for name in ("notes.txt", "7.log", "x.deleted", segment_name(3) + "~"):
            self.assertEqual(station.read_file(name), b"mine")
        self.assertTrue(station.process.disk.exists(f"{DATA}/old-0-backup"))

    def test_remains_are_removed(self) -> None:
        """What was renamed to be deleted, and indexes without a log, go at the next start."""
        station = Station()
        station.start()
        station.fill(3)
        station.stop()
        for name in (segment_name(9) + ".deleted", segment_name(9, ".index"), segment_name(8, ".timeindex")):
            station.write_file(name, b"")
        station.process.disk.make_directories(f"{DATA}/gone-0.{'0' * 32}-delete")
        station.start()
        station.pass_time(1)
        self.assertEqual(sorted(station.files()), [segment_name(0, ".index"), segment_name(0),
                                                   segment_name(0, ".timeindex"), "partition.metadata"])
        self.assertFalse(station.process.disk.exists(f"{DATA}/gone-0.{'0' * 32}-delete"))


def _gone(data: bytes) -> bytes | None:
    return None


def _emptied(data: bytes) -> bytes:
    return b""


def _zeroed(data: bytes) -> bytes:
    return bytes(len(data))


def _cut(data: bytes) -> bytes:
    return data[:-5]


def _halved(data: bytes) -> bytes:
    return data[: len(data) // 48 * 24]


def _nudged(data: bytes) -> bytes:
    return data[:-5] + bytes([data[-5] ^ 1]) + data[-4:]


def _extended(data: bytes) -> bytes:
    return data + bytes(24)


def _flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 0xFF]) + data[middle + 1 :]


class CrashInRecoveryTests(SynchronousTestCase):
    """Recovery that is itself interrupted comes to the same end (DK6)."""

    def test_recovered_is_durable(self) -> None:
        """What a killed process left in the page cache survives the power once recovery has shown it."""
        for seed in range(20):
            station = Station(seed)
            station.start()
            station.fill(12)
            station.restart()
            self.assertEqual(station.log.end_offset, 12)
            station.restart(power=True)
            self.assertEqual(station.log.end_offset, 12, seed)

    def test_recovered_segments_are_durable(self) -> None:
        """So do the parts before the last one."""
        for seed in range(20):
            station = Station(seed, segment_ms=500)
            station.start()
            station.fill(42)
            station.restart()
            self.assertEqual(station.log.end_offset, 42)
            station.restart(power=True)
            self.assertEqual(station.log.end_offset, 42, seed)

    def test_the_segment_that_goes_on(self) -> None:
        """Its indexes are made anew and kept in mind; the files come with the next checkpoint, whatever comes first."""
        station = Station()
        station.start()
        station.fill(12)
        station.restart()
        index = segment_name(0, OFFSET_INDEX)
        self.assertRaises(FileNotFoundError, station.read_file, index)
        self.assertEqual(station.offsets(), list(range(12)))
        self.assertFalse(station.storage._logs[IDENTITY.topic_partition].is_durable)
        station.wait(station.storage.checkpoint())
        self.assertGreater(len(station.read_file(index)), 0)
        station.restart(power=True)
        self.assertEqual(station.offsets(), list(range(12)))

    def test_five_times(self) -> None:
        """Killed or without power, at any step of five recoveries, what was synced is there, and no gap."""
        for seed in range(120):
            station = Station(seed, segment_ms=500, cleanup_policy=("delete", "compact")[seed % 2])
            station.start()
            station.fill(12)
            synced = station.wait(station.log.sync())
            station.fill(42)
            station.kill(power=True)
            for attempt in range(5):
                station.faults.dies_in = 1 + (seed * 5 + attempt) % 13
                station.faults.dies_of_power = bool((seed + attempt) % 3)
                with contextlib.suppress(MachineDown):
                    station.start()
                station.kill()
            station.start()
            end_offset = station.log.end_offset
            self.assertGreaterEqual(end_offset, synced, seed)
            self.assertEqual(station.offsets(), list(range(end_offset)))
            station.restart(power=True)
            self.assertEqual(station.log.end_offset, end_offset, "what was recovered is durable")
