"""Idempotent producers over the wire and over crashes: each record once, in order, whatever is sent again."""

from __future__ import annotations

from random import Random
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from streamline.errors import ErrorCode, Refused
from streamline.model import NO_OFFSET
from streamline.replication.epochs import CHECKPOINT_NAME
from streamline.services.bookkeeping import SNAPSHOT_AFTER_BATCHES
from streamline.transactions.snapshots import batches_name, snapshot_name
from streamline.wire.messages.produce import PartitionProduceResponse
from streamline.wire.messages.producer_ids import InitProducerIdRequest
from tests.broker import DATA, Broker, batch_of, produce_request

PRODUCER = 1000
OTHER = 2000
DIRECTORY = f"{DATA}/t-0"


class IdempotenceCase(SynchronousTestCase):
    """A node with one topic, and producers that count."""

    configs: dict[str, Any] = {}
    checkpoint_ms = 60_000
    seed = 1

    def setUp(self) -> None:
        """Start it."""
        settings = {"log_flush_offset_checkpoint_interval_ms": self.checkpoint_ms}
        self.broker = Broker(self.seed, storage="segments", broker=settings).start()
        self.broker.create("t", **self.configs)

    def send(
        self, sequence: int, *values: bytes, producer: int = PRODUCER, epoch: int = 0
    ) -> PartitionProduceResponse:  # fmt: skip
        """Send a batch."""
        batch = batch_of(*(values or (b"v",)), producer_id=producer, producer_epoch=epoch, base_sequence=sequence)
        return self.broker.produce("t", batch)

    def accepts(self, offset: int, sequence: int, *values: bytes, **more: int) -> None:
        """Send a batch, and expect this offset."""
        found = self.send(sequence, *values, **more)
        self.assertEqual((found.error_code, found.base_offset), (ErrorCode.NONE, offset), found.error_message)

    def refuses(self, code: ErrorCode, sequence: int, *values: bytes, **more: int) -> None:
        """Send a batch, and expect an error."""
        found = self.send(sequence, *values, **more)
        self.assertEqual((found.error_code, found.base_offset), (code, NO_OFFSET))

    def end(self) -> int:
        """Return where the log ends."""
        return self.broker.partition("t").log.end_offset

    def restart(self, *, power: bool = False) -> None:
        """Crash, and come back."""
        self.broker.crash(power=power)
        self.broker.start()

    def files(self) -> dict[str, bytes]:
        """Return what lies beside the log; no process may run."""
        disk = self.broker.machine.start().host.disk
        names = [name for name in disk.list_directory(DIRECTORY) if not name.endswith(("log", "index"))]
        found = {name: disk.read_file(f"{DIRECTORY}/{name}") for name in names}
        self.broker.crash()
        return found

    def put(self, files: dict[str, bytes]) -> None:
        """Put files beside the log; no process may run."""
        disk = self.broker.machine.start().host.disk
        for name, data in files.items():
            disk.replace_file(f"{DIRECTORY}/{name}", data)
        self.broker.crash()

    def remove(self, *names: str) -> None:
        """Remove files beside the log; no process may run."""
        disk = self.broker.machine.start().host.disk
        for name in names:
            disk.remove(f"{DIRECTORY}/{name}")
        self.broker.crash()


