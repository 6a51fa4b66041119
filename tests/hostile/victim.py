"""
An honest client in a process of its own: C{python -m tests.hostile.victim PORT}.

It produces a record and fetches it, over and over, from when it has printed a line until its standard input ends;
then it prints a line of JSON: how often, how long that took, and whether anything was wrong.
"""

from __future__ import annotations

import json
import select
import socket
import struct
import sys
import time

from streamline.wire.codec import decode, encode
from streamline.wire.header import read_response_header, write_request_header
from streamline.wire.messages import RESPONSES
from streamline.wire.schema import Message
from tests.broker import batch_of, fetch_request, produce_request

TOPIC = "honest"
PAUSE_S = 0.002


class Connection:
    """A blocking connection that asks one thing at a time."""

    def __init__(self, port: int, timeout_s: float = 30.0) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self.socket.makefile("rb")
        self._number = 0

    def send(self, request: Message, version: int) -> None:
        """Send a request."""
        self._number += 1
        body = write_request_header(type(request).KEY, version, self._number, "victim") + encode(request, version)
        self.socket.sendall(struct.pack(">i", len(body)) + body)

    def ask(self, request: Message, version: int) -> Message:
        """Send a request and read its answer."""
        self.send(request, version)
        head = self._file.read(4)
        if len(head) < 4:
            raise ConnectionError("the node closed the connection")
        frame = self._file.read(int.from_bytes(head, "big"))
        key = type(request).KEY
        number, at = read_response_header(frame, key, version)
        assert number == self._number
        return decode(RESPONSES[key], version, frame[at:])

    def close(self) -> None:
        """End."""
        self.socket.close()


def main(port: str) -> None:
    """Go on until told to stop, then report."""
    connection = Connection(int(port))
    took: list[float] = []
    wrong = 0
    print("ready", flush=True)
    while not select.select([sys.stdin], [], [], PAUSE_S)[0]:
        began = time.monotonic()
        produced = connection.ask(produce_request(TOPIC, batch_of(b"v" * 100)), 9)
        result = produced.responses[0].partition_responses[0]  # type: ignore[attr-defined]
        fetched = connection.ask(fetch_request(TOPIC, max(0, result.base_offset)), 12)
        data = fetched.responses[0].partitions[0]  # type: ignore[attr-defined]
        took.append(time.monotonic() - began)
        wrong += result.error_code != 0 or data.error_code != 0 or not data.records
    took = sorted(took) or [0.0]
    report = {
        "count": len(took),
        "wrong": wrong,
        "p50_ms": round(took[len(took) // 2] * 1000, 2),
        "p99_ms": round(took[len(took) * 99 // 100] * 1000, 2),
        "max_ms": round(took[-1] * 1000, 2),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main(*sys.argv[1:])
