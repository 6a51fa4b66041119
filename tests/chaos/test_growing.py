"""A cluster that grows while clients are at work."""

from __future__ import annotations

from random import Random

import pytest

from streamline.testing.chaos.report import lines_of
from streamline.testing.chaos.trial import Settings, Trial
from tests.chaos.trials import TrialCase

pytestmark = [pytest.mark.slow, pytest.mark.chaos]


class GrowingTests(TrialCase):
    """A node that was alone becomes one of three."""

    founders = 1

    def test_one_then_three(self) -> None:
        """Two join, and nobody notices; then the first is killed, and is not missed."""
        settings = Settings(administers=True, replicas=1, calm_s=(0.2, 0.5))
        trial = Trial(self.cluster, "growing", Random(1), settings)
        trial.begin()
        self.cluster.restart(2)
        self.cluster.restart(3)
        verdict = trial.end()
        self.assertEqual(verdict.wrong, [], "\n".join(lines_of(verdict, "growing")))
        self.assertEqual(verdict.acked, len(verdict.history.sends))
        self.torment(Settings(administers=True, held_s=(0.5, 1.5), calm_s=(0.2, 0.5)), ["kill-controller"])
