"""The quick look agrees with the close one, and leaves to it whatever is not plain."""

from __future__ import annotations

import random
from functools import partial

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from streamline.errors import Refused
from streamline.wire import quick as quick_look
from streamline.wire.batch import check, read_header
from streamline.wire.crc import crc32c
from streamline.wire.quick import KINDS_MAX, RECORDS_MAX, Looked, look, plain_run
from streamline.wire.recordcheck import Checked, check_records
from streamline.wire.recordrun import MANY_RECORDS
from streamline.wire.records import Record, build_batch
from streamline.wire.recordshape import greatest_delta
from tests.steps import steps_of

EARLIEST, LATEST = 0, 1 << 60
MAX_BYTES = 1 << 20


def closely(batch: bytes) -> Checked | None:
    """Look at a batch as thoroughly as can be; None where it is refused."""
    try:
        header = read_header(batch)
        check(
            batch, 0, header, max_bytes=MAX_BYTES, now_ms=LATEST // 2,
            timestamp_before_max_ms=LATEST // 2, timestamp_after_max_ms=LATEST // 2,
        )  # fmt: skip
        return check_records(batch, header)
    except Refused:
        return None


def quickly(batch: bytes) -> Looked | None:
    """Take the quick look."""
    return look(memoryview(batch), MAX_BYTES, EARLIEST, LATEST)


RECORDS = st.lists(
    st.builds(
        Record,
        value=st.none() | st.binary(max_size=200),
        key=st.none() | st.binary(max_size=70),
        timestamp=st.integers(1000, 20_000),
        headers=st.lists(st.tuples(st.text(max_size=3), st.none() | st.binary(max_size=3)), max_size=1),
    ),
    min_size=1,
    max_size=20,
)
ROWS = st.builds(
    lambda runs, key: [
        Record(value=b"v" * size, key=key, timestamp=1000 + step * index)
        for size, step, count in runs
        for index in range(count)
    ],
    st.lists(
        st.tuples(st.integers(0, 300) | st.integers(8180, 8200), st.integers(0, 90), st.integers(0, 90)),
        min_size=1,
        max_size=4,
    ),
    st.none() | st.binary(max_size=70),
).filter(bool)


