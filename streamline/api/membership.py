"""
What brokers ask the controller: to be taken in, to be heard, to stop, for another ISR, for producer ids.

Answers for the cluster listener: plain functions of the services, who is connected, and what was asked.  A broker is
whoever is connected as it: nobody speaks for another one, whatever the request says (AU6).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from attrs import frozen
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.logger import Logger

from streamline.cluster.membership import Heartbeat, Registration
from streamline.errors import ErrorCode, Refused
from streamline.model import Endpoint
from streamline.raft import ReplicaKey
from streamline.services.controllership import Controllership
from streamline.services.membership import Membership
from streamline.services.producer_ids import allocate
from streamline.services.registering import KAFKA_LISTENER, PEER_LISTENER
from streamline.wire.messages.peer import (
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


@frozen
class ControllerServices:
    """What answers to other nodes are made with."""

    controllership: Controllership
    membership: Membership


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
    services: ControllerServices, sender: ReplicaKey, request: BrokerRegistrationRequest
) -> Deferred[BrokerRegistrationResponse]:
    """Take a broker in (KIP-631)."""

    async def answer() -> BrokerRegistrationResponse:
        _check_sender(sender, request.broker_id)
        if list(request.log_dirs) != [sender.directory_id]:
            raise Refused(ErrorCode.INVALID_REQUEST, "a node registers with the directory that it is connected as")
        epoch = await services.membership.register(_registration(request))
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
    services: ControllerServices, sender: ReplicaKey, request: BrokerHeartbeatRequest
) -> Deferred[BrokerHeartbeatResponse]:
    """Hear that a broker lives, and say what it may do (KIP-631)."""

    async def answer() -> BrokerHeartbeatResponse:
        _check_sender(sender, request.broker_id)
        pulse = await services.membership.heartbeat(
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
    services: ControllerServices, sender: ReplicaKey, request: ControlledShutdownRequest
) -> Deferred[ControlledShutdownResponse]:
    """Have others lead in a broker's place; say what it leads all the same."""

    async def answer() -> ControlledShutdownResponse:
        _check_sender(sender, request.broker_id)
        image = await services.membership.begin_shutdown(request.broker_id, request.broker_epoch)
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
    services: ControllerServices, sender: ReplicaKey, request: AllocateProducerIdsRequest
) -> Deferred[AllocateProducerIdsResponse]:
    """Give a broker a block of producer ids (KIP-730)."""

    async def answer() -> AllocateProducerIdsResponse:
        _check_sender(sender, request.broker_id)
        block = await allocate(services.controllership, request.broker_id, request.broker_epoch)
        return AllocateProducerIdsResponse(producer_id_start=block.start, producer_id_len=len(block))

    return _answered(answer, lambda code: AllocateProducerIdsResponse(error_code=code), sender)
