"""
Produce (0): append record batches, and answer when the acks policy is satisfied.

Behaviour: everything up to L{Later} runs before the connection's next request
is read, so batches enter the log in the order in which they arrived; what a
pass over the socket brought is then written at once, and only then answered.

Version notes: 3 message format 2; 5 log start offset; 7 zstd; 8 error messages
(KIP-467); 9 flexible; 10 current leader (KIP-951); 13 topic ids (KIP-516).
"""

from __future__ import annotations

from collections.abc import Generator

from twisted.internet.defer import Deferred

from streamline.api.call import Call, Hold, Later
from streamline.api.leaders import MOVED, addresses_of, leader_of, topic_name
from streamline.errors import ErrorCode, Refused
from streamline.model import NO_OFFSET
from streamline.replication.acks import ACKS_NONE
from streamline.services.purgatory import Group
from streamline.services.receipts import Receipt, refused
from streamline.wire.messages.produce import (
    LeaderIdAndEpoch,
    NodeEndpoint,
    PartitionProduceResponse,
    ProduceRequest,
    ProduceResponse,
    TopicProduceResponse,
)

TOPIC_IDS_FROM = 13
LEADERS_FROM = 10
PARTITIONS_PER_TURN = 200
ANSWERS_PER_TURN = 1000

Appended = list[tuple[str | None, bytes, list[tuple[int, Receipt]]]]
"""(topic name, topic id, (partition, receipt) pairs) in the order of the request."""


def produce(call: Call, request: ProduceRequest) -> Later | Hold:
    """Collect every batch now; write, wait and answer later."""
    acks, timeout_s = request.acks, request.timeout_ms / 1000
    appended = call.broker.turns.work_off(_append(call, request))
    if isinstance(appended, Deferred):
        # So many records or partitions that looking at them takes more than one turn of the reactor.
        return Hold(appended.addCallback(lambda found: _later(call, acks, timeout_s, found)))
    return _later(call, acks, timeout_s, appended)


def _later(call: Call, acks: int, timeout_s: float, appended: Appended) -> Later:
    """Return what is left to do; it keeps nothing of the request, so that the records can go."""
    return Later(lambda: _finish(call, acks, timeout_s, appended))


def _append(call: Call, request: ProduceRequest) -> Generator[None, None, Appended]:
    append = call.broker.replicas.append
    acks, version = request.acks, call.version
    appended: Appended = []
    count = 0
    for topic in request.topic_data:
        name = topic_name(call, TOPIC_IDS_FROM, topic.name, topic.topic_id)
        receipts = []
        for part in topic.partition_data:
            if name is None:
                receipt = refused(Refused(ErrorCode.UNKNOWN_TOPIC_ID))
            else:
                work = append(name, part.index, part.records, acks, version)  # type: ignore[arg-type]
                receipt = work if isinstance(work, Receipt) else (yield from work)
            receipts.append((part.index, receipt))
            count += 1
            if count % PARTITIONS_PER_TURN == 0:
                yield
        appended.append((name, topic.topic_id, receipts))
    return appended


def _finish(
    call: Call, acks: int, timeout_s: float, appended: Appended
) -> ProduceResponse | Deferred[ProduceResponse] | None:
    if acks == ACKS_NONE:
        _close_if_refused(call, appended)
        return None
    waiting = [
        receipt
        for _, _, receipts in appended
        for _, receipt in receipts
        if receipt.partition is not None and not receipt.partition.is_settled(receipt, acks)
    ]
    if not waiting:
        return _respond(call, acks, appended)
    group = Group(len(waiting), call.broker.deadlines, timeout_s)
    for receipt in waiting:
        assert receipt.partition is not None
        receipt.partition.when_settled(receipt, acks, group.settle)
    return group.done.addCallback(lambda _: _respond(call, acks, appended))


def _close_if_refused(call: Call, appended: Appended) -> None:
    """A client that wants no answer learns from a closed connection that something was wrong, as in Kafka."""
    for name, _, receipts in appended:
        for index, receipt in receipts:
            if receipt.refusal is not None:
                call.caller.close(f"a produce with acks=0 to {name}-{index} was refused: {receipt.refusal}")
                return


def _respond(call: Call, acks: int, appended: Appended) -> ProduceResponse | Deferred[ProduceResponse]:
    return call.broker.turns.work_off(_response(call, acks, appended))


def _response(call: Call, acks: int, appended: Appended) -> Generator[None, None, ProduceResponse]:
    topics: list[TopicProduceResponse] = []
    count = 0
    for name, topic_id, receipts in appended:
        results = []
        for index, receipt in receipts:
            results.append(_result(call, acks, name, index, receipt))
            count += 1
            if count % ANSWERS_PER_TURN == 0:
                yield
        topics.append(TopicProduceResponse(name=name or "", topic_id=topic_id, partition_responses=results))
    response = ProduceResponse(responses=topics)
    if call.version >= LEADERS_FROM:
        _add_endpoints(call, response)
    return response


def _result(call: Call, acks: int, name: str | None, index: int, receipt: Receipt) -> PartitionProduceResponse:
    refusal = receipt.refusal
    if refusal is None:
        partition = receipt.partition
        assert partition is not None
        try:
            partition.settle(receipt, acks)
        except Refused as late:
            refusal = late
        else:
            return PartitionProduceResponse(
                index=index,
                base_offset=receipt.base_offset,
                log_append_time_ms=receipt.append_time_ms,
                log_start_offset=partition.log.start_offset,
            )
    result = PartitionProduceResponse(
        index=index, error_code=refusal.code, base_offset=NO_OFFSET, error_message=refusal.message or None
    )
    if refusal.code in MOVED and name is not None and call.version >= LEADERS_FROM:
        leader, epoch = leader_of(call, name, index)
        result.current_leader = LeaderIdAndEpoch(leader_id=leader, leader_epoch=epoch)
    return result


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