class QuickLookTests(SynchronousTestCase):
    """What it takes is right; what is wrong it never takes."""

    @settings(max_examples=400, deadline=None, database=None)
    @given(RECORDS | ROWS, st.sampled_from([0, 0, 0, 1]))
    def test_it_agrees_about_sound_batches(self, records: list[Record], codec: int) -> None:
        batch = build_batch(records, compression=codec)
        assume(len(batch) <= MAX_BYTES)
        quick, close = quickly(batch), closely(batch)
        assert close is not None
        if quick is not None:
            self.assertEqual(quick, (read_header(batch), close.max_timestamp, close.has_null_key))

    def test_it_takes_plain_batches(self) -> None:
        for count in (1, 2, 15, 16, 63, 64, 65, 100, 1000):
            for size in (0, 5, 63, 64, 100, 1000, 8000, 8187, 8188, 8192, 10_240, 60_000):
                if count * size > MAX_BYTES * 0.9:
                    continue
                batch = build_batch([Record(value=bytes(size), key=b"k", timestamp=1000)] * count)
                self.assertIsNotNone(quickly(batch), f"{count} records of {size} bytes")

    def test_the_greatest_time_of_thousands(self) -> None:
        """It is found where times rise, fall or leap, in one byte or two, and where a single record breaks the row."""
        rng = random.Random(3)
        times = {
            "the same": lambda _: 0,
            "rising": lambda n: n // 90,
            "rising far": lambda n: 64 + n,
            "falling": lambda n: 8100 - n,
            "leaping": lambda _: rng.randrange(64, 8192),
            "two": lambda n: 8000 if n % 2 else 127,
            "one": lambda n: 63 * (n == 2500),
        }
        for count in (MANY_RECORDS - 1, MANY_RECORDS + 1, 8000):
            for name, time_of in times.items():
                records = [Record(value=b"v" * 10, timestamp=1000 + time_of(n)) for n in range(count)]
                records[0] = Record(value=b"v" * 10, timestamp=1000)  # the base, from which the others are told
                batch = build_batch(records)
                greatest = max(record.timestamp for record in records)
                self.assertEqual(quickly(batch), (read_header(batch), greatest, True), f"{count} {name}")

    def test_it_leaves_everything_else(self) -> None:
        plain = [Record(value=b"v", timestamp=1000)]
        left = {
            "compressed": build_batch(plain, compression=1),
            "control": build_batch(plain, is_control=True),
            "transactional": build_batch(
                plain, is_transactional=True, producer_id=1, producer_epoch=0, base_sequence=0
            ),
            "without sequence": build_batch(plain, producer_id=1, producer_epoch=0),
            "not from 0": build_batch(plain, base_offset=1),
            "many": build_batch(plain * (RECORDS_MAX + 1)),
            "sizes": build_batch([Record(value=bytes(n), timestamp=1000) for n in range(20)]),
            "headers": build_batch([Record(value=b"v", timestamp=1000, headers=[("h", b"x")])]),
            "early": build_batch([Record(value=b"v", timestamp=-5)]),
            "late": build_batch([Record(value=b"v", timestamp=LATEST + 1)]),
            "two": build_batch(plain) * 2,
        }
        for name, batch in left.items():
            self.assertIsNone(quickly(batch), name)
        self.assertIsNone(look(build_batch(plain), 60, EARLIEST, LATEST), "larger than allowed")

    def test_it_never_takes_what_the_close_look_refuses(self) -> None:
        """Every byte of a batch changed, its checksum put right again: the records are then what is wrong."""
        rng = random.Random(1)
        for count, size in ((3, 70), (17, 3), (16, 70), (2, 10_000), (16, 8190)):
            batch = build_batch([Record(value=b"v" * size, key=b"k", timestamp=1000 + 100 * n) for n in range(count)])
            self.assertIsNotNone(quickly(batch))
            self.spoil(batch, rng)

    def test_one_record_with_nothing_but_a_value(self) -> None:
        """Its beginning is known from its size; a byte of that changed, or one more behind it, and it is another."""
        rng = random.Random(2)
        for size in (*range(300), 8180, 8192, 16_380, 16_384, 20_000, 1_000_000):
            batch = build_batch([Record(value=b"v" * size, timestamp=1000)])
            self.assertEqual(quickly(batch), (read_header(batch), 1000, True))
        for size in (0, 1, 55, 60, 100, 9000):
            batch = build_batch([Record(value=b"v" * size, timestamp=1000)])
            self.spoil(batch, rng)
            for more in (b"\0", b"\0\0", b"v\0"):
                longer = bytearray(batch + more)
                longer[8:12] = (len(longer) - 12).to_bytes(4, "big")
                longer[17:21] = crc32c(longer[21:]).to_bytes(4, "big")
                self.assertIsNone(quickly(bytes(longer)))
                self.assertIsNone(closely(bytes(longer)))
            changed = bytearray(batch)
            changed[-1] = 2  # it would have a header
            changed[17:21] = crc32c(changed[21:]).to_bytes(4, "big")
            self.assertIsNone(quickly(bytes(changed)))

    def test_a_few_records_of_values_only(self) -> None:
        """Their times may differ a little; with every byte changed that says something, they are others."""
        rng = random.Random(3)
        for count, size, step in ((2, 0, 0), (3, 60, 1), (16, 1000, 0), (31, 57, 2), (32, 58, 1), (33, 9, 1)):
            batch = build_batch([Record(value=b"v" * size, timestamp=1000 + step * n) for n in range(count)])
            self.assertEqual(quickly(batch), (read_header(batch), 1000 + step * (count - 1), True))
            self.spoil(batch, rng)

    def test_layouts(self) -> None:
        """Where a layout says that records are plain, they are; where no record has such a size, it never does."""
        for count in (1, 2, 5, 32):
            for size in (*range(1, 90), 140, 8199, 8200):
                for delta in (0, 63):
                    values = [Record(value=bytes(size), timestamp=delta * (n == 1)) for n in range(count)]
                    body = build_batch(values)[61:]
                    self.assertEqual(greatest_delta(body, 0, count), delta * (count > 1))
        for size in range(1, 200):
            self.assertIsNone(greatest_delta(bytes(size), 0, 1))
        late = build_batch([Record(value=b"v", timestamp=64 * n) for n in range(2)])
        self.assertIsNone(greatest_delta(late[61:], 0, 2), "it has two bytes")

    def spoil(self, batch: bytes, rng: random.Random) -> None:
        """Change every byte that may say something of the structure."""
        for at in range(min(len(batch), 500)):
            for value in (0, 1, 2, 127, 128, 255, rng.randrange(256)):
                changed = bytearray(batch)
                changed[at] = value
                for right in (False, True):
                    if right and not 17 <= at < 21:
                        changed[17:21] = crc32c(changed[21:]).to_bytes(4, "big")
                    quick, close = quickly(bytes(changed)), closely(bytes(changed))
                    if quick is not None:
                        self.assertIsNotNone(close, f"byte {at} = {value}")
                for cut in (at, at + 1):
                    self.assertIsNone(quickly(batch[:cut]) if cut < len(batch) else None)


