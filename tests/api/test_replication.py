"""Three nodes with a topic of three replicas: what was acknowledged is on all of them in the end, and nothing else."""

from __future__ import annotations

from typing import Any

from streamline.errors import ErrorCode
from streamline.wire.messages.list_offsets import (
    ListOffsetsPartition,
    ListOffsetsPartitionResponse,
    ListOffsetsRequest,
    ListOffsetsTopic,
)
from tests.api.replication_case import ReplicationCase
from tests.broker import Client, fetch_request


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



class NewLeaderTests(ReplicationCase):
    """A leader that has only just begun may not know yet how far the one before it had committed (KIP-207)."""

    def setUp(self) -> None:
        """Have a leader that knows of nothing as committed, though one record is."""
        super().setUp()
        old = self.node_id()
        self.produce(1)
        self.cluster.kill(old)
        self.cluster.until(lambda: any(copy.is_led for copy in self.copies().values()))
        self.node, self.copy = next(
            (self.cluster.nodes[node_id], copy) for node_id, copy in self.copies().items() if copy.is_led
        )
        self.assertEqual((self.copy.high_watermark, self.copy.log.end_offset), (0, 1))

    def look(self, timestamp: int, version: int) -> ListOffsetsPartitionResponse:
        """Ask the leader of now for an offset; it answers at once."""
        part = ListOffsetsPartition(partition_index=0, timestamp=timestamp, current_leader_epoch=-1)
        client = Client(self.node)
        client.send(ListOffsetsRequest(topics=[ListOffsetsTopic(name="t", partitions=[part])]), version)
        ((_, answer),) = client.answers()
        found: ListOffsetsPartitionResponse = answer.topics[0].partitions[0]
        return found

    def test_not_available(self) -> None:
        """The end, and a time that lies behind what is known, are not available yet; the start is."""
        for timestamp in (-1, 0, -3):
            self.assertEqual(self.look(timestamp, 7).error_code, ErrorCode.OFFSET_NOT_AVAILABLE)
        self.assertEqual(self.look(-2, 7).offset, 0)
        self.cluster.until(lambda: self.copy.high_watermark == 1)
        self.assertEqual(self.look(-1, 7).offset, 1)

    def test_old_versions(self) -> None:
        """Those who do not know that error are told that there is no leader, and come again."""
        self.assertEqual(self.look(-1, 5).error_code, ErrorCode.OFFSET_NOT_AVAILABLE)
        self.assertEqual(self.look(-1, 4).error_code, ErrorCode.LEADER_NOT_AVAILABLE)

    def test_a_reader_further_on(self) -> None:
        """Who has read beyond what the leader knows to be committed waits, and is not sent back."""
        client = Client(self.node)
        client.send(fetch_request("t", 1, min_bytes=1, max_wait_ms=400), 12)
        self.assertEqual(client.answers(), [])
        self.cluster.wait(0.5)
        ((_, answer),) = client.answers()
        data = answer.responses[0].partitions[0]
        self.assertEqual((data.error_code, data.high_watermark, data.records), (ErrorCode.NONE, 1, b""))
