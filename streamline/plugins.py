"""
Finds the parts of a node that can be replaced, and makes the ones that were chosen.

A plugin is one L{Backend} line, in a module of C{twisted/plugins/} or behind an
entry point of the group C{streamline.plugins} (the only way that an editable
install of somebody else's package is found).  It names its maker by a dotted
path, which is imported only when the plugin is chosen: this module is imported
by every C{twist} on the machine, so it stays light and never touches the reactor.
"""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.metadata import entry_points
from typing import Any

from attrs import field, frozen
from twisted.logger import LogLevel
from twisted.plugin import IPlugin, getPlugins
from twisted.python import log as legacy_log
from twisted.python.reflect import namedAny
from zope.interface import Attribute, Interface, implementer
from zope.interface.exceptions import (
    BrokenImplementation,
    BrokenMethodImplementation,
    DoesNotImplement,
    Invalid,
)
from zope.interface.interface import InterfaceClass, Method
from zope.interface.verify import verifyObject

from streamline.errors import StartRefused
from streamline.settings import nearest

ENTRY_POINT_GROUP = "streamline.plugins"


class IBackend(Interface):
    """One way to fill a plugin point."""

    interface: InterfaceClass = Attribute("The plugin point, one of L{streamline.interfaces}.")
    name: str = Attribute("What it is chosen by.")
    description: str = Attribute("One line for C{--help-plugins}.")
    maker: str = Attribute("Dotted path of C{maker(host, config, **options)}, which returns the provider.")


@implementer(IPlugin, IBackend)
@frozen
class Backend:
    """
    Declares a plugin, as in C{acme = Backend(IStorage, "acme", "Records in Acme.", "acme_storage.AcmeStorage")}.

    Two of them are the same plugin when interface, name and maker agree.
    """

    interface: InterfaceClass
    name: str
    description: str = field(eq=False)
    maker: str


@frozen
class Installed:
    """
    The plugins that are installed.

    @ivar backends: each once, sorted by plugin point and name.
    @ivar passed_over: the entry points that cannot be used, with the reason.
    """

    backends: Sequence[Backend]
    passed_over: Sequence[str] = ()

    def find(self, interface: InterfaceClass, name: str) -> Backend:
        """
        Return the plugin of that name.

        @raise ValueError: there is none (the candidates are listed), or more than one (all are named).
        """
        candidates = [backend for backend in self.backends if backend.interface is interface]
        named = [backend for backend in candidates if backend.name == name]
        if len(named) == 1:
            return named[0]
        if named:
            makers = " and ".join(backend.maker for backend in named)
            raise ValueError(f"{name!r} is ambiguous: {makers} are both installed under that name")
        names = sorted({backend.name for backend in candidates})
        known = f"installed are {', '.join(names)}" if names else "none is installed"
        hint = nearest(name, names) or "".join(f"; {each}" for each in self.passed_over)
        raise ValueError(f"there is no plugin {name!r} for {interface.__name__}: {known}{hint}")


def discover() -> Installed:
    """
    Look for plugins everywhere.

    What cannot be loaded is passed over: a broken neighbour must not keep a node
    from starting.  (Of one in C{twisted/plugins} Twisted tells by itself.)
    """
    passed_over: list[str] = []
    found = {*_dropped_in(), *_entered(passed_over)}
    return Installed(sorted(found, key=lambda each: (each.interface.__name__, each.name, each.maker)), passed_over)


def _dropped_in() -> list[Backend]:
    # The launcher has been through these modules before us, and Twisted has shown the traceback
    # of each that it cannot import; the context keeps it from doing so again.
    again = {"log_level": LogLevel.debug}
    found: list[Backend] = legacy_log.callWithContext(again, lambda: list(getPlugins(IBackend)))
    return found


def _entered(passed_over: list[str]) -> Iterator[Backend]:
    for entry_point in entry_points(group=ENTRY_POINT_GROUP):
        label = f"the plugin {entry_point.name} = {entry_point.value} cannot be used"
        try:
            loaded = entry_point.load()
            backends = list(loaded) if isinstance(loaded, Iterable) else [loaded]
        except Exception as error:  # whatever a stranger's module raises
            passed_over.append(f"{label}: {type(error).__name__}: {error}")
            continue
        for backend in backends:
            if isinstance(backend, Backend):
                yield backend
            else:
                passed_over.append(f"{label}: {backend!r} is not a Backend")


