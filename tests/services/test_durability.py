"""When a record counts: written, synced, taken back; what is acknowledged and what is not."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import fail
from twisted.trial.unittest import SynchronousTestCase

from streamline.errors import ErrorCode, StorageStarved
from streamline.wire.messages.produce import PartitionProduceResponse
from tests.broker import Broker, Client, batch_of, joined, produce_request

MIB = 1 << 20


class DurabilityCase(SynchronousTestCase):
    """A node on a simulated disk, with one topic and one client."""

    configs: dict[str, Any] = {}

    def setUp(self) -> None:
        """Start it."""
        self.broker = Broker(storage="segments").start()
        self.faults = self.broker.machine.platter.faults
        self.broker.create("t", **self.configs)
        self.client = self.broker.connect()

    def send(self, *values: bytes, acks: int = -1, timeout_ms: int = 30_000, client: Client | None = None) -> int:
        """Send a batch, without waiting."""
        request = produce_request("t", batch_of(*values), acks=acks, timeout_ms=timeout_ms)
        return (client or self.client).send(request, 9)

    def answered(self, client: Client | None = None) -> dict[int, PartitionProduceResponse]:
        """Return what came since, by correlation id."""
        answers: list[tuple[int, Any]] = (client or self.client).answers()
        return {number: answer.responses[0].partition_responses[0] for number, answer in answers}

    def stick(self, seconds: float = 5.0) -> None:
        """Let no sync end for a while."""
        self.faults.stuck_until = self.broker.simulation.now + seconds

    def values(self) -> int:
        """Return how many records can be read."""
        return self.broker.fetch("t").high_watermark

    def restart(self, *, power: bool) -> None:
        """Crash and come back."""
        self.broker.crash(power=power)
        self.broker.start()
        self.client = self.broker.connect()


class PageCacheTests(DurabilityCase):
    """By default a record counts once it is in the operating system, as in Kafka."""

    def test_answered_at_once(self) -> None:
        self.stick()
        for acks in (1, -1):
            sent = self.send(b"a", acks=acks)
            self.assertEqual(self.answered()[sent].error_code, ErrorCode.NONE)

    def test_kill_loses_nothing(self) -> None:
        self.stick()
        for _ in range(5):
            self.send(b"a", b"b")
        self.restart(power=False)
        self.assertEqual(self.values(), 10)

    def test_no_answer_with_acks_0(self) -> None:
        self.send(b"a", acks=0)
        sent = self.send(b"b", acks=1)
        self.assertEqual(list(self.answered()), [sent])
        self.assertEqual(self.values(), 2)


class SyncEachTests(DurabilityCase):
    """With flush.messages=1 a record counts once it is on the device."""

    configs = {"flush_messages": "1"}

    def test_every_answer_waits(self) -> None:
        self.stick()
        sent = [self.send(b"a", acks=acks) for acks in (1, -1)]
        self.broker.wait(4)
        self.assertEqual(self.answered(), {})
        self.assertEqual(self.values(), 0, "and so does every reader")
        self.broker.wait(2)
        self.assertEqual([self.answered()[number].base_offset for number in sent[:1]], [0])

    def test_power_cut_loses_nothing_that_was_answered(self) -> None:
        for number in range(20):
            self.send(b"%d" % number)
            self.broker.wait(0.001)
        answered = len(self.answered())
        self.assertGreater(answered, 0)
        self.restart(power=True)
        self.assertGreaterEqual(self.values(), answered)

    def test_no_answer_with_acks_0(self) -> None:
        self.send(b"a", acks=0)
        self.broker.wait(1)
        self.assertEqual(self.client.answers(), [])
        self.assertEqual(self.values(), 1)

    def test_one_sync_for_many(self) -> None:
        """Group commit: what came while one was under way shares the next."""
        self.stick()
        sent = [self.send(b"a") for _ in range(30)]
        before = self.broker.simulation.now
        self.broker.wait(5.1)
        self.assertEqual(list(self.answered()), sent)
        self.assertLess(self.broker.simulation.now - before, 5.2)

    def test_time_is_up(self) -> None:
        """The outcome is unknown, and says so; the record may count later all the same."""
        self.stick(10)
        sent = self.send(b"a", timeout_ms=1000)
        self.broker.wait(1.1)
        self.assertEqual(self.answered()[sent].error_code, ErrorCode.REQUEST_TIMED_OUT)
        self.broker.wait(10)
        self.assertEqual(self.values(), 1)

    def test_client_that_went_away(self) -> None:
        self.stick()
        self.send(b"a")
        self.client.hang_up()
        self.broker.wait(6)
        self.assertEqual(self.values(), 1)

    def test_readers_are_told_when_it_is_synced(self) -> None:
        reader = self.broker.connect()
        self.stick(2)
        self.send(b"a", b"b")
        waiting = self.broker.fetch_later("t", client=reader, max_wait_ms=20_000)
        self.broker.wait(1.5)
        self.assertEqual(reader.answers(), [])
        self.broker.wait(1)
        ((number, answer),) = reader.answers()
        self.assertEqual(number, waiting)
        self.assertEqual(answer.responses[0].partitions[0].high_watermark, 2)


class SyncSomeTests(DurabilityCase):
    """With flush.messages=N no more than N - 1 acknowledged records are unsynced."""

    configs = {"flush_messages": "4"}

    def test_the_fourth_waits(self) -> None:
        self.stick()
        first, second = self.send(b"a", b"b"), self.send(b"c")
        self.assertEqual(list(self.answered()), [first, second])
        third, fourth = self.send(b"d"), self.send(b"e")
        self.assertEqual(self.answered(), {}, "what comes while the sync is under way waits for it too")
        self.broker.wait(5.1)
        self.assertEqual(list(self.answered()), [third, fourth])

    def test_power_cut(self) -> None:
        for _ in range(7):
            self.send(b"a")
            self.broker.wait(0.1)
        self.assertEqual(len(self.answered()), 7)
        self.restart(power=True)
        self.assertGreaterEqual(self.values(), 4)


class SyncInTimeTests(DurabilityCase):
    """With flush.ms no record stays unsynced longer than that."""

    configs = {"flush_ms": "200"}

    def test_synced_in_time(self) -> None:
        log = self.broker.partition("t").log
        for _ in range(5):
            self.send(b"a")
            self.broker.wait(0.1)
        self.assertGreaterEqual(log.recovery_point, 2)
        self.broker.wait(0.25)
        self.assertEqual(log.recovery_point, 5)

    def test_idle_partitions_are_left_alone(self) -> None:
        self.send(b"a")
        self.broker.wait(1)
        syncs = self.broker.machine.platter.rng.getstate()
        self.broker.wait(0.5)
        self.assertEqual(self.broker.machine.platter.rng.getstate(), syncs, "a sync would have drawn its duration")

    def test_closed_in_between(self) -> None:
        self.send(b"a")
        self.broker.stop()
        self.broker.start()
        self.assertEqual(self.values(), 1)


class LostSyncTests(DurabilityCase):
    """DK12: a sync that fails is never tried again, and nothing that waited for it is acknowledged."""

    configs = {"flush_messages": "1"}

    def test_refused_and_offline(self) -> None:
        self.send(b"a")
        self.broker.wait()
        self.answered()
        self.faults.failing_syncs = 1
        sent = [self.send(b"b", acks=acks) for acks in (1, -1)]
        self.broker.wait()
        found = self.answered()
        for number in sent:
            self.assertEqual(found[number].error_code, ErrorCode.KAFKA_STORAGE_ERROR)
        later = self.send(b"c")
        self.assertEqual(self.answered()[later].error_code, ErrorCode.KAFKA_STORAGE_ERROR)
        self.assertEqual(self.broker.fetch("t").error_code, ErrorCode.KAFKA_STORAGE_ERROR)

    def test_other_partitions_go_on(self) -> None:
        self.broker.create("u")
        self.faults.failing_syncs = 1
        self.send(b"b")
        self.broker.wait()
        self.assertEqual(self.broker.produce("u", batch_of(b"x")).error_code, ErrorCode.NONE)

    def test_waiting_readers_are_told(self) -> None:
        reader = self.broker.connect()
        self.broker.fetch_later("t", client=reader, max_wait_ms=60_000)
        self.faults.failing_syncs = 1
        self.send(b"b")
        self.broker.wait()
        ((_, answer),) = reader.answers()
        self.assertEqual(answer.responses[0].partitions[0].error_code, ErrorCode.KAFKA_STORAGE_ERROR)

    def test_what_was_acknowledged_before_stays(self) -> None:
        """Also when the node stops in good order: that stop does not count as a clean one."""
        self.send(b"a")
        self.broker.wait()
        self.assertEqual(len(self.answered()), 1)
        self.faults.failing_syncs = 1
        self.send(b"b")
        self.broker.wait()
        self.broker.stop()
        self.broker.start()
        self.assertGreaterEqual(self.values(), 1)
        self.restart(power=True)
        self.assertGreaterEqual(self.values(), 1)


class FullDiskTests(DurabilityCase):
    """DK10, DK11: no ack, no loss, reads go on, and records are taken again when there is space."""

    def refused(self, *values: bytes) -> None:
        """Expect a batch to be refused."""
        sent = self.send(*values)
        self.assertEqual(self.answered()[sent].error_code, ErrorCode.KAFKA_STORAGE_ERROR)

    def test_full_and_not_full_again(self) -> None:
        self.send(b"a")
        self.faults.full = True
        self.refused(b"b")
        self.assertEqual(joined(self.broker.fetch("t"))[61:], batch_of(b"a")[61:])
        self.faults.full = False
        sent = self.send(b"c")
        self.answered()
        self.assertEqual(self.values(), 2)
        self.restart(power=False)
        self.assertEqual(self.values(), 2, sent)

    def test_restart_while_it_is_full(self) -> None:
        """KAFKA-13773: the node refuses to start rather than to cut what it cannot recover; nothing is lost."""
        self.send(b"a")
        self.faults.full = True
        self.refused(b"b")
        self.broker.crash()
        failed: list[Any] = []
        self.broker.begin().addErrback(failed.append)
        self.broker.until(lambda: bool(failed))
        self.assertIn("full", failed[0].getErrorMessage())
        self.broker.crash()
        self.faults.full = False
        self.broker.start()
        self.assertEqual(self.values(), 1)

    def test_a_batch_that_the_roll_wrote_is_not_taken_back(self) -> None:
        """One pass brings two batches; the first is written when the log rolls, the second finds no space."""
        most: dict[str, Any] = {"producer_id": 7, "producer_epoch": 0}
        self.broker.produce("t", batch_of(bytes(900_000), base_sequence=0, **most))
        small = batch_of(b"small", base_sequence=1, **most)
        large = batch_of(bytes(500_000), base_sequence=2, **most)
        frames = [self.client.frame(produce_request("t", batch), 9) for batch in (small, large)]
        platter = self.broker.machine.platter
        platter.capacity_bytes = platter.used_bytes + len(small) + 200_000
        self.client.give(b"".join(frames))
        first, second = self.answered().values()
        self.assertEqual((first.error_code, first.base_offset), (ErrorCode.NONE, 1))
        self.assertEqual(second.error_code, ErrorCode.KAFKA_STORAGE_ERROR)
        platter.capacity_bytes *= 2
        again = self.broker.produce("t", small)
        self.assertEqual((again.error_code, again.base_offset), (ErrorCode.NONE, 1), "else it would be there twice")
        self.assertEqual(self.broker.produce("t", large).base_offset, 2)

    configs = {"segment_bytes": str(MIB)}


class ReserveTests(SynchronousTestCase):
    """DK11: below log.space.reserve.bytes records are refused; all else goes on, and they by themselves later."""

    def test_reserve(self) -> None:
        broker = Broker(storage="segments", broker={"log_space_reserve_bytes": 1000 * MIB}).start()
        platter = broker.machine.platter
        broker.create("t")
        broker.produce("t", batch_of(b"a"))
        platter.used_bytes += platter.capacity_bytes - 999 * MIB
        broker.wait(1.1)
        self.assertEqual(broker.produce("t", batch_of(b"b")).error_code, ErrorCode.KAFKA_STORAGE_ERROR)
        self.assertEqual(broker.fetch("t").high_watermark, 1)
        receipt = broker.node.broker.replicas.append_now("t", 0, batch_of(b"of our own"), 1)
        self.assertIsNone(receipt.refusal, "the coordinator's own records are what the reserve is for")
        broker.create("u")
        platter.used_bytes -= platter.capacity_bytes - 999 * MIB
        broker.wait(1.1)
        self.assertEqual(broker.produce("t", batch_of(b"c")).base_offset, 2)

    def test_what_could_not_be_opened(self) -> None:
        """A copy that there was no room for is opened as soon as there is, without a restart."""
        broker = Broker(storage="segments", broker={"log_space_reserve_bytes": 0}).start()
        broker.create("t")
        storage = broker.node.broker.replicas._storage
        full = self.patch(storage, "open", lambda *_: fail(StorageStarved("no space")))
        broker.create("u")
        for _ in range(3):
            broker.wait(1.1)
            self.assertEqual(broker.produce("u", batch_of(b"a")).error_code, ErrorCode.KAFKA_STORAGE_ERROR)
        full.restore()
        broker.wait(1.1)
        self.assertEqual(broker.produce("u", batch_of(b"a")).base_offset, 0)

    def test_never_more_than_a_share(self) -> None:
        """A small disk is not refused altogether."""
        broker = Broker(storage="segments", broker={"log_space_reserve_bytes": 1 << 50}).start()
        broker.create("t")
        self.assertEqual(broker.produce("t", batch_of(b"a")).error_code, ErrorCode.NONE)