class WireTests(IdempotenceCase):
    """What the producer is told."""

    def test_last_five(self) -> None:
        for number in range(8):
            self.accepts(2 * number, 2 * number, b"a", b"b")
        for number in range(3, 8):
            self.accepts(2 * number, 2 * number, b"a", b"b")
        self.refuses(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER, 4, b"a", b"b")
        self.assertEqual(self.end(), 16)

    def test_gap(self) -> None:
        self.accepts(0, 0)
        self.refuses(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER, 2)
        self.accepts(1, 1)

    def test_fenced(self) -> None:
        self.accepts(0, 0, epoch=1)
        self.refuses(ErrorCode.INVALID_PRODUCER_EPOCH, 1, epoch=0)
        self.refuses(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER, 1, epoch=2)
        self.accepts(1, 0, epoch=2)

    def test_producers_do_not_know_each_other(self) -> None:
        self.accepts(0, 0)
        self.accepts(1, 0, producer=OTHER)
        self.accepts(0, 0)

    def test_sequences_wrap(self) -> None:
        self.accepts(0, 2**31 - 2, b"a", b"b", b"c")
        self.accepts(3, 1)
        self.accepts(0, 2**31 - 2, b"a", b"b", b"c")

    def test_twice_in_one_pass(self) -> None:
        """The second is answered like the first, and not before it is written."""
        client = self.broker.connect()
        batch = batch_of(b"v", producer_id=PRODUCER, producer_epoch=0, base_sequence=0)
        client.give(client.frame(produce_request("t", batch), 9) * 2)
        self.broker.wait()
        offsets = [bytes(frame)[-22:] for frame in client.frames()]
        self.assertEqual(len(offsets), 2)
        self.assertEqual(*offsets)
        self.assertEqual(self.end(), 1)

    def test_twice_in_one_pass_that_cannot_be_written(self) -> None:
        client = self.broker.connect()
        batch = batch_of(b"v", producer_id=PRODUCER, producer_epoch=0, base_sequence=0)
        frames = [client.frame(produce_request("t", batch), 9) for _ in range(2)]
        self.broker.machine.platter.faults.full = True
        client.give(b"".join(frames))
        codes = [answer.responses[0].partition_responses[0].error_code for _, answer in client.answers()]
        self.assertEqual(codes, [ErrorCode.KAFKA_STORAGE_ERROR] * 2)
        self.broker.machine.platter.faults.full = False
        self.accepts(0, 0)

    def test_refused_batches_leave_no_trace(self) -> None:
        self.broker.machine.platter.faults.full = True
        self.refuses(ErrorCode.KAFKA_STORAGE_ERROR, 0)
        self.broker.machine.platter.faults.full = False
        self.accepts(0, 0)
        self.accepts(1, 1)

    def test_expired(self) -> None:
        """A producer that was silent for too long is forgotten; any sequence will do then."""
        self.accepts(0, 0)
        self.broker.wait(25 * 3600)
        self.accepts(1, 17)


class AppendTimeTests(IdempotenceCase):
    """In a topic with LogAppendTime a repeated batch is told when the first one was appended."""

    configs = {"message_timestamp_type": "LogAppendTime"}

    def test_same_time(self) -> None:
        first = self.send(0)
        self.broker.wait(5)
        self.assertEqual(self.send(0), first)
        self.assertGreater(first.log_append_time_ms, 0)


class CrashTests(IdempotenceCase):
    """KR27: what the producers did is known again after a crash, from a snapshot and from the log."""

    seed = 2
    """One whose power cut loses records that were not synced."""

    def known(self) -> None:
        """Expect the last five of eight batches to be known, and the ninth to be next."""
        for number in range(3, 8):
            self.accepts(number, number)
        self.refuses(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER, 9)
        self.accepts(8, 8)
        self.assertEqual(self.end(), 9)

    def send_eight(self) -> None:
        """Send eight batches."""
        for number in range(8):
            self.accepts(number, number)

    def test_from_the_log_alone(self) -> None:
        self.send_eight()
        self.restart()
        self.known()

    def test_after_a_clean_stop(self) -> None:
        self.send_eight()
        self.broker.stop()
        self.assertIn(snapshot_name(8), self.files())
        self.broker.start()
        self.known()

    def test_snapshot_and_log(self) -> None:
        """Three batches in the snapshot, five behind it."""
        for number in range(3):
            self.accepts(number, number)
        self.broker.stop()
        self.broker.start()
        for number in range(3, 8):
            self.accepts(number, number)
        self.restart()
        self.known()

    def test_snapshot_missing_or_damaged(self) -> None:
        """DK4: the log says the same."""
        self.send_eight()
        self.broker.stop()
        whole = self.files()
        for name in (batches_name(8), snapshot_name(8)):
            for damaged in (b"", whole[name][:-1], whole[name][:20] + b"\xff" + whole[name][21:]):
                self.put({**whole, name: damaged})
                self.broker.start()
                self.assertEqual(self.state(), [(number, number) for number in range(3, 8)], name)
                self.broker.crash()
            self.remove(name)
            self.broker.start()
            self.assertEqual(self.state(), [(number, number) for number in range(3, 8)], name)
            self.broker.crash()
        self.broker.start()
        self.known()

    def test_epochs_missing(self) -> None:
        """All batches are read for their epochs; those in the snapshot do not count twice."""
        self.send_eight()
        self.broker.stop()
        self.remove(CHECKPOINT_NAME)
        self.broker.start()
        self.known()

    def test_epochs_missing_and_a_start_that_has_moved(self) -> None:
        """The batches that are left are read for their epochs, and do not drive others out of the snapshot."""
        self.send_eight()
        self.broker.partition("t").log.advance_start(6)
        self.broker.stop()
        self.remove(CHECKPOINT_NAME)
        self.broker.start()
        self.known()

    def test_written_down_at_the_next_clean_stop(self) -> None:
        self.send_eight()
        self.restart()
        self.broker.stop()
        self.assertIn(snapshot_name(8), self.files())
        self.broker.start()
        self.known()

    def state(self) -> list[tuple[int, int]]:
        """Return the (sequence, offset) pairs that the node remembers."""
        producer = self.broker.partition("t").producers.get(PRODUCER)
        assert producer is not None
        return [(batch.first_sequence, batch.first_offset) for batch in producer.batches]

    def test_epoch_after_a_crash(self) -> None:
        self.accepts(0, 0, epoch=3)
        self.restart()
        self.refuses(ErrorCode.INVALID_PRODUCER_EPOCH, 1, epoch=2)
        self.accepts(1, 1, epoch=3)

    def cut_power(self, seed: int) -> tuple[dict[str, bytes], int]:
        """Cut the power when a snapshot of four batches is durable; return what is left, and where the log ends."""
        self.broker = Broker(seed, storage="segments").start()
        self.broker.create("t", **self.configs)
        self.accepts(0, 0)
        self.broker.stop()
        self.broker.start()
        self.broker.machine.platter.faults.stuck_until = self.broker.simulation.now + 3600
        for number in range(1, 4):
            self.accepts(number, number)
        partition = self.broker.partition("t")
        for name, data in partition.books._producers_below(4):
            partition.log.put_checkpoint(name, data)
        self.broker.machine.platter.rng = Random(seed)  # what a node drew before decides nothing
        self.broker.crash(power=True)
        kept = self.files()
        self.assertIn(snapshot_name(4), kept, "the snapshot is durable")
        self.broker.machine.platter.faults.stuck_until = 0
        self.broker.start()
        return kept, self.end()

    def test_a_snapshot_of_more_than_the_log_holds(self) -> None:
        """
        A power cut keeps the snapshot and loses records; other records then stand where those stood.

        See Note [Which log a snapshot is of] in streamline/transactions/snapshots.py.
        """
        kept, lost = next(found for seed in range(1, 20) if (found := self.cut_power(seed))[1] < 4)
        self.assertNotIn(snapshot_name(4), self.broker.partition("t").log.checkpoint_names())
        for number in range(lost, 4):
            self.accepts(number, number - lost, producer=OTHER)
        self.broker.crash()
        self.put({name: kept[name] for name in (batches_name(4), snapshot_name(4))})
        self.broker.start()
        self.accepts(4, lost, b"v")


