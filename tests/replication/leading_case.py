"""A partition of three replicas that node 1 leads, with everything that happens to it by hand."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from streamline.errors import ErrorCode, Refused
from streamline.model import Broker, Endpoint, PartitionState
from streamline.replication.epochs import LeaderEpochs
from streamline.replication.followers import FollowerFetch
from streamline.replication.isr_changes import IsrAsk
from streamline.replication.leading import LedPartition
from streamline.replication.truncation import Divergence, LogRange

EPOCH = 5
LAG_MAX_S = 30.0


class LeadingCase(SynchronousTestCase):
    """
    Node 1 leads in epoch 5 since offset 10; records before are of epoch 4.

    @ivar log: what followers may read.
    """

    def setUp(self) -> None:
        """Everybody is in sync; min.insync.replicas is 2."""
        self.now = 100.0
        self.brokers = {
            node: Broker(node_id=node, endpoint=Endpoint("h", node), epoch=10 + node) for node in (1, 2, 3, 4)
        }
        self.min_isr = 2
        self.epochs = LeaderEpochs([(4, 0), (EPOCH, 10)])
        self.log = LogRange(0, 10)
        self.begin()

    def begin(self, high_watermark: int = 6, end_offset: int = 10, **state: Any) -> None:
        """Begin to lead, everything as it is but what is given."""
        given: dict[str, Any] = {
            "index": 0, "replicas": (1, 2, 3), "isr": (1, 2, 3), "leader": 1, "leader_epoch": EPOCH,
            "partition_epoch": 7,
        }  # fmt: skip
        self.state = PartitionState(**(given | state))
        self.log = LogRange(0, end_offset)
        self.led = LedPartition(
            1, self.state, self.min_isr, self.brokers, end_offset=end_offset, high_watermark=high_watermark,
            lag_max_s=LAG_MAX_S, now_s=self.now,
        )  # fmt: skip

    def append(self, end_offset: int) -> None:
        """Have everything up to here count."""
        self.log = LogRange(0, max(end_offset, self.log.end_offset))
        self.led.appended(end_offset, self.now)

    def fetch(self, node: int, offset: int, **given: Any) -> Divergence | None:
        """Have a follower fetch whose log is ours up to C{offset}."""
        fetch: dict[str, Any] = {
            "node_id": node, "broker_epoch": 10 + node, "leader_epoch": EPOCH, "offset": offset,
            "last_epoch": self.epochs.epoch_at(offset - 1),
        }  # fmt: skip
        return self.led.fetched(FollowerFetch(**(fetch | given)), self.epochs, self.log, self.now)

    def fetches(self, **offsets: int) -> None:
        """Have followers fetch; C{n2=10} is node 2 at 10."""
        for node, offset in offsets.items():
            self.assertIsNone(self.fetch(int(node[1:]), offset))

    def is_refused(self, code: ErrorCode, node: int, offset: int, **given: Any) -> None:
        """Expect a fetch to be refused."""
        refusal = self.assertRaises(Refused, self.fetch, node, offset, **given)
        self.assertEqual(refusal.code, code)

    def metadata(self, min_isr: int | None = None, **state: Any) -> None:
        """Have the metadata change, the partition's epoch with them where the partition does."""
        if state:
            state.setdefault("partition_epoch", self.state.partition_epoch + 1)
            self.state = evolve(self.state, **state)
        self.min_isr = self.min_isr if min_isr is None else min_isr
        self.led.metadata_changed(self.state, self.min_isr, self.brokers, self.now)

    def broker(self, node: int, **changes: Any) -> None:
        """Have the metadata say something else of a broker."""
        self.brokers = {**self.brokers, node: evolve(self.brokers[node], **changes)}
        self.metadata()

    def shows(self, high_watermark: int) -> None:
        """Expect this to be committed."""
        self.assertEqual(self.led.high_watermark, high_watermark)

    def asks(self, *isr: int) -> IsrAsk:
        """Expect the leader to ask for this ISR."""
        ask = self.led.next_ask(self.now)
        assert ask is not None
        self.assertEqual([member.node_id for member in ask.isr], list(isr))
        return ask

    def asks_nothing(self) -> None:
        """Expect it to ask for nothing."""
        self.assertIsNone(self.led.next_ask(self.now))
