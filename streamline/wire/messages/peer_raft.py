"""
What replicas of the metadata log say to each other, and how a node gets to be one.

These are ours alone, under api keys that Kafka does not have, and are spoken on the cluster listener only.  Most are
said one way: the answer to an append is another message, from whenever it is durable, and may never come, so L{ONE_WAY}
have a request's header and no response.  Their fields are named as those of the Raft core's messages, so that a writer
takes those as they are.
"""

from collections.abc import Sequence
from typing import Final

from streamline.wire.messages.log_info import GetReplicaLogInfoRequest, GetReplicaLogInfoResponse
from streamline.wire.messages.peer_produce import RelayedProduceRequest, RelayedProduceResponse
from streamline.wire.schema import Message, message, struct, wire
from streamline.wire.types import (
    ARRAY,
    BOOLEAN,
    BYTES,
    INT8,
    INT16,
    INT32,
    INT64,
    NULLABLE_STRING,
    STRING,
    STRUCT,
    UUID,
)

FIRST_KEY: Final = 20_000
"""The first api key that is ours; Kafka's are below 100."""


@struct
class ReplicaKey:
    """A node with one particular data directory (KIP-853)."""

    node_id: int = wire(INT32)
    directory_id: bytes = wire(UUID)


@struct
class Replica:
    """A member, and where its cluster listener is."""

    key: ReplicaKey = wire(STRUCT(ReplicaKey))
    address: str = wire(STRING)


@struct
class Configuration:
    """Who takes part."""

    voters: Sequence[Replica] = wire(ARRAY(Replica))
    learners: Sequence[Replica] = wire(ARRAY(Replica))
    outgoing: Sequence[Replica] = wire(ARRAY(Replica))


@struct
class Entry:
    """One place in the log; C{kind} is a number of the core's."""

    index: int = wire(INT64)
    term: int = wire(INT64)
    kind: int = wire(INT8)
    payload: bytes = wire(BYTES)


@message(key=20_000, versions="0", flexible="0+")
class RaftVoteRequest(Message):
    """Asks for a vote, or whether one would be given."""

    term: int = wire(INT64)
    sender: ReplicaKey = wire(STRUCT(ReplicaKey))
    to: ReplicaKey = wire(STRUCT(ReplicaKey))
    last_index: int = wire(INT64)
    last_term: int = wire(INT64)
    pre: bool = wire(BOOLEAN)
    transfer: bool = wire(BOOLEAN)


@message(key=20_001, versions="0", flexible="0+", kind="request")
class RaftVoteResponse(Message):
    """Gives a vote or refuses it."""

    term: int = wire(INT64)
    sender: ReplicaKey = wire(STRUCT(ReplicaKey))
    to: ReplicaKey = wire(STRUCT(ReplicaKey))
    asked_term: int = wire(INT64)
    granted: bool = wire(BOOLEAN)
    pre: bool = wire(BOOLEAN)


@message(key=20_002, versions="0", flexible="0+")
class RaftAppendRequest(Message):
    """The leader's entries, or none: then it says that the leader is there."""

    term: int = wire(INT64)
    sender: ReplicaKey = wire(STRUCT(ReplicaKey))
    to: ReplicaKey = wire(STRUCT(ReplicaKey))
    prev_index: int = wire(INT64)
    prev_term: int = wire(INT64)
    entries: Sequence[Entry] = wire(ARRAY(Entry))
    commit_index: int = wire(INT64)
    round: int = wire(INT64)
    wants_answer: bool = wire(BOOLEAN, "0+", tag=0, default=True)


@message(key=20_003, versions="0", flexible="0+", kind="request")
class RaftAppendResponse(Message):
    """How far a log is the leader's own, durably."""

    term: int = wire(INT64)
    sender: ReplicaKey = wire(STRUCT(ReplicaKey))
    to: ReplicaKey = wire(STRUCT(ReplicaKey))
    matched_index: int = wire(INT64)
    round: int = wire(INT64)


@message(key=20_004, versions="0", flexible="0+", kind="request")
class RaftAppendRejection(Message):
    """The log differs, or the leader is none any more."""

    term: int = wire(INT64)
    sender: ReplicaKey = wire(STRUCT(ReplicaKey))
    to: ReplicaKey = wire(STRUCT(ReplicaKey))
    rejected_index: int = wire(INT64)
    hint_index: int = wire(INT64)
    hint_term: int = wire(INT64)
    round: int = wire(INT64)


@message(key=20_005, versions="0", flexible="0+")
class RaftSnapshotRequest(Message):
    """A piece of the snapshot that stands for entries which the leader has no more."""

    term: int = wire(INT64)
    sender: ReplicaKey = wire(STRUCT(ReplicaKey))
    to: ReplicaKey = wire(STRUCT(ReplicaKey))
    snapshot_index: int = wire(INT64)
    snapshot_term: int = wire(INT64)
    configuration: Configuration = wire(STRUCT(Configuration))
    offset: int = wire(INT64)
    total_bytes: int = wire(INT64)
    data: bytes = wire(BYTES)


@message(key=20_006, versions="0", flexible="0+", kind="request")
class RaftSnapshotResponse(Message):
    """Asks for the next piece."""

    term: int = wire(INT64)
    sender: ReplicaKey = wire(STRUCT(ReplicaKey))
    to: ReplicaKey = wire(STRUCT(ReplicaKey))
    snapshot_index: int = wire(INT64)
    snapshot_term: int = wire(INT64)
    offset: int = wire(INT64)


