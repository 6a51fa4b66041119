"""
Whoever runs the simulated cluster: knows who leads, and takes members out whose disks are gone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from random import Random

from streamline.cluster.commands import TOPIC_CONFIGS, ChangeConfigs, Command, ConfigChange
from streamline.cluster.elections import elect_leaders
from streamline.cluster.failover import change_configs
from streamline.cluster.image import MetadataImage
from streamline.cluster.leadership import Election
from streamline.cluster.reassignment import reassign
from streamline.errors import Refused
from streamline.model import NO_LEADER, PartitionState, TopicPartition
from streamline.raft import AddLearner, Change, Remove, ReplicaKey
from streamline.raft.quorum import majority
from streamline.testing.simulation.cluster.durable import DurableReplica
from streamline.testing.simulation.cluster.oracle import Oracle
from streamline.testing.simulation.cluster.places import Place, quiet
from streamline.testing.simulation.world import Simulation

EVERY_S = 0.5
MIN_ISRS = ("2", "2", "3")


class Operator:
    """
    Looks after a cluster.

    @ivar lost: replicas whose disks are gone.
    @ivar removals: how often it asked for one to be taken out.
    """

    def __init__(self, simulation: Simulation, places: Sequence[Place], oracle: Oracle) -> None:
        self.lost: list[ReplicaKey] = []
        self.removals = 0
        self._simulation = simulation
        self._places = places
        self._oracle = oracle

    def begin(self) -> None:
        """Look, now and then, from now on."""
        self._simulation.after(EVERY_S, self._look)

    def leader(self) -> Place | None:
        """Return whoever leads the highest term, if anybody does."""
        leading = [(raft.term, place) for place in self._places if (raft := place.raft) is not None and raft.is_leader]
        return max(leading, key=lambda one: one[0])[1] if leading else None

    def _look(self) -> None:
        self.begin()
        place = self.leader()
        if place is not None and self._missing(place):
            place.within(lambda: self._take_out(place))

    def _missing(self, place: Place) -> list[ReplicaKey]:
        raft = place.raft
        return [] if raft is None else [key for key in raft.configuration.member_keys if key in self.lost]

    def _take_out(self, place: Place) -> None:
        if place.watch is not None and (missing := self._missing(place)):
            self.removals += 1
            quiet(place.watch.consensus.change_members([Remove(key) for key in missing]))

    def can_spare(self, key: ReplicaKey) -> bool:
        """Say whether all voters that anybody knows of go on to have majorities of real disks without this one."""
        current = [place.key for place in self._places if place.key is not None and place.key != key]
        for place in self._places:
            for voters in self._voter_sets(place):
                if voters and sum(voter in current for voter in voters) < majority(len(voters)):
                    return False
        return True

    def _voter_sets(self, place: Place) -> list[tuple[ReplicaKey, ...]]:
        """Return the sets of voters that a node knows, or would know after a restart."""
        raft, key = place.raft, place.key
        durable = None if key is None else self._oracle.monitor.disks.get(key)
        known = [] if raft is None else [raft.configuration]
        known += durable.configurations if isinstance(durable, DurableReplica) else []
        return [voters for one in known for voters in one.voter_sets]

    def demote(self, rng: Random) -> bool:
        """
        Ask the leader to make a learner of some voter, which may be itself.

        Not while a voter's disk is gone: those that are left might never agree again, and no node can know.
        """
        place = self.leader()
        if place is None or place.raft is None or len(place.raft.configuration.voters) < 2 or self._missing(place):
            return False
        return place.within(partial(self._change, place, AddLearner(rng.choice(place.raft.configuration.voters))))

    def _change(self, place: Place, change: Change) -> None:
        assert place.watch is not None
        quiet(place.watch.consensus.change_members([change]))

    def partition_leader(self, rng: Random, name: str) -> tuple[str, Place | None]:
        """
        Return who leads a partition, with its name.

        @param name: of the partition; any that has several copies where it is empty.
        """
        known = {str(key): state for key, state in self._copied()}
        chosen = name or (rng.choice(sorted(known)) if known else "")
        state = known.get(chosen)
        leader = NO_LEADER if state is None else state.leader
        return chosen, next((place for place in self._places if place.number == leader), None)

    def _copied(self) -> Iterator[tuple[TopicPartition, PartitionState]]:
        """Yield the partitions that have several copies."""
        for topic in self._oracle.tip.topics.values():
            for state in topic.partitions:
                if len(state.replicas) > 1:
                    yield TopicPartition(topic.name, state.index), state

    def shuffle(self, rng: Random) -> bool:
        """Have a partition's replicas in another order, or at other nodes, and the first of them lead."""
        place, copied = self.leader(), list(self._copied())
        if place is None or not copied:
            return False
        partition, state = rng.choice(copied)
        nodes = state.replicas if rng.random() < 0.7 else tuple(sorted(self._oracle.tip.brokers))
        target = rng.sample(nodes, min(len(state.replicas), len(nodes)))
        return place.within(partial(self._move, place, partition, target))

    def have_lead(self, rng: Random, name: str) -> Place | None:
        """Have another of those in sync lead a partition, rather not the controller; return which, if any can."""
        controller = self.leader()
        for partition, state in self._copied():
            others = [place for place in self._places if place.number in state.isr and place.number != state.leader]
            if controller is None or str(partition) != name or not others:
                continue
            chosen = rng.choice([place for place in others if place is not controller] or others)
            rest = [node for node in state.replicas if node != chosen.number]
            controller.within(partial(self._move, controller, partition, [chosen.number, *rest]))
            return chosen
        return None

    def _move(self, place: Place, partition: TopicPartition, target: list[int]) -> None:
        assert place.node is not None
        decide = place.node.broker.controllership.decide
        moving = decide(lambda image: reassign(image, partition, target))
        quiet(moving.addCallback(lambda _: decide(partial(_prefer, partition))))

    def resize(self, rng: Random) -> bool:
        """Have a topic that has several copies want fewer or more of them in sync (KC4)."""
        place, copied = self.leader(), list(self._copied())
        if place is None or place.node is None or not copied:
            return False
        changes = [ConfigChange(name="min.insync.replicas", value=rng.choice(MIN_ISRS))]
        name = rng.choice(copied)[0].topic
        command = ChangeConfigs(resource_type=TOPIC_CONFIGS, resource_name=name, changes=changes)
        decide = place.node.broker.controllership.decide
        return place.within(lambda: quiet(decide(lambda image: change_configs(image, command))))

    def transfer(self, rng: Random) -> bool:
        """Ask the leader to hand over to some voter."""
        place = self.leader()
        if place is None or place.raft is None:
            return False
        target = rng.choice(place.raft.configuration.voters).key
        return place.within(lambda: self._hand_over(place, target))

    def _hand_over(self, place: Place, target: ReplicaKey) -> None:
        assert place.watch is not None
        try:
            place.watch.consensus.transfer_leadership(target)
        except Refused:
            return


def _prefer(partition: TopicPartition, image: MetadataImage) -> list[Command]:
    """Have the first replica lead, where it is in sync."""
    commands, _ = elect_leaders(image, Election.PREFERRED, [partition])
    return commands
