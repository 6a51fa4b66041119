"""Asks a node in Kafka's own words over a socket, and waits: for tests that look at what clients would see."""

from __future__ import annotations

import socket
from struct import Struct
from types import TracebackType
from typing import Self, TypeVar

from streamline.errors import ErrorCode, Refused
from streamline.model import Endpoint
from streamline.wire.batch import headers
from streamline.wire.codec import decode, encode
from streamline.wire.header import read_response_header, write_request_header
from streamline.wire.messages.fetch import FetchPartition, FetchRequest, FetchResponse, FetchTopic
from streamline.wire.messages.list_offsets import (
    ListOffsetsPartition,
    ListOffsetsPartitionResponse,
    ListOffsetsRequest,
    ListOffsetsResponse,
    ListOffsetsTopic,
)
from streamline.wire.records import Record, records
from streamline.wire.schema import Message
from streamline.wire.types import Buffers

R = TypeVar("R", bound=Message)

CLIENT_ID = "streamline-cluster"
EARLIEST = -2
FETCH_VERSION = 12
"""The last one that names topics instead of their ids."""
LIST_VERSION = 6
FETCH_BYTES = 16 << 20

_LENGTH = Struct(">i")


class Conversation:
    """
    One connection to one node.

    @raise OSError: nobody answers there; also from L{ask}.
    """

    def __init__(self, address: Endpoint, timeout_s: float) -> None:
        self._socket = socket.create_connection((address.host, address.port), timeout=timeout_s)
        self._answers = self._socket.makefile("rb")
        self._asked = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._answers.close()
        self._socket.close()

    def timeout(self, seconds: float) -> None:
        """Wait so long for anything from now on; a L{TimeoutError} ends the conversation."""
        self._socket.settimeout(seconds)

    def ask(self, request: Message, response: type[R], version: int) -> R:
        """Send a request and return its answer."""
        self._asked += 1
        header = write_request_header(request.KEY, version, self._asked, CLIENT_ID)
        body = encode(request, version)
        self._socket.sendall(_LENGTH.pack(len(header) + len(body)) + header + body)
        (length,) = _LENGTH.unpack(self._read(4))
        frame = self._read(length)
        _, at = read_response_header(frame, request.KEY, version)
        return decode(response, version, memoryview(frame)[at:])

    def _read(self, length: int) -> bytes:
        data = self._answers.read(length)
        if len(data) < length:
            raise ConnectionError("the node closed the connection")
        return data


def read_partition(talk: Conversation, topic: str, partition: int) -> list[Record]:
    """
    Return all records of a partition that a consumer can read, from its leader.

    @raise Refused: the node that was asked does not give them.
    """
    read: list[Record] = []
    offset = _first_offset(talk, topic, partition)
    while True:
        wanted = FetchPartition(partition=partition, fetch_offset=offset, partition_max_bytes=FETCH_BYTES)
        request = FetchRequest(
            max_wait_ms=0,
            min_bytes=0,
            max_bytes=FETCH_BYTES,
            isolation_level=0,
            session_id=0,
            session_epoch=-1,
            topics=[FetchTopic(topic=topic, partitions=[wanted])],
        )
        [answered] = talk.ask(request, FetchResponse, FETCH_VERSION).responses[0].partitions
        _check(answered.error_code, topic, partition)
        data = _joined(answered.records)
        for at, header in headers(data):
            if not header.is_control:
                read += [record for record in records(data, header, at) if record.offset >= offset]
            offset = header.next_offset
        if not data:
            return read


def is_led_there(talk: Conversation, topic: str, partition: int) -> bool:
    """Say whether the node that is asked serves a partition as its leader."""
    return _first_offsets(talk, topic, partition).error_code == ErrorCode.NONE


def _joined(blob: Buffers | None) -> bytes:
    if blob is None:
        return b""
    return bytes(blob) if isinstance(blob, bytes | bytearray | memoryview) else b"".join(blob)


def _first_offset(talk: Conversation, topic: str, partition: int) -> int:
    answered = _first_offsets(talk, topic, partition)
    _check(answered.error_code, topic, partition)
    return answered.offset


def _first_offsets(talk: Conversation, topic: str, partition: int) -> ListOffsetsPartitionResponse:
    wanted = ListOffsetsPartition(partition_index=partition, timestamp=EARLIEST)
    request = ListOffsetsRequest(replica_id=-1, topics=[ListOffsetsTopic(name=topic, partitions=[wanted])])
    [answered] = talk.ask(request, ListOffsetsResponse, LIST_VERSION).topics[0].partitions
    return answered


def _check(error_code: int, topic: str, partition: int) -> None:
    if error_code:
        raise Refused(ErrorCode(error_code), f"partition {partition} of {topic} cannot be read")
