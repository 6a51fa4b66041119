"""
Which batches each idempotent producer has written to one partition (KIP-98).

The last five batches of each producer are remembered, because a producer may
have five requests in flight: a batch that comes again is answered with the
offsets that it got the first time, and a gap is refused.  Nothing here reads a
log; the partition feeds it every batch header in order, when it appends and
when it replays.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from attrs import evolve

from streamline.errors import ErrorCode, Refused
from streamline.model import NO_PRODUCER_EPOCH, NO_SEQUENCE
from streamline.values import frozen

REMEMBERED_BATCHES = 5
SEQUENCE_MAX = 2**31 - 1
AWAITED_MS = 30_000
"""How long a batch that was passed over is waited for: what was sent after it has arrived by then, or never will."""
AWAITED_MAX = 1000


class Batch(NamedTuple):
    """A batch as far as its producer's sequence is concerned; both ends of the ranges belong to it."""

    first_sequence: int
    last_sequence: int
    first_offset: int
    last_offset: int
    timestamp_ms: int


@frozen
class Producer:
    """
    What one producer did last.

    @ivar batches: the newest at the end, never more than L{REMEMBERED_BATCHES}.
    @ivar seen_ms: when it was last heard of, by the broker's clock; after a restart, when that was.
    """

    producer_id: int
    epoch: int
    batches: tuple[Batch, ...]
    seen_ms: int

    @property
    def last_sequence(self) -> int:
        """The sequence number of its newest record."""
        return self.batches[-1].last_sequence if self.batches else NO_SEQUENCE


def follows(last: int, first: int) -> bool:
    """Say whether sequence C{first} comes right after C{last}; after 2^31 - 1 comes 0."""
    return first == last + 1 or (first == 0 and last == SEQUENCE_MAX)


