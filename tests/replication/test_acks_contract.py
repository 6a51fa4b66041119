"""The acks policies that come with Streamline keep the contract."""

from __future__ import annotations

from streamline.interfaces import IAcksPolicy
from streamline.replication.acks import KafkaAcks, StrictAcks
from streamline.testing.contracts import acks


class KafkaAcksContractTests(acks.AcksContract):
    """What every policy promises."""

    def make_acks(self) -> IAcksPolicy:
        """Make it."""
        return KafkaAcks()


class StrictAcksContractTests(acks.AcksContract):
    """What every policy promises."""

    def make_acks(self) -> IAcksPolicy:
        """Make it."""
        return StrictAcks()
