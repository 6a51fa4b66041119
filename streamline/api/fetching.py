"""
One fetch while it reads and waits.

It reads every partition once.  Where that gives too little it waits, adding up
what the partitions say has become readable, and reads again only when that is
enough, or when its time is up.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import define
from twisted.internet.defer import Deferred, gatherResults
from twisted.python.failure import Failure

from streamline.api.call import Call
from streamline.errors import ErrorCode, Refused
from streamline.model import ZERO_UUID, LogSlice
from streamline.replication.sessions import Wanted
from streamline.services.deadlines import Deadline
from streamline.services.partition import Partition

_NOTHING = LogSlice()


@define(slots=True)
class Read:
    """What reading one partition gave."""

    wanted: Wanted
    error: ErrorCode = ErrorCode.NONE
    high_watermark: int = -1
    start_offset: int = -1
    slice: LogSlice = _NOTHING
    diverging: tuple[int, int] | None = None


class Reading:
    """A fetch on its way to an answer."""

    def __init__(
        self, call: Call, wanted: Sequence[Wanted], min_bytes: int, max_bytes: int, max_wait_s: float
    ) -> None:
        self._call = call
        self._wanted = wanted
        self._min_bytes = min_bytes
        self._max_bytes = min(max_bytes, call.broker.config.broker.fetch_max_bytes)
        self._max_wait_s = max_wait_s
        self._missing_bytes = 0
        self._partitions: list[Partition] = []
        self._deadline: Deadline | None = None
        self._done: Deferred[list[Read]] | None = None
        self._must_answer = False

    def begin(self) -> list[Read] | Deferred[list[Read]]:
        """Return what can be read, if it is enough; else a Deferred of it, which may be cancelled."""
        reads = self._read()
        if isinstance(reads, Deferred):
            return reads
        if self._is_enough(reads):
            return reads
        self._done = Deferred(self._cancelled)
        self._deadline = self._call.broker.deadlines.after(self._max_wait_s, self._time_is_up)
        for partition in self._partitions:
            partition.add_reader(self._more)
        return self._done

    def _is_enough(self, reads: list[Read]) -> bool:
        """Say whether to answer now; errors and divergence are never kept waiting."""
        if self._must_answer or self._max_wait_s <= 0 or not reads:
            return True
        size_bytes = 0
        for read in reads:
            if read.error != ErrorCode.NONE or read.diverging is not None:
                return True
            size_bytes += read.slice.size_bytes
        self._missing_bytes = self._min_bytes - size_bytes
        return self._missing_bytes <= 0

    def _more(self, size_bytes: int) -> None:
        """Hear that a partition has more; C{size_bytes} of 0 means that something else is the matter with it."""
        self._missing_bytes -= size_bytes
        if self._missing_bytes <= 0 or size_bytes == 0:
            self._read_again()

    def _time_is_up(self) -> None:
        self._must_answer = True
        self._read_again()

    def _read_again(self) -> None:
        if self._done is None:
            return
        reads = self._read()
        if isinstance(reads, Deferred):
            done = self._stop()
            if done is not None:
                reads.addBoth(done.callback)
        elif self._is_enough(reads):
            done = self._stop()
            if done is not None:
                done.callback(reads)

    def _cancelled(self, _: Deferred[list[Read]]) -> None:
        self._stop()

    def _stop(self) -> Deferred[list[Read]] | None:
        done, self._done = self._done, None
        if self._deadline is not None:
            self._deadline.cancel()
        for partition in self._partitions:
            partition.drop_reader(self._more)
        return done

    # Reading

    def _read(self) -> list[Read] | Deferred[list[Read]]:
        left = min(self._max_bytes, self._call.caller.room_bytes())
        reads: list[Read] = []
        cold: list[Deferred[None]] = []
        partitions: list[Partition] = []
        is_first = True
        for wanted in self._wanted:
            read = Read(wanted)
            reads.append(read)
            try:
                partition = self._partition(wanted)
                partitions.append(partition)
                found = self._read_one(partition, read, min(left, wanted.max_bytes), is_first)
            except Refused as refusal:
                read.error = refusal.code
                continue
            if isinstance(found, Deferred):
                cold.append(found.addCallbacks(_take, _fail, callbackArgs=(read,), errbackArgs=(read,)))
                left -= min(left, wanted.max_bytes)
                is_first = False
            elif found.size_bytes:
                read.slice = found
                left -= found.size_bytes
                is_first = False
            left = max(left, 0)
        self._partitions = self._partitions or partitions
        if cold:
            return gatherResults(cold, consumeErrors=True).addCallback(lambda _: reads)
        return reads

    def _partition(self, wanted: Wanted) -> Partition:
        topic_id, name, index = wanted.key
        if topic_id != ZERO_UUID:
            known = self._call.broker.metadata.image.names.get(topic_id)
            if known is None:
                raise Refused(ErrorCode.UNKNOWN_TOPIC_ID)
            name = known
        partition = self._call.broker.replicas.leading(name, index)
        if topic_id != ZERO_UUID and partition.log.identity.topic_id != topic_id:
            raise Refused(ErrorCode.INCONSISTENT_TOPIC_ID)
        return partition

    def _read_one(
        self, partition: Partition, read: Read, max_bytes: int, at_least_one: bool
    ) -> LogSlice | Deferred[LogSlice]:
        wanted = read.wanted
        partition.check_epoch(wanted.current_leader_epoch)
        read.high_watermark = partition.high_watermark
        read.start_offset = partition.log.start_offset
        read.diverging = partition.divergence(wanted.fetch_offset, wanted.last_fetched_epoch)
        if read.diverging is not None:
            return _NOTHING
        return partition.read(wanted.fetch_offset, max_bytes, at_least_one)


def _take(found: LogSlice, read: Read) -> None:
    read.slice = found


def _fail(failure: Failure, read: Read) -> None:
    failure.trap(Refused)
    assert isinstance(failure.value, Refused)
    read.error = failure.value.code
