"""
DescribeQuorum (55), AddRaftVoter (80) and RemoveRaftVoter (81), on the controller.

Behaviour: the quorum looks like Kafka's topic C{__cluster_metadata} with one partition; learners are its observers.  A
node follows the quorum from the moment it has joined, and votes as soon as it has caught up while there are fewer than
C{--max-voters}.  Adding a voter goes beyond that; removing one is for a node that is gone, or it would vote again at
once.

Version notes: DescribeQuorum 1 says when members were heard of (KIP-836); 2 directory ids and addresses (KIP-853).
AddRaftVoter 1 need not wait until it is committed; here it always does.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final

from attrs import evolve
from twisted.internet.defer import Deferred

from streamline.api.call import Call
from streamline.cluster.joining import Member, check_agreement
from streamline.cluster.names import METADATA_TOPIC
from streamline.errors import ErrorCode, Refused
from streamline.interfaces import IQuorum
from streamline.model import NO_NODE, NO_TIMESTAMP, ZERO_UUID
from streamline.raft import AddVoter, Change, QuorumStatus, Remove, Replica, ReplicaKey
from streamline.raft.ready import ReplicaStatus
from streamline.services.joining import HEARD_TICKS, members
from streamline.services.peers import parse_address
from streamline.services.turns import Pace
from streamline.wire.messages.quorum import (
    AddRaftVoterRequest,
    AddRaftVoterResponse,
    DescribeQuorumRequest,
    DescribeQuorumResponse,
    DescribeQuorumResponsePartitionData,
    DescribeQuorumResponseTopicData,
    Listener,
    Node,
    RemoveRaftVoterRequest,
    RemoveRaftVoterResponse,
    ReplicaState,
)

LISTENER: Final = "CONTROLLER"
"""How Kafka's tools know the listener of a voter."""
DIRECTORIES_FROM: Final = 2
PARTITIONS_PER_TURN: Final = 1000
"""Of the metadata there is one; whatever else is named has an error of its own."""
LOOK_S: Final = 0.1
"""How often it is looked whether a voter to be has caught up."""


# Describing


def describe_quorum(
    call: Call, request: DescribeQuorumRequest
) -> DescribeQuorumResponse | Deferred[DescribeQuorumResponse]:
    """Show who takes part, and how far everybody has come."""
    _check_leads(call)
    return call.broker.turns.work_off(_describe(call, request))


def _describe(call: Call, request: DescribeQuorumRequest) -> Generator[None, None, DescribeQuorumResponse]:
    consensus = call.broker.metadata.consensus
    shown, replicas = _of_quorum(call, consensus) if IQuorum.providedBy(consensus) else _of_one(call)
    pace = Pace(PARTITIONS_PER_TURN)
    topics = []
    for topic in request.topics:
        partitions = []
        for one in topic.partitions:
            partitions.append(_partition(topic.topic_name, one.partition_index, shown))
            if pace.is_due():
                yield
        topics.append(DescribeQuorumResponseTopicData(topic_name=topic.topic_name, partitions=partitions))
    nodes = _nodes(replicas) if call.version >= DIRECTORIES_FROM else []
    return DescribeQuorumResponse(error_message=None, topics=topics, nodes=nodes)


def not_described(request: DescribeQuorumRequest, refusal: Refused) -> DescribeQuorumResponse:
    """Refuse a request."""
    return DescribeQuorumResponse(error_code=refusal.code, error_message=refusal.message or None)


def _partition(
    topic: str, index: int, shown: DescribeQuorumResponsePartitionData
) -> DescribeQuorumResponsePartitionData:
    if (topic, index) == (METADATA_TOPIC, 0):
        return shown
    return DescribeQuorumResponsePartitionData(
        partition_index=index,
        error_code=ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
        error_message=f"there is a quorum for {METADATA_TOPIC}-0 only",
        leader_id=NO_NODE,
    )


Shown = tuple[DescribeQuorumResponsePartitionData, tuple[Replica, ...]]
"""The quorum, and those of its voters that can be reached somewhere."""


def _of_quorum(call: Call, quorum: Any) -> Shown:
    status: QuorumStatus = quorum.describe()
    now_ms, tick_ms = call.broker.host.clock.wall_ms(), quorum.tick_s * 1000

    def moment(tick: int) -> int:
        return NO_TIMESTAMP if tick < 0 else now_ms - round((status.tick - tick) * tick_ms)

    def state(one: ReplicaStatus) -> ReplicaState:
        return ReplicaState(
            replica_id=one.key.node_id,
            replica_directory_id=one.key.directory_id if call.version >= DIRECTORIES_FROM else ZERO_UUID,
            log_end_offset=one.end_offset,
            last_fetch_timestamp=moment(one.heard_tick),
            last_caught_up_timestamp=moment(one.caught_up_tick),
        )

    shown = DescribeQuorumResponsePartitionData(
        error_message=None,
        leader_id=call.broker.config.node_id,
        leader_epoch=status.term,
        high_watermark=status.high_watermark,
        current_voters=[state(one) for one in status.voters],
        observers=[state(one) for one in status.observers],
    )
    return shown, (*status.configuration.voters, *status.configuration.outgoing)


def _of_one(call: Call) -> Shown:
    """Show a node that agrees with itself alone."""
    node_id, consensus = call.broker.config.node_id, call.broker.metadata.consensus
    end_offset, now_ms = consensus.applied_index + 1, call.broker.host.clock.wall_ms()
    known = call.broker.metadata.image.brokers.get(node_id)
    voter = ReplicaState(
        replica_id=node_id,
        log_end_offset=end_offset,
        last_fetch_timestamp=now_ms,
        last_caught_up_timestamp=now_ms,
    )
    if known is not None and call.version >= DIRECTORIES_FROM:
        voter.replica_directory_id = known.directory_id
    shown = DescribeQuorumResponsePartitionData(
        error_message=None,
        leader_id=node_id,
        leader_epoch=consensus.term,
        high_watermark=end_offset,
        current_voters=[voter],
    )
    return shown, ()


