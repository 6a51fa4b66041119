"""
The four doors: what may not be called or imported elsewhere (reliability 2.2).

ruff's banned-api list finds the same modules by another way; builtins and C{__del__} it
cannot find.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.tidy.floors import floor_of
from tests.tidy.source import Module, Problem

BANNED_MODULES = (
    "_thread", "asyncio", "concurrent", "fcntl", "glob", "io", "mmap", "multiprocessing", "os", "pathlib",
    "random", "secrets", "select", "selectors", "shutil", "signal", "socket", "ssl", "subprocess", "tempfile",
    "threading", "time", "uuid", "weakref",
    "twisted.internet.reactor", "twisted.internet.threads", "twisted.internet.asyncioreactor",
    "twisted.internet.task.LoopingCall", "twisted.internet.task.cooperate", "twisted.internet.task.coiterate",
    "twisted.internet.task.deferLater", "twisted.internet.utils", "twisted.python.lockfile",
    "twisted.internet.defer.inlineCallbacks", "twisted.internet.defer.returnValue",
)  # fmt: skip

BANNED_BUILTINS = ("breakpoint", "hash", "id", "input", "open", "print", "vars", "globals")

CLOCK_READERS = ("datetime.now", "datetime.utcnow", "datetime.today", "date.today")

DOORS = (
    "streamline/storage/descriptors.py",
    "streamline/storage/libc.py",
    "streamline/storage/disk.py",
    "streamline/storage/kernel.py",
    "streamline/storage/threads.py",
    "streamline/services/host.py",
    "streamline/tap.py",
    "streamline/options",
    "streamline/launcher.py",
    "streamline/plugins.py",
    "streamline/cli",
    "streamline/testing",
)
"""Where the world outside is let in: the doors themselves, and what only runs before or around a node."""

EVERYWHERE = ("inlineCallbacks", "returnValue")
"""What even those places do without."""


def is_door(module: Module) -> bool:
    """Say whether a file is one of the doors, or above them."""
    path = module.path.as_posix()
    return any(path == door or path.startswith(door + "/") for door in DOORS)


def only_through_doors(module: Module) -> Iterator[Problem]:
    """Find imports of modules that reach the world outside."""
    for line, name, for_types in module.imports():
        banned = next((one for one in BANNED_MODULES if name == one or name.startswith(one + ".")), None)
        if banned is None or for_types or (is_door(module) and not banned.endswith(EVERYWHERE)):
            continue
        yield line, f"{name} is behind one of the four doors"


def builtins_stay_out(module: Module) -> Iterator[Problem]:
    """Find builtins that reach outside, or whose result differs from run to run."""
    if is_door(module):
        return
    bound = {
        argument.arg
        for function in module.functions()
        for argument in ast.walk(function.args)
        if isinstance(argument, ast.arg)
    }
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Name) and node.id in BANNED_BUILTINS and isinstance(node.ctx, ast.Load):
            if node.id not in bound:
                yield node.lineno, f"{node.id} is banned"
        elif isinstance(node, ast.Attribute) and ast.unparse(node).endswith(CLOCK_READERS):
            yield node.lineno, f"{ast.unparse(node)} reads the clock"
        elif isinstance(node, ast.FunctionDef) and node.name == "__del__":
            yield node.lineno, "__del__ runs when it likes"


def chance_and_time_are_given(module: Module) -> Iterator[Problem]:
    """Find calls that fall back on the global reactor or on unseeded chance when not told otherwise."""
    if is_door(module) or floor_of(module.room) is None:
        return
    needed = {"LoopingCall": "clock", "ClientService": "clock", "Cooperator": "scheduler", "deferLater": "clock"}
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func).rpartition(".")[2]
            if name in needed and needed[name] not in [keyword.arg for keyword in node.keywords]:
                yield node.lineno, f"{name} without {needed[name]}= uses the global reactor"
