"""
Open files of the operating system, and parts of them that it sends by itself.

Used by L{streamline.storage.disk} alone.  A part keeps its file open: whoever sends slowly gets what was promised, also
where the segment has been put to rest or removed meanwhile.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from typing import Any

from streamline.model import Buffer


def read_at(fd: int, at: int, length: int) -> bytes:
    """Read so many bytes, or up to the end of the file; the kernel may hand them out in pieces."""
    data = os.pread(fd, length, at)
    if len(data) == length or not data:
        return data
    pieces = [data]
    got = len(data)
    while got < length and (data := os.pread(fd, length - got, at + got)):
        pieces.append(data)
        got += len(data)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def rest_of(parts: Sequence[Buffer], written: int) -> list[Buffer]:
    """Return what remains of C{parts} after their first C{written} bytes."""
    rest: list[Buffer] = []
    for part in parts:
        if written >= len(part):
            written -= len(part)
        else:
            rest.append(memoryview(part)[written:])
            written = 0
    return rest


class Descriptor:
    """A file that is open; closed when nobody has it any more."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number

    def close(self) -> None:
        """Close it now; fine where it is closed."""
        number, self.number = self.number, -1
        if number >= 0:
            os.close(number)

    __del__ = close


class RealStretch:
    """Bytes of a file that the kernel sends by itself."""

    __slots__ = ("_at", "_descriptor", "_left")

    def __init__(self, descriptor: Descriptor, at: int, length: int) -> None:
        self._descriptor = descriptor
        self._at = at
        self._left = length

    def __len__(self) -> int:
        return self._left

    def read(self) -> bytes:
        """Read them."""
        data = read_at(self._descriptor.number, self._at, self._left)
        if len(data) < self._left:
            raise OSError(errno.EIO, "the file has become shorter")
        return data

    def send(self, socket: Any) -> int:
        """Send some of them."""
        sent = os.sendfile(socket.fileno(), self._descriptor.number, self._at, self._left)
        if not sent:
            raise OSError(errno.EIO, "the file has become shorter")
        self._at += sent
        self._left -= sent
        return sent