def split_escaped(text: str) -> list[str]:
    r"""Split at colons, as Twisted's endpoint strings are; C{\:} is a colon and C{\\} a backslash in a word."""
    words = [""]
    characters = iter(text)
    for character in characters:
        if character == ":":
            words.append("")
        else:
            words[-1] += next(characters, "\\") if character == "\\" else character
    return words


def parse_choice(choice: str) -> tuple[str, dict[str, str]]:
    r"""
    Read C{name:key=value:key=value}; a colon within a value is written C{\:}.

    @raise ValueError: with a sentence.
    """
    name, *words = split_escaped(choice)
    if not name:
        raise ValueError(f"{choice!r} names no plugin; write it as name or name:key=value")
    options: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key.isidentifier():
            raise ValueError(f"{word!r} in {choice!r} should be key=value")
        if key in options:
            raise ValueError(f"{key!r} is given twice in {choice!r}")
        options[key] = value
    return name, options


def make(
    interface: InterfaceClass, choice: str, host: Any, config: Any, installed: Installed | None = None
) -> Any:
    """
    Import the chosen plugin's maker, call it, and check what it made.

    @param choice: C{name:key=value}, as L{parse_choice} reads it.
    @param host: the node's L{streamline.interfaces.Host}.
    @param config: the node's L{streamline.config.NodeConfig}.
    @param installed: where it is looked for; by default everywhere, which takes some milliseconds.
    @return: a provider of C{interface}.
    @raise StartRefused: with a sentence that says what is wrong with which plugin.
    """
    try:
        name, options = parse_choice(choice)
        backend = (installed or discover()).find(interface, name)
    except ValueError as error:
        raise StartRefused(str(error)) from None
    label = f"plugin {backend.name!r} for {interface.__name__}"
    maker = _imported(backend, label)
    _check_options(maker, options, label)
    try:
        provider = maker(host, config, **options)
    except StartRefused:
        raise
    except ValueError as error:
        raise StartRefused(f"{label}: {error}") from error
    except Exception as error:  # whatever a stranger's module raises
        raise StartRefused(f"{label} cannot be made: {type(error).__name__}: {error} ({_place(error)})") from error
    _check_provider(interface, provider, label)
    return provider


def _imported(backend: Backend, label: str) -> Callable[..., Any]:
    try:
        maker: object = namedAny(backend.maker)
    except Exception as error:  # whatever a stranger's module raises
        raise StartRefused(f"{label}: {backend.maker} cannot be imported: {error}") from error
    if not callable(maker):
        raise StartRefused(f"{label}: {backend.maker} cannot be called")
    return maker


def _place(error: Exception) -> str:
    innermost = traceback.extract_tb(error.__traceback__)[-1]
    return f"{innermost.filename}:{innermost.lineno}"


def _check_options(maker: Callable[..., Any], options: dict[str, str], label: str) -> None:
    try:
        parameters = list(inspect.signature(maker).parameters.values())[2:]
    except (TypeError, ValueError):
        return  # written in C, perhaps; calling it will tell
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return
    known = {parameter.name: parameter for parameter in parameters}
    for key in options:
        if key not in known:
            has = f"it knows {', '.join(known)}" if known else "it has none"
            raise StartRefused(f"{label} has no option {key!r}: {has}{nearest(key, known)}")
    for key, parameter in known.items():
        if parameter.default is parameter.empty and key not in options:
            raise StartRefused(f"{label} needs the option {key!r}: write {key}=… after its name")


def _check_provider(interface: InterfaceClass, provider: Any, label: str) -> None:
    try:
        verifyObject(interface, provider)
    except Invalid as error:
        complaints = getattr(error, "exceptions", (error,))  # where there are several, zope gathers them in one
        reasons = "; ".join(_shortcoming(type(provider).__name__, complaint) for complaint in complaints)
        raise StartRefused(f"{label} does not keep its promise: {reasons}") from None


def _shortcoming(maker: str, complaint: Invalid) -> str:
    if isinstance(complaint, DoesNotImplement):
        return f"{maker} lacks @implementer({complaint.interface.__name__})"
    if isinstance(complaint, BrokenImplementation):
        kind = "method" if isinstance(complaint.name, Method) else "attribute"
        return f"{maker} lacks the {kind} {getattr(complaint.name, '__name__', complaint.name)}"
    if isinstance(complaint, BrokenMethodImplementation):
        return f"{maker}.{complaint.method.__name__} cannot be called as promised: {complaint.mess}"
    return " ".join(str(complaint).split())
