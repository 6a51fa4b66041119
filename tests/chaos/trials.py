"""What the tests of this directory have in common: one cluster for each class, and a trial for each test."""

from __future__ import annotations

import os
from collections.abc import Sequence
from random import Random
from tempfile import TemporaryDirectory
from typing import ClassVar

from twisted.trial.unittest import SynchronousTestCase

from streamline.testing import Cluster
from streamline.testing.chaos.report import lines_of
from streamline.testing.chaos.trial import Settings, Trial, Verdict, start_cluster

ROUNDS = int(os.environ.get("STREAMLINE_CHAOS_ROUNDS", "1"))


class TrialCase(SynchronousTestCase):
    """
    Tests against processes that the tests of a class share.

    @cvar nodes: how many nodes there can be; C{founders} of them are there when the class begins.
    """

    nodes: ClassVar[int] = 3
    founders: ClassVar[int] = 3
    cluster: ClassVar[Cluster]

    @classmethod
    def setUpClass(cls) -> None:
        """Start them."""
        home = TemporaryDirectory()
        cls.addClassCleanup(home.cleanup)
        cls.cluster = start_cluster(cls.nodes, founders=cls.founders, data_dir=home.name, sync=False)
        cls.addClassCleanup(cls.cluster.stop, clean=False)
        cls.cluster.start()

    def torment(self, settings: Settings, faults: Sequence[str]) -> Verdict:
        """Have faults strike while clients are at work, and see that nothing is wrong."""
        name = self._testMethodName.replace("_", "-")
        struck = [*faults] * ROUNDS
        verdict = Trial(self.cluster, name, Random(name), settings).run(struck)
        self.assertEqual(verdict.wrong, [], "\n".join(lines_of(verdict, name)))
        self.assertEqual([strike.fault for strike in verdict.strikes], struck)
        return verdict
