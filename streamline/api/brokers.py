"""
What brokers ask the controller: to be taken in, to be heard, to stop, for another ISR, for producer ids.

Answers for the cluster listener: plain functions of the services, who is connected, and what was asked.  A broker is
whoever is connected as it: nobody speaks for another one, whatever the request says (AU6).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.logger import Logger

from streamline.cluster.altering import IsrChange, Member
from streamline.cluster.membership import Heartbeat, Registration
from streamline.errors import ErrorCode, Refused
from streamline.model import Endpoint
from streamline.raft import ReplicaKey
from streamline.services.altering import Outcome, alter_partitions
from streamline.services.brain import Brain
from streamline.services.producer_ids import allocate
from streamline.wire.messages.peer import (
    KAFKA_LISTENER,
    PEER_LISTENER,
    AlterPartitionRequest,
    AlterPartitionResponse,
    AlterPartitionResponsePartitionData,
    AlterPartitionResponseTopicData,
    BrokerHeartbeatRequest,
    BrokerHeartbeatResponse,
    BrokerRegistrationRequest,
    BrokerRegistrationResponse,
)
from streamline.wire.messages.peer_pushes import (
    ControlledShutdownRequest,
    ControlledShutdownResponse,
    RemainingPartition,
)
from streamline.wire.messages.producer_ids import AllocateProducerIdsRequest, AllocateProducerIdsResponse

log = Logger()

R = TypeVar("R")


def _answered(answer: Callable[[], Awaitable[R]], refused: Callable[[int], R], who: ReplicaKey) -> Deferred[R]:
    """Give an answer, or the one that says why there is none."""

    async def make() -> R:
        try:
            return await answer()
        except Refused as refusal:
            if refusal.code is not ErrorCode.NOT_CONTROLLER:
                log.info("node {node_id} is told: {why}", node_id=who.node_id, why=str(refusal))
            return refused(refusal.code)

    return ensureDeferred(make())


def _check_sender(sender: ReplicaKey, node_id: int) -> None:
    if node_id != sender.node_id:
        raise Refused(ErrorCode.INVALID_REQUEST, f"node {sender.node_id} speaks for node {node_id}")


def broker_registration(
    brain: Brain, sender: ReplicaKey, request: BrokerRegistrationRequest
) -> Deferred[BrokerRegistrationResponse]:
    """Take a broker in (KIP-631)."""

    async def answer() -> BrokerRegistrationResponse:
        _check_sender(sender, request.broker_id)
        if list(request.log_dirs) != [sender.directory_id]:
            raise Refused(ErrorCode.INVALID_REQUEST, "a node registers with the directory that it is connected as")
        epoch = await brain.membership.register(_registration(request))
        return BrokerRegistrationResponse(broker_epoch=epoch)

    return _answered(answer, lambda code: BrokerRegistrationResponse(error_code=code), sender)


def _registration(request: BrokerRegistrationRequest) -> Registration:
    endpoints = {listener.name: Endpoint(listener.host, listener.port) for listener in request.listeners}
    if KAFKA_LISTENER not in endpoints:
        raise Refused(ErrorCode.INVALID_REQUEST, "a node registers with the address that clients are told")
    return Registration(
        node_id=request.broker_id,
        cluster_id=request.cluster_id,
        incarnation_id=request.incarnation_id,
        directory_id=request.log_dirs[0],
        endpoint=endpoints[KAFKA_LISTENER],
        peer_endpoint=endpoints.get(PEER_LISTENER),
        rack=request.rack,
        features={one.name: (one.min_supported_version, one.max_supported_version) for one in request.features},
        previous_epoch=request.previous_broker_epoch,
    )


def broker_heartbeat(
    brain: Brain, sender: ReplicaKey, request: BrokerHeartbeatRequest
) -> Deferred[BrokerHeartbeatResponse]:
    """Hear that a broker lives, and say what it may do (KIP-631)."""

    async def answer() -> BrokerHeartbeatResponse:
        _check_sender(sender, request.broker_id)
        pulse = await brain.membership.heartbeat(
            Heartbeat(
                node_id=request.broker_id,
                broker_epoch=request.broker_epoch,
                metadata_index=request.current_metadata_offset,
                wants_fence=request.want_fence,
                wants_shutdown=request.want_shut_down,
            )
        )
        return BrokerHeartbeatResponse(
            is_caught_up=pulse.is_caught_up, is_fenced=pulse.is_fenced, should_shut_down=pulse.may_stop
        )

    return _answered(answer, lambda code: BrokerHeartbeatResponse(error_code=code), sender)


def controlled_shutdown(
    brain: Brain, sender: ReplicaKey, request: ControlledShutdownRequest
) -> Deferred[ControlledShutdownResponse]:
    """Have others lead in a broker's place; say what it leads all the same."""

    async def answer() -> ControlledShutdownResponse:
        _check_sender(sender, request.broker_id)
        image = await brain.membership.begin_shutdown(request.broker_id, request.broker_epoch)
        return ControlledShutdownResponse(
            remaining_partitions=[
                RemainingPartition(topic_name=topic.name, partition_index=state.index)
                for topic in image.topics.values()
                for state in topic.partitions
                if state.leader == request.broker_id
            ]
        )

    return _answered(answer, lambda code: ControlledShutdownResponse(error_code=code), sender)


