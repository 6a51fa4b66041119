"""
How a node comes into a cluster that is there: whom it asks, what it is told, and when it may vote.

It comes as a learner, which gets everything and counts for nothing, and is made a voter when it has caught up, while
there are few enough.  A disk that was wiped is another member (RF15): under the node id of one that still is a member
it is not let in, because two of the cluster's votes would then hang on one node.
"""

from __future__ import annotations

from collections.abc import Sequence

from streamline.errors import ErrorCode, Refused
from streamline.values import frozen


@frozen(kw_only=True)
class Member:
    """
    A replica of the metadata log.

    @ivar is_caught_up: whether it has all that is committed, and was heard of a moment ago.
    """

    node_id: int
    directory_id: bytes
    is_voter: bool
    is_caught_up: bool = False


def is_new(
    cluster_id: str, members: Sequence[Member], its_cluster_id: str, node_id: int, directory_id: bytes
) -> bool:
    """
    Say whether a node that asks to join is to be added; otherwise it is a member already.

    @raise Refused: INCONSISTENT_CLUSTER_ID, or DUPLICATE_VOTER for a node id that is another's.
    """
    if its_cluster_id and its_cluster_id != cluster_id:
        raise Refused(
            ErrorCode.INCONSISTENT_CLUSTER_ID, f"this is the cluster {cluster_id}, and node {node_id} is of "
            f"{its_cluster_id}",
        )
    known = next((member for member in members if member.node_id == node_id), None)
    if known is None:
        return True
    if known.directory_id != directory_id:
        raise Refused(
            ErrorCode.DUPLICATE_VOTER,
            f"the cluster {cluster_id} has a node {node_id} with another data directory; if that one is lost, remove "
            "it from the quorum first (kafka-metadata-quorum remove-controller); if not, choose another --node-id",
        )
    return False


def check_agreement(members: Sequence[Member]) -> None:
    """
    Refuse a change after which the voters could not agree on anything.

    @param members: who there would be then.
    @raise Refused: INVALID_REQUEST.
    """
    voters = [member for member in members if member.is_voter]
    there, needed = sum(voter.is_caught_up for voter in voters), len(voters) // 2 + 1
    if there < needed:
        raise Refused(
            ErrorCode.INVALID_REQUEST,
            f"of the {len(voters)} voters that there would be, {there} are there and have caught up, and it takes "
            f"{needed} to agree; have more of them running first",
        )


def to_promote(members: Sequence[Member], voters_max: int) -> Member | None:
    """Return the learner that should vote next, if any: the first that has caught up, while there is room."""
    if sum(member.is_voter for member in members) >= voters_max:
        return None
    return next((member for member in members if not member.is_voter and member.is_caught_up), None)


class Search:
    """
    Whom a node asks for the leader: each address it knows in turn, and first the one that it was sent to.
    """

    def __init__(self, addresses: Sequence[str]) -> None:
        self._addresses = list(dict.fromkeys(addresses))
        self._next = 0
        self._hint = ""

    def known(self, addresses: Sequence[str]) -> None:
        """Hear of members' addresses."""
        self._addresses = list(dict.fromkeys([*self._addresses, *addresses]))

    def redirected(self, address: str) -> None:
        """Hear who leads, as far as somebody knows; an empty address says nothing."""
        self._hint = address

    def next(self) -> str:
        """Return whom to ask now; a hint is good for one try, as it may be old."""
        hint, self._hint = self._hint, ""
        if hint:
            return hint
        address = self._addresses[self._next % len(self._addresses)]
        self._next += 1
        return address
