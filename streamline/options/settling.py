"""Makes a node's settings of what was gathered: reads each value, derives what was left open, checks the whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import attrs
from attrs import Attribute

from streamline.config import BrokerConfig, NodeConfig
from streamline.model import Endpoint
from streamline.options.addresses import (
    address_of,
    beside,
    parse_addresses,
    parse_listen,
    parse_reachable,
    port_of,
)
from streamline.options.declared import BROKER_OPTIONS, LOG_FORMATS, NO_PLUGIN, NODE_OPTIONS, PLUGIN_POINTS
from streamline.options.sources import Gathered, Given
from streamline.plugins import Installed, parse_choice
from streamline.settings import kafka_name, make, parse_value, settings_of

READERS: dict[str, Callable[[str], Any]] = {
    "Endpoint | None": parse_reachable,
    "tuple[Endpoint, ...]": parse_addresses,
}
"""How values are read that are neither words nor numbers, by the type of the setting."""

SWITCH = {"on": "true", "off": "false", "yes": "true", "no": "false"}

FOR_CLUSTERS = ("seed-nodes", "cluster-listen", "advertised-cluster-addr")
"""What a node that takes no others has no use for."""
ALONE = "single"
"""The consensus of a node that takes no others."""


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
        try:
            installed.find(interface, parse_choice(choice)[0])
        except ValueError as error:
            raise ValueError(f"{_spelled(given, name)}: {error}") from None


def _refuse_an_authorizer(config: NodeConfig, given: Mapping[str, Given]) -> None:
    """Whoever chooses one relies on it, and no request asks it."""
    if config.authorizer != NO_PLUGIN["authorizer"]:
        raise ValueError(
            f"{given['authorizer'].spelled} has no effect in this release, in which everybody may do everything; "
            "leave it out, and let nobody reach the port who may not"
        )


def _refuse_what_has_no_effect(config: NodeConfig, given: Mapping[str, Given]) -> None:
    if not _is_alone(config):
        return
    for name in FOR_CLUSTERS:
        if name in given:
            raise ValueError(
                f"{given[name].spelled} has no effect with {ALONE} consensus, which runs a node alone; "
                "leave it out, or choose --consensus raft"
            )


def _is_alone(config: NodeConfig) -> bool:
    return parse_choice(config.consensus)[0] == ALONE


def _with_addresses(config: NodeConfig, given: Mapping[str, Given]) -> NodeConfig:
    if config.advertised_addr is None and address_of(config.listen) is None:
        raise ValueError(
            f"{_spelled(given, 'listen')} {config.listen} does not tell clients where to connect; "
            "add --advertised-addr host:port, as they reach this node"
        )
    config = attrs.evolve(config, http_listen=config.http_listen or beside(config.listen, 2))
    return config if _is_alone(config) else _with_peers(config, given)


def _with_peers(config: NodeConfig, given: Mapping[str, Given]) -> NodeConfig:
    """Say where other nodes find this one: beside the clients' place, unless it is told."""
    listen = config.cluster_listen or beside(config.listen, 1)
    if listen is None:
        raise ValueError(
            f"{_spelled(given, 'listen')} {config.listen} leaves no port for the other nodes; "
            "add --cluster-listen with an endpoint such as tcp:9093:interface=127.0.0.1"
        )
    config = attrs.evolve(config, cluster_listen=listen)
    if config.advertised_cluster_addr is not None or address_of(listen) is not None:
        return config
    port = port_of(listen)
    if config.advertised_addr is None or not port:
        raise ValueError(
            f"{_spelled(given, 'cluster-listen')} {listen} does not tell other nodes where to connect; "
            "add --advertised-cluster-addr host:port, as they reach this node"
        )
    return attrs.evolve(config, advertised_cluster_addr=Endpoint(config.advertised_addr.host, port))


def _spelled(given: Mapping[str, Given], name: str) -> str:
    return given[name].spelled if name in given else f"--{name}"
