"""
A producer of one partition: batches in order, several in flight, sent again until the node answers.

With idempotence it has a producer id and numbers its records; after trouble it
sends everything unanswered again, in order and with the same numbers, and takes
a new producer id only where the node has forgotten what came before (a power
cut took it) or has refused a batch for good.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

from attrs import define, frozen
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from streamline.errors import ErrorCode
from streamline.interfaces import Host
from streamline.model import NO_PRODUCER_ID, NO_SEQUENCE, TopicPartition
from streamline.testing.history import FAIL, OK, Change, History, Send
from streamline.testing.simulation.clients.connection import BadAnswer, Connection, Gone, Line, Where, alarm, is_passing
from streamline.testing.simulation.clients.topics import find_leader, find_topic
from streamline.testing.simulation.clients.versions import Versions
from streamline.wire.compress import LZ4, ZSTD
from streamline.wire.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from streamline.wire.messages.producer_ids import InitProducerIdRequest
from streamline.wire.records import Record, build_batch

TOPIC_IDS_FROM = 13
ZSTD_FROM = 7
OLD = 9
"""The last version of Produce in which nobody can be told who leads (KIP-951)."""
TIMEOUT_MS = 5000
CLOCKS_DIFFER = 0.15
"""By how much more a node's clock may count than ours, and some time for what is between."""
BACKLOG_MAX = 20
"""Batches that wait before no new ones are made."""

FORGOTTEN = (ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER, ErrorCode.UNKNOWN_PRODUCER_ID, ErrorCode.INVALID_PRODUCER_EPOCH)
REFUSED = (
    ErrorCode.INVALID_TIMESTAMP,
    ErrorCode.MESSAGE_TOO_LARGE,
    ErrorCode.INVALID_RECORD,
    ErrorCode.CORRUPT_MESSAGE,
    ErrorCode.INVALID_TOPIC_EXCEPTION,
    ErrorCode.UNSUPPORTED_COMPRESSION_TYPE,
)
"""Errors that say for certain that nothing was written."""


@frozen(kw_only=True)
class Habits:
    """
    How a producer goes about it.

    @ivar pace_s: mean time between two batches.
    @ivar records_max: most records in a batch; C{padding_bytes}: least and most bytes added to each.
    @ivar in_flight_max: most batches from the first without an answer to the newest; brokers remember 5.
    @ivar is_old: it never asks who leads, sends to whichever node it has reached, and speaks a version of Produce in
        which nobody can tell it.
    @ivar keys: records have as many different ones, in turn; none at all where there are none.
    """

    acks: int = -1
    idempotent: bool = True
    pace_s: float = 0.2
    records_max: int = 8
    padding_bytes: tuple[int, int] = (0, 64)
    in_flight_max: int = 5
    compression: int = 0
    is_old: bool = False
    keys: int = 0

    def key_of(self, number: int) -> bytes | None:
        """Return the key of the record that a producer sends as its n-th."""
        return b"%d" % (number % self.keys) if self.keys else None


@define
class _Batch:
    number: int
    sends: list[Send]
    padding: bytes
    wall_ms: int
    sequence: int = NO_SEQUENCE
    error: int = 0
    is_doubtful: bool = False
    asked_at: float = 0.0
    is_forwarded: bool = False


