"""Many logs that are opened or closed together: durable like one, and each fails for itself."""

from __future__ import annotations

from collections import Counter
from typing import Any

from twisted.internet.defer import DeferredList
from twisted.trial.unittest import SynchronousTestCase

from streamline.errors import StorageFailed
from streamline.interfaces import IFile, IPartitionLog
from streamline.model import LogIdentity
from streamline.storage.segment import Segment
from streamline.storage.together import AT_ONCE, TOGETHER_MIN
from streamline.testing.contracts.storage_harness import TOPIC_ID, make_batch
from streamline.testing.simulation import SimDisk
from streamline.wire.batch import read_header
from tests.storage.machines import DATA, Station

LOGS = AT_ONCE + 3 * TOGETHER_MIN
"""Some begin alone; the others come together."""
MANY = [LogIdentity("many", index, TOPIC_ID) for index in range(LOGS)]


class TogetherTests(SynchronousTestCase):
    """What is promised of one log that is opened holds for many."""

    def setUp(self) -> None:
        """Open many logs that are new, and see what is synced together."""
        self.together: list[int] = []
        sync_together = SimDisk.sync_together

        def counted(disk: SimDisk, files: list[IFile], directories: list[str]) -> bool:
            self.together.append(len(files))
            return sync_together(disk, files, directories)

        self.patch(SimDisk, "sync_together", counted)
        self.station = Station()
        self.station.start()
        self.logs = self.opened()

    def opened(self) -> list[Any]:
        """Open all of them at the same time; return the logs, or the failures."""
        opening = [self.station.storage.open(identity, self.station.config) for identity in MANY]
        outcomes: Any = self.station.wait(DeferredList(opening, consumeErrors=True))
        return [result if is_open else result.value for is_open, result in outcomes]

    def fill(self) -> None:
        """Append a batch to each, which is synced nowhere."""
        for log in self.logs:
            batch = make_batch(0)
            log.append(read_header(batch), [batch])
            log.flush()

    def ends(self) -> list[int]:
        """Return where each ends."""
        return [log.end_offset for log in self.logs]

    def test_few_waits(self) -> None:
        """The device is waited for once for those that came together."""
        self.assertEqual(sum(self.together), 2 * (LOGS - AT_ONCE), "a log and a file that says whose it is")
        self.together.clear()
        self.station.restart()
        self.logs = self.opened()
        self.assertEqual(sum(self.together), LOGS - AT_ONCE)

    def test_new_logs_are_durable(self) -> None:
        """Their directories say whose they are, whatever happens next (DK15)."""
        for seed in range(10):
            self.station = Station(seed)
            self.station.start()
            self.opened()
            self.station.restart(power=True)
            self.assertTrue({*MANY} <= {*self.station.storage.identities()}, seed)

    def test_recovered_is_durable(self) -> None:
        """What killed processes left in the page cache survives the power once recovery has shown it (DK6)."""
        for seed in range(10):
            self.station = Station(seed)
            self.station.start()
            self.logs = self.opened()
            self.fill()
            self.station.restart()
            self.logs = self.opened()
            self.assertEqual(self.ends(), LOGS * [1])
            self.station.restart(power=True)
            self.logs = self.opened()
            self.assertEqual(self.ends(), LOGS * [1], seed)

    def test_closed_together(self) -> None:
        """A clean stop waits for the device a few times, and all that was there is there, indexes as well."""
        for log in self.logs:
            for offset in range(20):
                batch = make_batch(offset, value_bytes=100)
                log.append(read_header(batch), [batch])
        self.together.clear()
        self.station.stop()
        self.assertGreater(sum(self.together), 3 * (LOGS - AT_ONCE) - 1, "a log and its two indexes")
        rebuilt: list[object] = []
        rebuild = Segment.rebuild

        def counted(segment: Segment, why: Exception) -> None:
            rebuilt.append(why)
            rebuild(segment, why)

        self.patch(Segment, "rebuild", counted)
        self.station.start()
        self.assertIsNotNone(self.station.storage.clean_epoch)
        self.logs = self.opened()
        self.assertEqual((self.ends(), rebuilt), (LOGS * [20], []))
        self.station.restart(power=True)
        self.logs = self.opened()
        self.assertEqual(self.ends(), LOGS * [20])

    def kept(self, data: bytes) -> list[object]:
        """Have each log keep a blob; return what came of each."""
        keeping = [log.put_checkpoints_later([("a.snapshot", data)]) for log in self.logs]
        outcomes: Any = self.station.wait(DeferredList(keeping, consumeErrors=True))
        return [result if is_kept else result.type for is_kept, result in outcomes]

    def test_blobs(self) -> None:
        """Blobs of many logs are durable with few waits: once under another name, and once under their own."""
        self.kept(b"old")
        self.together.clear()
        self.assertEqual(self.kept(b"new"), LOGS * [None])
        self.assertGreaterEqual(sum(self.together), LOGS - AT_ONCE)
        self.assertEqual(len(self.together), 2 * len([files for files in self.together if files]))
        self.station.restart(power=True)
        self.logs = self.opened()
        self.assertEqual([log.get_checkpoint("a.snapshot") for log in self.logs], LOGS * [b"new"])

    def test_one_blob_fails(self) -> None:
        """It stays as it was, its log goes on, and the others are kept."""
        self.kept(b"old")
        self.station.faults.failing_syncs = 1
        outcomes = self.kept(b"new")
        self.assertEqual(Counter(outcomes), {None: LOGS - 1, StorageFailed: 1})
        found = [log.get_checkpoint("a.snapshot") for log in self.logs]
        self.assertEqual(found, [b"new" if outcome is None else b"old" for outcome in outcomes])
        self.fill()
        self.assertEqual(self.ends(), LOGS * [1])

    def test_one_cannot_be_closed(self) -> None:
        """A sync that fails as logs are closed makes that the stop is no clean one (DK12)."""
        self.fill()
        self.station.faults.failing_syncs = 1
        self.station.stop()
        self.station.start()
        self.assertIsNone(self.station.storage.clean_epoch)

    def test_one_fails(self) -> None:
        """A sync that fails costs the log whose it was (DK12), and the others are as durable as they would be."""
        self.fill()
        self.station.restart()
        self.station.faults.failing_syncs = 1
        self.logs = self.opened()
        failed = [log for log in self.logs if isinstance(log, StorageFailed)]
        self.assertEqual(len(failed), 1)
        broken = self.logs.index(failed[0])
        self.station.restart(power=True)
        self.logs = self.opened()
        ends = self.ends()
        del ends[broken]
        self.assertEqual(ends, (LOGS - 1) * [1])

    def test_one_cannot_be_read(self) -> None:
        """A log that cannot be loaded is no other one's concern (DK13)."""
        self.fill()
        self.station.kill()
        self.station.process.disk.remove_tree(f"{DATA}/{MANY[7].topic_partition}")
        self.station.write_file(str(MANY[7].topic_partition), b"in the way", DATA)
        self.station.start()
        self.logs = self.opened()
        self.assertIsInstance(self.logs[7], StorageFailed)
        del self.logs[7]
        self.assertTrue(all(IPartitionLog.providedBy(log) for log in self.logs))
        self.assertEqual(self.ends(), (LOGS - 1) * [1])
