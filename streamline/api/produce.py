"""
Produce (0): append record batches, and answer when the acks policy is satisfied.

Behaviour: everything up to L{Later} runs before the connection's next request
is read, so batches enter the log in the order in which they arrived; what a
pass over the socket brought is then written at once, and only then answered.
What other nodes lead is passed on to them where the setting and the version
say so (L{streamline.services.relaying}), also before the next request is read.

Version notes: 3 message format 2; 5 log start offset; 7 zstd; 8 error messages
(KIP-467); 9 flexible; 10 current leader (KIP-951); 13 topic ids (KIP-516).
"""

from __future__ import annotations

from collections.abc import Generator, Sequence

from twisted.internet.defer import Deferred

from streamline.api.call import Call, Hold, Later
from streamline.api.leaders import MOVED, addresses_of, leader_of, topic_name
from streamline.errors import ErrorCode, Refused
from streamline.model import NO_OFFSET
from streamline.replication.acks import ACKS_NONE
from streamline.services.purgatory import Group
from streamline.services.receipts import Receipt, refused
from streamline.services.relaying import Client, Passing, Relay
from streamline.wire.messages.produce import (
    LeaderIdAndEpoch,
    NodeEndpoint,
    PartitionProduceData,
    PartitionProduceResponse,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
    TopicProduceResponse,
)
from streamline.wire.schema import Message

TOPIC_IDS_FROM = 13
LEADERS_FROM = 10
PARTITIONS_PER_TURN = 200
ANSWERS_PER_TURN = 1000

Appended = tuple[str | None, bytes, list[tuple[int, Receipt]]]
"""(topic name, topic id, (partition, receipt) pairs), as in the request."""

Looking = Generator[None, None, Receipt]
"""A close look at one batch, which appends it."""

_UNSEEN = refused(Refused(ErrorCode.UNKNOWN_SERVER_ERROR, "nobody has looked at this batch"))
"""Stands where the receipt of a batch will be."""


def produce(call: Call, request: ProduceRequest) -> Later | Hold:
    """Collect every batch now; write, wait and answer later."""
    produced = Produced(call, request.acks, request.timeout_ms / 1000, [])
    relay = call.broker.relay
    if relay is not None and call.version < relay.below_version:
        produced.pass_on_by(relay)
    topics = request.topic_data
    count = 0
    for topic in topics:
        count += len(topic.partition_data)
    if count <= PARTITIONS_PER_TURN:
        produced.collect(topics)
        if produced.is_collected:
            return produced if produced.passing is None else _passed_on(produced)
        work = produced.look_closely()
    else:
        work = produced.collect_many(topics)
    done = call.broker.turns.work_off(work)
    # A Deferred where looking takes more than one turn of the reactor.
    if isinstance(done, Deferred):
        return Hold(done if produced.passing is None else done.addCallback(_pass_on))
    return done if produced.passing is None else _passed_on(done)


def _pass_on(produced: Produced) -> Produced | Deferred[Produced]:
    """Send what others lead; a Deferred where there is no room for it yet."""
    assert produced.passing is not None
    waiting = produced.passing.send()
    return produced if waiting is None else waiting.addCallback(lambda _: produced)


def _passed_on(produced: Produced) -> Produced | Hold:
    """Do so before the connection's next request is looked at, or what is sent by one could be in any order."""
    done = _pass_on(produced)
    return Hold(done) if isinstance(done, Deferred) else done


