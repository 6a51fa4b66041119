"""
The contract of L{IConsensus}, for a node that is a cluster of its own.

It runs on a simulated machine, whose process can be killed and whose power can
be cut in the middle of any write.  Subclass L{ConsensusContract} and say how to
make yours::

    class MyConsensusTests(consensus.ConsensusContract):
        def make(self, host, config):
            return MyConsensus(host, config)
"""

from __future__ import annotations

import json
from random import Random
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import implementer
from zope.interface.verify import verifyObject

from streamline.config import NodeConfig
from streamline.errors import ErrorCode, Refused
from streamline.interfaces import Host, IConsensus, IStateMachine
from streamline.testing.contracts.waiting import WaitingCase
from streamline.testing.simulation import Fabric, Machine, Simulation, Weather


@implementer(IStateMachine)
class Ledger:
    """
    A state machine that remembers everything.

    It refuses commands that begin with C{refuse}.

    @ivar entries: the index and text of each command that it carried out.
    @ivar applied: the same, of this life only and with what it refused.
    @ivar restores: how often it was told to start over.
    """

    def __init__(self) -> None:
        self.entries: list[tuple[int, str]] = []
        self.applied: list[tuple[int, str]] = []
        self.restores = 0

    def apply(self, index: int, command: bytes) -> str:
        """Remember a command."""
        text = command.decode()
        self.applied.append((index, text))
        if text.startswith("refuse"):
            raise Refused(ErrorCode.INVALID_REQUEST, text)
        self.entries.append((index, text))
        return f"done {text}"

    def take_snapshot(self) -> bytes:
        """Return everything."""
        return json.dumps(self.entries).encode()

    def restore(self, snapshot: bytes) -> None:
        """Start over."""
        assert not self.applied, "a snapshot comes before the commands behind it"
        self.entries = [(index, text) for index, text in json.loads(snapshot)]
        self.restores += 1

    @property
    def texts(self) -> list[str]:
        """The commands that were carried out, in order."""
        return [text for _, text in self.entries]


class ConsensusHarness(WaitingCase):
    """
    Makes a node with a consensus for each test; a suite's user says how in L{make}.

    @ivar many: commands after which an implementation that takes snapshots has taken one.
    @ivar ledger: the state machine of the present life.
    """

    many = 1100

    machine: Machine
    host: Host
    ledger: Ledger
    consensus: IConsensus

    def make(self, host: Host, config: NodeConfig) -> IConsensus:
        """Return the consensus under test, not yet started."""
        raise NotImplementedError("say how to make the consensus")

    def setUp(self) -> None:
        """Start a node."""
        self.begin(1)

    def begin(self, seed: int) -> None:
        """Start a node in a world of its own."""
        self.simulation = Simulation(seed)
        self.machine = Machine(Fabric.of(self.simulation, Weather()), "n1", "10.0.0.1")
        self.start()

    def start(self) -> None:
        """Start the node's process, and wait until it leads."""
        process = self.machine.start()
        self.host = process.host
        process.disk.make_directories("/data")
        self.ledger = Ledger()
        self.consensus = self.make(self.host, NodeConfig(node_id=1, data_dir="/data"))
        self.result_of(self.consensus.start(self.ledger))
        self.run_until(lambda: self.consensus.leader_id == 1)

    def crash(self, *, power: bool) -> None:
        """Kill the process or cut the power, and start the node again."""
        self.machine.platter.faults.dies_in = None
        self.machine.crash(power=power)
        self.start()

    def propose(self, *texts: str) -> list[Any]:
        """Propose all of these at once and wait for what comes of them."""
        proposed = [self.consensus.propose(text.encode()) for text in texts]
        return [self.result_of(deferred) for deferred in proposed]


