"""Consensus of one: durable before it is answered, whatever the disk does."""

from __future__ import annotations

import gc
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from streamline.config import NodeConfig
from streamline.errors import ErrorCode, Refused, StartRefused
from streamline.interfaces import IConsensus, IStateMachine
from streamline.services.commandlog import ENTRIES_NAME, SNAPSHOT_NAME
from streamline.services.single import SingleConsensus
from streamline.testing.simulation import Fabric, Machine, MachineDown, Simulation, Weather

DIRECTORY = "/data/metadata"


@implementer(IStateMachine)
class Notes:
    """Keeps what it is told, refuses what says so, and breaks where it is told to."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def apply(self, index: int, command: bytes) -> int:
        """Note it; return how many there are."""
        text = command.decode()
        if text.startswith("refuse"):
            raise Refused(ErrorCode.INVALID_REQUEST, text)
        if text == "break":
            raise KeyError(text)
        if text == "unknown":
            raise StartRefused("a command of a later release")
        self.notes.append(text)
        return len(self.notes)

    def take_snapshot(self) -> bytes:
        """Return all notes."""
        return "\n".join(self.notes).encode()

    def restore(self, snapshot: bytes) -> None:
        """Start over."""
        self.notes = snapshot.decode().split("\n") if snapshot else []


class ConsensusCase(SynchronousTestCase):
    """One machine, and a process of it that agrees with itself."""

    snapshot_entries = 1000

    def setUp(self) -> None:
        """Make a world."""
        self.world(1)

    def world(self, seed: int) -> None:
        """Start from scratch."""
        self.simulation = Simulation(seed)
        self.machine = Machine(Fabric.of(self.simulation, Weather()), "n1", "10.0.0.1")
        self.faults = self.machine.platter.faults

    def boot(self) -> Deferred[None]:
        """Start a process."""
        self.process = self.machine.start()
        self.notes = Notes()
        entries = str(self.snapshot_entries)
        self.consensus = SingleConsensus(self.process.host, NodeConfig(data_dir="/data"), snapshot_entries=entries)
        return self.consensus.start(self.notes)

    def start(self) -> list[str]:
        """Start a process that comes up; return what it knows."""
        self.successResultOf(self.boot())
        return list(self.notes.notes)

    def refused_start(self) -> str:
        """Start a process that does not come up; return why."""
        return str(self.failureResultOf(self.boot(), StartRefused).value)

    def restart(self, *, power: bool = False) -> list[str]:
        """Kill the process or the machine, and start again."""
        self.machine.crash(power=power)
        return self.start()

    def wait(self, seconds: float = 1.0) -> None:
        """Let time pass."""
        self.simulation.run(self.simulation.now + seconds)

    def say(self, text: str) -> Deferred[Any]:
        """Propose a note."""
        return self.consensus.propose(text.encode())

    def note(self, *texts: str) -> None:
        """Propose notes, one after another, and see them agreed on."""
        for text in texts:
            proposed = self.say(text)
            self.wait()
            self.successResultOf(proposed)

    def refuses(self, text: str, code: ErrorCode) -> None:
        """Propose a note and see it refused."""
        proposed = self.say(text)
        self.wait()
        failure: Failure = self.failureResultOf(proposed, Refused)
        self.assertEqual(failure.value.code, code)  # type: ignore[union-attr]

    def path(self, name: str) -> str:
        """Return where a file lies."""
        return f"{DIRECTORY}/{name}"

    def damage(self, name: str, change: Any) -> None:
        """Change a file while no process runs."""
        disk = self.machine.start().host.disk
        data = bytearray(disk.read_file(self.path(name)))
        disk.replace_file(self.path(name), bytes(change(data)))
        self.machine.crash(power=False)


class AgreeingTests(ConsensusCase):
    """Write, sync, apply, answer; in this order."""

    def test_interface(self) -> None:
        self.start()
        verifyObject(IConsensus, self.consensus)

    def test_results(self) -> None:
        self.start()
        first, second = self.say("a"), self.say("b")
        self.assertNoResult(first)
        self.wait()
        self.assertEqual((self.successResultOf(first), self.successResultOf(second)), (1, 2))
        self.assertEqual((self.consensus.applied_index, self.consensus.leader_id), (2, 1))
        self.successResultOf(self.consensus.read_barrier())

    def test_nothing_is_applied_before_it_is_durable(self) -> None:
        self.start()
        self.faults.stuck_until = self.simulation.now + 30
        proposed = self.say("a")
        self.wait(20)
        self.assertNoResult(proposed)
        self.assertEqual(self.notes.notes, [])
        self.wait(11)
        self.assertEqual(self.successResultOf(proposed), 1)

    def test_refused_commands_keep_their_place(self) -> None:
        self.start()
        self.note("a")
        self.refuses("refuse me", ErrorCode.INVALID_REQUEST)
        self.note("b")
        self.assertEqual(self.consensus.applied_index, 3)
        self.assertEqual(self.restart(), ["a", "b"])
        self.assertEqual(self.consensus.applied_index, 3)

    def test_a_command_that_breaks_the_machine(self) -> None:
        """It is there for good; going on without it would be a state that no other node has."""
        self.start()
        self.refuses("break", ErrorCode.UNKNOWN_SERVER_ERROR)
        self.refuses("a", ErrorCode.UNKNOWN_SERVER_ERROR)
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    def test_not_running(self) -> None:
        self.consensus = SingleConsensus(self.machine.start().host, NodeConfig(data_dir="/data"))
        self.failureResultOf(self.say("a"), Refused)

    def test_stopped(self) -> None:
        self.start()
        failed = self.consensus.when_failed()
        proposed = self.say("a")
        self.successResultOf(self.consensus.stop())
        self.assertNoResult(failed)
        failure = self.failureResultOf(proposed, Refused)
        self.assertEqual(failure.value.code, ErrorCode.REQUEST_TIMED_OUT, "its outcome is unknown")
        self.failureResultOf(self.say("b"), Refused)
        self.wait()
        self.assertIsNone(self.consensus.leader_id)


class RestartTests(ConsensusCase):
    """What was answered is there again; what was not may be."""

    def test_kill(self) -> None:
        self.start()
        self.note("a", "b")
        self.say("unanswered")
        self.assertEqual(self.restart(), ["a", "b", "unanswered"])

    def test_power_cut(self) -> None:
        self.start()
        self.note("a", "b")
        self.say("unanswered")
        self.assertEqual(self.restart(power=True)[:2], ["a", "b"])

    def test_indexes_go_on(self) -> None:
        self.start()
        self.note("a")
        self.restart(power=True)
        self.note("b")
        self.assertEqual(self.consensus.applied_index, 2)
        self.assertEqual(self.restart(power=True), ["a", "b"])

    def test_cut_off_and_written_over(self) -> None:
        """A torn entry is replaced by another of the same index."""
        self.start()
        self.note("a")
        self.machine.crash(power=False)
        self.damage(ENTRIES_NAME, lambda data: data + b"SLC2 half of an entry")
        self.assertEqual(self.start(), ["a"])
        self.note("b")
        self.assertEqual(self.restart(power=True), ["a", "b"])

    def test_bytes_that_a_failed_sync_left_in_the_page_cache(self) -> None:
        """They can be read and are taken for clean: only writing them anew makes them durable."""
        self.start()
        self.note("a")
        self.faults.failing_syncs = 1
        self.refuses("b", ErrorCode.KAFKA_STORAGE_ERROR)
        found = self.restart()
        self.wait()
        self.assertEqual(self.restart(power=True)[: len(found)], found)

    def test_a_command_of_a_later_release(self) -> None:
        """It ends the start with a sentence, not the process with a traceback."""
        self.start()
        self.say("unknown")
        self.machine.crash(power=False)
        self.assertIn("a later release", self.refused_start())
        self.failureResultOf(self.say("a"), Refused)


class FaultTests(ConsensusCase):
    """Full disks pass; lost syncs do not."""

    def test_full(self) -> None:
        """DK10: no ack; it goes on by itself when there is space."""
        self.start()
        self.note("a")
        failed = self.consensus.when_failed()
        self.faults.full = True
        self.refuses("b", ErrorCode.KAFKA_STORAGE_ERROR)
        self.assertNoResult(failed)
        self.faults.full = False
        self.note("c")
        self.assertEqual(self.restart(power=True), ["a", "c"])

    def test_full_in_the_middle(self) -> None:
        """DK10: what was written of a command is taken off again."""
        self.start()
        self.note("a")
        platter, name = self.machine.platter, self.path(ENTRIES_NAME)
        before = self.process.disk.read_file(name)
        platter.capacity_bytes = platter.used_bytes + 150
        self.refuses("b" * 500, ErrorCode.KAFKA_STORAGE_ERROR)
        self.assertEqual(self.process.disk.read_file(name), before)

    def test_write_fails(self) -> None:
        """DK14: nobody knows what is in the file now, so nothing is added to it."""
        self.start()
        self.note("a")
        self.faults.write_error_chance = 1.0
        failed = self.consensus.when_failed()
        self.refuses("b", ErrorCode.KAFKA_STORAGE_ERROR)
        self.assertIn("cannot be written", self.successResultOf(failed))
        self.faults.write_error_chance = 0.0
        self.refuses("c", ErrorCode.KAFKA_STORAGE_ERROR)
        self.assertEqual(self.restart(power=True), ["a"])

    def test_sync_fails_once(self) -> None:
        """DK12: never acked, never tried again; the next start looks at what is there."""
        self.start()
        self.note("a")
        self.faults.failing_syncs = 1
        failed = self.consensus.when_failed()
        self.refuses("b", ErrorCode.KAFKA_STORAGE_ERROR)
        self.assertIn("cannot be synced", self.successResultOf(failed))
        self.refuses("c", ErrorCode.KAFKA_STORAGE_ERROR)
        self.assertEqual(self.notes.notes, ["a"])
        self.assertEqual(self.restart(power=True)[:1], ["a"])

    def test_all_that_share_a_failed_sync(self) -> None:
        self.start()
        self.faults.failing_syncs = 1
        proposed = [self.say(text) for text in "abc"]
        self.wait()
        for one in proposed:
            self.failureResultOf(one, Refused)
        self.assertEqual(self.notes.notes, [])

    def test_nothing_can_be_read(self) -> None:
        self.start()
        self.machine.crash(power=False)
        self.faults.read_error_chance = 1.0
        self.assertIn("cannot read the metadata", self.refused_start())


class DamageTests(ConsensusCase):
    """A damaged file ends the start with a sentence that says what to do."""

    snapshot_entries = 4

    def setUp(self) -> None:
        """Agree on six notes: four in a snapshot, two behind it."""
        super().setUp()
        self.start()
        self.note(*"abcdef")
        self.machine.crash(power=False)

    def test_as_it_is(self) -> None:
        self.assertEqual(self.start(), list("abcdef"))

    def test_snapshot(self) -> None:
        for change in (lambda data: data[:-1], lambda data: b"", lambda data: data[:9] + b"\xff" + data[10:]):
            disk = self.machine.start().host.disk
            whole = disk.read_file(self.path(SNAPSHOT_NAME))
            self.machine.crash(power=False)
            self.damage(SNAPSHOT_NAME, change)
            self.assertIn("commands.snapshot is damaged", self.refused_start())
            self.machine.crash(power=False)
            self.damage(SNAPSHOT_NAME, lambda data, whole=whole: whole)
        self.assertEqual(self.start(), list("abcdef"))

    def test_middle_of_the_log(self) -> None:
        self.damage(ENTRIES_NAME, lambda data: data[:40] + bytes([data[40] ^ 1]) + data[41:])
        self.assertIn("commands.log is damaged", self.refused_start())

    def test_last_entry(self) -> None:
        """The mark behind it says that it was acknowledged."""
        self.damage(ENTRIES_NAME, lambda data: data.replace(b"f", b"g"))
        self.assertIn("commands.log is damaged", self.refused_start())

    def test_snapshot_is_missing(self) -> None:
        disk = self.machine.start().host.disk
        disk.remove(self.path(SNAPSHOT_NAME))
        self.machine.crash(power=False)
        self.assertIn("begins behind its snapshot", self.refused_start())

    def test_log_is_missing(self) -> None:
        disk = self.machine.start().host.disk
        disk.remove(self.path(ENTRIES_NAME))
        self.machine.crash(power=False)
        self.assertIn("commands.log is missing", self.refused_start())

    def test_old_snapshot_put_back(self) -> None:
        """F13: the log begins behind it."""
        disk = self.machine.start().host.disk
        old = disk.read_file(self.path(SNAPSHOT_NAME))
        self.machine.crash(power=False)
        self.start()
        self.note(*"ghij")
        self.machine.crash(power=False)
        self.damage(SNAPSHOT_NAME, lambda data: old)
        self.assertIn("begins behind its snapshot", self.refused_start())


class CrashPointTests(ConsensusCase):
    """Die in every disk call in turn: what was answered is there, in order, and no index comes twice (DK15)."""

    snapshot_entries = 3
    texts = tuple("abcdefgh")

    def run_into(self, point: int, *, power: bool) -> bool:
        """Agree on notes, die at a point, come back; return whether the point was reached."""
        self.world(point)
        self.faults.dies_in, self.faults.dies_of_power = point, power
        answered: list[str] = []
        process = self.machine.start()
        self.simulation.within(process.reactor, self._propose_all, process, answered)
        self.wait(60)
        died = not self.machine.running
        self.faults.dies_in = None
        gc.collect()  # a Deferred in which the process died says so when it is collected
        self.flushLoggedErrors(MachineDown)
        if not died:
            self.machine.crash(power=power)
        found = self.start()
        self.assertEqual(found, list(self.texts[: len(found)]), "nothing is out of order")
        self.assertGreaterEqual(len(found), len(answered), f"lost at point {point}: {answered} were answered")
        self.assertEqual(self.consensus.applied_index, len(found))
        self.note("more")
        self.assertEqual(self.restart(power=True), [*found, "more"])
        return died

    def _propose_all(self, process: Any, answered: list[str]) -> None:
        consensus = SingleConsensus(process.host, NodeConfig(data_dir="/data"), snapshot_entries="3")
        self.successResultOf(consensus.start(Notes()))
        self._propose(process, consensus, answered, *self.texts)

    def _propose(
        self, process: Any, consensus: SingleConsensus, answered: list[str], text: str, *others: str
    ) -> None:  # fmt: skip
        consensus.propose(text.encode()).addCallbacks(lambda _: answered.append(text), lambda _: None)
        if others:
            process.reactor.callLater(0.0005, self._propose, process, consensus, answered, *others)

    def every_point(self, *, power: bool) -> None:
        """Die at one point after another, until there is none left."""
        point = 1
        while self.run_into(point, power=power):
            point += 1
        self.assertGreater(point, 25, "a run has more disk calls than that")

    def test_kill(self) -> None:
        self.every_point(power=False)

    def test_power_cut(self) -> None:
        self.every_point(power=True)
