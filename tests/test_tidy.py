"""
The house's rules, held by a test rather than by a reviewer.

C{tests/tidy} has the rules, a function each; here they are asked of every file, and
each is shown a bad snippet, so that a rule which finds nothing any more is noticed.
"""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.tidy.doors import builtins_stay_out, chance_and_time_are_given, only_through_doors
from tests.tidy.floors import deciding_is_pure, imports_go_down
from tests.tidy.order import sets_are_not_iterated
from tests.tidy.shape import (
    camel_case_is_twisteds,
    docstrings_are_there,
    functions_fit_a_screen,
    modules_are_short,
    names_say_what,
    no_machine_is_named,
    nothing_is_put_off,
    test_classes_say_what,
)
from tests.tidy.source import Module, Rule, problems, read

ROOT = Path(__file__).parents[1]

SHAPE: tuple[Rule, ...] = (
    camel_case_is_twisteds, functions_fit_a_screen, modules_are_short, names_say_what, no_machine_is_named,
    nothing_is_put_off,
)  # fmt: skip
PRODUCT: tuple[Rule, ...] = (
    imports_go_down, deciding_is_pure, only_through_doors, builtins_stay_out, chance_and_time_are_given,
    sets_are_not_iterated, docstrings_are_there, *SHAPE,
)  # fmt: skip
TESTS: tuple[Rule, ...] = (test_classes_say_what, *SHAPE)

def breaches(rules: tuple[Rule, ...], *patterns: str) -> list[str]:
    """Return what the rules find in the files that match."""
    modules = list(read(ROOT, *patterns))
    assert modules, f"nothing matches {patterns}"
    return [f"{rule.__name__}: {problem}" for rule in rules for problem in problems(modules, rule)]


class HouseTests(SynchronousTestCase):
    """Every file keeps the rules."""

    def test_the_product(self) -> None:
        """All rules hold in the package and the plugin drop-ins."""
        found = breaches(PRODUCT, "streamline/**/*.py", "twisted/**/*.py")
        self.assertEqual(found, [], "\n".join(found))

    def test_the_tests(self) -> None:
        """The rules of shape hold in the tests."""
        found = breaches(TESTS, "tests/**/*.py")
        self.assertEqual(found, [], "\n".join(found))

    def test_plugin_folder_is_nobodys_package(self) -> None:
        """An C{__init__.py} in C{twisted/plugins} would hide everybody else's plugins."""
        self.assertEqual(list((ROOT / "twisted").glob("**/__init__.py")), [])

    def test_floors_name_every_room(self) -> None:
        """A rule that looks at no files holds nothing."""
        modules = list(read(ROOT, "streamline/**/*.py"))
        self.assertGreater(len({module.room for module in modules}), 10)


