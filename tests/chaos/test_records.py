"""No record that was acknowledged is lost, doubled or moved, whatever is done to the nodes."""

from __future__ import annotations

import pytest

from streamline.testing.chaos.trial import Settings
from tests.chaos.trials import TrialCase

pytestmark = [pytest.mark.slow, pytest.mark.chaos]

SHORT = Settings(held_s=(0.5, 1.5), calm_s=(0.2, 0.5))
SILENT = Settings(held_s=(4.0, 5.0), calm_s=(0.2, 0.5))
"""Longer than a session lasts: somebody else leads meanwhile."""


class RecordTests(TrialCase):
    """Idempotent producers with acks=all, three replicas, and two of them in sync."""

    def test_nothing(self) -> None:
        """Where nothing happens, nothing is wrong (CH0)."""
        verdict = self.torment(SHORT, "calm")
        self.assertEqual(verdict.acked, len(verdict.history.sends))

    def test_kill_one(self) -> None:
        """One node, the leader, and the controller are killed (CH1)."""
        self.torment(SHORT, "kill-one", "kill-leader", "kill-controller")

    def test_kill_many(self) -> None:
        """All but one are killed, then all, and nobody has to tell them anything (CH2, CH4)."""
        self.torment(SHORT, "kill-majority", "kill-all")

    def test_pause(self) -> None:
        """A node stands still for a moment (CH5)."""
        self.torment(SHORT, "pause-one")

    def test_pause_longer(self) -> None:
        """A leader stands still until somebody else leads, and goes on as if it still did (CH5)."""
        self.torment(SILENT, "pause-leader")

    def test_isolate(self) -> None:
        """A leader hears its clients and no node (CH8)."""
        self.torment(SILENT, "isolate-leader")

    def test_stale_side(self) -> None:
        """Who was cut off, or stood still, goes on with one of the two that went on without it (CH14, CH15)."""
        self.torment(SHORT, "part-kill", "pause-kill")

    def test_rolling_restart(self) -> None:
        """No send fails while all nodes are restarted, one after another."""
        verdict = self.torment(SHORT, "roll")
        self.assertEqual(verdict.acked, len(verdict.history.sends))
