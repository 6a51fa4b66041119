"""
What is agreed on about brokers and partitions, change by change, judged by what must follow from it.

A node sees what the metadata are; nobody in the cluster compares what they were with what they become.  So a rule that
the controller forgets shows here in the moment in which it is broken, and not only once a record is lost by it, which
may take three more faults (the invariants of KIP-966's specification that are about metadata alone).
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred

from streamline.cluster.delta import PartitionDelta, difference
from streamline.cluster.image import MetadataImage
from streamline.cluster.rules import rules_of
from streamline.model import NO_LEADER, PartitionState, quorum_of
from streamline.node import Node
from streamline.services.raftreplica import WAIT_S
from streamline.testing.simulation.cluster.oracle import Oracle
from streamline.testing.simulation.cluster.places import Place

QUICK_SHARE = 0.5
"""A node that has left within this share of a session cannot have lost its patience, whatever its clock says."""


class Agreements:
    """
    Judges every change that is agreed on.

    @ivar dropped: how often a node that was there has left an ISR, where it should have kept up.
    @ivar asked: topics for which a person has asked that somebody lead who may lack records.
    """

    def __init__(self, places: Sequence[Place], oracle: Oracle) -> None:
        self.dropped = 0
        self.asked: list[str] = []
        self._places = {place.number: place for place in places}
        self._oracle = oracle
        self._raised: dict[str, tuple[float, int]] = {}
        """By topic, when more replicas came to be asked for, and how many it were before."""
        oracle.listeners.append(self.agreed)
        for place in places:
            place.stopping = self._stopping

    def agreed(self, before: MetadataImage, after: MetadataImage) -> None:
        """Hear of a change that was agreed on."""
        if before.configs is not after.configs or before.broker_configs is not after.broker_configs:
            self._note_raised(before, after)
        if before.brokers is after.brokers and before.topics is after.topics:
            return
        delta = difference(before, after)
        for node in delta.brokers:
            self._check_ready(node, before, after)
        for part in delta.partitions:
            self._check_partition(part, before, after)
        if delta.brokers:
            self._check_members_everywhere(after)

    # Brokers

    def _check_ready(self, node: int, before: MetadataImage, after: MetadataImage) -> None:
        """Who begins to take part has applied its own registration (KR15)."""
        broker, place = after.brokers.get(node), self._places.get(node)
        if broker is None or place is None or not broker.is_active:
            return
        known = before.brokers.get(node)
        if (known is not None and known.is_active and known.epoch == broker.epoch) or place.node is None:
            return
        if place.node.incarnation_id != broker.incarnation_id or not place.machine.running:
            return  # whoever it was has gone meanwhile
        is_its_own = broker.epoch == after.index and place.raft is not None and place.raft.is_leader
        index = place.node.broker.metadata.image.index
        if index < broker.epoch and not is_its_own:
            what = f"node {node} takes part from {after.index} on, registered at {broker.epoch}, and is at {index}"
            self._oracle.broke("UnfencedIsReady", what)

    def _stopping(self, place: Place, node: Node) -> Deferred[None]:
        simulation = place.machine.simulation
        began, is_expected = simulation.now, could_leave(node)
        session_s = place.config.broker.broker_session_timeout_ms / 1000

        def stopped(outcome: None) -> None:
            if is_expected and simulation.now - began < QUICK_SHARE * session_s and place.node is node:
                self._check_left(place, node)
            return outcome

        return node.stopService().addCallback(stopped)

    def _check_left(self, place: Place, node: Node) -> None:
        """What a node led that has stopped in order others lead by then, where anybody can (KR32)."""
        image = self._oracle.tip
        broker = image.brokers.get(place.number)
        if broker is None or broker.incarnation_id != node.incarnation_id:
            return
        for topic in image.topics.values():
            for state in topic.partitions:
                others = [other for other in (*state.isr, *state.elr) if image.is_active(other)]
                if state.leader == place.number and any(other != place.number for other in others):
                    what = f"node {place.number} has stopped in order, and leads {topic.name}-{state.index}: {state}"
                    self._oracle.broke("LeavesInOrder", what)
                    return

    # Partitions

    def _check_partition(self, part: PartitionDelta, before: MetadataImage, after: MetadataImage) -> None:
        name, new, old = f"{part.topic.name}-{part.new.index}", part.new, part.old
        self._check_members(name, new, after)
        if old is None:
            return
        if new.partition_epoch <= old.partition_epoch or new.leader_epoch < old.leader_epoch + (
            new.leader != old.leader
        ):
            self._oracle.broke("EpochsRise", f"{name} was {old}, and is {new}")
        self._check_forgotten(name, part, before, after)
        self._check_election(name, old, new, after, part.topic.name)
        gone = [node for node in old.isr if node not in new.isr and node in new.replicas]
        if any(place.habits.is_easy for place in self._places.values()):
            self.dropped += sum(after.is_active(node) for node in gone)

    def _check_members_everywhere(self, image: MetadataImage) -> None:
        for topic in image.topics.values():
            for state in topic.partitions:
                self._check_members(f"{topic.name}-{state.index}", state, image)

    def _check_members(self, name: str, state: PartitionState, image: MetadataImage) -> None:
        """Whoever leads or is in sync is there (KR16); where there is one replica, commands from within care little."""
        if len(state.replicas) == 1:
            return
        absent = [node for node in state.isr if not image.is_active(node)]
        if absent or state.leader not in (NO_LEADER, *state.isr):
            self._oracle.broke("MembersAreThere", f"{absent} cannot be in sync, or lead {name}: {state}")

    @property
    def _now(self) -> float:
        return next(iter(self._places.values())).machine.simulation.now

    def _note_raised(self, before: MetadataImage, after: MetadataImage) -> None:
        for topic in after.topics:
            known = rules_of(before, topic).min_isr
            if rules_of(after, topic).min_isr > known:
                self._raised[topic] = self._now, known

    def _min_isr(self, image: MetadataImage, topic: str) -> int:
        """
        Return how many replicas who decided knew to be enough, at least.

        What was decided on a moment before more were asked for is right when it is applied as well: whoever is left in
        sync has everything; only one that could lead besides is not noted.
        """
        raised_at, known = self._raised.get(topic, (float("-inf"), 0))
        min_isr = rules_of(image, topic).min_isr
        return min(min_isr, known) if self._now - raised_at < WAIT_S else min_isr

    def _check_forgotten(
        self, name: str, part: PartitionDelta, before: MetadataImage, after: MetadataImage
    ) -> None:
        """Who leaves an ISR that may commit nothing stays eligible, unless it may have lost something (KR20)."""
        old, new = part.old, part.new
        min_isr = quorum_of(self._min_isr(after, part.topic.name), new.replicas)
        if old is None or len(new.isr) >= min_isr or new.is_recovering:
            return
        if new.partition_epoch > old.partition_epoch + 1:
            return  # several have gone at once, and the first of them left an ISR that was large enough
        for node in (*old.isr, *old.elr):
            known, broker = before.brokers.get(node), after.brokers.get(node)
            is_the_same = known is not None and broker is not None and known.epoch == broker.epoch
            if is_the_same and node in new.replicas and node not in (*new.isr, *new.elr):
                self._oracle.broke("NobodyIsForgotten", f"node {node} had everything of {name}: {old}, then {new}")

    def _check_election(
        self, name: str, old: PartitionState, new: PartitionState, image: MetadataImage, topic: str
    ) -> None:
        """A leader is one of those who have everything, where there are any, unless somebody says otherwise (KR25)."""
        eligible = (*old.isr, *old.elr)
        if new.leader in (old.leader, NO_LEADER, *eligible) or not eligible or new.leader in old.adding:
            return
        if new.leader in new.isr and set(eligible) & set(new.isr):
            return  # it came to be in sync with the same change, and others who were stay so
        if not rules_of(image, topic).unclean and topic not in self.asked and len(new.replicas) > 1:
            self._oracle.broke("LeadersAreEligible", f"{name} was {old}, and is {new}")


def could_leave(node: Node) -> bool:
    """Say whether a node has others lead before it stops: it knows that it takes part, and that others do."""
    image, me = node.broker.metadata.image, node.config.node_id
    broker = image.brokers.get(me)
    if broker is None or not broker.is_active or broker.incarnation_id != node.incarnation_id:
        return False
    if not node.factory.is_serving:
        return False
    return any(other.is_active for number, other in image.brokers.items() if number != me)
