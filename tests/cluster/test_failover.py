"""What follows for partitions when brokers go and come."""

from __future__ import annotations

from typing import Any

from attrs import evolve

from streamline.cluster.commands import BROKER_CONFIGS, CLUSTER_WIDE, TOPIC_CONFIGS, ChangeConfigs, ConfigChange
from streamline.cluster.failover import begin_shutdown, change_configs, departures, fence, repair, unfence, unregister
from streamline.cluster.rules import founding_rules, rules_of
from streamline.config import BrokerConfig
from streamline.errors import ErrorCode, Refused
from streamline.model import NO_LEADER
from tests.cluster.cluster_case import ClusterCase


class FencingTests(ClusterCase):
    """A broker that is not there leads nothing and is in sync nowhere."""

    def test_leader_goes(self) -> None:
        self.do(fence(self.image, 1))
        self.shows(leader=2, isr=(2, 3), elr=(), leader_epoch=6, partition_epoch=8)
        self.assertFalse(self.image.is_active(1))

    def test_follower_goes(self) -> None:
        """The leader stays, and so does its epoch."""
        self.do(fence(self.image, 3))
        self.shows(leader=1, isr=(1, 2), leader_epoch=5, partition_epoch=8)

    def test_a_node_that_counts_nowhere(self) -> None:
        (only,) = fence(self.image, 4)
        self.do([only])
        self.shows(partition_epoch=7)

    def test_fenced_nodes_are_not_elected(self) -> None:
        self.given(isr=(1, 2, 3))
        self.do(fence(self.image, 2))
        self.do(fence(self.image, 1))
        self.shows(leader=3, isr=(3,))

    def test_shutting_down_nodes_are_not_elected(self) -> None:
        """KIP-841: no leadership for who is about to go."""
        self.broker(2, shutting_down=True)
        self.do(fence(self.image, 1))
        self.shows(leader=3)

    def test_below_min_isr_they_stay_eligible(self) -> None:
        """KR20: whoever leaves an ISR that may not commit any more has everything that was committed."""
        self.do(fence(self.image, 1))
        self.do(fence(self.image, 3))
        self.shows(leader=2, isr=(2,), elr=(3,))
        self.do(fence(self.image, 2))
        self.shows(leader=NO_LEADER, isr=(), elr=(3, 2))

    def test_at_min_isr_nobody_is_kept(self) -> None:
        """Those who are left commit without the one that went."""
        self.do(fence(self.image, 1))
        self.shows(isr=(2, 3), elr=())

    def test_several_partitions_at_one_stroke(self) -> None:
        self.given(1, leader=2)
        self.do(fence(self.image, 1))
        self.shows(0, leader=2)
        self.shows(1, leader=2, isr=(2, 3), leader_epoch=5)

    def test_not_unclean(self) -> None:
        """KR25: a replica that may lack records is not elected unless the topic allows it."""
        self.given(isr=(1,))
        self.do(fence(self.image, 1))
        self.shows(leader=NO_LEADER, isr=(), elr=(1,))

    def test_unclean_where_allowed(self) -> None:
        self.settings(unclean_leader_election_enable="true")
        self.given(isr=(1,))
        self.do(fence(self.image, 1))
        self.shows(leader=2, isr=(2,), elr=(), is_recovering=True, leader_epoch=6)

    def test_not_unclean_while_somebody_has_everything(self) -> None:
        """KR25: an eligible replica is better than one of which nothing is known."""
        self.settings(unclean_leader_election_enable="true")
        self.given(isr=(1,), elr=(3,))
        self.do(fence(self.image, 1))
        self.shows(leader=3, isr=(3,), elr=(1,), is_recovering=False)

    def test_nobody_is_left(self) -> None:
        self.settings(unclean_leader_election_enable="true")
        for node in (2, 3):
            self.broker(node, fenced=True)
        self.given(isr=(1,))
        self.do(fence(self.image, 1))
        self.shows(leader=NO_LEADER, isr=(), elr=(1,))


