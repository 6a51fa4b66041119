"""Describing, listing and deleting groups, asked in bytes of a whole node."""

from __future__ import annotations

from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from streamline.api.groups import GROUPS_PER_TURN
from streamline.api.operations import GROUP, NOT_ASKED
from streamline.errors import ErrorCode
from streamline.wire.messages.groups import (
    DeleteGroupsRequest,
    DescribeGroupsRequest,
    LeaveGroupRequest,
    ListGroupsRequest,
    MemberIdentity,
)
from tests.api.group_case import NAME, GroupCase, beat, join, sync, versions
from tests.node import SimNode


class ViewTests(GroupCase):
    """DescribeGroups and ListGroups in all versions."""

    def test_stable_group(self) -> None:
        """Members with metadata and assignment."""
        member = self.lone_member()
        for version in versions(DescribeGroupsRequest):
            (group,) = self.describe(NAME, version=version)
            self.assertEqual((group.error_code, group.group_state), (0, "Stable"))
            self.assertEqual((group.protocol_type, group.protocol_data), ("consumer", "range"))
            (shown,) = group.members
            self.assertEqual((shown.member_id, shown.client_id, shown.client_host), (member, "tester", "/10.0.0.2"))
            self.assertEqual((shown.member_metadata, shown.member_assignment), (b"what I read", b"all"))

    def test_unknown_group(self) -> None:
        """It is dead, and from version 6 an error."""
        for version in versions(DescribeGroupsRequest):
            (group,) = self.describe("ghost", version=version)
            error = ErrorCode.GROUP_ID_NOT_FOUND if version >= 6 else ErrorCode.NONE
            self.assertEqual((group.group_id, group.group_state, group.error_code), ("ghost", "Dead", error))
        self.assertEqual(group.error_message, "Group ghost not found.")

    def test_group_named_twice_is_described_once(self) -> None:
        """Else a short request could ask for a huge answer."""
        self.assertEqual([group.group_id for group in self.describe("a", "b", "a")], ["a", "b"])

    def test_very_many_take_turns(self) -> None:
        """Nobody else waits until all are described, and they come in the order in which they were asked for."""
        names = [f"g{number}" for number in range(3 * GROUPS_PER_TURN + 1)]
        turns = self.world.broker.turns
        steps: list[object] = []
        later = turns.later

        def seen(step: Callable[[], object]) -> None:
            steps.append(step)
            later(step)

        turns.later = seen  # type: ignore[method-assign]
        self.assertEqual([group.group_id for group in self.describe(*names)], names)
        self.assertEqual(len(steps), 3)

    def test_authorized_operations_if_asked(self) -> None:
        """KIP-430."""
        self.lone_member()
        (group,) = self.describe(NAME, include_authorized_operations=True)
        self.assertEqual(group.authorized_operations, GROUP)
        (group,) = self.describe(NAME)
        self.assertEqual(group.authorized_operations, NOT_ASKED)

    def test_list(self) -> None:
        """States from version 4, types from version 5."""
        self.lone_member()
        for version in versions(ListGroupsRequest):
            (group,) = self.client.ask(ListGroupsRequest(), version).groups
            self.assertEqual((group.group_id, group.protocol_type), (NAME, "consumer"))
            self.assertEqual(group.group_state, "Stable" if version >= 4 else "")
            self.assertEqual(group.group_type, "classic" if version >= 5 else "")

    def test_list_filtered(self) -> None:
        """By state and by type, in any letter case."""
        self.lone_member()

        def listed(**filters: list[str]) -> int:
            return len(self.client.ask(ListGroupsRequest(**filters)).groups)

        self.assertEqual(listed(states_filter=["stable", "Empty"]), 1)
        self.assertEqual(listed(states_filter=["Empty"]), 0)
        self.assertEqual(listed(types_filter=["CLASSIC"]), 1)
        self.assertEqual(listed(types_filter=["consumer"]), 0)


class DeleteTests(GroupCase):
    """DeleteGroups in all versions."""

    def delete(self, *names: str, version: int = 2) -> dict[str, int]:
        """Delete groups; return the error of each."""
        results = self.client.ask(DeleteGroupsRequest(groups_names=names), version).results
        return {result.group_id: result.error_code for result in results}

    def test_each_group_has_its_own_error(self) -> None:
        """One with members stays, an empty one goes, another was never there."""
        member = self.lone_member()
        for version in versions(DeleteGroupsRequest):
            expected = {NAME: ErrorCode.NON_EMPTY_GROUP, "ghost": ErrorCode.GROUP_ID_NOT_FOUND}
            self.assertEqual(self.delete(NAME, "ghost", NAME, version=version), expected)
        self.client.ask(LeaveGroupRequest(group_id=NAME, member_id=member), 1)
        self.assertEqual(self.delete(NAME), {NAME: ErrorCode.NONE})
        self.assertEqual(self.client.ask(ListGroupsRequest()).groups, [])

    def test_deleted_group_stays_deleted(self) -> None:
        """It is gone from the log, too."""
        member = self.lone_member()
        self.client.ask(LeaveGroupRequest(group_id=NAME, member_id=member), 1)
        self.delete(NAME)
        self.world.kill()
        self.world.start()
        self.client = self.world.client()
        self.assertEqual(self.client.ask(ListGroupsRequest()).groups, [])

    def test_not_the_coordinator(self) -> None:
        """Said for each group."""
        (result,) = SimNode().client().ask(DeleteGroupsRequest(groups_names=[NAME])).results
        self.assertEqual(result.error_code, ErrorCode.NOT_COORDINATOR)


class NoCoordinatorTests(SynchronousTestCase):
    """Without C{__consumer_offsets} nobody coordinates anything."""

    def test_every_group_request_is_refused(self) -> None:
        """The error is the one that makes a client look for its coordinator."""
        client = SimNode().client()
        leave = LeaveGroupRequest(group_id=NAME, members=[MemberIdentity(member_id="m")])
        for request in (join(), sync("m", 1), beat("m", 1), leave):
            self.assertEqual(client.ask(request).error_code, ErrorCode.NOT_COORDINATOR)
        (described,) = client.ask(DescribeGroupsRequest(groups=[NAME])).groups
        self.assertEqual(described.error_code, ErrorCode.NOT_COORDINATOR)
        listed = client.ask(ListGroupsRequest())
        self.assertEqual((listed.error_code, listed.groups), (ErrorCode.NONE, []))