class ConsensusContract(ConsensusHarness):
    """
    A suite to be subclassed.

    @ivar seeds: how many histories are tried where chance has a part.
    """

    seeds = 60

    # Agreeing

    def test_interface(self) -> None:
        """It has everything that its interface names."""
        verifyObject(IConsensus, self.consensus)

    def test_a_node_alone_leads(self) -> None:
        """In a term, with nothing applied that nobody proposed."""
        self.assertEqual(self.consensus.leader_id, 1)
        self.assertGreaterEqual(self.consensus.term, 1)
        self.assertEqual(self.ledger.applied, [])

    def test_what_apply_returns_goes_to_the_proposer(self) -> None:
        """To each their own."""
        self.assertEqual(self.propose("a", "b", "c"), ["done a", "done b", "done c"])

    def test_commands_are_applied_in_the_order_of_the_proposals(self) -> None:
        """Each once, at indexes that grow; the last one is the applied index."""
        texts = [str(number) for number in range(50)]
        self.propose(*texts)
        self.assertEqual(self.ledger.texts, texts)
        indexes = [index for index, _ in self.ledger.entries]
        self.assertEqual(indexes, sorted(set(indexes)))
        self.assertEqual(self.consensus.applied_index, indexes[-1])

    def test_applied_before_answered(self) -> None:
        """Who was answered finds the command applied."""
        seen = self.consensus.propose(b"a").addCallback(lambda _: list(self.ledger.texts))
        self.assertEqual(self.result_of(seen), ["a"])

    def test_a_refusal_goes_to_the_proposer_and_nobody_else(self) -> None:
        """A command that changed nothing is part of the order all the same."""
        before, refused, behind = (self.consensus.propose(text) for text in (b"a", b"refuse this", b"b"))
        self.assertEqual(self.result_of(before), "done a")
        self.assertEqual(self.refusal_of(refused), ErrorCode.INVALID_REQUEST)
        self.assertEqual(self.result_of(behind), "done b")
        self.assertEqual([text for _, text in self.ledger.applied], ["a", "refuse this", "b"])
        self.assertEqual(self.consensus.applied_index, self.ledger.applied[-1][0])

    def test_a_proposal_may_come_out_of_another(self) -> None:
        """Proposing from a proposal's callback is allowed."""
        inner: list[Deferred[Any]] = []
        self.result_of(self.consensus.propose(b"a").addCallback(lambda _: inner.append(self.consensus.propose(b"b"))))
        self.assertEqual(self.result_of(inner[0]), "done b")
        self.assertEqual(self.ledger.texts, ["a", "b"])

    def test_an_empty_and_a_large_command(self) -> None:
        """A command is bytes, however many."""
        large = "x" * 1_000_000
        self.propose("", large)
        self.crash(power=True)
        self.assertEqual(self.ledger.texts, ["", large])

    def test_a_read_barrier_waits_for_what_was_committed(self) -> None:
        """What was answered before is applied when it fires."""
        self.propose("a")
        self.assertIsNone(self.result_of(self.consensus.read_barrier()))
        self.assertEqual(self.ledger.texts, ["a"])

    # Stopping

    def test_nothing_is_proposed_to_one_that_does_not_run(self) -> None:
        """Neither before it started nor after it stopped."""
        idle = self.make(self.host, NodeConfig(node_id=1, data_dir="/elsewhere"))
        self.assertEqual(self.refusal_of(idle.propose(b"a")), ErrorCode.NOT_CONTROLLER)
        self.result_of(self.consensus.stop())
        self.assertEqual(self.refusal_of(self.consensus.propose(b"a")), ErrorCode.NOT_CONTROLLER)
        self.assertEqual(self.ledger.applied, [])

    def test_stopping_fails_what_is_in_flight(self) -> None:
        """With an unknown outcome (RF17), and nothing is applied from then on."""
        self.propose("a")
        proposed = self.consensus.propose(b"b")
        self.result_of(self.consensus.stop())
        self.assertEqual(self.refusal_of(proposed), ErrorCode.REQUEST_TIMED_OUT)
        self.machine.simulation.run(self.machine.simulation.now + 1)
        self.assertEqual(self.ledger.texts, ["a"])

    def test_stopped_and_started(self) -> None:
        """The same commands at the same indexes; what was refused once is refused again."""
        for text in ("a", "b"):
            self.propose(text)
        self.refusal_of(self.consensus.propose(b"refuse"))
        self.propose("c")
        before, applied_index = self.ledger.entries, self.consensus.applied_index
        self.result_of(self.consensus.stop())
        self.crash(power=False)
        self.assertEqual((self.ledger.entries, self.consensus.applied_index), (before, applied_index))
        self.propose("d")
        self.assertGreater(self.ledger.entries[-1][0], applied_index)

    # Surviving

    def test_what_was_answered_survives(self) -> None:
        """The death of the process and the loss of power, at whatever moment (RF1, RF2)."""
        for seed in range(self.seeds):
            self.begin(seed)
            self.live_and_die(Random(seed), lives=4, proposals=40, changes_max=50)
        self.forget_the_dead()

    def test_what_was_applied_survives(self) -> None:
        """A life begins with what the life before had written; applied means durable, though nobody is answered."""
        for seed in range(self.seeds):
            self.begin(seed)
            for number in range(3):
                self.consensus.propose(b"%d" % number).addErrback(lambda _: None)
            self.crash(power=False)
            applied = list(self.ledger.entries)
            self.crash(power=True)
            self.assertEqual(self.ledger.entries, applied)

    def test_what_was_answered_survives_a_snapshot(self) -> None:
        """A death around the moment at which a snapshot replaces the commands in it."""
        for seed in range(self.seeds // 3):
            self.begin(seed)
            self.propose(*(f"early {number}" for number in range(self.many - 120)))
            self.live_and_die(Random(seed), lives=2, proposals=60, changes_max=80)
        self.forget_the_dead()

    def live_and_die(self, rng: Random, *, lives: int, proposals: int, changes_max: int) -> None:
        """
        Propose, be killed or lose the power at some moment, and look at what is left; again and again.

        What was applied was durable, so all of it is there, in its order; what
        was answered had been applied; what else is there was proposed.
        """
        for life in range(lives):
            power = rng.random() < 0.5
            before, answered = list(self.ledger.entries), list[str]()
            texts = [f"{life}.{number} ".ljust(rng.choice((10, 10, 1000, 10_000)), ".") for number in range(proposals)]
            for text in texts:
                burst_s = rng.randrange(5) * 0.01  # several to a sync, so that a power cut finds them in any state
                self.host.clock.callLater(burst_s, self._note_answer, text, answered)
            faults = self.machine.platter.faults
            faults.dies_in, faults.dies_of_power = rng.randrange(1, changes_max), power
            self.machine.simulation.run(self.machine.simulation.now + 1)
            told, applied = list(answered), list(self.ledger.entries)
            self.crash(power=power)
            self.assertEqual(self.ledger.entries[: len(applied)], applied, f"seed {self.simulation.seed}")
            self.assertEqual(applied[: len(before)], before)
            found = [text for _, text in self.ledger.entries[len(before) :]]
            self.assertLessEqual(set(told), set(found), f"seed {self.simulation.seed}")
            self.assertLessEqual(set(found), set(texts))
            self.assertEqual(len(found), len(set(found)), "no command comes twice")

    def _note_answer(self, text: str, answered: list[str]) -> None:
        self.consensus.propose(text.encode()).addCallbacks(lambda _: answered.append(text), lambda _: None)

    def test_many_commands(self) -> None:
        """However the past is kept, it comes out the same, and new commands go behind it."""
        texts = [str(number) for number in range(self.many)]
        self.propose(*texts)
        for _ in range(2):
            before, applied_index = self.ledger.entries, self.consensus.applied_index
            self.crash(power=True)
            self.assertEqual((self.ledger.entries, self.consensus.applied_index), (before, applied_index))
            self.assertEqual(self.propose("more"), ["done more"])
        self.assertEqual(self.ledger.texts, [*texts, "more", "more"])

    def test_a_full_disk(self) -> None:
        """Nothing is answered that was not written; once there is room it goes on (DK10)."""
        self.propose("a")
        self.machine.platter.faults.full = True
        self.refusal_of(self.consensus.propose(b"b"))
        self.assertEqual(self.ledger.texts, ["a"])
        self.machine.platter.faults.full = False
        self.assertEqual(self.propose("c"), ["done c"])
        self.crash(power=True)
        self.assertEqual(self.ledger.texts, ["a", "c"])

    def test_a_sync_that_fails(self) -> None:
        """What it was to make durable is neither applied nor answered (DK12, DK14)."""
        self.propose("a")
        self.machine.platter.faults.failing_syncs = 1
        self.refusal_of(self.consensus.propose(b"b"))
        self.assertEqual(self.ledger.texts, ["a"])
        self.crash(power=True)
        self.assertIn(self.ledger.texts, (["a"], ["a", "b"]))