class ReturningTests(ClusterCase):
    """A broker that has come back may lead what nobody leads."""

    def gone(self, node: int = 1, **state: Any) -> None:
        """A partition that nobody leads, and a node that was away."""
        self.broker(node, fenced=True)
        given: dict[str, Any] = {"isr": (), "leader": NO_LEADER} | state
        self.given(**given)

    def test_from_the_elr(self) -> None:
        """It was not lost what it has: it is the ISR now."""
        self.gone(elr=(1, 3))
        self.broker(3, fenced=True)
        self.do(unfence(self.image, 1))
        self.shows(leader=1, isr=(1,), elr=(3,), leader_epoch=6)
        self.assertTrue(self.image.is_active(1))

    def test_who_may_lack_records_waits(self) -> None:
        self.gone(elr=(2,))
        self.broker(2, fenced=True)
        self.do(unfence(self.image, 1))
        self.shows(leader=NO_LEADER, elr=(2,), partition_epoch=7)

    def test_who_may_lack_records_leads_where_that_is_allowed(self) -> None:
        self.settings(unclean_leader_election_enable="true")
        self.gone(elr=(2,), replicas=(1, 2))
        self.broker(2, fenced=True)
        self.do(unfence(self.image, 1))
        self.shows(leader=1, isr=(1,), elr=(), is_recovering=True)

    def test_a_lone_replica_leads_whatever_it_has_lost(self) -> None:
        """Nobody else could have more."""
        self.gone(replicas=(1,), last_known_elr=(1,))
        self.do(unfence(self.image, 1))
        self.shows(leader=1, isr=(1,), last_known_elr=(), is_recovering=True)

    def test_what_has_a_leader_is_left_alone(self) -> None:
        self.broker(3, fenced=True)
        self.given(isr=(1, 2))
        (only,) = unfence(self.image, 3)
        self.do([only])
        self.shows(isr=(1, 2), partition_epoch=7)

    def test_what_has_no_replica_there_is_left_alone(self) -> None:
        self.gone(4, elr=(1,))
        self.broker(1, fenced=True)
        self.assertEqual(len(unfence(self.image, 4)), 1)


class UncleanTests(ClusterCase):
    """KR21: who may have lost records counts nowhere."""

    def test_it_leaves_the_isr_and_the_elr(self) -> None:
        self.given(isr=(2,), elr=(1,), leader=2)
        self.given(1, isr=(1,), leader=1)
        self.do(departures(self.image, 1, lost=True))
        self.shows(0, isr=(2,), elr=(), last_known_elr=(1,), leader=2, partition_epoch=8)
        self.shows(1, isr=(), elr=(), last_known_elr=(1,), leader=NO_LEADER)

    def test_who_lost_nothing_stays_in_the_elr(self) -> None:
        self.given(isr=(2,), elr=(1,), leader=2)
        self.assertEqual(departures(self.image, 1), [])

    def test_it_is_known_until_it_is_in_sync_again(self) -> None:
        """KR22: who had everything once may be asked for it, when all others have lost theirs."""
        self.given(isr=(1, 2, 3))
        self.do(departures(self.image, 3, lost=True))
        self.shows(isr=(1, 2), elr=(), last_known_elr=(3,))
        for node in (1, 2):
            self.do(departures(self.image, node, lost=True))
        self.shows(leader=NO_LEADER, isr=(), elr=(), last_known_elr=(3, 1, 2))

    def test_unregistered(self) -> None:
        """Of who comes back after that nothing is known."""
        self.given(isr=(2,), elr=(1,), leader=2)
        self.do(unregister(self.image, 1))
        self.shows(elr=(), last_known_elr=(1,))
        self.assertNotIn(1, self.image.brokers)


class UnregisteringTests(ClusterCase):
    """A broker goes for good: what it leads is led by others, and nothing goes with it that only it has."""

    def test_others_lead(self) -> None:
        """In the same moment, and only those who have everything."""
        self.settings(unclean_leader_election_enable="true")
        self.do(unregister(self.image, 1))
        self.shows(leader=2, isr=(2, 3), leader_epoch=6, replicas=(1, 2, 3), last_known_elr=(1,))
        self.assertNotIn(1, self.image.brokers)

    def test_somebody_else_has_everything(self) -> None:
        """Whether he is there just now or not."""
        self.given(0, isr=(1,), elr=(2,))
        self.given(1, isr=(), elr=(2, 1), leader=NO_LEADER)
        for node in (2, 3):
            self.broker(node, fenced=True)
        self.do(unregister(self.image, 1))
        for index in (0, 1):
            self.shows(index, leader=NO_LEADER, isr=(), elr=(2,), last_known_elr=(1,))

    def test_nobody_else_has(self) -> None:
        """Neither who lacks something, nor who may have lost something, will do."""
        self.given(1, isr=(1,), last_known_elr=(2,))
        refusal = self.refused(ErrorCode.INVALID_REQUEST, unregister, self.image, 1)
        self.assertIn("1 partitions, t-1 among them", refusal.message)
        self.given(1, isr=(), elr=(1,), leader=NO_LEADER, last_known_elr=(2, 3))
        self.refused(ErrorCode.INVALID_REQUEST, unregister, self.image, 1)

    def test_it_may_have_most(self) -> None:
        """Where nobody surely has everything, those who had it are compared, each of them."""
        self.given(isr=(), elr=(), leader=NO_LEADER, last_known_elr=(1, 2))
        for node in (1, 2):
            self.refused(ErrorCode.INVALID_REQUEST, unregister, self.image, node)
        self.do(unregister(self.image, 3))
        self.given(isr=(3,), leader=3, last_known_elr=(1, 2))
        self.do(unregister(self.image, 1))


