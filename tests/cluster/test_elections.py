"""Elections that somebody asks for."""

from __future__ import annotations

from streamline.cluster.elections import balance, elect_leaders
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
