"""A replicator on a clock that is set by hand, with other nodes and copies that do what the test says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import define, evolve
from twisted.internet.defer import Deferred, fail
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from streamline.cluster.altering import IsrChange
from streamline.config import BrokerConfig, NodeConfig, TopicConfig
from streamline.errors import ErrorCode, StorageFailed
from streamline.interfaces import ICluster, IFollowing, ILeadership, IPartitionLog, IReplica
from streamline.model import Broker, Buffer, Endpoint, LogIdentity, PartitionState
from streamline.replication.epochs import LeaderEpochs
from streamline.replication.followers import FollowerFetch
from streamline.replication.messages import FETCH_VERSION
from streamline.replication.throttle import Throttle
from streamline.services.peer_call import NoAnswer
from streamline.services.replication import IsrReplicator
from streamline.storage.memory import MemoryStorage
from streamline.testing.contracts.storage_harness import make_batch
from streamline.testing.worlds import RealWorld
from streamline.wire.batch import BatchHeader, read_header
from streamline.wire.codec import decode, encode
from streamline.wire.messages.fetch import (
    EpochEndOffset,
    FetchableTopicResponse,
    FetchRequest,
    FetchResponse,
    PartitionData,
)
from streamline.wire.messages.peer_raft import FetchNowRequest
from streamline.wire.schema import Message

NODE = 1
LEADER = 2
TOPIC_ID = b"t" * 16
BROKER_EPOCHS = 100
"""Node n has broker epoch 100 + n."""


@define
class Asked:
    """What another node was asked, and its answer to come."""

    node_id: int
    request: Any
    answer: Deferred[Any]


@implementer(ICluster)
class Others:
    """
    The other nodes.

    @ivar asked: what was asked of nodes and has no answer yet; C{altered} likewise of the controller.
    @ivar hurried: which nodes were asked to answer at once, each time.
    """

    def __init__(self) -> None:
        self.broker_epoch = BROKER_EPOCHS + NODE
        self.brokers = {
            node: Broker(node_id=node, endpoint=Endpoint("h", node), epoch=BROKER_EPOCHS + node) for node in (1, 2, 3)
        }
        self.asked: list[Asked] = []
        self.hurried: list[int] = []
        self.altered: list[tuple[IsrChange, Deferred[int]]] = []
        self.reachable: Callable[[int], None]
        self.throttles: dict[LogIdentity, Throttle] = {}

    def ask(self, node_id: int, request: Message, response: type[Message], timeout_s: float) -> Deferred[Any]:
        """Note it; a leader that is hurried may say so or not."""
        if isinstance(request, FetchNowRequest):
            self.hurried.append(node_id)
            return fail(NoAnswer("it is busy"))
        asked = Asked(node_id, request, Deferred())
        self.asked.append(asked)
        return asked.answer

    def alter(self, change: IsrChange) -> Deferred[int]:
        """Note it."""
        answer: Deferred[int] = Deferred()
        self.altered.append((change, answer))
        return answer

    def listen(self, reachable: Callable[[int], None]) -> None:
        """Remember who listens."""
        self.reachable = reachable

    def throttle(self, identity: LogIdentity) -> Throttle | None:
        """Copy at any speed, unless the test says otherwise."""
        return self.throttles.get(identity)

    def came(self, node_id: int) -> FetchRequest:
        """Return the only fetch that is under way to a node."""
        (asked,) = (asked for asked in self.asked if asked.node_id == node_id)
        return decode(FetchRequest, FETCH_VERSION, encode(asked.request, FETCH_VERSION))

    def answer(self, node_id: int, answer: Any) -> None:
        """Answer that fetch, or fail it with an exception."""
        (asked,) = (asked for asked in self.asked if asked.node_id == node_id)
        self.asked.remove(asked)
        asked.answer.callback(answer) if isinstance(answer, Message) else asked.answer.errback(answer)


@implementer(IReplica)
class Kept:
    """
    A copy.

    @ivar is_held: whether what is written waits for its sync.
    @ivar trouble: raised instead of taking anything.
    @ivar role: whoever is told what counts.
    """

    def __init__(self, log: IPartitionLog) -> None:
        self.log = log
        self.epochs = LeaderEpochs()
        self.counted_offset = log.flushed_offset
        self.is_held = False
        self.trouble: Exception | None = None
        self.role: IFollowing | ILeadership | None = None
        self.advances: list[int] = []
        self.cuts: list[int] = []

    def copy(self, header: BatchHeader, batch: Buffer) -> None:
        """Take a batch."""
        if self.trouble is not None:
            raise self.trouble
        self.log.append(header, (batch,))
        self.epochs.assign(header.partition_leader_epoch, header.base_offset)

    def write(self) -> None:
        """Write it."""
        self.log.flush()
        if not self.is_held:
            self.count()

    def count(self) -> None:
        """Have all of it count."""
        if self.log.flushed_offset > self.counted_offset:
            self.counted_offset = self.log.flushed_offset
            if self.role is not None:
                self.role.appended(self.counted_offset)

    def cut(self, end_offset: int) -> None:
        """Cut the log."""
        if self.trouble is not None:
            raise StorageFailed(str(self.trouble))
        self.cuts.append(end_offset)
        self.log.truncate(end_offset)
        self.epochs.truncate_end(self.log.end_offset)
        self.counted_offset = min(self.counted_offset, self.log.end_offset)

    def begin_anew(self, offset: int) -> None:
        """Begin it anew."""
        self.log.restart_at(offset)
        self.epochs.truncate_end(-1)
        self.counted_offset = offset

    def advance_start(self, offset: int) -> None:
        """Have it begin later."""
        self.log.advance_start(offset)

    def fill(self, count: int, epoch: int = 0) -> None:
        """Append so many batches of one record, and have them count."""
        for _ in range(count):
            batch = make_batch(self.log.end_offset, leader_epoch=epoch)
            self.copy(read_header(batch), batch)
        self.write()


def state_of(leader: int = LEADER, leader_epoch: int = 1, **more: Any) -> PartitionState:
    """Return what the metadata say of a partition."""
    given: dict[str, Any] = {"index": 0, "replicas": (1, 2, 3), "isr": (1, 2, 3), "partition_epoch": 7}
    return PartitionState(**(given | more), leader=leader, leader_epoch=leader_epoch)


def said(index: int = 0, *batches: bytes, code: ErrorCode = ErrorCode.NONE, **more: Any) -> PartitionData:
    """Return what a leader says of a partition."""
    diverging = more.pop("diverging", None)
    given: dict[str, Any] = {"high_watermark": 0, "log_start_offset": 0, "last_stable_offset": 0}
    return PartitionData(
        partition_index=index,
        error_code=code,
        records=b"".join(batches),
        aborted_transactions=None,
        diverging_epoch=None if diverging is None else EpochEndOffset(epoch=diverging[0], end_offset=diverging[1]),
        **(given | more),
    )


def answer_of(*parts: PartitionData, code: ErrorCode = ErrorCode.NONE) -> FetchResponse:
    """Return a leader's answer."""
    topics = [FetchableTopicResponse(topic="", topic_id=TOPIC_ID, partitions=list(parts))]
    return FetchResponse(error_code=code, session_id=77, responses=topics)


