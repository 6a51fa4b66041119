"""
Several replicas on machines of one simulation, for the contract of a quorum.
"""

from __future__ import annotations

import json

from attrs import define, field
from twisted.python.failure import Failure

from streamline.config import NodeConfig
from streamline.errors import ErrorCode
from streamline.interfaces import Host, IQuorum
from streamline.raft import Change, Replica, ReplicaKey
from streamline.testing.contracts.consensus import Ledger
from streamline.testing.contracts.waiting import WaitingCase
from streamline.testing.post import Post
from streamline.testing.simulation import Fabric, Machine, Simulation, Weather


class Register(Ledger):
    """A ledger that may be told to start over at any time."""

    def restore(self, snapshot: bytes) -> None:
        """Start over."""
        self.entries = [(index, text) for index, text in json.loads(snapshot)]
        self.restores += 1


@define(eq=False)
class Member:
    """
    One node.

    @ivar disks: how many it has had; each makes it another replica.
    @ivar changes: (leader id, term), as it was told of them in this life.
    @ivar failures: why it could go on no more.
    @ivar known_when_leading: what it had applied when it said last that it leads.
    """

    machine: Machine
    number: int
    disks: int = 1
    quorum: IQuorum = field(init=False)
    register: Register = field(init=False)
    changes: list[tuple[int | None, int]] = field(factory=list)
    failures: list[str] = field(factory=list)
    known_when_leading: list[str] = field(factory=list)

    @property
    def key(self) -> ReplicaKey:
        """Who it is."""
        return ReplicaKey(self.number, bytes((self.number, self.disks)) * 8)

    @property
    def replica(self) -> Replica:
        """Who it is, and where."""
        return Replica(self.key, f"{self.machine.host}:9093")

    def leader_changed(self, leader_id: int | None, term: int) -> None:
        """Note what it was told."""
        self.changes.append((leader_id, term))
        if leader_id == self.number:
            self.known_when_leading = list(self.register.texts)

    def refused(self, failure: Failure) -> None:
        """Note why it did not start."""
        self.failures.append(failure.getErrorMessage())

    @property
    def is_up(self) -> bool:
        """Whether it runs and can go on."""
        return self.machine.running and not self.failures


class QuorumHarness(WaitingCase):
    """
    Makes three nodes for each test; a suite's user says how in L{make}.

    @ivar founders: the nodes that found the cluster.
    @ivar many: commands after which an implementation that takes snapshots has taken one, and keeps none of the first.
    @ivar members: the nodes, by number.
    """

    founders: tuple[int, ...] = (1, 2, 3)
    many = 1400
    deadline_s = 90.0

    post: Post

    def make(self, host: Host, config: NodeConfig) -> IQuorum:
        """Return the consensus under test, not yet told who it is."""
        raise NotImplementedError("say how to make the consensus")

    def setUp(self) -> None:
        """Start a cluster."""
        self.begin(1)

    def begin(self, seed: int) -> None:
        """Start a cluster in a world of its own, and wait until somebody leads it."""
        self.simulation = Simulation(seed)
        self.fabric = Fabric.of(self.simulation, Weather())
        self.post = Post(self.simulation)
        self.members: dict[int, Member] = {}
        for number in self.founders:
            self.add_machine(number)
        self.start(*self.founders)
        self.run_until(lambda: self.leader is not None)

    def add_machine(self, number: int) -> Member:
        """Have another machine, with nothing on it."""
        member = Member(Machine(self.fabric, f"n{number}", f"10.0.0.{number}"), number)
        self.members[number] = member
        return member

    # Nodes

    def start(self, *numbers: int) -> None:
        """Start nodes; those that are new found the cluster, or will be told about it where they are no founders."""
        for number in numbers:
            member = self.members[number]
            process = member.machine.start()
            messenger = self.post.messenger(process)
            messenger.key = member.key
            member.register, member.changes, member.failures = Register(), [], []
            member.quorum = quorum = self.make(process.host, NodeConfig(node_id=number, data_dir="/data"))
            quorum.identify(member.key.directory_id, messenger)
            if not quorum.is_founded():
                is_founder = number in self.founders and member.disks == 1
                quorum.found([self.members[one].replica for one in self.founders] if is_founder else [])
            quorum.listen(member.leader_changed)
            quorum.when_failed().addCallback(member.failures.append)
            quorum.start(member.register).addErrback(member.refused)

    def crash(self, *numbers: int, power: bool = False) -> None:
        """Kill processes, or cut the power of their machines."""
        for number in numbers:
            member = self.members[number]
            member.machine.platter.faults.dies_in = None
            member.machine.crash(power=power)
            self.post.died(member.key, power=power)

    def wipe(self, number: int) -> Member:
        """Give a node that is down a new and empty disk: it is somebody else then (RF15)."""
        before = self.members[number]
        member = self.add_machine(number)
        member.disks = before.disks + 1
        return member

    @property
    def up(self) -> list[Member]:
        """The nodes that run."""
        return [member for member in self.members.values() if member.is_up]

    @property
    def leader(self) -> Member | None:
        """The node that leads, in the highest term where several say so of themselves."""
        leading = [member for member in self.up if member.quorum.leader_id == member.number]
        return max(leading, key=lambda member: member.quorum.term, default=None)

    def the_leader(self) -> Member:
        """Wait until somebody leads and all members that run and are connected know; return who."""
        self.run_until(self._is_leader_known)
        leader = self.leader
        assert leader is not None, "that was just seen"
        return leader

    def _is_leader_known(self) -> bool:
        leader = self.leader
        if leader is None or leader.number in self.post.cut_off:
            return False
        keys = leader.quorum.configuration.member_keys
        here = [one for one in self.up if one.number not in self.post.cut_off and one.key in keys]
        return all(one.quorum.leader_id == leader.number for one in here)

    def others(self, *members: Member) -> list[Member]:
        """Return the nodes that are none of these."""
        return [one for one in self.members.values() if one not in members]

    # Agreeing

    def agree(self, *texts: str) -> None:
        """Have commands agreed on, all at once, by whoever leads."""
        quorum = self.the_leader().quorum
        for deferred in [quorum.propose(text.encode()) for text in texts]:
            self.result_of(deferred)

    def changed(self, *changes: Change) -> None:
        """Change the members, as soon as the change before has come to its end."""
        while True:
            changed = self.outcome_of(self.the_leader().quorum.change_members(changes))
            if not isinstance(changed, Failure):
                return
            self.assertEqual(changed.value.code, ErrorCode.REASSIGNMENT_IN_PROGRESS)  # type: ignore[union-attr]
            self.wait(0.1)

    def run_until_equal(self, *members: Member) -> list[str]:
        """Wait until these nodes, or all that run, have applied the same; return what."""
        equals = members or tuple(self.up)
        self.run_until(lambda: all(one.register.entries == equals[0].register.entries for one in equals))
        return equals[0].register.texts
