"""
Produce requests that begin as one before did, and bring one small batch.

What a producer sends is the same again and again, but for the number of the
request and the batch.  So a request is read once; one that begins with the same
bytes means the same, and only its batch is looked at.  It goes the way of every
other from there, and gets the same answer, from a template.  What is unusual in
any way is left to L{streamline.api.produce}, as if nobody had seen it before.

A request that takes 15 microseconds otherwise takes 9 so, and small requests
are many.
"""

from __future__ import annotations

from struct import Struct
from typing import Any

from twisted.internet.defer import Deferred

from streamline.api.call import BrokerServices, Call, Caller, Later
from streamline.api.produce import TOPIC_IDS_FROM, Produced
from streamline.model import Buffer
from streamline.replication.acks import ACKS_NONE
from streamline.services.receipts import Receipt
from streamline.wire.codec import writer
from streamline.wire.header import response_header
from streamline.wire.messages.produce import (
    PartitionProduceResponse,
    ProduceRequest,
    ProduceResponse,
    TopicProduceResponse,
)
from streamline.wire.schema import Message, is_flexible
from streamline.wire.template import template
from streamline.wire.varints import read_unsigned, unsigned

FROM_VERSION = 5
"""Answers of older ones have fewer numbers."""
AT_MOST = 512
"""A request that begins with more than this before its batch is not kept in mind."""

RECORDS_BYTES_MAX = 1 << 16
"""With more than this to look at, it does not matter how a request is read."""

_LENGTH = Struct(">i")
_NO_TAGS = b"\0\0\0"
"""What follows the batch of a flexible request: no tagged fields of the partition, the topic, and the request."""


class Familiar:
    """
    What requests mean that begin with the same bytes.

    @ivar at: where what may differ begins: the batch, with its length.
    """

    __slots__ = (
        "_client_id", "_flexible", "_index", "_name", "_timeout_s", "_topic_id", "acks", "at", "version", "write"
    )  # fmt: skip

    def __init__(self, at: int, version: int, client_id: str | None, request: ProduceRequest) -> None:
        topic = request.topic_data[0]
        self.at = at
        self.version = version
        self._client_id = client_id
        self.acks = request.acks
        self._timeout_s = request.timeout_ms / 1000
        self._flexible = is_flexible(ProduceRequest, version)
        self._name = topic.name
        self._topic_id = topic.topic_id
        self._index = topic.partition_data[0].index
        self.write = template(self._write, "iqqq")

    def _write(self, correlation_id: int, base_offset: int, append_time_ms: int, log_start_offset: int) -> bytes:
        """Write the answer to a request whose batch was taken."""
        part = PartitionProduceResponse(
            index=self._index,
            base_offset=base_offset,
            log_append_time_ms=append_time_ms,
            log_start_offset=log_start_offset,
        )
        topic = TopicProduceResponse(name=self._name, topic_id=self._topic_id, partition_responses=[part])
        body = writer(ProduceResponse, self.version)(ProduceResponse(responses=[topic]))
        answer = b"".join([response_header(ProduceRequest.KEY, self.version, correlation_id), *body])
        return _LENGTH.pack(len(answer)) + answer

    def take(self, broker: BrokerServices, caller: Caller, correlation_id: int, frame: bytes) -> Taken | None:
        """Collect the batch of a request that begins so; None, and nothing has happened, where it is not usual."""
        records = self._records(frame)
        if records is None:
            return None
        name = self._name
        if self.version >= TOPIC_IDS_FROM:
            name = broker.metadata.image.names.get(self._topic_id, "")
        receipt = broker.replicas.append(name, self._index, records, self.acks, self.version)
        if type(receipt) is not Receipt or receipt.refusal is not None:
            return None
        return Taken(self, broker, caller, correlation_id, receipt)

    def _records(self, frame: bytes) -> Buffer | None:
        """Return the batch, or None where the request is not as it seemed."""
        if not self._flexible:
            at = self.at + 4
            return memoryview(frame)[at:] if frame[self.at : at] == _LENGTH.pack(len(frame) - at) else None
        length, at = frame[self.at], self.at + 1
        if length > 127:
            length, at = read_unsigned(frame, self.at)
        end = at + length - 1
        return memoryview(frame)[at:end] if frame[end:] == _NO_TAGS and end > at else None

    def in_full(self, broker: BrokerServices, caller: Caller, receipt: Receipt) -> Produced:
        """Return the request with what became of it, as it would be had nobody seen it before."""
        call = Call(broker, caller, self.version, self._client_id)
        return Produced(
            call, self.acks, self._timeout_s, [(self._name, self._topic_id, [(self._index, receipt)])]
        )


class Taken(Later):
    """One such request, whose batch has been collected."""

    __slots__ = ("_broker", "_caller", "_correlation_id", "_familiar", "_receipt")

    def __init__(
        self, familiar: Familiar, broker: BrokerServices, caller: Caller, correlation_id: int, receipt: Receipt
    ) -> None:
        self._familiar = familiar
        self._broker = broker
        self._caller = caller
        self._correlation_id = correlation_id
        self._receipt = receipt

    def finish(self) -> bytes | Message | Deferred[Any] | None:
        """Return the answer as it goes over the wire, if there is nothing else to say or to wait for."""
        familiar, receipt = self._familiar, self._receipt
        partition = receipt.partition
        if partition is not None and partition.is_acknowledged(receipt, familiar.acks):
            return familiar.write(
                self._correlation_id, receipt.base_offset, receipt.append_time_ms, partition.log.start_offset
            )
        return familiar.in_full(self._broker, self._caller, receipt).finish()


def begins_at(frame: bytes, version: int, request: ProduceRequest) -> int:
    """
    Return where in a request that which differs from others of its kind begins, or 0 where it has no kind.

    @param request: what C{frame} says, to its end.
    """
    if version < FROM_VERSION or request.acks == ACKS_NONE or len(request.topic_data) != 1:
        return 0
    parts = request.topic_data[0].partition_data
    if len(parts) != 1 or not parts[0].records or len(parts[0].records) > RECORDS_BYTES_MAX:
        return 0
    records = bytes(parts[0].records)  # type: ignore[arg-type]
    if is_flexible(ProduceRequest, version):
        varying = unsigned(len(records) + 1) + records + _NO_TAGS
    else:
        varying = _LENGTH.pack(len(records)) + records
    at = len(frame) - len(varying)
    return at if at <= AT_MOST and frame.endswith(varying) else 0
