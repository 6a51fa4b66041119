"""
The contract of L{IAcksPolicy}.

Subclass L{AcksContract} and say how to make yours::

    class MyAcksTests(acks.AcksContract):
        def make_acks(self):
            return MyAcks()
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from streamline.errors import ErrorCode, Refused
from streamline.interfaces import IAcksPolicy

ACKS = (0, 1, -1)
COUNTS = range(1, 6)


class AcksContract(SynchronousTestCase):
    """A suite to be subclassed."""

    def make_acks(self) -> IAcksPolicy:
        """Return the policy under test."""
        raise NotImplementedError("say how to make the policy")

    def test_interface(self) -> None:
        """It has everything that its interface names."""
        verifyObject(IAcksPolicy, self.make_acks())

    def test_acks_that_nobody_knows(self) -> None:
        """They are refused, before anything is written."""
        for acks in (2, -2, 1 << 15):
            refusal = self.assertRaises(Refused, self.make_acks().admit, acks, 3, 1)
            self.assertEqual(refusal.code, ErrorCode.INVALID_REQUIRED_ACKS)

    def test_all_waits_for_the_commit(self) -> None:
        """Whatever else waits for it."""
        self.assertTrue(self.make_acks().waits_for_commit(-1))

    def test_all(self) -> None:
        """acks=all is taken and acknowledged where enough replicas are in sync, and nowhere else (KR24)."""
        policy = self.make_acks()
        expected = [ErrorCode.NOT_ENOUGH_REPLICAS, ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND]
        for isr_count, min_isr in product(COUNTS, COUNTS):
            found = [_code_of(ask, -1, isr_count, min_isr) for ask in (policy.admit, policy.settle)]
            self.assertEqual(found, [ErrorCode.NONE] * 2 if isr_count >= min_isr else expected)

    def test_more_replicas_do_no_harm(self) -> None:
        """What is taken, or acknowledged, with some replicas in sync is so with more of them."""
        policy = self.make_acks()
        for ask, acks, isr_count, min_isr in product((policy.admit, policy.settle), ACKS, COUNTS, COUNTS):
            if _code_of(ask, acks, isr_count, min_isr) is ErrorCode.NONE:
                self.assertIs(_code_of(ask, acks, isr_count + 1, min_isr), ErrorCode.NONE)


def _code_of(ask: Callable[[int, int, int], None], acks: int, isr_count: int, min_isr: int) -> ErrorCode:
    try:
        ask(acks, isr_count, min_isr)
    except Refused as refusal:
        return refusal.code
    return ErrorCode.NONE
