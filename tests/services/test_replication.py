"""The replicator of in-sync replicas keeps the contract."""

from __future__ import annotations

from streamline.config import NodeConfig
from streamline.interfaces import Host, IReplicator
from streamline.services.replication import IsrReplicator
from streamline.testing.contracts import replicator


class IsrReplicatorContractTests(replicator.ReplicatorContract):
    """What every replicator promises."""

    def make_replicator(self, host: Host, config: NodeConfig) -> IReplicator:
        """Make it."""
        return IsrReplicator(host, config)
