"""Every operation on topics that was acknowledged is there on all nodes afterwards, and all show the same."""

from __future__ import annotations

from random import Random

import pytest

from streamline.testing.chaos.report import lines_of
from streamline.testing.chaos.trial import Settings, Trial
from tests.chaos.trials import TrialCase

pytestmark = [pytest.mark.slow, pytest.mark.chaos]

SHORT = Settings(partitions=0, administers=True, replicas=2, held_s=(0.5, 1.5), calm_s=(0.2, 0.5))
SILENT = Settings(partitions=0, administers=True, replicas=2, held_s=(3.0, 4.0), calm_s=(0.2, 0.5))


class TopicTests(TrialCase):
    """Admin clients make and delete topics while something happens to the controller."""

    def test_kill(self) -> None:
        """It is killed; then all nodes are, and nobody has to tell them anything."""
        self.torment(SHORT, "kill-controller", "kill-all")

    def test_pause(self) -> None:
        """It stands still, and goes on as if it still were the controller."""
        self.torment(SILENT, "pause-controller")

    def test_isolate(self) -> None:
        """It hears its clients and no node."""
        self.torment(SILENT, "isolate-controller")


class GrowingTests(TrialCase):
    """A node that was alone becomes one of three."""

    founders = 1

    def test_one_then_three(self) -> None:
        """Two join while clients are at work, who notice nothing; then the first is killed, and is not missed."""
        settings = Settings(administers=True, replicas=1, calm_s=(0.2, 0.5))
        trial = Trial(self.cluster, "growing", Random(1), settings)
        trial.begin()
        self.cluster.restart(2)
        self.cluster.restart(3)
        verdict = trial.end()
        self.assertEqual(verdict.wrong, [], "\n".join(lines_of(verdict, "growing")))
        self.assertEqual(verdict.acked, len(verdict.history.sends))
        self.torment(Settings(administers=True, held_s=(0.5, 1.5), calm_s=(0.2, 0.5)), "kill-controller")
