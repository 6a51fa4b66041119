"""
The partitions of this node: opened, found, appended to, and flushed together.

It follows the image: a partition that the metadata gives to this node is opened,
one that it takes away is closed, one whose topic is deleted is discarded.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredSemaphore, gatherResults, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from streamline.cluster.image import MetadataImage
from streamline.config import NodeConfig, TopicConfig, topic_config
from streamline.errors import ErrorCode, Refused
from streamline.interfaces import Host, IAcksPolicy, IReplicator, IStorage
from streamline.model import Buffer, LogIdentity, PartitionState, Topic, TopicPartition
from streamline.services.metadata import Metadata
from streamline.services.opening import open_partition
from streamline.services.partition import Partition, Receipt, refused
from streamline.services.sharing import Shared
from streamline.wire.batch import check, produced_header
from streamline.wire.quick import Looked
from streamline.wire.recompress import CODECS, recompress
from streamline.wire.recordcheck import checking

log = Logger()

OPENED_AT_ONCE = 16
_GONE = Refused(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, "the topic was deleted")
_KEYLESS = Refused(ErrorCode.INVALID_RECORD, "every record of a compacted topic needs a key")
_STOPPING = Refused(ErrorCode.NOT_LEADER_OR_FOLLOWER, "the node is stopping")


class Replicas(Service):
    """
    Every partition that this node has a copy of.

    @ivar full: why nothing may be written at the moment, or None.
    """

    def __init__(
        self,
        host: Host,
        config: NodeConfig,
        metadata: Metadata,
        storage: IStorage,
        replicator: IReplicator,
        acks: IAcksPolicy,
    ) -> None:
        self._host = host
        self._config = config
        self._metadata = metadata
        self._storage = storage
        self._replicator = replicator
        self._acks = acks
        self._partitions: dict[tuple[str, int], Partition] = {}
        self._dirty: dict[Partition, None] = {}
        self._opening: dict[TopicPartition, Shared[None]] = {}
        self._slots = DeferredSemaphore(OPENED_AT_ONCE)
        self.full: Refused | None = None

    # Life

    def startService(self) -> Deferred[None]:
        """Open everything that the image gives to this node, and follow it from now on."""
        Service.startService(self)
        self._metadata.listen(self._image_changed)
        self._note_strays()
        opening = [self._open_topic(topic) for topic in self._metadata.image.topics.values()]
        return gatherResults(opening, consumeErrors=True).addCallback(lambda _: None)

    def stopService(self) -> Deferred[None]:
        """Close every partition: flush, sync, write down what a restart wants to know."""
        Service.stopService(self)
        self.flush()
        closing = [partition.close(_STOPPING) for partition in self._partitions.values()]
        self._partitions.clear()
        return gatherResults(closing, consumeErrors=True).addCallback(lambda _: None)

    def _image_changed(self, old: MetadataImage, new: MetadataImage) -> None:
        if not self.running or old.topics is new.topics:
            return
        for name, topic in old.topics.items():
            known = new.topics.get(name)
            if known is None or known.topic_id != topic.topic_id:
                self._discard_topic(topic)
        for name, topic in new.topics.items():
            before = old.topics.get(name)
            if before is None or before.topic_id != topic.topic_id:
                self._open_topic(topic)

    def _note_strays(self) -> None:
        image = self._metadata.image
        for identity in self._storage.identities():
            if image.names.get(identity.topic_id) != identity.topic:
                log.warn(
                    "{partition} belongs to no topic that the cluster knows; it is left alone", partition=str(identity)
                )

    # Opening and closing

    def when_open(self, topic: Topic) -> Deferred[None]:
        """Fire once every partition of a topic that this node has is open, or has failed to open."""
        waiting = [
            self._opening[key].wait()
            for state in topic.partitions
            if (key := TopicPartition(topic.name, state.index)) in self._opening
        ]
        return gatherResults(waiting, consumeErrors=True).addCallback(lambda _: None)

    def config_of(self, topic: str) -> TopicConfig:
        """Return a topic's settings, its overrides laid over the broker's."""
        return topic_config(self._config.broker, self._metadata.image.configs.get(topic, {}))

    def _open_topic(self, topic: Topic) -> Deferred[None]:
        config = self.config_of(topic.name)
        mine = [state for state in topic.partitions if self._config.node_id in state.replicas]
        for state in mine:
            key = TopicPartition(topic.name, state.index)
            self._opening[key] = Shared()
            opened = self._slots.run(self._open, LogIdentity(topic.name, state.index, topic.topic_id), state, config)
            opened.addErrback(self._not_opened, key).addCallback(self._opened, key)
        return self.when_open(topic)

    def _open(self, identity: LogIdentity, state: PartitionState, config: TopicConfig) -> Deferred[None]:
        return Deferred.fromCoroutine(self._open_and_lead(identity, state, config))

    async def _open_and_lead(self, identity: LogIdentity, state: PartitionState, config: TopicConfig) -> None:
        partition_log = await self._storage.open(identity, config)
        partition = await open_partition(partition_log, state, config, self._acks, self._host.clock)
        topic = self._metadata.image.topics.get(identity.topic)
        if not self.running:
            await partition.close(_STOPPING)
        elif topic is None or topic.topic_id != identity.topic_id:
            partition.abandon(_GONE)
            await self._storage.discard(identity)
        else:
            partition.lead(self._replicator)
            self._partitions[identity.topic_partition] = partition

    def _not_opened(self, failure: Failure, key: TopicPartition) -> None:
        log.error("{partition} cannot be opened: {reason}", partition=str(key), reason=failure.getErrorMessage())

    def _opened(self, _: object, key: TopicPartition) -> None:
        self._opening.pop(key).tell(None)

    def _discard_topic(self, topic: Topic) -> None:
        for state in topic.partitions:
            partition = self._partitions.pop(TopicPartition(topic.name, state.index), None)
            if partition is not None:
                self._dirty.pop(partition, None)
                self._replicator.forget(partition.log.identity)
                partition.abandon(_GONE)
                self._storage.discard(partition.log.identity).addErrback(self._not_discarded, partition)

    def _not_discarded(self, failure: Failure, partition: Partition) -> None:
        log.error(
            "{partition} cannot be deleted: {reason}",
            partition=str(partition.log.identity),
            reason=failure.getErrorMessage(),
        )

    # Finding

    def __iter__(self) -> Iterator[Partition]:
        return iter(list(self._partitions.values()))

    def leading(self, topic: str, index: int) -> Partition:
        """
        Return a partition that this node leads.

        @raise Refused: UNKNOWN_TOPIC_OR_PARTITION, NOT_LEADER_OR_FOLLOWER or KAFKA_STORAGE_ERROR.
        """
        partition = self._partitions.get((topic, index))  # a plain pair is found as well, and costs less to make
        if partition is not None:
            return partition
        state = self._metadata.image.partition(topic, index)
        if state is None:
            raise Refused(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
        if state.leader != self._config.node_id or TopicPartition(topic, index) in self._opening or not self.running:
            raise Refused(ErrorCode.NOT_LEADER_OR_FOLLOWER)
        raise Refused(ErrorCode.KAFKA_STORAGE_ERROR, f"{topic}-{index} could not be opened; the node's log says why")

    # Appending

    def append(
        self, topic: str, index: int, records: Buffer | None, acks: int, produce_version: int | None = None
    ) -> Generator[None, None, Receipt]:
        """
        Check one batch and collect it; L{flush} must follow before the receipt says anything.

        A generator, because looking at the records of a large batch is more than one turn's work: it pauses
        where others should have the reactor, and returns the receipt.

        @param produce_version: that of the client's request; None where a coordinator appends.
        """
        try:
            partition = self.leading(topic, index)
            if self.full is not None:
                raise self.full
            looked = partition.look(records, self._host.clock.wall_ms())
            if looked is None:
                records, looked = yield from self._look_closely(partition, records, produce_version)
            elif looked.has_null_key and partition.config.compacts:
                raise _KEYLESS
            assert records is not None
            receipt = partition.append(records, looked.header, looked.max_timestamp, acks)
        except Refused as refusal:
            return refused(refusal)
        self._dirty[partition] = None
        return receipt

    def append_now(self, topic: str, index: int, records: Buffer, acks: int) -> Receipt:
        """Append a batch of our own making, which is small, and write it."""
        work = self.append(topic, index, records, acks)
        while True:
            try:
                next(work)
            except StopIteration as done:
                self.flush()
                return done.value  # type: ignore[no-any-return]

    def _look_closely(
        self, partition: Partition, records: Buffer | None, produce_version: int | None
    ) -> Generator[None, None, tuple[Buffer, Looked]]:
        """Check a batch that is not plain; return it as it is to be stored."""
        header = produced_header(records)
        assert records is not None
        config = partition.config
        check(
            records,
            0,
            header,
            max_bytes=config.max_message_bytes,
            produce_version=produce_version,
            now_ms=None if config.message_timestamp_type == "LogAppendTime" else self._host.clock.wall_ms(),
            timestamp_before_max_ms=config.message_timestamp_before_max_ms,
            timestamp_after_max_ms=config.message_timestamp_after_max_ms,
        )
        checked = yield from checking(records, header)
        if checked.has_null_key and config.compacts:
            raise _KEYLESS
        codec = CODECS.get(config.compression_type, header.compression)
        if codec != header.compression:
            records, header = recompress(records, codec)
        return records, Looked(header, checked.max_timestamp, checked.has_null_key)

    def flush(self) -> None:
        """Write what was collected in every partition, each in one write."""
        while self._dirty:
            dirty, self._dirty = self._dirty, {}
            for partition in dirty:
                partition.flush()

    def checkpoint(self) -> Deferred[Any]:
        """Have the storage note how far everything is durable."""
        return self._storage.checkpoint() if self.running else succeed(None)