class Producer:
    """
    One producer.

    @ivar unanswered: batches that it still has to get rid of.
    """

    def __init__(
        self, host: Host, where: Where, name: str, key: TopicPartition, history: History, habits: Habits
    ) -> None:
        self.name = name
        self.key = key
        self._host = host
        self._history = history
        self._habits = habits
        self._line = Line(host, where, name, history)
        self._versions = Versions(host.rng)
        self._topic_id = b""
        self._producer = (NO_PRODUCER_ID, -1)
        self._incarnation = 0
        self._next_sequence = 0
        self._next_number = self._batches_made = 0
        self._unsent: deque[_Batch] = deque()
        self._flying: list[_Batch] = []
        self._connection: Connection | None = None
        self._is_making = True

    def start(self) -> None:
        """Begin."""
        self._host.clock.callLater(self._pace_s(), self._make)
        self._resume()

    def stop_making(self) -> None:
        """Make no new batches; get rid of those there are."""
        self._is_making = False

    @property
    def unanswered(self) -> int:
        """How many batches have no answer yet."""
        return len(self._unsent) + len(self._flying)

    # Making

    def _pace_s(self) -> float:
        return self._habits.pace_s * 2 * self._host.rng.random()

    def _make(self) -> None:
        if not self._is_making:
            return
        if self.unanswered < BACKLOG_MAX:
            self._unsent.append(self._new_batch())
            self._push()
        self._host.clock.callLater(self._pace_s(), self._make)

    def _new_batch(self) -> _Batch:
        rng, habits = self._host.rng, self._habits
        sends = []
        for _ in range(rng.randrange(1, habits.records_max + 1)):
            number = self._next_number
            self._next_number += 1
            sends.append(
                Send(
                    producer=self.name,
                    key=self.key,
                    value=f"{self.name}/{self.key}/{number}",
                    number=number,
                    sent_at=self._host.clock.seconds(),
                    acks=habits.acks,
                    idempotent=habits.idempotent,
                )
            )
        self._history.sends.extend(sends)
        low, high = habits.padding_bytes
        self._batches_made += 1
        return _Batch(self._batches_made, sends, b" " * rng.randrange(low, high + 1), self._host.clock.wall_ms())

    # Sending

    def _resume(self) -> None:
        Deferred.fromCoroutine(self._prepare()).addErrback(self._not_prepared)

    def _not_prepared(self, failure: Failure) -> None:
        if is_passing(failure):
            self._line.pause().addCallback(lambda _: self._resume())

    async def _prepare(self) -> None:
        """Connect and learn what sending needs."""
        if not self._versions.known:
            await self._versions.learn(self._line)
        find = find_topic if self._habits.is_old else find_leader
        self._topic_id = await find(self._line, self._versions, self.key)
        if self._habits.idempotent and self._producer[0] == NO_PRODUCER_ID:
            request = InitProducerIdRequest(transactional_id=None, transaction_timeout_ms=60_000)
            answer = await self._line.ask(request, self._versions.of(InitProducerIdRequest))
            if answer.error_code:
                raise Gone(f"InitProducerId was refused with {answer.error_code}")
            self._producer = (answer.producer_id, answer.producer_epoch)
        self._connection = await self._line.connection()
        self._push()

    def _push(self) -> None:
        while self._connection is not None and self._unsent and self._may_send(self._unsent[0]):
            batch = self._unsent.popleft()
            if self._habits.idempotent and batch.sequence == NO_SEQUENCE:
                batch.sequence = self._next_sequence
                self._next_sequence += len(batch.sends)
            self._send(self._connection, batch)

    def _may_send(self, batch: _Batch) -> bool:
        """
        Say whether nothing that has no answer yet is too many batches behind.

        Brokers remember the five newest of a producer.  Where later batches are acknowledged than one that has to come
        again, as where there were too few replicas for a moment, and more new ones followed, it would be forgotten.
        """
        return not self._flying or batch.number < self._flying[0].number + self._habits.in_flight_max

    def _send(self, connection: Connection, batch: _Batch) -> None:
        for send in batch.sends:
            send.incarnation = self._incarnation
        version = self._versions.of(ProduceRequest)
        if self._habits.is_old:
            version = min(version, OLD)
        request = ProduceRequest(
            acks=self._habits.acks, timeout_ms=TIMEOUT_MS, topic_data=[self._topic_data(batch, version)]
        )
        if self._habits.acks == 0:
            if connection.is_open:
                connection.tell(request, version)
            else:
                self._connection = None
                self._recover()
            return
        self._flying.append(batch)
        batch.asked_at, batch.is_forwarded = self._host.clock.seconds(), version <= OLD
        connection.ask(request, version).addCallbacks(
            self._answered, self._lost, callbackArgs=(batch,), errbackArgs=(batch,)
        ).addErrback(alarm)

    def _topic_data(self, batch: _Batch, version: int) -> TopicProduceData:
        producer_id, producer_epoch = self._producer
        key_of = self._habits.key_of
        data = build_batch(
            [
                Record(send.value.encode() + batch.padding, key_of(send.number), timestamp=batch.wall_ms)
                for send in batch.sends
            ],
            compression=self._compression(version),
            producer_id=producer_id,
            producer_epoch=producer_epoch,
            base_sequence=batch.sequence,
        )
        by_id = version >= TOPIC_IDS_FROM
        return TopicProduceData(
            name="" if by_id else self.key.topic,
            topic_id=self._topic_id if by_id else bytes(16),
            partition_data=[PartitionProduceData(index=self.key.partition, records=data)],
        )

    def _compression(self, version: int) -> int:
        """Return our codec, or one that so old a version knows too, as clients do (KIP-110)."""
        wanted = self._habits.compression
        return LZ4 if wanted == ZSTD and version < ZSTD_FROM else wanted

    # Answers

    def _answered(self, answer: Any, batch: _Batch) -> None:
        result = answer.responses[0].partition_responses[0]
        if result.error_code in (0, ErrorCode.DUPLICATE_SEQUENCE_NUMBER):
            self._acknowledged(batch, result.base_offset if result.error_code == 0 else -1)
        else:
            self._look_at(result.error_code, batch)
            self._troubled(batch, result.error_code)
        self._go_on()

    def _look_at(self, error: int, batch: _Batch) -> None:
        """
        See whether an error may be: nobody's time is up before it has passed.

        Where a node may have sent the request on to the leader, that says that nobody knows what became of it.
        """
        waited_s = self._host.clock.seconds() - batch.asked_at
        is_time = error == ErrorCode.REQUEST_TIMED_OUT and not batch.is_forwarded
        if is_time and waited_s < TIMEOUT_MS / 1000 * (1 - CLOCKS_DIFFER):
            raise BadAnswer(f"{self.name} was told after {waited_s:.3f} s that its time was up")

    def _acknowledged(self, batch: _Batch, base_offset: int) -> None:
        self._flying.remove(batch)
        for position, send in enumerate(batch.sends):
            send.status = OK
            send.offset = base_offset + position if base_offset >= 0 else -1
            send.done_at = self._host.clock.seconds()
            self._history.acknowledged(send)

    def _lost(self, failure: Failure, batch: _Batch) -> None:
        is_passing(failure)
        self._troubled(batch, ErrorCode.NETWORK_EXCEPTION)
        self._go_on()

    def _troubled(self, batch: _Batch, error: int) -> None:
        """Note an error; nothing more is sent until every answer is there."""
        self._connection = None
        batch.error = error

    def _go_on(self) -> None:
        if self._connection is not None:
            self._push()
        elif all(batch.error for batch in self._flying):
            self._recover()

    def _recover(self) -> None:
        """Decide, with every answer there, what is sent again."""
        failed, self._flying = self._flying, []
        first = failed[0].error if failed else 0
        is_forgotten = self._habits.idempotent and (first in FORGOTTEN or first in REFUSED)
        if self._habits.idempotent and first in FORGOTTEN:
            self._note_forgotten(first)
        again = []
        for position, batch in enumerate(failed):
            if batch.error in REFUSED and (position == 0 or not self._habits.idempotent):
                self._give_up(batch, is_certain=not batch.is_doubtful)
            elif not self._habits.idempotent or (is_forgotten and self._is_in_doubt(batch, first)):
                self._give_up(batch, is_certain=False)
            else:
                again.append(batch)
        for batch in again:
            batch.is_doubtful = batch.is_doubtful or batch.error not in FORGOTTEN
            batch.error = 0
            _mark_retried(batch.sends)
        self._unsent.extendleft(reversed(again))
        if is_forgotten:
            self._begin_anew()
        self._line.drop()
        self._line.pause().addCallback(lambda _: self._resume())

    def _is_in_doubt(self, batch: _Batch, first: int) -> bool:
        """
        Say whether a batch may have been kept, though the one before it was forgotten or refused.

        Who is too old to be told of leader epochs cannot know that it has come to one that is cut off, as others do
        (see L{find_leader}), and does not send again under another id what may be there.  Nor does anybody where the
        first batch was refused for what it is: a later one may have been kept, and wait for its replicas.
        """
        if first in REFUSED:
            return batch.is_doubtful or batch.error not in (*FORGOTTEN, *REFUSED)
        return self._habits.is_old and (batch.is_doubtful or batch.error not in FORGOTTEN)

    def _note_forgotten(self, error: int) -> None:
        """
        Note that what this producer has sent before is not known any more, or differently.

        Who is too old for leader epochs may have come to one that is a leader no more, which cannot know it.
        """
        is_news = self._habits.acks == -1 and not self._habits.is_old
        now, what = self._host.clock.seconds(), "forgotten" if is_news else "forgotten at ease"
        self._history.changes.append(Change(what, f"{self.name} {self.key}", error, now, status=OK, done_at=now))

    def _begin_anew(self) -> None:
        """Get a new producer id; what was never written gets numbers of its own."""
        self._producer = (NO_PRODUCER_ID, -1)
        self._incarnation += 1
        self._next_sequence = 0
        for batch in self._unsent:
            batch.sequence = NO_SEQUENCE

    def _give_up(self, batch: _Batch, *, is_certain: bool) -> None:
        for send in batch.sends:
            if is_certain:
                send.status = FAIL
            send.error = str(batch.error)
            send.done_at = self._host.clock.seconds()


def _mark_retried(sends: Sequence[Send]) -> None:
    for send in sends:
        send.retried = True
