"""A node whose groups are asked in bytes, and the requests that its tests send."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from streamline.errors import ErrorCode
from streamline.wire.messages.coordinator import FindCoordinatorRequest
from streamline.wire.messages.groups import (
    DescribeGroupsRequest,
    HeartbeatRequest,
    JoinGroupRequest,
    JoinGroupRequestProtocol,
    SyncGroupRequest,
    SyncGroupRequestAssignment,
)
from streamline.wire.schema import Message
from tests.node import Client, SimNode

NAME = "readers"


def versions(request: type[Message]) -> range:
    """Return all versions of a request."""
    return range(request.VERSIONS[0], request.VERSIONS[1] + 1)


def join(member_id: str = "", **fields: Any) -> JoinGroupRequest:
    """Return a JoinGroup request."""
    settled: dict[str, Any] = {
        "group_id": NAME,
        "member_id": member_id,
        "session_timeout_ms": 10_000,
        "rebalance_timeout_ms": 60_000,
        "protocol_type": "consumer",
        "protocols": [JoinGroupRequestProtocol(name="range", metadata=b"what I read")],
    } | fields
    return JoinGroupRequest(**settled)


def sync(member_id: str, generation_id: int, assignments: dict[str, bytes] | None = None, **fields: Any) -> Any:
    """Return a SyncGroup request."""
    return SyncGroupRequest(
        group_id=NAME,
        member_id=member_id,
        generation_id=generation_id,
        assignments=[
            SyncGroupRequestAssignment(member_id=key, assignment=value) for key, value in (assignments or {}).items()
        ],
        **fields,
    )


def beat(member_id: str, generation_id: int) -> HeartbeatRequest:
    """Return a Heartbeat request."""
    return HeartbeatRequest(group_id=NAME, member_id=member_id, generation_id=generation_id)


class GroupCase(SynchronousTestCase):
    """A node whose groups do not wait for more members, and a client."""

    settings: dict[str, Any] = {"offsets_topic_num_partitions": 4, "group_initial_rebalance_delay_ms": 0}

    def setUp(self) -> None:
        """Start both, and let the client find its coordinator."""
        self.world = SimNode(**self.settings)
        self.client = self.world.client()
        self.client.ask(FindCoordinatorRequest(coordinator_keys=[NAME]))

    def lone_member(self, client: Client | None = None) -> str:
        """Make a stable group of one; return the member."""
        client = client or self.client
        joined = client.ask(join(), 3)
        self.assertEqual(joined.error_code, ErrorCode.NONE)
        synced = client.ask(sync(joined.member_id, joined.generation_id, {joined.member_id: b"all"}))
        self.assertEqual((synced.error_code, synced.assignment), (ErrorCode.NONE, b"all"))
        return str(joined.member_id)

    def describe(self, *names: str, version: int = 6, **fields: Any) -> Any:
        """Describe groups."""
        return self.client.ask(DescribeGroupsRequest(groups=names, **fields), version).groups