@message(key=20_007, versions="0", flexible="0+", kind="request")
class RaftTimeoutNow(Message):
    """Stand for election at once (leader transfer)."""

    term: int = wire(INT64)
    sender: ReplicaKey = wire(STRUCT(ReplicaKey))
    to: ReplicaKey = wire(STRUCT(ReplicaKey))


@message(key=20_008, versions="0", flexible="0+")
class RaftReadRequest(Message):
    """Up to where does one have to have applied to read what is committed by now?"""

    term: int = wire(INT64)
    sender: ReplicaKey = wire(STRUCT(ReplicaKey))
    to: ReplicaKey = wire(STRUCT(ReplicaKey))
    context: bytes = wire(BYTES)


@message(key=20_009, versions="0", flexible="0+", kind="request")
class RaftReadResponse(Message):
    """Up to here."""

    term: int = wire(INT64)
    sender: ReplicaKey = wire(STRUCT(ReplicaKey))
    to: ReplicaKey = wire(STRUCT(ReplicaKey))
    context: bytes = wire(BYTES)
    index: int = wire(INT64)


@message(key=20_100, versions="0", flexible="0+")
class GreetingRequest(Message):
    """
    The first request of a connection between nodes: who is calling, and whom it means to have called.

    C{cluster_id} is empty before there is a cluster.  The C{receiver} is node -1 where it is not known, and its
    directory all zeros.
    """

    cluster_id: str = wire(STRING)
    sender: ReplicaKey = wire(STRUCT(ReplicaKey))
    incarnation_id: bytes = wire(UUID)
    receiver: ReplicaKey = wire(STRUCT(ReplicaKey))


@message(key=20_100, versions="0", flexible="0+")
class GreetingResponse(Message):
    """Who was called; with an error the connection is closed after it."""

    error_code: int = wire(INT16)
    error_message: str | None = wire(NULLABLE_STRING, default=None)
    cluster_id: str = wire(STRING)
    receiver: ReplicaKey = wire(STRUCT(ReplicaKey))
    incarnation_id: bytes = wire(UUID)


@message(key=20_101, versions="0", flexible="0+")
class JoinRequest(Message):
    """
    A node would like to be a replica: a learner first, and a voter when it has caught up.

    C{cluster_id} is empty where the node has never been in a cluster.
    """

    cluster_id: str = wire(STRING)
    node: Replica = wire(STRUCT(Replica))


@message(key=20_101, versions="0", flexible="0+")
class JoinResponse(Message):
    """
    How that went, and with NOT_CONTROLLER, whom to ask: the leader as far as it is known (id -1 where it is not).

    C{voters} are those of now: a founder that has never heard of the founding is among them, and begins with them.
    """

    error_code: int = wire(INT16)
    error_message: str | None = wire(NULLABLE_STRING, default=None)
    cluster_id: str = wire(STRING)
    leader_id: int = wire(INT32, default=-1)
    leader_address: str = wire(STRING)
    voters: Sequence[Replica] = wire(ARRAY(Replica))


@message(key=20_102, versions="0", flexible="0+")
class FoundingRequest(Message):
    """
    A node that has never been in a cluster tells another with whom it would found one, or with whom it has begun to.

    C{names} are the Kafka addresses of those who are to found it, sorted.  C{voters} is nobody before the founding.
    """

    node: Replica = wire(STRUCT(Replica))
    names: Sequence[str] = wire(ARRAY(STRING))
    voters: Sequence[Replica] = wire(ARRAY(Replica))


@message(key=20_102, versions="0", flexible="0+")
class FoundingResponse(Message):
    """The same of the node that was asked; with C{cluster_id} there is nothing to be founded any more."""

    error_code: int = wire(INT16)
    cluster_id: str = wire(STRING)
    node: Replica = wire(STRUCT(Replica))
    names: Sequence[str] = wire(ARRAY(STRING))
    voters: Sequence[Replica] = wire(ARRAY(Replica))


@message(key=20_105, versions="0", flexible="0+")
class FetchNowRequest(Message):
    """A follower's fetch that waits for records is to be answered: there is something else to ask for."""


@message(key=20_105, versions="0", flexible="0+")
class FetchNowResponse(Message):
    """It is, or there was none."""


ONE_WAY: Final[dict[int, type[Message]]] = {
    message.KEY: message
    for message in (
        RaftVoteRequest,
        RaftVoteResponse,
        RaftAppendRequest,
        RaftAppendResponse,
        RaftAppendRejection,
        RaftSnapshotRequest,
        RaftSnapshotResponse,
        RaftTimeoutNow,
        RaftReadRequest,
        RaftReadResponse,
    )
}
"""What is said without an answer, by api key."""

PRIVATE_REQUESTS: Final[dict[int, type[Message]]] = {
    **ONE_WAY,
    20_100: GreetingRequest,
    20_101: JoinRequest,
    20_102: FoundingRequest,
    20_103: GetReplicaLogInfoRequest,
    20_104: RelayedProduceRequest,
    20_105: FetchNowRequest,
}
PRIVATE_RESPONSES: Final[dict[int, type[Message]]] = {
    20_100: GreetingResponse,
    20_101: JoinResponse,
    20_102: FoundingResponse,
    20_103: GetReplicaLogInfoResponse,
    20_104: RelayedProduceResponse,
    20_105: FetchNowResponse,
}
"""Everything under our own api keys."""
