"""What a replica finds at its start: its own files, parts of them, or those of consensus of one."""

from __future__ import annotations

from collections.abc import Callable

from streamline.config import NodeConfig
from streamline.errors import ErrorCode, StartRefused
from streamline.interfaces import Host, IConsensus
from streamline.services.raft import RaftConsensus
from streamline.services.raftrecords import Kind, encode_record
from streamline.services.single import SingleConsensus
from streamline.testing.contracts import consensus
from streamline.testing.contracts.consensus import Ledger

DIRECTORY_ID = b"directory of n1!"
LOG = "/data/metadata/raft.log"
SNAPSHOT = "/data/metadata/raft.snapshot"
SINGLE = ("/data/metadata/commands.log", "/data/metadata/commands.snapshot")

Maker = Callable[[Host, NodeConfig], IConsensus]


def single(host: Host, config: NodeConfig) -> SingleConsensus:
    """Return consensus of one."""
    return SingleConsensus(host, config, snapshot_entries="20")


def raft(host: Host, config: NodeConfig) -> RaftConsensus:
    """Return a replica."""
    made = RaftConsensus(host, config, snapshot_entries="20", proposals_max="200")
    made.identify(DIRECTORY_ID)
    return made


class FilesCase(consensus.ConsensusHarness):
    """A node whose consensus may change from one life to the next."""

    maker: Maker = staticmethod(raft)

    def make(self, host: Host, config: NodeConfig) -> IConsensus:
        """Make it."""
        return self.maker(host, config)

    def say(self, count: int, word: str = "") -> None:
        """Have so many things agreed on, and what follows from that done."""
        self.propose(*(f"{word}{number}" for number in range(count)))
        self.machine.simulation.run(self.machine.simulation.now + 1)

    def next_life(self, maker: Maker, *, power: bool = False) -> None:
        """Go on with this consensus."""
        self.maker = maker
        self.crash(power=power)

    def refusal(self, maker: Maker = raft) -> str:
        """Start over the same files, and return why that is refused."""
        self.result_of(self.consensus.stop())
        again = maker(self.host, NodeConfig(node_id=1, data_dir="/data"))
        return str(self.assertRaises(StartRefused, self.result_of, again.start(Ledger())))

    def names(self) -> list[str]:
        """Return what lies in the directory."""
        return self.host.disk.list_directory("/data/metadata")


