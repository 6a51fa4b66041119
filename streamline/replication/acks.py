"""
When a produce is answered: Kafka's rules for acks 0, 1 and all.

Pure.  The partition tells how many replicas are in sync, the policy says yes or
no; waiting is the purgatory's business.
"""

from __future__ import annotations

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
