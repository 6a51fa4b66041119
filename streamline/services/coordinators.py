"""
Coordinates the consumer groups whose partition of C{__consumer_offsets} this node leads.

It follows the image: a partition that this node comes to lead is loaded, one
that it leads no longer is given up.  The topic is made when a group is first
looked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import filterfalse
from typing import NoReturn

from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from streamline.cluster.image import MetadataImage
from streamline.config import NodeConfig
from streamline.errors import ErrorCode, Refused
from streamline.groups.partitioning import partition_for
from streamline.interfaces import Host
from streamline.model import OFFSETS_TOPIC, PartitionState, Topic, TopicPartition
from streamline.services.controller import Controller
from streamline.services.deadlines import Deadlines
from streamline.services.housekeeping import Chore
from streamline.services.metadata import Metadata
from streamline.services.replicas import Replicas
from streamline.services.shards import LedShard
from streamline.services.sharing import Shared

log = Logger()


class GroupCoordinator(Service):
    """All groups of this node."""

    def __init__(
        self,
        host: Host,
        config: NodeConfig,
        metadata: Metadata,
        controller: Controller,
        replicas: Replicas,
        deadlines: Deadlines,
    ) -> None:
        self._host = host
        self._config = config
        self._metadata = metadata
        self._controller = controller
        self._replicas = replicas
        self._deadlines = deadlines
        self._shards: dict[int, LedShard] = {}
        self._topic_id = b""
        self._made: Shared[Topic] = Shared()
        interval_ms = config.broker.offsets_retention_check_interval_ms
        self._expiry = Chore(host, interval_ms, self._expire, "expiry of offsets")

    # Life

    def startService(self) -> None:
        """Load what this node leads, and follow the image from now on."""
        Service.startService(self)
        self._metadata.listen(self._image_changed)
        self._metadata.listen_early(self._roles_pushed)
        self._follow(self._metadata.image)
        self._expiry.start()

    def stopService(self) -> None:
        """Give everything up."""
        Service.stopService(self)
        self._expiry.stop()
        self._give_up(list(self._shards))

    def _image_changed(self, old: MetadataImage, new: MetadataImage) -> None:
        if not self.running or old.topics is new.topics:
            return
        self._follow(new)
        gone = [old.names[topic_id] for topic_id in filterfalse(new.names.__contains__, old.names)]
        if gone:
            for shard in self._ready():
                shard.topics_deleted(gone)

    def _roles_pushed(self, partitions: Sequence[TopicPartition]) -> None:
        """What is led early is coordinated early, and the other way round: both follow the same states."""
        if self.running and any(one.topic == OFFSETS_TOPIC for one in partitions):
            self._follow(self._metadata.image)

    def _follow(self, image: MetadataImage) -> None:
        """Load what this node has come to lead, give up what it has ceased to lead."""
        topic = image.topics.get(OFFSETS_TOPIC)
        states = () if topic is None else (self._metadata.expected(topic, one.index) for one in topic.partitions)
        led = {state.index: state for state in states if self._leads(state)}
        topic_id = b"" if topic is None else topic.topic_id
        self._give_up(
            index
            for index, shard in list(self._shards.items())
            if topic_id != self._topic_id or index not in led or led[index].leader_epoch != shard.leader_epoch
        )
        self._topic_id = topic_id
        fresh = [self._begin(state) for index, state in led.items() if index not in self._shards]
        if topic is not None and fresh:
            self._replicas.when_open(topic).addCallback(lambda _: self._load(fresh))

    def _leads(self, state: PartitionState) -> bool:
        return state.leader == self._config.node_id

    def _begin(self, state: PartitionState) -> LedShard:
        shard = self._shards[state.index] = LedShard(
            state.index, state.leader_epoch, self._host, self._config.broker, self._replicas, self._deadlines
        )
        return shard

    def _load(self, shards: list[LedShard]) -> None:
        for shard in shards:
            Deferred.fromCoroutine(shard.load()).addErrback(self._not_loaded, shard)

    def _not_loaded(self, failure: Failure, shard: LedShard) -> None:
        log.failure("{topic}-{index} cannot be loaded", failure, topic=OFFSETS_TOPIC, index=shard.index)
        shard.close()

    def _give_up(self, indexes: Iterable[int]) -> None:
        for index in indexes:
            self._shards.pop(index).close()

    # Finding

    def locate(self, group_id: str) -> Deferred[int]:
        """
        Fire with the node that coordinates a group, making C{__consumer_offsets} if need be.

        @raise Refused: COORDINATOR_NOT_AVAILABLE, through the Deferred.
        """
        return self._ensure_topic().addErrback(_not_available).addCallback(self._leader_for, group_id)

    def shard(self, group_id: str) -> LedShard:
        """
        Return the shard of a group, ready to be asked.

        @raise Refused: NOT_COORDINATOR or COORDINATOR_LOAD_IN_PROGRESS.
        """
        topic = self._metadata.image.topics.get(OFFSETS_TOPIC)
        shard = None if topic is None else self._shards.get(partition_for(group_id, len(topic.partitions)))
        if shard is None:
            raise Refused(ErrorCode.NOT_COORDINATOR)
        shard.check()
        return shard

    def shards(self) -> list[LedShard]:
        """
        Return every shard of this node that can be asked.

        @raise Refused: COORDINATOR_LOAD_IN_PROGRESS.
        """
        if any(shard.is_loading for shard in self._shards.values()):
            raise Refused(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)
        return self._ready()

    def new_member_suffix(self) -> str:
        """Draw what makes a new member's id unique."""
        return self._host.rng.randbytes(16).hex()

    def _ensure_topic(self) -> Deferred[Topic]:
        known = self._metadata.image.topics.get(OFFSETS_TOPIC)
        if known is not None and not self._made.is_awaited:
            return succeed(known)
        is_first = not self._made.is_awaited
        waiting = self._made.wait()
        if is_first:
            self._made.follow(self._make_topic())
        return waiting

    def _make_topic(self) -> Deferred[Topic]:
        """Make the topic, and wait until its partitions can be used: who is sent here then is not sent away."""
        broker = self._config.broker
        nodes = sum(not node.fenced for node in self._metadata.image.brokers.values())
        made = self._controller.ensure_topic(
            OFFSETS_TOPIC,
            broker.offsets_topic_num_partitions,
            max(1, min(broker.offsets_topic_replication_factor, nodes)),
            {
                "cleanup.policy": "compact",
                "compression.type": "producer",
                "segment.bytes": str(broker.offsets_topic_segment_bytes),
            },
        )
        return made.addCallback(lambda topic: self._replicas.when_open(topic).addCallback(lambda _: topic))

    def _leader_for(self, topic: Topic, group_id: str) -> int:
        shown = self._metadata.shown
        known = shown.topics.get(OFFSETS_TOPIC, topic)
        state = known.partitions[partition_for(group_id, len(known.partitions))]
        broker = shown.brokers.get(state.leader)
        if broker is None or broker.fenced:
            raise Refused(ErrorCode.COORDINATOR_NOT_AVAILABLE, "the coordinator's partition has no leader")
        return state.leader

    # From time to time

    def _expire(self) -> Deferred[None]:
        for shard in self._ready():
            shard.expire()
        return succeed(None)

    def _ready(self) -> list[LedShard]:
        return [shard for shard in self._shards.values() if shard.is_ready]


def _not_available(failure: Failure) -> NoReturn:
    failure.trap(Refused)
    raise Refused(ErrorCode.COORDINATOR_NOT_AVAILABLE, f"{OFFSETS_TOPIC} cannot be made: {failure.getErrorMessage()}")
