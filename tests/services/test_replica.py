"""One partition's copy while it follows: what is copied, cut, and known because of it."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.trial.unittest import SynchronousTestCase

from streamline.errors import ErrorCode, Refused, StorageFailed
from streamline.model import LogSlice
from streamline.replication.acks import StrictAcks
from streamline.replication.epochs import CHECKPOINT_NAME
from streamline.replication.followers import FollowerFetch
from streamline.replication.roles import Role
from streamline.services import remembering
from streamline.services.opening import open_partition
from streamline.services.receipts import Receipt
from streamline.services.replica import Replica
from streamline.transactions.snapshots import snapshot_name
from streamline.wire.batch import read_header
from tests.broker import Broker, batch_of

PRODUCER = 7


class CopyCase(SynchronousTestCase):
    """
    A node that follows a partition which it led before.

    @ivar replica: its copy; two records of epoch 0 are in it.
    """

    def setUp(self) -> None:
        """Have it lead, and follow."""
        self.broker = Broker(2, storage="segments").start()
        self.broker.create("t")
        for _ in range(2):
            self.broker.produce("t", batch_of(b"v"))
        self.replica: Replica = self.broker.partition("t")
        self.become(Role.FOLLOWER, 1, 2)

    def become(self, role: Role, leader_epoch: int, leader: int = 1, min_isr: int = 1, **more: Any) -> None:
        """Have the metadata want something of it."""
        replicas: Any = self.broker.node.broker.replicas
        given = {"replicas": (1, 2), "isr": (1, 2)} | more
        state = evolve(self.replica.state, leader=leader, leader_epoch=leader_epoch, **given)
        self.replica.become(role, state, min_isr, replicas._replicator)

    def copy(self, epoch: int, sequence: int = -1, producer: int = -1) -> None:
        """Take one batch as a leader of that epoch sent it, and write it."""
        self.take(epoch, sequence, producer)
        self.replica.write()

    def take(self, epoch: int, sequence: int = -1, producer: int = -1) -> None:
        """Take one batch, to be written with the next."""
        batch = bytearray(batch_of(b"w", producer_id=producer, producer_epoch=0, base_sequence=sequence))
        head = read_header(batch).place(self.replica.log.end_offset, epoch)
        batch[: len(head)] = head
        self.replica.copy(read_header(batch), memoryview(batch))


class CuttingTests(CopyCase):
    """KR1 to KR4, KR27: a cut takes along whatever was known because of the records that go."""

    def test_copied(self) -> None:
        """Records count as soon as they are written, and bring their epoch."""
        self.copy(1)
        self.assertEqual([self.replica.log.end_offset, self.replica.counted_offset], [3, 3])
        self.assertEqual(self.replica.epochs.entries(), [(0, 0), (1, 2)])

    def test_epochs_are_written_down(self) -> None:
        """KR4: at once, because they say more than the log does once that has grown again."""
        self.copy(1)
        self.replica.checkpoint()
        self.replica.cut(2)
        self.assertEqual(self.replica.epochs.entries(), [(0, 0)])
        self.assertEqual(self.replica.log.get_checkpoint(CHECKPOINT_NAME), b"0\n1\n0 0\n")

    def test_a_full_disk(self) -> None:
        """DK10, KR4: epochs that the log has no more would be there still; so it waits, and is opened with space."""
        self.copy(1)
        self.copy(1)
        self.copy(2)
        self.replica.checkpoint()
        faults = self.broker.machine.platter.faults
        faults.full = True
        self.assertRaises(StorageFailed, self.replica.cut, 3)
        for _ in range(3):
            self.broker.wait(1.1)
            self.assertRaises(Refused, self.broker.partition, "t")
        faults.full = False
        self.broker.wait(1.1)
        again = self.broker.partition("t")
        self.assertEqual(again.log.end_offset, 3)
        self.assertEqual(again.log.get_checkpoint(CHECKPOINT_NAME), b"0\n2\n0 0\n1 2\n")
        self.assertEqual(self.broker.produce("t", batch_of(b"v")).base_offset, 3)

    def test_what_goes_beside_it_fails(self) -> None:
        """A batch that the log lost, as the one before it was not to be read when it rolled, is nobody's (KR27)."""
        self.copy(1, 0, PRODUCER)
        self.replica.log._rolls_early = lambda: True  # type: ignore[attr-defined]
        self.broker.machine.platter.faults.read_error_chance = 1.0
        self.assertRaises(StorageFailed, self.take, 1, 1, PRODUCER)
        known = self.replica.producers.get(PRODUCER)
        assert known is not None
        self.assertEqual([known.last_sequence, self.replica.log.end_offset], [0, 3])
        self.assertIsNotNone(self.replica.offline)

    def test_a_full_disk_in_the_middle(self) -> None:
        """Where one of several batches finds no space for a roll, those before it are forgotten with it (KR27)."""
        self.copy(1, 0, PRODUCER)
        self.take(1, 1, PRODUCER)
        self.broker.machine.platter.faults.full = True
        self.replica.log._rolls_early = lambda: True  # type: ignore[attr-defined]
        self.assertRaises(StorageFailed, self.take, 1, 2, PRODUCER)
        known = self.replica.producers.get(PRODUCER)
        assert known is not None
        self.assertEqual([known.last_sequence, self.replica.log.end_offset], [0, 3])
        self.assertIsNone(self.replica.offline)

    def test_epochs_that_were_not_written(self) -> None:
        """What is copied again may be of an epoch before the latest of those that a full disk kept out (KR4)."""
        self.take(1)
        self.take(2)
        faults = self.broker.machine.platter.faults
        faults.full = True
        self.assertRaises(StorageFailed, self.replica.write)
        self.assertEqual([self.replica.epochs.entries(), self.replica.log.end_offset], [[(0, 0)], 2])
        faults.full = False
        self.copy(1)
        self.copy(2)
        self.assertEqual(self.replica.epochs.entries(), [(0, 0), (1, 2), (2, 3)])

    def test_an_epoch_that_begins(self) -> None:
        """A leader's own epoch has no record at first, and is kept whatever cannot be written (KR4)."""
        self.become(Role.LEADER, 3)
        self.broker.machine.platter.faults.full = True
        self.broker.produce("t", batch_of(b"v"))
        self.assertEqual(self.replica.epochs.entries(), [(0, 0), (3, 2)])

    def test_nothing_counts_that_is_gone(self) -> None:
        self.copy(1)
        self.replica.cut(1)
        self.assertEqual([self.replica.log.end_offset, self.replica.counted_offset], [1, 1])
        self.copy(1)
        self.assertEqual(self.replica.counted_offset, 2)

    def test_a_sync_that_began_before(self) -> None:
        """It says nothing about what was copied since."""
        config = evolve(self.replica.config, flush_messages=1)
        self.replica.configure(config)
        self.broker.machine.platter.faults.thread_mean_s = 0.5
        self.copy(1)
        self.assertEqual(self.replica.counted_offset, 2)
        self.replica.cut(2)
        self.copy(1)
        seen = []
        while self.replica.counted_offset < 3:
            self.broker.wait(0.01)
            seen.append((self.replica.counted_offset, self.replica.log.recovery_point))
        self.assertTrue(all(point >= counted for counted, point in seen), seen[-3:])

    def test_two_syncs(self) -> None:
        """One that began before the cut ends after another one has begun: it is not taken for that one."""
        self.replica.configure(evolve(self.replica.config, flush_messages=1))
        kept: Any = self.replica.log
        syncs: list[Deferred[int]] = []

        def sync() -> Deferred[int]:
            syncs.append(Deferred())
            return syncs[-1]

        kept.sync = sync
        self.copy(1)
        self.replica.cut(2)
        self.copy(1)
        before, after = syncs
        before.callback(3)
        self.assertEqual(self.replica.counted_offset, 2)
        after.callback(3)
        self.assertEqual(self.replica.counted_offset, 3)

    def test_what_a_cut_leaves_is_synced(self) -> None:
        """What waited for a sync that says nothing any more counts after another one, whether or not more comes."""
        self.replica.configure(evolve(self.replica.config, flush_messages=1))
        self.broker.machine.platter.faults.thread_mean_s = 0.5
        self.copy(1)
        self.copy(1)
        self.replica.cut(3)
        self.assertEqual(self.replica.counted_offset, 2)
        self.broker.wait(5.0)
        self.assertEqual(self.replica.counted_offset, 3)

    def test_producers(self) -> None:
        """KR27: those whose batches have all gone are read from the log again before anybody leads."""
        for sequence in range(7):
            self.copy(1, sequence, PRODUCER)
        self.replica.cut(3)
        self.become(Role.LEADER, 2)
        self.assertTrue(self.replica.is_led)
        known = self.replica.producers.get(PRODUCER)
        assert known is not None
        self.assertEqual(known.last_sequence, 0)

    def test_producers_are_known_as_far_back(self) -> None:
        """KR27: where some of the last five batches go, those before them count again: any of five may be repeated."""
        for sequence in range(7):
            self.copy(1, sequence, PRODUCER)
        self.replica.cut(8)
        known = self.replica.producers.get(PRODUCER)
        assert known is not None
        self.assertEqual([batch.first_sequence for batch in known.batches], [1, 2, 3, 4, 5])

    def sent(self, sequence: int, leader_epoch: int | None = None) -> str:
        """Have a client send a batch, or another node pass it on; return what becomes of it."""
        batch = memoryview(batch_of(b"w", producer_id=PRODUCER, producer_epoch=0, base_sequence=sequence))
        header = read_header(batch)
        try:
            looked = header, header.max_timestamp, False
            return f"taken at {self.replica.append(batch, looked, -1, leader_epoch).base_offset}"
        except Refused as refusal:
            return refusal.code.name

    def test_who_was_refused(self) -> None:
        """KR26: of what comes one after the other from a new producer, nothing is taken before the first is."""
        self.assertEqual(self.sent(0), "NOT_LEADER_OR_FOLLOWER")
        self.become(Role.LEADER, 2, 2)
        self.assertEqual(self.sent(1), "OUT_OF_ORDER_SEQUENCE_NUMBER")
        self.assertEqual([self.sent(0), self.sent(1)], ["taken at 2", "taken at 3"])

    def test_who_was_cut_off(self) -> None:
        """KR26: nor where what came before was here, and is not any more."""
        for sequence in range(2):
            self.copy(1, sequence, PRODUCER)
        self.replica.cut(2)
        self.become(Role.LEADER, 2, 2)
        self.assertEqual([self.sent(2), self.sent(0)], ["OUT_OF_ORDER_SEQUENCE_NUMBER", "taken at 2"])

    def opened(self) -> Replica:
        """Return the copy as a restart would find it."""
        replica = self.replica
        opening = open_partition(
            replica.log, replica.state, replica.config, replica._acks, replica._clock, replica._for_commit._gathering
        )
        return self.successResultOf(ensureDeferred(opening))

    def test_passed_on(self) -> None:
        """KR26: what came before may have been for another leader, who has not taken it, or not kept it."""
        self.become(Role.LEADER, 2, 2)
        self.assertEqual([self.sent(1, 2), self.sent(0, 2)], ["UNKNOWN_PRODUCER_ID", "taken at 2"])
        self.assertEqual([self.sent(1, 2), self.sent(2, 1)], ["taken at 3", "NOT_LEADER_OR_FOLLOWER"])

    def test_opened_with_an_epoch_that_is_none(self) -> None:
        """KR4: it was written down, led nobody, and what an earlier leader wrote was copied in its place."""
        self.copy(1)
        self.become(Role.LEADER, 3, 2)
        self.replica.checkpoint()
        self.become(Role.FOLLOWER, 4, 1)
        self.copy(1)
        self.assertEqual(self.replica.log.get_checkpoint(CHECKPOINT_NAME), b"0\n3\n0 0\n1 2\n3 3\n")
        self.assertEqual(self.opened().epochs.entries(), [(0, 0), (1, 2)])

    def test_opened_within_an_epoch(self) -> None:
        """KR4: producers are read from their snapshot on, which may lie within an epoch; that begins where it began."""
        replica = self.replica
        for sequence in range(3):
            if sequence == 2:
                replica.books._save(replica.books._producers_below, 4)
                self.broker.wait(1)
            self.copy(1, sequence, PRODUCER)
        self.copy(2)
        replica.books.save_epochs()
        known = replica.epochs.entries()
        self.assertEqual(known, [(0, 0), (1, 2), (2, 5)])
        opened = self.opened()
        self.assertEqual(opened.epochs.entries(), known)
        self.assertEqual(list(opened.producers.producers()), list(replica.producers.producers()))

    def snapshots(self) -> list[str]:
        """Return the names of the snapshots of producers."""
        return [name for name in self.replica.log.checkpoint_names() if name.endswith(".snapshot")]

    def test_nothing_is_said_while_producers_are_read(self) -> None:
        """KR27: a snapshot would forget those of whom the log has not told yet."""
        books = self.replica.books
        for sequence in range(3):
            self.copy(1, sequence, PRODUCER)
        books.knows_producers = False
        books.close()
        self.assertEqual(self.snapshots(), [])
        self.replica.cut(3)  # and reads them
        closing = books.close()
        self.broker.wait(1)
        self.successResultOf(closing)
        self.assertEqual(self.snapshots(), [snapshot_name(3)])

    def begin_to_read_producers(self) -> None:
        """Cut off what a producer sent last; who sent what is left is read in the turns that follow."""
        for sequence in range(4):
            self.copy(1, sequence, PRODUCER)
        self.patch(remembering, "SLICE_HEADERS", 1)
        self.replica.cut(5)

    def test_cut_while_producers_are_read(self) -> None:
        """What was read may have gone; they are read once more, or nobody would lead ever again."""
        self.begin_to_read_producers()
        self.assertFalse(self.replica.books.knows_producers)
        self.copy(2)
        self.replica.cut(5)
        self.broker.wait(1)
        self.assertTrue(self.replica.books.knows_producers)
        self.become(Role.LEADER, 3)
        self.assertTrue(self.replica.is_led)

    def test_begun_anew_while_producers_are_read(self) -> None:
        """There is nobody then, and nothing to wait for."""
        self.begin_to_read_producers()
        self.replica.begin_anew(10)
        self.assertTrue(self.replica.books.knows_producers)
        self.become(Role.LEADER, 3)
        self.assertTrue(self.replica.is_led)

    def test_a_snapshot_is_cut_off(self) -> None:
        """The one before may be far back, so the next checkpoint writes another."""
        books = self.replica.books
        for sequence in range(3):
            self.copy(1, sequence, PRODUCER)
        books.close()
        self.broker.wait(1)
        self.assertEqual(self.snapshots(), [snapshot_name(5)])
        self.replica.cut(4)
        self.assertEqual(self.snapshots(), [])
        self.replica.checkpoint()
        self.broker.wait(1)
        self.assertEqual(self.snapshots(), [snapshot_name(4)])

    def test_begun_anew(self) -> None:
        self.replica.begin_anew(10)
        self.assertEqual([self.replica.log.start_offset, self.replica.log.end_offset], [10, 10])
        self.assertEqual(self.replica.epochs.entries(), [])
        self.copy(3)
        self.assertEqual(self.replica.epochs.entries(), [(3, 10)])


    def test_counts_from_where_it_begins_anew(self) -> None:
        """Or who leads next would wait for records that nobody has."""
        self.replica.begin_anew(10)
        self.assertEqual(self.replica.counted_offset, 10)

    def test_epochs_before_it_begins_anew(self) -> None:
        """KR4: they are not written down either."""
        self.replica.begin_anew(10)
        self.assertEqual(self.replica.log.get_checkpoint(CHECKPOINT_NAME), b"0\n0\n")

    def test_epoch_without_records(self) -> None:
        """KR4: who led and wrote nothing forgets that when it follows, and on disk with the next checkpoint."""
        self.become(Role.LEADER, 2)
        self.replica.checkpoint()
        self.assertEqual(self.replica.epochs.entries(), [(0, 0), (2, 2)])
        self.become(Role.FOLLOWER, 3, 2)
        self.assertEqual(self.replica.epochs.entries(), [(0, 0)])
        self.replica.checkpoint()
        self.assertEqual(self.replica.log.get_checkpoint(CHECKPOINT_NAME), b"0\n1\n0 0\n")

    def test_synced_between_two_roles(self) -> None:
        """What counts then counts for the next leader, who else would wait for its own next record."""
        self.replica.configure(evolve(self.replica.config, flush_messages=1))
        self.broker.machine.platter.faults.thread_mean_s = 0.5
        self.copy(1)
        self.become(Role.WAITING, 1, 2)
        while self.replica.log.recovery_point < 3:
            self.broker.wait(0.01)
        self.broker.wait(0.01)
        self.assertEqual(self.replica.counted_offset, 3)


