"""The simulator finds bugs that are there."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from tests.sim.planted import BUGS, ROOT, find, plant


class PlantedTests(SynchronousTestCase):
    """Each bug that is planted shows itself within a bounded number of seeds."""

    def test_places(self) -> None:
        """What a bug replaces stands there, once."""
        for bug in BUGS:
            self.assertEqual((ROOT / bug.file).read_text("utf-8").count(bug.guard), 1, bug.says)

    def test_nothing_to_replace(self) -> None:
        """A bug whose place is gone is not planted in silence."""
        gone = evolve(BUGS[0], guard="this text is nowhere")
        with TemporaryDirectory() as directory, self.assertRaisesRegex(ValueError, "has 0 places"):
            plant(gone, Path(directory))

    @pytest.mark.slow
    def test_each_is_found(self) -> None:
        """Each is found, from a seed near the one that is known to find it on."""
        missed = []
        for bug in BUGS:
            with TemporaryDirectory() as directory:
                plant(bug, Path(directory))
                if find(bug, Path(directory)).seed is None:
                    missed.append(bug.says)
        self.assertEqual(missed, [])
