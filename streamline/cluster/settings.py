"""
Settings that change while the cluster runs: which may, what somebody asks for, and what is in force then.

A topic's settings all may.  Of a broker's, those may that are the defaults of topics' (KIP-226), and how fast it
replicates (KIP-73), because what follows them looks at the image; any other is read when a node starts, and a change
that would have no effect is refused.

Three of them are rules that every node has to see alike (L{streamline.cluster.rules}): they are set for the whole
cluster or for a topic, never for one broker, and the cluster is never without them (KIP-966).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from functools import lru_cache
from typing import Any, Final

from attrs import fields

from streamline.cluster.commands import BROKER_CONFIGS, CLUSTER_WIDE, TOPIC_CONFIGS, ChangeConfigs, ConfigChange
from streamline.cluster.image import MetadataImage
from streamline.cluster.rules import MIN_ISR, RECOVERY, UNCLEAN
from streamline.config import KEPT_MAX, BrokerConfig, TopicConfig, topic_config
from streamline.errors import ErrorCode, Refused
from streamline.settings import evolve, format_value, nearest, settings_of
from streamline.values import frozen

RATES: Final = ("leader.replication.throttled.rate", "follower.replication.throttled.rate")
DYNAMIC: Final = (
    *(one.metadata["synonym"] for one in fields(TopicConfig) if "synonym" in one.metadata),
    *RATES,
)
"""The settings of brokers that may change."""
RULES: Final = (MIN_ISR, UNCLEAN, RECOVERY)
LISTS: Final = (
    "cleanup.policy", "log.cleanup.policy",
    "leader.replication.throttled.replicas", "follower.replication.throttled.replicas",
)  # fmt: skip
"""Settings that hold several words."""


class Operation(IntEnum):
    """What to do with a setting; the numbers are Kafka's (KIP-339)."""

    SET = 0
    DELETE = 1
    APPEND = 2
    SUBTRACT = 3


@frozen
class Alteration:
    """One thing to do with one setting; C{value} is not looked at where it is to be deleted."""

    name: str
    operation: Operation
    value: str = ""


def broker_config(image: MetadataImage, node_id: int, own: BrokerConfig) -> BrokerConfig:
    """
    Return the settings in force on a node: those for itself, over those for all, over what it was started with.

    @param own: what it was started with.
    """
    for name in (CLUSTER_WIDE, str(node_id)):
        changed = image.broker_configs.get(name)
        if changed:
            own = _evolved(own, tuple(sorted(changed.items())))
    return own


@lru_cache(KEPT_MAX)
def _evolved(own: BrokerConfig, changed: tuple[tuple[str, str], ...]) -> BrokerConfig:
    return evolve(own, dict(changed))


def alter(
    image: MetadataImage, kind: int, name: str, wanted: Sequence[Alteration], own: BrokerConfig
) -> ChangeConfigs | None:
    """
    Decide how settings change; None where they are so already.

    @param kind: L{TOPIC_CONFIGS} or L{BROKER_CONFIGS}, of which C{name} is one.
    @param own: what the node was started with that decides.
    @raise Refused: with the error that Kafka gives in that case.
    """
    known = _known(image, kind, name)
    in_force = _in_force(image, kind, name, own)
    changes: dict[str, str | None] = {}
    for one in wanted:
        if one.name in changes:
            raise Refused(ErrorCode.INVALID_REQUEST, f"{one.name} is named twice")
        if one.operation is Operation.DELETE and one.name not in in_force:
            continue  # what nobody knows is not set; Kafka's own tools clear throttles whether there are any or not
        _check_name(kind, name, one, in_force)
        changes[one.name] = _value(one, in_force)
    after = {**known, **changes}
    _check_values(kind, {key: value for key, value in after.items() if value is not None}, own)
    changed = [ConfigChange(name=key, value=value) for key, value in changes.items() if known.get(key) != value]
    return ChangeConfigs(resource_type=kind, resource_name=name, changes=changed) if changed else None


