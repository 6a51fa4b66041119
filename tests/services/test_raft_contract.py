"""The consensus of several nodes keeps the contracts: as a cluster of one, and as what it is for."""

from __future__ import annotations

from streamline.config import NodeConfig
from streamline.interfaces import Host, IConsensus, IQuorum
from streamline.services.raft import RaftConsensus
from streamline.testing.contracts import consensus, quorum, quorum_history, quorum_members

DIRECTORY_ID = b"directory of n1!"


class RaftConsensusContractTests(consensus.ConsensusContract):
    """What every consensus promises."""

    def make(self, host: Host, config: NodeConfig) -> IConsensus:
        """Make it."""
        made = RaftConsensus(host, config)
        made.identify(DIRECTORY_ID)
        return made


class RaftQuorumContractTests(quorum.QuorumContract):
    """What every consensus of several nodes promises."""

    def make(self, host: Host, config: NodeConfig) -> IQuorum:
        """Make it."""
        return RaftConsensus(host, config)


class RaftMembersContractTests(quorum_members.QuorumMembersContract):
    """What it promises about members and their disks."""

    def make(self, host: Host, config: NodeConfig) -> IQuorum:
        """Make it."""
        return RaftConsensus(host, config)


class RaftHistoryContractTests(quorum_history.QuorumHistoryContract):
    """The same, in histories that chance makes; with a snapshot every few entries."""

    def make(self, host: Host, config: NodeConfig) -> IQuorum:
        """Make it."""
        return RaftConsensus(host, config, snapshot_entries="20")
