"""Where leader epochs begin and end: Kafka's LeaderEpochFileCache, case by case."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from streamline.model import NO_EPOCH, NO_OFFSET
from streamline.replication.epochs import LeaderEpochs, dump_epochs, load_epochs

UNDEFINED = (NO_EPOCH, NO_OFFSET)
ENTRIES = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 30)), max_size=12)


class AssignTests(SynchronousTestCase):
    """Both lists rise strictly, whatever is assigned."""

    def test_first_and_next(self) -> None:
        epochs = LeaderEpochs()
        self.assertEqual(epochs.latest, NO_EPOCH)
        self.assertTrue(epochs.assign(0, 0))
        self.assertTrue(epochs.assign(2, 10))
        self.assertEqual(epochs.entries(), [(0, 0), (2, 10)])
        self.assertEqual(epochs.latest, 2)

    def test_same_epoch_changes_nothing(self) -> None:
        epochs = LeaderEpochs([(1, 5)])
        self.assertFalse(epochs.assign(1, 9))
        self.assertEqual(epochs.entries(), [(1, 5)])

    def test_no_epoch(self) -> None:
        epochs = LeaderEpochs()
        self.assertFalse(epochs.assign(NO_EPOCH, 0))
        self.assertEqual(epochs.entries(), [])

    def test_earlier_offset_drops_what_it_contradicts(self) -> None:
        epochs = LeaderEpochs([(1, 5), (2, 10), (3, 20)])
        epochs.assign(4, 10)
        self.assertEqual(epochs.entries(), [(1, 5), (4, 10)])

    def test_earlier_epoch_drops_later_ones(self) -> None:
        epochs = LeaderEpochs([(1, 5), (4, 10)])
        epochs.assign(3, 15)
        self.assertEqual(epochs.entries(), [(1, 5), (3, 15)])

    @given(ENTRIES)
    def test_always_rising(self, given: list[tuple[int, int]]) -> None:
        epochs = LeaderEpochs()
        for epoch, start in given:
            epochs.assign(epoch, start)
            self.assertEqual(epochs.latest, epoch)
            numbers = [entry[0] for entry in epochs.entries()]
            starts = [entry[1] for entry in epochs.entries()]
            self.assertEqual(numbers, sorted(dict.fromkeys(numbers)))
            self.assertEqual(starts, sorted(dict.fromkeys(starts)))


class EndTests(SynchronousTestCase):
    """Where an epoch ends, and what is said of epochs that are not there (KIP-279)."""

    def setUp(self) -> None:
        """A log of 50 records in three epochs, with gaps between them."""
        self.epochs = LeaderEpochs([(2, 10), (5, 20), (7, 30)])

    def ends(self, epoch: int, expected: tuple[int, int]) -> None:
        """Expect an answer."""
        self.assertEqual(self.epochs.end_of(epoch, 50), expected, epoch)

    def test_latest_ends_with_the_log(self) -> None:
        self.ends(7, (7, 50))

    def test_known(self) -> None:
        self.ends(2, (2, 20))
        self.ends(5, (5, 30))

    def test_between(self) -> None:
        """The largest epoch that is not beyond the one asked for."""
        self.ends(3, (2, 20))
        self.ends(6, (5, 30))

    def test_before_the_first(self) -> None:
        """Nothing of it is left: the reader goes to where the first one begins."""
        self.ends(1, (1, 10))

    def test_beyond_the_latest(self) -> None:
        self.ends(8, UNDEFINED)

    def test_undefined(self) -> None:
        self.ends(NO_EPOCH, UNDEFINED)

    def test_empty(self) -> None:
        self.assertEqual(LeaderEpochs().end_of(0, 0), UNDEFINED)

    def test_epoch_at(self) -> None:
        found = [self.epochs.epoch_at(offset) for offset in (9, 10, 19, 20, 30, 99)]
        self.assertEqual(found, [NO_EPOCH, 2, 2, 5, 7, 7])


class CuttingTests(SynchronousTestCase):
    """The cache follows the log where that is cut, at either end (KR4)."""

    def setUp(self) -> None:
        """Three epochs."""
        self.epochs = LeaderEpochs([(2, 10), (5, 20), (7, 30)])

    def test_end(self) -> None:
        self.assertFalse(self.epochs.truncate_end(31))
        self.assertTrue(self.epochs.truncate_end(30))
        self.assertEqual(self.epochs.entries(), [(2, 10), (5, 20)])
        self.assertTrue(self.epochs.truncate_end(0))
        self.assertEqual(self.epochs.entries(), [])

    def test_start(self) -> None:
        """The epoch that holds the new start begins there from now on."""
        self.assertTrue(self.epochs.truncate_start(25))
        self.assertEqual(self.epochs.entries(), [(5, 25), (7, 30)])
        self.assertEqual(self.epochs.end_of(5, 50), (5, 30))

    def test_start_at_a_boundary(self) -> None:
        self.assertTrue(self.epochs.truncate_start(20))
        self.assertEqual(self.epochs.entries(), [(5, 20), (7, 30)])
        self.assertFalse(self.epochs.truncate_start(20))

    def test_start_beyond_all_keeps_the_latest(self) -> None:
        """An empty log still knows its epoch."""
        self.assertTrue(self.epochs.truncate_start(99))
        self.assertEqual(self.epochs.entries(), [(7, 99)])

    def test_start_before_all(self) -> None:
        self.assertFalse(self.epochs.truncate_start(5))
        self.assertFalse(LeaderEpochs().truncate_start(5))


class CheckpointTests(SynchronousTestCase):
    """Kafka's file, there and back."""

    def test_as_kafka_writes_it(self) -> None:
        self.assertEqual(dump_epochs([(0, 0), (3, 17)]), b"0\n2\n0 0\n3 17\n")
        self.assertEqual(dump_epochs([]), b"0\n0\n")

    @given(ENTRIES)
    def test_there_and_back(self, given: list[tuple[int, int]]) -> None:
        entries = LeaderEpochs(given).entries()
        self.assertEqual(load_epochs(dump_epochs(entries)), entries)

    def test_damage(self) -> None:
        bad = (
            b"", b"0\n", b"1\n0\n", b"0\n2\n0 0\n", b"0\n1\n0 0\n1 1\n", b"0\n1\n0\n", b"0\n1\n0 x\n", b"0\nx\n",
            b"\xff\n0\n", b"0\n1\n0 0 0\n", bytes(20),
        )  # fmt: skip
        for data in bad:
            self.assertRaises(ValueError, load_epochs, data)
