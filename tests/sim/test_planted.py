"""The simulator finds bugs that are there."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from tests.sim.bugs import Bug
from tests.sim.planted import BUGS, ROOT, Finding, find, plant
from tests.sim.side_by_side import side_by_side


def planted_and_found(bug: Bug) -> Finding:
    """Plant a bug into a copy of the product, and look for it there."""
    with TemporaryDirectory() as directory:
        plant(bug, Path(directory))
        return find(bug, Path(directory))


class PlantedTests(SynchronousTestCase):
    """Each bug that is planted shows itself within a bounded number of seeds."""

    def test_places(self) -> None:
        """What a bug replaces stands there, once."""
        for bug in BUGS:
            for file, guard, _ in ((bug.file, bug.guard, bug.instead), *bug.more):
                self.assertEqual((ROOT / file).read_text("utf-8").count(guard), 1, bug.says)

    def test_nothing_to_replace(self) -> None:
        """A bug whose place is gone is not planted in silence."""
        gone = evolve(BUGS[0], guard="this text is nowhere")
        with TemporaryDirectory() as directory, self.assertRaisesRegex(ValueError, "has 0 places"):
            plant(gone, Path(directory))

    @pytest.mark.slow
    def test_each_is_found(self) -> None:
        """Each is found, from a seed near the one that is known to find it on."""
        found = side_by_side(planted_and_found, BUGS)
        self.assertEqual([bug.says for bug, finding in zip(BUGS, found, strict=True) if finding.seed is None], [])
