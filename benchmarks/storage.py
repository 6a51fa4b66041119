"""
What the storage costs, beside what the kernel costs: appends, reads, syncs and recovery.

    python -m benchmarks.storage [directory]

Each figure of ours stands beside the same bytes written or read by bare system
calls in the same run, turn by turn, so that a busy machine slows both.  What
works in the page cache is counted in CPU time, what waits for the device by the
clock.
"""

from __future__ import annotations

import gc
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any, NamedTuple

from streamline.config import NodeConfig, TopicConfig
from streamline.interfaces import IPartitionLog
from streamline.model import Buffer, LogIdentity, LogSlice
from streamline.storage.recovery import Plan, load
from streamline.storage.segments import SegmentStorage
from streamline.testing.worlds import RealWorld
from streamline.wire.batch import BatchHeader, read_header
from streamline.wire.records import Record, build_batch

ROUNDS = 5
BYTES_PER_ROUND = 64 * 2**20
BATCHES_MAX = 20_000
TOPIC_ID = bytes(16)
SIZES = (256, 1024, 16 * 1024, 64 * 1024, 2**20)


class Batch(NamedTuple):
    """One batch to be appended again and again, as the broker hands it over."""

    header: BatchHeader
    whole: memoryview
    rest: memoryview

    @property
    def size(self) -> int:
        """Its bytes."""
        return self.header.size


def a_batch(size: int) -> Batch:
    """Return a batch of about so many bytes."""
    data = build_batch([Record(value=os.urandom(max(1, size - 80)), timestamp=1_767_225_600_000)])
    view = memoryview(data)
    return Batch(read_header(data), view, view[16:])


def append(log: IPartitionLog, batch: Batch, count: int) -> None:
    """Append a batch so many times, without flushing."""
    header = batch.header
    for _ in range(count):
        log.append(header, (header.place(log.end_offset, 0), batch.rest))


def per_call_us(function: Callable[[], None], calls: int) -> float:
    """Return microseconds per call."""
    gc.collect()
    start = time.process_time()
    function()
    return (time.process_time() - start) / calls * 1e6


