"""
What a setting is: how one is declared, checked, read from text and written down.

A setting is an attrs field made with L{setting}; its Kafka name is the field's
name with dots.  Options, the TOML file, DescribeConfigs and the documentation
are derived from the classes in L{streamline.config}, which are made of these.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeVar

import attrs
from attrs import Attribute, field, fields

if TYPE_CHECKING:
    from attrs import AttrsInstance

Check = Callable[[Any], str | None]
"""Returns what is wrong with a value, or None."""

C = TypeVar("C", bound="AttrsInstance")


def setting(default: Any, doc: str, *checks: Check) -> Any:
    """
    Declare a setting.

    @param checks: each looks at the value; the first complaint is raised as a ValueError.
    """

    def validate(_: object, attribute: Attribute[Any], value: Any) -> None:
        for check in checks:
            if complaint := check(value):
                raise ValueError(f"{kafka_name(attribute)} {complaint}, not {value!r}")

    return field(default=default, validator=validate, metadata={"doc": doc})


def kafka_name(attribute: Attribute[Any]) -> str:
    """Return the name of a setting as Kafka writes it."""
    return attribute.name.replace("_", ".")


def at_least(low: int) -> Check:
    """Allow numbers from C{low} up."""
    return lambda value: None if value >= low else f"must be at least {low}"


def between(low: float, high: float) -> Check:
    """Allow numbers from C{low} to C{high}, both included."""
    return lambda value: None if low <= value <= high else f"must be between {low} and {high}"


def one_of(*allowed: str) -> Check:
    """Allow just these words."""
    return lambda value: None if value in allowed else f"must be one of {', '.join(allowed)}"


def list_of(*allowed: str) -> Check:
    """Allow a comma-separated list of these words."""

    def check(value: str) -> str | None:
        words = [word.strip() for word in value.split(",")]
        return None if all(word in allowed for word in words) else f"must list only {', '.join(allowed)}"

    return check


_SETTINGS: Final[dict[type, Mapping[str, Attribute[Any]]]] = {}
"""What L{settings_of} has found; classes do not change."""


def settings_of(config_class: type[AttrsInstance]) -> Mapping[str, Attribute[Any]]:
    """Return the settings of a class under their Kafka names, in order of declaration."""
    known = _SETTINGS.get(config_class)
    if known is None:
        known = MappingProxyType({kafka_name(attribute): attribute for attribute in fields(config_class)})
        _SETTINGS[config_class] = known
    return known


def default_of(attribute: Attribute[Any]) -> Any:
    """Return a setting's own default."""
    return attribute.default


def nearest(name: str, known: Iterable[str]) -> str:
    """Return C{"; did you mean 'x'?"} for the known name nearest to C{name}, or nothing."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean '{close[0]}'?" if close else ""


def parse_value(attribute: Attribute[Any], text: str) -> Any:
    """
    Turn the text that a client or a file gives into a setting's value.

    @raise ValueError: with a sentence.
    """
    kind: type[Any] = type(attribute.default)
    name = kafka_name(attribute)
    if kind is bool:
        if text.strip().lower() in ("true", "false"):
            return text.strip().lower() == "true"
        raise ValueError(f"{name} must be 'true' or 'false', not {text!r}")
    if kind is str:
        return text.strip()
    try:
        return kind(text.strip())
    except ValueError:
        noun = "a whole number" if kind is int else "a number"
        raise ValueError(f"{name} must be {noun}, not {text!r}") from None


def format_value(value: Any) -> str:
    """Write a value as Kafka's tools show it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def make(config_class: type[C], given: Mapping[str, Any]) -> C:
    """
    Make settings from Kafka names and values, text or already typed.

    @raise ValueError: an unknown name (the nearest right one is named) or a value out of bounds.
    """
    return evolve(config_class(), given)


def evolve(config: C, given: Mapping[str, Any]) -> C:
    """
    Return settings with some of them changed, under Kafka names.

    @raise ValueError: as L{make}.
    """
    changes = typed_changes(type(config), given)
    return attrs.evolve(config, **changes)  # type: ignore[misc]


def typed_changes(config_class: type[AttrsInstance], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes that settings stand for, with values of their types."""
    known = settings_of(config_class)
    changes: dict[str, Any] = {}
    for name, value in given.items():
        attribute = known.get(name)
        if attribute is None:
            raise ValueError(f"unknown setting '{name}'{nearest(name, known)}")
        changes[attribute.name] = _typed(attribute, value)
    return changes


def _typed(attribute: Attribute[Any], value: Any) -> Any:
    kind = type(attribute.default)
    if isinstance(value, str):
        return parse_value(attribute, value)
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        return parse_value(attribute, format_value(value))
    return value
