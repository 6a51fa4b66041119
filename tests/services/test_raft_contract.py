"""The consensus of several nodes keeps the contract as a cluster of one."""

from __future__ import annotations

from streamline.config import NodeConfig
from streamline.interfaces import Host, IConsensus
from streamline.services.raft import RaftConsensus
from streamline.testing.contracts import consensus

DIRECTORY_ID = b"directory of n1!"


class RaftConsensusContractTests(consensus.ConsensusContract):
    """What every consensus promises."""

    def make(self, host: Host, config: NodeConfig) -> IConsensus:
        """Make it."""
        made = RaftConsensus(host, config)
        made.identify(DIRECTORY_ID)
        return made
