"""What a partition writes down when it begins to lead, and what retention tells it."""

from __future__ import annotations

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from streamline.replication.roles import Role
from tests.broker import Broker, batch_of


class LeadingTests(SynchronousTestCase):
    """KR4: an epoch is known for good as soon as a record of it is."""

    def test_a_new_epoch_survives_with_its_first_record(self) -> None:
        """The record carries it; a checkpoint that does not know of it yet is put right."""
        broker = Broker(storage="segments").start()
        broker.create("t")
        broker.produce("t", batch_of(b"v"))
        broker.partition("t").checkpoint()
        partition = broker.partition("t")
        state = evolve(partition.state, leader_epoch=1)
        partition.become(Role.LEADER, state, 1, broker.node.broker.replicas._replicator)
        broker.produce("t", batch_of(b"w"))
        self.assertEqual([header.partition_leader_epoch for header in partition.log.headers(0)], [0, 1])
        broker.crash()
        broker.start()
        self.assertEqual(broker.partition("t").epochs.entries()[:2], [(0, 0), (1, 1)])


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
