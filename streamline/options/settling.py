"""Makes a node's settings of what was gathered: reads each value, derives what was left open, checks the whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import attrs
from attrs import Attribute

from streamline.config import BrokerConfig, NodeConfig, kafka_name, make, parse_value, settings_of
from streamline.options.addresses import (
    address_of,
    beside,
    parse_addresses,
    parse_listen,
    parse_reachable,
)
from streamline.options.declared import BROKER_OPTIONS, LOG_FORMATS, NO_PLUGIN, NODE_OPTIONS, PLUGIN_POINTS
from streamline.options.sources import Gathered, Given
from streamline.plugins import Installed, parse_choice

READERS: dict[str, Callable[[str], Any]] = {
    "Endpoint | None": parse_reachable,
    "tuple[Endpoint, ...]": parse_addresses,
}
"""How values are read that are neither words nor numbers, by the type of the setting."""

SWITCH = {"on": "true", "off": "false", "yes": "true", "no": "false"}

WITHOUT_EFFECT = ("cluster-listen", "advertised-cluster-addr")
"""Nothing listens there in this release; saying so beats keeping quiet."""


def settle(gathered: Gathered, installed: Installed) -> NodeConfig:
    """
    Return the settings of a node.

    @raise ValueError: with a sentence that names the place where the wrong value was given.
    """
    given = gathered.options
    _check_log_format(given.get("log-format"))
    changes = {
        attribute.name: _complaining(given[name], attribute, _reader(name, attribute))
        for name, attribute in NODE_OPTIONS.items()
        if name in given
    }
    config = NodeConfig(**changes)
    config = attrs.evolve(config, broker=_broker(gathered, len(config.seed_nodes)))
    _check_plugins(config, given, installed)
    _refuse_an_authorizer(config, given)
    _refuse_what_has_no_effect(config, given)
    return _with_addresses(config, given)


def _reader(name: str, attribute: Attribute[Any]) -> Callable[[str], Any]:
    """Return what turns an option's text into its value."""
    if name.endswith("listen"):
        return parse_listen
    if str(attribute.type) in READERS:
        return READERS[str(attribute.type)]
    if attribute.default is None:
        return str.strip

    return partial(_checked, NodeConfig, attribute)


def _checked(config_class: Callable[..., object], attribute: Attribute[Any], text: str) -> Any:
    value = parse_value(attribute, text)
    config_class(**{attribute.name: value})  # for the checks that come with the declaration
    return value


def _complaining(given: Given, attribute: Attribute[Any], read: Callable[[str], Any]) -> Any:
    """Read a value; a complaint speaks of it as it was spelled where it was given."""
    try:
        return read(given.text)
    except ValueError as error:
        complaint = str(error).removeprefix(kafka_name(attribute)).lstrip()
        raise ValueError(f"{given.spelled} {complaint}") from None


def _check_log_format(given: Given | None) -> None:
    if given is not None and given.text not in LOG_FORMATS:
        raise ValueError(f"{given.spelled} must be one of {', '.join(LOG_FORMATS)}, not {given.text!r}")


def _broker(gathered: Gathered, seed_count: int) -> BrokerConfig:
    given: dict[str, Given] = dict(gathered.broker)
    for name, kafka in BROKER_OPTIONS.items():
        if name in gathered.options:
            option = gathered.options[name]
            given[kafka] = Given(SWITCH.get(option.text.lower(), option.text), option.spelled)
    known = settings_of(BrokerConfig)
    broker = make(
        BrokerConfig,
        {
            kafka: _complaining(each, known[kafka], partial(_checked, BrokerConfig, known[kafka]))
            for kafka, each in given.items()
        },
    )
    if "default.replication.factor" not in given and seed_count >= 2:
        broker = attrs.evolve(broker, default_replication_factor=3)
    if "min.insync.replicas" not in given and broker.default_replication_factor >= 3:
        broker = attrs.evolve(broker, min_insync_replicas=2)
    return broker


def _check_plugins(config: NodeConfig, given: Mapping[str, Given], installed: Installed) -> None:
    for name, interface in PLUGIN_POINTS.items():
        choice = getattr(config, name)
        if choice == NO_PLUGIN.get(name):
            continue
        spelled = given[name].spelled if name in given else f"--{name}"
        try:
            installed.find(interface, parse_choice(choice)[0])
        except ValueError as error:
            raise ValueError(f"{spelled}: {error}") from None


def _refuse_an_authorizer(config: NodeConfig, given: Mapping[str, Given]) -> None:
    """Whoever chooses one relies on it, and no request asks it."""
    if config.authorizer != NO_PLUGIN["authorizer"]:
        raise ValueError(
            f"{given['authorizer'].spelled} has no effect in this release, in which everybody may do everything; "
            "leave it out, and let nobody reach the port who may not"
        )


def _refuse_what_has_no_effect(config: NodeConfig, given: Mapping[str, Given]) -> None:
    for name in WITHOUT_EFFECT:
        if name in given:
            raise ValueError(
                f"{given[name].spelled} has no effect in this release, in which a node runs alone; leave it out"
            )
    own = config.advertised_addr or address_of(config.listen)
    others = [str(seed) for seed in config.seed_nodes if seed != own]
    if others:
        raise ValueError(
            f"{given['seed-nodes'].spelled} names other nodes ({', '.join(others)}), "
            "but in this release a node runs alone; leave it out"
        )


def _with_addresses(config: NodeConfig, given: Mapping[str, Given]) -> NodeConfig:
    if config.advertised_addr is None and address_of(config.listen) is None:
        spelled = given["listen"].spelled if "listen" in given else "--listen"
        raise ValueError(
            f"{spelled} {config.listen} does not tell clients where to connect; "
            "add --advertised-addr host:port, as they reach this node"
        )
    return attrs.evolve(
        config,
        cluster_listen=config.cluster_listen or beside(config.listen, 1),
        http_listen=config.http_listen or beside(config.listen, 2),
    )
