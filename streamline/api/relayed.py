"""
Batches that another node passes on, because its clients brought them and this node leads their partitions.

They are taken as if the client had come here, but only in the leader epoch that the other node knew, and they are never
passed on again: where this node does not lead, it says so.  Requests of one node are taken one after the other, in the
order in which they came; see Note [Order of what is passed on] in L{streamline.services.relaying}.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from typing import Any

from twisted.internet.defer import Deferred

from streamline.api.call import BrokerServices, Call, Caller, Elsewhere, Later
from streamline.api.produce import PARTITIONS_PER_TURN, Produced
from streamline.errors import ErrorCode, ProtocolError, Refused
from streamline.model import Endpoint
from streamline.raft import ReplicaKey
from streamline.replication.acks import ACKS_NONE
from streamline.services.receipts import Receipt, refused
from streamline.wire.messages.peer_produce import RelayedProduceRequest, RelayedProduceResponse
from streamline.wire.messages.produce import PartitionProduceData, TopicProduceData, TopicProduceResponse
from streamline.wire.schema import Message

_NO_LINE = (-1, -1)


class RelayedProduces:
    """Takes what other nodes pass on."""

    def __init__(self, broker: BrokerServices) -> None:
        self._broker = broker
        self._senders: dict[int, _Sender] = {}

    def answer(
        self, sender: ReplicaKey, request: RelayedProduceRequest
    ) -> RelayedProduceResponse | Later | Deferred[Later]:
        """
        Take batches; the answer says what became of each.

        @raise ProtocolError: no node sends this.
        """
        known = self._broker.metadata.image.brokers.get(sender.node_id)
        if known is None or known.directory_id != sender.directory_id:
            return RelayedProduceResponse(error_code=ErrorCode.CLUSTER_AUTHORIZATION_FAILED)
        taken = Taken(call_of(self._broker, request), request)
        line = self._senders.setdefault(sender.node_id, _Sender(self._broker))
        if not line.goes_on(request.broker_epoch, request.line):
            return RelayedProduceResponse(error_code=ErrorCode.NOT_LEADER_OR_FOLLOWER)
        return line.take(taken)


def call_of(broker: BrokerServices, request: RelayedProduceRequest) -> Call:
    """Return the call as the client made it."""
    if not request.principal:
        raise ProtocolError("a produce that was passed on does not say whom it is from")
    caller = Caller(request.client_address, Endpoint("", 0), lambda why: None, Elsewhere())
    caller.principal = request.principal
    return Call(broker, caller, request.client_version, request.client_id)


class _Sender:
    """One other node: which of its connections is the latest, and what waits until what came before is collected."""

    def __init__(self, broker: BrokerServices) -> None:
        self._broker = broker
        self._line = _NO_LINE
        self._is_collecting = False
        self._waiting: deque[tuple[Taken, Deferred[Later]]] = deque()

    def goes_on(self, broker_epoch: int, number: int) -> bool:
        """Say whether what came by this connection may be taken: nothing has come by a later one."""
        line = broker_epoch, number
        if line < self._line:
            return False
        self._line = line
        return True

    def take(self, taken: Taken) -> Later | Deferred[Later]:
        """Collect the batches of a request, when those before it are collected."""
        if self._is_collecting:
            waiting: Deferred[Later] = Deferred()
            self._waiting.append((taken, waiting))
            return waiting
        return self._collect(taken)

    def _collect(self, taken: Taken) -> Later | Deferred[Later]:
        collected: Deferred[Later] | Later = self._broker.turns.work_off(taken.collected())
        if not isinstance(collected, Deferred):
            return collected
        self._is_collecting = True
        answer: Deferred[Later] = Deferred()
        collected.addBoth(self._done, answer)
        return answer

    def _done(self, result: Any, answer: Deferred[Later]) -> None:
        self._is_collecting = False
        _give(result, answer)
        while self._waiting and not self._is_collecting:
            taken, waiting = self._waiting.popleft()
            if waiting.called:
                continue  # its connection has ended, and nobody knows what became of it
            found = self._collect(taken)
            if isinstance(found, Deferred):
                found.addBoth(_give, waiting)
            else:
                waiting.callback(found)


def _give(result: Any, answer: Deferred[Later]) -> None:
    if not answer.called:
        answer.callback(result)


class Taken(Produced):
    """The batches of one request that was passed on."""

    __slots__ = ("_count", "_epochs", "_topics_asked")

    def __init__(self, call: Call, request: RelayedProduceRequest) -> None:
        """@raise ProtocolError: there is no epoch for each batch."""
        super().__init__(call, request.acks, request.timeout_ms / 1000, [])
        self._count = sum(len(topic.partition_data) for topic in request.topics)
        if len(request.leader_epochs) != self._count:
            raise ProtocolError("a produce that was passed on has not one leader epoch for each batch")
        self._epochs: Iterator[int] = iter(request.leader_epochs)
        self._topics_asked = request.topics

    def collected(self) -> Generator[None, None, Later]:
        """Collect all batches; pause where others should have the reactor."""
        topics, self._topics_asked = self._topics_asked, ()
        if self._count > PARTITIONS_PER_TURN:
            yield from self.collect_many(topics)
        else:
            self.collect(topics)
            yield from self.look_closely()
        return self

    def _begin(self, topic: TopicProduceData) -> tuple[str | None, list[tuple[int, Receipt]]]:
        name = self._call.broker.metadata.image.names.get(topic.topic_id)
        receipts: list[tuple[int, Receipt]] = []
        self._topics.append((name, topic.topic_id, receipts))
        return name, receipts

    def _append(
        self, name: str | None, receipts: list[tuple[int, Receipt]], parts: Sequence[PartitionProduceData]
    ) -> None:
        call, acks = self._call, self._acks
        append, version = call.broker.replicas.append, call.version
        for part, epoch in zip(parts, self._epochs, strict=False):
            if name is None:
                work = refused(Refused(ErrorCode.UNKNOWN_TOPIC_ID))
            else:
                work = append(name, part.index, part.records, acks, version, epoch)  # type: ignore[arg-type, assignment]
                if type(work) is not Receipt:
                    work = self._look_later(receipts, work)  # type: ignore[arg-type]
            receipts.append((part.index, work))

    def finish(self) -> Message | Deferred[Message] | None:
        """Write what was collected; answer, or wait until that can be done."""
        self._call.broker.replicas.flush()
        if self._acks == ACKS_NONE:
            return self.respond()
        return super().finish()

    def _response(self, topics: list[TopicProduceResponse]) -> Message:
        return RelayedProduceResponse(topics=topics)
