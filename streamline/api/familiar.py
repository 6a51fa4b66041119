"""
Produce requests that begin as one before did, and bring one small batch.

What a producer sends is the same again and again, but for the number of the
request and the batch.  So a request is read once; one that begins with the same
bytes means the same, and only its batch is looked at.  It goes the way of every
other from there, and gets the same answer, from a template.  What is unusual in
any way is left to L{streamline.api.produce}, as if nobody had seen it before.

Several that came one after the other are a L{Run}: what can be said of all of
them at once is found out once, and they are answered together.

That takes two thirds off what a small request costs, and small requests are many.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from struct import Struct
from typing import Any

from twisted.internet.defer import Deferred

from streamline.api.call import BrokerServices, Call, Caller, Later
from streamline.api.produce import TOPIC_IDS_FROM, Appended, Produced
from streamline.model import Buffer
from streamline.replication.acks import ACKS_NONE
from streamline.services.purgatory import Group
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
from streamline.wire.varints import unsigned

FROM_VERSION = 5
"""Answers of older ones have fewer numbers."""
AT_MOST = 512
"""A request that begins with more than this before its batch is not kept in mind."""

RECORDS_BYTES_MAX = 1 << 16
"""With more than this to look at, it does not matter how a request is read."""

_LENGTH = Struct(">i")
_CORRELATION = Struct(">4xi")
"""The number of a request, behind its key and version."""
_next_offset = attrgetter("next_offset")
_NO_TAGS = b"\0\0\0"
"""What follows the batch of a flexible request: no tagged fields of the partition, the topic, and the request."""


class Familiar:
    """
    What requests mean that begin with the same bytes.

    @ivar at: where what may differ begins: the batch, with its length.
    @ivar answer: writes the answer to a request whose batch was kept: takes its number, the offset, the append time
        and the offset at which the log begins.
    """

    __slots__ = (
        "_client_id", "_flexible", "_index", "_name", "_suffix", "_topic_id", "acks", "answer", "at", "timeout_s",
        "version",
    )  # fmt: skip

    def __init__(self, at: int, version: int, client_id: str | None, request: ProduceRequest) -> None:
        topic = request.topic_data[0]
        self.at = at
        self.version = version
        self.acks = request.acks
        self.timeout_s = request.timeout_ms / 1000
        self._client_id = client_id
        self._flexible = is_flexible(ProduceRequest, version)
        self._suffix = _NO_TAGS if self._flexible else b""
        self._name = topic.name
        self._topic_id = topic.topic_id
        self._index = topic.partition_data[0].index
        self.answer = template(self._kept, "iqqq")

    def take(self, broker: BrokerServices, caller: Caller, frames: Sequence[Any]) -> Run | None:
        """
        Collect the batches of requests that begin so, up to the first that does not, or is not usual.

        @param frames: at least one, which begins so; bytes, or a memoryview.
        @return: those that were taken; None, and nothing has happened, where the first one is not usual.
        """
        first, suffix = frames[0], self._suffix
        api, rest = first[:4], first[8 : self.at]
        batches: list[memoryview] = []
        size, before, begin, end = 0, b"", 0, 0
        for frame in frames:
            if len(frame) != size:
                if type(frame) is not bytes:  # as it is where a frame is very large, and then it is of another size
                    break
                size = len(frame)
                length, begin, end = self._place(size)
                before = rest + length
            if not (frame.startswith(before, 8) and frame.startswith(api) and frame.endswith(suffix)):
                break
            batches.append(memoryview(frame)[begin:end])
        name = self._name
        if self.version >= TOPIC_IDS_FROM:
            name = broker.metadata.image.names.get(self._topic_id, "")
        receipts = broker.replicas.append_plain(name, self._index, batches, self.acks)
        if not receipts:
            return None
        numbers = [_CORRELATION.unpack_from(frame)[0] for frame in frames[: len(receipts)]]
        return Run(self, broker, caller, numbers, receipts)

    def _kept(self, number: int, base_offset: int, append_time_ms: int, log_start_offset: int) -> bytes:
        part = PartitionProduceResponse(
            index=self._index,
            base_offset=base_offset,
            log_append_time_ms=append_time_ms,
            log_start_offset=log_start_offset,
        )
        topic = TopicProduceResponse(name=self._name, topic_id=self._topic_id, partition_responses=[part])
        return self._written(number, ProduceResponse(responses=[topic]))

    def answer_in_full(self, broker: BrokerServices, caller: Caller, number: int, receipt: Receipt) -> bytes:
        """Write what became of a batch as if nobody had seen the like of its request before."""
        call = Call(broker, caller, self.version, self._client_id)
        topics: list[Appended] = [(self._name, self._topic_id, [(self._index, receipt)])]
        return self._written(number, Produced(call, self.acks, self.timeout_s, topics).respond())

    def _written(self, number: int, response: Message) -> bytes:
        body = writer(type(response), self.version)(response)
        answer = b"".join([response_header(ProduceRequest.KEY, self.version, number), *body])
        return _LENGTH.pack(len(answer)) + answer

    def _place(self, size: int) -> tuple[bytes, int, int]:
        """Return how the length of the batch is written in a request of C{size} bytes, and where it begins and ends."""
        end = size - len(self._suffix)
        if not self._flexible:
            return _LENGTH.pack(end - self.at - 4), self.at + 4, end
        left = end - self.at
        for width in range(1, min(5, left)):
            if left - width + 1 < 1 << 7 * width:
                prefix = unsigned(left - width + 1)
                if len(prefix) < width:  # one byte less would be too few, and this one would be too many
                    break
                return prefix, self.at + width, end
        return b"", end, end  # there is no such request; an empty batch is not usual


class Run(Later):
    """Requests of one kind that came one after the other, whose batches are collected; and answered together."""

    __slots__ = ("_broker", "_caller", "_kind", "_numbers", "_partition", "_receipts")

    def __init__(
        self, kind: Familiar, broker: BrokerServices, caller: Caller, numbers: list[int], receipts: list[Receipt]
    ) -> None:
        self._kind = kind
        self._broker = broker
        self._caller = caller
        self._numbers = numbers
        self._receipts = receipts
        partition = receipts[0].partition
        assert partition is not None
        self._partition = partition

    def __len__(self) -> int:
        return len(self._receipts)

    def finish(self) -> list[Buffer] | Deferred[list[Buffer]]:
        """Answer all, or wait until that can be done; their batches have been written by now."""
        answers = self._all_kept()
        if answers is not None:
            return answers
        acks, partition = self._kind.acks, self._partition
        last = max(self._receipts, key=_next_offset)
        if partition.is_settled(last, acks):
            # It may have been refused, and others not.
            waiting = [receipt for receipt in self._receipts if not partition.is_settled(receipt, acks)]
            if not waiting:
                return self._one_by_one()
            last = max(waiting, key=_next_offset)
        group = Group(1, self._broker.deadlines, self._kind.timeout_s)
        partition.when_settled(last, acks, group.settle)
        return group.done.addCallback(lambda _: self._all_kept() or self._one_by_one())

    def _all_kept(self) -> list[Buffer] | None:
        """Return the answers; None where not all batches are acknowledged."""
        kind, partition = self._kind, self._partition
        if not partition.acknowledges(self._receipts, kind.acks):
            return None
        answer, log_start_offset = kind.answer, partition.log.start_offset
        return [
            answer(number, receipt.base_offset, receipt.append_time_ms, log_start_offset)
            for number, receipt in zip(self._numbers, self._receipts, strict=True)
        ]

    def _one_by_one(self) -> list[Buffer]:
        return [
            self._kind.answer_in_full(self._broker, self._caller, number, receipt)
            for number, receipt in zip(self._numbers, self._receipts, strict=True)
        ]


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
