"""
The C{segments} storage: Kafka's own layout of a data directory.

One directory per partition, three checkpoint files, and a marker that is
written last of all at a clean stop and removed before anything else happens at
the next start.
"""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from functools import partial
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, DeferredLock, fail, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from streamline.config import NodeConfig, TopicConfig
from streamline.errors import StartRefused, StorageFailed, StorageStarved, StreamlineError
from streamline.interfaces import Host, IDisk, IFile, IPartitionLog, IStorage, fires
from streamline.model import NO_OFFSET, LogIdentity, TopicPartition
from streamline.storage.chain import Chain
from streamline.storage.checkpoints import Checkpoints, Offsets
from streamline.storage.commons import Commons, OpenSegments
from streamline.storage.layout import (
    DELETE_DIRECTORY,
    PARTITION_METADATA,
    STRAY_DIRECTORY,
    aside_directory,
    decode_metadata,
    encode_metadata,
    is_deleted_directory,
    partition_directory,
)
from streamline.storage.log import SegmentLog
from streamline.storage.markers import Markers
from streamline.storage.readable import PASSING
from streamline.storage.recovery import Loaded, Plan, load
from streamline.storage.segment import Segment
from streamline.storage.tail import TailBudget
from streamline.storage.together import Done, Together, settle

T = TypeVar("T")

UNKNOWN_EPOCH = -1
ATTEMPTS = 3
"""How often checkpoints are written anew when something fell meanwhile."""


