"""Gathers what was given on the command line, in the environment and in the file, and remembers where."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from streamline.config import BrokerConfig
from streamline.options.declared import OPTIONS
from streamline.settings import format_value, nearest, settings_of
from streamline.values import frozen

PREFIX = "STREAMLINE_"

# What Kubernetes puts into the environment of every pod beside a Service named "streamline",
# and what our own test suites are told by.
_OF_OTHERS = re.compile(
    r"STREAMLINE_(SERVICE_(HOST|PORT(_.*)?)|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?|TEST_.*)"
)


@frozen
class Given:
    """A value as text, and what it is called where it was given."""

    text: str
    spelled: str


@frozen
class Gathered:
    """
    What was given.

    @ivar options: by the name of the option.
    @ivar broker: the file's C{[broker]} table, by Kafka name.
    """

    options: Mapping[str, Given]
    broker: Mapping[str, Given]


def gather(command_line: Mapping[str, str], environment: Mapping[str, str]) -> Gathered:
    """
    Lay command line over environment over file.

    @param command_line: the options that were given there, by name.
    @raise ValueError: with a sentence.
    """
    spoken = {name: Given(text, f"--{name}") for name, text in command_line.items()}
    inherited = from_environment(environment)
    file = {**inherited, **spoken}.get("config")
    written = from_file(file.text) if file is not None else Gathered({}, {})
    return Gathered({**written.options, **inherited, **spoken}, written.broker)


def from_environment(environment: Mapping[str, str]) -> dict[str, Given]:
    """
    Return what the environment gives; an empty variable gives nothing.

    @raise ValueError: a variable with our prefix that is none of ours.
    """
    known = {option.variable: option.name for option in OPTIONS.values()}
    given: dict[str, Given] = {}
    for variable, text in sorted(environment.items()):
        if not variable.startswith(PREFIX) or _OF_OTHERS.fullmatch(variable):
            continue
        if variable not in known:
            raise ValueError(f"the environment variable {variable} is no option{nearest(variable, known)}")
        if text:
            given[known[variable]] = Given(text, variable)
    return given


def from_file(path: str) -> Gathered:
    """
    Read a configuration file.

    @raise ValueError: it cannot be read, or a key is none of ours.
    """
    try:
        table = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"the configuration file {path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        quote = "; put names that contain dots in quotes" if "Cannot" in str(error) else ""
        raise ValueError(f"the configuration file {path} is not TOML: {error}{quote}") from None
    broker = table.pop("broker", {})
    if not isinstance(broker, dict):
        raise ValueError(f"broker in {path} must be a table, headed [broker]")
    broker = _flat(broker)
    _check_keys(table, [name for name in OPTIONS if name != "config"], f"in {path} is no option")
    _check_keys(broker, settings_of(BrokerConfig), f"in the [broker] table of {path} is no setting")
    return Gathered(_given(table, path), _given(broker, path))


def _check_keys(table: Iterable[str], known: Collection[str], complaint: str) -> None:
    for key in table:
        if key not in known:
            raise ValueError(f"'{key}' {complaint}{nearest(key, known)}")


def _given(table: Mapping[str, Any], path: str) -> dict[str, Given]:
    return {key: Given(_text(value, f"{key} in {path}"), f"{key} in {path}") for key, value in table.items()}


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Undo TOML's reading of the dots in Kafka's names."""
    flat: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, dict):
            flat.update(_flat(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = value
    return flat


def _text(value: Any, spelled: str) -> str:
    if isinstance(value, list) and all(isinstance(word, str) for word in value):
        return ",".join(value)
    if isinstance(value, (str, bool, int, float)):
        return format_value(value)
    raise ValueError(f"{spelled} must be a string, a number, true, false, or a list of strings")
