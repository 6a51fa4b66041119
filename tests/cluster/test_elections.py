"""Elections that somebody asks for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from streamline.cluster.elections import LogEnd, balance, elect_leaders, recover
from streamline.cluster.leadership import Election
from streamline.errors import ErrorCode
from streamline.model import NO_LEADER, TopicPartition
from tests.cluster.cluster_case import T0, T1, ClusterCase

PREFERRED, UNCLEAN = Election.PREFERRED, Election.UNCLEAN


class ElectLeadersTests(ClusterCase):
    """What Kafka's ElectLeaders answers."""

    def elect(self, election: Election, *partitions: TopicPartition) -> list[ErrorCode]:
        """Ask for an election, have it agreed on; return the errors."""
        commands, elected = elect_leaders(self.image, election, partitions or None)
        self.do(commands)
        self.assertEqual([one.partition for one in elected], list(partitions) or [one.partition for one in elected])
        return [one.refusal.code if one.refusal else ErrorCode.NONE for one in elected]

    def test_preferred(self) -> None:
        self.given(leader=2)
        self.assertEqual(self.elect(PREFERRED, T0), [ErrorCode.NONE])
        self.shows(leader=1, isr=(1, 2, 3), leader_epoch=6)

    def test_preferred_is_there_already(self) -> None:
        self.assertEqual(self.elect(PREFERRED, T0), [ErrorCode.ELECTION_NOT_NEEDED])

    def test_preferred_is_not_in_sync(self) -> None:
        self.given(leader=2, isr=(2, 3))
        self.assertEqual(self.elect(PREFERRED, T0), [ErrorCode.PREFERRED_LEADER_NOT_AVAILABLE])
        self.shows(leader=2, partition_epoch=7)

    def test_preferred_is_not_there(self) -> None:
        self.given(leader=2)
        self.broker(1, shutting_down=True)
        self.assertEqual(self.elect(PREFERRED, T0), [ErrorCode.PREFERRED_LEADER_NOT_AVAILABLE])

    def test_unclean(self) -> None:
        self.broker(3, fenced=True)
        self.broker(1, fenced=True)
        self.given(isr=(), elr=(3,), leader=NO_LEADER)
        self.assertEqual(self.elect(UNCLEAN, T0), [ErrorCode.NONE])
        self.shows(leader=2, isr=(2,), elr=(), is_recovering=True)

    def test_unclean_where_there_is_a_leader(self) -> None:
        self.assertEqual(self.elect(UNCLEAN, T0), [ErrorCode.ELECTION_NOT_NEEDED])

    def test_unclean_where_nobody_is_there(self) -> None:
        for node in (1, 2, 3):
            self.broker(node, fenced=True)
        self.given(isr=(), elr=(3,), leader=NO_LEADER)
        self.assertEqual(self.elect(UNCLEAN, T0), [ErrorCode.ELIGIBLE_LEADERS_NOT_AVAILABLE])

    def test_unknown(self) -> None:
        unknown = [TopicPartition("u", 0), TopicPartition("t", 5), TopicPartition("t", -1)]
        self.assertEqual(self.elect(PREFERRED, *unknown), [ErrorCode.UNKNOWN_TOPIC_OR_PARTITION] * 3)

    def test_all(self) -> None:
        """Those that need nothing are not spoken of."""
        self.given(1, leader=2)
        _, elected = elect_leaders(self.image, PREFERRED, None)
        self.assertEqual([one.partition for one in elected], [T1])

    def test_several_of_one_topic(self) -> None:
        self.given(0, leader=2)
        self.given(1, leader=3)
        self.assertEqual(self.elect(PREFERRED, T0, T1), [ErrorCode.NONE, ErrorCode.NONE])
        self.assertEqual([self.state(index).leader for index in (0, 1)], [1, 1])


class BalanceTests(ClusterCase):
    """Leaderships go back to where they were meant to be, a few at a time."""

    def test_a_few(self) -> None:
        for index in range(3):
            self.given(index, leader=2)
        self.do(balance(self.image, 2))
        self.assertEqual([self.state(index).leader for index in range(3)], [1, 1, 2])
        self.do(balance(self.image, 2))
        self.shows(2, leader=1)
        self.assertEqual(balance(self.image, 2), [])

    def test_only_where_it_can(self) -> None:
        self.given(0, leader=2, isr=(2, 3))
        self.given(1, leader=2, isr=(2,), elr=(1,))
        self.assertEqual(balance(self.image, 9), [])
        self.given(0, leader=2)
        self.broker(1, fenced=True)
        self.assertEqual(balance(self.image, 9), [])


class RecoveryTests(ClusterCase):
    """KR22: all who had everything have stopped uncleanly; the best of them is as good as it gets."""

    def setUp(self) -> None:
        """All three have lost something, and are back."""
        super().setUp()
        self.given(isr=(), elr=(), last_known_elr=(3, 1, 2), leader=NO_LEADER)

    def ends(self, *ends: tuple[int, int]) -> dict[int, LogEnd]:
        """Return how far the logs of nodes 1, 2, 3 go."""
        return {node: LogEnd(*end) for node, end in enumerate(ends, 1)}

    def best(self, ends: Sequence[tuple[int, int]]) -> int:
        """Recover; return who leads."""
        self.do(recover(self.image, T0, self.ends(*ends)))
        self.shows(is_recovering=True, last_known_elr=(), isr=(self.state().leader,), leader_epoch=6)
        return self.state().leader

    def test_longest(self) -> None:
        self.assertEqual(self.best([(4, 10), (4, 12), (4, 11)]), 2)

    def test_latest_epoch_before_length(self) -> None:
        self.assertEqual(self.best([(4, 100), (5, 12), (4, 11)]), 2)

    def test_not_before_all_were_asked(self) -> None:
        incomplete = {1: LogEnd(4, 10), 2: LogEnd(4, 12)}
        self.refused(ErrorCode.ELIGIBLE_LEADERS_NOT_AVAILABLE, recover, self.image, T0, incomplete)

    def test_not_before_all_are_there(self) -> None:
        self.broker(3, fenced=True)
        ends = self.ends((4, 10), (4, 12), (4, 11))
        self.refused(ErrorCode.ELIGIBLE_LEADERS_NOT_AVAILABLE, recover, self.image, T0, ends)

    def test_not_while_somebody_has_everything(self) -> None:
        ends = self.ends((4, 10), (4, 12), (4, 11))
        eligible: dict[str, Any] = {"isr": (), "leader": NO_LEADER, "elr": (3,), "last_known_elr": (1, 2)}
        led: dict[str, Any] = {"isr": (3,), "leader": 3, "last_known_elr": (1,)}
        for state in (eligible, led):
            self.given(**state)
            self.refused(ErrorCode.ELECTION_NOT_NEEDED, recover, self.image, T0, ends)

    def test_nobody_is_known(self) -> None:
        self.given(isr=(), elr=(), leader=NO_LEADER)
        self.refused(ErrorCode.ELIGIBLE_LEADERS_NOT_AVAILABLE, recover, self.image, T0, {})

    def test_it_does_not_happen_by_itself(self) -> None:
        """Nobody is elected of those that may lack records, although all are there."""
        from streamline.cluster.failover import repair

        self.assertEqual(repair(self.image), [])
