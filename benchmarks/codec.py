"""
What reading and writing messages costs, beside construct: C{python -m benchmarks.codec}.

Prints the CPU microseconds per message (best of several rounds, all ways of doing it taking turns in one run), and how
many times longer C{construct} and C{construct.compile()} take for the same message.  It also prints what checking and
reading record batches costs.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import Any

from streamline.wire.batch import is_intact, read_header
from streamline.wire.codec import reader, writer
from streamline.wire.construct_spec import batch_specification, container, specification
from streamline.wire.messages.api_versions import ApiVersion, ApiVersionsResponse
from streamline.wire.messages.fetch import (
    FetchableTopicResponse,
    FetchPartition,
    FetchRequest,
    FetchResponse,
    FetchTopic,
    PartitionData,
)
from streamline.wire.messages.groups import HeartbeatRequest
from streamline.wire.messages.metadata import (
    MetadataResponse,
    MetadataResponseBroker,
    MetadataResponsePartition,
    MetadataResponseTopic,
)
from streamline.wire.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from streamline.wire.recordcheck import check_records
from streamline.wire.records import Record, build_batch, records
from streamline.wire.schema import Message, is_flexible

ROUNDS = 7
ROUND_SECONDS = 0.02
BATCH = bytes(16384)


def messages() -> list[tuple[str, Message, int]]:
    """Give the messages to measure: name, message, version."""
    brokers = [MetadataResponseBroker(node_id=i, host=f"broker-{i}.example.com", port=9092) for i in range(3)]
    topics = [
        MetadataResponseTopic(
            name=f"topic-number-{number}",
            topic_id=number.to_bytes(16, "big"),
            partitions=[
                MetadataResponsePartition(
                    partition_index=index,
                    leader_id=index,
                    leader_epoch=5,
                    replica_nodes=[0, 1, 2],
                    isr_nodes=[0, 1, 2],
                )
                for index in range(3)
            ],
        )
        for number in range(50)
    ]
    produced = [PartitionProduceData(index=index, records=BATCH) for index in range(4)]
    wanted = [FetchPartition(partition=index, fetch_offset=1000, partition_max_bytes=1 << 20) for index in range(4)]
    fetched = [
        PartitionData(partition_index=index, high_watermark=9, records=BATCH, aborted_transactions=None)
        for index in range(4)
    ]
    many = [FetchPartition(partition=index, partition_max_bytes=1 << 20) for index in range(1000)]
    apis = [ApiVersion(api_key=key, max_version=9) for key in range(60)]
    return [
        ("Metadata 12 response, 150 partitions", MetadataResponse(brokers=brokers, topics=topics), 12),
        (
            "Produce 9 request, 4 x 16 KiB",
            ProduceRequest(acks=1, topic_data=[TopicProduceData(name="topic", partition_data=produced)]),
            9,
        ),
        ("Fetch 12 request, 4 partitions", FetchRequest(topics=[FetchTopic(topic="topic", partitions=wanted)]), 12),
        (
            "Fetch 12 response, 4 x 16 KiB",
            FetchResponse(responses=[FetchableTopicResponse(topic="topic", partitions=fetched)]),
            12,
        ),
        ("Fetch 12 request, 1000 partitions", FetchRequest(topics=[FetchTopic(topic="t", partitions=many)]), 12),
        ("ApiVersions 3 response, 60 apis", ApiVersionsResponse(api_keys=apis), 3),
        ("Heartbeat 4 request", HeartbeatRequest(group_id="group", generation_id=3, member_id="m" * 40), 4),
    ]


def cost_us(calls: list[Callable[[], Any]]) -> list[float]:
    """Measure calls in turns and give the microseconds of each."""
    best = [float("inf")] * len(calls)
    for _ in range(ROUNDS):
        for which, call in enumerate(calls):
            times, spent = 0, 0.0
            begin = time.process_time()
            while spent < ROUND_SECONDS:
                for _ in range(10 if best[which] < 1000 else 1):
                    call()
                    times += 1
                spent = time.process_time() - begin
            best[which] = min(best[which], spent / times * 1e6)
    return best


def compare(name: str, calls: list[Callable[[], Any]]) -> None:
    """Print a line: ours, then how much longer the others take."""
    ours, *others = cost_us(calls)
    ratios = "".join(f"{other:12.1f}{other / ours:7.0f}x" for other in others)
    print(f"{name:44}{ours:9.2f}{ratios}")


def main() -> None:
    """Print the tables."""
    gc.freeze()
    print(f"{'us per message':44}{'ours':>9}{'construct':>12}{'':8}{'.compile()':>12}")
    for name, message, version in messages():
        measure(name, message, version)
    batches()


def measure(name: str, message: Message, version: int) -> None:
    """Print what one message costs."""
    cls = type(message)
    spec = specification(cls, version)
    compiled = spec.compile()
    values = container(message, version, is_flexible(cls, version))
    read, write = reader(cls, version), writer(cls, version)
    frame = b"".join(write(message))
    compare(f"read   {name}", [lambda: read(frame), lambda: spec.parse(frame), lambda: compiled.parse(frame)])
    compare(f"write  {name}", [lambda: write(message), lambda: spec.build(values), lambda: compiled.build(values)])


def batches() -> None:
    """Print what batches cost."""
    now = 1_700_000_000_000
    data = build_batch([Record(b"v" * 100, None, now + i // 4) for i in range(150)])
    header = read_header(data)
    spec = batch_specification()
    compiled = spec.compile()
    compare("batch header", [lambda: read_header(data), lambda: spec.parse(data), lambda: compiled.parse(data)])
    compare("batch header, placed", [lambda: read_header(data).place(1, 1)])
    compare("batch checksum, 16 KiB", [lambda: is_intact(data, 0, header)])
    print("\nus per record, 1 MiB batches")
    for name, made in (
        ("100 B", [Record(b"v" * 100, None, now + i // 200) for i in range(9500)]),
        ("50-150 B with keys", [Record(b"v" * (50 + i * 37 % 100), b"key-%d" % i, now) for i in range(9500)]),
        ("100 B with two headers", [Record(b"v" * 100, None, now, [("a", b"b"), ("c", b"d")]) for _ in range(9000)]),
        ("1 KiB", [Record(b"v" * 1024, b"key", now + i) for i in range(1000)]),
        ("empty", [Record(b"", None, now) for _ in range(100_000)]),
    ):
        check_and_decode(name, made, 0)
        check_and_decode(name + ", zstd", made, 4)


def check_and_decode(name: str, made: list[Record], codec: int) -> None:
    """Print what checking and what decoding one batch costs, per record."""
    batch = build_batch(made, compression=codec)
    header = read_header(batch)
    check, decode = cost_us([lambda: check_records(batch, header), lambda: list(records(batch, header))])
    print(f"{name:44}{check / len(made):9.3f} checked{decode / len(made):9.3f} decoded")


if __name__ == "__main__":
    main()
