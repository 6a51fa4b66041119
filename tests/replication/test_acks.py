"""When a produce is taken, and when it is answered."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from streamline.errors import ErrorCode, Refused
from streamline.interfaces import IAcksPolicy
from streamline.replication.acks import (
    ACKS_ALL,
    ACKS_LEADER,
    ACKS_NONE,
    KafkaAcks,
    Standing,
    StrictAcks,
    is_due,
    refusal_of,
)


class KafkaAcksTests(SynchronousTestCase):
    """Kafka's rules."""

    def setUp(self) -> None:
        """Make one."""
        self.acks = KafkaAcks()

    def test_interface(self) -> None:
        verifyObject(IAcksPolicy, self.acks)

    def test_only_all_needs_replicas(self) -> None:
        """KR24: before the append nothing is written."""
        for acks in (ACKS_NONE, ACKS_LEADER):
            self.acks.admit(acks, 1, 2)
        self.acks.admit(ACKS_ALL, 2, 2)
        refusal = self.assertRaises(Refused, self.acks.admit, ACKS_ALL, 1, 2)
        self.assertEqual(refusal.code, ErrorCode.NOT_ENOUGH_REPLICAS)

    def test_unknown_acks(self) -> None:
        for acks in (-2, 2, 32767, -32768):
            refusal = self.assertRaises(Refused, self.acks.admit, acks, 3, 1)
            self.assertEqual(refusal.code, ErrorCode.INVALID_REQUIRED_ACKS)

    def test_what_waits(self) -> None:
        waits = [self.acks.waits_for_commit(acks) for acks in (ACKS_NONE, ACKS_LEADER, ACKS_ALL)]
        self.assertEqual(waits, [False, False, True])

    def test_replicas_lost_meanwhile(self) -> None:
        """KR24: the records are there and may commit."""
        self.acks.settle(ACKS_LEADER, 1, 2)
        self.acks.settle(ACKS_ALL, 2, 2)
        refusal = self.assertRaises(Refused, self.acks.settle, ACKS_ALL, 1, 2)
        self.assertEqual(refusal.code, ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND)


class StrictAcksTests(SynchronousTestCase):
    """Nothing is acknowledged that a fail-over may lose."""

    def setUp(self) -> None:
        """Make one."""
        self.acks = StrictAcks()

    def test_interface(self) -> None:
        verifyObject(IAcksPolicy, self.acks)

    def test_everything_needs_replicas(self) -> None:
        for acks in (ACKS_NONE, ACKS_LEADER, ACKS_ALL):
            self.acks.admit(acks, 2, 2)
            refusal = self.assertRaises(Refused, self.acks.admit, acks, 1, 2)
            self.assertEqual(refusal.code, ErrorCode.NOT_ENOUGH_REPLICAS)

    def test_unknown_acks(self) -> None:
        refusal = self.assertRaises(Refused, self.acks.admit, 2, 3, 1)
        self.assertEqual(refusal.code, ErrorCode.INVALID_REQUIRED_ACKS)

    def test_whatever_is_answered_waits(self) -> None:
        waits = [self.acks.waits_for_commit(acks) for acks in (ACKS_NONE, ACKS_LEADER, ACKS_ALL)]
        self.assertEqual(waits, [False, True, True])

    def test_replicas_lost_meanwhile(self) -> None:
        self.acks.settle(ACKS_NONE, 1, 2)
        for acks in (ACKS_LEADER, ACKS_ALL):
            refusal = self.assertRaises(Refused, self.acks.settle, acks, 1, 2)
            self.assertEqual(refusal.code, ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND)


class WaitingTests(SynchronousTestCase):
    """When a produce of records up to offset 10 is answered, and what."""

    def answer(self, acks: int, counted: int, committed: int, isr: int = 2) -> ErrorCode | str:
        """Return what is answered; in lower case where that is only because its time is up."""
        standing = Standing(counted, committed, isr, 2)
        refusal = refusal_of(KafkaAcks(), acks, 10, standing)
        code = ErrorCode.NONE if refusal is None else refusal.code
        return code if is_due(KafkaAcks(), acks, 10, standing) else code.name.lower()

    def test_leader(self) -> None:
        """acks=1 waits for our own copy, and asks for no replicas."""
        self.assertEqual(self.answer(ACKS_LEADER, 9, 5), "request_timed_out")
        self.assertEqual(self.answer(ACKS_LEADER, 10, 5, isr=1), ErrorCode.NONE)

    def test_all(self) -> None:
        """acks=all waits for the high watermark."""
        self.assertEqual(self.answer(ACKS_ALL, 12, 9), "request_timed_out")
        self.assertEqual(self.answer(ACKS_ALL, 12, 10), ErrorCode.NONE)

    def test_too_few_replicas_while_it_waits(self) -> None:
        """KR24: it hears so at once, because nothing is committed any more; the records are there and may commit."""
        self.assertEqual(self.answer(ACKS_ALL, 12, 9, isr=1), ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND)

    def test_too_few_replicas_when_it_is_answered(self) -> None:
        """KC4: no produce is acknowledged below a min.insync.replicas that is in force."""
        self.assertEqual(self.answer(ACKS_ALL, 12, 10, isr=1), ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND)
