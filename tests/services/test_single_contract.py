"""The consensus of one node keeps the contract, and knows a damaged file from a torn write."""

from __future__ import annotations

from streamline.config import NodeConfig
from streamline.errors import StartRefused
from streamline.interfaces import Host, IConsensus
from streamline.services.commandlog import Entry, encode_entry, encode_mark
from streamline.services.single import SingleConsensus
from streamline.testing.contracts import consensus
from streamline.testing.contracts.consensus import Ledger

ENTRIES = "/data/metadata/commands.log"
SNAPSHOT = "/data/metadata/commands.snapshot"


class SingleConsensusContractTests(consensus.ConsensusContract):
    """What every consensus promises."""

    def make(self, host: Host, config: NodeConfig) -> IConsensus:
        """Make it."""
        return SingleConsensus(host, config)


class DamageTests(consensus.ConsensusHarness):
    """What was acknowledged and cannot be read any more keeps the node from starting."""

    def make(self, host: Host, config: NodeConfig) -> IConsensus:
        """Make it."""
        return SingleConsensus(host, config)

    def damaged(self, path: str, at: int) -> str:
        """Turn one bit of a file over, start, and return why that is refused."""
        self.result_of(self.consensus.stop())
        data = bytearray(self.host.disk.read_file(path))
        data[at] ^= 1
        self.host.disk.replace_file(path, bytes(data))
        again = self.make(self.host, NodeConfig(node_id=1, data_dir="/data"))
        return str(self.assertRaises(StartRefused, self.result_of, again.start(Ledger())))

    def test_any_bit_of_an_entry_with_another_behind_it(self) -> None:
        """Each byte of the first entry, in a log of two."""
        size = len(encode_entry(Entry(1, b"a", 0)))
        for at in range(size):
            self.begin(1)
            self.propose("a")
            self.propose("b")
            self.assertIn("where acknowledged changes were; restore it from a backup", self.damaged(ENTRIES, at))

    def test_a_snapshot(self) -> None:
        """The commands in it are nowhere else."""
        self.propose(*(str(number) for number in range(self.many)))
        self.assertIn("commands.snapshot is damaged", self.damaged(SNAPSHOT, 20))

    def test_entries_that_begin_behind_the_snapshot(self) -> None:
        """As after restoring one of two files."""
        self.propose(*(str(number) for number in range(self.many)))
        self.propose("more")
        self.result_of(self.consensus.stop())
        self.host.disk.remove(SNAPSHOT)
        again = self.make(self.host, NodeConfig(node_id=1, data_dir="/data"))
        self.assertRaises(StartRefused, self.result_of, again.start(Ledger()))


class TornTests(consensus.ConsensusHarness):
    """What was never synced may be left in any state, and is cut off where its first bad entry begins."""

    def make(self, host: Host, config: NodeConfig) -> IConsensus:
        """Make it."""
        return SingleConsensus(host, config)

    def kept(self, *left: bytes) -> list[str]:
        """Start with these bytes in the file, behind one good entry; return the commands that are kept behind that."""
        self.begin(1)
        self.host.disk.replace_file(ENTRIES, encode_mark(0) + encode_entry(Entry(1, b"a", 0)) + b"".join(left))
        self.start_again()
        self.assertEqual(self.ledger.entries[0], (1, "a"))
        return self.ledger.texts[1:]

    def start_again(self) -> None:
        """Start over what is on the disk."""
        self.machine.crash(power=False)
        self.start()

    def test_cut_at_every_byte(self) -> None:
        """DK1, for commands."""
        second = encode_entry(Entry(2, b"bb", 1))
        for size in range(len(second)):
            self.assertEqual(self.kept(second[:size]), [])
        self.assertEqual(self.kept(second), ["bb"])

    def test_later_ones_without_an_earlier_one(self) -> None:
        """They must not come back to life behind what is written next."""
        good, lost = encode_entry(Entry(3, b"cc", 1)), bytearray(encode_entry(Entry(2, b"bb", 1)))
        lost[-1] ^= 1
        self.assertEqual(self.kept(bytes(lost), good), [])
        self.assertEqual(self.kept(bytes(len(lost)), good), [], "a page of zeros")
        self.assertEqual(self.propose("dd"), ["done dd"])
        self.start_again()
        self.assertEqual(self.ledger.texts, ["a", "dd"])

    def test_a_gap(self) -> None:
        """An entry that does not follow its neighbour is not one of these."""
        self.assertEqual(self.kept(encode_entry(Entry(3, b"cc", 1))), [])
