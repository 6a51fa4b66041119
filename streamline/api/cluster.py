"""
DescribeCluster (60): the cluster's id, its controller and its nodes; UnregisterBroker (64): one of them has left.

Behaviour: a broker that is unregistered leaves every ISR in the moment in which others lead in its place.  That is
refused where nobody else is known to have what it has.  Partitions go on naming it among their replicas until they are
reassigned, as in Kafka.  One that is still running registers again, as a new one that may lack records.

Version notes: DescribeCluster 1 endpoint type (KIP-919): controllers are told where they listen
for other nodes; 2 fenced brokers.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred

from streamline.api import operations
from streamline.api.call import Call
from streamline.api.deciding import decide
from streamline.api.leaders import address_of
from streamline.cluster.commands import Command
from streamline.cluster.failover import unregister
from streamline.cluster.image import MetadataImage
from streamline.errors import ErrorCode, Refused
from streamline.wire.messages.cluster import (
    DescribeClusterBroker,
    DescribeClusterRequest,
    DescribeClusterResponse,
    UnregisterBrokerRequest,
    UnregisterBrokerResponse,
)

BROKERS = 1
CONTROLLERS = 2


def describe_cluster(call: Call, request: DescribeClusterRequest) -> DescribeClusterResponse:
    """Answer from the image."""
    if request.endpoint_type == CONTROLLERS:
        return _controllers(call, request)
    if request.endpoint_type != BROKERS:
        return _refusal(request, ErrorCode.UNSUPPORTED_ENDPOINT_TYPE, f"no endpoints have type {request.endpoint_type}")
    metadata = call.broker.metadata
    brokers = [
        DescribeClusterBroker(
            broker_id=broker.node_id,
            host=address.host,
            port=address.port,
            rack=broker.rack,
            is_fenced=broker.fenced,
        )
        for broker in metadata.image.brokers.values()
        if (request.include_fenced_brokers or not broker.fenced) and (address := address_of(call, broker))
    ]
    return DescribeClusterResponse(
        endpoint_type=request.endpoint_type,
        cluster_id=metadata.image.cluster_id,
        controller_id=-1 if metadata.consensus.leader_id is None else metadata.consensus.leader_id,
        brokers=brokers,
        cluster_authorized_operations=(
            operations.CLUSTER if request.include_cluster_authorized_operations else operations.NOT_ASKED
        ),
    )


def _controllers(call: Call, request: DescribeClusterRequest) -> DescribeClusterResponse:
    """Say where other nodes find the controllers; where this node is, as long as it is in no cluster."""
    known = call.broker.controllers()
    if known is None:
        return _refusal(
            request, ErrorCode.MISMATCHED_ENDPOINT_TYPE, "this listener is for clients; ask it for brokers"
        )
    return DescribeClusterResponse(
        endpoint_type=CONTROLLERS,
        cluster_id=known.cluster_id,
        controller_id=known.leader_id,
        brokers=[
            DescribeClusterBroker(broker_id=node_id, host=address.host, port=address.port)
            for node_id, address in known.nodes
        ],
    )


def _refusal(request: DescribeClusterRequest, code: ErrorCode, message: str) -> DescribeClusterResponse:
    return DescribeClusterResponse(error_code=code, error_message=message, endpoint_type=BROKERS)


def unregister_broker(call: Call, request: UnregisterBrokerRequest) -> Deferred[UnregisterBrokerResponse]:
    """Forget a broker, on the controller."""
    return Deferred.fromCoroutine(_unregister(call, request.broker_id))


async def _unregister(call: Call, node_id: int) -> UnregisterBrokerResponse:
    def plan(image: MetadataImage) -> list[Command]:
        if node_id not in image.brokers:
            raise Refused(ErrorCode.BROKER_ID_NOT_REGISTERED, f"node {node_id} is not in the cluster")
        return unregister(image, node_id)

    await decide(call, plan)
    return UnregisterBrokerResponse(error_message=None)


def not_unregistered(request: UnregisterBrokerRequest, refusal: Refused) -> UnregisterBrokerResponse:
    """Refuse a request."""
    return UnregisterBrokerResponse(error_code=refusal.code, error_message=refusal.message or None)