def _nodes(replicas: tuple[Replica, ...]) -> list[Node]:
    return [
        Node(node_id=key.node_id, listeners=[Listener(name=LISTENER, host=at.host, port=at.port)])
        for key, at in {one.key: parse_address(one.address) for one in replicas if one.address}.items()
    ]


# Changing


def add_raft_voter(call: Call, request: AddRaftVoterRequest) -> Deferred[AddRaftVoterResponse]:
    """Have a node vote that follows, once it has caught up."""
    return Deferred.fromCoroutine(_add(call, request))


async def _add(call: Call, request: AddRaftVoterRequest) -> AddRaftVoterResponse:
    quorum = _quorum(call, request.cluster_id)
    key = ReplicaKey(request.voter_id, request.voter_directory_id)
    clock = call.broker.host.clock
    until_s = clock.seconds() + request.timeout_ms / 1000
    while not _may_vote(quorum.describe(), key):
        if clock.seconds() >= until_s:
            raise Refused(ErrorCode.REQUEST_TIMED_OUT, f"node {key.node_id} has not caught up yet")
        await _after(call, LOOK_S)
        _check_leads(call)
    known = members(quorum.describe())
    check_agreement([evolve(one, is_voter=one.is_voter or _is(one, key)) for one in known])
    await _change(quorum, AddVoter(next(one for one in quorum.configuration.learners if one.key == key)))
    return AddRaftVoterResponse(error_message=None)


def _may_vote(status: QuorumStatus, key: ReplicaKey) -> bool:
    """
    Say whether a node has caught up, so that nothing has to wait for it when it votes.

    @raise Refused: DUPLICATE_VOTER, or INVALID_REQUEST for a node that does not follow the quorum.
    """
    if any(voter.node_id == key.node_id for voter in status.configuration.voter_keys):
        raise Refused(ErrorCode.DUPLICATE_VOTER, f"node {key.node_id} is a voter already")
    follower = _member(status, key)
    if follower is None:
        raise Refused(
            ErrorCode.INVALID_REQUEST,
            f"node {key.node_id} with this directory does not follow the quorum; start it with --seed-nodes first",
        )
    return follower.is_caught_up


def _member(status: QuorumStatus, key: ReplicaKey) -> Member | None:
    return next((one for one in members(status) if _is(one, key)), None)


def _is(member: Member, key: ReplicaKey) -> bool:
    return (member.node_id, member.directory_id) == key


def not_added(request: AddRaftVoterRequest, refusal: Refused) -> AddRaftVoterResponse:
    """Refuse a request."""
    return AddRaftVoterResponse(error_code=refusal.code, error_message=refusal.message or None)


def remove_raft_voter(call: Call, request: RemoveRaftVoterRequest) -> Deferred[RemoveRaftVoterResponse]:
    """Have a node vote no more that is gone."""
    return Deferred.fromCoroutine(_remove(call, request))


async def _remove(call: Call, request: RemoveRaftVoterRequest) -> RemoveRaftVoterResponse:
    quorum = _quorum(call, request.cluster_id)
    key = ReplicaKey(request.voter_id, request.voter_directory_id)
    status: QuorumStatus = quorum.describe()
    known = next((one for one in status.voters if one.key == key), None)
    if known is None:
        raise Refused(ErrorCode.VOTER_NOT_FOUND, f"no voter is node {key.node_id} with this directory")
    if known.heard_tick >= 0 and status.tick - known.heard_tick <= HEARD_TICKS:
        raise Refused(
            ErrorCode.INVALID_REQUEST,
            f"node {key.node_id} is running, and would vote again at once; stop it first",
        )
    check_agreement([one for one in members(status) if not _is(one, key)])
    await _change(quorum, Remove(key))
    return RemoveRaftVoterResponse(error_message=None)


def not_removed(request: RemoveRaftVoterRequest, refusal: Refused) -> RemoveRaftVoterResponse:
    """Refuse a request."""
    return RemoveRaftVoterResponse(error_code=refusal.code, error_message=refusal.message or None)


async def _change(quorum: Any, change: Change) -> None:
    await quorum.change_members([change])


def _quorum(call: Call, cluster_id: str | None) -> Any:
    """
    Return the quorum that a client wants changed.

    @raise Refused: INCONSISTENT_CLUSTER_ID; UNSUPPORTED_VERSION where the quorum is always this node.
    """
    _check_leads(call)
    metadata = call.broker.metadata
    if cluster_id is not None and cluster_id != metadata.image.cluster_id:
        raise Refused(ErrorCode.INCONSISTENT_CLUSTER_ID, f"this is the cluster {metadata.image.cluster_id}")
    if not IQuorum.providedBy(metadata.consensus):
        raise Refused(ErrorCode.UNSUPPORTED_VERSION, "this node agrees with itself alone: start it with raft consensus")
    return metadata.consensus


def _check_leads(call: Call) -> None:
    if not call.broker.forwarding.leads:
        raise Refused(ErrorCode.NOT_CONTROLLER, "this node is not the controller")


def _after(call: Call, seconds: float) -> Deferred[None]:
    passed: Deferred[None] = Deferred(lambda _: timer.cancel())
    timer = call.broker.host.clock.callLater(seconds, passed.callback, None)
    return passed