def replacing(image: MetadataImage, kind: int, name: str, wanted: Mapping[str, str]) -> list[Alteration]:
    """Return what has to be done so that these settings are changed and no others (KIP-133)."""
    gone = [Alteration(key, Operation.DELETE) for key in _known(image, kind, name) if key not in wanted]
    kept = [one for one in gone if not (kind == BROKER_CONFIGS and one.name in RULES)]
    return [*(Alteration(key, Operation.SET, value) for key, value in wanted.items()), *kept]


def _known(image: MetadataImage, kind: int, name: str) -> Mapping[str, str]:
    """Return what has been changed of a resource so far."""
    if kind == TOPIC_CONFIGS:
        if name not in image.topics:
            raise Refused(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"there is no topic '{name}'")
        return image.configs.get(name, {})
    if name != CLUSTER_WIDE:
        _check_broker(image, name)
    return image.broker_configs.get(name, {})


def _check_broker(image: MetadataImage, name: str) -> None:
    if not (name.isascii() and name.isdecimal()):
        raise Refused(ErrorCode.INVALID_REQUEST, f"a broker is named by its id, not '{name}'")
    if int(name) not in image.brokers or str(int(name)) != name:
        raise Refused(ErrorCode.BROKER_ID_NOT_REGISTERED, f"node {name} is not in the cluster")


def _in_force(image: MetadataImage, kind: int, name: str, own: BrokerConfig) -> Mapping[str, Any]:
    """Return what a resource's settings are now, all of them."""
    node_id = int(name) if kind == BROKER_CONFIGS and name != CLUSTER_WIDE else -1
    config: Any = broker_config(image, node_id, own)
    if kind == TOPIC_CONFIGS:
        config = topic_config(config, image.configs.get(name, {}))
    return {key: getattr(config, attribute.name) for key, attribute in settings_of(type(config)).items()}


def _check_name(kind: int, name: str, wanted: Alteration, known: Mapping[str, Any]) -> None:
    setting = wanted.name
    if setting not in known:
        raise Refused(ErrorCode.INVALID_CONFIG, f"unknown setting '{setting}'{nearest(setting, known)}")
    if wanted.operation in (Operation.APPEND, Operation.SUBTRACT) and setting not in LISTS:
        raise Refused(ErrorCode.INVALID_CONFIG, f"{setting} is no list, to which something can be added")
    if kind == TOPIC_CONFIGS:
        return
    if setting not in DYNAMIC:
        raise Refused(ErrorCode.INVALID_REQUEST, f"{setting} is read when a node starts; change it there")
    if setting in RULES and name != CLUSTER_WIDE:
        raise Refused(ErrorCode.INVALID_CONFIG, f"{setting} is the same for all nodes: change it for all of them")
    if setting in RULES and wanted.operation is Operation.DELETE:
        raise Refused(ErrorCode.INVALID_CONFIG, f"the cluster always has a {setting}: set it instead")


def _value(wanted: Alteration, in_force: Mapping[str, Any]) -> str | None:
    """Return the text that a setting is to have; None for none of its own."""
    if wanted.operation is Operation.DELETE:
        return None
    if wanted.operation is Operation.SET:
        return wanted.value
    words = [word.strip() for word in format_value(in_force[wanted.name]).split(",") if word.strip()]
    given = [word.strip() for word in wanted.value.split(",")]
    if wanted.operation is Operation.APPEND:
        return ",".join(dict.fromkeys([*words, *given]))
    return ",".join(word for word in words if word not in given)


def _check_values(kind: int, values: Mapping[str, str], own: BrokerConfig) -> None:
    """
    See whether settings are what they may be.

    @raise Refused: INVALID_CONFIG.
    """
    try:
        if kind == TOPIC_CONFIGS:
            topic_config(own, values)
        else:
            evolve(own, values)
    except ValueError as error:
        raise Refused(ErrorCode.INVALID_CONFIG, str(error)) from None
