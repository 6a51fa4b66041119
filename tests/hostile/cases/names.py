"""Topic names that would be paths, or other topics (SE19)."""

from __future__ import annotations

from typing import Any

from streamline.errors import ErrorCode
from streamline.wire.messages.metadata import MetadataRequest, MetadataRequestTopic
from streamline.wire.messages.topics import CreatableTopic, CreateTopicsRequest
from tests.broker import batch_of, produce_request
from tests.hostile.arena import Arena, Case, framed
from tests.hostile.victim import TOPIC, Connection

BAD = (
    "../evil", "..", ".", "", "/tmp/evil", "a/b", "a\\b", "a\0b", "evil\n", "evil ", "x" * 250, "x" * 30_000, "é", "а",
    "\u2024\u2024", "~", "$HOME", "a:b", "%2e%2e", "C:", "*", "meta.properties/", "\x1b[31mred",
)  # fmt: skip
UPPER = "Honest"


def _creation(name: str) -> CreateTopicsRequest:
    topic = CreatableTopic(name=name, num_partitions=1, replication_factor=1)
    return CreateTopicsRequest(topics=[topic], timeout_ms=1000)


def bad_names(arena: Arena) -> None:
    """None of them becomes a topic or a file, however it is asked for."""
    before = sorted(path.name for path in arena.node.directory.iterdir())
    client = Connection(arena.node.port)
    requests = []
    for name in BAD:
        created: Any = client.ask(_creation(name), 2)
        assert created.topics[0].error_code == ErrorCode.INVALID_TOPIC_EXCEPTION, name
        asked = MetadataRequest(topics=[MetadataRequestTopic(name=name)], allow_auto_topic_creation=True)
        found: Any = client.ask(asked, 4)
        assert found.topics[0].error_code == ErrorCode.INVALID_TOPIC_EXCEPTION, name
        produced: Any = client.ask(produce_request(name, batch_of(b"v")), 8)
        assert produced.responses[0].partition_responses[0].error_code != ErrorCode.NONE, name
        requests += [framed(_creation(name), 2), framed(asked, 4), framed(produce_request(name, batch_of(b"v")), 8)]
    other_case: Any = client.ask(_creation(UPPER), 2)
    assert other_case.topics[0].error_code == ErrorCode.NONE, "names that differ in case are two topics, as in Kafka"
    client.close()
    arena.ask(arena.connect(4), requests, in_flight=10, least=len(requests))
    assert arena.node.report()["topics"] == sorted((TOPIC, UPPER))
    assert sorted(path.name for path in arena.node.directory.iterdir()) == before
    data = arena.node.directory / "data"
    logs = {path.name for path in data.rglob("*") if path.is_dir() and path.name.rpartition("-")[2].isdecimal()}
    assert {f"{TOPIC}-0", f"{UPPER}-0"} >= logs, logs


CASES = (Case("SE19", "topic names that would be paths", bad_names),)
