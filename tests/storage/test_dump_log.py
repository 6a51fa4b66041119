"""Kafka's own tool reads our segments and their indexes, and finds nothing to complain about."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from random import Random

import pytest

from streamline.config import NodeConfig, TopicConfig
from streamline.interfaces import IPartitionLog
from streamline.storage.segments import SegmentStorage
from streamline.testing.contracts.storage_harness import IDENTITY, make_batch
from streamline.testing.worlds import EPOCH_MS, RealWorld
from streamline.wire.batch import read_header
from tests.clients.java import tool

pytestmark = pytest.mark.tools

CONFIG = TopicConfig(segment_bytes=2**20, index_interval_bytes=4096)


def dump(*arguments: str) -> str:
    """Return what the tool prints; what it complains of comes on standard error."""
    done = subprocess.run(
        tool("kafka-dump-log", *arguments), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def fill(log: IPartitionLog, rng: Random, count: int) -> None:
    """Append batches of many sizes, whose times go back and forth."""
    for _ in range(count):
        offset = log.end_offset
        timestamp = EPOCH_MS + offset * 10 + rng.randrange(-500, 500)
        batch = make_batch(offset, rng.randrange(1, 4), timestamp=timestamp, value_bytes=rng.choice((10, 900, 9000)))
        log.append(read_header(batch), [batch])
    log.flush()


def test_dump_log(tmp_path: Path) -> None:
    """Logs that were filled, cut, stopped, killed and filled again have sound files."""
    world = RealWorld()
    rng = Random(1)
    try:
        for round_number in range(4):
            storage = SegmentStorage(world.host, NodeConfig(data_dir=str(tmp_path)))
            world.result_of(storage.start())
            log = world.result_of(storage.open(IDENTITY, CONFIG))
            fill(log, rng, 300)
            log.truncate(log.end_offset - 100)
            fill(log, rng, 100)
            if round_number % 2:
                world.result_of(storage.checkpoint())
                fill(log, rng, 50)  # and then the storage is forgotten, as in a crash
            else:
                world.result_of(storage.stop())
        storage = SegmentStorage(world.host, NodeConfig(data_dir=str(tmp_path)))
        world.result_of(storage.start())
        end_offset = world.result_of(storage.open(IDENTITY, CONFIG)).end_offset
        world.result_of(storage.stop())
    finally:
        world.close()
    directory = tmp_path / str(IDENTITY)
    files = sorted(path for path in directory.iterdir() if path.suffix in (".log", ".index", ".timeindex"))
    assert len([path for path in files if path.suffix == ".log"]) > 3
    text = dump("--deep-iteration", "--files", ",".join(map(str, files)))
    complaint = re.search("(?i).*(mismatch|not found|out of order|isvalid: false|exception).*", text)
    assert complaint is None, complaint[0]
    # Of the first offset of each file but the log's first it says that it follows -1.
    assert [gap for gap in re.findall(r"(-?\d+) is followed by \d+", text) if gap != "-1"] == []
    assert text.count("baseOffset:") > 1000
    assert f"lastOffset: {end_offset - 1} " in text
    for path in files:
        if path.suffix != ".log":
            checked = dump("--index-sanity-check", "--files", str(path))
            assert "passed sanity check" in checked, checked

