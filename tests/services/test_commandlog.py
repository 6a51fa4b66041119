"""The file of metadata commands: what a crash tears is cut off, what was damaged is refused."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from streamline.errors import StartRefused
from streamline.services.commandlog import Entry, encode_entry, encode_mark, read_entries

BEGINNING = encode_mark(0)


def written(*payloads: bytes, synced: tuple[int, ...] = (), after: int = 0) -> list[bytes]:
    """Return a file, in pieces: its first mark, and an entry for each payload."""
    pieces = [encode_mark(after)]
    for number, payload in enumerate(payloads):
        index = after + 1 + number
        pieces.append(encode_entry(Entry(index, payload, synced[number] if synced else after)))
    return pieces


class CommandLogCase(SynchronousTestCase):
    """Files in, entries out."""

    def reads(self, data: bytes, *payloads: bytes, after: int = 0) -> None:
        """Expect a file to hold these commands."""
        found = read_entries(data, "file", after)
        self.assertEqual([entry.payload for entry in found], list(payloads))
        self.assertEqual([entry.index for entry in found], list(range(after + 1, after + 1 + len(payloads))))

    def refuses(self, data: bytes, why: str = "damaged", after: int = 0) -> None:
        """Expect a file to be refused."""
        refusal = self.assertRaises(StartRefused, read_entries, data, "file", after)
        self.assertIn(why, str(refusal))


class ReadingTests(CommandLogCase):
    """What was written is read."""

    def test_there_and_back(self) -> None:
        self.reads(BEGINNING)
        self.reads(b"".join(written(b"a", b"bb", bytes(100_000))), b"a", b"bb", bytes(100_000))

    def test_marks_are_not_commands(self) -> None:
        first, a, b = written(b"a", b"b")
        self.reads(first + a + encode_mark(1) + encode_mark(1) + b + encode_mark(2), b"a", b"b")

    def test_what_a_snapshot_holds_is_left_out(self) -> None:
        data = b"".join(written(b"a", b"b", b"c"))
        self.reads(data, b"c", after=2)
        self.reads(data, after=3)
        self.reads(data, after=9)

    def test_begins_behind_its_snapshot(self) -> None:
        """Something between the two is missing."""
        data = b"".join(written(b"f", b"g", after=5))
        self.reads(data, b"f", b"g", after=5)
        self.refuses(data, "begins behind", after=4)
        self.refuses(encode_mark(5), "begins behind", after=4)

    def test_no_beginning(self) -> None:
        """A file is put in place whole, so an empty one has been cut."""
        self.refuses(b"")
        self.refuses(b"".join(written(b"a")[1:]))
        self.refuses(bytes(200))


class TornTests(CommandLogCase):
    """What was never synced, and so never answered, may lie there in any state."""

    def test_cut_at_every_byte(self) -> None:
        pieces = written(b"first", b"second")
        data, whole = b"".join(pieces), b"".join(pieces[:2])
        for cut in range(len(whole), len(data)):
            self.reads(data[:cut], b"first")
        self.reads(data, b"first", b"second")

    def test_a_hole_with_good_entries_behind(self) -> None:
        """Pages reach the device in any order: two commands in flight, only the second is there."""
        first, a, b, c = written(b"a", b"b", b"c")
        self.reads(first + a + bytes(len(b)) + c, b"a")
        self.reads(first + bytes(len(a)) + b + c)

    def test_zeros_behind(self) -> None:
        self.reads(b"".join(written(b"a")) + bytes(4096), b"a")

    def test_an_older_file_shows_through(self) -> None:
        """Entries of the same form and other numbers are not taken for the next ones."""
        first, a, _ = written(b"a", b"b")
        old = written(b"x", b"y", b"z")[3]
        self.reads(first + a + old, b"a")


class DamagedTests(CommandLogCase):
    """What was acknowledged and is not there any more is not passed over (RF14)."""

    def test_every_bit_of_an_entry_that_is_known_to_be_synced(self) -> None:
        pieces = written(b"first", b"second", b"third", synced=(0, 1, 2))
        start = len(b"".join(pieces[:2]))
        for at in range(start * 8, (start + len(pieces[2])) * 8):
            data = bytearray(b"".join(pieces))
            data[at // 8] ^= 1 << at % 8
            self.refuses(bytes(data))

    def test_a_mark_tells_of_the_last_entry(self) -> None:
        pieces = [*written(b"a", b"b"), encode_mark(2)]
        data = bytearray(b"".join(pieces))
        data[-len(pieces[3]) - 1] ^= 1
        self.refuses(bytes(data))

    def test_damage_in_what_a_snapshot_holds(self) -> None:
        """Nothing is lost by it."""
        first, a, b, c = written(b"a", b"b", b"c", synced=(0, 1, 2))
        data = first + bytes(len(a)) + b + c
        self.refuses(data, after=1)
        self.reads(data, after=3)

    @given(st.lists(st.binary(min_size=1, max_size=20), max_size=6), st.data())
    def test_whatever_is_read_was_written(self, payloads: list[bytes], data: st.DataObject) -> None:
        """Change any byte: a prefix comes back, or a refusal, and nothing else."""
        content = bytearray(b"".join(written(*payloads, synced=tuple(range(len(payloads))))))
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] ^= data.draw(st.integers(1, 255))
        try:
            found = [entry.payload for entry in read_entries(bytes(content), "file")]
        except StartRefused:
            return
        self.assertEqual(found, payloads[: len(found)])
