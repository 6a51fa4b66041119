"""
Settings as DescribeConfigs and CreateTopics show them: value, source, synonyms, type.

Everything derives from the declarations in C{streamline.config}.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from attrs import Attribute, frozen

from streamline.config import (
    INT32_MAX,
    BrokerConfig,
    NodeConfig,
    TopicConfig,
    format_value,
    settings_of,
    topic_config,
)

DYNAMIC_TOPIC = 1
STATIC_BROKER = 4
DEFAULT = 5

BOOLEAN_TYPE, STRING_TYPE, INT_TYPE, _, LONG_TYPE, DOUBLE_TYPE, LIST_TYPE = range(1, 8)

_LISTS = ("cleanup.policy", "log.cleanup.policy", "log.dirs", "listeners", "advertised.listeners")
_INTS = (
    "index.interval.bytes",
    "max.message.bytes",
    "min.insync.replicas",
    "segment.bytes",
    "segment.index.bytes",
    "node.id",
    "broker.id",
)


@frozen
class Synonym:
    """A name under which the same value is set elsewhere."""

    name: str
    value: str
    source: int


@frozen
class Shown:
    """One setting with everything that clients can ask about it."""

    name: str
    value: str
    source: int
    type: int
    doc: str
    read_only: bool
    synonyms: tuple[Synonym, ...]


def topic_settings(broker: BrokerConfig, overrides: Mapping[str, str]) -> Iterator[Shown]:
    """Yield a topic's settings in order of their names."""
    effective = topic_config(broker, overrides)
    broker_settings = settings_of(BrokerConfig)
    for name, attribute in sorted(settings_of(TopicConfig).items()):
        value = format_value(getattr(effective, attribute.name))
        behind = attribute.metadata["synonym"]
        synonyms = list(_broker_synonyms(broker, behind, broker_settings[behind]))
        if name in overrides:
            synonyms.insert(0, Synonym(name, value, DYNAMIC_TOPIC))
        yield _shown(name, attribute, value, tuple(synonyms), read_only=False)


def broker_settings(config: NodeConfig) -> Iterator[Shown]:
    """Yield a node's settings in order of their names."""
    shown = [
        _shown(
            name,
            attribute,
            format_value(getattr(config.broker, attribute.name)),
            tuple(_broker_synonyms(config.broker, name, attribute)),
            read_only=True,
        )
        for name, attribute in settings_of(BrokerConfig).items()
    ]
    yield from sorted([*shown, *_node_settings(config)], key=lambda setting: setting.name)


def _node_settings(config: NodeConfig) -> Iterator[Shown]:
    values = {
        "node.id": (str(config.node_id), INT_TYPE, "The id of this node."),
        "broker.id": (str(config.node_id), INT_TYPE, "The id of this node."),
        "broker.rack": (config.rack or "", STRING_TYPE, "The rack of this node."),
        "log.dirs": (config.data_dir, LIST_TYPE, "The directory of everything that must survive."),
        "listeners": (config.listen, LIST_TYPE, "The endpoint for clients."),
    }
    for name, (value, kind, doc) in values.items():
        yield Shown(name, value, STATIC_BROKER, kind, doc, True, (Synonym(name, value, STATIC_BROKER),))


def _broker_synonyms(broker: BrokerConfig, name: str, attribute: Attribute[Any]) -> Iterator[Synonym]:
    value = getattr(broker, attribute.name)
    if value != attribute.default:
        yield Synonym(name, format_value(value), STATIC_BROKER)
    yield Synonym(name, format_value(attribute.default), DEFAULT)


def _shown(
    name: str, attribute: Attribute[Any], value: str, synonyms: tuple[Synonym, ...], *, read_only: bool
) -> Shown:
    return Shown(
        name, value, synonyms[0].source, _type(name, attribute.default), attribute.metadata["doc"], read_only, synonyms
    )


def _type(name: str, default: Any) -> int:
    if name in _LISTS:
        return LIST_TYPE
    if isinstance(default, bool):
        return BOOLEAN_TYPE
    if isinstance(default, float):
        return DOUBLE_TYPE
    if isinstance(default, str):
        return STRING_TYPE
    is_long = default > INT32_MAX or name.endswith((".ms", ".messages", "retention.bytes")) and name not in _INTS
    return LONG_TYPE if is_long else INT_TYPE