class FilesTests(FilesCase):
    """Its own files, whole or not."""

    def test_a_log_is_cut_by_snapshots(self) -> None:
        """What lies on the disk is bounded, whatever was agreed on."""
        self.say(20)
        size = len(self.host.disk.read_file(LOG))
        for round in range(20):
            self.say(20, f"{round}.")
        self.assertLess(len(self.host.disk.read_file(LOG)), 3 * size)
        self.next_life(raft)
        self.assertEqual((len(self.ledger.entries), self.ledger.restores), (420, 1))

    def test_a_log_without_its_snapshot(self) -> None:
        """As after restoring one of two files (RF13)."""
        self.say(100)
        self.host.disk.remove(SNAPSHOT)
        self.assertIn("begins behind entry", self.refusal())

    def test_a_snapshot_of_before(self) -> None:
        """It does not reach to where the log begins (RF13)."""
        self.say(30)
        before = self.host.disk.read_file(SNAPSHOT)
        self.say(100)
        self.host.disk.replace_file(SNAPSHOT, before)
        self.assertIn("does not reach so far; restore both from one backup", self.refusal())

    def test_a_snapshot_without_its_log(self) -> None:
        """The term and the vote were in there (RF1)."""
        self.say(100)
        self.host.disk.remove(LOG)
        self.assertIn("raft.log is missing", self.refusal())

    def test_a_damaged_snapshot(self) -> None:
        """Any byte of it."""
        self.say(30)
        good = self.host.disk.read_file(SNAPSHOT)
        for at in range(0, len(good), 7):
            damaged = bytearray(good)
            damaged[at] ^= 1
            self.host.disk.replace_file(SNAPSHOT, bytes(damaged))
            self.assertIn("raft.snapshot is damaged", self.refusal())

    def test_a_damaged_log(self) -> None:
        """Where it had been durable (RF14); the sentence says what can be done."""
        self.propose("a")
        self.propose("b")
        data = bytearray(self.host.disk.read_file(LOG))
        data[len(data) // 2] ^= 1
        self.host.disk.replace_file(LOG, bytes(data))
        refusal = self.refusal()
        self.assertIn("is damaged at byte", refusal)
        self.assertIn("where the other nodes of the cluster are alive", refusal)

    def test_damage_of_the_last_command(self) -> None:
        """It was answered, and nothing was written since; a mark says so (RF14)."""
        self.propose("a")
        self.machine.simulation.run(self.machine.simulation.now + 1)
        data = self.host.disk.read_file(LOG)
        at = data.rindex(b"a")
        self.host.disk.replace_file(LOG, data[:at] + b"b" + data[at + 1 :])
        self.assertIn("is damaged at byte", self.refusal())

    def test_a_log_that_rests(self) -> None:
        """It is marked once, and does not grow by itself."""
        self.propose("a")
        sizes = [len(self.host.disk.read_file(LOG))]
        for _ in range(3):
            self.machine.simulation.run(self.machine.simulation.now + 1)
            sizes.append(len(self.host.disk.read_file(LOG)))
        self.assertEqual(sizes[1:], [sizes[0] + len(encode_record(1, 1, Kind.MARK))] * 3)

    def test_bytes_that_only_the_page_cache_has(self) -> None:
        """After a sync that failed they can be read, and the next sync says yes; they are written once more (RF2)."""
        self.propose("a")
        self.machine.platter.faults.failing_syncs = 1
        self.refusal_of(self.consensus.propose(b"b"))
        self.crash(power=False)
        self.assertEqual(self.ledger.texts, ["a", "b"])
        self.crash(power=True)
        self.assertEqual(self.ledger.texts, ["a", "b"])

    def test_a_write_that_half_fits(self) -> None:
        """Nothing of it stays (RC11)."""
        self.propose("a")
        store = self.consensus._founding.store  # type: ignore[attr-defined]
        size = len(self.host.disk.read_file(LOG))
        self.machine.platter.capacity_bytes = self.machine.platter.used_bytes + 20
        for _ in range(20):
            self.assertRaises(OSError, store.mark)
            self.assertEqual(len(self.host.disk.read_file(LOG)), size)

    def test_too_much_under_way(self) -> None:
        """Beyond a number, proposals are refused, and never take effect."""
        proposed = [self.consensus.propose(b"%d" % number) for number in range(200)]
        self.assertEqual(self.refusal_of(self.consensus.propose(b"no")), ErrorCode.THROTTLING_QUOTA_EXCEEDED)
        for deferred in proposed:
            self.result_of(deferred)
        self.assertEqual(self.propose("yes"), ["done yes"])
        self.assertNotIn("no", self.ledger.texts)


class TakingOverTests(FilesCase):
    """What consensus of one agreed on goes on to hold."""

    maker: Maker = staticmethod(single)

    def taken_over(self, count: int) -> None:
        """Agree on something as one, then go on as a replica."""
        self.say(count)
        before, applied_index = self.ledger.entries, self.consensus.applied_index
        self.next_life(raft)
        self.assertEqual((self.ledger.entries, self.consensus.applied_index), (before, applied_index))
        self.assertEqual(self.names(), ["raft.log", "raft.snapshot"] if count >= 20 else ["raft.log"])
        self.assertEqual(self.propose("more"), ["done more"])
        for power in (True, False):
            self.crash(power=power)
            self.assertEqual(self.ledger.entries[:-1], before)
            self.assertEqual(self.ledger.texts[-1], "more")

    def test_commands(self) -> None:
        """At their indexes."""
        self.taken_over(5)

    def test_a_snapshot_and_commands(self) -> None:
        """Both."""
        self.taken_over(77)

    def test_nothing(self) -> None:
        """A directory in which nothing was agreed on yet."""
        self.taken_over(0)

    def test_terms_go_on(self) -> None:
        """The controller epoch never falls."""
        self.say(3)
        self.next_life(raft)
        self.assertGreater(self.consensus.term, SingleConsensus.term)

    def test_there_is_no_way_back(self) -> None:
        """It would know nothing of the others; it says what to do instead."""
        self.next_life(raft)
        self.propose("a")
        refusal = self.refusal(single)
        self.assertIn("start with --consensus raft", refusal)

    def test_damage_is_not_taken_over(self) -> None:
        """What consensus of one would refuse is refused."""
        self.say(77)
        self.host.disk.remove(SINGLE[0])
        self.assertIn("commands.log is missing", self.refusal())

    def test_crashes(self) -> None:
        """At each step, of either kind: nothing is lost, and it is done the next time (DK5)."""
        for seed in range(2):
            for changes in range(1, 24):
                self.maker = single
                self.begin(seed)
                self.say(25)
                before = self.ledger.entries
                self.maker = raft
                faults = self.machine.platter.faults
                self.machine.crash(power=False)
                process = self.machine.start()
                faults.dies_in, faults.dies_of_power = changes, bool(seed)
                again = raft(process.host, NodeConfig(node_id=1, data_dir="/data"))
                process.reactor.callLater(0, again.start, Ledger())
                self.machine.simulation.run(self.machine.simulation.now + 1)
                self.crash(power=bool(seed))
                self.assertEqual(self.ledger.entries, before, f"died after {changes} changes")
                self.assertEqual(self.names(), ["raft.log", "raft.snapshot"])
        self.flushLoggedErrors()