class RoleTests(CopyCase):
    """KR26: who waits for a leader that is none any more is told so."""

    def test_a_follower_takes_nothing(self) -> None:
        self.assertEqual(self.broker.produce("t", batch_of(b"v")).error_code, ErrorCode.NOT_LEADER_OR_FOLLOWER)

    def test_nobody_is_told_that_it_is_safe(self) -> None:
        """Not even where it leads again, in another epoch, and the high watermark has come to where it waits."""
        self.become(Role.LEADER, 2)
        receipt = self.broker.node.broker.replicas.append_now("t", 0, batch_of(b"v"), -1)
        settled: list[bool] = []
        self.replica.when_settled(receipt, -1, lambda: settled.append(True))
        self.become(Role.FOLLOWER, 3, 2)
        self.assertEqual(settled, [True])
        self.become(Role.LEADER, 4)
        self.assertTrue(self.replica.is_settled(receipt, -1))
        self.assertFalse(self.replica.acknowledges([receipt], 1))
        verdict = self.replica.verdict(receipt, 0)
        assert verdict is not None
        self.assertEqual(verdict.code, ErrorCode.NOT_LEADER_OR_FOLLOWER)

    def test_waiting(self) -> None:
        """KR15: before the metadata know of this process it neither leads nor follows."""
        self.become(Role.WAITING, 2)
        self.assertEqual([self.replica.is_led, self.replica.is_followed], [False, False])
        self.assertEqual(self.broker.produce("t", batch_of(b"v")).error_code, ErrorCode.NOT_LEADER_OR_FOLLOWER)
        self.become(Role.LEADER, 2)
        self.assertTrue(self.replica.is_led)

    def test_minimum_while_producers_are_read(self) -> None:
        """KR19: who leads later leads by the number that was agreed on last."""
        copy: Any = self.replica
        copy._rebuilding = object()
        self.become(Role.LEADER, 2, min_isr=1)
        self.assertFalse(self.replica.is_led)
        self.become(Role.LEADER, 2, min_isr=2)
        copy._rebuilding = None
        copy._lead_now()
        self.assertEqual(copy._leadership.min_isr, 2)


