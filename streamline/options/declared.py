"""What can be set: every setting of a node, the broker settings that everybody changes, and two of the command."""

from __future__ import annotations

from typing import Any

from attrs import Attribute, fields
from zope.interface.interface import InterfaceClass

from streamline.config import BrokerConfig, NodeConfig
from streamline.interfaces import (
    IAcksPolicy,
    IAuthorizer,
    IConsensus,
    IPlacement,
    IReplicaSelector,
    IReplicator,
    IStorage,
)
from streamline.settings import format_value, settings_of
from streamline.values import frozen

NODE_OPTIONS: dict[str, Attribute[Any]] = {
    attribute.name.replace("_", "-"): attribute for attribute in fields(NodeConfig) if "doc" in attribute.metadata
}
"""Options that set a setting of the node."""

BROKER_OPTIONS = {
    "default-replication-factor": "default.replication.factor",
    "min-insync-replicas": "min.insync.replicas",
    "default-partitions": "num.partitions",
    "auto-create-topics": "auto.create.topics.enable",
}
"""Options that set a broker setting, by its Kafka name."""

PLUGIN_POINTS: dict[str, InterfaceClass] = {
    "storage": IStorage,
    "consensus": IConsensus,
    "replicator": IReplicator,
    "acks": IAcksPolicy,
    "placement": IPlacement,
    "reads": IReplicaSelector,
    "authorizer": IAuthorizer,
}
"""Options that choose a plugin."""

NO_PLUGIN = {"authorizer": "none"}
"""Choices that mean that a point stays empty."""

LOG_FORMATS = ("auto", "text", "json")

DERIVED_DEFAULTS = {
    "default-replication-factor": "1; 3 with two or more seed nodes",
    "min-insync-replicas": "1; 2 with a default replication factor of 3 or more",
}


@frozen
class Option:
    """
    One option, key and environment variable.

    @ivar default: the default as text, C{""} where there is none or the description tells it.
    """

    name: str
    doc: str
    default: str

    @property
    def variable(self) -> str:
        """The name of its environment variable."""
        return "STREAMLINE_" + self.name.upper().replace("-", "_")


def _of_the_node() -> list[Option]:
    return [
        Option(name, setting.metadata["doc"], "" if setting.default in (None, ()) else format_value(setting.default))
        for name, setting in NODE_OPTIONS.items()
    ]


def _of_the_broker() -> list[Option]:
    known = settings_of(BrokerConfig)
    return [
        Option(
            name,
            _as_in_a_sentence(known[kafka].metadata["doc"]),
            DERIVED_DEFAULTS.get(name, format_value(known[kafka].default)),
        )
        for name, kafka in BROKER_OPTIONS.items()
    ]


def _of_the_command() -> list[Option]:
    return [
        Option("config", "TOML file with these options as keys, and Kafka's settings in its [broker] table", ""),
        Option("log-format", "text, json, or auto: text on a terminal, JSON lines otherwise", "auto"),
    ]


def _as_in_a_sentence(doc: str) -> str:
    return doc[0].lower() + doc[1:].rstrip(".")


OPTIONS = {option.name: option for option in [*_of_the_node(), *_of_the_broker(), *_of_the_command()]}
"""Every option, by name."""