class RollTests(IdempotenceCase):
    """A snapshot is written when the log rolls; the batch that begins the new segment is not in it."""

    configs = {"segment_bytes": str(1 << 20)}

    def test_rolls(self) -> None:
        for number in range(30):
            self.accepts(number, number, bytes(100_000))
        names = [name for name in self.broker.partition("t").log.checkpoint_names() if name.endswith(".snapshot")]
        self.assertEqual(len(names), 2)
        self.restart()
        for number in range(25, 30):
            self.accepts(number, number, bytes(100_000))
        self.accepts(30, 30, bytes(100_000))

    def test_just_behind_a_roll(self) -> None:
        for number in range(23):
            self.accepts(number, number, bytes(100_000))
        self.assertEqual(self.broker.partition("t").log.segment_offset, 20)
        self.broker.wait(1)  # until the snapshot is there, which nobody waits for
        self.broker.crash()
        self.assertIn(snapshot_name(20), self.files())
        self.broker.start()
        for number in range(18, 23):
            self.accepts(number, number, bytes(100_000))

    def test_old_snapshots_go(self) -> None:
        for number in range(80):
            self.accepts(number, number, bytes(100_000))
        names = [name for name in self.broker.partition("t").log.checkpoint_names() if name.endswith(".snapshot")]
        self.assertEqual(len(names), 3)


