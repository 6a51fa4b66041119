"""
KC2 with the leaders and followers that the product has, instead of modelled ones.

L{tests.cluster.isr_model} models a cluster around the controller's decisions.  Here what decides at a leader and at a
follower is the production code as well: who counts, what is committed, what to ask for, where to cut.  Modelled are
logs as lists, the network, time, and processes.  Fetches and requests to the controller are late, lost, or arrive when
nobody waits for the answer any more.

Besides what that model looks at, this one looks whether

 - a follower's log is a prefix of its leader's as soon as the leader has taken its fetch;
 - a follower shows nothing as committed that is not, and no high watermark falls, but with a log that is cut.
"""

from __future__ import annotations

from attrs import define, frozen

from streamline.cluster.altering import IsrChange, Member, alter_partition
from streamline.cluster.rules import rules_of
from streamline.errors import ErrorCode, Refused
from streamline.replication.epochs import LeaderEpochs
from streamline.replication.followers import FollowerFetch
from streamline.replication.following import (
    Append,
    BeginAnew,
    Cut,
    FollowedPartition,
    LeaderAnswer,
    Position,
    Step,
)
from streamline.replication.isr_changes import IsrAsk
from streamline.replication.leading import LedPartition
from streamline.replication.roles import Role, role_of
from streamline.replication.truncation import LogRange
from streamline.wire.batch import BatchHeader
from tests.cluster.isr_model import TOPIC, TOPIC_ID, Leading, Node, Record, Violated, World

LAG_MAX_S = 30.0


@define
class Process:
    """What a running process knows about its replica."""

    incarnation: int
    epochs: LeaderEpochs
    high_watermark: int
    led: LedPartition | None = None
    followed: FollowedPartition | None = None
    request: Request | None = None


@frozen
class LateFetch:
    """A fetch on its way to a leader."""

    node: int
    incarnation: int
    leader: int
    position: Position
    fetch: FollowerFetch


@define
class Request:
    """An AlterPartition on its way to the controller, and whether anybody still waits for its answer."""

    node: int
    incarnation: int
    broker_epoch: int
    ask: IsrAsk
    led: LedPartition
    is_awaited: bool = True


def log_of(node: Node) -> LogRange:
    """Return what a node's log has."""
    return LogRange(0, len(node.log))