class Bench:
    """A directory with a storage in it and room for bare files."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.world = RealWorld()
        self.storage = SegmentStorage(self.world.host, NodeConfig(data_dir=f"{directory}/data"))
        self.world.result_of(self.storage.start())
        self._logs = 0

    def log(self, **settings: Any) -> IPartitionLog:
        """Open a new log."""
        self._logs += 1
        return self.world.result_of(
            self.storage.open(LogIdentity("bench", self._logs, TOPIC_ID), TopicConfig(**settings))
        )

    def drop(self, log: IPartitionLog) -> None:
        """Delete a log."""
        self.world.result_of(self.storage.discard(log.identity))

    def file(self) -> int:
        """Open a new bare file, whose name is gone already."""
        path = f"{self.directory}/bare"
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        os.unlink(path)
        return fd


def row(name: str, ours: list[float], bare: list[float], size: int) -> None:
    """Print a line: medians, rates and their ratio."""
    us, bare_us = median(ours), median(bare)
    rate = f"{size / us:9.0f} MB/s" if size else " " * 14
    print(f"{name:34}{us:10.2f} us{bare_us:10.2f} us{bare_us / us:8.2f}x {rate}", flush=True)


def appends(bench: Bench) -> None:
    """Append and flush, one batch and 40 at a time, beside pwritev of the same parts."""
    for group in (1, 40):
        for size in SIZES:
            batch = a_batch(size)
            count = max(group, min(BATCHES_MAX, BYTES_PER_ROUND // batch.size) // group * group)
            ours, bare = [], []
            for _ in range(ROUNDS):
                log, fd = bench.log(), bench.file()
                ours.append(per_call_us(partial(flushes, log, batch, group, count), count))
                bare.append(per_call_us(partial(writes, fd, batch, group, count), count))
                os.close(fd)
                bench.drop(log)
            row(f"append {group} x {size} B, flush", ours, bare, batch.size)


def flushes(log: IPartitionLog, batch: Batch, group: int, count: int) -> None:
    """Append so many, flushing each group."""
    for _ in range(count // group):
        append(log, batch, group)
        log.flush()


def writes(fd: int, batch: Batch, group: int, count: int) -> None:
    """Write the same with bare calls."""
    at = 0
    for _ in range(count // group):
        parts: list[Buffer] = []
        for _ in range(group):
            parts += (batch.header.place(at, 0), batch.rest)
        at += os.pwritev(fd, parts, at)


def reads(bench: Bench) -> None:
    """Read along, catch up, and look for offsets, beside pread of as many bytes."""
    for size in SIZES[:4]:
        batch = a_batch(size)
        log = bench.log()
        count = min(BATCHES_MAX, BYTES_PER_ROUND // batch.size) // 10 * 10
        fd = bench.file()
        flushes(log, batch, 10, count)
        writes(fd, batch, 10, count)
        for name, walk, bare_walk, max_bytes in (
            ("catch up", catch_up, pread_all, 2**20),
            ("catch up", catch_up, pread_all, 2**16),
            ("look for offsets", look_for, pread_some, batch.size),
        ):
            ours, bare = [], []
            calls = 0
            for _ in range(ROUNDS):
                start = time.process_time()
                calls = walk(log, count, max_bytes)
                ours.append((time.process_time() - start) / calls * 1e6)
                start = time.process_time()
                calls = bare_walk(fd, batch.size, count, max_bytes)
                bare.append((time.process_time() - start) / calls * 1e6)
            row(f"{name}, {size} B, {max_bytes} B", ours, bare, count * batch.size // calls)
        os.close(fd)
        bench.drop(log)
        read_along(bench, batch)


def taken(found: object) -> LogSlice:
    """Assert that a read did not wait: all of this lies in the page cache."""
    assert isinstance(found, LogSlice), "the page cache is too small for this"
    return found


def catch_up(log: IPartitionLog, count: int, max_bytes: int) -> int:
    """Read everything in order; return how many reads that took."""
    offset = calls = 0
    while offset < log.flushed_offset:
        found = log.read(offset, max_bytes, end_offset=log.flushed_offset, at_least_one=True)
        offset = taken(found).next_offset
        calls += 1
    return calls


def pread_all(fd: int, size: int, count: int, max_bytes: int) -> int:
    """Read everything in order with bare calls."""
    step = max(size, max_bytes // size * size)
    for at in range(0, size * count, step):
        os.pread(fd, step, at)
    return (size * count + step - 1) // step


def look_for(log: IPartitionLog, count: int, max_bytes: int) -> int:
    """Read one batch here and there."""
    calls = min(5000, count)
    for number in range(calls):
        offset = number * 7919 % count
        taken(log.read(offset, max_bytes, end_offset=log.flushed_offset, at_least_one=True))
    return calls


def pread_some(fd: int, size: int, count: int, max_bytes: int) -> int:
    """Read one batch here and there with bare calls."""
    calls = min(5000, count)
    for number in range(calls):
        os.pread(fd, size, number * 7919 % count * size)
    return calls


def read_along(bench: Bench, batch: Batch) -> None:
    """Read each batch right after it was flushed, as a consumer or follower that keeps up does."""
    ours, bare = [], []
    count = min(5000, BYTES_PER_ROUND // batch.size)
    for _ in range(ROUNDS):
        log, fd = bench.log(), bench.file()
        spent = bare_spent = 0.0
        for number in range(count):
            append(log, batch, 1)
            log.flush()
            start = time.process_time()
            taken(log.read(number, 2**20, end_offset=number + 1, at_least_one=True))
            spent += time.process_time() - start
            os.pwrite(fd, batch.rest, number * batch.size)
            start = time.process_time()
            os.pread(fd, batch.size, number * batch.size)
            bare_spent += time.process_time() - start
        ours.append(spent / count * 1e6)
        bare.append(bare_spent / count * 1e6)
        os.close(fd)
        bench.drop(log)
    row(f"read along, {batch.size} B", ours, bare, batch.size)


def syncs(bench: Bench) -> None:
    """Durable appends, one and 40 in flight, beside write and fdatasync one after another."""
    batch = a_batch(256)
    for in_flight in (1, 40):
        ours, bare = [], []
        count = 20 * in_flight
        for _ in range(ROUNDS):
            log, fd = bench.log(), bench.file()
            start = time.perf_counter()
            for _ in range(count // in_flight):
                waiting = []
                for _ in range(in_flight):
                    append(log, batch, 1)
                    log.flush()
                    waiting.append(log.sync())
                for one in waiting:
                    bench.world.result_of(one)
            ours.append((time.perf_counter() - start) / count * 1e6)
            start = time.perf_counter()
            for number in range(20):
                os.pwrite(fd, batch.rest, number * batch.size)
                os.fdatasync(fd)
            bare.append((time.perf_counter() - start) / 20 * 1e6)
            os.close(fd)
            bench.drop(log)
        row(f"durable append, {in_flight} in flight", ours, bare, 0)


def recoveries(bench: Bench) -> None:
    """Scan a log after a crash, beside reading the file."""
    for size in SIZES[1:]:
        batch = a_batch(size)
        rates, bare = [], []
        directory = f"{bench.directory}/crashed-{size}"
        storage = SegmentStorage(bench.world.host, NodeConfig(data_dir=directory))
        bench.world.result_of(storage.start())
        identity = LogIdentity("bench", 0, TOPIC_ID)
        log = bench.world.result_of(storage.open(identity, TopicConfig()))
        count = min(4 * BATCHES_MAX, 4 * BYTES_PER_ROUND // batch.size)
        flushes(log, batch, 10, count)
        plan = Plan(bench.world.disk, f"{directory}/bench-0", TopicConfig(), 0, False, 0, 0)
        path = f"{directory}/bench-0/{0:020d}.log"
        for _ in range(3):
            os.sync()
            start = time.process_time()
            loaded = load(plan)
            rates.append((time.process_time() - start) / count * 1e6)
            assert loaded.end_offset == log.flushed_offset, "all of it is whole"
            start = time.process_time()
            with open(path, "rb", buffering=0) as file:
                while file.read(2**20):
                    pass
            bare.append((time.process_time() - start) / count * 1e6)
        row(f"recover, {size} B batches", rates, bare, batch.size)
        bench.world.result_of(log.close())
        shutil.rmtree(directory)


def openings(bench: Bench, partitions: int = 500) -> None:
    """Open many logs after a clean stop, beside opening and reading a file."""
    directory = f"{bench.directory}/many"
    host = bench.world.host
    for clean in (False, True):
        storage = SegmentStorage(host, NodeConfig(data_dir=directory))
        bench.world.result_of(storage.start())
        batch = a_batch(1000)
        start = time.perf_counter()
        logs = [
            bench.world.result_of(storage.open(LogIdentity("many", n, TOPIC_ID), TopicConfig()))
            for n in range(partitions)
        ]
        spent = (time.perf_counter() - start) / partitions * 1e6
        if not clean:
            for log in logs:
                flushes(log, batch, 10, 20)
        bench.world.result_of(storage.stop())
        start = time.perf_counter()
        for number in range(partitions):
            fd = os.open(f"{directory}/many-{number}/{0:020d}.log", os.O_RDWR)
            os.pread(fd, 4096, os.fstat(fd).st_size - 4096 if clean else 0)
            os.close(fd)
        bare = (time.perf_counter() - start) / partitions * 1e6
        row("open after a clean stop" if clean else "make a log", [spent], [bare], 0)


def main() -> None:
    """Run all of it."""
    directory = tempfile.mkdtemp(dir=sys.argv[1] if len(sys.argv) > 1 else None)
    print(f"{'':34}{'ours':>13}{'bare':>13}{'ratio':>9}")
    try:
        bench = Bench(directory)
        for part in (appends, reads, syncs, recoveries, openings):
            part(bench)
        bench.world.result_of(bench.storage.stop())
        bench.world.close()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
