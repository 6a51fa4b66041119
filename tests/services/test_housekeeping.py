"""What a partition writes down when it begins to lead, and what retention tells it."""

from __future__ import annotations

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from streamline.replication.epochs import CHECKPOINT_NAME
from tests.broker import Broker, batch_of


class LeadingTests(SynchronousTestCase):
    """KR4: an epoch is known for good before a record of it is."""

    def test_a_new_epoch_is_written_down_at_once(self) -> None:
        """Not with the next checkpoint: by then its records may have been acknowledged."""
        broker = Broker(storage="segments").start()
        broker.create("t")
        broker.produce("t", batch_of(b"v"))
        partition = broker.partition("t")
        partition.state = evolve(partition.state, leader_epoch=3)
        partition.lead(broker.node.broker.replicas._replicator)
        self.assertEqual(partition.log.get_checkpoint(CHECKPOINT_NAME), b"0\n2\n0 0\n3 1\n")
        broker.produce("t", batch_of(b"w"))
        self.assertEqual([header.partition_leader_epoch for header in partition.log.headers(0)], [0, 3])


class RetentionTests(SynchronousTestCase):
    """What retention drops is gone for everybody."""

    def test_epochs_begin_where_the_log_does(self) -> None:
        """KR4: nobody is sent to records that are not there any more."""
        broker = Broker(storage="segments", broker={"log_retention_check_interval_ms": 1000}).start()
        broker.create("t")
        for _ in range(4):
            broker.produce("t", batch_of(b"v"))
        partition = broker.partition("t")
        partition.epochs.assign(5, 2)
        partition.log.advance_start(3)
        broker.wait(1.1)
        self.assertEqual(partition.epochs.entries(), [(5, 3)])
