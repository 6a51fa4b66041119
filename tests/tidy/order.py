"""
No order out of a set: on the floors that decide, sets are asked and never iterated.

The order of a set of strings differs from process to process.  A set may be
asked for membership, compared, combined, counted, and put through C{sorted}.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.tidy.floors import floor_of
from tests.tidy.source import Module, Problem

HIGHEST = 2
"""The highest floor to which this applies."""

SET_TYPES = ("set", "frozenset", "Set", "AbstractSet", "FrozenSet", "MutableSet")
SET_METHODS = ("union", "intersection", "difference", "symmetric_difference", "copy")
ORDERLESS = ("sorted", "len", "any", "all", "sum", "min", "max", "set", "frozenset", "bool")
"""Calls whose result does not depend on the order of what they are given."""
ORDERING = ("list", "tuple", "iter", "next", "enumerate", "zip", "map", "filter", "reversed", "dict", "join")


def _is_set_annotation(node: ast.expr | None) -> bool:
    if isinstance(node, ast.Subscript):
        node = node.value
    if isinstance(node, ast.BinOp):
        return _is_set_annotation(node.left) or _is_set_annotation(node.right)
    name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
    return name in SET_TYPES


def _label(node: ast.AST) -> str:
    """Return what a variable or attribute is called, attributes with a dot before."""
    if isinstance(node, ast.Name):
        return node.id
    return f".{node.attr}" if isinstance(node, ast.Attribute) else ""


class _Sets:
    """The names in one module that hold sets, as far as can be told."""

    def __init__(self, tree: ast.Module) -> None:
        self.names: set[str] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.AnnAssign) and _is_set_annotation(node.annotation):
                self.names.update((_label(node.target), f".{_label(node.target)}"))
            elif isinstance(node, ast.arg) and _is_set_annotation(node.annotation):
                self.names.add(node.arg)
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and self.holds(node.value):
                self.names.update(_label(target) for target in node.targets)
        self.names.discard("")

    def holds(self, node: ast.expr) -> bool:
        """Say whether an expression is a set."""
        if isinstance(node, ast.Set | ast.SetComp):
            return True
        if isinstance(node, ast.BinOp):
            return self.holds(node.left) or (isinstance(node.op, ast.BitOr | ast.BitAnd) and self.holds(node.right))
        if isinstance(node, ast.IfExp):
            return self.holds(node.body) or self.holds(node.orelse)
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Attribute):
                return node.func.attr in SET_METHODS and self.holds(node.func.value)
            return _label(node.func) in ("set", "frozenset")
        return _label(node) in self.names


def _iterated(node: ast.AST) -> Iterator[ast.expr]:
    """Yield the expressions whose order a node makes visible."""
    if isinstance(node, ast.For):
        yield node.iter
    elif isinstance(node, ast.ListComp | ast.DictComp | ast.GeneratorExp):
        yield from (generator.iter for generator in node.generators)
    elif isinstance(node, ast.Starred | ast.YieldFrom):
        yield node.value
    elif isinstance(node, ast.Call):
        name = _label(node.func).lstrip(".")
        if name in ORDERING:
            yield from node.args
        if name == "pop" and isinstance(node.func, ast.Attribute) and not node.args:
            yield node.func.value


def _harmless(tree: ast.Module) -> set[int]:
    """Return the nodes that are handed straight to a call that does not care about order."""
    return {
        id(argument)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and _label(node.func) in ORDERLESS
        for argument in node.args
    }


def sets_are_not_iterated(module: Module) -> Iterator[Problem]:
    """Find iteration over sets on the floors that name, speak and decide."""
    floor = floor_of(module.room)
    if floor is None or floor > HIGHEST:
        return
    sets = _Sets(module.tree)
    harmless = _harmless(module.tree)
    for node in ast.walk(module.tree):
        if id(node) not in harmless:
            for expression in _iterated(node):
                if sets.holds(expression):
                    yield expression.lineno, f"the order of {ast.unparse(expression)} is not the same in every run"
