"""Plugins are found wherever they are installed, chosen by name, and checked before they are used."""

from __future__ import annotations

import os
import sys
import tempfile
import textwrap
from typing import cast

import twisted.plugins
from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import ILogObserver, LogEvent, LogLevel, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from streamline.errors import StartRefused
from streamline.interfaces import IAcksPolicy, IConsensus, IReplicator, IStorage
from streamline.plugins import Installed, discover, make, parse_choice, split_escaped

BUILT_IN = {
    (IStorage, "segments"),
    (IStorage, "memory"),
    (IConsensus, "single"),
    (IReplicator, "isr"),
    (IAcksPolicy, "kafka"),
}

ACME = """
from streamline.interfaces import IAcksPolicy
from streamline.plugins import Backend

acme = Backend(IAcksPolicy, "acme", "Answers when Acme does.", {maker!r})
"""


@implementer(IAcksPolicy)
class Patient:
    """An acks policy with one option of each kind."""

    def __init__(self, host: object, config: object, *, path: str, size: str = "1") -> None:
        if not size.isdigit():
            raise ValueError(f"size must be a number, not {size!r}")
        self.given = (host, config, path, size)

    def admit(self, acks: int, isr_count: int, min_isr: int) -> None:
        """Admit anything."""

    def waits_for_commit(self, acks: int) -> bool:
        """Never wait."""
        return False

    def settle(self, acks: int, isr_count: int, min_isr: int) -> None:
        """Be content."""


@implementer(IAcksPolicy)
class Forgetful:  # type: ignore[misc]
    """Lacks two methods and has a third one wrong."""

    def __init__(self, host: object, config: object) -> None:
        pass

    def admit(self, acks: int) -> None:  # type: ignore[override]
        """Too few arguments."""


def clumsy(host: object, config: object) -> object:
    """Fail in a way that nobody foresaw."""
    raise KeyError("left out")


def undeclared(host: object, config: object, **options: str) -> object:
    """Make something that provides nothing, whatever the options."""
    return object()


