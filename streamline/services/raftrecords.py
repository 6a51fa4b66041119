"""
How a replica's log lies in its file: records that tell a torn tail from damage.

A record is a 29-byte head (magic, payload length, CRC-32C of what follows, its
number, the number of the last record that was durable when this one was written,
its kind) and a payload.  Numbers count the records of a file without a gap.  The
first record says whose log this is, where it begins and with how many records the
file was put in place; the others say, in the
order in which they came to be, the term and vote (L{Kind.STATE}) or an entry
(L{Kind.ENTRY}), which cuts off whatever had its index or a higher one.

# Note [Torn or damaged]

A crash leaves any part of what was not synced: a record cut short, or, as pages
reach the device in any order, a hole with good records behind it.  Nobody was
ever told of those, so they are cut off.  Where anything behind a bad record says
that the bad one had been durable, the file was damaged later (RF14).  Such a
replica may have voted and acknowledged what it no longer knows: it must neither
vote nor go on, and what to do is for people to decide.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from enum import IntEnum

from streamline.errors import ProtocolError, StartRefused
from streamline.model import ZERO_UUID
from streamline.raft import Configuration, Entry, EntryKind, HardState, ReplicaKey
from streamline.raft.configuration import decode_configuration, encode_configuration
from streamline.values import frozen
from streamline.wire.crc import crc32c

MAGIC = 0x534C5231
PAYLOAD_BYTES_MAX = 128 * 1024 * 1024
NOBODY = -1

_HEAD = struct.Struct(">IIIQQB")
_BODY = struct.Struct(">QQB")
_CHECKED_AT = _HEAD.size - _BODY.size
_BEGIN = struct.Struct(">QQi16s")
_STATE = struct.Struct(">Qi16s")
_ENTRY = struct.Struct(">QQB")


class Kind(IntEnum):
    """What a record is; the numbers are stored."""

    MARK = 0
    BEGIN = 1
    STATE = 2
    ENTRY = 3


@frozen
class Beginning:
    """
    The first record: whose log it is, and where it begins.

    @ivar boundary_index: entries up to it are in the snapshot, or in none where it is 0.
    @ivar configuration: who takes part at index 0; beyond that, the snapshot says so.
    """

    owner: ReplicaKey
    boundary_index: int
    configuration: Configuration


@frozen
class Record:
    """
    One record of a file.

    @ivar number: counts from 1.
    @ivar synced: records up to this number were durable when it was written.
    """

    number: int
    synced: int
    kind: Kind
    payload: bytes


@frozen
class Contents:
    """What a file says, its records taken one after another."""

    beginning: Beginning
    hard_state: HardState
    entries: tuple[Entry, ...]


# Writing


def encode_record(number: int, synced: int, kind: Kind, payload: bytes = b"") -> bytes:
    """Return a record as it lies in the file."""
    body = _BODY.pack(number, synced, kind) + payload
    return struct.pack(">III", MAGIC, len(payload), crc32c(body)) + body


def beginning_payload(beginning: Beginning, count: int) -> bytes:
    """Return the payload of the first record of a file that is put in place with so many of them."""
    head = _BEGIN.pack(count, beginning.boundary_index, *beginning.owner)
    return head + encode_configuration(beginning.configuration)


def state_payload(hard_state: HardState) -> bytes:
    """Return the payload that says which term it is, and for whom the vote was."""
    return _STATE.pack(hard_state.term, *(hard_state.vote or (NOBODY, ZERO_UUID)))


def entry_payload(entry: Entry) -> bytes:
    """Return the payload that holds an entry."""
    return _ENTRY.pack(entry.index, entry.term, entry.kind) + entry.payload


class RecordWriter:
    """
    Numbers the records of one file, and knows which are durable.

    @ivar synced: the number of the last record that is known to be.
    """

    def __init__(self) -> None:
        self._number = 0
        self.synced = 0

    @property
    def number(self) -> int:
        """The number of the last record."""
        return self._number

    def next(self, kind: Kind, payload: bytes = b"") -> bytes:
        """Return the next record."""
        self._number += 1
        return encode_record(self._number, self.synced, kind, payload)

    def rewind(self, count: int) -> None:
        """Hear that so many records, the last ones, could not be written."""
        self._number -= count

    def are_synced(self, _: None, number: int) -> None:
        """Hear that the records up to this number are durable."""
        self.synced = number

    def whole(self, beginning: Beginning, hard_state: HardState, entries: Sequence[Entry]) -> bytes:
        """Return a whole new file; this must be its first use."""
        count = 2 + len(entries)
        records = [self.next(Kind.BEGIN, beginning_payload(beginning, count)), *self.written(hard_state, entries)]
        self.synced = count
        return b"".join(records)

    def written(self, hard_state: HardState | None, entries: Sequence[Entry]) -> list[bytes]:
        """Return the records of what a replica wants written."""
        state = [] if hard_state is None else [self.next(Kind.STATE, state_payload(hard_state))]
        return state + [self.next(Kind.ENTRY, entry_payload(entry)) for entry in entries]


# Reading


def read_contents(data: bytes, name: str) -> Contents:
    """
    Read a file, without what a crash left of records that were never synced.

    @param name: the file's name, for the message.
    @raise StartRefused: it is damaged (see Note [Torn or damaged]), or from a later release.
    """
    records: list[Record] = []
    at = 0
    for record, end in _good_records(data):
        if record.number != len(records) + 1:
            break
        records.append(record)
        at = end
    durable = max((record.synced for record in _records_behind(data, at + 1)), default=0)
    if len(records) < max(durable, _count(records)):
        raise StartRefused(
            f"{name} is damaged at byte {at}, where this replica had promised to remember what it wrote; restore it "
            "from a backup, or, where the other nodes of the cluster are alive, give the node a new and empty "
            "--data-dir, with which it joins as a new member"
        )
    try:
        return _contents(records)
    except (ProtocolError, ValueError, struct.error) as error:
        raise StartRefused(f"{name} cannot be read: {error}; run the release that wrote it") from error


def _count(records: Sequence[Record]) -> int:
    """Return how many records the file was put in place with, whole and durable."""
    if not records or records[0].kind != Kind.BEGIN:
        return 1
    count: int = _BEGIN.unpack_from(records[0].payload)[0]
    return count


def _good_records(data: bytes) -> Iterator[tuple[Record, int]]:
    at = 0
    while (found := _record_at(data, at)) is not None:
        yield found
        at = found[1]


def _record_at(data: bytes, at: int) -> tuple[Record, int] | None:
    if at + _HEAD.size > len(data):
        return None
    magic, length, crc, number, synced, kind = _HEAD.unpack_from(data, at)
    end = at + _HEAD.size + length
    if magic != MAGIC or length > PAYLOAD_BYTES_MAX or end > len(data):
        return None
    if crc32c(memoryview(data)[at + _CHECKED_AT : end]) != crc:
        return None
    return Record(number, synced, kind, data[at + _HEAD.size : end]), end


def _records_behind(data: bytes, at: int) -> Iterator[Record]:
    marker = MAGIC.to_bytes(4, "big")
    start = data.find(marker, at)
    while start >= 0:
        found = _record_at(data, start)
        if found is not None:
            yield found[0]
        start = data.find(marker, start + 1)


def _contents(records: Sequence[Record]) -> Contents:
    first, *others = records
    if first.kind != Kind.BEGIN:
        raise ValueError(f"it begins with a record of kind {first.kind}")
    hard_state = HardState()
    entries: list[Entry] = []
    for record in others:
        kind = Kind(record.kind)
        if kind is Kind.STATE:
            term, *vote = _STATE.unpack(record.payload)
            hard_state = HardState(term, None if vote[0] == NOBODY else ReplicaKey(*vote))
        elif kind is Kind.ENTRY:
            _take(entries, _entry(record.payload))
    return Contents(_beginning(first.payload), hard_state, tuple(entries))


def _beginning(payload: bytes) -> Beginning:
    _, boundary_index, *owner = _BEGIN.unpack_from(payload)
    return Beginning(ReplicaKey(*owner), boundary_index, decode_configuration(payload[_BEGIN.size :]))


def _entry(payload: bytes) -> Entry:
    index, term, kind = _ENTRY.unpack_from(payload)
    return Entry(index, term, EntryKind(kind), payload[_ENTRY.size :])


def _take(entries: list[Entry], entry: Entry) -> None:
    """Add an entry in the place of what has its index or a higher one."""
    keep = entry.index - entries[0].index if entries else 0
    if not 0 <= keep <= len(entries):
        raise ValueError(f"entry {entry.index} does not follow on entry {entries[-1].index}")
    entries[keep:] = [entry]
