"""
When a produce is answered: Kafka's rules for acks 0, 1 and all, and stricter ones.

Pure.  The partition tells how far it is and how many replicas are in sync, the
policy says yes or no; waiting is the purgatory's business.
"""

from __future__ import annotations

from typing import NamedTuple

from zope.interface import implementer

from streamline.errors import ErrorCode, Refused
from streamline.interfaces import IAcksPolicy

ACKS_NONE = 0
ACKS_LEADER = 1
ACKS_ALL = -1


@implementer(IAcksPolicy)
class KafkaAcks:
    """0: no answer; 1: the leader has it; all (-1): every in-sync replica has it and there are enough of them."""

    def __init__(self, *_: object) -> None:
        """Take the node's host and settings, as every plugin; neither is needed."""

    def admit(self, acks: int, isr_count: int, min_isr: int) -> None:
        """Refuse what could never be answered well: unknown acks, or too few replicas before the append (KR24)."""
        if acks == ACKS_ALL:
            if isr_count < min_isr:
                raise Refused(
                    ErrorCode.NOT_ENOUGH_REPLICAS, f"{isr_count} of {min_isr} required replicas are in sync"
                )
        elif acks not in (ACKS_LEADER, ACKS_NONE):
            raise Refused(ErrorCode.INVALID_REQUIRED_ACKS, f"acks must be 0, 1 or -1, not {acks}")

    def waits_for_commit(self, acks: int) -> bool:
        """Only acks=all waits for the high watermark."""
        return acks == ACKS_ALL

    def settle(self, acks: int, isr_count: int, min_isr: int) -> None:
        """Say honestly that replicas were lost while the produce waited (KR24); its records may still commit."""
        if acks == ACKS_ALL and isr_count < min_isr:
            raise Refused(
                ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND, f"{isr_count} of {min_isr} required replicas are in sync"
            )


@implementer(IAcksPolicy)
class StrictAcks:
    """
    What is acknowledged survives a fail-over, whatever the producer asks for.

    acks=1 waits for every in-sync replica as acks=all does, because a producer that is told "the leader has it" may
    be told so of a record that the next leader does not have.  acks=0 has no answer, so nothing can be promised; but
    where acks=all would be refused, so is acks=0: nothing is taken that could not be kept.
    """

    def __init__(self, *_: object) -> None:
        """Take the node's host and settings, as every plugin; neither is needed."""
        self._kafka = KafkaAcks()

    def admit(self, acks: int, isr_count: int, min_isr: int) -> None:
        """Refuse acks that nobody knows, and everything where too few replicas are in sync (KR24)."""
        self._kafka.admit(acks, isr_count, min_isr)
        self._kafka.admit(ACKS_ALL, isr_count, min_isr)

    def waits_for_commit(self, acks: int) -> bool:
        """Everything that is answered waits for the high watermark."""
        return acks != ACKS_NONE

    def settle(self, acks: int, isr_count: int, min_isr: int) -> None:
        """Say that replicas were lost while the produce waited."""
        if acks != ACKS_NONE:
            self._kafka.settle(ACKS_ALL, isr_count, min_isr)


class Standing(NamedTuple):
    """
    Where a partition stands when somebody asks whether a produce can be answered.

    @ivar counted_offset: our own copy counts up to here.
    @ivar isr_count: how many replicas are in sync, as far as that is agreed on.
    @ivar min_isr: how many committing takes.
    """

    counted_offset: int
    high_watermark: int
    isr_count: int
    min_isr: int


def is_due(policy: IAcksPolicy, acks: int, next_offset: int, standing: Standing) -> bool:
    """
    Say whether to answer a produce whose records end before C{next_offset}.

    That is so once they are as safe as was asked for, and as soon as waiting is no use: while the ISR is too small the
    high watermark stands still (KR19), and whoever waits for it is told so at once rather than when its time is up.
    """
    if not policy.waits_for_commit(acks):
        return standing.counted_offset >= next_offset
    return standing.high_watermark >= next_offset or _lost(policy, acks, standing) is not None


def refusal_of(policy: IAcksPolicy, acks: int, next_offset: int, standing: Standing) -> Refused | None:
    """
    Return what to tell a produce that is due, or whose time is up; None acknowledges it.

    Its records are in the log in any case, and may be committed later (KR24).
    """
    reached = standing.high_watermark if policy.waits_for_commit(acks) else standing.counted_offset
    late = Refused(ErrorCode.REQUEST_TIMED_OUT) if reached < next_offset else None
    return _lost(policy, acks, standing) or late


def _lost(policy: IAcksPolicy, acks: int, standing: Standing) -> Refused | None:
    try:
        policy.settle(acks, standing.isr_count, standing.min_isr)
    except Refused as refusal:
        return refusal
    return None
