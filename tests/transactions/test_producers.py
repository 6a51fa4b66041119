"""Idempotent producers: what is new, what comes again, and what is refused."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from streamline.errors import ErrorCode, Refused
from streamline.transactions.producers import (
    AWAITED_MAX,
    AWAITED_MS,
    REMEMBERED_BATCHES,
    SEQUENCE_MAX,
    Batch,
    ProducerStates,
    follows,
)

PRODUCER = 7


class Log:
    """A log that gives offsets, and the producers of it."""

    def __init__(self) -> None:
        self.states = ProducerStates()
        self.end_offset = 0

    def send(self, first: int, last: int, epoch: int = 0, now_ms: int = 0) -> Batch | None:
        """Send a batch as a client; return the one that it repeats."""
        known = self.states.check(PRODUCER, epoch, first, last)
        if known is None:
            count = (last - first) % (SEQUENCE_MAX + 1) + 1
            batch = Batch(first, last, self.end_offset, self.end_offset + count - 1, now_ms)
            self.states.wrote(PRODUCER, epoch, batch, now_ms)
            self.end_offset += count
        return known


class ProducerCase(SynchronousTestCase):
    """A log with one producer."""

    def setUp(self) -> None:
        """Begin with an empty log."""
        self.log = Log()
        self.states = self.log.states

    def send(self, *args: int, **more: int) -> Batch | None:
        """Send a batch."""
        return self.log.send(*args, **more)

    def refuses(self, code: ErrorCode, *args: int, **more: int) -> None:
        """Expect a batch to be refused."""
        refusal = self.assertRaises(Refused, self.send, *args, **more)
        self.assertEqual(refusal.code, code)


class SequenceTests(ProducerCase):
    """Sequence numbers count on, without gaps."""

    def test_first_batch_of_an_unknown_producer(self) -> None:
        """Any sequence will do: the producer's state may have expired (KIP-360)."""
        self.assertIsNone(self.send(17, 18))
        self.assertIsNone(self.send(19, 19))

    def test_gap(self) -> None:
        self.send(0, 4)
        self.refuses(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER, 6, 7)
        self.assertIsNone(self.send(5, 5))

    def test_back_and_forth(self) -> None:
        """A batch that begins before the end and is none of those remembered is out of order."""
        self.send(0, 4)
        self.refuses(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER, 3, 6)
        self.refuses(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER, 0, 3)

    def test_wraps(self) -> None:
        """After 2^31 - 1 comes 0, within a batch and between two."""
        self.send(SEQUENCE_MAX - 1, SEQUENCE_MAX)
        self.assertIsNone(self.send(0, 1))
        log = Log()
        log.send(SEQUENCE_MAX, 1)
        self.assertEqual(log.end_offset, 3)
        self.assertIsNone(log.send(2, 2))
        self.assertEqual(log.send(SEQUENCE_MAX, 1), Batch(SEQUENCE_MAX, 1, 0, 2, 0))

    def test_follows(self) -> None:
        self.assertTrue(follows(4, 5))
        self.assertTrue(follows(SEQUENCE_MAX, 0))
        self.assertFalse(follows(4, 0))
        self.assertFalse(follows(4, 4))
        self.assertFalse(follows(SEQUENCE_MAX, 1))


class DuplicateTests(ProducerCase):
    """The last five batches are answered with the offsets that they got the first time."""

    def test_each_of_the_last_five(self) -> None:
        for number in range(7):
            self.send(number * 2, number * 2 + 1)
        for number in range(2, 7):
            known = self.send(number * 2, number * 2 + 1)
            self.assertIsNotNone(known)
            assert known is not None
            self.assertEqual((known.first_offset, known.last_offset), (number * 2, number * 2 + 1))
        self.assertEqual(self.log.end_offset, 14, "nothing was written again")

    def test_no_more_than_five(self) -> None:
        for number in range(6):
            self.send(number, number)
        self.refuses(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER, 0, 0)
        state = self.states.get(PRODUCER)
        assert state is not None
        self.assertEqual(len(state.batches), REMEMBERED_BATCHES)

    def test_both_ends_must_match(self) -> None:
        self.send(0, 4)
        self.refuses(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER, 0, 5)


class EpochTests(ProducerCase):
    """A producer that comes with a new epoch begins anew; one with an old epoch is fenced."""

    def test_old_epoch(self) -> None:
        self.send(0, 0, epoch=3)
        self.refuses(ErrorCode.INVALID_PRODUCER_EPOCH, 1, 1, epoch=2)

    def test_new_epoch_begins_at_zero(self) -> None:
        self.send(0, 9)
        self.refuses(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER, 10, 10, epoch=1)
        self.assertIsNone(self.send(0, 0, epoch=1))

    def test_new_epoch_forgets_the_batches(self) -> None:
        """A batch of the epoch before that looks the same is none that comes again (Redpanda 5026)."""
        self.send(0, 0)
        self.assertIsNone(self.send(0, 0, epoch=1))
        known = self.send(0, 0, epoch=1)
        assert known is not None
        self.assertEqual(known.first_offset, 1)


