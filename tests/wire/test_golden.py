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

from streamline.wire.codec import decode, encode
from streamline.wire.header import (
    read_request_header,
    read_response_header,
    response_header,
    write_request_header,
)
from streamline.wire.messages import REQUESTS, RESPONSES

GOLDEN = Path(__file__).parent / "golden"


def frames() -> Iterator[tuple[str, dict[str, Any]]]:
    """Give every captured frame, and where it stands."""
    for path in sorted(GOLDEN.glob("*.jsonl")):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            yield f"{path.name}:{number}", json.loads(line)


class GoldenTests(SynchronousTestCase):
    """Nothing of a real frame is lost."""

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
