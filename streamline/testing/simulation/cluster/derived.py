"""
What a log says of its epochs and of the producers that wrote it, read from its batches on the disk.

A node keeps both beside the log, so that nobody has to read it; here they are held against each other (KR4, KR27).
"""

from __future__ import annotations

from streamline.model import NO_PRODUCER_ID
from streamline.services.replica import Replica
from streamline.testing.simulation.cluster.ondisk import LogOnDisk
from streamline.transactions.producers import REMEMBERED_BATCHES, Batch
from streamline.wire.batch import BatchHeader

Written = tuple[int, int, int, int]
"""First and last sequence number, first and last offset."""


class Derived:
    """
    What follows from the batches of one copy; kept up to date as they come.

    @ivar epochs: (epoch, first offset), as they follow each other in the log.
    @ivar producers: by producer id: the epoch, and the last batches.
    """

    def __init__(self, disk: LogOnDisk) -> None:
        self.epochs: list[tuple[int, int]] = []
        self.producers: dict[int, tuple[int, list[Written]]] = {}
        self._disk = disk
        self._generation = -1
        self._taken = 0

    def _catch_up(self) -> None:
        if self._generation != self._disk.generation:
            self._generation, self._taken = self._disk.generation, 0
            self.epochs, self.producers = [], {}
        for header in self._disk.headers[self._taken :]:
            self._take(header)
        self._taken = len(self._disk.headers)

    def _take(self, header: BatchHeader) -> None:
        epoch = header.partition_leader_epoch
        if not self.epochs or self.epochs[-1][0] != epoch:
            self.epochs.append((epoch, header.base_offset))
        if header.producer_id != NO_PRODUCER_ID and not header.is_control:
            before, batches = self.producers.get(header.producer_id, (header.producer_epoch, []))
            written = header.base_sequence, header.last_sequence, header.base_offset, header.last_offset
            kept = batches[1 - REMEMBERED_BATCHES :] if before == header.producer_epoch else []
            self.producers[header.producer_id] = header.producer_epoch, [*kept, written]

    def contradicts(self, replica: Replica) -> str:
        """Say in what a copy that is in use knows something else."""
        self._catch_up()
        return self._epochs_differ(replica) or self._producers_differ(replica)

    def _epochs_differ(self, replica: Replica) -> str:
        start, end = replica.log.start_offset, replica.log.end_offset
        written = _clamped(self.epochs, start, end)
        known = _clamped(replica.epochs.entries(), start, end)
        return "" if written == known else f"the epochs {written} were written, and {known} are known"

    def _producers_differ(self, replica: Replica) -> str:
        known = {one.producer_id: one for one in replica.producers.producers()}
        start = replica.log.start_offset
        for producer_id, (epoch, every) in self.producers.items():
            one, written = known.get(producer_id), [batch for batch in every if batch[2] >= start]
            if not written:
                continue
            batches = [] if one is None else [_written(batch) for batch in one.batches]
            if one is None or one.epoch != epoch or batches[-len(written) :] != written:
                return f"producer {producer_id} wrote {written} in epoch {epoch}, and {one} is known"
        first = self._disk.headers[0].base_offset if self._disk.headers else start
        for producer_id, one in known.items():
            if producer_id not in self.producers and any(batch.first_offset >= first for batch in one.batches):
                return f"{one} is known, and nothing of it is there, from {first} on"
        return ""


def _written(batch: Batch) -> Written:
    return batch.first_sequence, batch.last_sequence, batch.first_offset, batch.last_offset


def _clamped(epochs: list[tuple[int, int]], start: int, end: int) -> list[tuple[int, int]]:
    """Return the epochs of what lies between two offsets; the first begins there."""
    within = [(epoch, at) for epoch, at in epochs if at < end]
    first = next((place for place in range(len(within) - 1, -1, -1) if within[place][1] <= start), 0)
    return [(epoch, max(at, start)) for epoch, at in within[first:]] if end > start else []
