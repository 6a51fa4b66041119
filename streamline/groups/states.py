"""
The states of a classic group, as tables.

Nothing else decides where a group may go next or what a member hears in a
state.  C{docs/states/classic_group.md} shows both tables; a test compares it
with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from streamline.errors import ErrorCode


class GroupState(StrEnum):
    """Where a classic group stands; the values are the names that Kafka's tools show."""

    EMPTY = "Empty"
    PREPARING_REBALANCE = "PreparingRebalance"
    COMPLETING_REBALANCE = "CompletingRebalance"
    STABLE = "Stable"
    DEAD = "Dead"


class Cause(StrEnum):
    """Why a group changes state."""

    REBALANCE_NEEDED = "rebalance_needed"
    MEMBERS_JOINED = "members_joined"
    MEMBERS_GONE = "members_gone"
    ASSIGNMENT_STORED = "assignment_stored"
    GROUP_REMOVED = "group_removed"


TRANSITIONS: Mapping[tuple[GroupState, Cause], GroupState] = MappingProxyType(
    {
        (GroupState.EMPTY, Cause.REBALANCE_NEEDED): GroupState.PREPARING_REBALANCE,
        (GroupState.COMPLETING_REBALANCE, Cause.REBALANCE_NEEDED): GroupState.PREPARING_REBALANCE,
        (GroupState.STABLE, Cause.REBALANCE_NEEDED): GroupState.PREPARING_REBALANCE,
        (GroupState.PREPARING_REBALANCE, Cause.MEMBERS_JOINED): GroupState.COMPLETING_REBALANCE,
        (GroupState.PREPARING_REBALANCE, Cause.MEMBERS_GONE): GroupState.EMPTY,
        (GroupState.COMPLETING_REBALANCE, Cause.ASSIGNMENT_STORED): GroupState.STABLE,
        (GroupState.EMPTY, Cause.GROUP_REMOVED): GroupState.DEAD,
        (GroupState.PREPARING_REBALANCE, Cause.GROUP_REMOVED): GroupState.DEAD,
        (GroupState.COMPLETING_REBALANCE, Cause.GROUP_REMOVED): GroupState.DEAD,
        (GroupState.STABLE, Cause.GROUP_REMOVED): GroupState.DEAD,
    }
)
"""Every edge there is; a pair that is not here is a defect of ours, never of a client."""

HEARTBEAT_ANSWERS: Mapping[GroupState, ErrorCode] = MappingProxyType(
    {
        GroupState.EMPTY: ErrorCode.UNKNOWN_MEMBER_ID,
        GroupState.PREPARING_REBALANCE: ErrorCode.REBALANCE_IN_PROGRESS,
        GroupState.COMPLETING_REBALANCE: ErrorCode.NONE,
        GroupState.STABLE: ErrorCode.NONE,
        GroupState.DEAD: ErrorCode.COORDINATOR_NOT_AVAILABLE,
    }
)
"""What a member of the current generation hears to a heartbeat."""

SYNC_ANSWERS: Mapping[GroupState, ErrorCode | None] = MappingProxyType(
    {
        GroupState.EMPTY: ErrorCode.UNKNOWN_MEMBER_ID,
        GroupState.PREPARING_REBALANCE: ErrorCode.REBALANCE_IN_PROGRESS,
        GroupState.COMPLETING_REBALANCE: None,
        GroupState.STABLE: ErrorCode.NONE,
        GroupState.DEAD: ErrorCode.COORDINATOR_NOT_AVAILABLE,
    }
)
"""What a member of the current generation hears to SyncGroup; C{None}: it waits for the leader."""

COMMIT_ANSWERS: Mapping[GroupState, ErrorCode] = MappingProxyType(
    {
        GroupState.EMPTY: ErrorCode.UNKNOWN_MEMBER_ID,
        GroupState.PREPARING_REBALANCE: ErrorCode.NONE,
        GroupState.COMPLETING_REBALANCE: ErrorCode.REBALANCE_IN_PROGRESS,
        GroupState.STABLE: ErrorCode.NONE,
        GroupState.DEAD: ErrorCode.COORDINATOR_NOT_AVAILABLE,
    }
)
"""What a member of the current generation hears to OffsetCommit."""
