"""
A log against a list: whatever is done to it, and whenever it dies, it holds what the list says.

The list has every batch that was ever appended and not cut off again.  After a
kill the log must hold all that was flushed, after a power cut all that was
synced, and always a beginning of the list and no more.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from streamline.errors import StorageFailed
from streamline.testing.contracts.storage_harness import make_batch
from streamline.testing.simulation import MachineDown
from streamline.testing.worlds import EPOCH_MS
from streamline.wire.batch import read_header
from tests.storage.machines import Station

RUNS = 120
STEPS = 40


class Model:
    """
    The list, and the log that must agree with it.

    @ivar batches: what was appended, each with its base offset.
    @ivar flushed: how many of them a kill must leave.
    @ivar synced: the offset below which a power cut must leave everything.
    @ivar flushed_before: C{flushed} before the last cut, as C{synced_before}.
    @ivar start: below this everything is hidden.
    """

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.station = Station(seed, segment_ms=3000, index_interval_bytes=self.rng.choice((0, 100, 4096)))
        self.station.faults.uncached_chance = 0.2
        self.station.start()
        self.batches: list[tuple[int, bytes]] = []
        self.flushed = 0
        self.synced = 0
        self.start = 0
        self.flushed_before = self.synced_before = 0
        self.epoch = 0
        self.now_ms = EPOCH_MS

    @property
    def end(self) -> int:
        """The offset after the last batch."""
        return self._end_of(len(self.batches))

    def _end_of(self, count: int) -> int:
        if not count:
            return self.start
        return read_header(self.batches[count - 1][1]).next_offset

    # What may be done

    def append(self) -> None:
        """Append a few batches."""
        for _ in range(self.rng.randrange(1, 6)):
            self.now_ms += self.rng.randrange(-500, 1500)
            records = self.rng.randrange(1, 4)
            size = self.rng.choice((5, 50, 3000))
            batch = make_batch(self.end, records, timestamp=self.now_ms, value_bytes=size, leader_epoch=self.epoch)
            self.batches.append((self.end, batch))
            self.station.append(batch, flush=False)

    def flush(self) -> None:
        """Flush."""
        self.station.log.flush()
        self.flushed = len(self.batches)

    def sync(self) -> None:
        """Sync."""
        self.flush()
        self.synced = self.station.wait(self.station.log.sync())
        assert self.synced == self.end

    def checkpoint(self) -> None:
        """Let the storage note how far it is."""
        self.flush()
        end = self.end
        self.station.log.high_watermark = self.rng.randrange(self.station.log.high_watermark, end + 1)
        self.station.wait(self.station.storage.checkpoint())
        self.synced = end

    def truncate(self) -> None:
        """Cut somewhere."""
        target = self.rng.randrange(self.start, self.end + 1)
        kept = [(base, batch) for base, batch in self.batches if read_header(batch).next_offset <= target]
        self.flush()
        self.flushed_before, self.synced_before = self.flushed, self.synced
        self.batches, self.flushed = kept, len(kept)
        self.synced = min(self.synced, self.end)
        self.station.log.truncate(target)
        self.epoch += 1
        if not kept:
            self.start = self.station.log.start_offset

    def advance_start(self) -> None:
        """Hide the beginning."""
        self.flush()
        target = self.rng.randrange(self.start, self.end + 1)
        self.station.log.advance_start(target)
        self.start = target
        self.batches = [(base, batch) for base, batch in self.batches if read_header(batch).next_offset > target]
        self.flushed = len(self.batches)
        self.synced = max(self.synced, target)

    def retain(self) -> None:
        """Drop what is hidden."""
        self.flush()
        self.station.log.retain(self.now_ms)

    def fill_disk(self) -> None:
        """Run out of space for a while."""
        self.flush()
        before = len(self.batches)
        self.station.faults.full = True
        self.append_in_vain()
        self.station.faults.full = False
        del self.batches[before:]
        self.check()

    def append_in_vain(self) -> None:
        """Append what cannot be kept."""
        with contextlib.suppress(StorageFailed):
            self.append()
        with contextlib.suppress(StorageFailed):
            self.station.log.flush()

    def reopen(self) -> None:
        """Stop and start."""
        self.station.stop()
        self.station.start()
        self.flushed, self.synced = len(self.batches), self.end
        assert self.station.storage.clean_epoch is not None

    def die(self) -> None:
        """Be killed, or lose the power."""
        power = self.rng.random() < 0.6
        self.station.restart(power=power)
        self.survived(power)

    def die_within(self) -> None:
        """Be killed, or lose the power, in one of the next disk calls."""
        faults = self.station.faults
        faults.dies_in, faults.dies_of_power = self.rng.randrange(1, 12), self.rng.random() < 0.6
        power = faults.dies_of_power
        operation = self.rng.choice(
            (Model.flush, Model.sync, Model.checkpoint, Model.retain, Model.flush_often, Model.truncate)
        )
        before = self.batches
        try:
            operation(self)
        except MachineDown:
            self.station.restart()
            if self.batches is not before and self.station.log.end_offset != self.end:
                self.batches, self.flushed, self.synced = before, self.flushed_before, self.synced_before
            self.survived(power)
        faults.dies_in = None

    def flush_often(self) -> None:
        """Append and flush."""
        for _ in range(5):
            self.append()
            self.flush()

    def survived(self, power: bool) -> None:
        """Look what is left after a death."""
        log = self.station.log
        least = max(self.synced, self.start) if power else self._end_of(self.flushed)
        assert least <= log.end_offset <= self.end, (least, log.end_offset, self.end)
        self.batches = [one for one in self.batches if read_header(one[1]).next_offset <= log.end_offset]
        self.flushed, self.synced = len(self.batches), log.end_offset
        self.epoch += 1
        self.check()

    # What must be so

    def check(self) -> None:
        """Compare everything that can be read."""
        log = self.station.log
        assert log.start_offset == self.start, (log.start_offset, self.start)
        assert log.end_offset == self.end
        assert log.start_offset <= log.high_watermark <= log.end_offset
        assert log.recovery_point <= log.flushed_offset <= log.end_offset
        visible = b"".join(batch for _, batch in self.batches[: self.flushed])
        assert self.station.content() == visible
        self.check_lookups()

    def check_lookups(self) -> None:
        """Compare lookups by offset and by time."""
        log = self.station.log
        headers = [read_header(batch) for _, batch in self.batches[: self.flushed]]
        for header in self.rng.sample(headers, min(3, len(headers))):
            offset = max(self.start, self.rng.randrange(header.base_offset, header.next_offset))
            assert next(iter(log.headers(offset))).base_offset == header.base_offset
            time = header.max_timestamp - self.rng.randrange(2)
            expected = next(one for one in headers if one.max_timestamp >= time)
            assert log.batch_at_timestamp(time).next_offset == expected.next_offset
        if headers:
            newest = max(headers, key=lambda header: header.max_timestamp)
            assert log.batch_of_max_timestamp().next_offset == newest.next_offset


OPERATIONS: list[tuple[int, Callable[[Model], None]]] = [
    (12, Model.append), (8, Model.flush), (3, Model.sync), (2, Model.checkpoint), (2, Model.truncate),
    (1, Model.advance_start), (1, Model.retain), (1, Model.fill_disk), (1, Model.reopen), (2, Model.die),
    (2, Model.die_within),
]  # fmt: skip


class ModelTests(SynchronousTestCase):
    """Random histories; the seed is in the message of a failure."""

    def test_histories(self) -> None:
        """Whatever happens between operations, the log is what the list says."""
        weights = [weight for weight, _ in OPERATIONS]
        for seed in range(RUNS):
            model = Model(seed)
            done: list[str] = []
            try:
                for _ in range(STEPS):
                    (_, operation), = model.rng.choices(OPERATIONS, weights)
                    done.append(operation.__name__)
                    operation(model)
                    if operation is not Model.append:
                        model.check()
            except BaseException as error:
                raise AssertionError(f"seed {seed}: {done}") from error
            model.station.stop()