class ProducerStates:
    """The producers of one partition."""

    def __init__(self) -> None:
        self._producers: dict[int, Producer] = {}
        self._undo: list[tuple[int, int, Producer | None]] = []
        """(offset, producer id, what was known before) of each batch since L{settle}."""
        self._awaited: dict[int, tuple[int, int, int]] = {}
        """By producer id, the epoch and first sequence of what was passed over, and until when it is waited for."""

    def __len__(self) -> int:
        return len(self._producers)

    def producers(self) -> Iterable[Producer]:
        """Return all that are known, by producer id."""
        return [self._producers[producer_id] for producer_id in sorted(self._producers)]

    def get(self, producer_id: int) -> Producer | None:
        """Return one of them."""
        return self._producers.get(producer_id)

    def check(self, producer_id: int, epoch: int, first_sequence: int, last_sequence: int) -> Batch | None:
        """
        Look at a batch that a client sends.

        @return: the batch that was written when this one came the first time, or None where it is new.
        @raise Refused: INVALID_PRODUCER_EPOCH from a producer that was fenced, OUT_OF_ORDER_SEQUENCE_NUMBER
            where batches are missing in between.
        """
        known = self._producers.get(producer_id)
        if known is None:
            return None  # its state has expired, or never was: Kafka takes any first sequence (KIP-360)
        if epoch < known.epoch:
            raise Refused(
                ErrorCode.INVALID_PRODUCER_EPOCH,
                f"producer {producer_id} has epoch {known.epoch} by now, this batch {epoch}",
            )
        if epoch > known.epoch:
            if first_sequence != 0 and known.epoch != NO_PRODUCER_EPOCH:
                raise _out_of_order(producer_id, epoch, first_sequence, NO_SEQUENCE)
            return None
        for batch in known.batches:
            if batch.first_sequence == first_sequence and batch.last_sequence == last_sequence:
                return batch
        if known.batches and not follows(known.last_sequence, first_sequence):
            raise _out_of_order(producer_id, epoch, first_sequence, known.last_sequence)
        return None

    def passed_over(self, producer_id: int, epoch: int, first_sequence: int, now_ms: int) -> None:
        """
        Hear that a batch which might follow is not here: it was refused a moment ago, or the log was cut before it.

        What its producer sent after it may be on the way already, and would be taken for the first that it sends where
        nothing else is known of it.  So for a while later batches wait for this one; where there is something known,
        that tells the same.
        """
        before = self._awaited.get(producer_id)
        if before is None or before[0] < epoch or before[1] > first_sequence or before[2] < now_ms:
            self._awaited.pop(producer_id, None)
            self._awaited[producer_id] = epoch, first_sequence, now_ms + AWAITED_MS
            if len(self._awaited) > AWAITED_MAX:
                del self._awaited[next(iter(self._awaited))]

    @property
    def awaits(self) -> bool:
        """Whether any batch was passed over a moment ago."""
        return bool(self._awaited)

    def check_awaited(self, producer_id: int, epoch: int, first_sequence: int, now_ms: int) -> None:
        """
        See whether a batch has to wait for one that was L{passed_over}.

        @raise Refused: OUT_OF_ORDER_SEQUENCE_NUMBER.
        """
        awaited = self._awaited.get(producer_id)
        if awaited is None or producer_id in self._producers:
            return
        if awaited[0] == epoch and awaited[1] < first_sequence and now_ms < awaited[2]:
            raise _out_of_order(producer_id, epoch, first_sequence, awaited[1])
        del self._awaited[producer_id]

    def wrote(self, producer_id: int, epoch: int, batch: Batch, now_ms: int) -> None:
        """Hear that a batch is in the log now."""
        known = self._producers.get(producer_id)
        self._undo.append((batch.first_offset, producer_id, known))
        if known is None or known.epoch != epoch:
            batches: tuple[Batch, ...] = (batch,)
        else:
            batches = (*known.batches[1 - REMEMBERED_BATCHES :], batch)
        self._producers[producer_id] = Producer(producer_id, epoch, batches, now_ms)
        if self._awaited:
            self._awaited.pop(producer_id, None)

    def settle(self) -> None:
        """Hear that all that was written so far is there to stay."""
        self._undo.clear()

    def take_back(self, end_offset: int, now_ms: int) -> None:
        """
        Forget what was written since L{settle} at or beyond C{end_offset}: the log could not keep it.

        Of a new producer nothing counts before it comes again, as where it is L{passed_over}.
        """
        for offset, producer_id, before in reversed(self._undo):
            if offset < end_offset:
                break
            if before is None:
                lost = self._producers.pop(producer_id, None)
                if lost is not None:
                    self.passed_over(producer_id, lost.epoch, lost.batches[0].first_sequence, now_ms)
            else:
                self._producers[producer_id] = before
        self._undo.clear()

    def expire(self, before_ms: int) -> int:
        """Forget the producers that were last heard of before C{before_ms}; return how many they were."""
        silent = [producer_id for producer_id, known in self._producers.items() if known.seen_ms < before_ms]
        for producer_id in silent:
            del self._producers[producer_id]
        return len(silent)

    def truncate(self, end_offset: int, now_ms: int) -> bool:
        """
        Forget what lies at or beyond C{end_offset}, because the log was cut there; those of whom nothing is left are
        to come again no later than with what was cut.

        @return: whether there was anything; then batches before those five may count again, which only the log knows.
        """
        before = self._producers.copy()
        for producer_id, known in before.items():
            kept = tuple(batch for batch in known.batches if batch.last_offset < end_offset)
            if not kept:
                del self._producers[producer_id]
                if known.batches:
                    self.passed_over(producer_id, known.epoch, known.batches[0].first_sequence, now_ms)
            elif kept != known.batches:
                self._producers[producer_id] = evolve(known, batches=kept)
        self._undo.clear()
        return self._producers != before

    def forget(self) -> None:
        """Forget everything: the log begins anew, and what came before it is for nobody here to know."""
        self._producers.clear()
        self._awaited.clear()
        self._undo.clear()

    def restore(self, producers: Iterable[Producer], now_ms: int) -> None:
        """Start over from a snapshot; its producers count as heard of now, so that none is forgotten too early."""
        self._producers = {producer.producer_id: evolve(producer, seen_ms=now_ms) for producer in producers}
        self._undo.clear()


def _out_of_order(producer_id: int, epoch: int, first: int, last: int) -> Refused:
    return Refused(
        ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER,
        f"producer {producer_id} (epoch {epoch}) sent sequence {first} after {last}",
    )
