"""
Taking a guard out of a tree, and putting it back.

This is apart from L{tests.mutants.running} so that anybody can plant a mutant:
the simulator, too, has to find the bugs that are planted before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import cache_from_source
from pathlib import Path

from tests.mutants.mutant import Mutant


class NotPlanted(Exception):
    """The guard does not stand in its file, or not once only."""


def places(text: Sequence[str], guard: Sequence[str]) -> list[int]:
    """Return the lines at which a guard begins, whatever its indentation."""
    first = guard[0]
    return [
        at
        for at, line in enumerate(text)
        if line.lstrip() == first and _stands_at(text, at, guard, line[: len(line) - len(line.lstrip())])
    ]


def _stands_at(text: Sequence[str], at: int, guard: Sequence[str], indent: str) -> bool:
    wanted = [(indent + line).rstrip() for line in guard]
    return [line.rstrip() for line in text[at : at + len(guard)]] == wanted


def without_guard(text: str, mutant: Mutant) -> str:
    """
    Return a file's text with the mutant in it.

    @raise NotPlanted: the guard is not there exactly once.
    """
    lines = text.split("\n")
    found = places(lines, mutant.guard)
    if len(found) != 1:
        raise NotPlanted(f"{mutant.file} has the guard of {mutant.rule} {len(found)} times, not once: {mutant.guard}")
    at = found[0]
    indent = lines[at][: len(lines[at]) - len(lines[at].lstrip())]
    lines[at : at + len(mutant.guard)] = [(indent + line).rstrip() for line in mutant.instead]
    return "\n".join(lines)


@contextmanager
def planted(root: Path, mutant: Mutant) -> Iterator[None]:
    """
    Have a tree with the mutant in it for a while.

    @raise NotPlanted: the guard is not there exactly once.
    """
    path = root / mutant.file
    before = path.read_text(encoding="utf-8")
    _replace(path, without_guard(before, mutant))
    try:
        yield
    finally:
        _replace(path, before)


def _replace(path: Path, text: str) -> None:
    """Write a module, and forget what was compiled of it: that is told apart by size and whole seconds only."""
    path.write_text(text, encoding="utf-8")
    Path(cache_from_source(str(path))).unlink(missing_ok=True)