class PlainRunTests(SynchronousTestCase):
    """Batches like one that was looked at before are not looked at again, and judged as if they were."""

    def expected(self, batch: bytes) -> bool:
        """Say whether there is nothing to do about a batch but to give it its place."""
        looked = quickly(batch)
        return looked is not None and looked[0].producer_id == -1 and looked[0].max_timestamp == looked[1]

    def taken(self, *batches: bytes, needs_keys: bool = False) -> int:
        """Return how many are taken; what is said of them is right."""
        run = plain_run([memoryview(batch) for batch in batches], MAX_BYTES, EARLIEST, LATEST, needs_keys)
        for batch, (records, count, max_timestamp) in zip(batches, run, strict=False):
            header = read_header(batch)
            self.assertEqual((records, count, max_timestamp), (batch, header.record_count, header.max_timestamp))
        return len(run)

    def test_every_byte(self) -> None:
        for count, size in ((1, 100), (3, 60), (16, 20)):
            plain = build_batch([Record(value=b"v" * size, timestamp=1000)] * count)
            self.assertEqual(self.taken(plain, plain, plain), 3)
            for at in range(min(len(plain), 160)):
                for value in (0, 1, 2, 127, 128, 255):
                    changed = bytearray(plain)
                    changed[at] = value
                    for _ in range(2):
                        now = bytes(changed)
                        self.assertEqual(self.taken(plain, now, now), 3 if self.expected(now) else 1, f"{at}: {value}")
                        changed[17:21] = crc32c(changed[21:]).to_bytes(4, "big")

    def test_other_sizes_and_times(self) -> None:
        for later in (0, 5):
            records = [Record(value=b"v" * 50, timestamp=1000 + later * n) for n in range(4)]
            plain = build_batch(records)
            longer = plain + b"\0"
            self.assertEqual(self.taken(plain, plain, longer), 2)
            self.assertEqual(self.taken(plain[:-1]), 0)
            self.assertEqual(self.taken(b""), 0)

    def test_idempotent_producers(self) -> None:
        """Their batches are sound, but there is more to look at, and they are not looked at twice for that."""
        batch = build_batch([Record(value=b"v", timestamp=1000)], producer_id=7, producer_epoch=0, base_sequence=0)
        self.assertIsNotNone(quickly(batch))
        self.assertEqual(self.taken(batch, batch), 0)
        two = [Record(value=b"v", timestamp=1000), Record(value=b"vv", timestamp=1000)]
        passed_by, looked_at = (
            steps_of(partial(plain_run, [memoryview(one)], MAX_BYTES, EARLIEST, LATEST, needs_keys=False))
            for one in (build_batch(two, producer_id=7, producer_epoch=0, base_sequence=0), build_batch(two))
        )
        self.assertLess(passed_by, looked_at / 2)

    def test_limits(self) -> None:
        """What is asked of a batch may change between two that are alike."""
        plain = memoryview(build_batch([Record(value=b"v" * 70, timestamp=1000)]))
        for limits, taken in (
            ((MAX_BYTES, 0, 2000, False), 1),
            ((len(plain), 1000, 1000, False), 1),
            ((len(plain) - 1, 0, 2000, False), 0),
            ((MAX_BYTES, 1001, 2000, False), 0),
            ((MAX_BYTES, 0, 999, False), 0),
            ((MAX_BYTES, 0, 2000, True), 0),
        ):
            self.assertEqual(len(plain_run([plain], *limits)), taken, limits)
        early = memoryview(build_batch([Record(value=b"v" * 70, timestamp=-1)]))
        self.assertEqual(plain_run([early], MAX_BYTES, -5, 2000, False), [])

    def test_what_is_kept_in_mind_is_bounded(self) -> None:
        for epoch in range(2 * KINDS_MAX + 10):
            self.assertEqual(self.taken(build_batch([Record(value=b"v", timestamp=1000)], leader_epoch=epoch)), 1)
            self.assertLessEqual(len(quick_look._kinds), KINDS_MAX)
