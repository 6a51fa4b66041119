"""
Fetches that name one partition, and answers that bring records of one, each with one C{struct} call.

Where records are written one at a time, a follower's fetch says how far one partition goes, and its answer is what came
since: that exchange is what a producer with C{acks=all} waits for.  Everything in both has a fixed place then.  What is
written here is what the messages' own writers write; whatever has not exactly that form is left to their readers.

Version notes: from 15 (the replica's state is a tagged field, KIP-903) to 18 (KIP-1166, a tagged field that a follower
need not say) the form is the same.
"""

from __future__ import annotations

from struct import Struct
from typing import Any, ClassVar, Final, NamedTuple

from streamline.model import Buffer
from streamline.wire.codec import ByHand, reader
from streamline.wire.messages.fetch import FetchRequest, FetchResponse
from streamline.wire.schema import Kind
from streamline.wire.varints import read_unsigned, unsigned

VERSIONS: Final = (15, FetchRequest.VERSIONS[1])
RECORDS_MAX: Final = 1 << 20
"""With more than this to send, it does not matter how its head is written."""

_FETCH = Struct(">iiibiis16ssiiqiqi7siqs")
_ANSWER = Struct(">iBihis16ssihqqqsi")
_BODY_AT = 5
"""Where an answer's body begins: behind the number of its request, and no tagged fields."""

_ONE = b"\x02"
"""The length of a compact array with one element."""
_NONE = b"\x01"
_NULL = b"\x00"
_NO_TAGS = b"\x00"
_STATE = _NO_TAGS + _NO_TAGS + _NONE + _NONE + b"\x01\x01\x0d"
"""No tagged fields of the partition and the topic, nothing forgotten, no rack; the tag and size of what follows."""
_END = _NO_TAGS * 3
"""No tagged fields of an answer's partition, of its topic, and of itself."""


class LoneFetch(NamedTuple):
    """A fetch in a session, which names one partition and forgets none."""

    max_wait_ms: int
    min_bytes: int
    max_bytes: int
    session_id: int
    session_epoch: int
    topic_id: bytes
    partition: int
    current_leader_epoch: int
    fetch_offset: int
    last_fetched_epoch: int
    log_start_offset: int
    partition_max_bytes: int
    replica_id: int
    replica_epoch: int


def read_lone_fetch(frame: Buffer, at: int) -> LoneFetch | None:
    """Read a request whose body begins at C{at} and ends its frame; None where it has another form."""
    if len(frame) - at != _FETCH.size:
        return None
    (
        max_wait_ms, min_bytes, max_bytes, isolation_level, session_id, session_epoch, topics, topic_id, partitions,
        partition, leader_epoch, offset, last_epoch, start_offset, partition_max_bytes, state, replica_id,
        replica_epoch, end,
    ) = _FETCH.unpack_from(frame, at)  # fmt: skip
    if topics != _ONE or partitions != _ONE or state != _STATE or end != _NO_TAGS or isolation_level:
        return None
    return LoneFetch(
        max_wait_ms, min_bytes, max_bytes, session_id, session_epoch, topic_id, partition, leader_epoch, offset,
        last_epoch, start_offset, partition_max_bytes, replica_id, replica_epoch,
    )  # fmt: skip


class LoneFetchRequest(ByHand):
    """A L{FetchRequest} of that form, as it is sent."""

    __slots__ = ("_body",)

    KEY = FetchRequest.KEY
    VERSIONS = VERSIONS
    FLEXIBLE = FetchRequest.FLEXIBLE
    KIND: ClassVar[Kind] = FetchRequest.KIND

    def __init__(self, said: LoneFetch) -> None:
        (
            max_wait_ms, min_bytes, max_bytes, session_id, session_epoch, topic_id, partition, leader_epoch, offset,
            last_epoch, start_offset, partition_max_bytes, replica_id, replica_epoch,
        ) = said  # fmt: skip
        self._body = _FETCH.pack(
            max_wait_ms, min_bytes, max_bytes, 0, session_id, session_epoch, _ONE, topic_id, _ONE, partition,
            leader_epoch, offset, last_epoch, start_offset, partition_max_bytes, _STATE, replica_id, replica_epoch,
            _NO_TAGS,
        )  # fmt: skip

    def parts(self) -> list[Buffer]:
        """Return it as it was written."""
        return [self._body]


class LoneFetchResponse(ByHand):
    """
    A L{FetchResponse} that brings records of one partition, and says nothing else.

    @cvar error_code: it never says one.
    @ivar records: a slice of the frame.
    """

    __slots__ = ("high_watermark", "partition", "records", "session_id", "start_offset", "topic_id")

    error_code: Final = 0

    KEY = FetchResponse.KEY
    VERSIONS = VERSIONS
    FLEXIBLE = FetchResponse.FLEXIBLE
    KIND: ClassVar[Kind] = FetchResponse.KIND

    def __init__(
        self, session_id: int, topic_id: bytes, partition: int, high_watermark: int, start_offset: int, records: Buffer
    ) -> None:
        self.session_id = session_id
        self.topic_id = topic_id
        self.partition = partition
        self.high_watermark = high_watermark
        self.start_offset = start_offset
        self.records = records

    @classmethod
    def read(cls, version: int, buf: Buffer, at: int) -> tuple[Any, int]:
        """
        Read an answer that ends its frame; a L{FetchResponse} where it has another form.

        @raise ProtocolError: it is none at all.
        """
        return _read_answer(buf, at) or reader(FetchResponse, version)(buf, at)


def _read_answer(buf: Buffer, at: int) -> tuple[LoneFetchResponse, int] | None:
    size, begin = len(buf), at + _ANSWER.size - _BODY_AT
    if at != _BODY_AT or size < begin + 2 + len(_END):
        return None
    (
        _, _, throttle_time_ms, error_code, session_id, topics, topic_id, partitions, partition, error, high_watermark,
        stable_offset, start_offset, aborted, preferred,
    ) = _ANSWER.unpack_from(buf, 0)  # fmt: skip
    if topics != _ONE or partitions != _ONE or aborted != _NULL or buf[size - 3 :] != _END:
        return None
    if throttle_time_ms or error_code or error or preferred != -1 or stable_offset != high_watermark:
        return None
    low, high = buf[begin], buf[begin + 1]
    if low < 128:
        length, begin = low, begin + 1
    elif high < 128:
        length, begin = low & 127 | high << 7, begin + 2
    else:
        length, begin = read_unsigned(buf, begin)
    end = begin + length - 1
    if length < 2 or end + len(_END) != size:
        return None
    answer = LoneFetchResponse(session_id, topic_id, partition, high_watermark, start_offset, buf[begin:end])
    return answer, size


def answer_around(
    number: int,
    session_id: int,
    topic_id: bytes,
    partition: int,
    high_watermark: int,
    start_offset: int,
    size_bytes: int,
) -> tuple[bytes, bytes]:
    """
    Write what comes before and after the records of an answer, its header included.

    @param number: the request's correlation id.
    @param size_bytes: of the records, at least 1.
    """
    head = _ANSWER.pack(
        number, 0, 0, 0, session_id, _ONE, topic_id, _ONE, partition, 0, high_watermark, high_watermark, start_offset,
        _NULL, -1,
    )  # fmt: skip
    return head + unsigned(size_bytes + 1), _END
