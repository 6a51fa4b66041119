"""The rooms of a node without its sockets, and with replicas that get records when the test says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure
from zope.interface import implementer

from streamline.cluster.commands import (
    BrokerEpoch,
    ChangePartitions,
    FoundCluster,
    RegisterBroker,
)
from streamline.cluster.foresight import Here
from streamline.cluster.image import change_to
from streamline.cluster.placement import RackSpread
from streamline.config import BrokerConfig, NodeConfig, TopicConfig
from streamline.groups.entries import CommittedOffset, OffsetEntry
from streamline.groups.records import to_record
from streamline.interfaces import (
    ICluster,
    IConsensus,
    IFollowing,
    ILeadership,
    IPartitionLog,
    IReplica,
    IReplicator,
    IStateMachine,
)
from streamline.model import OFFSETS_TOPIC, LogIdentity, PartitionState, TopicPartition
from streamline.replication.acks import KafkaAcks
from streamline.replication.followers import FollowerFetch
from streamline.services.controller import Controller
from streamline.services.controllership import Controllership
from streamline.services.coordinators import GroupCoordinator
from streamline.services.deadlines import Deadlines
from streamline.services.forwarding import Forwarding
from streamline.services.metadata import Metadata
from streamline.services.partition import Partition
from streamline.services.replicas import Replicas
from streamline.services.sharing import Shared
from streamline.storage.memory import MemoryStorage
from streamline.testing.worlds import RealWorld
from streamline.wire.messages.peer_pushes import (
    LeaderAndIsrPartitionState,
    LeaderAndIsrRequest,
    LeaderAndIsrTopicState,
)
from streamline.wire.records import Record, build_batch


@implementer(IConsensus)
class Agreement:
    """Consensus of one, which keeps nothing."""

    leader_id: int | None = 1
    term = 1
    applied_index = 0

    def start(self, machine: IStateMachine) -> Deferred[None]:
        """Begin."""
        self._machine = machine
        return succeed(None)

    def stop(self) -> Deferred[None]:
        """End."""
        return succeed(None)

    def propose(self, command: bytes) -> Deferred[Any]:
        """Apply it."""
        self.applied_index += 1
        try:
            return succeed(self._machine.apply(self.applied_index, command))
        except Exception:
            return fail(Failure())

    def when_failed(self) -> Deferred[str]:
        """It never does."""
        return Deferred()

    def read_barrier(self) -> Deferred[None]:
        """Nothing is ever in flight."""
        return succeed(None)


@implementer(ILeadership)
class HeldLeadership:
    """A partition whose other replicas are as slow as the test wants."""

    min_isr = 1

    def __init__(self, log: IPartitionLog, state: PartitionState, advanced: Callable[[int], None]) -> None:
        self.isr = state.isr
        self.high_watermark = log.high_watermark
        self.is_held = False
        self._log = log
        self._advanced = advanced

    def appended(self, end_offset: int) -> None:
        """Commit it, unless held."""
        if not self.is_held and end_offset > self.high_watermark:
            self.high_watermark = self._log.high_watermark = end_offset
            self._advanced(end_offset)

    def release(self, end_offset: int | None = None) -> None:
        """Let the replicas catch up, or come as far as this and wait again."""
        self.is_held = False
        self.appended(self._log.end_offset if end_offset is None else end_offset)
        self.is_held = end_offset is not None

    def latest_offset(self) -> int:
        """Return what is committed."""
        return self.high_watermark

    def fetched(self, follower: FollowerFetch) -> tuple[int, int] | None:
        """Have no followers."""

    def low_watermark(self) -> int:
        """Nobody else keeps anything."""
        return self._log.start_offset

    def lags(self) -> dict[int, int]:
        """Have no followers."""
        return {}

    def changed(self, state: PartitionState, min_isr: int) -> None:
        """Follow the metadata."""
        self.isr = state.isr

    def close(self) -> None:
        """End."""


@implementer(IFollowing)
class Idling:
    """Copies nothing."""

    high_watermark = 0

    def appended(self, end_offset: int) -> None:
        """Nothing is."""

    def close(self) -> None:
        """End."""


@implementer(IReplicator)
class HeldReplicator:
    """Gives every partition a L{HeldLeadership}."""

    def __init__(self) -> None:
        self.led: dict[tuple[str, int], HeldLeadership] = {}

    def join(self, cluster: ICluster) -> None:
        """Meet nobody."""

    def start(self) -> Deferred[None]:
        """Begin."""
        return succeed(None)

    def stop(self) -> Deferred[None]:
        """End."""
        return succeed(None)

    def lead(
        self, replica: IReplica, state: PartitionState, min_isr: int, advanced: Callable[[int], None]
    ) -> ILeadership:
        """Lead."""
        leadership = HeldLeadership(replica.log, state, advanced)
        self.led[replica.log.identity.topic, replica.log.identity.partition] = leadership
        return leadership

    def follow(self, replica: IReplica, state: PartitionState, advanced: Callable[[int], None]) -> IFollowing:
        """Follow nobody."""
        return Idling()

    def forget(self, identity: LogIdentity) -> None:
        """Forget."""


class HeldStorage(MemoryStorage):
    """Opens logs when the test says so."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.is_held = False
        self._gate: Shared[None] = Shared()

    def open(self, identity: LogIdentity, config: TopicConfig) -> Deferred[IPartitionLog]:
        """Open it, at once or when released."""
        if not self.is_held:
            return super().open(identity, config)
        opening: Deferred[Any] = self._gate.wait()
        return opening.addCallback(lambda _: MemoryStorage.open(self, identity, config))

    def release(self) -> None:
        """Open what waits."""
        self.is_held = False
        self._gate.tell(None)


