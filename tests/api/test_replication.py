"""Three nodes with a topic of three replicas: what was acknowledged is on all of them in the end, and nothing else."""

from __future__ import annotations

from typing import Any

from tests.api.replication_case import ReplicationCase


class FailOverTests(ReplicationCase):
    """The leader goes, and comes back."""

    def test_replicated(self) -> None:
        self.produce(5)
        self.all_the_same()
        self.nothing_is_lost()
        self.assertEqual(self.state().leader_epoch, 0)
        copy: Any = self.copies()[self.node_id()]
        self.assertEqual(copy._leadership.min_isr, self.min_isr)

    def test_leader_dies(self) -> None:
        """Nothing that was acknowledged is lost; what was not is cut off when it is back."""
        self.produce(3)
        old = self.node_id()
        stranded = self.leader()
        before = self.state().leader_epoch
        for copy in self.copies().values():
            self.assertEqual(copy.log.end_offset, 3)
        self.cluster.isolate(old)
        self.strand(stranded, 2)
        self.cluster.wait(0.05)
        self.assertEqual(self.copies()[old].log.end_offset, 5)
        self.cluster.kill(old)
        self.produce(4)
        self.cluster.heal()
        self.assertNotEqual(self.node_id(), old)
        self.assertGreater(self.state().leader_epoch, before)
        self.assertNotIn(old, self.state().isr)
        self.join(old)
        self.all_the_same()
        self.nothing_is_lost()
        copy = self.copies()[old]
        self.assertNotIn(b"stranded", self.log_of(copy))
        self.assertEqual(copy.epochs.epoch_at(3), self.copies()[self.node_id()].epochs.epoch_at(3))
        self.assertEqual(copy.log.end_offset, 7)

    def test_power_cut(self) -> None:
        """Without a clean end a replica is out of the ISR until it has caught up, whatever it still has."""
        self.produce(3)
        victim = next(node_id for node_id in self.copies() if node_id != self.node_id())
        self.cluster.kill(victim, power=True)
        self.in_sync(*self.cluster.nodes)
        self.produce(3)
        self.join(victim)
        self.all_the_same()
        self.nothing_is_lost()

    def test_again_and_again(self) -> None:
        """Each leader in turn, so that every log has an end that was cut."""
        for _ in range(3):
            self.produce(2)
            old = self.node_id()
            self.cluster.kill(old)
            self.produce(2)
            self.join(old)
            self.in_sync(1, 2, 3)
        self.all_the_same()
        self.nothing_is_lost()
        epochs = [epoch for epoch, _ in self.copies()[self.node_id()].epochs.entries()]
        self.assertEqual(epochs, sorted(set(epochs)))

