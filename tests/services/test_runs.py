"""Requests that are alike and come together: one place for all their answers, and the same answers as ever."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import evolve

from streamline.api.familiar import Familiar
from streamline.errors import ErrorCode
from streamline.net.alike import RUN_MAX
from streamline.wire.compress import GZIP
from tests.broker import batch_of, produce_request
from tests.services.test_durability import MIB, DurabilityCase


class RunCase(DurabilityCase):
    """A client whose requests are familiar."""

    def setUp(self) -> None:
        """Send one that is read."""
        super().setUp()
        self.send(b"first")
        self.broker.wait(1)
        self.assertEqual(len(self.answered()), 1)
        self.log = self.broker.partition("t").log

    def batch(self, *values: bytes, **more: Any) -> bytes:
        """Return a plain batch; what has no timestamp needs a close look."""
        return batch_of(*values, timestamp=self.broker.process.host.clock.wall_ms(), **more)

    def give(self, batches: Sequence[bytes], timeout_ms: int = 30_000) -> None:
        """Send requests in one pass over the socket."""
        requests = [produce_request("t", batch, timeout_ms=timeout_ms) for batch in batches]
        self.client.give(b"".join(self.client.frame(request, 9) for request in requests))

    def places(self) -> list[int]:
        """Return how many requests each place stands for that waits for its answer."""
        return [slot.requests for slot in self.client.connection._answers.slots]

    def said(self) -> list[tuple[int, int]]:
        """Return (error, offset) of the answers that came, in order."""
        return [(answer.error_code, answer.base_offset) for answer in self.answered().values()]

    def kept(self, *offsets: int) -> list[tuple[int, int]]:
        """Return what is said of batches that are kept."""
        return [(ErrorCode.NONE, offset) for offset in offsets]


class SyncedRunTests(RunCase):
    """With flush.messages=1 all of them wait for one sync."""

    configs = {"flush_messages": "1"}

    def test_they_wait_in_one_place(self) -> None:
        self.stick()
        self.give([self.batch(b"a"), self.batch(b"b", b"c"), self.batch(b"d")])
        self.assertEqual(self.places(), [3])
        self.broker.wait(4)
        self.assertEqual(self.said(), [])
        self.broker.wait(2)
        self.assertEqual(self.said(), self.kept(1, 2, 4))
        self.assertEqual(self.client.connection._answers.owed, 0)

    def test_time_is_up(self) -> None:
        """Each is told so, and may count later all the same."""
        self.give([self.batch(b"a")], timeout_ms=1000)
        self.broker.wait(1)
        self.answered()
        self.stick(10)
        self.give([self.batch(b"a"), self.batch(b"b")], timeout_ms=1000)
        self.assertEqual(self.places(), [2])
        self.broker.wait(1.1)
        self.assertEqual([error for error, _ in self.said()], [ErrorCode.REQUEST_TIMED_OUT] * 2)
        self.broker.wait(10)
        self.assertEqual(self.values(), 4)

    def test_a_sync_that_fails(self) -> None:
        self.faults.failing_syncs = 1
        self.give([self.batch(b"a"), self.batch(b"b")])
        self.broker.wait()
        self.assertEqual([error for error, _ in self.said()], [ErrorCode.KAFKA_STORAGE_ERROR] * 2)

    def test_client_that_went_away(self) -> None:
        self.stick()
        self.give([self.batch(b"a"), self.batch(b"b")])
        self.client.hang_up()
        self.broker.wait(6)
        self.assertEqual(self.values(), 3)

    def test_a_duplicate_waits_for_the_first(self) -> None:
        batches = [self.batch(b"%d" % n, producer_id=7, producer_epoch=0, base_sequence=n) for n in (0, 1, 0)]
        self.stick()
        self.give(batches)
        self.assertEqual(self.places(), [3])
        self.broker.wait(4)
        self.assertEqual(self.said(), [])
        self.broker.wait(2)
        self.assertEqual(self.said(), self.kept(1, 2, 1))


class HalfWrittenRunTests(RunCase):
    """Some of them may be refused while others wait for the sync."""

    configs = {"flush_messages": "1", "segment_bytes": str(MIB)}

    def test_the_others_are_waited_for(self) -> None:
        """The first is written when the log rolls; the others, which come behind it, find no space."""
        self.broker.produce("t", self.batch(bytes(900_000)))
        platter = self.broker.machine.platter
        platter.capacity_bytes = platter.used_bytes + 200_000
        self.stick()
        self.give([self.batch(b"small"), self.batch(bytes(300_000)), self.batch(b"small too")])
        self.assertEqual(self.places(), [3])
        self.broker.wait(10)
        first, *others = self.said()
        self.assertEqual(first, self.kept(2)[0])
        self.assertEqual({error for error, _ in others}, {ErrorCode.KAFKA_STORAGE_ERROR})


class WrittenRunTests(RunCase):
    """Where they end, and what becomes of those that are unlike the others."""

    configs = {"segment_bytes": str(MIB)}

    def test_one_that_needs_a_close_look(self) -> None:
        """It comes in its turn, and the run ends before it."""
        self.give([self.batch(b"a"), self.batch(b"b", b"c", compression=GZIP), self.batch(b"d")])
        self.assertEqual(self.said(), self.kept(1, 2, 4))

    def test_one_that_is_refused(self) -> None:
        batches = [self.batch(b"%d" % n, producer_id=7, producer_epoch=0, base_sequence=n) for n in (0, 5, 1)]
        self.give(batches)
        first, second, third = self.said()
        self.assertEqual([first, third], self.kept(1, 2))
        self.assertEqual(second[0], ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER)

    def test_some_were_written_and_some_not(self) -> None:
        """The first is written when the log rolls, the others find no space."""
        self.broker.produce("t", self.batch(bytes(900_000)))
        platter = self.broker.machine.platter
        platter.capacity_bytes = platter.used_bytes + 200_000
        before = self.log.segment_offset
        self.give([self.batch(b"small"), self.batch(bytes(300_000)), self.batch(b"small too")])
        first, second, third = self.said()
        self.assertGreater(self.log.segment_offset, before)
        self.assertEqual(first, self.kept(2)[0])
        self.assertEqual({second[0], third[0]}, {ErrorCode.KAFKA_STORAGE_ERROR})
        self.assertEqual(self.log.end_offset, 3)

    def test_no_more_than_may_wait(self) -> None:
        """A place for several counts as several."""
        factory = self.broker.node.factory
        factory.limits = evolve(factory.limits, pending_max=3)
        self.client.give(b"".join(self.client.frame(produce_request("t", self.batch(b"v")), 9) for _ in range(8)))
        self.assertEqual(self.said(), self.kept(*range(1, 9)))

    def test_no_more_than_so_many(self) -> None:
        taken: list[int] = []
        take = Familiar.take

        def counted(self: Familiar, broker: object, caller: object, frames: Sequence[bytes]) -> object:
            taken.append(len(frames))
            return take(self, broker, caller, frames)  # type: ignore[arg-type]

        self.patch(Familiar, "take", counted)
        self.give([self.batch(b"v")] * (2 * RUN_MAX + 3))
        self.assertEqual(taken, [RUN_MAX, RUN_MAX, 3])
        self.assertEqual(self.said(), self.kept(*range(1, 2 * RUN_MAX + 4)))

    def test_a_failure_that_should_not_happen(self) -> None:
        """It ends the connection, and nothing is done with what came behind."""

        def fails(*_: object) -> None:
            raise KeyError("familiar")

        self.patch(Familiar, "take", fails)
        self.give([self.batch(b"a"), self.batch(b"b")])
        self.assertTrue(self.client.is_closed)
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)
        self.assertEqual(self.log.end_offset, 1)


class WaitingRunTests(RunCase):
    """Requests wait in their places, and no more of them than may."""

    configs = {"flush_messages": "1"}

    def test_requests_are_counted(self) -> None:
        factory = self.broker.node.factory
        factory.limits = evolve(factory.limits, pending_max=5)
        self.stick(2)
        self.give([self.batch(b"v")] * 8)
        self.assertEqual(self.places(), [5])
        self.assertEqual(self.log.end_offset, 6)
        self.assertFalse(self.client.is_read)
        self.broker.wait(5)
        self.assertEqual(self.said(), self.kept(*range(1, 9)))