class PluginsCase(SynchronousTestCase):
    """Installs make-believe packages for one test."""

    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.site = directory.name
        self.patch(sys, "path", [*sys.path, self.site])
        plugins = os.path.join(self.site, "twisted", "plugins")
        self.patch(twisted.plugins, "__path__", [*twisted.plugins.__path__, plugins])
        self.before = set(sys.modules)
        self.addCleanup(self.forget_modules)

    def forget_modules(self) -> None:
        """Let the next test import its own modules of the same names."""
        for name in set(sys.modules) - self.before:
            del sys.modules[name]

    def write(self, path: str, text: str) -> None:
        """Put a file into the make-believe installation."""
        whole = os.path.join(self.site, path)
        os.makedirs(os.path.dirname(whole), exist_ok=True)
        with open(whole, "w", encoding="utf-8") as file:
            file.write(textwrap.dedent(text))

    def enter(self, value: str) -> None:
        """Install a distribution with one entry point."""
        self.write("acme-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
        self.write("acme-1.0.dist-info/entry_points.txt", f"[streamline.plugins]\nacme = {value}\n")


class DiscoveryTests(PluginsCase):
    """Two ways in, one list out."""

    def test_what_is_built_in(self) -> None:
        self.assertLessEqual(BUILT_IN, {(backend.interface, backend.name) for backend in discover().backends})

    def test_dropped_in(self) -> None:
        self.write("twisted/plugins/acme_drop.py", ACME.format(maker="a.b"))
        self.assertEqual(discover().find(IAcksPolicy, "acme").maker, "a.b")

    def test_entered(self) -> None:
        self.write("acme_entered.py", ACME.format(maker="a.b"))
        self.enter("acme_entered:acme")
        self.assertEqual(discover().find(IAcksPolicy, "acme").maker, "a.b")

    def test_entered_as_a_list(self) -> None:
        self.write("acme_listed.py", ACME.format(maker="a.b") + "every = [acme]\n")
        self.enter("acme_listed:every")
        self.assertEqual(discover().find(IAcksPolicy, "acme").maker, "a.b")

    def test_the_same_one_both_ways_is_one(self) -> None:
        self.write("twisted/plugins/acme_drop.py", ACME.format(maker="a.b"))
        self.enter("twisted.plugins.acme_drop:acme")
        self.assertEqual(len([each for each in discover().backends if each.name == "acme"]), 1)

    def test_two_of_one_name_are_both_named(self) -> None:
        self.write("twisted/plugins/acme_drop.py", ACME.format(maker="a.b"))
        self.write("acme_entered.py", ACME.format(maker="c.d"))
        self.enter("acme_entered:acme")
        message = str(self.assertRaises(ValueError, discover().find, IAcksPolicy, "acme"))
        self.assertIn("a.b", message)
        self.assertIn("c.d", message)

    def test_a_broken_drop_in_is_passed_over(self) -> None:
        self.write("twisted/plugins/acme_broken.py", "import nothing_of_that_name")
        events: list[LogEvent] = []
        globalLogPublisher.addObserver(cast(ILogObserver, events.append))
        self.addCleanup(globalLogPublisher.removeObserver, cast(ILogObserver, events.append))
        self.test_what_is_built_in()
        self.assertEqual(len(self.flushLoggedErrors(ImportError)), 1)
        self.assertEqual({event["log_level"] for event in events} - {LogLevel.debug}, set(), "the launcher has told")

    def test_a_broken_entry_point_is_passed_over(self) -> None:
        self.enter("nothing_of_that_name:acme")
        self.test_what_is_built_in()
        [reason] = discover().passed_over
        self.assertIn("nothing_of_that_name:acme cannot be used: ModuleNotFoundError", reason)
        self.assertIn(reason, str(self.assertRaises(ValueError, discover().find, IAcksPolicy, "acme")))

    def test_an_entry_point_that_is_no_backend_is_passed_over(self) -> None:
        self.enter("os:path")
        self.test_what_is_built_in()
        self.assertIn("is not a Backend", discover().passed_over[0])


class FindTests(SynchronousTestCase):
    """A wrong name is answered with the right ones."""

    def test_unknown(self) -> None:
        message = str(self.assertRaises(ValueError, discover().find, IStorage, "segment"))
        self.assertIn("memory, segments", message)
        self.assertIn("did you mean 'segments'?", message)

    def test_none_installed(self) -> None:
        message = str(self.assertRaises(ValueError, Installed([]).find, IStorage, "x"))
        self.assertIn("none is installed", message)

    def test_names_are_per_interface(self) -> None:
        self.assertRaises(ValueError, discover().find, IConsensus, "segments")


class ChoiceTests(SynchronousTestCase):
    """C{name:key=value:key=value}"""

    def test_read(self) -> None:
        self.assertEqual(parse_choice("segments"), ("segments", {}))
        self.assertEqual(parse_choice("acme:path=/x:y=1=2"), ("acme", {"path": "/x", "y": "1=2"}))
        self.assertEqual(parse_choice(r"acme:path=c\:\\d"), ("acme", {"path": r"c:\d"}))

    def test_refused(self) -> None:
        for wrong in ("", ":a=1", "acme:", "acme:path", "acme:=1", "acme:a b=1", "acme:a=1:a=2"):
            self.assertRaises(ValueError, parse_choice, wrong)

    @given(st.lists(st.text(), min_size=1))
    def test_escaping_is_undone(self, words: list[str]) -> None:
        escaped = ":".join(word.replace("\\", "\\\\").replace(":", "\\:") for word in words)
        self.assertEqual(split_escaped(escaped), words)


class MakeTests(PluginsCase):
    """What a plugin gets wrong is said in one sentence."""

    def chosen(self, maker: str, options: str = "") -> object:
        """Install a plugin with this maker, choose it, and make it."""
        self.write("twisted/plugins/acme_made.py", ACME.format(maker=maker))
        return make(IAcksPolicy, "acme" + options, "host", "config")

    def refused(self, maker: str, options: str = "") -> str:
        """Return why the choice was refused; one line, naming the plugin."""
        message = str(self.assertRaises(StartRefused, self.chosen, maker, options))
        self.assertIn("'acme' for IAcksPolicy", message)
        self.assertNotIn("\n", message)
        return message

    def test_made_with_the_four_doors_and_the_options(self) -> None:
        made = self.chosen(f"{__name__}.Patient", ":path=/x:size=2")
        self.assertIsInstance(made, Patient)
        self.assertEqual(getattr(made, "given", None), ("host", "config", "/x", "2"))

    def test_nothing_is_imported_before_it_is_chosen(self) -> None:
        self.write("acme_lazy.py", f"from {__name__} import Patient")
        self.write("twisted/plugins/acme_made.py", ACME.format(maker="acme_lazy.Patient"))
        discover()
        self.assertNotIn("acme_lazy", sys.modules)
        make(IAcksPolicy, "acme:path=/x", None, None)
        self.assertIn("acme_lazy", sys.modules)

    def test_unknown_option(self) -> None:
        message = self.refused(f"{__name__}.Patient", ":pth=/x")
        self.assertIn("no option 'pth': it knows path, size; did you mean 'path'?", message)

    def test_unknown_option_where_there_is_none(self) -> None:
        self.assertIn("it has none", self.refused(f"{__name__}.Forgetful", ":pth=/x"))

    def test_missing_option(self) -> None:
        self.assertIn("needs the option 'path'", self.refused(f"{__name__}.Patient"))

    def test_a_value_that_the_maker_does_not_like(self) -> None:
        self.assertIn("size must be a number, not 'x'", self.refused(f"{__name__}.Patient", ":path=/x:size=x"))

    def test_a_maker_that_fails(self) -> None:
        message = self.refused(f"{__name__}.clumsy")
        self.assertIn("cannot be made: KeyError: 'left out' (", message)
        self.assertIn("test_plugins.py:", message)

    def test_a_maker_that_takes_something_else(self) -> None:
        self.assertIn("cannot be made: TypeError", self.refused("builtins.len"))
        self.assertIn("cannot be made: TypeError", self.refused("builtins.object"))

    def test_a_maker_that_is_not_there(self) -> None:
        self.assertIn("cannot be imported", self.refused("nothing_of_that_name.Acme"))

    def test_a_maker_that_makes_nothing(self) -> None:
        self.assertIn("cannot be called", self.refused("os.sep"))

    def test_a_missing_method(self) -> None:
        message = self.refused(f"{__name__}.Forgetful")
        self.assertIn("Forgetful lacks the method waits_for_commit", message)
        self.assertIn("Forgetful.admit cannot be called as promised", message)

    def test_a_missing_declaration(self) -> None:
        self.assertIn("lacks @implementer(IAcksPolicy)", self.refused(f"{__name__}.undeclared", ":any=1"))

    def test_a_choice_that_cannot_be_read(self) -> None:
        self.assertRaises(StartRefused, make, IAcksPolicy, "kafka:x", None, None)
        self.assertRaises(StartRefused, make, IAcksPolicy, "kafak", None, None)
