"""The file of a replica's log: what a crash tears is cut off, what was damaged is refused (RF14)."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from streamline.errors import StartRefused
from streamline.raft import Configuration, Entry, EntryKind, HardState, Replica, ReplicaKey
from streamline.services.raftrecords import Beginning, Kind, RecordWriter, encode_record, read_contents

ME = ReplicaKey(1, b"directory of n1!")
BEGINNING = Beginning(ME, 0, Configuration((Replica(ME, "n1:9093"),)))


def entries(*terms: int, first: int = 1) -> tuple[Entry, ...]:
    """Return entries of these terms."""
    return tuple(Entry(first + at, term, payload=b"entry %d" % (first + at)) for at, term in enumerate(terms))


class Written:
    """A file as it grows, in pieces."""

    def __init__(self) -> None:
        self.records = RecordWriter()
        self.data = self.records.whole(BEGINNING, HardState(), ())

    def add(self, hard_state: HardState | None, more: Sequence[Entry] = ()) -> list[bytes]:
        """Write a term and entries; return their records."""
        pieces = self.records.written(hard_state, more)
        self.data += b"".join(pieces)
        return pieces

    def synced(self, *, marked: bool = False) -> None:
        """Let all be durable, and perhaps say so in the file."""
        self.records.synced = self.records.number
        if marked:
            self.data += self.records.next(Kind.MARK)


class RecordCase(SynchronousTestCase):
    """Files in, what they say out."""

    def setUp(self) -> None:
        """Begin a file."""
        self.file = Written()

    def reads(self, data: bytes, hard_state: HardState, expected: Sequence[Entry]) -> None:
        """Expect a file to say this."""
        found = read_contents(data, "file")
        self.assertEqual((found.beginning, found.hard_state, found.entries), (BEGINNING, hard_state, tuple(expected)))

    def refuses(self, data: bytes, why: str = "damaged") -> None:
        """Expect a file to be refused."""
        self.assertIn(why, str(self.assertRaises(StartRefused, read_contents, data, "file")))


class ReadingTests(RecordCase):
    """What was written is read."""

    def test_nothing_yet(self) -> None:
        self.reads(self.file.data, HardState(), ())

    def test_terms_votes_and_entries(self) -> None:
        state, found = HardState(3, ME), (Entry(1, 1, EntryKind.NO_OP), *entries(2, 3, first=2))
        self.file.add(HardState(2))
        self.file.add(state, found)
        self.reads(self.file.data, state, found)
        self.reads(RecordWriter().whole(BEGINNING, state, found), state, found)

    def test_marks_say_nothing(self) -> None:
        self.file.add(None, entries(1))
        self.file.synced(marked=True)
        self.file.add(None, entries(1, first=2))
        self.reads(self.file.data, HardState(), entries(1, 1))

    def test_entries_in_the_place_of_others(self) -> None:
        """The first one cuts off what has its index, or a higher one."""
        self.file.add(None, entries(1, 1, 1))
        self.file.add(None, entries(2, first=2))
        self.reads(self.file.data, HardState(), (*entries(1), *entries(2, first=2)))
        self.file.add(None, entries(3))
        self.reads(self.file.data, HardState(), entries(3))

    def test_a_later_release(self) -> None:
        """What is not known is not passed over."""
        number = self.file.records.number + 1
        self.refuses(self.file.data + encode_record(number, 0, 9, b"new"), "run the release that wrote it")  # type: ignore[arg-type]

    def test_entries_that_do_not_follow(self) -> None:
        self.file.add(None, entries(1))
        self.file.add(None, entries(1, first=3))
        self.refuses(self.file.data, "does not follow")

    def test_no_file_of_ours(self) -> None:
        for data in (b"", b"\n", bytes(1000), self.file.data[:-1], b"x" + self.file.data):
            self.refuses(data)

    @given(st.binary(max_size=300))
    def test_any_bytes(self, tail: bytes) -> None:
        """They are no records."""
        self.reads(Written().data + tail, HardState(), ())


class TornTests(RecordCase):
    """What was never synced may be left in any state, and is cut off where its first bad record begins."""

    def setUp(self) -> None:
        """Write something that is durable, and something that is not."""
        super().setUp()
        self.file.add(HardState(1, ME), entries(1))
        self.file.synced()
        self.before = self.file.data
        self.unsynced = self.file.add(HardState(2), entries(2, 2, first=2))

    def test_cut_at_every_byte(self) -> None:
        """DK1, for terms and entries."""
        states = (HardState(1, ME), HardState(2), HardState(2), HardState(2))
        logs = (entries(1), entries(1), entries(1, 2), entries(1, 2, 2))
        tail, ends = b"".join(self.unsynced), [0]
        for piece in self.unsynced:
            ends.append(ends[-1] + len(piece))
        for size in range(len(tail) + 1):
            whole = max(at for at, end in enumerate(ends) if end <= size)
            self.reads(self.before + tail[:size], states[whole], logs[whole])

    def test_later_ones_without_an_earlier_one(self) -> None:
        """A hole in what was not synced: nothing behind it counts."""
        first, *others = self.unsynced
        for hole in (bytes(len(first)), first[:-1] + b"x"):
            self.reads(self.before + hole + b"".join(others), HardState(1, ME), entries(1))


    def test_a_gap(self) -> None:
        """A record whose number does not follow is none of this file."""
        first, *others = self.unsynced
        self.reads(self.before + b"".join(others), HardState(1, ME), entries(1))


class DamagedTests(RecordCase):
    """What was durable and cannot be read any more keeps the replica from voting."""

    def flipped(self, data: bytes) -> None:
        """Expect each bit to be missed."""
        for at in range(len(data)):
            damaged = bytearray(data)
            damaged[at] ^= 1 << at % 8
            self.refuses(bytes(damaged) + self.file.data[len(data) :])

    def test_what_was_put_in_place(self) -> None:
        """Cut short or changed, before anything was written behind it."""
        data = RecordWriter().whole(BEGINNING, HardState(1, ME), entries(1, 1))
        for size in range(len(data)):
            self.refuses(data[:size])
            self.refuses(data[:size] + bytes((data[size] ^ 1,)) + data[size + 1 :])

    def test_every_byte_that_was_durable(self) -> None:
        """Something written later says that it was."""
        self.file.add(HardState(1, ME), entries(1))
        self.file.synced()
        durable = self.file.data
        self.file.add(None, entries(1, first=2))
        self.flipped(durable)

    def test_the_last_record(self) -> None:
        """A mark behind it says so, where nothing else was written."""
        self.file.add(HardState(1, ME), entries(1))
        self.file.synced()
        durable = self.file.data
        self.file.synced(marked=True)
        self.flipped(durable)
