"""
What has to be done from time to time: checkpoints, retention, forgetting, and looking at the free space.

Partitions are visited one in a turn of the reactor, so that a thousand of them
hold up nobody.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.application.service import Service
from twisted.internet.defer import Deferred, gatherResults, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from streamline.config import NodeConfig
from streamline.errors import ErrorCode, Refused, StorageFailed
from streamline.interfaces import Host, fires
from streamline.services.beats import until_beat
from streamline.services.partition import Partition
from streamline.services.replicas import Replicas
from streamline.services.sharing import Shared
from streamline.services.turns import next_turn

log = Logger()

LOOK_EVERY_MS = 1000
SOON_S = 0.05
"""After what a chore is done again where a whim says so."""
RESERVE_SHARE = 0.05
"""The reserve is never more than this share of the file system."""


class Chore:
    """Something to do again and again; the next time is set when the last one has ended."""

    def __init__(self, host: Host, every_ms: int, work: Callable[[], Deferred[None]], name: str) -> None:
        self._clock = host.clock
        self._comes_early = host.whim("chore-soon-again")
        self._comes_late = host.whim("chore-late")
        self._every_s = every_ms / 1000
        self._work = work
        self._name = name
        self._timer: IDelayedCall | None = None
        self._ended: Shared[None] | None = None
        self._running = False

    def start(self) -> None:
        """Do it first after about one interval."""
        self._running = True
        self._timer = self._clock.callLater(until_beat(self._clock, self._every_s), self._due)

    def stop(self) -> Deferred[None]:
        """Do it no more; fires once it is not being done."""
        self._running = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        return succeed(None) if self._ended is None else self._ended.wait()

    def _due(self) -> None:
        self._timer = None
        self._ended = Shared()
        self._work().addErrback(self._failed).addCallback(self._again)

    def _rest_s(self) -> float:
        if fires(self._comes_early):
            return min(SOON_S, self._every_s)
        late_s = self._every_s / 2 if fires(self._comes_late) else 0.0
        return until_beat(self._clock, self._every_s) + late_s

    def _failed(self, failure: Failure) -> None:
        log.error("{chore} failed: {why}", chore=self._name, why=failure.getErrorMessage())

    def _again(self, _: object) -> None:
        ended, self._ended = self._ended, None
        if self._running:
            self._timer = self._clock.callLater(self._rest_s(), self._due)
        if ended is not None:
            ended.tell(None)


class Housekeeping(Service):
    """Keeps the partitions of a node tidy."""

    def __init__(self, host: Host, config: NodeConfig, replicas: Replicas) -> None:
        self._host = host
        self._config = config
        self._replicas = replicas
        broker = config.broker
        self._chores = [
            Chore(host, broker.log_flush_offset_checkpoint_interval_ms, self._checkpoint, "the checkpoint"),
            Chore(host, broker.log_retention_check_interval_ms, self._retain, "retention"),
            Chore(host, LOOK_EVERY_MS, self._look, "looking after the disk"),
        ]

    def startService(self) -> None:
        """Begin all chores."""
        Service.startService(self)
        self._watch_space()
        for chore in self._chores:
            chore.start()

    def stopService(self) -> Deferred[None]:
        """End them; fires once none is being done."""
        Service.stopService(self)
        return gatherResults([chore.stop() for chore in self._chores]).addCallback(lambda _: None)

    def _checkpoint(self) -> Deferred[None]:
        visited = self._visit(Partition.checkpoint)
        return visited.addCallback(lambda _: self._replicas.checkpoint()).addCallback(lambda _: None)

    def _retain(self) -> Deferred[None]:
        now_ms = self._host.clock.wall_ms()
        expired_ms = now_ms - self._config.broker.producer_id_expiration_ms

        def retain(partition: Partition) -> None:
            freed = partition.log.retain(now_ms)
            if partition.epochs.truncate_start(partition.log.start_offset):
                partition.books.epochs_changed = True
            partition.producers.expire(expired_ms)
            if freed:
                partition.start_moved()
                log.info(
                    "{partition}: retention freed {freed} bytes", partition=str(partition.log.identity), freed=freed
                )

        return self._visit(retain)

    def _look(self) -> Deferred[None]:
        self._watch_space()
        return succeed(None)

    def _watch_space(self) -> None:
        """Refuse records while there is less space than the reserve (DK11), and open no copies that were starved."""
        try:
            free, total = self._host.disk.space(self._config.data_dir)
        except OSError:
            return
        reserve = min(self._config.broker.log_space_reserve_bytes, int(total * RESERVE_SHARE))
        if free >= reserve:
            if self._replicas.full is not None:
                log.info("there is space again: records are accepted")
            self._replicas.full = None
            self._replicas.open_again()
        elif self._replicas.full is None:
            message = f"only {free} bytes are free where {reserve} are kept in reserve; records are refused"
            log.error("{message}", message=message)
            self._replicas.full = Refused(ErrorCode.KAFKA_STORAGE_ERROR, message)

    def _visit(self, work: Callable[[Partition], object]) -> Deferred[None]:
        return Deferred.fromCoroutine(self._visit_all(work))

    async def _visit_all(self, work: Callable[[Partition], object]) -> None:
        for partition in self._replicas:
            if not self.running:
                return
            if partition.offline is None:
                _do(work, partition)
            await next_turn(self._host.clock)


def _do(work: Callable[[Partition], object], partition: Partition) -> None:
    try:
        work(partition)
    except StorageFailed as error:  # of this one; the others still have their turn
        log.error("{partition}: {why}", partition=str(partition.log.identity), why=str(error))
