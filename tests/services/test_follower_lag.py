"""What a leader tells people of its followers."""

from __future__ import annotations

from collections.abc import Mapping

from streamline.config import NodeConfig
from streamline.interfaces import Host, IStorage
from streamline.model import Broker, Endpoint, PartitionState
from streamline.replication.followers import FollowerFetch
from streamline.services.leaderships import SharedLeadership, SoleLeadership
from streamline.storage.memory import MemoryStorage
from streamline.testing.contracts.replicator import Copy
from streamline.testing.contracts.storage_harness import StorageHarness

BROKER_EPOCH = 7
STATE = PartitionState(index=0, replicas=(1, 2, 3), isr=(1, 2, 3), leader=1)


class Around:
    """A replicator that asks nobody."""

    node_id = 1
    lag_max_s = 30.0
    brokers: Mapping[int, Broker] = {
        node: Broker(node_id=node, endpoint=Endpoint("kafka", node), epoch=BROKER_EPOCH) for node in STATE.replicas
    }

    def now_s(self) -> float:
        """It is always now."""
        return 0.0

    def consider(self, leadership: SharedLeadership) -> None:
        """Ask nobody."""


class LagTests(StorageHarness):
    """How many records followers lack."""

    def make(self, host: Host, config: NodeConfig) -> IStorage:
        """Keep the log in memory."""
        return MemoryStorage(host, config)

    def ignore(self, high_watermark: int) -> None:
        """Take no interest in what is committed."""

    def test_of_followers(self) -> None:
        """Who has not fetched lacks all that is kept; who has, what came since."""
        self.fill(5)
        self.log.advance_start(2)
        copy = Copy(self.log)
        copy.epochs.assign(0, 0)
        leadership = SharedLeadership(Around(), copy, STATE, 2, self.ignore)
        leadership.appended(self.log.end_offset)
        self.assertEqual(leadership.lags(), {2: 3, 3: 3})
        leadership.fetched(FollowerFetch(node_id=2, broker_epoch=BROKER_EPOCH, leader_epoch=0, offset=5, last_epoch=0))
        self.assertEqual(leadership.lags(), {2: 0, 3: 3})
        self.fill(2)
        leadership.appended(self.log.end_offset)
        self.assertEqual(leadership.lags(), {2: 2, 3: 5})

    def test_of_nobody(self) -> None:
        """A partition with one replica has no followers."""
        self.assertEqual(SoleLeadership(Copy(self.log), STATE, self.ignore).lags(), {})