class ShutdownTests(ClusterCase):
    """KR32: leaders move before a broker stops."""

    def test_leaders_move(self) -> None:
        self.do(begin_shutdown(self.image, 1))
        self.shows(leader=2, isr=(2, 3), leader_epoch=6)
        self.assertTrue(self.image.brokers[1].shutting_down)
        self.assertFalse(self.image.brokers[1].fenced)

    def test_not_to_who_may_lack_records(self) -> None:
        """KR25: it comes back with everything."""
        self.settings(unclean_leader_election_enable="true")
        self.given(isr=(1,))
        self.do(begin_shutdown(self.image, 1))
        self.shows(leader=NO_LEADER, isr=(), elr=(1,))


class RepairTests(ClusterCase):
    """A controller that takes over makes up for what the last one did not get done."""

    def test_healthy(self) -> None:
        self.assertEqual(repair(self.image), [])

    def test_overdue(self) -> None:
        self.broker(1, fenced=True)
        self.given(1, isr=(), elr=(2,), leader=NO_LEADER)
        self.do(repair(self.image))
        self.shows(0, leader=2, isr=(2, 3))
        self.shows(1, leader=2, isr=(2,))
        self.assertEqual(repair(self.image), [])


class RulesTests(ClusterCase):
    """min.insync.replicas and unclean.leader.election.enable are what was agreed on."""

    def change(self, value: str | None, kind: int = TOPIC_CONFIGS, name: str = "t") -> ChangeConfigs:
        """Return a change of min.insync.replicas."""
        changes = [ConfigChange(name="min.insync.replicas", value=value)]
        return ChangeConfigs(resource_type=kind, resource_name=name, changes=changes)

    def test_a_smaller_quorum_ends_claims(self) -> None:
        """KC4: from the same moment on, what is committed need not be on those in the ELR."""
        self.given(isr=(1,), elr=(2,))
        self.do(change_configs(self.image, self.change("1")))
        self.shows(isr=(1,), elr=(), partition_epoch=8, leader_epoch=5)

    def test_not_without_that(self) -> None:
        """The setting alone is refused, as is one that was decided on before there was an ELR."""
        early = change_configs(self.image, self.change("1"))
        self.assertEqual(len(early), 1)
        self.given(isr=(1,), elr=(2,))
        self.assertEqual(self.assertRaises(Refused, self.do, early).code, ErrorCode.INVALID_UPDATE_VERSION)

    def test_a_larger_quorum_changes_no_partition(self) -> None:
        self.assertEqual(len(change_configs(self.image, self.change("3"))), 1)

    def test_for_the_whole_cluster(self) -> None:
        self.image = evolve(self.image, configs={}, broker_configs={CLUSTER_WIDE: {"min.insync.replicas": "2"}})
        self.given(isr=(1,), elr=(2,))
        self.do(change_configs(self.image, self.change(None, BROKER_CONFIGS, CLUSTER_WIDE)))
        self.shows(elr=())

    def test_one_broker_has_no_say(self) -> None:
        self.assertEqual(len(change_configs(self.image, self.change("1", BROKER_CONFIGS, "1"))), 1)

    def test_an_unclean_election_is_allowed_at_last(self) -> None:
        for node in (1, 3):
            self.broker(node, fenced=True)
        self.given(isr=(), elr=(1,), leader=NO_LEADER)
        allow = [ConfigChange(name="unclean.leader.election.enable", value="true")]
        self.do(
            change_configs(self.image, ChangeConfigs(resource_type=TOPIC_CONFIGS, resource_name="t", changes=allow))
        )
        self.shows(leader=2, isr=(2,), is_recovering=True)

    def test_order(self) -> None:
        """The topic's own, then the cluster's, then Kafka's default."""
        self.assertEqual(rules_of(self.image, "t").min_isr, 2)
        self.image = evolve(self.image, configs={})
        self.assertEqual((rules_of(self.image, "t").min_isr, rules_of(self.image, "t").unclean), (1, False))
        config = BrokerConfig(min_insync_replicas=3, unclean_leader_election_enable=True)
        self.do([founding_rules(config)])
        self.assertEqual((rules_of(self.image, "t").min_isr, rules_of(self.image, "t").unclean), (3, True))
