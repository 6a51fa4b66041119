"""
Produce requests that begin as one before did, and bring one small batch.

What a producer sends is the same again and again, but for the number of the
request and the batch.  So a request is read once; one that begins with the same
bytes means the same, and only its batch is looked at.  It goes the way of every
other from there, and gets the same answer, from a template.  What is unusual in
any way is left to L{streamline.api.produce}, as if nobody had seen it before.

That halves what a small request costs, and small requests are many.
"""

from __future__ import annotations

from struct import Struct

from streamline.api.call import BrokerServices, Call, Caller
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
from streamline.wire.schema import is_flexible
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
        "_acks", "_client_id", "_flexible", "_index", "_name", "_timeout_s", "_topic_id", "_write", "at", "version"
    )  # fmt: skip

    def __init__(self, at: int, version: int, client_id: str | None, request: ProduceRequest) -> None:
        topic = request.topic_data[0]
        self.at = at
        self.version = version
        self._client_id = client_id
        self._acks = request.acks
        self._timeout_s = request.timeout_ms / 1000
        self._flexible = is_flexible(ProduceRequest, version)
        self._name = topic.name
        self._topic_id = topic.topic_id
        self._index = topic.partition_data[0].index
        self._write = template(self._written, "iqqq")

    def _written(self, correlation_id: int, base_offset: int, append_time_ms: int, log_start_offset: int) -> bytes:
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

    def take(self, broker: BrokerServices, frame: bytes) -> Receipt | None:
        """Collect the batch of a request that begins so; None, and nothing has happened, where it is not usual."""
        records = self._records(frame)
        if records is None:
            return None
        name = self._name
        if self.version >= TOPIC_IDS_FROM:
            name = broker.metadata.image.names.get(self._topic_id, "")
        receipt = broker.replicas.append(name, self._index, records, self._acks, self.version)
        return receipt if type(receipt) is Receipt and receipt.refusal is None else None

    def answer(self, correlation_id: int, receipt: Receipt) -> bytes | None:
        """Return the answer as it goes over the wire; None where there is something else to say, or to wait for."""
        partition = receipt.partition
        if partition is None or partition.verdict(receipt, self._acks) is not None:
            return None
        return self._write(correlation_id, receipt.base_offset, receipt.append_time_ms, partition.log.start_offset)

    def in_full(self, broker: BrokerServices, caller: Caller, receipt: Receipt) -> Produced:
        """Return the request with what became of it, as it would be had nobody seen its like before."""
        call = Call(broker, caller, self.version, self._client_id)
        return Produced(call, self._acks, self._timeout_s, [(self._name, self._topic_id, [(self._index, receipt)])])

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
