"""
The floors of the house: imports go down, and rooms of one floor do not know each other.

On the ground floor and at the top, where the parts are composed, rooms have an
order instead: each may import those before it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.tidy.source import PACKAGE, Module, Problem

FLOORS: tuple[tuple[str, ...], ...] = (
    ("values", "model", "errors", "interfaces", "settings", "config"),
    ("wire",),
    ("raft", "cluster", "replication", "groups", "transactions"),
    ("services", "storage", "auth"),
    ("api", "net", "http"),
    ("plugins", "node", "assembly", "options", "launcher", "tap", "testing", "cli"),
)
ORDERED = (0, 5)
"""The floors whose rooms may import those named before them."""
PURE = 2
TYPES_ONLY = "interfaces"
"""The one room that may name, for the type checker, what lies above it."""

IMPURE = ("twisted", "prometheus_client", "treq")
"""Packages that a floor which only decides has no use for, beside the four doors."""

NEIGHBOURS = {("net", "api"): "a connection looks up its requests in the table of APIs"}
"""The siblings that may know each other, and why."""


def floor_of(room: str) -> int | None:
    """Return the number of a room's floor."""
    return next((number for number, rooms in enumerate(FLOORS) if room in rooms), None)


def _allowed(room: str, other: str) -> bool:
    here, there = floor_of(room), floor_of(other)
    assert here is not None and there is not None
    if room == other or there < here or (room, other) in NEIGHBOURS:
        return True
    return here == there and here in ORDERED and FLOORS[here].index(other) < FLOORS[here].index(room)


def imports_go_down(module: Module) -> Iterator[Problem]:
    """Find imports of a higher floor, of a sibling, and rooms that no floor has."""
    room = module.room
    if room and floor_of(room) is None:
        yield 1, f"no floor has a room '{room}'"
        return
    for line, other, for_types in _rooms_imported(module) if room else ():
        if floor_of(other) is None:
            yield line, f"no floor has a room '{other}'"
        elif not _allowed(room, other) and not (for_types and room == TYPES_ONLY):
            yield line, f"{room} (floor {floor_of(room)}) must not import {other} (floor {floor_of(other)})"


def _rooms_imported(module: Module) -> Iterator[tuple[int, str, bool]]:
    seen = []
    for line, name, for_types in module.imports():
        package, _, rest = name.partition(".")
        other = rest.partition(".")[0]
        if package == PACKAGE and other and not other.startswith("__") and (line, other) not in seen:
            seen.append((line, other))
            yield line, other, for_types


def deciding_is_pure(module: Module) -> Iterator[Problem]:
    """Find Twisted and waiting on the floor that only decides."""
    if floor_of(module.room) not in (1, PURE):
        return
    for line, name, _ in module.imports():
        if name.partition(".")[0] in IMPURE:
            yield line, f"{module.room} decides; it must not import {name}"
    for node in ast.walk(module.tree):
        if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith):
            yield node.lineno, f"{module.room} decides; it must not wait"
