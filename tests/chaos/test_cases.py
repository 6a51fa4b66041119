"""
Nothing that was acknowledged is lost, doubled or moved, whatever is done to nodes, links and clients.

These are the cases of L{streamline.testing.chaos.cases} in their short length.
"""

from __future__ import annotations

import pytest

from streamline.testing.chaos.cases import CALM_S, CASES
from streamline.testing.chaos.trial import Settings, Verdict
from tests.chaos.trials import TrialCase

pytestmark = [pytest.mark.slow, pytest.mark.chaos]


class CaseTests(TrialCase):
    """Idempotent producers with acks=all, three replicas of which two are in sync, and admin clients beside them."""

    nodes = 4

    def case(self, number: str) -> Verdict:
        """Have one case's faults strike."""
        case = CASES[number]
        return self.torment(case.settings(is_full=False), case.faults)

    def test_ch0(self) -> None:
        """Where nothing happens, nothing fails."""
        verdict = self.case("CH0")
        self.assertEqual(verdict.acked, len(verdict.history.sends))
        self.assertEqual(verdict.changed, len(verdict.history.changes))

    def test_ch1(self) -> None:
        self.case("CH1")

    def test_ch2(self) -> None:
        self.case("CH2")

    def test_ch3(self) -> None:
        self.case("CH3")

    def test_ch4(self) -> None:
        self.case("CH4")

    def test_ch5(self) -> None:
        self.case("CH5")

    def test_ch6(self) -> None:
        self.case("CH6")

    def test_ch7(self) -> None:
        self.case("CH7")

    def test_ch8(self) -> None:
        self.case("CH8")

    def test_ch9(self) -> None:
        self.case("CH9")

    def test_ch10(self) -> None:
        self.case("CH10")

    def test_ch11(self) -> None:
        self.case("CH11")

    def test_ch12(self) -> None:
        self.case("CH12")

    def test_ch14(self) -> None:
        self.case("CH14")

    def test_ch15(self) -> None:
        self.case("CH15")

    def test_ch16(self) -> None:
        self.case("CH16")

    def test_ch20(self) -> None:
        """Clients have crashed, and a group has read everything."""
        verdict = self.case("CH20")
        producers = {send.producer for send in verdict.history.sends if "crashing" in send.producer}
        self.assertGreater(len(producers), 1)
        members = {poll.consumer for poll in verdict.history.polls if "/" in poll.consumer}
        self.assertGreater(len(members), 2)

    def test_rolling_restart(self) -> None:
        """No send fails while all nodes are restarted, one after another."""
        verdict = self.torment(Settings(calm_s=CALM_S), ["roll"])
        self.assertEqual(verdict.acked, len(verdict.history.sends))
