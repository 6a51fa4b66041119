"""
A consumer of one partition: long polls from where it stands, in a fetch session or without one.

It checks what every consumer relies on: batches are whole, their checksums
hold, and each holds records at or after the offset that was asked for.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from attrs import evolve, frozen
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from streamline.errors import ErrorCode, Refused
from streamline.interfaces import Host
from streamline.model import Buffer, TopicPartition
from streamline.testing.history import History, Lookup, Poll
from streamline.testing.simulation.clients.connection import BadAnswer, Gone, Line, Where, is_passing
from streamline.testing.simulation.clients.topics import find_leader, find_leader_epoch
from streamline.testing.simulation.clients.versions import Versions
from streamline.wire.batch import headers, is_intact
from streamline.wire.messages.fetch import FetchPartition, FetchRequest, FetchResponse, FetchTopic, PartitionData
from streamline.wire.messages.leader_epoch import (
    OffsetForLeaderEpochRequest,
    OffsetForLeaderPartition,
    OffsetForLeaderTopic,
)
from streamline.wire.messages.list_offsets import (
    ListOffsetsPartition,
    ListOffsetsPartitionResponse,
    ListOffsetsRequest,
    ListOffsetsResponse,
    ListOffsetsTopic,
)
from streamline.wire.records import records

TOPIC_IDS_FROM = 13
SESSIONS_FROM = 7
RACKS_FROM = 11
EARLIEST, LATEST, MAX_TIMESTAMP = -2, -1, -3
MAX_TIMESTAMP_FROM = 7
LOOKUPS = 5
ELSEWHERE = (
    ErrorCode.NOT_LEADER_OR_FOLLOWER,
    ErrorCode.FENCED_LEADER_EPOCH,
    ErrorCode.UNKNOWN_LEADER_EPOCH,
    ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
)
SESSION_ERRORS = (ErrorCode.FETCH_SESSION_ID_NOT_FOUND, ErrorCode.INVALID_FETCH_SESSION_EPOCH)


@frozen(kw_only=True)
class Appetite:
    """
    How a consumer reads.

    @ivar rack: where it is, so that a replica that is there may serve it (KIP-392); nowhere where it is empty.
    """

    max_wait_ms: int = 500
    min_bytes: int = 1
    max_bytes: int = 1 << 20
    partition_max_bytes: int = 256 * 1024
    uses_session: bool = False
    rack: str = ""


def read_values(data: Buffer, position: int) -> tuple[list[tuple[int, str]], list[int], int]:
    """
    Return the records of some batches from C{position} on, as (offset, value), their times, and the offset after them.

    @raise BadAnswer: a batch is damaged.
    """
    found: list[tuple[int, str]] = []
    times_ms: list[int] = []
    after = position
    try:
        for at, header in headers(data):
            if at + header.size > len(data):
                break
            if not is_intact(data, at, header):
                raise BadAnswer(f"the batch at {header.base_offset} has a wrong checksum")
            if header.next_offset <= position:
                raise BadAnswer(f"the batch at {header.base_offset} ends before {position}, which was asked for")
            for record in records(data, header, at):
                if record.offset >= position:
                    found.append((record.offset, str(bytes(record.value or b""), "utf-8").rstrip()))
                    times_ms.append(record.timestamp)
            after = header.next_offset
    except Refused as refusal:
        raise BadAnswer(f"a batch after offset {position} cannot be read: {refusal}") from refusal
    return found, times_ms, after


class Consumer:
    """
    One consumer.

    @ivar position: the next offset it wants.
    @ivar is_final: whether its reads count as the reading of everything at the end; it then stops at the end.
    @ivar done: fires when a final consumer has read everything.
    """

    def __init__(
        self,
        host: Host,
        where: Where,
        name: str,
        key: TopicPartition,
        history: History,
        appetite: Appetite,
        *,
        is_final: bool = False,
    ) -> None:
        self.name = name
        self.key = key
        self.position = -1
        self.is_final = is_final
        self.done: Deferred[None] = Deferred()
        self._host = host
        self._history = history
        self._appetite = appetite
        self._line = Line(host, where, name, history)
        self._versions = Versions(host.rng)
        self._topic_id = b""
        self._session = (0, 0)
        self._sent_position = -1
        self._is_reset = True
        self._asked_at = 0.0
        self._end = -1

    def start(self) -> None:
        """Begin."""
        Deferred.fromCoroutine(self._run()).addErrback(self._troubled)

    def stop(self) -> None:
        """End."""
        self._line.stop()

    def move(self, rack: str) -> None:
        """Be in another rack from the next fetch on, or again in none that it knows of where it is in one."""
        self._appetite = evolve(self._appetite, rack="" if self._appetite.rack else rack)

    def _troubled(self, failure: Failure) -> None:
        self._session = (0, 0)
        if is_passing(failure) and not self._line.stopped:
            self._line.drop()
            self._line.pause().addCallback(lambda _: self.start())

    async def _run(self) -> None:
        if not self._versions.known:
            await self._versions.learn(self._line)
        self._topic_id = await find_leader(self._line, self._versions, self.key)
        if not self.is_final:
            await self._ask_for_end()
        else:  # anew wherever the connection was lost: a late power cut may have taken what nobody was promised
            self._end = (await self._list_offset(LATEST)).offset
        while not self._line.stopped:
            if self.position < 0:
                self.position = (await self._list_offset(EARLIEST)).offset
                self._is_reset = True
                if self.is_final:
                    self._history.starts[self.key] = self.position
            if self.is_final and self.position >= self._end and await self._look_up():
                self._line.stop()
                self.done.callback(None)
                return
            await self._fetch()

    async def _list_offset(self, timestamp: int) -> ListOffsetsPartitionResponse:
        partition = ListOffsetsPartition(partition_index=self.key.partition, timestamp=timestamp)
        request = ListOffsetsRequest(
            replica_id=-1, topics=[ListOffsetsTopic(name=self.key.topic, partitions=[partition])]
        )
        answer: ListOffsetsResponse = await self._line.ask(request, self._versions.of(ListOffsetsRequest))
        found = answer.topics[0].partitions[0]
        if found.error_code:
            raise Gone(f"ListOffsets was refused with {found.error_code}")
        return found

    async def _ask_for_end(self) -> None:
        """Ask how far there is anything to read, as clients do; a leader that is new may not know it yet."""
        with suppress(Gone):
            await self._list_offset(LATEST)

    async def _look_up(self) -> bool:
        """
        Look some times up, to be compared with what was read, and where the present epoch ends.

        @return: false where something was found that has come since, and is to be read before anything is compared.
        """
        mine = [poll for poll in self._history.polls if poll.is_final and poll.key == self.key]
        seen = sorted({time_ms: None for poll in mine for time_ms in poll.times_ms})
        rng = self._host.rng
        times_ms = [seen[rng.randrange(0, len(seen))] + rng.randrange(0, 2) for _ in range(LOOKUPS) if seen]
        if self._versions.of(ListOffsetsRequest) >= MAX_TIMESTAMP_FROM:
            times_ms.append(MAX_TIMESTAMP)
        lookups = []
        for time_ms in times_ms:
            found = await self._list_offset(time_ms)
            if found.offset >= self.position:
                self._end = found.offset + 1
                return False
            lookups.append(Lookup(self.key, time_ms, found.offset, found.timestamp))
        self._history.lookups += lookups
        await self._find_end_of_epoch()
        return True

    async def _find_end_of_epoch(self) -> None:
        """
        Ask where the present epoch ends, until all of it can be read.

        What was sent with acks=0 may still come, and what waits for a sync has its place in the log already.
        """
        epoch = await find_leader_epoch(self._line, self.key)
        part = OffsetForLeaderPartition(partition=self.key.partition, leader_epoch=epoch)
        topic = OffsetForLeaderTopic(topic=self.key.topic, partitions=[part])
        request = OffsetForLeaderEpochRequest(topics=[topic])
        while True:
            answer = await self._line.ask(request, self._versions.of(OffsetForLeaderEpochRequest))
            end = answer.topics[0].partitions[0]
            if end.error_code in ELSEWHERE:
                raise Gone(f"another node leads {self.key} by now: {end.error_code}")
            if end.error_code or end.end_offset < self._end:
                what = f"{end.end_offset} ({end.error_code}), not {self._end}"
                raise BadAnswer(f"epoch {epoch} of {self.key} ends at {what}")
            if (await self._list_offset(LATEST)).offset >= end.end_offset:
                return
            await self._line.pause()

    # Fetching

    async def _fetch(self) -> None:
        version = self._versions.of(FetchRequest)
        is_session = self._appetite.uses_session and version >= SESSIONS_FROM
        self._asked_at = self._host.clock.seconds()
        answer: FetchResponse = await self._line.ask(self._request(version, is_session), version)
        if answer.error_code in SESSION_ERRORS:
            self._session = (0, 0)
            return
        if answer.error_code:
            raise Gone(f"Fetch was refused with {answer.error_code}")
        if is_session:
            self._session = (answer.session_id, self._session[1] + 1 if answer.session_id else 0)
        for topic in answer.responses:
            for partition in topic.partitions:
                self._take(partition)

    def _request(self, version: int, is_session: bool) -> FetchRequest:
        appetite = self._appetite
        session_id, epoch = self._session if is_session else (0, -1)
        by_id = version >= TOPIC_IDS_FROM
        partition = FetchPartition(
            partition=self.key.partition,
            fetch_offset=self.position,
            partition_max_bytes=appetite.partition_max_bytes,
        )
        topic = FetchTopic(
            topic="" if by_id else self.key.topic,
            topic_id=self._topic_id if by_id else bytes(16),
            partitions=[partition],
        )
        is_known = epoch > 0 and self._sent_position == self.position
        self._sent_position = self.position
        return FetchRequest(
            max_wait_ms=appetite.max_wait_ms,
            min_bytes=appetite.min_bytes,
            max_bytes=appetite.max_bytes,
            session_id=session_id,
            session_epoch=epoch,
            topics=[] if is_known else [topic],
            rack_id=appetite.rack if version >= RACKS_FROM else "",
        )

    def _take(self, partition: PartitionData) -> None:
        if partition.error_code == ErrorCode.OFFSET_OUT_OF_RANGE:
            self.position = -1
            return
        if partition.error_code:
            raise Gone(f"the partition was refused with {partition.error_code}")
        near = self._line.nodes.get(partition.preferred_read_replica)
        if near is not None:
            self._session = (0, 0)
            self._line.aim(near)
            return
        found, times_ms, after = read_values(_joined(partition.records), self.position)
        poll = Poll(
            consumer=self.name,
            key=self.key,
            asked_at=self._asked_at,
            at=self._host.clock.seconds(),
            position=self.position,
            records=found,
            is_reset=self._is_reset,
            is_final=self.is_final,
            times_ms=times_ms if self.is_final else [],
        )
        if found or poll.is_reset:
            self._history.polls.append(poll)
        self._is_reset = False
        self.position = after


def _joined(data: Any) -> bytes:
    if data is None:
        return b""
    return b"".join(data) if isinstance(data, list | tuple) else bytes(data)
