"""
Settings as DescribeConfigs and CreateTopics show them: value, source, synonyms, type.

Everything derives from the declarations in C{streamline.config}, and from what was changed since (KIP-226).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from attrs import Attribute

from streamline.cluster.commands import CLUSTER_WIDE
from streamline.cluster.image import MetadataImage
from streamline.cluster.settings import DYNAMIC, LISTS
from streamline.config import INT32_MAX, BrokerConfig, NodeConfig, TopicConfig
from streamline.settings import format_value, parse_value, settings_of
from streamline.values import frozen

DYNAMIC_TOPIC = 1
DYNAMIC_BROKER = 2
DYNAMIC_DEFAULT_BROKER = 3
STATIC_BROKER = 4
DEFAULT = 5

BOOLEAN_TYPE, STRING_TYPE, INT_TYPE, _, LONG_TYPE, DOUBLE_TYPE, LIST_TYPE = range(1, 8)

_LISTS = (*LISTS, "log.dirs", "listeners", "advertised.listeners")
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


@frozen
class Layers:
    """
    Where a node's settings come from.

    @ivar own: what it was started with.
    @ivar everywhere: what was changed for all nodes; C{here} what was for this one.
    """

    own: BrokerConfig
    everywhere: Mapping[str, str]
    here: Mapping[str, str]

    @classmethod
    def of(cls, image: MetadataImage, config: NodeConfig) -> Layers:
        """Return those of a node."""
        changed = image.broker_configs
        return cls(config.broker, changed.get(CLUSTER_WIDE, {}), changed.get(str(config.node_id), {}))

    def synonyms(self, name: str) -> Iterator[Synonym]:
        """Yield the values that a setting has, the one in force first."""
        attribute = _BROKER_SETTINGS[name]
        for changed, source in ((self.here, DYNAMIC_BROKER), (self.everywhere, DYNAMIC_DEFAULT_BROKER)):
            if name in changed:
                yield Synonym(name, format_value(parse_value(attribute, changed[name])), source)
        value = getattr(self.own, attribute.name)
        if value != attribute.default:
            yield Synonym(name, format_value(value), STATIC_BROKER)
        yield Synonym(name, format_value(attribute.default), DEFAULT)


_BROKER_SETTINGS = settings_of(BrokerConfig)


def topic_settings(layers: Layers, overrides: Mapping[str, str]) -> Iterator[Shown]:
    """Yield a topic's settings in order of their names."""
    for name, attribute in sorted(settings_of(TopicConfig).items()):
        default = (Synonym(name, format_value(attribute.default), DEFAULT),)
        synonym = attribute.metadata.get("synonym")
        synonyms = list(default if synonym is None else layers.synonyms(synonym))
        if name in overrides:
            synonyms.insert(0, Synonym(name, format_value(parse_value(attribute, overrides[name])), DYNAMIC_TOPIC))
        yield _shown(name, attribute, tuple(synonyms), read_only=False)


def broker_settings(image: MetadataImage, config: NodeConfig) -> Iterator[Shown]:
    """Yield a node's settings in order of their names."""
    layers = Layers.of(image, config)
    shown = [
        _shown(name, attribute, tuple(layers.synonyms(name)), read_only=name not in DYNAMIC)
        for name, attribute in _BROKER_SETTINGS.items()
    ]
    yield from sorted([*shown, *_node_settings(config)], key=lambda setting: setting.name)


def cluster_settings(image: MetadataImage, config: NodeConfig) -> Iterator[Shown]:
    """Yield what was changed for all nodes, in order of names."""
    layers = Layers(config.broker, image.broker_configs.get(CLUSTER_WIDE, {}), {})
    for name in sorted(layers.everywhere):
        first = next(layers.synonyms(name))
        yield _shown(name, _BROKER_SETTINGS[name], (first,), read_only=False)


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


def _shown(name: str, attribute: Attribute[Any], synonyms: tuple[Synonym, ...], *, read_only: bool) -> Shown:
    value, source = synonyms[0].value, synonyms[0].source
    kind = _type(name, attribute.default)
    return Shown(name, value, source, kind, attribute.metadata["doc"], read_only, synonyms)


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
