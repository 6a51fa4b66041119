"""The policy keeps Streamline's contract, and its own rule."""

from __future__ import annotations

from never_alone import NeverAlone

from streamline.errors import ErrorCode, Refused
from streamline.interfaces import IAcksPolicy
from streamline.testing.contracts import acks


class NeverAloneTests(acks.AcksContract):
    """All of the contract."""

    def make_acks(self) -> IAcksPolicy:
        """Make it."""
        return NeverAlone()

    def test_alone(self) -> None:
        """A lone leader takes nothing that asks for less than everybody."""
        for asked in (0, 1):
            refusal = self.assertRaises(Refused, NeverAlone().admit, asked, 1, 1)
            self.assertEqual(refusal.code, ErrorCode.NOT_ENOUGH_REPLICAS)
            NeverAlone().admit(asked, 2, 1)
            NeverAlone(least="1").admit(asked, 1, 1)

    def test_options(self) -> None:
        """What is no number is said so."""
        self.assertRaises(ValueError, NeverAlone, least="many")
