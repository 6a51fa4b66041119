"""
Frames that real clients sent and real brokers answered are read, and written back byte for byte.

Each line of C{golden/<client>.jsonl} is a frame without its four bytes of length:
C{{"client", "direction": "request" | "response", "api_key", "api_version", "hex"}}.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from streamline.errors import ProtocolError
from streamline.wire.batch import check, produced_header
from streamline.wire.codec import decode, encode
from streamline.wire.header import (
    read_request_header,
    read_response_header,
    response_header,
    write_request_header,
)
from streamline.wire.messages import REQUESTS, RESPONSES
from streamline.wire.messages.produce import ProduceRequest
from streamline.wire.recordcheck import check_records
from streamline.wire.records import records
from streamline.wire.schema import Message

GOLDEN = Path(__file__).parent / "golden"
CLIENTS = ("confluent-kafka", "kafka-python", "aiokafka", "kafkajs")
HOT = {0, 1, 3, 18}
"""What every client does: Produce, Fetch, Metadata, ApiVersions."""


def frames() -> Iterator[tuple[str, dict[str, Any]]]:
    """Give every captured frame, and where it stands."""
    for path in sorted(GOLDEN.glob("*.jsonl")):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            yield f"{path.name}:{number}", json.loads(line)


def read_request(data: bytes) -> tuple[int, int, Message]:
    """Read a frame as a node does."""
    header = read_request_header(data)
    if not header.is_known:
        raise ProtocolError("answered without being read")
    body = decode(REQUESTS[header.api_key], header.api_version, data[header.at :])
    return header.api_key, header.api_version, body


class GoldenTests(SynchronousTestCase):
    """Nothing of a real frame is lost."""

    def test_every_client_has_done_something(self) -> None:
        seen: dict[tuple[str, str], set[int]] = {}
        for where, frame in frames():
            seen.setdefault((where.partition(".jsonl")[0], frame["direction"]), set()).add(frame["api_key"])
        for client in CLIENTS:
            for direction in ("request", "response"):
                self.assertLessEqual(HOT, seen.get((client, direction), set()), f"{client} {direction}")

    def test_requests(self) -> None:
        for where, frame in frames():
            if frame["direction"] != "request":
                continue
            data = bytes.fromhex(frame["hex"])
            header = read_request_header(data)
            key, version = header.api_key, header.api_version
            self.assertEqual((key, version), (frame["api_key"], frame["api_version"]), where)
            body = decode(REQUESTS[key], version, data[header.at :])
            head = write_request_header(key, version, header.correlation_id, header.client_id)
            self.assertEqual((head + encode(body, version)).hex(), frame["hex"], where)

    def test_responses(self) -> None:
        for where, frame in frames():
            if frame["direction"] != "response":
                continue
            data = bytes.fromhex(frame["hex"])
            key, version = frame["api_key"], frame["api_version"]
            correlation_id, at = read_response_header(data, key, version)
            body = decode(RESPONSES[key], version, data[at:])
            written = response_header(key, version, correlation_id) + encode(body, version)
            self.assertEqual(written.hex(), frame["hex"], where)

    def test_batches(self) -> None:
        """What real producers send passes every check that we have."""
        codecs = set()
        for where, frame in frames():
            if (frame["direction"], frame["api_key"]) != ("request", 0):
                continue
            _, version, body = read_request(bytes.fromhex(frame["hex"]))
            assert isinstance(body, ProduceRequest)
            for topic in body.topic_data:
                for partition in topic.partition_data:
                    data = partition.records
                    assert isinstance(data, memoryview)
                    header = produced_header(data)
                    check(data, 0, header, max_bytes=1 << 20, produce_version=version, now_ms=header.max_timestamp)
                    found = list(records(data, header))
                    self.assertEqual([record.offset for record in found], list(range(header.record_count)), where)
                    checked = check_records(data, header)
                    self.assertEqual(checked.max_timestamp, max(record.timestamp for record in found), where)
                    self.assertEqual(checked.max_timestamp, header.max_timestamp, where)
                    codecs.add(header.compression)
        self.assertGreater(len(codecs), 1, "more than one codec was captured")


class HostileTests(SynchronousTestCase):
    """SE5: what is nearly a real request is refused or read, and nothing else happens."""

    def test_every_truncation_and_trailing_garbage(self) -> None:
        for where, frame in frames():
            if frame["direction"] == "request":
                data = bytes.fromhex(frame["hex"])
                for broken in (*(data[:end] for end in range(len(data))), data + b"\0"):
                    with self.assertRaises(ProtocolError, msg=where):
                        read_request(broken)

    def test_one_byte_mutations(self) -> None:
        for where, frame in frames():
            if frame["direction"] != "request":
                continue
            data = bytes.fromhex(frame["hex"])
            for at in range(len(data)):
                for value in (0, 0x7F, 0x80, 0xFF, data[at] ^ 1):
                    try:
                        read_request(data[:at] + bytes([value]) + data[at + 1 :])
                    except ProtocolError:
                        continue
                    except Exception as error:
                        self.fail(f"{where}: byte {at} as {value}: {error!r}")
