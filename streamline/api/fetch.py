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

from collections.abc import Iterable

from twisted.internet.defer import Deferred

from streamline.api.call import Call
from streamline.api.fetching import Read, Reading
from streamline.errors import ErrorCode, ProtocolError, Refused
from streamline.replication.sessions import (
    FINAL_EPOCH,
    INITIAL_EPOCH,
    NO_SESSION,
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
    PartitionData,
)

TOPIC_IDS_FROM = 13
READ_COMMITTED = 1
SESSION_ID_MAX = 2**31 - 1
_NONE_ABORTED: tuple[AbortedTransaction, ...] = ()


def fetch(call: Call, request: FetchRequest) -> FetchResponse | Deferred[FetchResponse]:
    """Read now, or wait until there is enough."""
    replica_id = request.replica_id if request.replica_state is None else request.replica_state.replica_id
    if replica_id >= 0:
        # A client that passes for a follower could move the high watermark (CVE-2018-1288).
        raise ProtocolError(f"a client fetched as if it were replica {replica_id}")
    try:
        session = _session(call, request)
    except Refused as refusal:
        return FetchResponse(error_code=refusal.code, session_id=NO_SESSION)
    wanted = list(session.partitions.values()) if session is not None else list(_wanted(call, request))
    is_incremental = session is not None and request.session_epoch > INITIAL_EPOCH
    reading = Reading(call, wanted, request.min_bytes, request.max_bytes, request.max_wait_ms / 1000)
    done = reading.begin()
    if isinstance(done, Deferred):
        return done.addCallback(lambda reads: _response(call, request, session, is_incremental, reads))
    return _response(call, request, session, is_incremental, done)


def _session(call: Call, request: FetchRequest) -> Session | None:
    """Return the session that this fetch belongs to, brought up to date, or None for a fetch without one."""
    sessions = call.broker.sessions
    epoch, session_id = request.session_epoch, request.session_id
    if epoch == FINAL_EPOCH:
        sessions.end(session_id)
        return None
    now_s = call.broker.host.clock.seconds()
    uses_ids = call.version >= TOPIC_IDS_FROM
    if epoch == INITIAL_EPOCH:
        sessions.end(session_id)
        session = sessions.begin(call.broker.host.rng.randrange(1, SESSION_ID_MAX), uses_ids, now_s)
    else:
        session = sessions.resume(session_id, epoch, uses_ids, now_s)
    if session is not None:
        session.update(_wanted(call, request), _forgotten(call, request))
    return session


def _wanted(call: Call, request: FetchRequest) -> Iterable[Wanted]:
    for topic in request.topics:
        for part in topic.partitions:
            yield Wanted(
                (topic.topic_id, topic.topic, part.partition),
                part.fetch_offset,
                part.partition_max_bytes,
                part.current_leader_epoch,
                part.last_fetched_epoch,
            )


def _forgotten(call: Call, request: FetchRequest) -> Iterable[Key]:
    for topic in request.forgotten_topics_data:
        for index in topic.partitions:
            yield topic.topic_id, topic.topic, index


def _response(
    call: Call, request: FetchRequest, session: Session | None, is_incremental: bool, reads: list[Read]
) -> FetchResponse:
    topics: list[FetchableTopicResponse] = []
    last: tuple[bytes, str] | None = None
    for read in reads:
        if is_incremental and not _is_news(read):
            continue
        topic_id, name, index = read.wanted.key
        if last != (topic_id, name):
            last = topic_id, name
            topics.append(FetchableTopicResponse(topic=name, topic_id=topic_id, partitions=[]))
        topics[-1].partitions.append(_data(request, index, read))  # type: ignore[attr-defined]
        if session is not None:
            _told(session, read)
    return FetchResponse(session_id=NO_SESSION if session is None else session.session_id, responses=topics)


def _is_news(read: Read) -> bool:
    """Say whether an incremental answer has to mention this partition."""
    wanted = read.wanted
    return (
        read.slice.size_bytes > 0
        or read.diverging is not None
        or read.error != ErrorCode.NONE
        or wanted.told_error != ErrorCode.NONE
        or read.high_watermark != wanted.told_high_watermark
        or read.start_offset != wanted.told_start_offset
    )


def _told(session: Session, read: Read) -> None:
    wanted = read.wanted
    wanted.told_high_watermark = read.high_watermark
    wanted.told_start_offset = read.start_offset
    wanted.told_error = read.error
    if read.slice.size_bytes:
        session.give_way(wanted.key)


def _data(request: FetchRequest, index: int, read: Read) -> PartitionData:
    data = PartitionData(
        partition_index=index,
        error_code=read.error,
        high_watermark=read.high_watermark,
        last_stable_offset=read.high_watermark,  # without transactions, everything committed is stable
        log_start_offset=read.start_offset,
        aborted_transactions=_NONE_ABORTED if request.isolation_level == READ_COMMITTED else None,
        records=read.slice.parts or b"",
    )
    if read.diverging is not None:
        epoch, end_offset = read.diverging
        data.diverging_epoch = EpochEndOffset(epoch=epoch, end_offset=end_offset)
    return data
