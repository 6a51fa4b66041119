"""
The partitions of this node: opened, found, appended to, and flushed together.

It follows the image: a partition that the metadata gives to this node is opened,
one that it takes away is closed, one whose topic is deleted is discarded.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, NoReturn

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredSemaphore, gatherResults, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from streamline.cluster.delta import Delta, difference
from streamline.cluster.image import MetadataImage
from streamline.cluster.rules import rules_of
from streamline.config import NodeConfig, TopicConfig
from streamline.errors import ErrorCode, Refused, StartRefused, StorageStarved
from streamline.interfaces import Host, IAcksPolicy, IReplicator, IStorage
from streamline.model import INTERNAL_TOPICS, Buffer, LogIdentity, PartitionState, Topic, TopicPartition
from streamline.replication.roles import Role, role_of
from streamline.services.close_look import look_closely
from streamline.services.metadata import Metadata
from streamline.services.neighbours import own_epoch
from streamline.services.one_by_one import OneByOne
from streamline.services.opening import identity_of, name_strays, not_opened, open_partition
from streamline.services.partition import Partition
from streamline.services.purgatory import Gathering
from streamline.services.receipts import Receipt, refused
from streamline.services.replica import Replica
from streamline.services.sharing import Shared
from streamline.services.topic_configs import TopicConfigs
from streamline.services.turns import in_turns

log = Logger()

OPENED_AT_ONCE = 256
"""As many are prepared together by the storage as it likes to; what it prepared is then looked into one by one."""
_GONE = Refused(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, "the topic was deleted")
_STOPPING = Refused(ErrorCode.NOT_LEADER_OR_FOLLOWER, "the node is stopping")
_BROKEN = Refused(ErrorCode.KAFKA_STORAGE_ERROR, "the partition failed in a way that should not happen")


class Replicas(Service):
    """
    Every partition that this node has a copy of.

    @ivar full: why no client may produce at the moment, or None.
    @ivar gathering: entered while many that wait for a partition are told.
    """

    def __init__(
        self,
        host: Host,
        config: NodeConfig,
        metadata: Metadata,
        storage: IStorage,
        replicator: IReplicator,
        acks: IAcksPolicy,
        incarnation_id: bytes,
    ) -> None:
        """@param incarnation_id: of this process: metadata that do not know it are about an earlier one."""
        self._host = host
        self._config = config
        self._incarnation_id = incarnation_id
        self._metadata = metadata
        self._storage = storage
        self._replicator = replicator
        self._acks = acks
        self._configs = TopicConfigs(config.node_id, config.broker)
        self._wall_ms = host.clock.wall_ms
        self._partitions: dict[tuple[str, int], Replica] = {}
        self._dirty: dict[Partition, None] = {}
        self._opening: dict[LogIdentity, Shared[None]] = {}
        self._on_disk: OneByOne[TopicPartition] = OneByOne()
        """A topic may be made again before the old one of that name has gone."""
        self._slots = DeferredSemaphore(OPENED_AT_ONCE)
        self._starved: dict[LogIdentity, None] = {}  # of space or descriptors; see open_again
        self._refusal: StartRefused | None = None
        self.full: Refused | None = None
        self.gathering = Gathering()

    # Life

    def startService(self) -> Deferred[None]:
        """
        Open everything that the image gives to this node, and follow it from now on.

        @raise StartRefused: through the Deferred; everything is closed again then.
        """
        Service.startService(self)
        self._metadata.listen(self._image_changed)
        self._metadata.listen_early(self._roles_pushed)
        return Deferred.fromCoroutine(self._open_all())

    async def _open_all(self) -> None:
        name_strays(self._storage.identities(), self._metadata.image)
        await in_turns(self._host.clock, self._open_topics(self._metadata.image.topics.values()))
        await self._on_disk.all_done()
        if self._refusal is not None:
            await self.stopService()
            raise self._refusal

    def stopService(self) -> Deferred[None]:
        """Close every partition: flush, sync, write down what a restart wants to know."""
        Service.stopService(self)
        self.flush()
        return Deferred.fromCoroutine(self._close_all())

    async def _close_all(self) -> None:
        await self._on_disk.all_done()
        closing: list[Deferred[None]] = []
        ends = (partition.close(_STOPPING.again()).addErrback(self._not_closed, partition) for partition in self)
        await in_turns(self._host.clock, map(closing.append, ends))
        self._partitions.clear()
        for closed in closing:
            await closed

    def _not_closed(self, failure: Failure, partition: Partition) -> None:
        """One that cannot be closed as it should does not keep the others from it; the storage knows of it."""
        log.error("{log} cannot be closed: {why}", log=str(partition.log.identity), why=failure.getErrorMessage())

    def _image_changed(self, old: MetadataImage, new: MetadataImage) -> None:
        if not self.running:
            return
        delta = difference(old, new)
        for topic in delta.deleted:
            self._discard_topic(topic)
        for part in delta.partitions:
            if self._is_here(part.new) and (part.old is None or not self._is_here(part.old)):
                self._open(part.topic, part.new)
        for replica in self._concerned(delta):
            self._configure(replica)
            self._become(replica)

    def _concerned(self, delta: Delta) -> list[Replica]:
        """
        Return the copies that have something to do with a change.

        All of them have where it is one of this node itself; where it is one of others, their leaders.
        """
        if self._config.node_id in delta.brokers or delta.broker_configs:
            return list(self._partitions.values())
        led = [key for key, one in self._partitions.items() if one.role is Role.LEADER] if delta.brokers else ()
        keys = dict.fromkeys((*led, *delta.concerned))
        return [replica for key in keys if (replica := self._partitions.get(key)) is not None]

    def _configure(self, replica: Replica) -> None:
        """Have a copy follow its topic's settings, where they have changed."""
        config = self.config_of(replica.log.identity.topic)
        if config is not replica.config and config != replica.config:
            replica.configure(config)

    def _is_here(self, state: PartitionState) -> bool:
        return self._config.node_id in state.replicas

    def _roles_pushed(self, partitions: Iterable[TopicPartition]) -> None:
        """Take roles of which the log has not told yet; what opens and discards a copy is the log alone."""
        for key in partitions if self.running else ():
            if (replica := self._partitions.get(key)) is not None:
                self._become(replica)

    def _become(self, replica: Replica) -> None:
        """Have a copy be what the metadata want of it."""
        image, identity = self._metadata.image, replica.log.identity
        state = image.partition(identity.topic, identity.partition)
        if state is None or image.names.get(identity.topic_id) != identity.topic:
            return  # it is being discarded
        node_id = self._config.node_id
        epoch = own_epoch(image.brokers, node_id, self._incarnation_id)
        role = role_of(node_id, epoch, state, image.brokers)
        if role is Role.GONE:
            self._discard(identity)
            return
        expected = self._metadata.expected(image.topics[identity.topic], identity.partition)
        if expected is not state:
            state, role = expected, role_of(node_id, epoch, expected, image.brokers)
        replica.become(role, state, rules_of(image, identity.topic).min_isr, self._replicator)

    # Opening and closing

    def when_open(self, topic: Topic) -> Deferred[None]:
        """Fire once every partition of a topic that this node has is open, or has failed to open."""
        waiting = [
            self._opening[identity].wait()
            for state in topic.partitions
            if (identity := identity_of(topic, state)) in self._opening
        ]
        return gatherResults(waiting, consumeErrors=True).addCallback(lambda _: None)

    def config_of(self, topic: str) -> TopicConfig:
        """Return a topic's settings, its overrides laid over the broker's as they are now."""
        return self._configs.of(self._metadata.image, topic)

    def _open_topics(self, topics: Iterable[Topic]) -> Iterator[None]:
        here = [(topic, state) for topic in topics for state in topic.partitions if self._is_here(state)]
        self._opening.update((identity_of(topic, state), Shared()) for topic, state in here)
        for topic, state in here:
            self._begin(identity_of(topic, state), state)
            yield

    def _open(self, topic: Topic, state: PartitionState) -> None:
        identity = identity_of(topic, state)
        self._opening[identity] = Shared()
        self._begin(identity, state)

    def _begin(self, identity: LogIdentity, state: PartitionState) -> None:
        self._on_disk.do(identity.topic_partition, partial(self._opened, identity, state))

    async def _opened(self, identity: LogIdentity, state: PartitionState) -> None:
        await self._slots.acquire()
        try:
            await self._open_here(identity, state)
        except StartRefused as refusal:
            self._refusal = self._refusal or refusal
            not_opened(identity)
        except Exception as error:
            if identity not in self._starved:
                not_opened(identity)
            if isinstance(error, StorageStarved):
                self._starved[identity] = None
        # Not in a finally clause: one that runs as a dead node is collected would go on telling others.
        self._slots.release()
        self._opening.pop(identity).tell(None)

    async def _open_here(self, identity: LogIdentity, state: PartitionState) -> None:
        if not self.running or self._is_gone(identity):
            return
        config = self.config_of(identity.topic)
        partition_log = await self._storage.open(identity, config)
        partition = await open_partition(partition_log, state, config, self._acks, self._host.clock, self.gathering)
        if not self.running:
            await partition.close(_STOPPING.again())
        elif self._is_gone(identity):
            partition.abandon(_GONE.again())
        else:
            self._partitions[identity.topic_partition] = partition
            self._starved.pop(identity, None)
            self._configure(partition)
            self._become(partition)

    def open_again(self) -> None:
        """Try to open what lacked space or descriptors, be it in the middle of a cut, now that there may be some."""
        for replica in [replica for replica in self._partitions.values() if replica.is_starved]:
            del self._partitions[replica.log.identity.topic_partition]
            self._starved[replica.log.identity] = None
        for identity in list(self._starved):
            state = self._metadata.image.partition(*identity.topic_partition)
            if state is None or self._is_gone(identity) or not self._is_here(state):
                del self._starved[identity]
            elif identity not in self._opening and self.running:
                self._open(self._metadata.image.topics[identity.topic], state)

    def _is_gone(self, identity: LogIdentity) -> bool:
        return self._metadata.image.names.get(identity.topic_id) != identity.topic

    def _discard_topic(self, topic: Topic) -> None:
        for state in topic.partitions:
            self._discard(identity_of(topic, state))

    def _discard(self, identity: LogIdentity) -> None:
        """Drop a copy that nobody wants here any more."""
        partition = self._partitions.pop(identity.topic_partition, None)
        if partition is not None:
            self._dirty.pop(partition, None)
            self._replicator.forget(identity)
            partition.abandon(_GONE.again())
        if partition is not None or identity in self._opening:
            self._on_disk.do(identity.topic_partition, partial(self._discarded, identity))

    async def _discarded(self, identity: LogIdentity) -> None:
        try:
            await self._storage.discard(identity)
        except Exception:
            why = Failure().getErrorMessage()
            log.error("{partition} cannot be deleted: {why}", partition=str(identity), why=why)

    # Finding

    def __iter__(self) -> Iterator[Replica]:
        return iter(list(self._partitions.values()))

    def leading(self, topic: str, index: int) -> Replica:
        """
        Return a partition that this node leads.

        @raise Refused: UNKNOWN_TOPIC_OR_PARTITION, NOT_LEADER_OR_FOLLOWER or KAFKA_STORAGE_ERROR.
        """
        partition = self._partitions.get((topic, index))
        if partition is not None and partition.is_led:
            return partition
        state = self._metadata.image.partition(topic, index)
        if state is None:
            raise Refused(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
        identity = identity_of(self._metadata.image.topics[topic], state)
        is_opened = partition is None and identity not in self._opening
        if state.leader != self._config.node_id or not is_opened or not self.running:
            raise Refused(ErrorCode.NOT_LEADER_OR_FOLLOWER)
        raise Refused(ErrorCode.KAFKA_STORAGE_ERROR, f"{topic}-{index} could not be opened; the node's log says why")

    def serving(self, topic: str, index: int) -> Replica:
        """
        Return a partition that this node leads, or follows.

        @raise Refused: as L{leading} does.
        """
        partition = self._partitions.get((topic, index))
        return partition if partition is not None and partition.is_followed else self.leading(topic, index)

    # Appending

    def append(
        self, topic: str, index: int, records: Buffer | None, acks: int, produce_version: int | None = None,
        leader_epoch: int | None = None,
    ) -> Receipt | Generator[None, None, Receipt]:
        """
        Check one batch and collect it; L{flush} must follow before the receipt says anything.

        A plain batch is done at once.  For any other a generator comes back, because looking at the records of a
        large one is more than one turn's work: it pauses where others should have the reactor, and returns the receipt.
        @param produce_version: that of the client's request; None where a coordinator appends, which may write to
            internal topics, and into the space that is kept in reserve.
        @param leader_epoch: of what another node passed on, which is taken in no other.
        """
        try:
            partition = self._partitions.get((topic, index)) or self.leading(topic, index)
            if produce_version is not None and (self.full is not None or topic in INTERNAL_TOPICS):
                self._refuse_client(topic, partition, records)
            looked = partition.look(records, self._wall_ms())
            if looked is None:
                return self._append_closely(partition, records, acks, produce_version, leader_epoch)
            receipt = partition.append(records, looked, acks, leader_epoch)  # type: ignore[arg-type]
        except Refused as refusal:
            return refused(refusal)
        self._dirty[partition] = None
        return receipt

    def append_plain(self, topic: str, index: int, batches: Sequence[memoryview], acks: int) -> list[Receipt]:
        """
        Collect what a client sent for one partition, up to the first batch that is not plain or cannot be taken.

        That one is for L{append}, which takes a closer look, or says why not.
        """
        partition = self._partitions.get((topic, index))
        if partition is None or self.full is not None or topic in INTERNAL_TOPICS:
            return []
        receipts = partition.append_plain(batches, self._wall_ms(), acks)
        if receipts:
            self._dirty[partition] = None
        return receipts

    def _append_closely(
        self, partition: Partition, records: Buffer | None, acks: int, produce_version: int | None,
        leader_epoch: int | None,
    ) -> Generator[None, None, Receipt]:
        try:
            stored, looked = yield from look_closely(records, partition.config, self._wall_ms(), produce_version)
            receipt = partition.append(stored, looked, acks, leader_epoch)
        except Refused as refusal:
            return refused(refusal)
        self._dirty[partition] = None
        return receipt

    def append_now(self, topic: str, index: int, records: Buffer, acks: int) -> Receipt:
        """Append a batch of our own making, which is small, and write it."""
        work = self.append(topic, index, records, acks)
        while not isinstance(work, Receipt):
            try:
                next(work)
            except StopIteration as done:
                work = done.value
        self.flush()
        return work

    def _refuse_client(self, topic: str, partition: Partition, records: Buffer | None) -> NoReturn:
        if topic in INTERNAL_TOPICS:
            raise Refused(ErrorCode.INVALID_TOPIC_EXCEPTION, f"{topic} belongs to the cluster itself")
        assert self.full is not None
        partition.pass_over(records)
        raise self.full.again()

    def flush(self) -> None:
        """Write what was collected in every partition, each in one write."""
        while self._dirty:
            dirty, self._dirty = self._dirty, {}
            for partition in dirty:
                try:
                    partition.flush()
                except Exception:  # of one partition; the others of this pass have nothing to do with it
                    log.failure("{partition} failed", partition=str(partition.log.identity))
                    partition.abandon(_BROKEN.again())

    def checkpoint(self) -> Deferred[Any]:
        """Have the storage note how far everything is durable."""
        return self._storage.checkpoint() if self.running else succeed(None)
