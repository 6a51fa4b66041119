"""
One fetch while it reads and waits.

It reads every partition once.  Where that gives too little it waits, adding up
what the partitions say has become readable, and reads again only when that is
enough, or when its time is up.

# Note [Long looks]

Looking at very many partitions takes several turns, and what lies on the device
alone is waited for.  A fetch that looks so long goes on by itself and answers
when it is done.  What its partitions say meanwhile makes it look again.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred, gatherResults
from twisted.python.failure import Failure

from streamline.api.call import Call
from streamline.errors import ErrorCode, Refused
from streamline.interfaces import fires
from streamline.model import NO_LEADER, NO_OFFSET, ZERO_UUID, LogSlice
from streamline.replication.sessions import Wanted
from streamline.services.deadlines import Deadline
from streamline.services.partition import Partition
from streamline.values import define

CROWD_PARTITIONS = 100
"""A fetch of more partitions is not kept waiting while too much waits already."""
PARTITIONS_PER_TURN = 1000
ANSWER_BYTES_MAX = 8 << 20
"""What one fetch brings at most, however much it asks for: reading and sending more would hold up all others."""
ANSWER_BYTES_LEAST = 1 << 20
"""What it may bring while many others wait for their turn; what Kafka's own consumer asks of a partition."""

_NOTHING = LogSlice()


@define(slots=True)
class Read:
    """What reading one partition gave."""

    wanted: Wanted
    error: ErrorCode = ErrorCode.NONE
    high_watermark: int = NO_OFFSET
    start_offset: int = NO_OFFSET
    slice: LogSlice = _NOTHING
    diverging: tuple[int, int] | None = None
    preferred: int = NO_LEADER

    def failed(self, error: ErrorCode) -> None:
        """Note that it gave nothing but an error."""
        self.error = error
        self.high_watermark = self.start_offset = NO_OFFSET


