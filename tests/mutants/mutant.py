"""One line that guards a rule, and what becomes of the tests without it."""

from __future__ import annotations

from collections.abc import Iterable
from textwrap import dedent

from attrs import field, frozen


def _lines(text: str) -> tuple[str, ...]:
    return tuple(dedent(text).strip("\n").splitlines())


def _tests(tests: Iterable[str]) -> tuple[str, ...]:
    return tuple(tests)


@frozen
class Mutant:
    """
    A rule with its guard taken away.

    @ivar rule: an id of L{tests.mutants.rules}.
    @ivar says: what the guard sees to; one sentence.
    @ivar file: where it is, from the root of the tree.
    @ivar guard: its lines, which stand there exactly once; how deep they are indented does not matter.
    @ivar instead: the lines that take their place.
    @ivar tests: the tests that fail then, each of them, as pytest calls them.
    """

    rule: str
    says: str
    file: str
    guard: tuple[str, ...] = field(converter=_lines)
    instead: tuple[str, ...] = field(converter=_lines)
    tests: tuple[str, ...] = field(converter=_tests)
