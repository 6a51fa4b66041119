"""
Fetch (1): read record batches, waiting for more where there are too few.

Behaviour: whole batches only, so an offset within a batch returns all of it; the
first batch is returned even if it is larger than asked for, so that a reader
always gets on.  A fetch that waits is answered in the same turn of the reactor
in which the records that it waits for become readable.

Version notes: 5 log start; 7 sessions (KIP-227); 9 leader epoch (KIP-320);
11 rack (KIP-392); 12 flexible, divergence; 13 topic ids (KIP-516); 15 replica
state (KIP-903).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from twisted.internet.defer import Deferred

from streamline.api.call import Call, Parked
from streamline.api.fetching import PARTITIONS_PER_TURN, Read, Reading
from streamline.api.leaders import MOVED, addresses_of, leader_of
from streamline.api.near_fetch import NearReading
from streamline.errors import ErrorCode, ProtocolError, Refused
from streamline.model import NO_LEADER, NO_OFFSET, ZERO_UUID, LogSlice
from streamline.replication.sessions import (
    FINAL_EPOCH,
    INITIAL_EPOCH,
    NO_SESSION,
    FetchSessions,
    Key,
    Session,
    Wanted,
)
from streamline.wire.messages.fetch import (
    AbortedTransaction,
    EpochEndOffset,
    FetchableTopicResponse,
    FetchRequest,
    FetchResponse,
    LeaderIdAndEpoch,
    NodeEndpoint,
    PartitionData,
)

TOPIC_IDS_FROM = 13
LEADERS_FROM = 16
STORAGE_ERROR_FROM = 6
"""Clients that send an earlier version do not know KAFKA_STORAGE_ERROR, and would give up where they should retry."""
READ_COMMITTED = 1
SESSION_ID_MAX = 2**31 - 1
_NONE_ABORTED: tuple[AbortedTransaction, ...] = ()


def fetch(call: Call, request: FetchRequest) -> FetchResponse | Deferred[FetchResponse] | Parked:
    """Read now, or wait until there is enough."""
    replica_id = request.replica_id if request.replica_state is None else request.replica_state.replica_id
    if replica_id >= 0:
        # A client that passes for a follower could move the high watermark (CVE-2018-1288).
        raise ProtocolError(f"a client fetched as if it were replica {replica_id}")
    try:
        session, wanted = session_of(call, call.broker.sessions, request)
    except Refused as refusal:
        return FetchResponse(error_code=refusal.code, session_id=NO_SESSION)
    is_incremental = session is not None and request.session_epoch > INITIAL_EPOCH
    # The request itself can go: only what the answer needs of it is kept.
    answer = Answer(call, request.isolation_level, session, is_incremental)
    if session is not None:
        wanted = list(session.partitions.values())
    reading: Reading
    if request.rack_id and call.broker.selector.reads_followers:
        reading = NearReading(call, wanted, request)
    else:
        reading = Reading(call, wanted, request.min_bytes, request.max_bytes, request.max_wait_ms / 1000)
    done = reading.begin()
    if isinstance(done, Deferred):
        return Parked(done.addCallback(answer.make), reading.hurry, len(wanted) > PARTITIONS_PER_TURN)
    return answer.make(done)


def session_of(
    call: Call, sessions: FetchSessions, request: FetchRequest
) -> tuple[Session | None, Sequence[Wanted]]:
    """
    Return the session that this fetch belongs to, where it has one, and what the fetch itself names.

    @raise Refused: as L{FetchSessions.resume}.
    """
    epoch, session_id = request.session_epoch, request.session_id
    wanted = _wanted(call, request)
    if epoch == FINAL_EPOCH:
        sessions.end(session_id)
        return None, wanted
    now_s = call.broker.host.clock.seconds()
    uses_ids = call.version >= TOPIC_IDS_FROM
    if epoch == INITIAL_EPOCH:
        sessions.end(session_id)
        begun = sessions.begin(call.broker.host.rng.randrange(1, SESSION_ID_MAX), uses_ids, now_s, wanted)
        return begun, wanted
    return sessions.resume(session_id, epoch, uses_ids, now_s, wanted, forgotten_of(request)), wanted


def _wanted(call: Call, request: FetchRequest) -> Sequence[Wanted]:
    wanted = [
        Wanted(
            (topic.topic_id, topic.topic, part.partition),
            part.fetch_offset,
            part.partition_max_bytes,
            part.current_leader_epoch,
            part.last_fetched_epoch,
            part.log_start_offset,
        )
        for topic in request.topics
        for part in topic.partitions
    ]
    if len(wanted) < 2:
        return wanted
    return list({partition.key: partition for partition in wanted}.values())


def forgotten_of(request: FetchRequest) -> Iterable[Key]:
    """Yield what a fetch is about no more."""
    for topic in request.forgotten_topics_data:
        for index in topic.partitions:
            yield topic.topic_id, topic.topic, index


class Answer:
    """The answer to one fetch, made of what was read."""

    def __init__(self, call: Call, isolation_level: int, session: Session | None, is_incremental: bool) -> None:
        self._call = call
        self._isolation_level = isolation_level
        self._session = session
        self._is_incremental = is_incremental
        self._topics: list[FetchableTopicResponse] = []
        self._moved: list[int] = []

    def make(self, reads: list[Read]) -> FetchResponse | Deferred[FetchResponse]:
        """Put everything in; in several turns where it is very much."""
        if len(reads) > PARTITIONS_PER_TURN:
            return Deferred.fromCoroutine(self._make_long(reads))
        self._put(reads)
        return self._whole()

    async def _make_long(self, reads: list[Read]) -> FetchResponse:
        for at in range(0, len(reads), PARTITIONS_PER_TURN):
            self._put(reads[at : at + PARTITIONS_PER_TURN])
            await self._call.broker.turns.next()
        return self._whole()

    def _put(self, reads: list[Read]) -> None:
        call, session, topics = self._call, self._session, self._topics
        for read in reads:
            if self._is_incremental and not _is_news(read):
                continue
            topic_id, name, index = read.wanted.key
            if not topics or topics[-1].topic != name or topics[-1].topic_id != topic_id:
                topics.append(FetchableTopicResponse(topic=name, topic_id=topic_id, partitions=[]))
            data = _data(call, self._isolation_level, index, read)
            topics[-1].partitions.append(data)  # type: ignore[attr-defined]
            if read.error in MOVED and call.version >= LEADERS_FROM:
                self._moved.append(_name_leader(call, read, data))
            if session is not None:
                _told(session, read)

    def _whole(self) -> FetchResponse:
        session_id = NO_SESSION if self._session is None else self._session.session_id
        response = FetchResponse(session_id=session_id, responses=self._topics)
        if self._moved:
            response.node_endpoints = [
                NodeEndpoint(node_id=node, host=address.host, port=address.port, rack=rack)
                for node, address, rack in addresses_of(self._call, self._moved)
            ]
        return response


def _is_news(read: Read) -> bool:
    """Say whether an incremental answer has to mention this partition."""
    wanted = read.wanted
    return (
        read.slice.size_bytes > 0
        or read.diverging is not None
        or read.preferred != NO_LEADER
        or read.error != ErrorCode.NONE
        or read.high_watermark != wanted.told_high_watermark
        or read.start_offset != wanted.told_start_offset
    )


def _told(session: Session, read: Read) -> None:
    wanted = read.wanted
    # A follower whose log parts from ours takes nothing else from that answer (KR7), and has to be told again.
    wanted.told_high_watermark = NO_OFFSET if read.diverging is not None else read.high_watermark
    wanted.told_start_offset = read.start_offset
    if read.slice.size_bytes:
        session.give_way(wanted.key)


def _data(call: Call, isolation_level: int, index: int, read: Read) -> PartitionData:
    error = read.error
    if error == ErrorCode.KAFKA_STORAGE_ERROR and call.version < STORAGE_ERROR_FROM:
        error = ErrorCode.NOT_LEADER_OR_FOLLOWER
    data = PartitionData(
        partition_index=index,
        error_code=error,
        high_watermark=read.high_watermark,
        last_stable_offset=read.high_watermark,  # without transactions, everything committed is stable
        log_start_offset=read.start_offset,
        aborted_transactions=_NONE_ABORTED if isolation_level == READ_COMMITTED else None,
        preferred_read_replica=read.preferred,
        records=_records(read.slice),
    )
    if read.diverging is not None:
        epoch, end_offset = read.diverging
        data.diverging_epoch = EpochEndOffset(epoch=epoch, end_offset=end_offset)
    return data


def _records(found: LogSlice) -> Any:
    """Return what is written as records; writers take whatever has a length."""
    return found.parts or b"" if found.lent is None else (found.lent,)


def _name_leader(call: Call, read: Read, data: PartitionData) -> int:
    """Say who leads a partition that is not found here, and return it."""
    topic_id, name, index = read.wanted.key
    if topic_id != ZERO_UUID:
        name = call.broker.metadata.image.names.get(topic_id, "")
    leader, epoch = leader_of(call, name, index)
    data.current_leader = LeaderIdAndEpoch(leader_id=leader, leader_epoch=epoch)
    return leader
