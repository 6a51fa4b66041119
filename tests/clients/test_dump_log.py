"""kafka-dump-log, which reads the files that a broker leaves: no network, only the layout on disk."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import Producer

from tests.clients.brokers import BrokerProcess
from tests.clients.drivers.base import DEADLINE_S, START_MS, sample_records
from tests.clients.drivers.confluent import ConfluentClient
from tests.clients.java import tool
from tests.clients.programs import run

pytestmark = pytest.mark.tools

BATCHES = 60


def dump(*arguments: str | Path) -> str:
    """Run kafka-dump-log; return all that it says: it prints what it shows, and complains on standard error."""
    return run(tool("kafka-dump-log", *map(str, arguments)), with_errors=True)


@pytest.fixture
def segments(make_broker: Callable[[], BrokerProcess], topic: str, group: str) -> BrokerProcess:
    """A stopped broker that holds a topic of several segments and a group's offsets."""
    broker = make_broker()
    broker.start()
    client = ConfluentClient(broker.bootstrap)
    client.create(topic, 1, {"segment.bytes": "1048576", "index.interval.bytes": "4096"})
    producer = Producer({**client.common, "enable.idempotence": True})
    for number in range(BATCHES):
        producer.produce(topic, b"v" * 50_000, b"key-%d" % number, 0, timestamp=START_MS + number)
        assert producer.flush(DEADLINE_S) == 0
    compressed = f"{topic}-compressed"
    client.create(compressed)
    for codec in client.codecs:
        client.produce(compressed, codec, sample_records(codec, 8, START_MS))
    client.consume(compressed, group, 40)
    broker.stop()
    return broker


def test_files(segments: BrokerProcess, topic: str, group: str, tmp_path: Path) -> None:
    """Every file that a partition leaves is what Kafka's own tool expects."""
    directory = segments.segments(topic)
    logs = sorted(directory.glob("*.log"))
    assert len(logs) > 2, "the topic rolled"
    check_records(logs)
    for log in logs:
        check_indexes(log)
    check_that_complaints_are_seen(logs[0], tmp_path)
    check_snapshot(sorted(directory.glob("*.snapshot"))[-1])
    check_codecs(segments.segments(f"{topic}-compressed"))
    check_group_offsets(segments, topic, group)


def check_records(logs: list[Path]) -> None:
    """Batches are valid, follow one another without a gap, and carry the producer's sequence."""
    printed = dump("--print-data-log", "--deep-iteration", "--files", ",".join(map(str, logs)))
    batches = re.findall(
        r"^baseOffset: (\d+) lastOffset: \d+ count: 1 baseSequence: (\d+) .*"
        r"producerEpoch: 0 partitionLeaderEpoch: 0 .*magic: 2 compresscodec: none .*isvalid: true",
        printed,
        re.MULTILINE,
    )
    assert batches == [(str(number), str(number)) for number in range(BATCHES)]
    records = re.findall(r"offset: (\d+) CreateTime: (\d+) .*key: (\S+) payload: v{50000}$", printed, re.MULTILINE)
    assert records == [(str(number), str(START_MS + number), f"key-{number}") for number in range(BATCHES)]
    starts = re.findall(r"Log starting offset: (\d+)", printed)
    assert [int(start) for start in starts] == [int(log.stem) for log in logs]


def check_indexes(log: Path) -> None:
    """Each index entry leads to where the log has that offset or time."""
    for suffix in (".index", ".timeindex"):
        index = log.with_suffix(suffix)
        for check in ("--verify-index-only", "--index-sanity-check"):
            printed = dump(check, "--files", index)
            for trouble in ("Mismatches", "mismatch", "out of order", "corrupt", "Found"):
                assert trouble not in printed, printed
        assert "passed sanity check" in dump("--index-sanity-check", "--files", index)


def check_that_complaints_are_seen(log: Path, directory: Path) -> None:
    """An index that is wrong in one entry is complained about, where the checks above would see it."""
    shutil.copy(log, directory)
    index = bytearray(log.with_suffix(".index").read_bytes())
    index[3] += 1  # the relative offset of the first entry
    wrong = directory / log.with_suffix(".index").name
    wrong.write_bytes(index)
    assert "Mismatches" in dump("--verify-index-only", "--files", wrong)


def check_snapshot(snapshot: Path) -> None:
    """The producer's last batch stands in the producer snapshot."""
    printed = dump("--files", snapshot)
    last = re.search(r"producerId: \d+ producerEpoch: 0 .*lastSequence: (\d+) lastOffset: (\d+)", printed)
    assert last is not None, printed
    assert last.group(1) == last.group(2) == str(int(snapshot.stem) - 1)


def check_codecs(directory: Path) -> None:
    """Compressed batches are kept as the client sent them."""
    [log] = directory.glob("*.log")
    printed = dump("--print-data-log", "--deep-iteration", "--files", log)
    codecs = re.findall(r"compresscodec: (\w+) .*isvalid: true", printed)
    assert list(dict.fromkeys(codecs)) == ["none", "gzip", "snappy", "lz4", "zstd"]
    values = re.findall(r"payload: (\w+-\d+)-x{200}$", printed, re.MULTILINE)
    assert values == [f"{codec}-{number}" for codec in dict.fromkeys(codecs) for number in (0, 2, 4, 6)]


def check_group_offsets(broker: BrokerProcess, topic: str, group: str) -> None:
    """The group's commits are records that Kafka's own decoder of __consumer_offsets reads."""
    logs = [str(log) for log in broker.data_dir.rglob("__consumer_offsets-*/*.log")]
    printed = dump("--offsets-decoder", "--files", ",".join(logs))
    for partition in (0, 1):
        assert re.search(
            rf'"group":"{group}","topic":"{topic}-compressed","partition":{partition}.*"offset":20,', printed
        ), printed
    assert re.search(rf'"group":"{group}".*"protocolType":"consumer"', printed), printed
