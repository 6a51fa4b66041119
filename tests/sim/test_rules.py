"""Rules of replication, taken out one by one as a whole: the simulator sees each, and calls it by its name."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from twisted.trial.unittest import SynchronousTestCase

from tests.mutants.planting import planted
from tests.sim.planted import Finding, copied
from tests.sim.planted_rules import RULES, Rule, guards_of, is_seen, look
from tests.sim.side_by_side import side_by_side

FOUND_MIN = 20


def removed_and_seen(rule: Rule) -> Finding:
    """Take a rule out of a copy of the product, and look for what happens there."""
    with TemporaryDirectory() as name:
        copied(Path(name))
        return look(rule, Path(name))


class RuleTests(SynchronousTestCase):
    """Without a rule as a whole, what it was made for happens."""

    def test_places(self) -> None:
        """What is taken out of a rule stands where the table says, all of it at once."""
        with TemporaryDirectory() as name:
            copied(Path(name))
            for rule in RULES:
                guards = list(guards_of(rule))
                with ExitStack() as stack:
                    for guard in guards:
                        stack.enter_context(planted(Path(name), guard))
                self.assertTrue(guards and rule.sees, rule.name)

    def test_each_is_another(self) -> None:
        self.assertEqual(len({rule.name for rule in RULES}), len(RULES))
        self.assertGreaterEqual(sum(rule.is_found for rule in RULES), FOUND_MIN)

    @pytest.mark.slow
    def test_each_is_found(self) -> None:
        """Each is missed within a few seeds from one that is known to miss it."""
        sought = [rule for rule in RULES if rule.is_found]
        found = zip(sought, side_by_side(removed_and_seen, sought), strict=True)
        self.assertEqual([f"{rule.name}: {one}" for rule, one in found if not is_seen(rule, one.rules)], [])