class RuleTests(SynchronousTestCase):
    """Each rule finds what it is there for, and nothing in what is right."""

    def finds(self, rule: Rule, path: str, *bad: str) -> None:
        """Expect one problem or more in each snippet."""
        for text in bad:
            self.assertTrue(problems([Module.of(path, text)], rule), f"{rule.__name__} misses:\n{text}")

    def passes(self, rule: Rule, path: str, *good: str) -> None:
        """Expect no problem in any snippet."""
        for text in good:
            self.assertEqual(problems([Module.of(path, text)], rule), [], text)

    def test_imports_go_down(self) -> None:
        """Up, sideways, relative, hidden in a function, for types: all are found."""
        up = "from streamline.services.raft import x\n"
        self.finds(
            imports_go_down,
            "streamline/raft/node.py",
            up,
            "import streamline.api.table\n",
            "from streamline import groups\n",
            "from ..cluster import image\n",
            f"def f():\n    {up}",
            f"from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    {up}",
        )
        self.finds(imports_go_down, "streamline/model.py", "from streamline.errors import Refused\n")
        self.finds(imports_go_down, "streamline/plugins.py", "from streamline.assembly import build\n")
        self.finds(imports_go_down, "streamline/attic/x.py", "")
        self.finds(imports_go_down, "streamline/raft/x.py", "import streamline.attic.y\n")

    def test_imports_that_are_right(self) -> None:
        """Down, within a room, other packages, and names for the type checker in the interfaces."""
        self.passes(
            imports_go_down,
            "streamline/raft/node.py",
            "from streamline.wire import batch\n",
            "from streamline.raft.log import Log\n",
            "from . import log\n",
            "import attrs\n",
            "from streamline import __version__\n",
        )
        self.passes(
            imports_go_down,
            "streamline/interfaces/storage.py",
            "from streamline.model import Buffer\n",
            "if TYPE_CHECKING:\n    from streamline.wire.batch import BatchHeader\n",
        )
        self.passes(imports_go_down, "streamline/assembly.py", "from streamline.plugins import find\n")
        self.passes(imports_go_down, "tests/raft/test_node.py", "from streamline.testing import simulation\n")

    def test_deciding_is_pure(self) -> None:
        """Twisted and waiting are found on the floor that decides, and only there."""
        bad = "from twisted.internet.defer import Deferred\n", "async def f(): ...\n"
        self.finds(deciding_is_pure, "streamline/groups/machine.py", *bad)
        self.passes(deciding_is_pure, "streamline/services/raft.py", *bad)
        self.passes(deciding_is_pure, "streamline/groups/machine.py", "from attrs import frozen\n")

    def test_only_through_doors(self) -> None:
        """Modules that reach outside are found however they are imported, but not in the doors."""
        bad = (
            "import time\n",
            "from time import monotonic as m\n",
            "import os.path\n",
            "import twisted.internet.reactor\n",
            "from twisted.internet import reactor as r\n",
            "from twisted.internet.task import LoopingCall\n",
        )
        self.finds(only_through_doors, "streamline/services/x.py", *bad)
        self.passes(only_through_doors, "streamline/storage/disk.py", *bad)
        inline = "from twisted.internet.defer import inlineCallbacks\n"
        self.finds(only_through_doors, "streamline/storage/disk.py", inline)
        self.passes(
            only_through_doors,
            "streamline/services/x.py",
            "from twisted.internet.defer import Deferred\n",
            "import timeit_of_ours\n",
        )

    def test_builtins_stay_out(self) -> None:
        """Builtins that reach outside or differ from run to run are found; names of our own are not."""
        self.finds(
            builtins_stay_out,
            "streamline/services/x.py",
            "open('x')\n",
            "sorted(x, key=id)\n",
            "hash(x)\n",
            "print(1)\n",
            "datetime.datetime.now(UTC)\n",
            "class A:\n    def __del__(self): ...\n",
        )
        self.passes(builtins_stay_out, "streamline/services/x.py", "disk.open('x')\n", "def f(open): return open()\n")

    def test_chance_and_time_are_given(self) -> None:
        """Twisted's fall-backs to the global reactor are found."""
        self.finds(chance_and_time_are_given, "streamline/services/x.py", "ClientService(endpoint, factory)\n")
        self.passes(chance_and_time_are_given, "streamline/services/x.py", "ClientService(e, f, clock=clock)\n")

    def test_sets_are_not_iterated(self) -> None:
        """Every way to get an order out of a set is found."""
        given = "def f(s: set[int]):\n    "
        self.finds(
            sets_are_not_iterated,
            "streamline/raft/x.py",
            "for x in {1, 2}: ...\n",
            "list(set(y))\n",
            "[x for x in frozenset(y)]\n",
            "s = {1}\nfor x in s: ...\n",
            f"{given}return tuple(s)\n",
            f"{given}return next(iter(s))\n",
            f"{given}return s.pop()\n",
            f"{given}return [*s]\n",
            f"{given}return ','.join(s)\n",
            f"{given}for x in s | t: ...\n",
            f"{given}yield from s\n",
            "class A:\n    s: frozenset[int]\n    def f(self):\n        for x in self.s: ...\n",
            "class A:\n    def f(self):\n        self.s = set()\n        return list(self.s - t)\n",
        )

    def test_sets_used_rightly(self) -> None:
        """Asking, combining, counting and sorting are fine, and so is all of it on higher floors."""
        self.passes(
            sets_are_not_iterated,
            "streamline/raft/x.py",
            "s = {1}\nx in s\nlen(s)\nsorted(s)\n",
            "s = set()\nall(x > 1 for x in s)\n",
            "for x in sorted({1, 2}): ...\n",
            "d = {}\nlist(d)\nd.pop(1)\n",
            "s = {x for x in y}\n",
            "def f(s: dict[int, set[int]]): return list(s)\n",
        )
        self.passes(sets_are_not_iterated, "streamline/services/x.py", "for x in {1, 2}: ...\n")

    def test_sizes(self) -> None:
        """Long modules and long functions are found."""
        self.finds(modules_are_short, "streamline/x.py", "x = 1\n" * 401)
        self.passes(modules_are_short, "streamline/x.py", "x = 1\n" * 400)
        self.finds(functions_fit_a_screen, "streamline/x.py", "def f():\n" + "    x = 1\n" * 50)
        self.passes(functions_fit_a_screen, "streamline/x.py", "def f():\n" + "    x = 1\n" * 49)

    def test_names_say_what(self) -> None:
        """Names that say nothing are found, in files and classes; words that contain them are not."""
        self.finds(names_say_what, "streamline/raft/utils.py", "")
        self.finds(names_say_what, "streamline/raft/log_helper.py", "")
        self.finds(names_say_what, "streamline/raft/x.py", "class LogManager: ...\n", "class HTTPHandlers: ...\n")
        self.passes(names_say_what, "streamline/raft/x.py", "class Managed: ...\n", "class Handlebar: ...\n")

    def test_docstrings_are_there(self) -> None:
        """A module, class, function or method without a docstring is found; private ones need none."""
        self.finds(
            docstrings_are_there,
            "streamline/x.py",
            "x = 1\n",
            "'''A.'''\nclass B: ...\n",
            "'''A.'''\ndef f(): ...\n",
            "'''A.'''\nclass B:\n    '''B.'''\n    def f(self): ...\n",
        )
        self.passes(
            docstrings_are_there,
            "streamline/x.py",
            "'''A.'''\ndef _f(): ...\n",
            "",
            "'''A.'''\n@overload\ndef f(): ...\n",
            "'''A.'''\n@struct\nclass B: ...\n",
        )
        self.finds(test_classes_say_what, "tests/x.py", "'''A.'''\nclass BTests: ...\n", "x = 1\n")
        self.passes(test_classes_say_what, "tests/x.py", "'''A.'''\nclass BTests:\n    '''B.'''\n")

    def test_camel_case_is_twisteds(self) -> None:
        """camelCase is for what Twisted calls."""
        self.finds(camel_case_is_twisteds, "streamline/x.py", "def sendAll(): ...\n", "def _sendAll(): ...\n")
        self.passes(
            camel_case_is_twisteds,
            "streamline/x.py",
            "def dataReceived(): ...\n",
            "def startService(): ...\n",
            "def setUp(): ...\n",
            "def render_GET(): ...\n",
            "def buildProtocol(): ...\n",
        )

    def test_nothing_is_put_off(self) -> None:
        """Promises are found in comments."""
        self.finds(nothing_is_put_off, "streamline/x.py", "x = 1  # TO" + "DO: more\n")
        self.finds(no_machine_is_named, "streamline/x.py", "x = '/" + "work/wt/x'\n")
        self.passes(no_machine_is_named, "streamline/x.py", "x = '/var/lib/streamline'\n")
        self.passes(nothing_is_put_off, "streamline/x.py", "x = 1  # what is to do is done\n")
