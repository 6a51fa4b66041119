"""
What real clients send, byte for byte, to a node: every request that was captured of them is answered.

The frames are those of C{tests/wire/golden}: one line of JSON for each.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from streamline.api.table import TABLE, flexible_of
from streamline.wire.codec import decode
from streamline.wire.header import read_response_header
from streamline.wire.messages import RESPONSES
from tests.broker import Broker, Client

GOLDEN = Path(__file__).parents[1] / "wire" / "golden"
JOIN, SYNC = 11, 14
"""These wait for other members."""


def sessions() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Give each client's requests, in order."""
    for path in sorted(GOLDEN.glob("*.jsonl")):
        frames = [json.loads(line) for line in path.read_text().splitlines()]
        yield path.stem, [frame for frame in frames if frame["direction"] == "request"]


class RealClientTests(SynchronousTestCase):
    """Nothing that a client sends goes unanswered, and nothing that is served closes its connection."""

    def send(self, client: Client, frame: dict[str, Any]) -> None:
        """Send one captured request and read its answer with the declaration of its version."""
        data = bytes.fromhex(frame["hex"])
        key, version = frame["api_key"], frame["api_version"]
        client.give(len(data).to_bytes(4, "big") + data)
        answers: list[bytes] = []
        for _ in range(100):
            self.broker.wait(0.1)
            answers += client.frames()
            if answers or client.is_closed:
                break
        self.assertEqual(len(answers), 1, f"{frame['client']}: api {key} version {version}")
        self.assertEqual(answers[0][:4], data[4:8], "the correlation id")
        _, at = read_response_header(answers[0], key, version)
        decode(RESPONSES[key], version, answers[0][at:])

    def test_every_client(self) -> None:
        served: dict[str, int] = {}
        for name, frames in sessions():
            self.broker = Broker().start()
            client = self.broker.connect()
            for frame in frames:
                key, version = frame["api_key"], frame["api_version"]
                if key in (JOIN, SYNC) or flexible_of(key, version) is None:
                    continue
                if client.is_closed:
                    client = self.broker.connect()
                with self.subTest(client=name, api=TABLE[key].request.__name__, version=version):
                    self.send(client, frame)
                served[name] = served.get(name, 0) + 1
        self.assertEqual(len(served), 6, served)
        self.assertGreater(min(served.values()), 8, served)