class Rooms:
    """Metadata, controller, replicas and coordinator of node 1, started."""

    def __init__(self, **broker: Any) -> None:
        self.world = RealWorld()
        self.clock = self.world.clock
        self.config = NodeConfig(broker=BrokerConfig(**{"offsets_topic_num_partitions": 1} | broker))
        self.deadlines = Deadlines(self.clock)
        self.replicator = HeldReplicator()
        self.metadata = Metadata(Agreement())
        self.metadata.consensus.start(self.metadata)
        forwarding = Forwarding(self.clock, self.metadata.consensus, 1, None)
        self.controllership = Controllership(self.world.host, 1, self.metadata)
        self.controllership.startService()
        self.controller = Controller(
            self.world.host, self.config, self.metadata, RackSpread(), self.controllership, forwarding
        )
        self.storage = HeldStorage(self.world.host, self.config)
        self.replicas = Replicas(
            self.world.host, self.config, self.metadata, self.storage, self.replicator, KafkaAcks(), bytes(16)
        )
        self.groups = self._coordinator()
        self.metadata.propose(FoundCluster(cluster_id="test"))
        self.metadata.propose(RegisterBroker(node_id=1, incarnation_id=bytes(16), host="h", port=1, rack=None))
        self.replicas.startService()
        self.groups.startService()

    def close(self) -> None:
        """Give back what was taken."""
        self.world.close()

    def restart_coordinator(self) -> None:
        """Stop the coordinator and start another one over the same partitions."""
        self.groups.stopService()
        self.groups = self._coordinator()
        self.groups.startService()

    def fill(self, count: int) -> None:
        """Write so many committed offsets of group C{filler} into the log, past the coordinator."""
        committed = CommittedOffset(offset=1, commit_timestamp_ms=0)
        for first in range(0, count, 500):
            entries = [
                OffsetEntry("filler", TopicPartition("t", index), committed)
                for index in range(first, min(first + 500, count))
            ]
            records = [Record(value, key, 0) for key, value in map(to_record, entries)]
            self.replicas.append_now(OFFSETS_TOPIC, 0, build_batch(records), -1)

    def deadline_count(self) -> int:
        """Return how many time-outs are set."""
        return sum(len(bucket) for bucket in self.deadlines._buckets.values())

    def turns(self, count: int = 3) -> None:
        """Let what waits for the next turn of the reactor happen."""
        for _ in range(count):
            self.clock.advance(0)

    @property
    def leadership(self) -> HeldLeadership:
        """The one partition of C{__consumer_offsets}, as its replicator sees it."""
        return self.replicator.led[OFFSETS_TOPIC, 0]

    @property
    def partition(self) -> Partition:
        """The same, as its leader sees it."""
        return self.replicas.leading(OFFSETS_TOPIC, 0)

    def push(self, leader: int, epochs: int = 1) -> None:
        """Tell that a node leads that partition in a later epoch, which the log has not brought yet."""
        image, state = self.metadata.image, self._state
        said = LeaderAndIsrPartitionState(
            leader=leader, leader_epoch=state.leader_epoch + epochs, partition_epoch=state.partition_epoch + epochs,
            replicas=state.replicas, isr=state.isr,
        )  # fmt: skip
        topic = LeaderAndIsrTopicState(
            topic_name=OFFSETS_TOPIC, topic_id=image.topics[OFFSETS_TOPIC].topic_id, partition_states=[said]
        )
        push = LeaderAndIsrRequest(topic_states=[topic], metadata_index=image.index + epochs, settled_index=0)
        here = Here(node_id=1, image=image, broker_epoch=image.brokers[1].epoch, term=0)
        (outcome,) = self.metadata.foresight.lead_and_follow(push, here)
        assert outcome.is_taken, outcome
        self.metadata.foreseen([TopicPartition(OFFSETS_TOPIC, 0)])

    def elect(self, leader: int) -> None:
        """Make a node the leader of that partition, in a new epoch."""
        if leader not in self._state.replicas:
            self._join(leader)
        state = self._state
        changed = evolve(
            state, leader=leader, leader_epoch=state.leader_epoch + 1, partition_epoch=state.partition_epoch + 1
        )
        self._change(changed)

    @property
    def _state(self) -> PartitionState:
        (state,) = self.metadata.image.topics[OFFSETS_TOPIC].partitions
        return state

    def _join(self, node: int) -> None:
        """Add a node if need be, and let it have caught up with that partition."""
        if node not in self.metadata.image.brokers:
            command = RegisterBroker(node_id=node, incarnation_id=bytes(16), host="h", port=node, rack=None)
            self.metadata.propose(command)
        epoch = self.metadata.image.brokers[node].epoch
        state = self._state
        changed = evolve(
            state, replicas=(*state.replicas, node), isr=(*state.isr, node), partition_epoch=state.partition_epoch + 1
        )
        self._change(changed, BrokerEpoch(node_id=node, epoch=epoch))

    def _change(self, changed: PartitionState, *joining: BrokerEpoch) -> None:
        change = change_to(changed)
        change.joining = joining
        topic_id = self.metadata.image.topics[OFFSETS_TOPIC].topic_id
        self.metadata.propose(ChangePartitions(topic_id=topic_id, partitions=[change]))

    def _coordinator(self) -> GroupCoordinator:
        return GroupCoordinator(
            self.world.host, self.config, self.metadata, self.controller, self.replicas, self.deadlines
        )
