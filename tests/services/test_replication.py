"""The replicator of in-sync replicas keeps the contract."""

from __future__ import annotations

from streamline.config import NodeConfig
from streamline.errors import StartRefused
from streamline.interfaces import Host, IReplicator
from streamline.model import PartitionState
from streamline.services.replication import IsrReplicator
from streamline.testing.contracts import replicator


class IsrReplicatorContractTests(replicator.ReplicatorContract):
    """What every replicator promises."""

    def make_replicator(self, host: Host, config: NodeConfig) -> IReplicator:
        """Make it."""
        return IsrReplicator(host, config)

    def test_others_are_refused_in_this_release(self) -> None:
        """A partition with replicas elsewhere is neither led nor followed: nobody would copy it."""
        shared = PartitionState(index=0, replicas=(1, 2), isr=(1, 2), leader=1)
        self.assertRaises(StartRefused, self.replicator.lead, self.log, shared, 1, self.advances.append)
        self.assertRaises(StartRefused, self.replicator.follow, self.log, shared)
