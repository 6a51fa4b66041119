"""
The copies of partitions, judged by what no node knows: how far anybody ever took a record to be committed.

L{Copies} hears of every high watermark that moves, every role that a copy takes on, every cut and every change that is
agreed on about a partition, and looks at what is on the disks then (the invariants of KIP-966's specification): what is
committed stays as it is, is on everybody who may lead, and was on enough of them when it became so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from attrs import Factory, define

from streamline.cluster.delta import difference
from streamline.cluster.image import MetadataImage
from streamline.interfaces import ILeadership
from streamline.model import LogIdentity, PartitionState
from streamline.replication.followers import FollowerFetch
from streamline.replication.leading import LedPartition
from streamline.services.replica import Replica
from streamline.testing.simulation.cluster.derived import Derived
from streamline.testing.simulation.cluster.ondisk import LogOnDisk
from streamline.testing.simulation.cluster.oracle import Oracle, is_recovery
from streamline.testing.simulation.cluster.places import DATA, Place

Advanced = Callable[[int], None]
NOTHING_KEPT = -1, -1
"""Where a log ends that has no batch: retention may have left none, and then it does not say."""


@define
class Truth:
    """
    What was ever taken to be committed of one partition.

    @ivar batches: by their first offset: the offset behind, the leader's epoch, and the checksum.
    """

    end_offset: int = 0
    batches: dict[int, tuple[int, int, int]] = Factory(dict)


class Copy:
    """One node's copy of one partition, compared with the truth batch by batch, each of them once."""

    def __init__(self, disk: LogOnDisk) -> None:
        self.disk = disk
        self.derived = Derived(disk)
        self._generation = -1
        self._compared = 0

    def refresh(self) -> None:
        """Read what has changed."""
        self.disk.refresh()
        if self._generation != self.disk.generation:
            self._generation, self._compared = self.disk.generation, 0

    @property
    def end(self) -> tuple[int, int]:
        """The leader's epoch of its last batch, and the offset behind that; by this logs compare (KIP-966)."""
        self.refresh()
        headers = self.disk.headers
        return (headers[-1].partition_leader_epoch, headers[-1].next_offset) if headers else NOTHING_KEPT

    def differs(self, truth: Truth, end_offset: int) -> str:
        """Name the first batch below an offset that is not what was committed there."""
        self.refresh()
        headers = self.disk.headers
        while self._compared < len(headers) and (header := headers[self._compared]).base_offset < end_offset:
            mine = header.next_offset, header.partition_leader_epoch, header.crc
            if (known := truth.batches.get(header.base_offset)) != mine:
                return f"{header.base_offset} is {mine} (end, epoch, checksum), and {known} was committed"
            self._compared += 1
        return ""

    def lacks(self, truth: Truth) -> str:
        """Say what it lacks, or has otherwise, of all that was committed."""
        differs = self.differs(truth, truth.end_offset)
        if differs or self.disk.end_offset >= truth.end_offset:
            return differs
        return f"it ends at {self.disk.end_offset}, and {truth.end_offset} were committed"

    def take(self, truth: Truth, end_offset: int) -> bool:
        """Let what is here be the truth up to an offset; say whether it goes so far, in whole batches."""
        self.refresh()
        new = []
        for header in reversed(self.disk.headers):
            if header.base_offset < truth.end_offset:
                break
            if header.next_offset <= end_offset:
                new.append(header)
        for header in reversed(new):
            truth.batches[header.base_offset] = header.next_offset, header.partition_leader_epoch, header.crc
            truth.end_offset = header.next_offset
        return truth.end_offset >= end_offset


