"""
Looks over a node's shoulder: at what its replica wants done, what it applies, and whom it takes for the leader.

The methods that are replaced do what they did; what is seen goes to the L{Oracle} and never back into the node.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred

from streamline.interfaces import IStateMachine
from streamline.node import Node
from streamline.raft import Entry, Proposal, Ready, Snapshot
from streamline.services.raft import RaftConsensus
from streamline.services.raftreplica import RaftReplica
from streamline.services.raftwaiting import Proposals
from streamline.testing.simulation.cluster.durable import DurableReplica
from streamline.testing.simulation.cluster.oracle import Oracle
from streamline.testing.simulation.cores.monitor import Watched
from streamline.testing.simulation.platter import Platter


class Watch:
    """
    One process's part in the quorum, from before it does anything.

    @ivar replica: what runs, once it does.
    """

    def __init__(self, node: Node, platter: Platter, oracle: Oracle) -> None:
        consensus = node.broker.metadata.consensus
        assert isinstance(consensus, RaftConsensus), "a cluster agrees by Raft"
        self.consensus = consensus
        self.metadata = node.broker.metadata
        self.replica: RaftReplica | None = None
        self._platter = platter
        self._directory = f"{node.config.data_dir}/metadata"
        self._oracle = oracle
        self._start = consensus.start
        consensus.start = self._started  # type: ignore[method-assign]
        consensus.listen(self._leader_changed)

    def _started(self, machine: IStateMachine) -> Deferred[None]:
        starting = self._start(machine)
        if self.consensus._replica is not None:
            self._attach(self.consensus._replica)
        return starting

    def _attach(self, replica: RaftReplica) -> None:
        self.replica = replica
        key, disks = replica.node.key, self._oracle.monitor.disks
        if key not in disks:
            disks[key] = DurableReplica(key, self._platter, self._directory)
        self._oracle.check(self._begin, replica)

    def _begin(self, replica: RaftReplica) -> None:
        node, applied = replica.node, replica.applied
        durable = self._oracle.monitor.disks[node.key]
        watched = Watched(node, durable, term=durable.hard_state.term, written_index=durable.last_index)
        watched.commit_index, watched.applied_index = node.commit_index, applied.index
        if applied.index:
            self._restored(watched, applied.index)
        self._tap_node(watched)
        self._tap_applied(watched, replica)

    def _tap_node(self, watched: Watched) -> None:
        node, check, monitor = watched.node, self._oracle.check, self._oracle.monitor
        ready = node.ready

        def watched_ready(*, tells: bool = True) -> Ready | None:
            check(monitor.moved, watched)
            wanted = ready(tells=tells)
            if wanted is not None:
                check(monitor.handed_out, watched, wanted)
            return wanted

        node.ready = watched_ready  # type: ignore[method-assign]

    def _tap_applied(self, watched: Watched, replica: RaftReplica) -> None:
        applied = replica.applied
        apply, restore = applied.apply, applied.restore

        def watched_apply(entries: Sequence[Entry], awaited: Proposals) -> dict[Proposal, Any]:
            results: dict[Proposal, Any] = {}
            for entry in entries:
                results |= apply((entry,), awaited)
                self._oracle.check(self._oracle.applied, entry.index, self.metadata.image)
            return results

        def watched_restore(snapshot: Snapshot) -> None:
            restore(snapshot)
            self._oracle.check(self._restored, watched, snapshot.index)

        applied.apply = watched_apply  # type: ignore[method-assign]
        applied.restore = watched_restore  # type: ignore[method-assign]

    def _restored(self, watched: Watched, index: int) -> None:
        monitor, image = self._oracle.monitor, self.metadata.image
        monitor.restored(watched, Snapshot(index, 0, watched.node.configuration, b""), image)

    def _leader_changed(self, leader_id: int | None, term: int) -> None:
        replica = self.replica
        if replica is not None and leader_id == replica.node.key.node_id:
            self._oracle.leads(replica.node.key, term, replica.applied.index)
