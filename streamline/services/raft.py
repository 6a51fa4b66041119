"""
Consensus of several nodes, behind L{IConsensus}.

The life of a replica: it is told who it is, founded once, recovered at each start, runs
(L{streamline.services.raftreplica}), and ends.  What is asked of it while it does not run is
refused here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure
from zope.interface import implementer

from streamline.config import NodeConfig
from streamline.errors import ErrorCode, Refused, StartRefused
from streamline.interfaces import Host, IMessenger, IQuorum, IStateMachine, fires
from streamline.model import ZERO_UUID
from streamline.raft import (
    Change,
    CommitTimes,
    Configuration,
    NotProposed,
    QuorumStatus,
    RaftNode,
    RaftSettings,
    Replica,
    ReplicaKey,
)
from streamline.services.raftapplying import Applied
from streamline.services.raftfounding import Founding
from streamline.services.raftowner import Limits
from streamline.services.raftreplica import RaftReplica
from streamline.services.raftwaiting import refusal_of
from streamline.services.sharing import Shared

PATIENCE = RaftSettings(heartbeat_ticks=1, election_ticks=10, spread_ticks=5)
"""As few ticks as will do: each of them wakes a node that has nothing else to do."""
MORSELS = {"message_entries_max": 1, "snapshot_chunk_bytes": 256, "ready_bytes_max": 1}
"""How little goes into a message, or is handed out to be applied at once, where a whim says so."""


@implementer(IQuorum)
class RaftConsensus:
    """
    One node's part in the metadata log.

    C{tick_ms} is the unit of all its patience: the leader gives a sign of life with every
    tick, and is replaced after 10 to 15 without one.  C{snapshot_entries} and C{snapshot_bytes}
    make a snapshot worth its while; C{proposals_max} are in flight at most.
    """

    def __init__(
        self,
        host: Host,
        config: NodeConfig,
        *,
        tick_ms: str = "100",
        snapshot_entries: str = "1000",
        snapshot_bytes: str = str(8 << 20),
        proposals_max: str = "10000",
    ) -> None:
        self._host = host
        self._limits = Limits(
            tick_s=int(tick_ms) / 1000,
            snapshot_entries=int(snapshot_entries),
            snapshot_bytes=int(snapshot_bytes),
            proposals_max=int(proposals_max),
        )
        self._settings = evolve(PATIENCE, **MORSELS) if fires(host.whim("small-messages")) else PATIENCE
        self._founding = Founding(host.disk, config)
        self._messenger: IMessenger | None = None
        self._replica: RaftReplica | None = None
        self._listeners: list[Callable[[int | None, int], None]] = []
        self._failed: Refused | None = None
        self._failure: Shared[str] = Shared()
        self._first_led: Shared[None] = Shared()
        self._stopped: Shared[None] = Shared()
        self.key = ReplicaKey(config.node_id, ZERO_UUID)
        self.tick_s = self._limits.tick_s
        self.leader_id: int | None = None
        self.term = 0

    @property
    def applied_index(self) -> int:
        """The index of the last command."""
        return 0 if self._replica is None else self._replica.applied.command_index

    @property
    def configuration(self) -> Configuration:
        """Who takes part."""
        return Configuration() if self._replica is None else self._replica.node.configuration

    @property
    def commit_times(self) -> CommitTimes:
        """How long it took to agree on what was proposed here."""
        return CommitTimes() if self._replica is None else self._replica.commit_times

    # Before the start

    def identify(self, directory_id: bytes, messenger: IMessenger | None = None) -> None:
        """Be the replica of this directory."""
        self.key = ReplicaKey(self.key.node_id, directory_id)
        self._messenger = messenger

    def is_founded(self) -> bool:
        """Say whether there is a log."""
        return self._founding.is_founded()

    def found(self, voters: Sequence[Replica]) -> None:
        """Begin one."""
        self._founding.found(self.key, Configuration(tuple(voters)))

    # Starting and stopping

    def start(self, machine: IStateMachine) -> Deferred[None]:
        """Recover and take part; who is the only voter leads as well before this fires."""
        try:
            recovered = self._founding.recover(self.key, is_alone=self._messenger is None)
            applied = Applied(machine, recovered.snapshot)
        except StartRefused:
            self._founding.store.close()
            return fail()
        node = RaftNode(self.key, recovered, self._settings, self._draw)
        self._replica = RaftReplica(
            self._host, node, self._founding.store, applied, self._messenger, self._limits, self
        )
        if [voter.key for voter in node.configuration.voters] != [self.key]:
            return succeed(None)
        node.campaign()
        return self._first_led.wait()

    def _draw(self, stop: int) -> int:
        return self._host.rng.randrange(0, stop)

    def stop(self) -> Deferred[None]:
        """Hand over what is led, then stop; proposals in flight have an unknown outcome."""
        replica = self._replica
        if replica is not None and replica.node.is_leader and len(replica.node.configuration.voters) > 1:
            replica.hand_over()
            return self._stopped.wait()
        self.handed_over()
        return succeed(None)

    def handed_over(self) -> None:
        """Stop."""
        self._end(Refused(ErrorCode.REQUEST_TIMED_OUT, "the node stopped before that was confirmed"))

    def _end(self, refusal: Refused) -> None:
        if self._replica is not None:
            replica, self._replica = self._replica, None
            replica.end(refusal)
        self._stopped.tell(None)

    def replica_failed(self, refusal: Refused) -> None:
        """Have the process end with an error (DK14)."""
        self._failed = refusal
        self._end(refusal)
        self._first_led.tell(Failure(StartRefused(refusal.message)))
        self._failure.tell(refusal.message)

    def when_failed(self) -> Deferred[str]:
        """Fire once this node can take part no more."""
        return self._failure.wait()

    # What is asked for

    def propose(self, command: bytes) -> Deferred[Any]:
        """Have a command agreed on."""
        return self._asked(lambda replica: replica.propose(command))

    def campaign(self) -> None:
        """Stand for election."""
        if self._replica is not None and self._replica.node.leader is None:
            self._replica.node.campaign()

    def change_members(self, changes: Sequence[Change]) -> Deferred[None]:
        """Change who takes part."""
        return self._asked(lambda replica: replica.proposed(replica.node.change_members(changes)))

    def _asked(self, ask: Callable[[RaftReplica], Deferred[Any]]) -> Deferred[Any]:
        try:
            return ask(self._leading())
        except NotProposed as reason:
            return fail(refusal_of(reason))
        except Refused:
            return fail()

    def transfer_leadership(self, target: ReplicaKey) -> None:
        """Hand over to somebody."""
        try:
            self._leading().transfer_leadership(target)
        except NotProposed as reason:
            raise refusal_of(reason) from None

    def read_barrier(self) -> Deferred[None]:
        """Wait until all is applied that is committed by now."""
        try:
            return self._running().read_barrier()
        except Refused:
            return fail()

    def describe(self) -> QuorumStatus:
        """Return what DescribeQuorum asks for."""
        return self._running().node.describe()

    def _running(self) -> RaftReplica:
        if self._failed is not None:
            raise self._failed.again()
        if self._replica is None:
            raise Refused(ErrorCode.NOT_CONTROLLER, "this node is not running")
        return self._replica

    def _leading(self) -> RaftReplica:
        replica = self._running()
        if self.leader_id != self.key.node_id:
            who = "no leader is known" if self.leader_id is None else f"node {self.leader_id} leads"
            raise Refused(ErrorCode.NOT_CONTROLLER, f"this node does not lead; {who}")
        return replica

    # Who leads

    def listen(self, listener: Callable[[int | None, int], None]) -> None:
        """Tell somebody of each change of the leader or the term."""
        self._listeners.append(listener)

    def leader_changed(self, leader_id: int | None, term: int) -> None:
        """Hear who leads, and tell everybody."""
        self.leader_id, self.term = leader_id, term
        for listener in self._listeners:
            listener(leader_id, term)
        if leader_id == self.key.node_id:
            self._first_led.tell(None)
