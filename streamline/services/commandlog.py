"""
An append-only file of checked entries: what C{single} consensus writes its commands to.

An entry is a 20-byte head (magic, payload length, CRC-32C of what follows,
index) and its payload.  A write that a crash cut short leaves a bad last entry,
which nobody was ever told of: it is cut off.  A bad entry with a good one behind
it is not a torn write but a damaged file, and is refused (RF14): dropping what
was acknowledged is never this module's decision.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from attrs import frozen

from streamline.errors import StartRefused
from streamline.wire.crc import crc32c

MAGIC = 0x534C4331
_HEAD = struct.Struct(">IIIQ")
PAYLOAD_BYTES_MAX = 64 * 1024 * 1024


@frozen
class Entry:
    """One command at its place in the agreed order."""

    index: int
    payload: bytes


def encode_entry(entry: Entry) -> bytes:
    """Return an entry as it lies in the file."""
    body = entry.index.to_bytes(8, "big") + entry.payload
    return struct.pack(">III", MAGIC, len(entry.payload), crc32c(body)) + body


def read_entries(data: bytes, name: str) -> tuple[list[Entry], int]:
    """
    Read the entries of a file.

    @param name: the file's name, for the message.
    @return: the entries, and the length of what they take; a torn last entry lies behind it.
    @raise StartRefused: the file is damaged before its end.
    """
    entries: list[Entry] = []
    at = 0
    for entry, end in _good_entries(data, 0):
        if entries and entry.index != entries[-1].index + 1:
            break
        entries.append(entry)
        at = end
    if at < len(data) and _good_entry_behind(data, at + 1):
        raise StartRefused(
            f"{name} is damaged at byte {at}, with good entries behind; restore it from a backup, "
            "because starting without them would lose acknowledged changes"
        )
    return entries, at


def _good_entries(data: bytes, at: int) -> Iterator[tuple[Entry, int]]:
    while (found := _entry_at(data, at)) is not None:
        yield found
        at = found[1]


def _entry_at(data: bytes, at: int) -> tuple[Entry, int] | None:
    if at + _HEAD.size > len(data):
        return None
    magic, length, crc, index = _HEAD.unpack_from(data, at)
    end = at + _HEAD.size + length
    if magic != MAGIC or length > PAYLOAD_BYTES_MAX or end > len(data):
        return None
    if crc32c(data[at + 12 : end]) != crc:
        return None
    return Entry(index, data[at + _HEAD.size : end]), end


def _good_entry_behind(data: bytes, at: int) -> bool:
    marker = MAGIC.to_bytes(4, "big")
    at = data.find(marker, at)
    while at >= 0:
        if _entry_at(data, at) is not None:
            return True
        at = data.find(marker, at + 1)
    return False
