"""Partitions of which everybody who had everything has lost power (KR22)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import evolve

from streamline.cluster.commands import BROKER_CONFIGS, CLUSTER_WIDE, ChangeConfigs, ConfigChange
from streamline.cluster.failover import repair
from streamline.cluster.recovery import LogEnd, LogInfo, lost, recover
from streamline.errors import ErrorCode
from streamline.model import NO_LEADER
from tests.cluster.cluster_case import T0, ClusterCase


class RecoveryCase(ClusterCase):
    """All three have lost something, and are back."""

    def setUp(self) -> None:
        """Begin with them."""
        super().setUp()
        self.given(isr=(), elr=(), last_known_elr=(3, 1, 2), leader=NO_LEADER)

    def said(self, *ends: tuple[int, int] | None) -> dict[int, LogInfo]:
        """Return how far the logs of nodes 1, 2, 3 go; None for one that has not said."""
        return {
            node: LogInfo(LogEnd(*end), self.image.brokers[node].epoch, self.state().leader_epoch)
            for node, end in enumerate(ends, 1)
            if end is not None
        }

    def waits(self, answers: dict[int, LogInfo], *, patient: bool = False) -> None:
        """Expect nobody to be elected."""
        code = ErrorCode.ELIGIBLE_LEADERS_NOT_AVAILABLE
        self.refused(code, lambda: recover(self.image, T0, answers, patient=patient))

    def best(self, ends: Sequence[tuple[int, int] | None], *, patient: bool = False) -> int:
        """Recover; return who leads."""
        self.do(recover(self.image, T0, self.said(*ends), patient=patient))
        self.shows(is_recovering=True, last_known_elr=(), isr=(self.state().leader,), leader_epoch=6)
        return self.state().leader


class BestTests(RecoveryCase):
    """Who leads."""

    def test_longest(self) -> None:
        self.assertEqual(self.best([(4, 10), (4, 12), (4, 11)]), 2)

    def test_latest_epoch_before_length(self) -> None:
        self.assertEqual(self.best([(4, 100), (5, 12), (4, 11)]), 2)

    def test_whoever_is_preferred_among_equals(self) -> None:
        self.assertEqual(self.best([(4, 12), (4, 12), (4, 12)]), 1)

    def test_one_that_had_fallen_behind(self) -> None:
        """Its disk was written back in time, and theirs were not."""
        self.given(isr=(), elr=(), last_known_elr=(1, 2), leader=NO_LEADER)
        self.assertEqual(self.best([(4, 10), (4, 11), (4, 12)]), 3)

    def test_who_had_everything_before_one_that_had_not(self) -> None:
        self.given(isr=(), elr=(), last_known_elr=(3,), leader=NO_LEADER)
        self.assertEqual(self.best([(4, 12), (4, 12), (4, 12)]), 3)


class WaitingTests(RecoveryCase):
    """Nobody leads before everybody has said how far he goes who may have more."""

    def test_not_before_all_were_asked(self) -> None:
        self.waits(self.said((4, 10), (4, 12), None))

    def test_not_before_all_are_there(self) -> None:
        self.broker(3, fenced=True)
        self.waits(self.said((4, 10), (4, 12), (4, 11)))

    def test_an_answer_of_an_earlier_process(self) -> None:
        """Its log may have been longer then."""
        answers = self.said((4, 10), (4, 12), (4, 11))
        self.broker(2, epoch=40)
        self.waits(answers)

    def test_an_answer_about_an_earlier_state(self) -> None:
        """It may have followed somebody since."""
        answers = self.said((4, 10), (4, 12), (4, 11))
        answers[2] = evolve(answers[2], leader_epoch=4)
        self.waits(answers)

    def test_not_while_somebody_has_everything(self) -> None:
        eligible: dict[str, Any] = {"isr": (), "leader": NO_LEADER, "elr": (3,), "last_known_elr": (1, 2)}
        led: dict[str, Any] = {"isr": (3,), "leader": 3, "last_known_elr": (1,)}
        for state in (eligible, led):
            self.given(**state)
            self.assertEqual(list(lost(self.image)), [])
            answers = self.said((4, 10), (4, 12), (4, 11))
            self.refused(ErrorCode.ELECTION_NOT_NEEDED, recover, self.image, T0, answers)

    def test_others_are_waited_for_with_patience(self) -> None:
        self.given(isr=(), elr=(), last_known_elr=(1, 2), leader=NO_LEADER)
        self.waits(self.said((4, 10), (4, 12), None), patient=True)
        self.broker(3, fenced=True)
        self.waits(self.said((4, 10), (4, 12), (4, 14)), patient=True)
        self.assertEqual(self.best([(4, 10), (4, 12), None]), 2)

    def test_nobody_is_known(self) -> None:
        """Then anybody may have everything."""
        self.given(isr=(), elr=(), leader=NO_LEADER)
        self.waits({})
        self.waits(self.said((4, 10), (4, 12), None))
        self.assertEqual(self.best([(4, 10), (4, 12), (4, 11)]), 2)

    def test_who_is_out_of_the_cluster_is_not_waited_for(self) -> None:
        brokers = {node: broker for node, broker in self.image.brokers.items() if node != 3}
        self.image = evolve(self.image, brokers=brokers)
        self.assertEqual(self.best([(4, 10), (4, 12)]), 2)

    def test_no_such_partition(self) -> None:
        self.given(1)
        partition = T0._replace(topic="u")
        self.refused(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, recover, self.image, partition, {})


class LostTests(RecoveryCase):
    """Which partitions are to be recovered, and who is asked."""

    def test_who_is_asked_and_who_is_missing(self) -> None:
        self.given(isr=(), elr=(), last_known_elr=(1, 2), leader=NO_LEADER)
        self.broker(2, fenced=True)
        self.broker(3, fenced=True)
        (one,) = lost(self.image)
        self.assertEqual((one.partition, one.asked, one.awaited, one.hoped_for), (T0, (1,), (2,), (3,)))

    def test_where_the_settings_say_no(self) -> None:
        """The topic's before the cluster's."""
        self.settings(unclean_recovery_strategy="none")
        self.assertEqual(list(lost(self.image)), [])
        self.settings(unclean_recovery_strategy="balanced")
        change = ConfigChange(name="unclean.recovery.strategy", value="none")
        self.do([ChangeConfigs(resource_type=BROKER_CONFIGS, resource_name=CLUSTER_WIDE, changes=[change])])
        self.assertEqual([one.partition for one in lost(self.image)], [T0])
        self.image = evolve(self.image, configs={})
        self.assertEqual(list(lost(self.image)), [])

    def test_nobody_is_elected_without_having_been_asked(self) -> None:
        self.assertEqual(repair(self.image), [])
