"""
The contract of L{IReplicator}, for partitions whose only replica is the node itself.

It runs over a log in memory.  Subclass L{ReplicatorContract} and say how to make yours::

    class MyReplicatorTests(replicator.ReplicatorContract):
        def make_replicator(self, host, config):
            return MyReplicator(host, config)
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from zope.interface import implementer
from zope.interface.verify import verifyObject

from streamline.config import NodeConfig
from streamline.interfaces import Host, ILeadership, IPartitionLog, IReplica, IReplicator, IStorage
from streamline.model import Buffer, LogIdentity, PartitionState
from streamline.replication.epochs import LeaderEpochs
from streamline.storage.memory import MemoryStorage
from streamline.testing.contracts.storage_harness import IDENTITY, OTHER_TOPIC_ID, StorageHarness
from streamline.wire.batch import BatchHeader

OTHER = LogIdentity("returns", 0, OTHER_TOPIC_ID)


def alone(leader_epoch: int = 0) -> PartitionState:
    """Return what the metadata says of a partition that is only here."""
    return PartitionState(index=0, replicas=(1,), isr=(1,), leader=1, leader_epoch=leader_epoch)


@implementer(IReplica)
class Copy:
    """A partition's copy that nobody but the test writes."""

    def __init__(self, log: IPartitionLog) -> None:
        self.log = log
        self.epochs = LeaderEpochs()
        self.counted_offset = log.flushed_offset

    def copy(self, header: BatchHeader, batch: Buffer) -> None:
        """Take a batch."""
        self.log.append(header, (batch,))

    def write(self) -> None:
        """Write it."""
        self.log.flush()

    def cut(self, end_offset: int) -> None:
        """Cut the log."""
        self.log.truncate(end_offset)

    def begin_anew(self, offset: int) -> None:
        """Begin it anew."""
        self.log.restart_at(offset)

    def advance_start(self, offset: int) -> None:
        """Have it begin later."""
        self.log.advance_start(offset)


class ReplicatorContract(StorageHarness):
    """
    A suite to be subclassed.

    @ivar replicator: started.
    @ivar advances: each high watermark that was reported of C{log}.
    """

    replicator: IReplicator
    advances: list[int]

    def make_replicator(self, host: Host, config: NodeConfig) -> IReplicator:
        """Return the replicator under test, not yet started."""
        raise NotImplementedError("say how to make the replicator")

    def make(self, host: Host, config: NodeConfig) -> IStorage:
        """Keep the log in memory."""
        return MemoryStorage(host, config)

    def setUp(self) -> None:
        """Start a replicator."""
        super().setUp()
        self.replicator = self.make_replicator(self.host, self.config)
        self.result_of(self.replicator.start())
        self.advances = []

    def lead(self, leader_epoch: int = 0, min_isr: int = 1) -> ILeadership:
        """Lead the partition of C{log}."""
        return self.replicator.lead(Copy(self.log), alone(leader_epoch), min_isr, self.advances.append)

    def put(self, leadership: ILeadership, log: IPartitionLog, count: int = 1) -> int:
        """Append and flush so many records, and say so; return where the log ends."""
        self.log, kept = log, self.log
        self.fill(count)
        self.log = kept
        leadership.appended(log.end_offset)
        return log.end_offset

    def test_interfaces(self) -> None:
        """Replicator and leadership have everything that their interfaces name."""
        verifyObject(IReplicator, self.replicator)
        verifyObject(ILeadership, self.lead())

    def test_the_leader_is_in_sync(self) -> None:
        """With itself, there being nobody else."""
        self.assertEqual(self.lead().isr, (1,))

    def test_what_the_only_replica_has_is_committed(self) -> None:
        """The high watermark moves before L{appended<ILeadership.appended>} returns, there and in the log."""
        leadership = self.lead()
        for number in (1, 2, 3):
            self.assertEqual(self.put(leadership, self.log), number)
            self.assertEqual([leadership.high_watermark, self.log.high_watermark, self.advances[-1]], [number] * 3)
        self.assertEqual(self.advances, [1, 2, 3])

    def test_what_was_there_before_is_committed(self) -> None:
        """A log that recovery kept is what all replicas have, and there is one."""
        self.fill(3)
        leadership = self.lead()
        leadership.appended(self.log.end_offset)
        self.assertEqual([leadership.high_watermark, self.log.high_watermark], [3, 3])

    def test_only_its_own_log_begins_anywhere(self) -> None:
        """Nobody else keeps anything, so that what is gone here is gone."""
        leadership = self.lead()
        self.put(leadership, self.log)
        self.put(leadership, self.log)
        self.log.advance_start(1)
        self.assertEqual(leadership.low_watermark(), 1)

    def test_nothing_counts_before_it_is_reported(self) -> None:
        """What lies in the log may not be as safe yet as its topic wants it."""
        leadership = self.lead()
        self.fill(3)
        self.assertEqual([leadership.high_watermark, self.advances], [0, []])
        leadership.appended(2)
        self.assertEqual([leadership.high_watermark, self.advances[-1]], [2, 2])

    def test_more_is_asked_than_there_are_replicas(self) -> None:
        """min.insync.replicas counts as at most the number of replicas; else nothing would ever be committed."""
        leadership = self.lead(min_isr=2)
        self.assertEqual(self.put(leadership, self.log), leadership.high_watermark)

    @settings(max_examples=50, deadline=None)
    @given(st.lists(st.integers(0, 20)))
    def test_the_high_watermark_never_falls(self, ends: list[int]) -> None:
        """Nor does it pass what was reported; each step up is told once, whatever is reported in whichever order."""
        self.advances = []
        self.log.restart_at(0)
        leadership = self.lead()
        self.fill(20)
        seen = [leadership.high_watermark]
        for number, end in enumerate(ends, 1):
            leadership.appended(end)
            seen.append(leadership.high_watermark)
            self.assertEqual(leadership.high_watermark, max(ends[:number]))
        self.assertEqual(self.advances, sorted(set(seen) - {0}))

    def test_partitions_are_apart(self) -> None:
        """One does not move another."""
        other_log, other_advances = self.opened(OTHER), list[int]()
        first = self.lead()
        second = self.replicator.lead(Copy(other_log), alone(), 1, other_advances.append)
        self.put(first, self.log, 2)
        self.assertEqual([first.high_watermark, second.high_watermark, other_advances], [2, 0, []])
        self.put(second, other_log)
        self.assertEqual([first.high_watermark, second.high_watermark, other_advances], [2, 1, [1]])

    def test_closed(self) -> None:
        """Nothing is reported any more."""
        leadership = self.lead()
        leadership.close()
        self.put(leadership, self.log)
        self.assertEqual(self.advances, [])

    def test_led_anew(self) -> None:
        """The leadership before it is over; the high watermark does not fall with the new epoch."""
        first = self.lead()
        self.put(first, self.log, 2)
        second = self.lead(leader_epoch=1)
        self.assertEqual(second.high_watermark, 2)
        self.advances.clear()
        self.put(first, self.log)
        self.assertEqual(self.advances, [])
        self.put(second, self.log)
        self.assertEqual(self.advances, [4])

    def test_forgotten(self) -> None:
        """As closed; forgetting what nobody knows is allowed."""
        leadership = self.lead()
        self.replicator.forget(IDENTITY)
        self.replicator.forget(IDENTITY)
        self.put(leadership, self.log)
        self.assertEqual(self.advances, [])

    def test_stopped(self) -> None:
        """Every leadership is over."""
        leadership = self.lead()
        self.result_of(self.replicator.stop())
        self.put(leadership, self.log)
        self.assertEqual(self.advances, [])
