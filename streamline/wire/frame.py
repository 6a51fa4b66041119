"""
Frames: four bytes of length, then a message.

Bytes are kept as the chunks they came in and joined once, when a frame is whole: appending to one buffer would copy
a frame over and over.  To join a hundred megabytes at once would hold up everybody else for a tenth of a second, so a
very large frame is put together as it comes after all, once so much of it is there that its buffer grows by moving
pages, not bytes: a smaller one would be copied from hole to hole of the heap, and leave as much again behind.  A
frame's length is judged as soon as it is known, and before anything is kept for it.
"""

from collections.abc import Callable, Iterable, Iterator
from struct import Struct

from streamline.errors import ProtocolError

PRODUCE = 0
PRODUCE_BYTES = 100 << 20
"""The longest Produce request: Kafka's socket.request.max.bytes."""
OTHER_BYTES = 1 << 20
"""The longest request of any other API.  A frame of 100 MiB full of tiny strings would stall a node for seconds."""
REQUEST_BYTES = 8
"""The shortest request: key, version and correlation id."""
RESPONSE_BYTES = 4
"""The shortest response: the correlation id."""

LARGE_BYTES = 8 << 20
"""A longer frame is put together as it comes, once so much of it is there.  The C library maps what is as large."""
CRUMBS = 64
"""So many chunks are joined when they are hardly longer than what Python takes for each of them."""
CRUMB_BYTES = 1024

_LENGTH = Struct(">i")
_LENGTH_AND_KEY = Struct(">ih")
_HTTP = (b"GET ", b"POST", b"PUT ", b"HEAD", b"HTTP", b"OPTI", b"DELE", b"PATC", b"CONN", b"PRI ")


def max_request_bytes(api_key: int) -> int:
    """Give the longest request of an API that a node takes from a client it knows."""
    return PRODUCE_BYTES if api_key == PRODUCE else OTHER_BYTES


class Frames:
    """
    Cuts a stream of bytes into frames.

    @ivar max_bytes: the longest frame; a number, or a function of the api key that a request begins with.  It may
        be changed between calls of L{feed}, for instance when a client has authenticated.
    @ivar missing_bytes: what the frame that is coming still lacks; 0 between frames.
    """

    def __init__(
        self, max_bytes: Callable[[int], int] | int = max_request_bytes, min_bytes: int = REQUEST_BYTES
    ) -> None:
        self.max_bytes = max_bytes
        self._min_bytes = min_bytes
        self._head = b""
        """The first bytes of a frame whose length is not judged yet; fewer than six."""
        self._chunks: list[bytes] = []
        self._loose = 0
        """How many chunks have come since it was last seen whether they are crumbs."""
        self._large: bytearray | None = None
        """Instead of C{_chunks}, for a very large frame."""
        self._chunk_bytes = 0
        self.missing_bytes = 0

    @property
    def buffered_bytes(self) -> int:
        """How many bytes of an unfinished frame are kept."""
        return len(self._head) + self._chunk_bytes

    def feed(self, data: bytes) -> Iterable[bytes | memoryview]:
        """
        Take bytes as they came and give the frames that they finish, without their lengths.

        Go through all of them: what has not been reached is not kept.

        @raise ProtocolError: a frame is too long or too short; perhaps only when it is its turn to be given.  Nothing
            more can be read from this stream.
        """
        is_between = not self.missing_bytes and not self._head
        if is_between and len(data) >= 6 and _LENGTH.unpack_from(data)[0] + 4 == len(data):
            self._judge(data[:6])
            return (data[4:],)  # one frame and nothing else, as nearly always where one waits for another
        return self._cut(data)

    def _cut(self, data: bytes) -> Iterator[bytes | memoryview]:
        at, end = 0, len(data)
        if self.missing_bytes:
            at = self.missing_bytes
            if end < at:
                self._keep(data, end)
                return
            self._keep(data[:at], at)
            yield self._whole()
        elif self._head:
            data, self._head = self._head + data, b""
            end = len(data)
        judged, length = b"", 0
        while end - at >= 6:
            start = data[at : at + 6]
            if start != judged:  # else it is as long as the one before, and of the same API
                length = self._judge(start)
                judged = start
            at += 4
            begin, at = at, at + length
            if at > end:
                self.missing_bytes = length
                self._keep(data[begin:], end - begin)
                return
            yield data[begin:at]
        if end - at >= 4:
            (length,) = _LENGTH.unpack_from(data, at)
            if length < self._min_bytes:
                raise ProtocolError(_complaint(data[at : at + 4], length, length))
        self._head = data[at:]

    def _judge(self, start: bytes) -> int:
        """Return the length of a frame that begins so; whoever sent another than is allowed is told."""
        length, api_key = _LENGTH_AND_KEY.unpack(start)
        limit = self.max_bytes if isinstance(self.max_bytes, int) else self.max_bytes(api_key)
        if not self._min_bytes <= length <= limit:
            raise ProtocolError(_complaint(start, length, limit))
        return length  # type: ignore[no-any-return]

    def _keep(self, data: bytes, size_bytes: int) -> None:
        self._chunk_bytes += size_bytes
        self.missing_bytes -= size_bytes
        if self._large is not None:
            self._large += data
            return
        self._chunks.append(data)
        self._loose += 1
        if self._chunk_bytes >= LARGE_BYTES and self.missing_bytes:
            self._large = bytearray().join(self._chunks)
            self._chunks.clear()
        elif self._loose == CRUMBS:
            self._gather_crumbs()

    def _gather_crumbs(self) -> None:
        """Join what came last if it came in such small pieces that these would take many times what they hold."""
        self._loose = 0
        last = self._chunks[-CRUMBS:]
        if sum(map(len, last)) < CRUMBS * CRUMB_BYTES:
            self._chunks[-CRUMBS:] = [b"".join(last)]

    def _whole(self) -> bytes | memoryview:
        """Give the frame that has come, and keep nothing of it."""
        chunks, large = self._chunks, self._large
        self._chunks, self._large = [], None
        self._loose = self._chunk_bytes = 0
        return b"".join(chunks) if large is None else memoryview(large).toreadonly()


def _complaint(start: bytes, length: int, most: int) -> str:
    if start[:4] in _HTTP:
        return "this is the Kafka listener, and the peer speaks HTTP to it"
    if start[0] == 0x16 and start[1] == 3:
        return "this listener does not speak TLS, and the peer does"
    if start[0] == 0x15 and start[1] == 3:
        return "the peer sent a TLS alert to a listener that does not speak TLS"
    if length > most:
        return f"a frame of {length} bytes is longer than {most}"
    return f"a frame cannot have {length} bytes"
