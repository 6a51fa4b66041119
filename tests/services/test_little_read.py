"""What is read when a log is opened: what lies behind the newest snapshot, however the last process ended."""

from __future__ import annotations

from collections import Counter

from streamline.services.bookkeeping import SNAPSHOT_AFTER_BYTES
from streamline.storage.view import WALK_BYTES, WALK_FAR_BYTES
from streamline.testing.simulation.files import SimFile
from streamline.transactions.snapshots import snapshot_name
from tests.broker import batch_of
from tests.services.test_idempotence import DIRECTORY, IdempotenceCase

LARGE = bytes(100_000)
A_SEGMENT = 10
"""How many batches go into one."""


class OpeningTests(IdempotenceCase):
    """A log that no idempotent producer has written, in several segments."""

    configs = {"segment_bytes": str(1 << 20)}
    checkpoint_ms = 1000

    def setUp(self) -> None:
        """Write it, and look who is read from now on."""
        super().setUp()
        self.fill(4 * A_SEGMENT + 9)
        self.broker.wait(2)
        self.read_bytes: Counter[str] = Counter()
        read = SimFile.read

        def counted(file: SimFile, at: int, length: int) -> bytes:
            data = read(file, at, length)
            directory, _, name = file._path.rpartition("/")
            if directory == DIRECTORY and name.endswith(("log", "index")):
                self.read_bytes[name] += len(data)
            return data

        self.patch(SimFile, "read", counted)

    def fill(self, count: int) -> None:
        """Append so many batches."""
        for _ in range(count):
            self.broker.produce("t", batch_of(LARGE))

    def snapshots(self) -> list[str]:
        """Return the names of the snapshots that are there."""
        names = self.broker.partition("t").log.checkpoint_names()
        return [name for name in names if name.endswith(".snapshot")]

    def of_segment(self, number: int, suffix: str = ".log") -> int:
        """Return how many bytes of a segment's file have been read."""
        return self.read_bytes[f"{number * A_SEGMENT:020d}{suffix}"]

    def assert_closed_ones_rest(self) -> None:
        """Nothing of closed segments was read but the end of the last one: it says that the snapshot is of this log."""
        self.assertEqual(self.broker.partition("t").log.segment_offset, 4 * A_SEGMENT)
        for number in range(3):
            read = [self.of_segment(number, suffix) for suffix in (".log", ".index", ".timeindex")]
            self.assertEqual(read, [0, 0, 0], number)
        self.assertLessEqual(self.of_segment(3), WALK_FAR_BYTES + 2 * WALK_BYTES)

    def test_written_when_it_rolls(self) -> None:
        """Three are kept."""
        self.assertEqual(self.snapshots(), [snapshot_name(number * A_SEGMENT) for number in (2, 3, 4)])

    def test_after_a_crash(self) -> None:
        """Closed segments are not read again."""
        self.restart()
        self.assertEqual(self.end(), 4 * A_SEGMENT + 9)
        self.assert_closed_ones_rest()
        self.assertGreater(self.of_segment(4), 0)

    def test_after_a_clean_stop(self) -> None:
        """Nothing is read again but where it ended."""
        self.broker.stop()
        self.read_bytes.clear()
        self.broker.start()
        self.assertEqual(self.end(), 4 * A_SEGMENT + 9)
        self.assertEqual(self.snapshots()[-1], snapshot_name(4 * A_SEGMENT + 9))
        self.assert_closed_ones_rest()
        self.assertLess(self.of_segment(4), 3 * WALK_FAR_BYTES)  # its last header is looked at for two reasons

    def test_few_are_read_again_instead(self) -> None:
        """A stop with little behind the newest snapshot writes none."""
        self.broker.stop()
        self.broker.start()
        self.broker.produce("t", batch_of(b"v"))
        before = self.snapshots()
        self.broker.stop()
        self.broker.start()
        self.assertEqual(self.snapshots(), before)

    def test_what_was_read_counts(self) -> None:
        """What a crash has left to be read is written down at the stop that follows, also where nothing came since."""
        self.restart()
        self.broker.stop()
        self.broker.start()
        self.assertEqual(self.snapshots()[-1], snapshot_name(4 * A_SEGMENT + 9))

    def test_written_with_the_checkpoint(self) -> None:
        """A segment may be large and young: once there is much in it, an opening should not read all of it."""
        self.broker.partition("t").books.unsaved_bytes = SNAPSHOT_AFTER_BYTES - len(LARGE)
        self.broker.wait(2)
        self.assertEqual(self.snapshots()[-1], snapshot_name(4 * A_SEGMENT))
        self.fill(1)
        self.broker.wait(2)
        self.assertEqual(self.snapshots()[-1], snapshot_name(4 * A_SEGMENT + 10))

    def test_tried_again(self) -> None:
        """What could not be kept is kept with a later checkpoint."""
        partition = self.broker.partition("t")
        partition.books.unsaved_bytes = SNAPSHOT_AFTER_BYTES
        self.broker.machine.platter.faults.full = True
        self.broker.wait(2)
        self.assertNotIn(snapshot_name(4 * A_SEGMENT + 9), self.kept())
        self.broker.machine.platter.faults.full = False
        self.broker.wait(2)
        self.assertIn(snapshot_name(4 * A_SEGMENT + 9), self.kept())

    def kept(self) -> list[str]:
        """Return what lies beside the log."""
        assert self.broker.machine.process is not None
        return self.broker.machine.process.disk.list_directory(DIRECTORY)