class Listener:
    """A follower that hears of what is committed."""

    def __init__(self, heard: list[str]) -> None:
        self._heard = heard

    def more(self, size_bytes: int) -> None:
        """It is not told of records here."""

    def committed(self) -> None:
        """Note it."""
        self._heard.append("follower")


class ServingTests(CopyCase):
    """What a leader does for its followers: files are lent, as far as nobody may cut them, and producers come first."""

    def test_what_is_committed(self) -> None:
        """And nothing else: a leader that becomes a follower may lose the rest, and write something else there."""
        self.become(Role.LEADER, 2)
        for _ in range(2):
            self.broker.node.broker.replicas.append_now("t", 0, batch_of(bytes(100_000)), 1)
        self.assertEqual((self.replica.high_watermark, self.replica.log.flushed_offset), (2, 4))
        self.assertIsNone(self.read().lent)
        self.fetched(4)
        found = self.read()
        assert found.lent is not None
        self.assertEqual((len(found.lent), found.next_offset), (self.replica.log.size_bytes, 4))

    def test_acknowledged_first(self) -> None:
        """KR11: producers hear that a record is committed before anything is done about telling followers."""
        self.become(Role.LEADER, 2)
        receipt = self.broker.node.broker.replicas.append_now("t", 0, batch_of(b"v"), -1)
        heard: list[str] = []
        self.replica.when_settled(receipt, -1, lambda: heard.append("producer"))
        self.replica.add_copier(Listener(heard))
        self.fetched(3)
        self.assertEqual(heard, ["producer", "follower"])

    def read(self) -> LogSlice:
        """Return what a follower gets that has nothing."""
        found = self.replica.read_as_replica(0, 1 << 20, True)
        assert not isinstance(found, Deferred)
        self.assertEqual(found.next_offset, 4)
        return found

    def fetched(self, offset: int) -> None:
        """Have the other replica say how far it is."""
        self.replica.fetched(FollowerFetch(2, 1 << 40, leader_epoch=2, offset=offset, last_epoch=2))


