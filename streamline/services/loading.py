"""Reads the entries of a partition of C{__consumer_offsets}, in slices, so that a long log holds up nobody."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from streamline.errors import ProtocolError, Refused
from streamline.groups.entries import Entry
from streamline.groups.records import to_entry
from streamline.interfaces import IClock
from streamline.model import LogSlice
from streamline.services.partition import Partition
from streamline.services.turns import next_turn
from streamline.wire.batch import headers
from streamline.wire.records import Record, records

log = Logger()

SLICE_BYTES = 256 * 1024
ENTRIES_PER_TURN = 250
"""How many entries are read before others have the reactor; they take some milliseconds."""


async def load_entries(partition: Partition, clock: IClock) -> AsyncIterator[Entry]:
    """
    Yield what the records say, from the first to the last that the log has now.

    The last ones may not be committed yet, where this node has just begun to
    lead: they are waited for.  A new coordinator that began before would not
    know commits that were acknowledged (KR29).

    @raise Refused: the partition cannot be read, or is led no more.
    """
    offset, end_offset = partition.log.start_offset, partition.log.end_offset
    if partition.high_watermark < end_offset:
        await partition.when_committed(end_offset)
    count = 0
    while offset < end_offset:
        found = partition.read(offset, SLICE_BYTES, at_least_one=True)
        part = await found if isinstance(found, Deferred) else found
        if partition.offline is not None:
            raise Refused(partition.offline.code, partition.offline.message)
        if part.next_offset <= offset:
            return
        for entry in _entries(partition, part):
            yield entry
            count += 1
            if count % ENTRIES_PER_TURN == 0:
                await next_turn(clock)
        offset = part.next_offset


def _entries(partition: Partition, part: LogSlice) -> Iterator[Entry]:
    data = b"".join(part.parts)
    for at, header in headers(data):
        if header.is_control:
            continue
        for record in records(data, header, at):
            entry = _entry(partition, record)
            if entry is not None:
                yield entry


def _entry(partition: Partition, record: Record) -> Entry | None:
    """
    Return what a record says, nothing if it is not understood.

    No coordinator writes such a record.  To stop at one would take all groups
    of the partition away from everybody, for good.
    """
    try:
        return None if record.key is None else to_entry(record.key, record.value)
    except (ProtocolError, Refused) as error:
        log.error(
            "{partition}: the record at offset {offset} is passed over: {reason}",
            partition=str(partition.log.identity),
            offset=record.offset,
            reason=str(error),
        )
        return None