@implementer(IStorage)
class SegmentStorage:
    """
    Partitions in directories of segments.

    Options, as in C{segments:open_segments=1000}: C{open_segments}, how many files are kept open (those with unsynced
    bytes are not counted), and C{tail_bytes}, how much of what was written last is kept in memory for those who read
    along.

    @ivar clean_epoch: the broker epoch in the marker of the last stop; None where that was not clean (KIP-966).
    @ivar intact_epoch: the broker epoch of the last process, where nothing that it wrote can be lost.
    """

    log = Logger()

    def __init__(self, host: Host, config: NodeConfig, *, open_segments: str = "512", tail_bytes: str = "16777216"):
        self._disk = host.disk
        self._directory = config.data_dir
        self._checkpoints = Checkpoints(host.disk, config.data_dir)
        self._markers = Markers(host.disk, config.data_dir)
        tails = TailBudget(0, 0) if fires(host.whim("nothing-kept-in-memory")) else TailBudget(int(tail_bytes))
        opened = OpenSegments(1 if fires(host.whim("one-file-open")) else int(open_segments))
        self._commons = Commons(
            host, self._checkpoints, opened, tails, self.checkpoint, self._markers.spoil,
            Together(host.clock, host.disk),
        )  # fmt: skip
        self._identities: dict[TopicPartition, LogIdentity] = {}
        self._logs: dict[TopicPartition, SegmentLog] = {}
        self._busy: dict[TopicPartition, DeferredLock] = {}
        self._noting = DeferredLock()
        self.clean_epoch: int | None = None
        self.intact_epoch: int | None = None
        self._broker_epoch = UNKNOWN_EPOCH

    @property
    def broker_epoch(self) -> int:
        """What the markers of this process say; for the caller to set."""
        return self._broker_epoch

    @broker_epoch.setter
    def broker_epoch(self, epoch: int) -> None:
        self._broker_epoch = epoch
        self._markers.writing(epoch)

    # Starting

    def start(self) -> Deferred[None]:
        """Take the marker of the last stop away, and see what is there."""
        try:
            self._disk.make_directories(self._directory)
            self.clean_epoch = self._markers.take_clean()
            self.intact_epoch = self._markers.intact() if self.clean_epoch is None else self.clean_epoch
            self._checkpoints.load()
            self._look_around()
        except OSError as error:
            return fail(StartRefused(f"cannot use the data directory {self._directory}: {error}"))
        return succeed(None)

    def _look_around(self) -> None:
        for name in self._disk.list_directory(self._directory):
            partition = partition_directory(name)
            if partition is not None:
                topic_id = self._topic_id(partition)
                if topic_id is not None:
                    self._identities[partition] = LogIdentity(partition.topic, partition.partition, topic_id)
            elif is_deleted_directory(name):
                self._remove_tree(f"{self._directory}/{name}")

    def _path(self, partition: TopicPartition) -> str:
        return f"{self._directory}/{partition}"

    def _topic_id(self, partition: TopicPartition) -> bytes | None:
        """Return whose directory this is; None where it does not say."""
        path = f"{self._path(partition)}/{PARTITION_METADATA}"
        return decode_metadata(self._disk.read_file(path)) if self._disk.exists(path) else None

    def identities(self) -> Sequence[LogIdentity]:
        """Return the partitions whose directories say which topic they belong to."""
        return [self._identities[partition] for partition in sorted(self._identities)]

    # Logs

    def open(self, identity: LogIdentity, config: TopicConfig) -> Deferred[IPartitionLog]:
        """Open a log; after a clean stop at once, else once it is recovered, elsewhere."""
        return Deferred.fromCoroutine(self._one_at_a_time(identity, self._open(identity, config)))

    async def _one_at_a_time(self, identity: LogIdentity, work: Coroutine[Deferred[Any], Any, T]) -> T:
        lock = self._busy.setdefault(identity.topic_partition, DeferredLock())
        await lock.acquire()
        try:
            return await work
        except OSError as error:
            kind = StorageStarved if error.errno in PASSING else StorageFailed
            raise kind(f"{identity}: {error}") from error
        finally:
            lock.release()

    async def _open(self, identity: LogIdentity, config: TopicConfig) -> SegmentLog:
        partition = identity.topic_partition
        before = self._logs.get(partition)
        if before is not None and not before.is_closed:
            if before.identity == identity:
                return before
            await before.close()
        is_known = self._identities.get(partition) == identity
        if not is_known:
            self._set_stray_aside(identity)
        plan = Plan(
            self._disk, self._path(partition), config, self._commons.host.clock.wall_ms(),
            clean=self.clean_epoch is not None and before is None,
            recovery_point=self._checkpoints.recovery_points.get(partition, 0),
            start_offset=self._checkpoints.log_starts.get(partition, 0),
        )  # fmt: skip
        if plan.clean and is_known:
            done = _prepare(plan, identity, is_known)
            settle(self._disk, done)
            loaded = done.result
        else:
            loaded = await self._commons.together.do(partial(_prepare, plan, identity, is_known))
        log = self._log(identity, config, plan, loaded)
        self._identities[partition] = identity
        self._logs[partition] = log
        return log

    def _set_stray_aside(self, identity: LogIdentity) -> None:
        """Rename a directory of another topic of the same name; it stays for people to look at."""
        partition = identity.topic_partition
        topic_id = self._topic_id(partition)
        if topic_id is not None and topic_id != identity.topic_id:
            stray = self._rename_aside(partition, STRAY_DIRECTORY)
            self.log.warn("{log} belonged to another topic; it is kept as {stray}", log=str(identity), stray=stray)

    def _rename_aside(self, partition: TopicPartition, suffix: str) -> str:
        name = aside_directory(partition, self._commons.host.rng.randbytes(16), suffix)
        path = f"{self._directory}/{name}"
        self._disk.rename(self._path(partition), path)
        self._disk.sync_directory(self._directory)
        self._checkpoints.forget(partition)
        self._identities.pop(partition, None)
        return path

    def _log(self, identity: LogIdentity, config: TopicConfig, plan: Plan, loaded: Loaded) -> SegmentLog:
        """Make a log of what was loaded, with checkpoints that do not lead it."""
        partition, checkpoints = identity.topic_partition, self._checkpoints
        if loaded.restarted_at != NO_OFFSET:
            checkpoints.start_at(partition, loaded.restarted_at)
        checkpoints.lower(partition, loaded.end_offset)
        chain = Chain(self._commons, plan.directory, partition, loaded.segments, loaded.end_offset)
        start_offset = max(chain.first_offset, checkpoints.log_starts.get(partition, 0))
        if start_offset > chain.end_offset:
            self.log.warn("{log} ends before its start {start}; it begins anew", log=str(identity), start=start_offset)
            chain.restart(start_offset, config)
        chain.use(chain.active)
        high_watermark = max(checkpoints.high_watermarks.get(partition, 0), start_offset)
        return SegmentLog(
            identity, chain, config, start_offset=start_offset, high_watermark=high_watermark,
            recovery_point=chain.end_offset, names=loaded.names,
        )  # fmt: skip

    def discard(self, identity: LogIdentity) -> Deferred[None]:
        """Rename a log's directory, durably; remove it elsewhere, now or after the next start."""
        return Deferred.fromCoroutine(self._one_at_a_time(identity, self._discard(identity)))

    async def _discard(self, identity: LogIdentity) -> None:
        partition = identity.topic_partition
        log = self._logs.get(partition)
        if log is not None and log.identity == identity:
            log.abandon()
            del self._logs[partition]
        if self._topic_id(partition) == identity.topic_id:
            self._remove_tree(self._rename_aside(partition, DELETE_DIRECTORY))

    def _remove_tree(self, path: str) -> None:
        self._disk.elsewhere(self._disk.remove_tree, path).addErrback(self._not_removed, path)

    def _not_removed(self, failure: Failure, path: str) -> None:
        self.log.warn("Cannot remove {path}: {why}", path=path, why=failure.getErrorMessage())

    # Checkpoints

    def checkpoint(self) -> Deferred[None]:
        """Sync each log in turn, then note how far all have come; a log that fails does not stop the others."""
        return self._noting.run(lambda: Deferred.fromCoroutine(self._checkpoint()))

    async def _checkpoint(self) -> None:
        durable: Offsets = {}
        for partition, log in sorted(self._logs.items()):
            if not log.is_closed:
                try:
                    durable[partition] = log.recovery_point if log.is_durable else await log.checkpoint()
                except StreamlineError as error:
                    self.log.warn("{why}", why=str(error))
        await self._note(durable)

    async def _note(self, durable: Offsets) -> None:
        try:
            for _ in range(ATTEMPTS):
                logs = [(partition, self._logs[partition]) for partition in sorted(durable) if partition in self._logs]
                recovery_points = {key: min(durable[key], log.recovery_point) for key, log in logs}
                high_watermarks = {key: log.high_watermark for key, log in logs}
                if await self._checkpoints.rise(recovery_points, high_watermarks):
                    return
        except OSError as error:
            self.log.warn("Recovery points are not noted: {why}", why=str(error))

    def stop(self) -> Deferred[None]:
        """Close every log, note how far they came, and leave the marker unless something failed."""
        return self._noting.run(lambda: Deferred.fromCoroutine(self._stop()))

    async def _stop(self) -> None:
        durable: Offsets = {}
        logs = self._logs.items()
        durable.update((partition, log.recovery_point) for partition, log in logs if log.is_closed)
        closing = [(partition, log, log.close()) for partition, log in sorted(logs) if not log.is_closed]
        for partition, log, closed in closing:
            try:
                await closed
                durable[partition] = log.recovery_point
            except StreamlineError as error:
                self._markers.spoil()
                self.log.error("{why}", why=str(error))
        self._commons.remove_now()
        await self._note(durable)
        if not self._markers.is_spoilt and self._is_all_recovered():
            self._markers.leave_clean(self.broker_epoch)

    def _is_all_recovered(self) -> bool:
        """Say whether every log that an unclean stop may have damaged was opened since (KAFKA-10471)."""
        return self.clean_epoch is not None or all(partition in self._logs for partition in self._identities)