class TooFewTests(CopyCase):
    """KR24: whoever waits while replicas are lost is told so at once."""

    def setUp(self) -> None:
        """Have it lead, with two replicas in sync, which is the least."""
        super().setUp()
        self.become(Role.LEADER, 2, min_isr=2)
        self.settled: list[int] = []

    def waits(self, acks: int) -> Receipt:
        """Append a record, and wait for it."""
        receipt = self.broker.node.broker.replicas.append_now("t", 0, batch_of(b"v"), acks)
        self.assertFalse(self.replica.is_settled(receipt, acks))
        self.replica.when_settled(receipt, acks, lambda: self.settled.append(acks))
        return receipt

    def test_told_at_once(self) -> None:
        """Not when its time is up; its record is there, and may yet be committed."""
        receipt = self.waits(-1)
        self.become(Role.LEADER, 2, min_isr=2, isr=(1,))
        self.assertEqual(self.settled, [-1])
        verdict = self.replica.verdict(receipt, -1)
        assert verdict is not None
        self.assertEqual(verdict.code, ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND)
        self.assertEqual(self.replica.log.end_offset, receipt.next_offset)
        self.assertTrue(self.replica.is_settled(receipt, -1))

    def test_the_minimum_rises(self) -> None:
        self.waits(-1)
        self.become(Role.LEADER, 2, min_isr=2)
        self.assertEqual(self.settled, [])
        self.become(Role.LEADER, 2, min_isr=2, replicas=(1, 2, 3), isr=(1, 2))
        self.become(Role.LEADER, 2, min_isr=3, replicas=(1, 2, 3), isr=(1, 2))
        self.assertEqual(self.settled, [-1])

    def test_who_waits_for_nothing_but_the_commit(self) -> None:
        """What is in the log counts for the coordinators, however long it takes."""
        receipt = self.waits(-1)
        committed = self.replica.when_committed(receipt.next_offset)
        self.become(Role.LEADER, 2, min_isr=2, isr=(1,))
        self.assertNoResult(committed)
        self.become(Role.LEADER, 2, min_isr=1, isr=(1,))
        self.successResultOf(committed)

    def test_strict(self) -> None:
        """As far as the policy says that an answer waits, whatever acks the producer asked for."""
        copy: Any = self.replica
        copy._acks = StrictAcks()
        receipt = self.waits(1)
        self.become(Role.LEADER, 2, min_isr=2, isr=(1,))
        self.assertEqual(self.settled, [1])
        verdict = self.replica.verdict(receipt, 1)
        assert verdict is not None
        self.assertEqual(verdict.code, ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND)
