"""
An append-only file of checked entries: what C{single} consensus writes its commands to.

An entry is a 28-byte head (magic, payload length, CRC-32C of what follows,
index, synced index) and its payload.  Entries that were not synced when the power
went may be there in any part, the later ones without the earlier ones; nobody was
ever told of them, so the file is cut where the first bad one begins.  An entry
says up to which index the file was synced when it was written: a bad entry up to
there was acknowledged, so the file is damaged, and refused (RF14): dropping what
was acknowledged is never this module's decision.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from attrs import frozen

from streamline.errors import StartRefused
from streamline.wire.crc import crc32c

MAGIC = 0x534C4331
_HEAD = struct.Struct(">IIIQQ")
_CHECKED_FROM = 12
PAYLOAD_BYTES_MAX = 64 * 1024 * 1024


@frozen
class Entry:
    """
    One command at its place in the agreed order.

    @ivar synced_index: the last entry that was durable when this one was written.
    """

    index: int
    synced_index: int
    payload: bytes


def encode_entry(entry: Entry) -> bytes:
    """Return an entry as it lies in the file."""
    body = struct.pack(">QQ", entry.index, entry.synced_index) + entry.payload
    return struct.pack(">III", MAGIC, len(entry.payload), crc32c(body)) + body


def read_entries(data: bytes, snapshot_index: int, name: str) -> tuple[list[Entry], int]:
    """
    Read the entries of a file.

    @param snapshot_index: the last entry that nobody needs any more.
    @param name: the file's name, for the message.
    @return: the entries, and the length of what they take; behind them lies what was never synced.
    @raise StartRefused: the file is damaged where it was synced.
    """
    entries: list[Entry] = []
    at = 0
    for entry, end in _good_entries(data, 0):
        if entries and entry.index != entries[-1].index + 1:
            break
        entries.append(entry)
        at = end
    first_lost = max(snapshot_index, entries[-1].index if entries else 0) + 1
    if any(entry.synced_index >= first_lost for entry in _entries_behind(data, at + 1)):
        raise StartRefused(
            f"{name} is damaged at byte {at}, where entry {first_lost} should be; restore it from a backup, "
            "because starting without it would lose acknowledged changes"
        )
    return entries, at


def _good_entries(data: bytes, at: int) -> Iterator[tuple[Entry, int]]:
    while (found := _entry_at(data, at)) is not None:
        yield found
        at = found[1]


def _entry_at(data: bytes, at: int) -> tuple[Entry, int] | None:
    if at + _HEAD.size > len(data):
        return None
    magic, length, crc, index, synced_index = _HEAD.unpack_from(data, at)
    end = at + _HEAD.size + length
    if magic != MAGIC or length > PAYLOAD_BYTES_MAX or end > len(data):
        return None
    if crc32c(data[at + _CHECKED_FROM : end]) != crc:
        return None
    return Entry(index, synced_index, data[at + _HEAD.size : end]), end


def _entries_behind(data: bytes, at: int) -> Iterator[Entry]:
    """Yield whatever good entries there are from here on, wherever they begin."""
    marker = MAGIC.to_bytes(4, "big")
    at = data.find(marker, at)
    while at >= 0:
        found = _entry_at(data, at)
        if found is not None:
            yield found[0]
        at = data.find(marker, at + 1)