class Copies:
    """
    All copies of all partitions that have more than one.

    @ivar truths: what was committed, by partition.
    """

    def __init__(self, places: Sequence[Place], oracle: Oracle) -> None:
        self.truths: dict[LogIdentity, Truth] = {}
        self._places = {place.number: place for place in places}
        self._oracle = oracle
        self._copies: dict[tuple[int, LogIdentity], Copy] = {}
        oracle.listeners.append(self.agreed)

    # What there is

    def truth(self, identity: LogIdentity) -> Truth:
        """Return what was committed of a partition."""
        return self.truths.setdefault(identity, Truth())

    def _copy(self, node: int, identity: LogIdentity) -> Copy:
        platter = self._places[node].machine.platter
        copy = self._copies.get((node, identity))
        if copy is None or copy.disk.platter is not platter:
            copy = Copy(LogOnDisk(platter, f"{DATA}/{identity.topic}-{identity.partition}"))
            self._copies[node, identity] = copy
        return copy

    @property
    def _image(self) -> MetadataImage:
        """What is agreed on; a node that is just applying the latest entry tells of what follows from it at once."""
        images = [place.node.broker.metadata.image for place in self._places.values() if place.node is not None]
        return max([self._oracle.tip, *images], key=lambda image: image.index)

    def _state(self, identity: LogIdentity) -> PartitionState | None:
        """Return what is agreed on about a partition that has several copies."""
        topic = self._image.topics.get(identity.topic)
        if topic is None or topic.topic_id != identity.topic_id:
            return None
        state = topic.partitions[identity.partition]
        return state if len(state.replicas) > 1 else None

    def _is_known(self, node: int) -> bool:
        """Say whether the cluster knows the process that runs there: one that it does not may have lost something."""
        place = self._places[node]
        broker = self._image.brokers.get(node)
        if broker is None or place.node is None or not place.machine.running:
            return False
        return broker.incarnation_id == place.node.incarnation_id

    def _broke(self, rule: str, identity: LogIdentity, what: str) -> None:
        self._oracle.broke(rule, f"{identity}: {what}")

    # What nodes do

    def watch(self, place: Place) -> None:
        """Hear of what a process does with its copies."""
        assert place.node is not None
        replicator: Any = place.node.broker.replicas._replicator
        lead, follow = replicator.lead, replicator.follow

        def watched_lead(replica: Replica, state: PartitionState, min_isr: int, advanced: Advanced) -> ILeadership:
            def heard(high_watermark: int) -> None:
                self._committed(place, replica, leadership, high_watermark)
                advanced(high_watermark)

            leadership: ILeadership = lead(replica, state, min_isr, heard)
            self._leads(place, replica, leadership, state)
            return leadership

        def watched_follow(replica: Replica, state: PartitionState, advanced: Advanced) -> Any:
            def heard(high_watermark: int) -> None:
                self._heard(place, replica, high_watermark)
                advanced(high_watermark)

            self._watch_cuts(place, replica)
            return follow(replica, state, heard)

        replicator.lead, replicator.follow = watched_lead, watched_follow

    def _watch_cuts(self, place: Place, replica: Replica) -> None:
        if "cut" not in vars(replica):
            cut = replica.cut

            def watched_cut(end_offset: int) -> None:
                cut(end_offset)
                self._was_cut(place, replica)

            replica.cut = watched_cut  # type: ignore[method-assign]

    def _leads(self, place: Place, replica: Replica, leadership: ILeadership, state: PartitionState) -> None:
        identity = replica.log.identity
        agreed = self._state(identity)
        if agreed is None or agreed.leader_epoch != state.leader_epoch:
            return
        truth = self.truth(identity)
        if what := self._copy(place.number, identity).lacks(truth):
            self._broke("LeaderHasAll", identity, f"node {place.number} leads epoch {state.leader_epoch}: {what}")
        self._check_derived(place, replica)
        self._watch_ends(leadership, identity, truth.end_offset)
        self._watch_fetches(place, leadership, identity, state.leader_epoch)

    def _watch_fetches(self, place: Place, leadership: ILeadership, identity: LogIdentity, epoch: int) -> None:
        """A leader takes the word of nobody who follows another epoch, or of an earlier process (KIP-320, KIP-903)."""
        fetched = leadership.fetched

        def watched(follower: FollowerFetch) -> tuple[int, int] | None:
            parting = fetched(follower)
            assert place.node is not None
            broker = place.node.broker.metadata.image.brokers.get(follower.node_id)
            if follower.leader_epoch != epoch or (broker is not None and follower.broker_epoch < broker.epoch):
                self._broke("FollowersAreOfNow", identity, f"node {place.number} in epoch {epoch} heard {follower}")
            return parting

        leadership.fetched = watched  # type: ignore[method-assign]

    def _watch_ends(self, leadership: ILeadership, identity: LogIdentity, committed: int) -> None:
        """Nobody is told of an end that lies before what was committed when this leadership began (KR9)."""
        latest_offset = leadership.latest_offset

        def watched() -> int:
            told = latest_offset()
            if told < committed:
                self._broke("EndsNeverFall", identity, f"{told} is told as the end, and {committed} were committed")
            return told

        leadership.latest_offset = watched  # type: ignore[method-assign]

    def _committed(self, place: Place, replica: Replica, leadership: ILeadership, high_watermark: int) -> None:
        """Hear that a leader, or who takes itself for one, commits."""
        identity = replica.log.identity
        state = self._state(identity)
        if state is None:
            return
        truth, copy = self.truth(identity), self._copy(place.number, identity)
        if len(leadership.isr) < leadership.min_isr:
            what = f"with {leadership.isr} in sync, and {leadership.min_isr} wanted"
            self._broke("CommitsWithEnough", identity, f"node {place.number} commits {high_watermark} {what}")
        if what := copy.differs(truth, min(truth.end_offset, high_watermark)):
            self._broke("CommittedStays", identity, f"node {place.number} commits {high_watermark}: {what}")
        if high_watermark > truth.end_offset:
            if not copy.take(truth, high_watermark):
                self._broke("CommittedIsHere", identity, f"node {place.number} lacks {high_watermark}, and commits it")
            self._check_candidates(identity, state)

    def _heard(self, place: Place, replica: Replica, high_watermark: int) -> None:
        """Hear that a follower takes something to be committed."""
        identity = replica.log.identity
        if self._state(identity) is None:
            return
        truth, copy = self.truth(identity), self._copy(place.number, identity)
        if high_watermark > truth.end_offset:
            what = f"node {place.number} takes {high_watermark} to be committed, and {truth.end_offset} are"
            self._broke("NothingMoreIsCommitted", identity, what)
        elif what := copy.differs(truth, high_watermark):
            self._broke("CommittedStays", identity, f"node {place.number} follows, up to {high_watermark}: {what}")

    def _was_cut(self, place: Place, replica: Replica) -> None:
        identity = replica.log.identity
        state = self._state(identity)
        if state is not None and place.number in (*state.isr, *state.elr):
            self._check_candidates(identity, state)
        self._check_derived(place, replica)

    # What is agreed on

    def agreed(self, before: MetadataImage, after: MetadataImage) -> None:
        """Hear of a change that was agreed on."""
        if before.topics is after.topics:
            return
        for identity, state in self._changed(before, after):
            self._check_candidates(identity, state)
        for part in difference(before, after).partitions:
            if part.old is not None and is_recovery(part):
                topic = after.topics[part.topic.name]
                self._check_best(LogIdentity(topic.name, part.new.index, topic.topic_id), part.old, part.new)

    def _check_best(self, identity: LogIdentity, before: PartitionState, after: PartitionState) -> None:
        """Whoever leads where nobody surely had everything has the best log of those that had, before (KR22)."""
        mine = self._copy(after.leader, identity).end
        for node in before.last_known_elr or before.replicas:
            if self._is_known(node) and mine != NOTHING_KEPT and mine < (other := self._copy(node, identity).end):
                what = f"node {after.leader} is to lead, which ends at {mine} (epoch, offset), and {node} at {other}"
                self._broke("BestIsElected", identity, what)

    def _changed(self, before: MetadataImage, after: MetadataImage) -> Iterator[tuple[LogIdentity, PartitionState]]:
        for name, topic in after.topics.items():
            known = before.topics.get(name)
            if known is topic:
                continue
            for state in topic.partitions:
                old = None if known is None or state.index >= len(known.partitions) else known.partitions[state.index]
                identity = LogIdentity(name, state.index, topic.topic_id)
                if old is not state and len(state.replicas) > 1 and identity in self.truths:
                    yield identity, state

    def _check_candidates(self, identity: LogIdentity, state: PartitionState) -> None:
        """Everybody who may lead, now or later, has everything that is committed."""
        truth = self.truth(identity)
        for node in (*state.isr, *state.elr):
            if self._is_known(node) and (what := self._copy(node, identity).lacks(truth)):
                who = f"node {node} may lead epoch {state.leader_epoch} (ISR {state.isr}, ELR {state.elr})"
                self._broke("CandidatesHaveAll", identity, f"{who}: {what}")

    # Now and then

    def look(self) -> None:
        """Look at every copy that is in use."""
        for place in self._places.values():
            for replica in replicas_of(place):
                if replica.offline is None and (state := self._state(replica.log.identity)) is not None:
                    self._look_at(place, replica, state)

    def _look_at(self, place: Place, replica: Replica, state: PartitionState) -> None:
        identity, log = replica.log.identity, replica.log
        if replica.high_watermark > log.end_offset:
            what = f"node {place.number} ends at {log.end_offset}, and takes {replica.high_watermark} to be committed"
            self._broke("CommittedIsHere", identity, what)
        if replica.high_watermark < log.start_offset:
            what = f"node {place.number} begins at {log.start_offset}, and knows {replica.high_watermark} as committed"
            self._broke("CommittedIsHere", identity, what)
        self._check_held_back(place, replica, state)
        if not replica.is_led and (waiting := len(replica._for_commit)):
            what = f"{waiting} wait at node {place.number}, which does not lead"
            self._broke("NobodyWaitsInVain", identity, what)
        if place.number in state.isr and self._is_known(place.number):
            self._check_candidates(identity, state)
        self._check_derived(place, replica)

    def _check_held_back(self, place: Place, replica: Replica, state: PartitionState) -> None:
        """Nobody waits for a replica that neither counts nor can come to count (KR17)."""
        led: LedPartition | None = getattr(replica.leadership, "_led", None)
        if led is None or not led.has_enough or led.leader_epoch != state.leader_epoch:
            return
        waited_for = [
            follower.end_offset
            for node, follower in led.followers.items()
            if node in led.maximal_isr or ((broker := led._brokers.get(node)) is not None and broker.is_active)
        ]
        if led.high_watermark < (due := min([led.end_offset, *waited_for])):
            what = f"node {place.number} commits {led.high_watermark}, and all who count have {due}: {led.followers}"
            self._broke("NobodyGoneHoldsBack", replica.log.identity, what)

    def _check_derived(self, place: Place, replica: Replica) -> None:
        """What is known of a log without reading it is what reading it says."""
        log = replica.log
        if replica.offline is not None or log.flushed_offset != log.end_offset or replica._rebuilding is not None:
            return
        copy = self._copy(place.number, log.identity)
        copy.refresh()
        if copy.disk.end_offset == log.end_offset and (what := copy.derived.contradicts(replica)):
            self._broke("KnownIsWritten", log.identity, f"at node {place.number} {what}")


def replicas_of(place: Place) -> list[Replica]:
    """Return the copies that a node has open."""
    return list(place.node.broker.replicas) if place.node is not None and place.machine.running else []
