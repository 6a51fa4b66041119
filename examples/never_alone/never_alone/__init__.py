"""Produces are taken only while another node has the records as well, whatever acks they ask for."""

from __future__ import annotations

from zope.interface import implementer

from streamline.errors import ErrorCode, Refused
from streamline.interfaces import IAcksPolicy
from streamline.replication.acks import ACKS_ALL, KafkaAcks


@implementer(IAcksPolicy)
class NeverAlone:
    """Kafka's rules, and one more: a leader that is alone in sync takes nothing."""

    def __init__(self, *_: object, least: str = "2") -> None:
        """
        @param least: how many replicas have to be in sync; from the command line, so it is text.
        """
        if not least.isdigit() or int(least) < 1:
            raise ValueError(f"least must be a number of replicas, not {least!r}")
        self._kafka = KafkaAcks()
        self._least = int(least)

    def admit(self, acks: int, isr_count: int, min_isr: int) -> None:
        """Refuse what Kafka does, and everything while too few replicas are in sync."""
        self._kafka.admit(acks, isr_count, min_isr)
        if acks != ACKS_ALL and isr_count < self._least:
            raise Refused(ErrorCode.NOT_ENOUGH_REPLICAS, f"{isr_count} of at least {self._least} are in sync")

    def waits_for_commit(self, acks: int) -> bool:
        """As in Kafka: only acks=all waits."""
        return self._kafka.waits_for_commit(acks)

    def settle(self, acks: int, isr_count: int, min_isr: int) -> None:
        """As in Kafka."""
        self._kafka.settle(acks, isr_count, min_isr)
