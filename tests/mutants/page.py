"""The page docs/reliability.md, made of the rules and the mutants; a test holds the two together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tests.mutants.mutant import Mutant
from tests.mutants.rules import FAMILIES, RULES, Family, Rule
from tests.mutants.table import AREAS

HEAD = """\
# What this broker is trusted for

<!-- Written by `python -m tests.mutants --page > docs/reliability.md` from tests/mutants; change that. -->

Each rule below is kept by a few lines of code, and each of these lines by a test: take the line away and the test
fails. That is not an opinion: `python -m tests.mutants` (or `tox -e mutants`) takes every one of them away in turn, in
a copy of the tree, and runs the tests that are named here. Without its guard, the first column is no longer true.

{kept} of {all} rules are kept by this release, by {mutants} guards; the others say when they come.
"""

ROWS = """
| what the guard sees to | where it is | what fails without it |
|---|---|---|
"""


def mutants_of(rule: Rule) -> Sequence[Mutant]:
    """Return the mutants of a rule."""
    return [mutant for mutants in AREAS.values() for mutant in mutants if mutant.rule == rule.id]


def page() -> str:
    """Return the page."""
    kept = sum(rule.is_kept for rule in RULES.values())
    head = HEAD.format(kept=kept, all=len(RULES), mutants=sum(map(len, AREAS.values())))
    return head + "".join(line for family in FAMILIES for line in _family(family))


def _family(family: Family) -> Iterator[str]:
    yield f"\n## {family.prefix}: {family.about}\n"
    for rule in family.rules:
        if rule.is_kept:
            yield f"\n### {rule.id}\n\n{rule.says}"
            yield f" Not yet: {rule.later}.\n" if rule.later else "\n"
            yield ROWS
            for mutant in mutants_of(rule):
                yield _row(mutant)
    later = [rule for rule in family.rules if not rule.is_kept]
    if later:
        yield "\n### Not in this release\n\n"
        for rule in later:
            yield f"- {rule.id} ({rule.later}): {rule.says}\n"


def _row(mutant: Mutant) -> str:
    tests = "<br>".join(f"`{_short(test)}`" for test in mutant.tests)
    return f"| {mutant.says} | `{mutant.file.removeprefix('streamline/')}` | {tests} |\n"


def _short(test: str) -> str:
    return test.removeprefix("tests/")
