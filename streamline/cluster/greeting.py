"""
Who may talk to whom: what two nodes check of each other when they have connected.

Cluster id, node id and directory id are compared on both sides.  A node that has no cluster yet is a guest: it may ask
to join or to found, and what it says of the agreed log counts for nothing.  A node id stands for one process: while
that lives, no other directory may come under it (RF15).
"""

from __future__ import annotations

from enum import Enum

from attrs import evolve

from streamline.errors import ErrorCode
from streamline.model import ZERO_UUID
from streamline.values import frozen
from streamline.wire.messages.peer_raft import GreetingRequest, GreetingResponse, ReplicaKey

ANYBODY = -1
"""The node id of whoever answers, for a caller that does not know it yet."""


class Reason(Enum):
    """Why somebody is refused, as it is counted."""

    STRANGER = "stranger"
    MALFORMED = "malformed"
    WRONG_CLUSTER = "wrong_cluster"
    WRONG_NODE = "wrong_node"
    REUSED_ID = "reused_id"
    LIMIT = "limit"


@frozen
class Refusal:
    """
    Why two nodes do not talk.

    @ivar code: what the caller is told.
    """

    reason: Reason
    code: ErrorCode
    message: str


@frozen(kw_only=True)
class Identity:
    """
    Who a process is.

    @ivar directory_id: of its data directory (KIP-858); another disk is another node (RF15).
    @ivar incarnation_id: drawn by each process.
    @ivar cluster_id: empty before it has one.
    """

    node_id: int
    directory_id: bytes
    incarnation_id: bytes
    cluster_id: str = ""

    def of(self, cluster_id: str) -> Identity:
        """Return the same node as one of a cluster."""
        return evolve(self, cluster_id=cluster_id)

    @property
    def key(self) -> ReplicaKey:
        """The node and its directory, as they are said."""
        return ReplicaKey(node_id=self.node_id, directory_id=self.directory_id)


def judge(own: Identity, said: GreetingRequest, living: bytes | None) -> Refusal | None:
    """
    Say why a caller is refused, or None where it is welcome, be it as a guest.

    @param living: the directory of the process that lives under the caller's node id, as far as is known here.
    """
    if refusal := _other_cluster(own.cluster_id, said.cluster_id):
        return refusal
    if refusal := _other_node(own.key, said.receiver):
        return refusal
    node_id = said.sender.node_id
    if node_id == own.node_id:
        return Refusal(
            Reason.REUSED_ID,
            ErrorCode.DUPLICATE_BROKER_REGISTRATION,
            f"the node id {node_id} is this node's own; give each node another with --node-id",
        )
    if living is not None and living != said.sender.directory_id:
        return Refusal(
            Reason.REUSED_ID,
            ErrorCode.DUPLICATE_BROKER_REGISTRATION,
            f"another process lives under the node id {node_id}, with another data directory",
        )
    return None


def judge_answer(own: Identity, meant: ReplicaKey, said: GreetingResponse) -> Refusal | None:
    """
    Say why not to talk to whoever answered, or None.

    @param meant: whom the call was meant for; a node id of L{ANYBODY} or a directory id of zeros is anybody's.
    """
    if said.error_code:
        code = ErrorCode(said.error_code) if said.error_code in _KNOWN else ErrorCode.UNKNOWN_SERVER_ERROR
        reason = _REASONS.get(code, Reason.STRANGER)
        return Refusal(reason, code, said.error_message or code.name)
    return _other_cluster(own.cluster_id, said.cluster_id) or _other_node(said.receiver, meant)


def is_member(own_cluster_id: str, its_cluster_id: str, is_known: bool) -> bool:
    """
    Say whether what somebody says of the agreed log counts.

    @param is_known: whether it is a member by what is known here; before there is a cluster id, that has to do.
    """
    return is_known or (bool(own_cluster_id) and own_cluster_id == its_cluster_id)


_KNOWN = frozenset(ErrorCode)
_REASONS = {
    ErrorCode.INCONSISTENT_CLUSTER_ID: Reason.WRONG_CLUSTER,
    ErrorCode.INVALID_VOTER_KEY: Reason.WRONG_NODE,
    ErrorCode.DUPLICATE_BROKER_REGISTRATION: Reason.REUSED_ID,
}


def _other_cluster(own: str, its: str) -> Refusal | None:
    if own and its and own != its:
        return Refusal(
            Reason.WRONG_CLUSTER,
            ErrorCode.INCONSISTENT_CLUSTER_ID,
            f"it is of the cluster {its}, and this node of {own}",
        )
    return None


def _other_node(there: ReplicaKey, meant: ReplicaKey) -> Refusal | None:
    if meant.node_id not in (ANYBODY, there.node_id):
        return Refusal(
            Reason.WRONG_NODE,
            ErrorCode.INVALID_VOTER_KEY,
            f"node {meant.node_id} was called, and node {there.node_id} answered",
        )
    if meant.directory_id not in (ZERO_UUID, there.directory_id):
        return Refusal(
            Reason.WRONG_NODE,
            ErrorCode.INVALID_VOTER_KEY,
            f"node {there.node_id} has another data directory than the one that was called",
        )
    return None
