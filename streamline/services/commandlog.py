"""
An append-only file of checked entries: what C{single} consensus writes its commands to.

An entry is a 28-byte head (magic, payload length, CRC-32C of what follows,
index, and the index up to which everything had been synced when it was written)
and its payload; a mark has another magic and no payload, and says that last
number and nothing else.  A file begins with a mark and is put in place whole.

# Note [Torn or damaged]

A crash may leave any part of what was not synced: the last entry cut short, or,
as pages reach the device in any order, a hole with good entries behind it.
Nobody was ever told of those entries, so they are cut off.  Where something
behind a bad entry says that the bad one had been synced, the file was damaged
later, and is refused (RF14): dropping what was acknowledged is never this
module's decision.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from streamline.errors import StartRefused
from streamline.values import frozen
from streamline.wire.crc import crc32c

ENTRIES_NAME = "commands.log"
SNAPSHOT_NAME = "commands.snapshot"

MAGIC = 0x534C4332
MARK_MAGIC = 0x534C4D32
_HEAD = struct.Struct(">IIIQQ")
_BODY = struct.Struct(">QQ")
_CHECKED_AT = _HEAD.size - _BODY.size
PAYLOAD_BYTES_MAX = 64 * 1024 * 1024


@frozen
class Entry:
    """
    One command at its place in the agreed order, or a mark.

    @ivar payload: the command; None for a mark.
    @ivar synced: entries up to this index were durable before this one was written.
    """

    index: int
    payload: bytes | None
    synced: int = 0


def encode_entry(entry: Entry) -> bytes:
    """Return an entry as it lies in the file."""
    payload = entry.payload or b""
    body = _BODY.pack(entry.index, entry.synced) + payload
    return struct.pack(">III", MARK_MAGIC if entry.payload is None else MAGIC, len(payload), crc32c(body)) + body


def encode_mark(synced: int) -> bytes:
    """Return a mark: entries up to this index are durable."""
    return encode_entry(Entry(synced, None, synced))


def read_entries(data: bytes, name: str, after: int = 0) -> list[Entry]:
    """
    Read the commands of a file, without marks and without what a crash left of those that were never synced.

    @param name: the file's name, for the message.
    @param after: entries up to this index are not needed, because a snapshot holds what they did.
    @raise StartRefused: the file is damaged; see Note [Torn or damaged].
    """
    entries: list[Entry] = []
    at, mark = 0, None
    for entry, end in _good_entries(data, 0):
        if entry.payload is not None:
            if mark is None or (entries and entry.index != entries[-1].index + 1):
                break
            entries.append(entry)
        else:
            mark = entry
        at = end
    known = max(entries[-1].index if entries else 0, after)
    if mark is None or any(entry.synced > known for entry in _entries_behind(data, at + 1)):
        raise StartRefused(
            f"{name} is damaged at byte {at}, where acknowledged changes were; restore it from a backup, "
            "because starting without them would lose them for good"
        )
    needed = [entry for entry in entries if entry.index > after]
    if (needed[0].index if needed else mark.index) > after + bool(needed):
        raise StartRefused(f"{name} begins behind its snapshot; restore both from one backup")
    return needed


def decode_snapshot(data: bytes, name: str) -> tuple[int, bytes]:
    """
    Read a snapshot's file: a CRC-32C of all the rest, the index that it stands for, and the state machine's own words.

    @raise StartRefused: it is damaged.
    """
    if len(data) < 12 or crc32c(data[4:]) != int.from_bytes(data[:4], "big"):
        raise StartRefused(f"{name} is damaged; restore it from a backup")
    return int.from_bytes(data[4:12], "big"), data[12:]


def _good_entries(data: bytes, at: int) -> Iterator[tuple[Entry, int]]:
    while (found := _entry_at(data, at)) is not None:
        yield found
        at = found[1]


def _entry_at(data: bytes, at: int) -> tuple[Entry, int] | None:
    if at + _HEAD.size > len(data):
        return None
    magic, length, crc, index, synced = _HEAD.unpack_from(data, at)
    end = at + _HEAD.size + length
    if magic not in (MAGIC, MARK_MAGIC) or length > PAYLOAD_BYTES_MAX or end > len(data):
        return None
    if crc32c(memoryview(data)[at + _CHECKED_AT : end]) != crc:
        return None
    return Entry(index, data[at + _HEAD.size : end] if magic == MAGIC else None, synced), end


def _entries_behind(data: bytes, at: int) -> Iterator[Entry]:
    for marker in (MAGIC.to_bytes(4, "big"), MARK_MAGIC.to_bytes(4, "big")):
        start = data.find(marker, at)
        while start >= 0:
            found = _entry_at(data, start)
            if found is not None:
                yield found[0]
            start = data.find(marker, start + 1)
