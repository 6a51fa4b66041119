"""A Python file as the tidiness rules see it."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import TypeAlias

from attrs import frozen

PACKAGE = "streamline"

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


@frozen
class Module:
    """
    One file.

    @ivar path: relative to the root of the repository.
    """

    path: PurePosixPath
    text: str
    tree: ast.Module

    @classmethod
    def of(cls, path: str, text: str) -> Module:
        """Parse a file's text."""
        return cls(PurePosixPath(path), text, ast.parse(text, path))

    @property
    def name(self) -> str:
        """The dotted name."""
        parts = list(self.path.with_suffix("").parts)
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @property
    def room(self) -> str:
        """The first name below the package: C{raft} for C{streamline.raft.log}; nothing for other files."""
        names = self.name.split(".")
        return names[1] if names[0] == PACKAGE and len(names) > 1 else ""

    def functions(self) -> Iterator[Function]:
        """Yield all functions and methods."""
        for node in ast.walk(self.tree):
            if isinstance(node, Function):
                yield node

    def imports(self) -> Iterator[tuple[int, str, bool]]:
        """
        Yield what is imported: line, full dotted name, whether only for the type checker.

        C{from a import b} counts as C{a.b}, because C{b} may be a module.
        """
        for_types = {
            id(node)
            for block in ast.walk(self.tree)
            if isinstance(block, ast.If) and ast.unparse(block.test).endswith("TYPE_CHECKING")
            for statement in block.body
            for node in ast.walk(statement)
        }
        for node in ast.walk(self.tree):
            for name in self._imported(node):
                yield getattr(node, "lineno", 0), name, id(node) in for_types

    def _imported(self, node: ast.AST) -> Iterator[str]:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = list(self.path.parent.parts)
            above = parts[: len(parts) - node.level + 1] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{origin}.{alias.name}" for alias in node.names)


Problem: TypeAlias = tuple[int, str]
"""A line and what is wrong there."""

Rule: TypeAlias = Callable[[Module], Iterator[Problem]]


def read(root: Path, *patterns: str) -> Iterator[Module]:
    """Yield the files below C{root} that match, in order."""
    for pattern in patterns:
        for path in sorted(root.glob(pattern)):
            yield Module.of(path.relative_to(root).as_posix(), path.read_text("utf-8"))


def problems(modules: list[Module], rule: Rule) -> list[str]:
    """Return what a rule finds, as C{path:line: what}."""
    return [f"{module.path}:{line}: {what}" for module in modules for line, what in rule(module)]