class ReplicaWorld(World):
    """Leaders and followers as they are, and what may happen to them."""

    def __init__(self, seed: int, nodes: int = 4, replicas: int = 3, min_isr: int = 2) -> None:
        self.processes: dict[int, Process] = {}
        self.fetches: list[LateFetch] = []
        self.requests: list[Request] = []
        super().__init__(seed, nodes, replicas, min_isr)

    def process(self, node: Node) -> Process:
        """Return what a node's process knows; a new one knows its log, and a high watermark that lags."""
        known = self.processes.get(node.node_id)
        if known is None or known.incarnation != node.incarnation:
            hint = self.chance.randrange(min(known.high_watermark if known else 0, len(node.log)) + 1)
            known = Process(node.incarnation, LeaderEpochs(), hint)
            for offset, (epoch, _) in enumerate(node.log):
                known.epochs.assign(epoch, offset)
            self.processes[node.node_id] = known
        return known

    # Roles

    def catch_up(self, node: Node, count: int = 1 << 30) -> None:
        """Apply what was agreed on, and be what it makes of this node."""
        if not node.is_up:
            return
        process = self.process(node)
        node.image = self.images[min(self.image.index, node.image.index + count) - 1]
        state = node.state
        if state is None:
            return
        role = role_of(node.node_id, node.broker_epoch, state, node.image.brokers)
        if role is not Role.LEADER:
            process.led = node.leading = None
        if role is not Role.FOLLOWER:
            process.followed = None
        if role is Role.GONE:
            node.log, node.flushed = [], 0
            self.processes[node.node_id] = Process(node.incarnation, LeaderEpochs(), 0)
        elif role is Role.LEADER:
            self.lead(node, process)
        elif role is Role.FOLLOWER:
            followed = process.followed
            if followed is None or followed.leader_epoch < state.leader_epoch:
                process.followed = FollowedPartition(
                    state.leader, state.leader_epoch, process.epochs, log_of(node), process.high_watermark
                )
        self.note(node)

    def lead(self, node: Node, process: Process) -> None:
        """Begin to lead, or go on with what the metadata say."""
        state = node.state
        assert state is not None
        min_isr = rules_of(node.image, TOPIC).min_isr
        if process.led is not None and process.led.leader_epoch == state.leader_epoch:
            process.led.metadata_changed(state, min_isr, node.image.brokers, self.now)
            return
        process.epochs.assign(state.leader_epoch, len(node.log))
        if state.is_recovering:  # what was committed may be lost, which everybody is told
            process.high_watermark = min(process.high_watermark, len(node.log))
        node.leading = Leading(state.leader_epoch, len(node.log))
        self.check_leader(node)
        process.led = LedPartition(
            node.node_id, state, min_isr, node.image.brokers, end_offset=len(node.log),
            high_watermark=process.high_watermark, lag_max_s=LAG_MAX_S, now_s=self.now,
        )  # fmt: skip

    # Records

    def append(self, node: Node) -> None:
        """A client writes; now and then it takes a while until that counts, as with flush.messages."""
        process = self.process(node)
        if node.leading is not None and process.led is not None:
            process.epochs.assign(node.leading.epoch, len(node.log))
            node.log.append((node.leading.epoch, self.next_value))
            self.next_value += 1
            if self.chance.random() < 0.7:
                self.count(node)

    def count(self, node: Node) -> None:
        """What a leader has appended counts."""
        led = self.process(node).led
        if led is not None:
            led.appended(len(node.log), self.now)
            self.note(node)

    def request_of(self, node: Node) -> LateFetch | None:
        """Return what a follower asks for now."""
        process = self.process(node)
        followed = process.followed
        position = None if followed is None else followed.position
        if not node.is_up or followed is None or position is None:
            return None
        fetch = FollowerFetch(
            node_id=node.node_id, broker_epoch=node.broker_epoch, leader_epoch=position.leader_epoch,
            offset=position.offset, last_epoch=position.last_epoch,
        )  # fmt: skip
        return LateFetch(node.node_id, node.incarnation, followed.leader, position, fetch)

    def fetch(self, node: Node, count: int) -> None:
        """A follower asks, now and then for a long time."""
        asked = self.request_of(node)
        if asked is None:
            return
        if self.chance.random() < 0.15:
            self.fetches.append(asked)
        else:
            self.deliver(asked, count)

    def arrive(self, count: int) -> None:
        """One of the fetches that were late arrives, whichever."""
        if self.fetches:
            self.counts["late fetches"] += 1
            self.deliver(self.fetches.pop(self.chance.randrange(len(self.fetches))), count)

    def deliver(self, asked: LateFetch, count: int) -> None:
        """A fetch reaches the leader, and its answer the follower, if that is still there."""
        leader, node = self.nodes[asked.leader], self.nodes[asked.node]
        led = self.process(leader).led if leader.is_up else None
        if led is None:
            return
        records: list[Record] = []
        try:
            divergence = led.fetched(asked.fetch, self.process(leader).epochs, log_of(leader), self.now)
        except Refused as refusal:
            self.counts[f"fetch: {refusal.code.name}"] += 1
            answer = LeaderAnswer(code=refusal.code, start_offset=0)
        else:
            if divergence is None:
                records = leader.log[asked.position.offset : asked.position.offset + count]
            answer = LeaderAnswer(
                high_watermark=led.high_watermark, start_offset=0, divergence=divergence, has_records=bool(records)
            )
        self.note(leader)
        followed = self.process(node).followed
        if node.is_up and node.incarnation == asked.incarnation and followed is not None:
            is_verified = answer.code is ErrorCode.NONE and answer.divergence is None
            if asked.position == followed.position and is_verified and node.log != leader.log[: len(node.log)]:
                raise Violated(f"{leader.node_id} took {node.node_id}'s log for a part of its own")
            self.do(node, followed, followed.answered(asked.position, answer, self.now), records)

    def do(self, node: Node, followed: FollowedPartition, step: Step | None, records: list[Record]) -> None:
        """Do to a follower's log what it decided on."""
        epochs = self.process(node).epochs
        if isinstance(step, Append):
            for epoch, value in records:
                if followed.takes(batch(len(node.log), epoch), len(node.log)):
                    epochs.assign(epoch, len(node.log))
                    node.log.append((epoch, value))
            followed.appended(len(node.log))
        elif isinstance(step, Cut):
            self.counts["cuts"] += 1
            node.log = node.log[: step.offset]
            node.flushed = min(node.flushed, step.offset)
            epochs.truncate_end(step.offset)
            followed.cut(0, len(node.log))
        elif isinstance(step, BeginAnew):
            raise Violated(f"{node.node_id} throws everything away, and the leader's log begins at 0")
        self.note(node)

    def note(self, node: Node) -> None:
        """Look at a replica's high watermark."""
        process = self.process(node)
        if process.led is not None:
            if process.led.high_watermark < process.high_watermark:
                raise Violated(f"the high watermark of {node.node_id} fell")
            if process.led.high_watermark > process.high_watermark:
                process.high_watermark = process.led.high_watermark
                self.check_committed(node.log[: process.high_watermark])
        elif process.followed is not None:
            if process.followed.high_watermark > process.high_watermark:
                shown = node.log[: process.followed.high_watermark]
                if shown != self.committed[: process.followed.high_watermark]:
                    raise Violated(f"{node.node_id} shows {shown} as committed")
            if process.followed.high_watermark < min(process.high_watermark, len(node.log)):
                raise Violated(f"the high watermark of {node.node_id} fell")
            process.high_watermark = process.followed.high_watermark

    # AlterPartition

    def maximal_isr(self, node: Node) -> tuple[int, ...]:
        """Return whom a leader counts."""
        led = self.process(node).led
        return () if led is None else led.maximal_isr

    def ask(self, node: Node) -> None:
        """A leader asks for what it wants, if it wants anything."""
        led = self.process(node).led
        ask = None if led is None else led.next_ask(self.now)
        if led is not None and ask is not None:
            if {member.node_id for member in ask.isr} == set(led.isr):
                self.counts["asked for what is"] += 1
            request = Request(node.node_id, node.incarnation, node.broker_epoch, ask, led)
            self.requests.append(request)
            self.process(node).request = request
            self.note(node)

    def answer(self) -> None:
        """One of the requests reaches the controller, whichever; it is answered once it is agreed on, or never."""
        if not self.requests:
            return
        request = self.requests.pop(self.chance.randrange(len(self.requests)))
        ask = request.ask
        wanted = IsrChange(
            topic_id=TOPIC_ID, index=0, leader_epoch=ask.leader_epoch, partition_epoch=ask.partition_epoch,
            isr=[Member(member.node_id, member.broker_epoch) for member in ask.isr],
        )  # fmt: skip
        try:
            altered = alter_partition(self.image, request.node, request.broker_epoch, wanted)
        except Refused as refusal:
            self.reply(request, refusal.code, -1)
        else:
            if self.chance.random() < 0.1:  # it gives up the controllership, and what it proposed goes its way
                self.reply(request, ErrorCode.NOT_CONTROLLER, -1)
            self.propose(
                [altered.command], lambda _: self.reply(request, ErrorCode.NONE, altered.state.partition_epoch)
            )

    def reply(self, request: Request, code: ErrorCode, partition_epoch: int) -> None:
        """The controller's answer is on its way, and may be lost."""
        self.counts[f"asked: {code.name}"] += 1
        node = self.nodes[request.node]
        if request.is_awaited and node.is_up and node.incarnation == request.incarnation and self.chance.random() < 0.8:
            request.is_awaited = False
            request.led.answered(request.ask, code, partition_epoch, self.now)
            if self.process(node).led is request.led:
                self.note(node)

    def give_up(self, node: Node) -> None:
        """A leader waits for an answer no longer; the request may still arrive."""
        process = self.process(node)
        request = process.request
        if process.led is not None and request is not None and request.is_awaited:
            request.is_awaited = False
            self.counts["given up"] += 1
            process.led.unanswered(request.ask, self.now)


def batch(offset: int, epoch: int) -> BatchHeader:
    """Return the header of a batch of one record."""
    return BatchHeader(offset, 49, epoch, 2, 0, 0, 0, 0, 0, -1, -1, -1, 1)