def allocate_producer_ids(
    brain: Brain, sender: ReplicaKey, request: AllocateProducerIdsRequest
) -> Deferred[AllocateProducerIdsResponse]:
    """Give a broker a block of producer ids (KIP-730)."""

    async def answer() -> AllocateProducerIdsResponse:
        _check_sender(sender, request.broker_id)
        block = await allocate(brain.controllership, request.broker_id, request.broker_epoch)
        return AllocateProducerIdsResponse(producer_id_start=block.start, producer_id_len=len(block))

    return _answered(answer, lambda code: AllocateProducerIdsResponse(error_code=code), sender)


def alter_partition(
    brain: Brain, sender: ReplicaKey, request: AlterPartitionRequest
) -> Deferred[AlterPartitionResponse]:
    """Decide on the ISR of partitions that a broker leads (KIP-497, KIP-903)."""

    async def answer() -> AlterPartitionResponse:
        _check_sender(sender, request.broker_id)
        wanted = _isr_changes(request)
        outcomes = await alter_partitions(brain.controllership, request.broker_id, request.broker_epoch, wanted)
        topics: dict[bytes, list[AlterPartitionResponsePartitionData]] = {}
        for change, outcome in zip(wanted, outcomes, strict=True):
            topics.setdefault(change.topic_id, []).append(_altered(change.index, outcome))
        return AlterPartitionResponse(
            topics=[AlterPartitionResponseTopicData(topic_id=key, partitions=parts) for key, parts in topics.items()]
        )

    return _answered(answer, lambda code: AlterPartitionResponse(error_code=code), sender)


def _isr_changes(request: AlterPartitionRequest) -> Sequence[IsrChange]:
    return [
        IsrChange(
            topic_id=topic.topic_id,
            index=part.partition_index,
            leader_epoch=part.leader_epoch,
            partition_epoch=part.partition_epoch,
            isr=[Member(member.broker_id, member.broker_epoch) for member in part.new_isr_with_epochs],
            is_recovering=bool(part.leader_recovery_state),
        )
        for topic in request.topics
        for part in topic.partitions
    ]


def _altered(index: int, outcome: Outcome) -> AlterPartitionResponsePartitionData:
    if isinstance(outcome, Refused):
        return AlterPartitionResponsePartitionData(partition_index=index, error_code=outcome.code)
    return AlterPartitionResponsePartitionData(
        partition_index=index,
        leader_id=outcome.leader,
        leader_epoch=outcome.leader_epoch,
        isr=outcome.isr,
        leader_recovery_state=int(outcome.is_recovering),
        partition_epoch=outcome.partition_epoch,
    )


Answer = Callable[[Brain, ReplicaKey, Any], Deferred[Any]]

ANSWERS: Final[Sequence[tuple[type[Any], type[Any], Answer]]] = (
    (ControlledShutdownRequest, ControlledShutdownResponse, controlled_shutdown),
    (AlterPartitionRequest, AlterPartitionResponse, alter_partition),
    (BrokerRegistrationRequest, BrokerRegistrationResponse, broker_registration),
    (BrokerHeartbeatRequest, BrokerHeartbeatResponse, broker_heartbeat),
    (AllocateProducerIdsRequest, AllocateProducerIdsResponse, allocate_producer_ids),
)
"""What the cluster listener answers with these functions: request, response, function."""
