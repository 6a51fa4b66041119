"""
What a group hears and what it decides, as values.

Inputs are named for what has happened, answers for what a client is told,
decisions for what the service must do.  None of them is a wire message: the
API floor translates, so that no version of a request reaches the machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from attrs import field

from streamline.errors import ErrorCode
from streamline.groups.entries import GroupEntry
from streamline.groups.states import GroupState
from streamline.values import frozen

Token: TypeAlias = object
"""The service's own name for a request that is waiting; compared by identity, never looked into."""

NO_MEMBER_ID = ""
NO_GENERATION = -1
CONSUMER_PROTOCOL = "consumer"


# What came in.


@frozen
class Protocol:
    """One way to assign that a member supports, with what the member says about itself in it."""

    name: str
    metadata: bytes


def _distinct(protocols: Iterable[Protocol]) -> tuple[Protocol, ...]:
    first: dict[str, Protocol] = {}
    for offer in protocols:
        first.setdefault(offer.name, offer)
    return tuple(first.values())


@frozen(kw_only=True)
class Join:
    """
    A JoinGroup request.

    @ivar member_id_suffix: what makes a new member's id unique; drawn by the service.
    @ivar requires_known_member_id: whether the client knows MEMBER_ID_REQUIRED (version 4, KIP-394).
    @ivar supports_skipping_assignment: whether it knows C{skip_assignment} (version 9, KIP-814).
    @ivar rebalance_timeout_ms: a request of version 0, which has none, gives its session time-out here.
    @ivar protocols: the one it likes best first; of two with one name, the first counts.
    """

    token: Token
    group_id: str
    member_id: str
    member_id_suffix: str
    instance_id: str | None = None
    client_id: str = ""
    client_host: str = ""
    session_timeout_ms: int
    rebalance_timeout_ms: int
    protocol_type: str
    protocols: tuple[Protocol, ...] = field(converter=_distinct)
    requires_known_member_id: bool = True
    supports_skipping_assignment: bool = True


@frozen(kw_only=True)
class Sync:
    """A SyncGroup request; C{assignments} is empty unless the leader sends it."""

    token: Token
    group_id: str
    member_id: str
    generation_id: int
    instance_id: str | None = None
    protocol_type: str | None = None
    protocol: str | None = None
    assignments: Mapping[str, bytes] = field(factory=dict)


@frozen(kw_only=True)
class Heartbeat:
    """A Heartbeat request."""

    token: Token
    group_id: str
    member_id: str
    generation_id: int
    instance_id: str | None = None


@frozen
class Leaving:
    """One member named by a LeaveGroup request; an empty member id names a static member by its instance."""

    member_id: str
    instance_id: str | None = None


@frozen(kw_only=True)
class Leave:
    """A LeaveGroup request (a batch since version 3, KIP-345)."""

    token: Token
    group_id: str
    members: tuple[Leaving, ...]


# What the client is told.


@frozen
class JoinedMember:
    """A member as the leader sees it, to compute an assignment from."""

    member_id: str
    instance_id: str | None
    metadata: bytes


@frozen(kw_only=True)
class JoinAnswer:
    """The answer to JoinGroup; C{members} is filled for the leader only."""

    error: ErrorCode = ErrorCode.NONE
    member_id: str = NO_MEMBER_ID
    generation_id: int = NO_GENERATION
    protocol_type: str | None = None
    protocol: str | None = None
    leader_id: str = NO_MEMBER_ID
    skip_assignment: bool = False
    members: tuple[JoinedMember, ...] = ()


@frozen(kw_only=True)
class SyncAnswer:
    """The answer to SyncGroup."""

    error: ErrorCode = ErrorCode.NONE
    protocol_type: str | None = None
    protocol: str | None = None
    assignment: bytes = b""


@frozen
class HeartbeatAnswer:
    """The answer to Heartbeat."""

    error: ErrorCode = ErrorCode.NONE


@frozen
class Left:
    """What became of one member that a LeaveGroup request named."""

    member_id: str
    instance_id: str | None
    error: ErrorCode = ErrorCode.NONE


@frozen(kw_only=True)
class LeaveAnswer:
    """The answer to LeaveGroup."""

    error: ErrorCode = ErrorCode.NONE
    members: tuple[Left, ...] = ()


AnswerBody: TypeAlias = JoinAnswer | SyncAnswer | HeartbeatAnswer | LeaveAnswer


# What the service must do.


class TimerKind(StrEnum):
    """What a timer of a group is for."""

    SESSION = "session"
    JOIN = "join"
    SYNC = "sync"


class Timer(NamedTuple):
    """The name of a timer; setting it again starts it anew."""

    kind: TimerKind
    group_id: str
    member_id: str = NO_MEMBER_ID


@frozen
class Answer:
    """Answer the request that came with this token; each token is answered once."""

    token: Token
    body: AnswerBody


@frozen
class SetTimer:
    """
    Call C{timer_expired} once so much time has passed; an earlier setting of the same timer is void.

    A span, not a date: it is counted on a clock that does not step.
    """

    timer: Timer
    delay_ms: int


@frozen
class CancelTimer:
    """Forget this timer."""

    timer: Timer


@frozen(eq=False)
class Store:
    """
    Append this entry; then give this very object to C{stored} or C{store_failed}, once.

    Compared by identity: two may say the same and mean different things.
    """

    entry: GroupEntry


Decision: TypeAlias = Answer | SetTimer | CancelTimer | Store


# What an observer is told.


@frozen(kw_only=True)
class DescribedMember:
    """A member as DescribeGroups shows it; C{metadata} is empty unless the group is stable."""

    member_id: str
    instance_id: str | None
    client_id: str
    client_host: str
    metadata: bytes
    assignment: bytes


@frozen(kw_only=True)
class DescribedGroup:
    """A group as DescribeGroups shows it; C{protocol} is empty unless the group is stable."""

    group_id: str
    state: GroupState
    protocol_type: str
    protocol: str
    members: tuple[DescribedMember, ...]


@frozen
class ListedGroup:
    """A group as ListGroups shows it."""

    group_id: str
    protocol_type: str
    state: GroupState
