"""What the group APIs answer while the groups are being loaded."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from twisted.trial.unittest import SynchronousTestCase

from streamline.api.call import Call, Caller
from streamline.api.groups import (
    describe_groups,
    heartbeat,
    join_group,
    leave_group,
    list_groups,
    sync_group,
)
from streamline.api.offsets import offset_fetch
from streamline.errors import ErrorCode
from streamline.model import Endpoint
from streamline.services.turns import Turns
from streamline.wire.messages.groups import DescribeGroupsRequest, LeaveGroupRequest, ListGroupsRequest
from streamline.wire.messages.offsets import OffsetFetchRequest, OffsetFetchRequestGroup
from tests.api.group_case import NAME, beat, join, sync
from tests.services.rooms import Rooms

LOADING = ErrorCode.COORDINATOR_LOAD_IN_PROGRESS


class LoadingTests(SynchronousTestCase):
    """Clients are put off, each in the words that its kind understands."""

    def setUp(self) -> None:
        """Begin a load that does not end."""
        rooms = Rooms()
        self.addCleanup(rooms.close)
        rooms.groups.locate(NAME)
        rooms.fill(1000)
        rooms.restart_coordinator()
        broker = cast(Any, SimpleNamespace(groups=rooms.groups, turns=Turns(rooms.clock)))
        caller = Caller("10.0.0.2", Endpoint("h", 1), lambda _: None, cast(Any, None))
        self.call = Call(broker, caller, 9, "tester")

    def test_whoever_can_wait_is_told_to(self) -> None:
        """The client tries again in a moment."""
        leave = LeaveGroupRequest(group_id=NAME)
        fetch = OffsetFetchRequest(groups=[OffsetFetchRequestGroup(group_id=NAME)])
        answers: list[Any] = [
            join_group(self.call, join()),
            leave_group(self.call, leave),
            list_groups(self.call, ListGroupsRequest()),
            cast(Any, describe_groups(self.call, DescribeGroupsRequest(groups=[NAME]))).groups[0],
            cast(Any, offset_fetch(self.call, fetch)).groups[0],
        ]
        self.assertEqual([answer.error_code for answer in answers], [LOADING] * 5)

    def test_member_that_beats_is_left_in_peace(self) -> None:
        """No session runs meanwhile."""
        answer = cast(Any, heartbeat(self.call, beat("m", 1)))
        self.assertEqual(answer.error_code, ErrorCode.NONE)

    def test_member_that_syncs_begins_again(self) -> None:
        """The rebalance that it was in is lost; older clients do not expect to hear of loading here."""
        answer = cast(Any, sync_group(self.call, sync("m", 1)))
        self.assertEqual(answer.error_code, ErrorCode.REBALANCE_IN_PROGRESS)