class Reading:
    """A fetch on its way to an answer."""

    def __init__(
        self, call: Call, wanted: Sequence[Wanted], min_bytes: int, max_bytes: int, max_wait_s: float
    ) -> None:
        self._call = call
        self._wanted = wanted
        answer_bytes = max(ANSWER_BYTES_LEAST, int(ANSWER_BYTES_MAX * call.broker.turns.share))
        self._max_bytes = min(max_bytes, call.broker.config.broker.fetch_max_bytes, answer_bytes)
        if (cuts_short := call.broker.cuts_short) is not None and cuts_short():
            self._max_bytes = min(self._max_bytes, 1)
        self._min_bytes = min(min_bytes, self._max_bytes)
        self._max_wait_s = max_wait_s
        self._missing_bytes = 0
        self._left_bytes = 0
        self._needs_one = True
        self._is_choked = False
        self._partitions: list[Partition] = []
        self._cold: list[Deferred[None]] = []
        self._cold_bytes = 0
        self._deadline: Deadline | None = None
        self._done: Deferred[list[Read]] | None = None
        self._must_answer = False
        self._is_looking = False
        self._has_missed = False

    def begin(self) -> list[Read] | Deferred[list[Read]]:
        """Return what can be read, if it is enough; else a Deferred of it, which may be cancelled."""
        reads = self._look()
        if reads is not None and (self._is_enough(reads) or self._is_unwelcome()):
            return reads
        done = self._done = Deferred(self._cancelled)
        if reads is not None:
            self._park()
        return done

    def hurry(self) -> None:
        """Answer with what there is by now."""
        self._must_answer = True
        self._read_again()

    def _park(self) -> None:
        """Wait for what partitions say."""
        if self._deadline is None:
            wait_s = 0.0 if fires(self._call.broker.answers_early) else self._max_wait_s
            self._deadline = self._call.broker.deadlines.after(wait_s, self.hurry)
            self._listen()

    def _listen(self) -> None:
        for partition in self._partitions:
            partition.add_reader(self.more)

    def _listen_no_more(self) -> None:
        for partition in self._partitions:
            partition.drop_reader(self.more)

    def _is_enough(self, reads: list[Read]) -> bool:
        """Say whether to answer now; errors and divergence are never kept waiting."""
        if self._must_answer or self._max_wait_s <= 0 or not reads:
            return True
        size_bytes = 0
        for read in reads:
            if read.error != ErrorCode.NONE or read.diverging is not None:
                return True
            found = read.slice
            size_bytes += found.size_bytes
            if found.next_offset < read.high_watermark and not self._is_choked:
                # There is more, which a limit keeps out: as in Kafka it counts up to that limit, or it would be
                # waited for in vain.
                size_bytes += max(0, min(read.wanted.max_bytes, self._max_bytes) - found.size_bytes)
        self._missing_bytes = self._min_bytes - size_bytes
        return self._missing_bytes <= 0

    def _is_unwelcome(self) -> bool:
        """Say whether it is too large to wait among so many others that do."""
        return len(self._wanted) > CROWD_PARTITIONS and self._call.caller.room.is_crowded

    def more(self, size_bytes: int) -> None:
        """Hear that a partition has more; C{size_bytes} of 0 means that something else is the matter with it."""
        self._missing_bytes -= size_bytes
        if self._missing_bytes <= 0 or size_bytes == 0:
            self._read_again()

    def _read_again(self) -> None:
        if self._done is None:
            return
        if self._is_looking:
            self._has_missed = True
            return
        reads = self._look()
        if reads is not None and self._is_enough(reads):
            self._finish(reads)

    def _finish(self, reads: list[Read]) -> None:
        done, self._done = self._done, None
        self._stop()
        if done is not None:
            done.callback(reads)

    def _broken(self, failure: Failure) -> None:
        done, self._done = self._done, None
        self._stop()
        if done is not None:
            done.errback(failure)

    def _cancelled(self, _: Deferred[list[Read]]) -> None:
        self._done = None
        self._stop()

    def _stop(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._listen_no_more()

    # Reading

    def _look(self) -> list[Read] | None:
        """Read every partition; None where that takes longer, see Note [Long looks]."""
        room_bytes = self._call.caller.room.room_bytes
        self._left_bytes = min(self._max_bytes, room_bytes)
        self._is_choked = room_bytes <= 0
        self._needs_one = not self._is_choked
        reads = self._read(self._wanted[:PARTITIONS_PER_TURN])
        if not self._cold and len(reads) == len(self._wanted):
            return reads
        self._is_looking = True
        Deferred.fromCoroutine(self._look_long(reads)).addErrback(self._broken)
        return None

    async def _look_long(self, reads: list[Read]) -> None:
        while len(reads) < len(self._wanted):
            await self._call.broker.turns.next()
            if self._done is None:
                return
            reads += self._read(self._wanted[len(reads) : len(reads) + PARTITIONS_PER_TURN])
        cold, self._cold = self._cold, []
        if cold:
            await self._read_cold(cold)
        else:
            await self._call.broker.turns.next()
        self._is_looking = False
        if self._done is None:
            return
        if cold or self._is_enough(reads) or self._is_unwelcome():
            self._finish(reads)
        elif self._has_missed or self._deadline is None:
            self._has_missed = False
            self._park()
            self._read_again()

    async def _read_cold(self, cold: list[Deferred[None]]) -> None:
        """Wait for the device; what it brings is promised meanwhile, or many who wait would be given the same room."""
        room, promised_bytes = self._call.caller.room, self._cold_bytes
        self._cold_bytes = 0
        room.promised_bytes += promised_bytes
        try:
            await gatherResults(cold, consumeErrors=True)
        finally:
            room.promised_bytes -= promised_bytes

    def _read(self, some: Sequence[Wanted]) -> list[Read]:
        """Read some partitions; what has to come from the device is in C{_cold} and comes into its place."""
        left = self._left_bytes
        reads: list[Read] = []
        for wanted in some:
            read = Read(wanted)
            reads.append(read)
            most = wanted.max_bytes if wanted.max_bytes < left else left
            try:
                partition = self._partition(wanted)
                if self._deadline is None:
                    self._partitions.append(partition)
                found = self._read_one(partition, read, most)
            except Refused as refusal:
                read.failed(refusal.code)
                continue
            if isinstance(found, Deferred):
                self._cold.append(found.addCallbacks(_take, _fail, callbackArgs=(read,), errbackArgs=(read,)))
                left = max(left - most, 0)
                self._cold_bytes += most
                self._needs_one = False
                continue
            read.slice = found
            if found.size_bytes:
                left = max(left - found.size_bytes, 0)
                self._needs_one = False
        self._left_bytes = left
        return reads

    def _partition(self, wanted: Wanted) -> Partition:
        topic_id, name, index = wanted.key
        if topic_id == ZERO_UUID:
            return self._find(name, index)
        known = self._call.broker.metadata.image.names.get(topic_id)
        if known is None:
            raise Refused(ErrorCode.UNKNOWN_TOPIC_ID)
        partition = self._find(known, index)
        if partition.log.identity.topic_id != topic_id:
            raise Refused(ErrorCode.INCONSISTENT_TOPIC_ID)
        return partition

    def _find(self, name: str, index: int) -> Partition:
        return self._call.broker.replicas.leading(name, index)

    def _read_one(self, partition: Partition, read: Read, max_bytes: int) -> LogSlice | Deferred[LogSlice]:
        wanted = read.wanted
        partition.check_epoch(wanted.current_leader_epoch)
        if self._is_parted(partition, read):
            return _NOTHING
        return partition.read(wanted.fetch_offset, max_bytes, self._needs_one, is_sent=True)

    def _is_parted(self, partition: Partition, read: Read) -> bool:
        """Note how far the partition is, and where the reader's log and ours part, if they do."""
        wanted = read.wanted
        read.high_watermark = partition.high_watermark
        read.start_offset = partition.log.start_offset
        if wanted.last_fetched_epoch >= 0:
            read.diverging = partition.divergence(wanted.fetch_offset, wanted.last_fetched_epoch)
        return read.diverging is not None


def _take(found: LogSlice, read: Read) -> None:
    read.slice = found


def _fail(failure: Failure, read: Read) -> None:
    failure.trap(Refused)
    assert isinstance(failure.value, Refused)
    read.failed(failure.value.code)