def _identify(disk: IDisk, path: str, metadata: bytes) -> tuple[IFile, ...]:
    """Have a directory say which topic it belongs to; return the file where it is new, and so not synced."""
    if not disk.exists(path):
        file = disk.open(path, create=True)
        file.write([metadata], 0)
        return (file,)
    if disk.read_file(path) != metadata:
        disk.replace_file(path, metadata)
    return ()


def _prepare(plan: Plan, identity: LogIdentity, is_known: bool) -> Done:
    """
    Make what is missing of a partition's directory, and load it.

    @param is_known: whether there is a directory that says whose it is.
    """
    disk, directory = plan.disk, plan.directory
    new: tuple[IFile, ...] = ()
    if not is_known:
        if not disk.is_directory(directory):
            disk.make_directory(directory)
        new = _identify(disk, f"{directory}/{PARTITION_METADATA}", encode_metadata(identity.topic_id))
    loaded = load(plan)
    if loaded.is_durable and loaded.segments and not new:
        return Done(loaded)
    if not loaded.segments:
        segment = Segment(disk, directory, plan.start_offset, 0, plan.config, plan.now_ms)
        segment.create()
        loaded = loaded._replace(segments=[segment], end_offset=plan.start_offset)
    # Its own name as well: whoever made the directory may have died before that was durable.
    return Done(loaded, (loaded.segments[-1].file,), new, (directory, directory.rpartition("/")[0]))
