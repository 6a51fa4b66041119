"""Replicas on their way to other nodes."""

from __future__ import annotations

from collections.abc import Sequence

from streamline.cluster.altering import IsrChange, Member, alter_partition
from streamline.cluster.failover import fence
from streamline.cluster.reassignment import reassign
from streamline.errors import ErrorCode
from streamline.model import NO_LEADER, TopicPartition
from tests.cluster.cluster_case import T0, TOPIC_ID, ClusterCase


class ReassignmentTests(ClusterCase):
    """A move begins by adding, ends by removing, and can be called back in between."""

    def move(self, target: Sequence[int] | None) -> None:
        """Move the partition."""
        self.do(reassign(self.image, T0, target))

    def in_sync(self, *isr: int) -> None:
        """Let the leader ask for an ISR."""
        state = self.state()
        wanted = IsrChange(
            topic_id=TOPIC_ID, index=0, leader_epoch=state.leader_epoch, partition_epoch=state.partition_epoch,
            isr=[Member(node, 10 + node) for node in isr],
        )  # fmt: skip
        altered = alter_partition(self.image, state.leader, 10 + state.leader, wanted)
        assert altered.command is not None
        self.do([altered.command])

    def test_begin(self) -> None:
        self.move([4, 2])
        self.shows(replicas=(4, 2, 1, 3), adding=(4,), removing=(1, 3), isr=(1, 2, 3), leader=1)
        self.shows(leader_epoch=5, partition_epoch=8)

    def test_end(self) -> None:
        self.move([4, 2])
        self.in_sync(1, 2, 3, 4)
        self.shows(replicas=(4, 2), adding=(), removing=(), isr=(4, 2), leader=4, leader_epoch=6)

    def test_not_before_all_are_in_sync(self) -> None:
        self.given(replicas=(1, 2), isr=(1, 2))
        self.move([3, 4, 2])
        self.in_sync(1, 2, 3)
        self.shows(replicas=(3, 4, 2, 1), adding=(3, 4), leader=1)

    def test_not_below_min_isr(self) -> None:
        """KC6: those who stay must be able to commit by themselves."""
        self.given(isr=(1, 3))
        self.move([1, 2])
        self.shows(replicas=(1, 2, 3), removing=(3,), isr=(1, 3))
        self.in_sync(1, 2, 3)
        self.shows(replicas=(1, 2), removing=(), isr=(1, 2))

    def test_to_fewer_than_min_isr(self) -> None:
        """A partition needs no more in-sync replicas than it has."""
        self.move([1])
        self.shows(replicas=(1,), isr=(1,), leader=1, removing=())

    def test_the_leader_goes(self) -> None:
        """Its epoch grows, so that the one that goes hears of it as of an election."""
        self.move([2, 3])
        self.shows(replicas=(2, 3), isr=(2, 3), leader=2, leader_epoch=6)

    def test_a_follower_goes(self) -> None:
        self.move([1, 2])
        self.shows(replicas=(1, 2), isr=(1, 2), leader=1, leader_epoch=6)

    def test_order_only(self) -> None:
        self.move([3, 2, 1])
        self.shows(replicas=(3, 2, 1), leader=1, leader_epoch=5, partition_epoch=8)

    def test_nothing_to_do(self) -> None:
        self.assertEqual(reassign(self.image, T0, [1, 2, 3]), [])

    def test_cancel(self) -> None:
        self.move([4, 2])
        self.move(None)
        self.shows(replicas=(2, 1, 3), adding=(), removing=(), isr=(1, 2, 3), leader=1, leader_epoch=6)

    def test_cancel_when_the_new_one_leads(self) -> None:
        self.given(replicas=(4, 1, 2), isr=(4, 1), adding=(4,), removing=(2,), leader=4)
        self.move(None)
        self.shows(replicas=(1, 2), isr=(1,), leader=1, leader_epoch=6)

    def test_cancel_would_leave_nobody(self) -> None:
        self.given(replicas=(4, 1, 2), isr=(4,), adding=(4,), removing=(2,), leader=4)
        self.refused(ErrorCode.INVALID_REPLICA_ASSIGNMENT, reassign, self.image, T0, None)

    def test_cancel_what_is_not_there(self) -> None:
        self.refused(ErrorCode.NO_REASSIGNMENT_IN_PROGRESS, reassign, self.image, T0, None)

    def test_another_target_on_the_way(self) -> None:
        self.given(replicas=(1, 2), isr=(1, 2))
        self.move([3, 2])
        self.move([4, 2])
        self.shows(replicas=(4, 2, 1), adding=(4,), removing=(1,), isr=(1, 2))

    def test_the_other_way_round(self) -> None:
        """Back to where it was is a target like any other, and reached at once."""
        self.given(replicas=(1, 2), isr=(1, 2))
        self.move([3, 2])
        self.move([1, 2])
        self.shows(replicas=(1, 2), adding=(), removing=())

    def test_bad_targets(self) -> None:
        for target in ([], [1, 1], [1, 9]):
            self.refused(ErrorCode.INVALID_REPLICA_ASSIGNMENT, reassign, self.image, T0, target)
        unknown = TopicPartition("u", 0)
        self.refused(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, reassign, self.image, unknown, [1])

    def test_nobody_leads(self) -> None:
        """A move begins all the same, and who is eligible stays so."""
        for node in (1, 2, 3):
            self.broker(node, fenced=True)
        self.given(isr=(), elr=(1,), leader=NO_LEADER)
        self.move([1, 4])
        self.shows(replicas=(1, 4, 2, 3), elr=(1,), leader=NO_LEADER)

    def test_fencing_meanwhile(self) -> None:
        self.move([4, 2])
        self.do(fence(self.image, 1))
        self.shows(replicas=(4, 2, 1, 3), isr=(2, 3), leader=2)
        self.in_sync(2, 3, 4)
        self.shows(replicas=(4, 2), isr=(4, 2), leader=2)