class Produced(Later):
    """
    The batches of one request: what became of each, and what is left to do for the answer.

    It keeps nothing of the request, so that the records can go once they are written, or sent.

    @ivar passing: takes along what other nodes lead, where that is passed on.
    """

    __slots__ = ("_acks", "_call", "_close_ones", "_timeout_s", "_topics", "passing")

    def __init__(self, call: Call, acks: int, timeout_s: float, topics: list[Appended]) -> None:
        self._call = call
        self._acks = acks
        self._timeout_s = timeout_s
        self._topics = topics
        self._close_ones: list[tuple[list[tuple[int, Receipt]], int, Looking]] | None = None
        """Where receipts of batches belong that need a close look, and what looks."""
        self.passing: Passing | None = None

    def pass_on_by(self, relay: Relay) -> None:
        """Have what other nodes lead go this way."""
        call, caller = self._call, self._call.caller
        client = Client(caller.principal, call.client_id, caller.address, call.version)
        self.passing = Passing(relay, client, self._acks, self._timeout_s)

    # Collecting

    def collect(self, topics: Sequence[TopicProduceData]) -> None:
        """Collect the plain batches of a request; note those that need a closer look."""
        for topic in topics:
            self._append(*self._begin(topic), topic.partition_data)

    def collect_many(self, topics: Sequence[TopicProduceData]) -> Generator[None, None, Produced]:
        """Collect all batches of a request of very many partitions, and write what each turn has collected in it."""
        for topic in topics:
            name, receipts = self._begin(topic)
            parts = topic.partition_data
            for at in range(0, len(parts), PARTITIONS_PER_TURN):
                self._append(name, receipts, parts[at : at + PARTITIONS_PER_TURN])
                self._call.broker.replicas.flush()
                yield
        return (yield from self.look_closely())

    def _begin(self, topic: TopicProduceData) -> tuple[str | None, list[tuple[int, Receipt]]]:
        """Return the name of a topic, None where there is none, and where to put its receipts."""
        name = topic_name(self._call, TOPIC_IDS_FROM, topic.name, topic.topic_id)
        receipts: list[tuple[int, Receipt]] = []
        self._topics.append((name, topic.topic_id, receipts))
        return name, receipts

    def _append(
        self, name: str | None, receipts: list[tuple[int, Receipt]], parts: Sequence[PartitionProduceData]
    ) -> None:
        call, acks = self._call, self._acks
        append, version, passing = call.broker.replicas.append, call.version, self.passing
        for part in parts:
            index = part.index
            if name is None:
                work = refused(Refused(ErrorCode.UNKNOWN_TOPIC_ID))
            elif passing is None or (work := passing.take(name, part)) is None:  # type: ignore[assignment]
                work = append(name, index, part.records, acks, version)  # type: ignore[arg-type, assignment]
                if type(work) is not Receipt:
                    work = self._look_later(receipts, work)  # type: ignore[arg-type]
            receipts.append((index, work))

    def _look_later(self, receipts: list[tuple[int, Receipt]], looking: Looking) -> Receipt:
        """Keep a place in the answer for a batch that needs a close look."""
        if self._close_ones is None:
            self._close_ones = []
        self._close_ones.append((receipts, len(receipts), looking))
        return _UNSEEN

    @property
    def is_collected(self) -> bool:
        """Whether every batch was plain, so that all of them are in their logs."""
        return self._close_ones is None

    def look_closely(self) -> Generator[None, None, Produced]:
        """Collect the batches that need a close look; pause where others should have the reactor."""
        close_ones, self._close_ones = self._close_ones or [], None
        for count, (receipts, at, looking) in enumerate(close_ones, 1):
            receipts[at] = receipts[at][0], (yield from looking)
            if count % PARTITIONS_PER_TURN == 0:
                self._call.broker.replicas.flush()
                yield
        return self

    # Answering

    def finish(self) -> Message | Deferred[Message] | None:
        """Answer, or wait until that can be done; all batches have been written by now."""
        acks = self._acks
        if acks == ACKS_NONE:
            self._close_if_refused()
            if self.passing is not None:
                self.passing.when_over(self._close_if_refused)
            return None
        waiting = []
        count = 0
        for _, _, receipts in self._topics:
            for _, receipt in receipts:
                partition = receipt.partition
                if partition is not None and not partition.is_settled(receipt, acks):
                    waiting.append(receipt)
            count += len(receipts)
        respond = self.respond if count <= ANSWERS_PER_TURN else self._respond_slowly
        if not waiting:
            return respond()
        group = Group(len(waiting), self._call.broker.deadlines, self._timeout_s)
        for receipt in waiting:
            assert receipt.partition is not None
            receipt.partition.when_settled(receipt, acks, group.settle)
        return group.done.addCallback(lambda _: respond())

    def _close_if_refused(self) -> None:
        """A client that wants no answer learns from a closed connection that something was wrong, as in Kafka."""
        for name, _, receipts in self._topics:
            for index, receipt in receipts:
                if receipt.refusal is not None:
                    why = f"a produce with acks=0 to {name}-{index} was refused: {receipt.refusal}"
                    self._call.caller.close(why)
                    return

    def respond(self) -> Message:
        """Answer with what has become of each batch by now."""
        return self._response(
            [
                TopicProduceResponse(
                    name=name or "", topic_id=topic_id, partition_responses=self._results(name, receipts)
                )
                for name, topic_id, receipts in self._topics
            ]
        )

    def _respond_slowly(self) -> Message | Deferred[Message]:
        return self._call.broker.turns.work_off(self._respond_in_steps())

    def _respond_in_steps(self) -> Generator[None, None, Message]:
        topics: list[TopicProduceResponse] = []
        for name, topic_id, receipts in self._topics:
            results: list[PartitionProduceResponse] = []
            for at in range(0, len(receipts), ANSWERS_PER_TURN):
                results += self._results(name, receipts[at : at + ANSWERS_PER_TURN])
                yield
            topics.append(TopicProduceResponse(name=name or "", topic_id=topic_id, partition_responses=results))
        return self._response(topics)

    def _results(self, name: str | None, receipts: list[tuple[int, Receipt]]) -> list[PartitionProduceResponse]:
        acks = self._acks
        results = []
        for index, receipt in receipts:
            partition = receipt.partition
            # Only another node wants to have acks=0 answered.
            is_over = partition is None or acks == ACKS_NONE
            refusal = receipt.refusal if is_over else partition.verdict(receipt, acks)  # type: ignore[union-attr]
            if refusal is not None:
                results.append(self._refusal(name, index, refusal))
                continue
            assert partition is not None
            results.append(
                PartitionProduceResponse(
                    index=index,
                    base_offset=receipt.base_offset,
                    log_append_time_ms=receipt.append_time_ms,
                    log_start_offset=receipt.log_start_offset,
                )
            )
        return results

    def _refusal(self, name: str | None, index: int, refusal: Refused) -> PartitionProduceResponse:
        result = PartitionProduceResponse(
            index=index, error_code=refusal.code, base_offset=NO_OFFSET, error_message=refusal.message or None
        )
        if refusal.code in MOVED and name is not None and self._call.version >= LEADERS_FROM:
            leader, epoch = leader_of(self._call, name, index)
            result.current_leader = LeaderIdAndEpoch(leader_id=leader, leader_epoch=epoch)
        return result

    def _response(self, topics: list[TopicProduceResponse]) -> Message:
        response = ProduceResponse(responses=topics)
        if self._call.version >= LEADERS_FROM:
            _add_endpoints(self._call, response)
        return response


def _add_endpoints(call: Call, response: ProduceResponse) -> None:
    """Name the address of every leader that the answer mentions."""
    leaders = [
        part.current_leader.leader_id
        for topic in response.responses
        for part in topic.partition_responses
        if part.current_leader is not None
    ]
    if leaders:
        response.node_endpoints = [
            NodeEndpoint(node_id=node, host=address.host, port=address.port, rack=rack)
            for node, address, rack in addresses_of(call, leaders)
        ]