class TakingBackTests(ProducerCase):
    """What the log could not keep did not happen."""

    def test_an_unknown_producer(self) -> None:
        self.send(0, 0)
        self.states.take_back(0, 0)
        self.assertIsNone(self.states.get(PRODUCER))

    def test_back_to_the_last_settlement(self) -> None:
        self.send(0, 0)
        self.states.settle()
        before = self.states.get(PRODUCER)
        self.send(1, 1)
        self.send(2, 2)
        self.states.take_back(1, 0)
        self.assertEqual(self.states.get(PRODUCER), before)
        self.assertIsNone(self.send(1, 1))

    def test_what_was_kept_stays(self) -> None:
        """The log rolled, and wrote the first batch with that; only the second is lost."""
        self.send(0, 0)
        self.send(1, 1)
        self.states.take_back(1, 0)
        self.assertIsNotNone(self.send(0, 0))
        self.assertIsNone(self.send(1, 1))

    def test_settled_is_settled(self) -> None:
        self.send(0, 0)
        self.states.settle()
        self.states.take_back(0, 0)
        self.assertIsNotNone(self.states.get(PRODUCER))

    def test_expired_meanwhile(self) -> None:
        self.send(0, 0)
        self.states.expire(before_ms=1)
        self.states.take_back(0, 0)
        self.assertIsNone(self.states.get(PRODUCER))


class ForgettingTests(ProducerCase):
    """Silent producers go, and those whose batches were cut off."""

    def test_expire(self) -> None:
        self.send(0, 0, now_ms=100)
        self.assertEqual(self.states.expire(before_ms=100), 0)
        self.assertEqual(self.states.expire(before_ms=101), 1)
        self.assertEqual(len(self.states), 0)

    def test_each_batch_counts_as_a_sign_of_life(self) -> None:
        self.send(0, 0, now_ms=100)
        self.send(1, 1, now_ms=200)
        self.assertEqual(self.states.expire(before_ms=200), 0)

    def test_truncate(self) -> None:
        for number in range(3):
            self.send(number, number)
        self.assertTrue(self.states.truncate(2, 0))
        self.assertFalse(self.states.truncate(2, 0))
        self.assertIsNotNone(self.send(1, 1))
        self.assertIsNone(self.send(2, 2))
        self.states.truncate(0, 0)
        self.assertEqual(len(self.states), 0)

    def test_passed_over(self) -> None:
        """What a producer sent after a batch that was refused waits for that one, for a while."""
        self.states.passed_over(7, 0, 4, 1000)
        self.states.passed_over(7, 0, 6, 1000)
        for sequence, now_ms in ((5, 1000), (9, 1000 + AWAITED_MS - 1)):
            with self.assertRaises(Refused) as caught:
                self.states.check_awaited(7, 0, sequence, now_ms)
            self.assertEqual(caught.exception.code, ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER)
        self.states.check_awaited(8, 0, 9, 1000)
        self.states.check_awaited(7, 0, 9, 1000 + AWAITED_MS)
        self.assertFalse(self.states.awaits)
        self.states.passed_over(7, 0, 4, 1000)
        self.states.check_awaited(7, 1, 9, 1000)
        self.assertFalse(self.states.awaits, "it has begun anew")

    def test_passed_over_many(self) -> None:
        for producer_id in range(AWAITED_MAX + 1):
            self.states.passed_over(producer_id, 0, 0, 0)
        self.states.check_awaited(0, 0, 5, 0)
        self.assertRaises(Refused, self.states.check_awaited, 1, 0, 5, 0)

    def test_restored_producers_count_as_heard_of_now(self) -> None:
        self.send(0, 0, now_ms=100)
        again = ProducerStates()
        again.restore(self.states.producers(), now_ms=500)
        self.assertEqual(again.expire(before_ms=500), 0)
        self.assertEqual(again.expire(before_ms=501), 1)


class AnyHistoryTests(SynchronousTestCase):
    """Whatever a producer repeats, each record is in the log once and in order."""

    @given(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 6)), max_size=40))
    def test_retries(self, steps: list[tuple[int, int]]) -> None:
        """Send batches of so many records, and after each one repeat some batch of the past."""
        log, sent, sequence = Log(), [], SEQUENCE_MAX - 5
        for count, back in steps:
            last = (sequence + count - 1) & SEQUENCE_MAX
            self.assertIsNone(log.send(sequence, last))
            sent.append((sequence, last, log.end_offset - count))
            sequence = (last + 1) & SEQUENCE_MAX
            if back < len(sent):
                first, last, offset = sent[-1 - back]
                if back < REMEMBERED_BATCHES:
                    known = log.send(first, last)
                    assert known is not None
                    self.assertEqual(known.first_offset, offset)
                else:
                    self.assertRaises(Refused, log.send, first, last)
        self.assertEqual(log.end_offset, sum(count for count, _ in steps))
