"""Many logs that are opened or closed together: durable like one, and each fails for itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any, cast

from twisted.internet.defer import Deferred, DeferredList, succeed
from twisted.trial.unittest import SynchronousTestCase

from streamline.errors import StorageFailed
from streamline.interfaces import IFile, IPartitionLog
from streamline.model import LogIdentity
from streamline.storage import checkpoints
from streamline.storage.checkpoints import Offsets
from streamline.storage.layout import encode_offsets
from streamline.storage.log import SegmentLog
from streamline.storage.segment import Segment
from streamline.storage.together import AT_ONCE, TOGETHER_MIN, TOLD_AT_ONCE, Done, Together
from streamline.testing.contracts.storage_harness import TOPIC_ID, make_batch
from streamline.testing.simulation import SimDisk
from streamline.testing.worlds import HandClock
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

    def test_checkpoints_are_encoded_elsewhere(self) -> None:
        """That takes long where there are many logs, and nobody who uses the reactor waits for it."""
        where: list[bool] = []
        is_elsewhere = False
        in_thread = SimDisk._in_thread

        def noted(disk: SimDisk, *args: Any) -> None:
            nonlocal is_elsewhere
            is_elsewhere = True
            in_thread(disk, *args)
            is_elsewhere = False

        def encoded(offsets: Offsets) -> bytes:
            where.append(is_elsewhere)
            return encode_offsets(offsets)

        self.patch(SimDisk, "_in_thread", noted)
        self.patch(checkpoints, "encode_offsets", encoded)
        self.station.stop()
        self.assertEqual(where, [True, True], "recovery points and high watermarks")

    def test_stopped_when_they_are_closed(self) -> None:
        """A stop waits for no log that was closed before it, and notes how far that came."""
        self.fill()
        closing = [log.close() for log in self.logs]
        self.station.wait(DeferredList(closing))

        def close(log: SegmentLog) -> Deferred[None]:
            closed_again.append(log.identity)
            return succeed(None)

        closed_again: list[LogIdentity] = []
        self.patch(SegmentLog, "close", close)
        self.station.stop()
        self.assertEqual(closed_again, [self.station.log.identity], "the only one that was open")
        self.station.start()
        noted = self.station.storage._checkpoints.recovery_points
        self.assertEqual([noted[identity.topic_partition] for identity in MANY], LOGS * [1])

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


class TurnTests(SynchronousTestCase):
    """Whoever waits is told in turns of the reactor, which others have in between."""

    def test_told_in_turns(self) -> None:
        """Each of many has a little to do when it is served, a log that is closed to close its files."""
        clock, disk = cast(Any, HandClock()), HeldDisk()
        together = Together(clock, cast(Any, disk))
        told: list[int] = []
        for number in range(AT_ONCE + 2 * TOLD_AT_ONCE + 1):
            together.do(lambda number=number: Done(number)).addCallback(told.append)  # type: ignore[misc]
        disk.serve()
        del told[:]
        disk.serve()
        counts = [len(told)]
        while calls := clock.getDelayedCalls():
            (turn,) = calls
            due, args = turn.func, turn.args
            turn.cancel()
            due(*args)
            counts.append(len(told))
        self.assertEqual(counts, [TOLD_AT_ONCE, 2 * TOLD_AT_ONCE, 2 * TOLD_AT_ONCE + 1])


class HeldDisk:
    """Has a thread that works when the test says so."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Deferred[Any], Callable[[], Any]]] = []

    def elsewhere(self, function: Callable[..., Any], *args: Any) -> Deferred[Any]:
        """Keep it waiting."""
        done: Deferred[Any] = Deferred()
        self._waiting.append((done, partial(function, *args)))
        return done

    def serve(self) -> None:
        """Do what waits now."""
        waiting, self._waiting = self._waiting, []
        for done, work in waiting:
            done.callback(work())
