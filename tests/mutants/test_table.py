"""
The table of mutants does not rot: every guard stands where it says, every test is there, every rule has a mutant.

Whether the tests fail without the guards is shown by C{python -m tests.mutants}, which takes minutes.
"""

from __future__ import annotations

import ast
import shutil
import tempfile
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import pytest
from twisted.trial.unittest import SynchronousTestCase

from tests.mutants.mutant import Mutant
from tests.mutants.page import mutants_of, page
from tests.mutants.planting import NotPlanted, planted, without_guard
from tests.mutants.rules import FAMILIES, RULES
from tests.mutants.running import Verdict, copied, sound, try_out
from tests.mutants.table import AREAS

ROOT = Path(__file__).resolve().parents[2]
MUTANTS: Sequence[Mutant] = [mutant for mutants in AREAS.values() for mutant in mutants]


def is_there(test: str) -> bool:
    """Say whether a test is, as pytest names it; it may be inherited from a contract."""
    path, *names = test.split("::")
    if not (ROOT / path).is_file():
        return False
    found: object = import_module(path.removesuffix(".py").replace("/", "."))
    for name in names:
        found = getattr(found, name, None)
    return callable(found)


class GuardTests(SynchronousTestCase):
    """Each mutant takes away a guard that is there, and leaves a module that can be read."""

    def test_guards(self) -> None:
        """Where one has moved or changed, its mutant follows: tests/mutants has the line, and what becomes of it."""
        wrong = []
        for mutant in MUTANTS:
            try:
                ast.parse(without_guard((ROOT / mutant.file).read_text(encoding="utf-8"), mutant))
            except (NotPlanted, SyntaxError, FileNotFoundError) as error:
                wrong.append(f"{mutant.rule}: {error}")
        self.assertEqual(wrong, [], "\n".join(wrong))

    def test_guards_differ(self) -> None:
        """No two mutants are the same."""
        seen = [(mutant.rule, mutant.file, mutant.guard, mutant.instead) for mutant in MUTANTS]
        self.assertEqual(len(dict.fromkeys(seen)), len(seen))
        self.assertEqual([mutant.says for mutant in MUTANTS if mutant.guard == mutant.instead], [])

    def test_tests(self) -> None:
        """The tests that are named are there, and every mutant names some."""
        self.assertEqual([mutant.says for mutant in MUTANTS if not mutant.tests], [])
        named = dict.fromkeys(test for mutant in MUTANTS for test in mutant.tests)
        self.assertEqual([test for test in named if not is_there(test)], [])

    def test_tests_that_are_not_there(self) -> None:
        """They are noticed."""
        for test in ("tests/none.py::A::b", "tests/mutants/test_table.py::GuardTests::test_none"):
            self.assertFalse(is_there(test))


class RuleTests(SynchronousTestCase):
    """Every rule that is claimed has a mutant."""

    def test_rules(self) -> None:
        """Those that are kept have mutants, those that come later say when."""
        self.assertEqual([rule.id for rule in RULES.values() if rule.is_kept != bool(mutants_of(rule))], [])
        self.assertEqual([rule.id for rule in RULES.values() if not rule.is_kept and not rule.later], [])
        self.assertEqual([mutant.rule for mutant in MUTANTS if mutant.rule not in RULES], [])

    def test_ids(self) -> None:
        """No number is left out or given twice."""
        for family in FAMILIES:
            numbers = [f"{family.prefix}{number + 1}" for number in range(len(family.rules))]
            self.assertEqual([rule.id for rule in family.rules], numbers)

    def test_page(self) -> None:
        """docs/reliability.md says what the table says."""
        found = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
        self.assertEqual(found, page(), "run: python -m tests.mutants --page > docs/reliability.md")


TOY = '''\
def half(number):
    if number % 2:
        raise ValueError
    return number // 2
'''
TOY_TESTS = '''\
from toy import half

def test_half():
    assert half(4) == 2

def test_odd():
    try:
        half(3)
    except ValueError:
        return
    assert False
'''


class RunningTests(SynchronousTestCase):
    """The runner tells a mutant that is killed from one that is not, on a tree of a few files."""

    def setUp(self) -> None:
        """Make the tree."""
        place = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, place)
        self.tree = Path(place) / "tree"
        self.tree.mkdir()
        (self.tree / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
        (self.tree / "toy.py").write_text(TOY, encoding="utf-8")
        (self.tree / "test_toy.py").write_text(TOY_TESTS, encoding="utf-8")

    def mutant(self, *tests: str, guard: str = "if number % 2:\n    raise ValueError", instead: str = "") -> Mutant:
        """Return a mutant of the toy."""
        return Mutant("XX1", "Says.", "toy.py", guard, instead, [f"test_toy.py::{test}" for test in tests])

    def verdict(self, mutant: Mutant) -> Verdict:
        """Try a mutant out; the tree is as before then."""
        outcome = try_out(self.tree, mutant, 60)
        self.assertEqual((self.tree / "toy.py").read_text(encoding="utf-8"), TOY)
        return outcome.verdict

    @pytest.mark.slow
    def test_verdicts(self) -> None:
        """Every test that is named must fail, and must have been run."""
        self.assertEqual(self.verdict(self.mutant("test_odd")), Verdict.KILLED)
        self.assertEqual(self.verdict(self.mutant("test_odd", "test_half")), Verdict.SURVIVED)
        self.assertEqual(self.verdict(self.mutant("test_none")), Verdict.NOT_RUN)
        self.assertEqual(self.verdict(self.mutant("test_odd", instead="if:")), Verdict.NOT_RUN)
        self.assertEqual(self.verdict(self.mutant("test_odd", guard="pass")), Verdict.NO_GUARD)

    @pytest.mark.slow
    def test_no_end(self) -> None:
        """A test that never ends proves nothing."""
        mutant = self.mutant("test_odd", instead="while number % 2:\n    pass")
        self.assertEqual(try_out(self.tree, mutant, 3).verdict, Verdict.TOO_LATE)

    @pytest.mark.slow
    def test_without_mutants(self) -> None:
        """Tests that fail, or are not there, before anything is taken away are named."""
        self.assertEqual(sound(self.tree, [self.mutant("test_odd", "test_half")], 60), [])
        (wrong, _) = sound(self.tree, [self.mutant("test_none")], 60)
        self.assertEqual(wrong, "test_toy.py::test_none is not run")

    def test_planted(self) -> None:
        """A guard is found at any depth, and must stand there once."""
        with planted(self.tree, self.mutant(guard="return number // 2", instead="return number")):
            self.assertIn("    return number\n", (self.tree / "toy.py").read_text(encoding="utf-8"))
        (self.tree / "toy.py").write_text(TOY + TOY, encoding="utf-8")
        with self.assertRaises(NotPlanted), planted(self.tree, self.mutant()):
            self.fail("two of them")

    def test_copied(self) -> None:
        """The copy has what a run needs, and nothing of what belongs to this machine."""
        (self.tree / ".git").mkdir()
        with copied(self.tree) as copy:
            self.assertEqual(sorted(path.name for path in copy.iterdir()), ["pytest.ini", "test_toy.py", "toy.py"])
        self.assertFalse(copy.exists())
