"""
The look of the code: sizes, names, docstrings, and what has no place in it.
"""

from __future__ import annotations

import ast
import re
import unittest
from collections.abc import Iterator
from functools import cache
from types import ModuleType

from tests.tidy.source import Function, Module, Problem

MODULE_LINES = 400
TESTS_LINES = MODULE_LINES * 3 // 2
"""Of a module of tests, each of which is read by itself."""
FUNCTION_LINES = 50

BANNED_WORDS = ("manager", "handler", "processor", "engine", "util", "utils", "utility", "utilities", "helper")
WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")

CAMEL = re.compile(r"^_*[a-z0-9]+[A-Z]")
LATER = re.compile(rf"{chr(35)}.*\b(TODO|FIXME|XXX|HACK)\b")
MACHINE = re.compile(r"/(?=work/|opt/sl\b|home/|root/)\w")


def modules_are_short(module: Module) -> Iterator[Problem]:
    """Find modules that hold more than one idea."""
    lines = module.text.count("\n")
    most = TESTS_LINES if module.path.parts[0] == "tests" else MODULE_LINES
    if lines > most:
        yield lines, f"{lines} lines are more than {most}"


def functions_fit_a_screen(module: Module) -> Iterator[Problem]:
    """Find functions that do not."""
    for function in module.functions():
        lines = (function.end_lineno or function.lineno) - function.lineno + 1
        if lines > FUNCTION_LINES:
            yield function.lineno, f"{function.name} has {lines} lines, more than {FUNCTION_LINES}"


def _bad_word(name: str) -> str | None:
    return next((word for word in WORDS.findall(name) if word.lower().removesuffix("s") in BANNED_WORDS), None)


def names_say_what(module: Module) -> Iterator[Problem]:
    """Find names of modules and classes that say nothing."""
    if word := _bad_word(module.path.stem):
        yield 1, f"a module is not named '{word}'"
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ClassDef) and (word := _bad_word(node.name)):
            yield node.lineno, f"a class is not named '{word}': {node.name}"


def _public(body: list[ast.stmt]) -> Iterator[ast.ClassDef | Function]:
    for node in body:
        if isinstance(node, ast.ClassDef | Function) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from _public(node.body)


def _is_exempt(node: ast.ClassDef | Function) -> bool:
    """Exempt overloads and setters, whose text would stand twice, and parts of messages, which Kafka documents."""
    decorators = [ast.unparse(decorator) for decorator in node.decorator_list]
    ends = ("overload", ".setter", ".validator", ".default", ".register", "struct")
    return any(decorator.endswith(ends) for decorator in decorators)


def docstrings_are_there(module: Module) -> Iterator[Problem]:
    """Find modules, public classes and public functions without one."""
    if not ast.get_docstring(module.tree) and module.text.strip():
        yield 1, "the module has no docstring"
    for node in _public(module.tree.body):
        if not ast.get_docstring(node) and not _is_exempt(node):
            yield node.lineno, f"{node.name} has no docstring"


def test_classes_say_what(module: Module) -> Iterator[Problem]:
    """Find test classes without a sentence."""
    if not ast.get_docstring(module.tree) and module.text.strip():
        yield 1, "the module has no docstring"
    for node in module.tree.body:
        if not isinstance(node, ast.ClassDef) or not node.name.endswith(("Tests", "Case", "TestCase")):
            continue
        if not ast.get_docstring(node):
            yield node.lineno, f"{node.name} has no docstring"


test_classes_say_what.__test__ = False  # type: ignore[attr-defined]


@cache
def foreign_names() -> frozenset[str]:
    """Return the camelCase names that Twisted and unittest ask one to override or provide."""
    from twisted.application import internet, service
    from twisted.internet import abstract, base, interfaces, protocol, tcp
    from twisted.protocols import basic, policies
    from twisted.python import usage
    from twisted.web import http, resource, server

    modules: tuple[ModuleType, ...] = (
        internet, service, abstract, base, interfaces, protocol, tcp, basic, policies, usage, http, resource, server,
    )  # fmt: skip
    classes = [value for module in modules for value in vars(module).values() if hasattr(value, "__mro__")]
    schemas = [value for module in modules for value in vars(module).values() if hasattr(value, "names")]
    found = {name for one in [*classes, unittest.TestCase] for name in dir(one)}
    found.update(name for schema in schemas if not hasattr(schema, "__mro__") for name in schema.names(all=True))
    return frozenset(name for name in found if CAMEL.match(name))


def camel_case_is_twisteds(module: Module) -> Iterator[Problem]:
    """Find camelCase names of our own."""
    for function in module.functions():
        if CAMEL.match(function.name) and function.name not in foreign_names():
            yield function.lineno, f"{function.name} overrides nothing of Twisted's, so it is snake_case"


def no_machine_is_named(module: Module) -> Iterator[Problem]:
    """Find paths of the machine that something was written on."""
    for number, line in enumerate(module.text.split("\n"), 1):
        if MACHINE.search(line):
            yield number, "this path is nobody else's"


def nothing_is_put_off(module: Module) -> Iterator[Problem]:
    """Find comments that promise something for later."""
    for number, line in enumerate(module.text.split("\n"), 1):
        if LATER.search(line):
            yield number, "do it, or open an issue"
