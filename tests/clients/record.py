"""
A loopback proxy that records Kafka frames, for golden files.

It stands between a client and a broker that advertises the proxy's port, forwards every byte unchanged, and
keeps each whole frame with its direction and the key and version of its request.
"""

from __future__ import annotations

import asyncio
import struct
import threading
from collections.abc import Iterable
from types import TracebackType
from typing import NamedTuple

PRODUCE, FETCH = 0, 1

#: How many frames of one direction, key and version are worth keeping; these two carry record batches.
KEPT_FRAMES = 2
KEPT_RECORD_FRAMES = 6


class Frame(NamedTuple):
    """One frame as it crossed the wire, without its length prefix."""

    direction: str
    api_key: int
    api_version: int
    payload: bytes


class RecordingProxy:
    """
    Forward one loopback port to another and record what passes, on a thread of its own.

    @ivar frames: every frame seen so far, in order of arrival.
    """

    def __init__(self, port: int, upstream_port: int) -> None:
        self.port = port
        self.upstream_port = upstream_port
        self.frames: list[Frame] = []
        self._loop = asyncio.new_event_loop()
        self._serving = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> RecordingProxy:
        self._thread.start()
        if not self._serving.wait(10.0):
            raise TimeoutError("the recording proxy did not start")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10.0)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._connected, "127.0.0.1", self.port))
        self._serving.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked: dict[int, tuple[int, int]] = {}
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.upstream_port)
            await asyncio.gather(self._requests(reader, up_writer, asked), self._responses(up_reader, writer, asked))
        except (OSError, asyncio.IncompleteReadError):
            writer.close()

    async def _requests(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: dict[int, tuple[int, int]]
    ) -> None:
        try:
            while True:
                head, payload = await _read_frame(reader)
                api_key, api_version, correlation_id = struct.unpack_from(">hhi", payload)
                asked[correlation_id] = api_key, api_version
                self.frames.append(Frame("request", api_key, api_version, payload))
                writer.write(head + payload)
                await writer.drain()
        finally:
            writer.close()

    async def _responses(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: dict[int, tuple[int, int]]
    ) -> None:
        try:
            while True:
                head, payload = await _read_frame(reader)
                (correlation_id,) = struct.unpack_from(">i", payload)
                api_key, api_version = asked.pop(correlation_id)
                self.frames.append(Frame("response", api_key, api_version, payload))
                writer.write(head + payload)
                await writer.drain()
        finally:
            writer.close()


async def _read_frame(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readexactly(4)
    return head, await reader.readexactly(int.from_bytes(head, "big"))


def telling_frames(frames: Iterable[Frame]) -> list[Frame]:
    """
    Keep a few frames of each direction, key and version: the first, and the longest of other lengths.

    Lengths stand for shapes: a second frame of the same length rarely takes another path through a codec.
    """
    groups: dict[tuple[str, int, int], dict[int, Frame]] = {}
    for frame in frames:
        groups.setdefault(frame[:3], {}).setdefault(len(frame.payload), frame)
    kept: list[Frame] = []
    for (_, api_key, _), by_length in groups.items():
        first, *others = by_length.values()
        others.sort(key=lambda frame: -len(frame.payload))
        most = KEPT_RECORD_FRAMES if api_key in (PRODUCE, FETCH) else KEPT_FRAMES
        kept += [first, *others[: most - 1]]
    return kept
