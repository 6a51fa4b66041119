"""The table of what can be planted is about this core: every guard is there once, and so is every test."""

from __future__ import annotations

import ast
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.raft.planted import NotPlanted, broken
from tests.raft.plants import PLANTS, Plant

ROOT = Path(__file__).parents[2]


def names_in(path: str) -> list[str]:
    """Return the tests of a file, as pytest calls them without the file."""
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    return [
        f"{one.name}::{test.name}"
        for one in tree.body
        if isinstance(one, ast.ClassDef)
        for test in one.body
        if isinstance(test, ast.FunctionDef)
    ]


class PlantTests(SynchronousTestCase):
    """What C{python -m tests.raft.planted} plants."""

    def test_guards_are_there(self) -> None:
        """Each guard stands in its file exactly once, and what takes its place is Python, and something else."""
        for plant in PLANTS:
            text = (ROOT / plant.file).read_text("utf-8")
            after = broken(text, plant)
            self.assertNotEqual(after, text, plant.says)
            ast.parse(after)

    def test_tests_are_there(self) -> None:
        """Each plant names tests that exist; RF14, whose files are a service's, has none here."""
        for plant in PLANTS:
            self.assertTrue(plant.tests or plant.rule == "RF14", plant.says)
            for test in plant.tests:
                path, _, name = test.partition("::")
                self.assertIn(name, names_in(path))

    def test_every_rule_is_planted(self) -> None:
        """The simulator is asked to find each of the eighteen, in one form at least."""
        simulated = dict.fromkeys(plant.rule for plant in PLANTS if plant.simulated)
        self.assertEqual([f"RF{number}" for number in range(1, 19) if f"RF{number}" not in simulated], [])

    def test_a_guard_that_has_gone(self) -> None:
        """A guard that is not there, or twice, is no silent success."""
        plant = Plant("RF0", "nothing", "x.py", "a = 1", "a = 2")
        self.assertEqual(broken("if b:\n    a = 1\n", plant), "if b:\n    a = 2\n")
        for text in ("a = 3\n", "a = 1\na = 1\n"):
            self.assertRaises(NotPlanted, broken, text, plant)
