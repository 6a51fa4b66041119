"""
A small cluster around the controller's decisions (KC2): brokers with disks that lose what was not flushed.

What is modelled is everything but the decisions: logs as lists, one partition, leaders that count a high watermark over
the largest ISR that may be in force, AlterPartition in flight for as long as chance wants, processes that die and
come back.  What decides is the production code, and what it decides on is what a real controller has: the image, and
what brokers tell it.  Plans are made on the image of that moment and agreed on later, in order, some never.

The model knows what no broker does: every record that was ever committed.  After each event it checks

 - that no committed record is missing from a leader, or changed (LeaderCompleteness, ConsistentRead);
 - that every live member of the ISR and of the ELR has all of them (LeaderCandidateCompleteness);
 - that a leader counts at least the members that the controller could elect (ReplicationQuorumSuperset);
 - that epochs only grow, leaders come from the ISR or the ELR before, and members of the ISR are there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from random import Random

from attrs import define, field, frozen

from streamline.cluster.altering import IsrChange, Member, alter_partition
from streamline.cluster.commands import (
    TOPIC_CONFIGS,
    ChangeConfigs,
    Command,
    ConfigChange,
    ConfigEntry,
    CreateTopic,
    FoundCluster,
    PartitionPlacement,
    dump,
    load,
    together,
)
from streamline.cluster.failover import change_configs, repair, unregister
from streamline.cluster.image import MetadataImage, apply
from streamline.cluster.membership import Heartbeat, Registration, crashed, fence_silent, heartbeat, register
from streamline.cluster.reassignment import reassign
from streamline.cluster.recovery import LogEnd, LogInfo, recover
from streamline.cluster.rules import rules_of
from streamline.cluster.sessions import Sessions
from streamline.errors import ErrorCode, Refused
from streamline.model import NO_LEADER, Endpoint, PartitionState, TopicPartition, quorum_of
from streamline.wire.schema import Message

TOPIC = "t"
TOPIC_ID = b"t" * 16
PARTITION = TopicPartition(TOPIC, 0)
CLUSTER = "c"
SESSION_S = 120.0

Record = tuple[int, int]
"""The epoch of the leader that appended it, and a number that no other record has."""


class Violated(AssertionError):
    """Something that must never be is."""


@frozen
class Asked:
    """An AlterPartition on its way to the controller."""

    node: int
    broker_epoch: int
    wanted: IsrChange


@define
class Leading:
    """What a leader knows besides the metadata."""

    epoch: int
    start: int
    high_watermark: int = 0
    ends: dict[int, tuple[int, int]] = field(factory=dict)  # follower: its log end, its broker epoch
    pending: tuple[int, ...] = ()
    pending_at: int = -1
    is_certain: bool = True  # whether only one copy of what is pending was ever sent


@define
class Node:
    """One machine: a disk, and a process if it runs."""

    node_id: int
    disk: int = 0  # which disk it has; another one after the last was lost
    log: list[Record] = field(factory=list)
    flushed: int = 0
    marker: int = -1
    is_up: bool = False
    incarnation: int = 0
    previous_epoch: int = -1
    broker_epoch: int = -1
    image: MetadataImage = field(factory=MetadataImage)
    wants_shutdown: bool = False
    leading: Leading | None = None

    @property
    def state(self) -> PartitionState | None:
        """The partition as this node knows it."""
        return self.image.partition(TOPIC, 0)

    @property
    def directory_id(self) -> bytes:
        """The id of its data directory."""
        return bytes([self.node_id, self.disk]) * 8


class World:
    """Everything, and what may happen to it."""

    def __init__(self, seed: int, nodes: int = 4, replicas: int = 3, min_isr: int = 2) -> None:
        self.chance = Random(seed)
        self.now = 0.0
        self.image = MetadataImage()
        self.images: list[MetadataImage] = []
        self.proposed: list[tuple[bytes, Callable[[Sequence[int]], None]]] = []
        self.asked: list[Asked] = []
        self.infos: dict[int, LogInfo] = {}
        self.sessions = Sessions(SESSION_S)
        self.committed: list[Record] = []
        self.counts: Counter[str] = Counter()
        self.next_value = 0
        self.nodes = {node: Node(node) for node in range(1, nodes + 1)}
        self.commit(FoundCluster(cluster_id=CLUSTER))
        for node in self.nodes.values():
            self.start(node)
            while not self.image.is_active(node.node_id):
                self.register(node)
                self.agree_on_all()
                self.catch_up(node)
                self.beat(node)
                self.agree_on_all()
        placed = list(range(1, replicas + 1))
        self.commit(
            CreateTopic(
                name=TOPIC, topic_id=TOPIC_ID,
                partitions=[PartitionPlacement(index=0, replicas=placed, isr=placed)],
                configs=[ConfigEntry(name="min.insync.replicas", value=str(min_isr))],
            )
        )  # fmt: skip

    # The agreed log

    @property
    def state(self) -> PartitionState:
        """The partition as it is agreed on."""
        state = self.image.partition(TOPIC, 0)
        assert state is not None
        return state

    def propose(self, commands: Sequence[Command], then: Callable[[Sequence[int]], None] = lambda _: None) -> None:
        """Send what was decided on its way."""
        command = together(commands)
        if command is not None:
            self.proposed.append((dump(command), then))

    def commit(self, command: Message) -> Sequence[int]:
        """Agree on a command now."""
        before = self.image
        self.image, result = apply(before, before.index + 1, load(dump(command)))
        self.images.append(self.image)
        self.check_step(before.partition(TOPIC, 0), self.image.partition(TOPIC, 0))
        return result if isinstance(result, list) else [result]

    def agree(self) -> None:
        """Agree on what was proposed first."""
        if self.proposed:
            data, then = self.proposed.pop(0)
            try:
                then(self.commit(load(data)))
                self.counts["agreed"] += 1
            except Refused as refusal:
                self.counts[f"out of date: {refusal.code.name}"] += 1

    def agree_on_all(self) -> None:
        """Agree on everything that was proposed."""
        while self.proposed:
            self.agree()

    def replace_controller(self) -> None:
        """Another controller: some of what was proposed is lost, and it looks for what is overdue."""
        self.proposed = self.proposed[: self.chance.randrange(len(self.proposed) + 1)]
        self.agree_on_all()
        self.sessions.adopt(self.image, self.now)
        self.propose(repair(self.image))
        self.counts["controllers"] += 1

    # Machines and processes

    def start(self, node: Node) -> None:
        """Start a process; the mark of a clean stop is gone from then on."""
        if not node.is_up:
            node.is_up, node.wants_shutdown = True, False
            node.incarnation += 1
            node.previous_epoch, node.marker = node.marker, -1
            node.broker_epoch, node.leading, node.image = -1, None, self.images[0]

    def die(self, node: Node, power: bool) -> None:
        """Kill a process; without power, what was not flushed may be gone."""
        if node.is_up:
            node.is_up, node.leading, node.broker_epoch = False, None, -1
            if power:
                node.log = node.log[: self.chance.randrange(node.flushed, len(node.log) + 1)]
                node.flushed = len(node.log)
            self.counts["crashes"] += 1

    def stop(self, node: Node) -> None:
        """Stop in order: flush everything, and last of all write down the broker epoch."""
        if node.is_up:
            node.flushed = len(node.log)
            node.marker = node.broker_epoch
            node.is_up, node.leading, node.broker_epoch = False, None, -1
            self.counts["clean stops"] += 1

    def lose_disk(self, node: Node) -> None:
        """Give a machine a new disk."""
        self.die(node, power=True)
        node.disk += 1
        node.log, node.flushed = [], 0
        known = self.image.brokers.get(node.node_id)
        node.marker = -1 if known is None else self.chance.choice((-1, known.epoch))  # perhaps put back by somebody
        self.counts["disks"] += 1

    def register(self, node: Node) -> None:
        """Introduce a process to the controller; the answer may be lost."""
        if not node.is_up or node.broker_epoch >= 0:
            return
        incarnation = node.incarnation

        def answer(epoch: int) -> None:
            if node.is_up and node.incarnation == incarnation and self.chance.random() < 0.9:
                node.broker_epoch = epoch
                self.sessions.heard(node.node_id, epoch, -1, self.now)

        wanted = Registration(
            node_id=node.node_id, cluster_id=CLUSTER, incarnation_id=bytes([node.node_id, incarnation % 256]) * 8,
            directory_id=node.directory_id, endpoint=Endpoint("h", node.node_id), previous_epoch=node.previous_epoch,
        )  # fmt: skip
        try:
            registered = register(self.image, self.sessions, self.now, wanted)
        except Refused as refusal:
            self.counts[f"not registered: {refusal.code.name}"] += 1
        else:
            self.propose(registered.commands, lambda results: answer(results[0]))
            if not registered.commands:
                answer(registered.epoch)

    def beat(self, node: Node) -> None:
        """Tell the controller that a process lives."""
        if not node.is_up or node.broker_epoch < 0:
            return
        beat = Heartbeat(
            node_id=node.node_id, broker_epoch=node.broker_epoch, metadata_index=node.image.index,
            wants_shutdown=node.wants_shutdown,
        )  # fmt: skip
        try:
            pulse = heartbeat(self.image, self.sessions, self.now, beat)
        except Refused:
            node.broker_epoch = -1
            self.die(node, power=False)
            return
        self.propose(pulse.commands)
        if pulse.may_stop:
            self.counts["orderly stops"] += 1
            self.stop(node)

    def catch_up(self, node: Node, count: int = 1 << 30) -> None:
        """Apply what was agreed on; forget what is not a replica's to keep, and lead or not."""
        if not node.is_up:
            return
        index = min(self.image.index, node.image.index + count)
        node.image = self.images[index - 1]
        state = node.state
        if state is None:
            return
        if node.node_id not in state.replicas:
            node.leading = None
            if 0 <= node.broker_epoch <= node.image.index:  # what was true before it came back says nothing
                node.log, node.flushed = [], 0
        elif state.leader != node.node_id or node.broker_epoch != node.image.brokers[node.node_id].epoch:
            node.leading = None
        elif node.leading is None or node.leading.epoch < state.leader_epoch:
            node.leading = Leading(state.leader_epoch, len(node.log))
            self.check_leader(node)
        if node.leading is not None and node.leading.pending_at < state.partition_epoch:
            node.leading.pending = ()
        self.advance(node)

    # Records

    def append(self, node: Node) -> None:
        """A client writes to whoever leads."""
        if node.leading is not None:
            node.log.append((node.leading.epoch, self.next_value))
            self.next_value += 1
            self.advance(node)

    def flush(self, node: Node) -> None:
        """Write a part of a log to the disk."""
        node.flushed = self.chance.randrange(node.flushed, len(node.log) + 1)

    def fetch(self, node: Node, count: int) -> None:
        """A follower asks its leader, says how far it is, and takes what is new."""
        state = node.state
        if not node.is_up or node.broker_epoch < 0 or state is None or node.node_id not in state.replicas:
            return
        if state.leader in (NO_LEADER, node.node_id):
            return
        leader = self.nodes[state.leader]
        if leader.leading is None or leader.leading.epoch != state.leader_epoch:
            return
        same = next((at for at, (a, b) in enumerate(zip(node.log, leader.log, strict=False)) if a != b), None)
        same = min(len(node.log), len(leader.log)) if same is None else same
        node.log = node.log[:same]
        node.flushed = min(node.flushed, same)
        leader.leading.ends[node.node_id] = (same, node.broker_epoch)
        node.log += leader.log[same : same + count]
        self.advance(leader)

    def maximal_isr(self, node: Node) -> tuple[int, ...]:
        """Return everybody whom the controller may count by now, as far as a leader can know (KR12)."""
        assert node.leading is not None and node.state is not None
        return tuple(dict.fromkeys((*node.state.isr, *node.leading.pending)))

    def advance(self, node: Node) -> None:
        """Commit what everybody has, if they are enough (KR19)."""
        leading, state = node.leading, node.state
        if leading is None or state is None:
            return
        min_isr = rules_of(node.image, TOPIC).min_isr
        if len(state.isr) < quorum_of(min_isr, state.replicas):
            return
        members = self.maximal_isr(node)
        ends = [len(node.log) if member == node.node_id else leading.ends.get(member, (0, 0))[0] for member in members]
        if min(ends) > leading.high_watermark:
            leading.high_watermark = min(ends)
            self.check_committed(node.log[: leading.high_watermark])

    # AlterPartition

    def ask(self, node: Node) -> None:
        """A leader wants somebody in its ISR or out of it; it does not look whether they are there (KR16 is ours)."""
        leading, state = node.leading, node.state
        if leading is None or state is None:
            return
        if leading.pending:
            members, leading.is_certain = leading.pending, False
        else:
            others = [other for other in state.replicas if other != node.node_id]
            if not others:
                return
            other = self.chance.choice(others)
            members = tuple(member for member in state.isr if member != other)
            if other not in state.isr and leading.ends.get(other, (-1, 0))[0] >= max(
                leading.high_watermark, leading.start
            ):
                members = (*state.isr, other)
            leading.is_certain = True
        epochs = {other: epoch for other, (_, epoch) in leading.ends.items()}
        epochs[node.node_id] = node.broker_epoch
        for member in state.isr:  # of those in the ISR it may not have heard yet
            if member in node.image.brokers:
                epochs.setdefault(member, node.image.brokers[member].epoch)
        wanted = IsrChange(
            topic_id=TOPIC_ID, index=0, leader_epoch=leading.epoch, partition_epoch=state.partition_epoch,
            isr=[Member(member, epochs.get(member, -1)) for member in members],
        )  # fmt: skip
        leading.pending, leading.pending_at = members, state.partition_epoch
        self.asked.append(Asked(node.node_id, node.broker_epoch, wanted))

    def answer(self) -> None:
        """One of the requests in flight, whichever, arrives; its answer may be lost."""
        if not self.asked:
            return
        asked = self.asked.pop(self.chance.randrange(len(self.asked)))
        code = ErrorCode.NONE
        try:
            altered = alter_partition(self.image, asked.node, asked.broker_epoch, asked.wanted)
        except Refused as refusal:
            code = refusal.code
        else:
            self.propose([altered.command])
        self.counts[f"asked: {code.name}"] += 1
        node = self.nodes[asked.node]
        leading = node.leading
        if code is ErrorCode.INELIGIBLE_REPLICA and leading is not None and self.chance.random() < 0.8:
            is_same = (leading.epoch, leading.pending_at) == (asked.wanted.leader_epoch, asked.wanted.partition_epoch)
            if is_same and leading.is_certain and tuple(m.node_id for m in asked.wanted.isr) == leading.pending:
                leading.pending = ()

    # What people do

    def set_min_isr(self, value: int) -> None:
        """Change min.insync.replicas."""
        change = ConfigChange(name="min.insync.replicas", value=str(value))
        command = ChangeConfigs(resource_type=TOPIC_CONFIGS, resource_name=TOPIC, changes=[change])
        self.propose(change_configs(self.image, command))

    def move(self) -> None:
        """Move the partition elsewhere, or call a move back."""
        target = self.chance.sample(sorted(self.nodes), self.chance.randrange(1, len(self.nodes)))
        try:
            self.propose(reassign(self.image, PARTITION, self.chance.choice((target, target, None))))
            self.counts["moves"] += 1
        except Refused:
            self.counts["moves refused"] += 1

    def remove(self, node: Node) -> None:
        """Take a machine that is off out of the cluster."""
        if not node.is_up and node.node_id in self.image.brokers:
            try:
                self.propose(unregister(self.image, node.node_id))
                self.counts["removed"] += 1
            except Refused:
                self.counts["removals refused"] += 1

    # When nobody is left who has everything

    def inquire(self, node: Node) -> None:
        """A replica says how far its log goes; that is true of the moment, and arrives whenever it does."""
        if node.is_up and node.broker_epoch >= 0 and node.state is not None:
            end = LogEnd(node.log[-1][0] if node.log else -1, len(node.log))
            self.infos[node.node_id] = LogInfo(end, node.broker_epoch, node.state.leader_epoch)

    def rescue(self, *, patient: bool) -> None:
        """The controller elects the best of what it has heard, if everybody is heard who may be better."""
        try:
            self.propose(recover(self.image, PARTITION, self.infos, patient=patient))
        except Refused as refusal:
            self.counts[f"not rescued: {refusal.code.name}"] += 1

    # What must be true

    def rescued(self, before: PartitionState, leader: int) -> None:
        """
        Nobody had everything any more: what the best one still has is what counts.

        It has no hole, and whoever had everything once, there or not, has no more of it.
        """
        kept = self.kept(self.nodes[leader])
        self.counts["rescues"] += 1
        self.counts["records lost with every disk that had them"] += len(self.committed) - len(kept)
        for node in before.last_known_elr:
            if node in self.image.brokers and len(self.kept(self.nodes[node])) > len(kept):
                raise Violated(f"{leader} came to lead {before}, and {node} has more")
        if self.nodes[leader].log[: len(kept)] != kept:
            raise Violated("what was rescued has a hole")
        self.committed = kept

    def kept(self, node: Node) -> list[Record]:
        """Return what a node has of what was committed."""
        return [mine for mine, its in zip(self.committed, node.log, strict=False) if mine == its]

    def check_committed(self, records: list[Record]) -> None:
        """What is committed stays, in its place."""
        common = min(len(records), len(self.committed))
        if records[:common] != self.committed[:common]:
            raise Violated(f"committed twice: {records} and {self.committed}")
        self.committed = records if len(records) > len(self.committed) else self.committed

    def check_leader(self, node: Node) -> None:
        """Whoever begins to lead has everything that was committed, unless the controller leads by now another way."""
        if node.state is not None and node.state.leader_epoch == self.state.leader_epoch:
            self.counts["leaderships"] += 1
            if node.log[: len(self.committed)] != self.committed:
                raise Violated(f"node {node.node_id} leads without {self.committed[len(node.log):]}")

    def check_step(self, before: PartitionState | None, after: PartitionState | None) -> None:
        """Each change of the partition is one that may follow."""
        if before is None or after is None or after is before:
            return
        if after.partition_epoch != before.partition_epoch + 1 and after != before:
            # several changes in one command, each checked as it was applied
            self.counts["changes at one stroke"] += 1
        if after.leader_epoch < before.leader_epoch or after.partition_epoch < before.partition_epoch:
            raise Violated("an epoch fell")
        if after.leader not in (NO_LEADER, before.leader):
            self.counts["elected from the ELR" if after.leader in before.elr else "elected"] += 1
            is_bold = after.is_recovering and not before.isr and not before.elr
            staying = before.target if before.leader in before.removing else ()
            if after.leader not in (*before.isr, *before.elr, *staying) and not is_bold:
                raise Violated(f"{after.leader} came to lead {before}")
            if is_bold:
                self.rescued(before, after.leader)

    def check(self) -> None:
        """Look at everything."""
        state = self.state
        for member in state.isr:
            if not self.image.is_active(member):
                raise Violated(f"{member} is in {state.isr} and not there")
        if state.leader == NO_LEADER and any(self.image.is_active(node) for node in (*state.isr, *state.elr)):
            raise Violated(f"nobody leads {state}, and somebody could")
        for member in (*state.isr, *state.elr):
            node = self.nodes[member]
            broker = self.image.brokers.get(member)
            is_it = node.is_up and broker is not None and node.broker_epoch == broker.epoch
            if is_it and node.log[: len(self.committed)] != self.committed:
                raise Violated(f"{member} is in {state} without {self.committed[len(node.log):]}")
        leader = self.nodes.get(state.leader)
        if leader is not None and leader.leading is not None and leader.leading.epoch == state.leader_epoch:
            self.check_maximal(leader, state)

    def check_maximal(self, leader: Node, state: PartitionState) -> None:
        """The leader counts everybody whom the controller may elect, as long as it may commit."""
        assert leader.state is not None
        min_isr = rules_of(leader.image, TOPIC).min_isr
        if len(leader.state.isr) >= quorum_of(min_isr, leader.state.replicas):
            missing = [node for node in state.isr if node not in self.maximal_isr(leader)]
            if missing:
                raise Violated(f"the leader does not count {missing} of {state}")

    # What the controller notices, and the end of all faults

    def silence(self) -> None:
        """The controller looks who has not been heard of."""
        self.propose(fence_silent(self.image, self.sessions, self.now))

    def hint(self, node: Node) -> None:
        """Somebody tells the controller that a process is gone; it may be late, or wrong."""
        broker = self.image.brokers.get(node.node_id)
        if broker is not None and (not node.is_up or self.chance.random() < 0.1):
            self.propose(crashed(self.image, self.sessions, node.node_id, broker.epoch))

    def heal(self) -> None:
        """End all faults: everybody runs, and everything arrives."""
        for _ in range(12):
            for node in self.nodes.values():
                self.start(node)
                node.wants_shutdown = False
                self.register(node)
                self.agree_on_all()
                self.catch_up(node)
                self.beat(node)
                self.agree_on_all()
                self.check()
            self.now += SESSION_S / 3
            self.silence()
            self.agree_on_all()
            while self.asked:
                self.answer()
            self.agree_on_all()
            for node in self.nodes.values():
                self.catch_up(node)
                self.fetch(node, 1000)
                self.ask(node)
                self.inquire(node)
            self.rescue(patient=False)
            self.agree_on_all()
            self.check()
