"""AlterPartition: what a leader may change, and what it may not."""

from __future__ import annotations

from typing import Any

from streamline.cluster.altering import Altered, IsrChange, Member, alter_partition
from streamline.errors import ErrorCode, Refused
from tests.cluster.cluster_case import TOPIC_ID, ClusterCase


class AlterPartitionTests(ClusterCase):
    """The controller checks everything but who has caught up."""

    def setUp(self) -> None:
        """Node 3 is not in sync."""
        super().setUp()
        self.given(isr=(1, 2))

    def wanted(self, *isr: int, epochs: dict[int, int] | None = None, **more: Any) -> IsrChange:
        """Return a wish for an ISR of these nodes, under the epochs that they have."""
        members = [Member(node, (epochs or {}).get(node, 10 + node)) for node in isr]
        given: dict[str, Any] = {"topic_id": TOPIC_ID, "index": 0, "leader_epoch": 5, "partition_epoch": 7}
        return IsrChange(isr=members, **(given | more))

    def ask(self, *isr: int, node: int = 1, broker_epoch: int | None = None, **more: Any) -> Altered:
        """Ask for an ISR as a node."""
        epoch = 10 + node if broker_epoch is None else broker_epoch
        return alter_partition(self.image, node, epoch, self.wanted(*isr, **more))

    def is_refused(self, code: ErrorCode, *isr: int, **more: Any) -> None:
        """Expect a refusal."""
        self.assertEqual(self.assertRaises(Refused, self.ask, *isr, **more).code, code)

    def agree(self, altered: Altered) -> None:
        """Have it agreed on, and compare with what was answered."""
        self.do([altered.command])
        self.assertEqual(self.state(), altered.state)

    def test_grow(self) -> None:
        self.agree(self.ask(3, 1, 2))
        self.shows(isr=(1, 2, 3), leader=1, leader_epoch=5, partition_epoch=8)

    def test_shrink(self) -> None:
        """KR20: below min.insync.replicas the one that leaves may still lead."""
        self.agree(self.ask(1))
        self.shows(isr=(1,), elr=(2,), leader=1, leader_epoch=5)

    def test_grow_again(self) -> None:
        """What is committed from then on need not be on those that were eligible."""
        self.given(isr=(1,), elr=(2, 3))
        self.agree(self.ask(1, 2))
        self.shows(isr=(1, 2), elr=())

    def test_in_sync_again(self) -> None:
        self.given(isr=(1, 2), last_known_elr=(3,))
        self.agree(self.ask(1, 2, 3))
        self.shows(last_known_elr=())

    def test_nothing_changes(self) -> None:
        """But the epoch: what the leader asked for earlier, and had no answer to, is void from there on."""
        earlier = self.ask(1, 2, 3)
        self.agree(self.ask(1, 2))
        self.shows(isr=(1, 2), leader=1, leader_epoch=5, partition_epoch=8)
        self.refused(ErrorCode.INVALID_UPDATE_VERSION, self.do, [earlier.command])

    def test_a_fenced_node(self) -> None:
        """KR16: the leader has not heard of it yet."""
        self.broker(3, fenced=True)
        self.is_refused(ErrorCode.INELIGIBLE_REPLICA, 1, 2, 3)

    def test_a_node_that_shuts_down(self) -> None:
        """KIP-841."""
        self.broker(3, shutting_down=True)
        self.is_refused(ErrorCode.INELIGIBLE_REPLICA, 1, 2, 3)

    def test_a_node_that_is_not_there(self) -> None:
        self.given(replicas=(1, 2, 9), isr=(1, 2))
        self.is_refused(ErrorCode.INELIGIBLE_REPLICA, 1, 2, 9)

    def test_another_process_of_a_node(self) -> None:
        """KR18: the one that had caught up is gone, and its records may be, too."""
        self.is_refused(ErrorCode.INELIGIBLE_REPLICA, 1, 2, 3, epochs={3: 9})
        self.is_refused(ErrorCode.INELIGIBLE_REPLICA, 1, 2, 3, epochs={3: -1})

    def test_registered_again_between_deciding_and_agreeing(self) -> None:
        """KR18, as the image sees it: the decision is out of date."""
        altered = self.ask(1, 2, 3)
        self.broker(3, epoch=21)
        self.refused(ErrorCode.INELIGIBLE_REPLICA, self.do, [altered.command])

    def test_another_process_of_the_leader(self) -> None:
        """KR15: what its last process said is not heard any more."""
        self.is_refused(ErrorCode.STALE_BROKER_EPOCH, 1, 2, 3, broker_epoch=9)
        self.is_refused(ErrorCode.BROKER_ID_NOT_REGISTERED, 1, 2, 3, node=9)

    def test_another_state(self) -> None:
        """KR13: two changes race, and the second is told so."""
        self.is_refused(ErrorCode.INVALID_UPDATE_VERSION, 1, 2, 3, partition_epoch=6)
        self.is_refused(ErrorCode.FENCED_LEADER_EPOCH, 1, 2, 3, leader_epoch=4)
        self.is_refused(ErrorCode.NOT_CONTROLLER, 1, 2, 3, partition_epoch=8)
        self.is_refused(ErrorCode.NOT_CONTROLLER, 1, 2, 3, leader_epoch=6)

    def test_somebody_else(self) -> None:
        self.is_refused(ErrorCode.INVALID_REQUEST, 1, 2, 3, node=2)

    def test_nonsense(self) -> None:
        self.is_refused(ErrorCode.INVALID_REQUEST, 2, 3)
        self.is_refused(ErrorCode.INVALID_REQUEST, 1, 2, 4)
        self.is_refused(ErrorCode.INVALID_REQUEST, 1, 2, 2)
        self.is_refused(ErrorCode.INVALID_REQUEST)

    def test_unknown(self) -> None:
        self.is_refused(ErrorCode.UNKNOWN_TOPIC_ID, 1, topic_id=b"u" * 16)
        for index in (1, -1):
            self.is_refused(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, 1, index=index)

    def test_recovering(self) -> None:
        """KIP-704: until a leader elected uncleanly has come to terms, nobody joins it."""
        self.given(isr=(1,), is_recovering=True)
        self.is_refused(ErrorCode.INVALID_REQUEST, 1, 2, is_recovering=True)
        self.assertTrue(self.ask(1, is_recovering=True).state.is_recovering)
        self.agree(self.ask(1, 2))
        self.shows(is_recovering=False, isr=(1, 2))
        self.is_refused(ErrorCode.INVALID_REQUEST, 1, partition_epoch=8, is_recovering=True)

    def test_the_last_of_a_move(self) -> None:
        """A reassignment ends with the ISR that it was waiting for; its leader may have to go."""
        self.given(replicas=(2, 3, 1), isr=(1, 2), adding=(3,), removing=(1,))
        altered = self.ask(1, 2, 3)
        self.agree(altered)
        self.shows(replicas=(2, 3), isr=(2, 3), adding=(), removing=(), leader=2, leader_epoch=6)

    def test_who_stays_after_a_move(self) -> None:
        """It need not have come with it: it may have been out of sync when the one that has to go was the last."""
        self.given(replicas=(2, 1), isr=(1,), removing=(1,))
        self.agree(self.ask(1, 2))
        self.shows(replicas=(2,), isr=(2,), removing=(), leader=2, leader_epoch=6)