class ReplicatingCase(SynchronousTestCase):
    """Node 1 of three."""

    def setUp(self) -> None:
        """Start its replicator."""
        self.world = RealWorld()
        self.addCleanup(self.world.close)
        self.clock = self.world.clock
        self.others = Others()
        config = NodeConfig(node_id=NODE, broker=BrokerConfig(replica_lag_time_max_ms=10_000))
        self.replicator = IsrReplicator(self.world.host, config)
        self.replicator.join(self.others)
        self.successResultOf(self.replicator.start())
        self._storage = MemoryStorage(self.world.host, config)

    def replica(self, index: int = 0) -> Kept:
        """Return an empty copy."""
        identity = LogIdentity("t", index, TOPIC_ID)
        return Kept(self.successResultOf(self._storage.open(identity, TopicConfig())))

    def turn(self, seconds: float = 0.0) -> None:
        """Let time pass."""
        self.clock.advance(seconds)

    def one_turn(self) -> None:
        """Let the reactor turn once: what is to be done in the next turn waits."""
        calls: list[Any] = [call for call in self.clock.getDelayedCalls() if call.getTime() <= self.clock.seconds()]
        for call in calls:
            if call.active():
                work, args = call.func, call.args
                call.cancel()
                work(*args)

    # Following

    def follow(self, replica: Kept, leader_epoch: int = 1) -> IFollowing:
        """Follow node 2."""
        state = state_of(leader_epoch=leader_epoch)
        following = replica.role = self.replicator.follow(replica, state, replica.advances.append)
        self.turn()
        return following

    def asks(self, leader: int = LEADER) -> dict[int, int]:
        """Return from where each partition is asked for, by the only fetch under way."""
        topics = self.others.came(leader).topics
        return {part.partition: part.fetch_offset for topic in topics for part in topic.partitions}

    def answers(self, *parts: PartitionData, code: ErrorCode = ErrorCode.NONE) -> None:
        """Have node 2 answer."""
        self.others.answer(LEADER, answer_of(*parts, code=code))

    # Leading

    def lead(self, replica: Kept, min_isr: int = 2, **more: Any) -> ILeadership:
        """Lead it, in epoch 1."""
        self.state = state_of(NODE, **more)
        replica.epochs.assign(1, replica.log.end_offset)
        leadership = replica.role = self.replicator.lead(replica, self.state, min_isr, replica.advances.append)
        self.turn()
        return leadership

    def fetched(self, leadership: ILeadership, node_id: int, offset: int, **more: Any) -> tuple[int, int] | None:
        """Have a follower fetch from an offset of epoch 1, or the beginning."""
        given: dict[str, Any] = {
            "node_id": node_id, "broker_epoch": BROKER_EPOCHS + node_id, "leader_epoch": 1, "offset": offset,
            "last_epoch": 1 if offset else -1,
        }  # fmt: skip
        return leadership.fetched(FollowerFetch(**(given | more)))

    def changed(self, leadership: ILeadership, min_isr: int = 2, **more: Any) -> None:
        """Have the metadata say something else of the partition."""
        self.state = evolve(self.state, partition_epoch=self.state.partition_epoch + 1, **more)
        leadership.changed(self.state, min_isr)
        self.turn()
