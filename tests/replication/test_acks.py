"""When a produce is taken, and when it is answered."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from streamline.errors import ErrorCode, Refused
from streamline.interfaces import IAcksPolicy
from streamline.replication.acks import ACKS_ALL, ACKS_LEADER, ACKS_NONE, KafkaAcks


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
