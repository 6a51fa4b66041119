"""
The computers of a simulated cluster, and the nodes that run on them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from streamline.assembly import build
from streamline.config import INT64_MAX, BrokerConfig, NodeConfig
from streamline.model import Endpoint
from streamline.node import Node
from streamline.raft import RaftNode, ReplicaKey
from streamline.testing.simulation import guards
from streamline.testing.simulation.cluster.courier import Courier
from streamline.testing.simulation.cluster.oracle import Oracle
from streamline.testing.simulation.cluster.usher import Usher
from streamline.testing.simulation.cluster.watch import Watch
from streamline.testing.simulation.injector import Stop, Supervisor
from streamline.testing.simulation.machine import Machine, Process
from streamline.testing.simulation.platter import Platter

CLIENT_PORT = 9092
PEER_PORT = 9093
DATA = "/data"
RETENTION_CHECK_MS = 3000
EASY_LAG_MS, EASY_FETCH_BYTES = 4000, 4096
WORRYING = ("damaged", "is missing", "belongs to", "written by the replica", "does not reach", "cannot go on")
"""Words of refusals to start that no fault of these runs explains: what was durable is lost or mixed up."""


@frozen(kw_only=True)
class Habits:
    """
    What all nodes of a run have in common.

    @ivar consensus: the plugin, with its options.
    @ivar lag_ms: how long a follower may be late; C{rebalance_s} how often leaders go back to where they should be.
    @ivar fetch_bytes: how much of a partition a follower asks for; C{fetch_wait_ms} how long it waits for some.
    @ivar checkpoint_ms: how often high watermarks and epochs are written down.
    @ivar session_slots: how many fetch sessions a leader keeps.
    @ivar flush_messages: after how many records a log is synced; with 1, what is acknowledged survives every power cut.
    """

    consensus: str
    max_voters: int
    min_isr: int = 1
    lag_ms: int = 30_000
    rebalance_s: int = 300
    fetch_bytes: int = 1 << 20
    fetch_wait_ms: int = 500
    checkpoint_ms: int = 60_000
    session_slots: int = 1000
    flush_messages: int = INT64_MAX

    @property
    def is_easy(self) -> bool:
        """Whether followers keep up in any weather: they have the time, and need not ask for batch after batch."""
        return self.lag_ms >= EASY_LAG_MS and self.fetch_bytes >= EASY_FETCH_BYTES


class Place:
    """
    A computer, its disk, and whichever process of the node runs on it.

    @ivar number: the node's id.
    @ivar address: where clients find it.
    @ivar seeds: the addresses that the node is started with.
    @ivar watch: looks at the process.
    @ivar node: of the process.
    @ivar habits: what it has in common with the others.
    @ivar courier: brings it what the controller pushes.
    @ivar usher: lets in who asks its controller for an ISR.
    @ivar stopping: stops a node in order.
    """

    def __init__(
        self,
        machine: Machine,
        number: int,
        seeds: Sequence[Endpoint],
        habits: Habits,
        oracle: Oracle,
        refused: Callable[[Place, str], None],
    ) -> None:
        self.machine = machine
        self.number = number
        self.address = Endpoint(machine.host, CLIENT_PORT)
        self.node: Node | None = None
        self.watch: Watch | None = None
        self.started: Callable[[Place, Process], object] = lambda place, process: None
        self.stopping: Callable[[Place, Node], Deferred[None]] = lambda place, node: node.stopService()
        self.courier = Courier(machine.simulation)
        self.usher = Usher(machine.simulation)
        self.seeds = tuple(seeds)
        self.habits = habits
        self._oracle = oracle
        self._refused_with = refused
        self.supervisor = Supervisor(machine, self._run)

    @property
    def config(self) -> NodeConfig:
        """What the node is started with."""
        return NodeConfig(
            node_id=self.number,
            listen=f"tcp:{CLIENT_PORT}:interface={self.machine.host}",
            cluster_listen=f"tcp:{PEER_PORT}:interface={self.machine.host}",
            seed_nodes=self.seeds,
            max_voters=self.habits.max_voters,
            data_dir=DATA,
            rack=f"r{self.number}",
            consensus=self.habits.consensus,
            broker=BrokerConfig(
                offsets_topic_num_partitions=1,
                min_insync_replicas=self.habits.min_isr,
                replica_lag_time_max_ms=self.habits.lag_ms,
                leader_imbalance_check_interval_seconds=self.habits.rebalance_s,
                replica_fetch_max_bytes=self.habits.fetch_bytes,
                replica_fetch_wait_max_ms=self.habits.fetch_wait_ms,
                log_flush_offset_checkpoint_interval_ms=self.habits.checkpoint_ms,
                log_retention_check_interval_ms=RETENTION_CHECK_MS,
                max_incremental_fetch_session_cache_slots=self.habits.session_slots,
                log_flush_interval_messages=self.habits.flush_messages,
            ),
        )

    def _run(self, process: Process) -> Stop:
        with guards.lifted():
            node = build(self.config, process.host)
        self.node = node
        self.watch = Watch(node, self.machine.platter, self._oracle)
        self.courier.serve(node, process)
        self.usher.serve(node, process)
        node.startService().addErrback(self._refused, process)
        node.failed.addCallback(self._failed, process)
        self.started(self, process)
        return lambda: self.stopping(self, node)

    def _refused(self, failure: Failure, process: Process) -> None:
        if not process.dead:
            text = failure.getErrorMessage()
            if any(word in text for word in WORRYING):
                self._oracle.broke("refused", f"node {self.number} does not start: {text}")
            self._refused_with(self, text)
            process.machine.crash(power=False)

    def _failed(self, why: str, process: Process) -> None:
        """Do as the launcher does: end the process."""
        if not process.dead:
            self._refused_with(self, why)
            process.machine.simulation.after(0.0, self._crash, process)

    def _crash(self, process: Process) -> None:
        if not process.dead:
            process.machine.crash(power=False)

    # What is known of it

    @property
    def raft(self) -> RaftNode | None:
        """The replica's core, where it runs."""
        if not self.machine.running or self.watch is None or self.watch.consensus._replica is None:
            return None
        return self.watch.consensus._replica.node

    @property
    def key(self) -> ReplicaKey | None:
        """Who the present disk makes it; None before the first start on it."""
        meta = None if self.node is None else self.node.directory.meta
        return None if meta is None else ReplicaKey(self.number, meta.directory_uuid)

    def within(self, function: Callable[[], object]) -> bool:
        """Have something happen in the process, in a turn of its own; say whether there is one."""
        process = self.machine.process
        if process is None or process.dead:
            return False
        process.reactor.callLater(0, function)
        return True

    def wipe(self, others: Sequence[Place]) -> ReplicaKey | None:
        """
        Replace the disk by an empty one; the process must be down.

        A node that had been started alone is told of others from now on, or it would found a cluster of its own.

        @return: whom the old disk made of this node.
        """
        assert not self.machine.running
        self.seeds = self.seeds or tuple(other.address for other in others)
        lost, old = self.key, self.machine.platter
        new = Platter(old.rng)
        new.faults, new.hits = old.faults, old.hits
        self.machine.platter = new
        self.node = self.watch = None
        return lost


def quiet(outcome: Deferred[Any]) -> None:
    """Let nobody care how something ends."""
    outcome.addErrback(lambda _: None)