class BookkeepingTests(IdempotenceCase):
    """What is written down costs syncs, so it is written when it is worth it."""

    checkpoint_ms = 1000

    def snapshots(self) -> list[str]:
        """Return the names of the snapshots that are there."""
        names = self.broker.partition("t").log.checkpoint_names()
        return [name for name in names if name.endswith(".snapshot")]

    def test_few_batches_are_read_again_instead(self) -> None:
        self.accepts(0, 0)
        self.broker.wait(1.5)
        self.assertEqual(self.snapshots(), [])

    def test_many_are_written_down(self) -> None:
        client = self.broker.connect()
        for number in range(SNAPSHOT_AFTER_BATCHES):
            batch = batch_of(b"v", producer_id=PRODUCER, producer_epoch=0, base_sequence=number)
            client.send(produce_request("t", batch), 9)
        self.broker.wait(1.5)
        self.assertEqual(self.snapshots(), [snapshot_name(SNAPSHOT_AFTER_BATCHES)])
        self.broker.wait(5)
        self.assertEqual(len(self.snapshots()), 1, "nothing has changed since")

    def test_epochs_are_written_with_the_checkpoint(self) -> None:
        """KR4: recovery reads no batch below the recovery point to find them."""
        self.accepts(0, 0)
        self.broker.wait(1.5)
        self.assertEqual(self.broker.partition("t").log.get_checkpoint(CHECKPOINT_NAME), b"0\n1\n0 0\n")

    def test_epochs_are_rebuilt(self) -> None:
        self.accepts(0, 0)
        self.broker.stop()
        for damaged in (b"", b"nonsense", b"0\n1\n5 900\n", b"0\n2\n0 0\n5 900\n"):
            self.put({CHECKPOINT_NAME: damaged})
            self.broker.start()
            self.assertEqual(self.broker.partition("t").epochs.entries(), [(0, 0)])
            self.broker.stop()
            self.assertEqual(self.files()[CHECKPOINT_NAME], b"0\n1\n0 0\n", "and written down again")

    def test_full_disk(self) -> None:
        """What cannot be written down is in the log; nobody is refused for it."""
        self.accepts(0, 0)
        partition = self.broker.partition("t")
        self.broker.machine.platter.faults.full = True
        closing = partition.books.close()
        self.broker.wait(1)
        self.assertIsNone(self.successResultOf(closing), "nobody who closes it hears of that")
        self.broker.machine.platter.faults.full = False
        self.accepts(1, 1)
        self.restart()
        self.accepts(0, 0)
        self.accepts(2, 2)


class RefusedTests(IdempotenceCase):
    """KR26: what could not be kept comes first, also where nothing else is known of who sent it."""

    configs = {"segment_bytes": str(1 << 20)}

    def assert_first_comes_first(self, offset: int) -> None:
        """Now that all is well again."""
        self.refuses(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER, 1)
        self.accepts(offset, 0)
        self.accepts(offset + 1, 1)

    def test_not_written(self) -> None:
        """The write fails."""
        self.broker.machine.platter.faults.full = True
        self.refuses(ErrorCode.KAFKA_STORAGE_ERROR, 0)
        self.broker.machine.platter.faults.full = False
        self.assert_first_comes_first(0)

    def test_several_are_not_written(self) -> None:
        """The first of those that were written together."""
        client = self.broker.connect()
        self.broker.machine.platter.faults.full = True
        for number in range(3):
            batch = batch_of(b"v", producer_id=PRODUCER, producer_epoch=0, base_sequence=number)
            client.send(produce_request("t", batch), 9)
        self.broker.machine.platter.faults.full = False
        self.assert_first_comes_first(0)

    def test_no_new_segment(self) -> None:
        """The log cannot roll."""
        for _ in range(10):
            self.broker.produce("t", batch_of(bytes(100_000)))
        self.broker.machine.platter.faults.full = True
        self.refuses(ErrorCode.KAFKA_STORAGE_ERROR, 0, bytes(100_000))
        self.broker.machine.platter.faults.full = False
        self.assert_first_comes_first(10)

    def test_no_space(self) -> None:
        """Nothing is taken at the moment."""
        replicas = self.broker.node.broker.replicas
        replicas.full = Refused(ErrorCode.KAFKA_STORAGE_ERROR, "full")
        self.refuses(ErrorCode.KAFKA_STORAGE_ERROR, 0)
        self.assertEqual(self.broker.produce("t", batch_of(b"v")).error_code, ErrorCode.KAFKA_STORAGE_ERROR)
        self.assertEqual(self.broker.produce("t", b"no batch").error_code, ErrorCode.KAFKA_STORAGE_ERROR)
        replicas.full = None
        self.assert_first_comes_first(0)


class InitProducerIdTests(IdempotenceCase):
    """Ids are given once, over restarts and crashes."""

    def ids(self, count: int) -> list[int]:
        """Ask for ids."""
        request = InitProducerIdRequest(transactional_id=None, transaction_timeout_ms=0)
        found: list[Any] = [self.broker.ask(request, 4) for _ in range(count)]
        self.assertEqual([(answer.error_code, answer.producer_epoch) for answer in found], [(0, 0)] * count)
        return [answer.producer_id for answer in found]

    def test_never_twice(self) -> None:
        found = self.ids(3)
        self.restart(power=True)
        found += self.ids(3)
        self.broker.stop()
        self.broker.start()
        found += self.ids(3)
        self.assertEqual(len(dict.fromkeys(found)), 9)

    def test_more_than_a_block_at_once(self) -> None:
        """A block is agreed on once for all that wait for it, and the next one when it is used up."""
        ids = [self.broker.node.broker.producer_ids.next() for _ in range(2500)]
        self.broker.wait(1)
        found = [self.successResultOf(one) for one in ids]
        self.assertEqual(len(dict.fromkeys(found)), 2500)
        self.assertEqual(self.broker.node.broker.metadata.image.next_producer_id, 3000)
