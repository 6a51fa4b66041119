"""
What the agreed settings say about a topic's partitions.

Only what is agreed on counts, the topic's own setting before that of the whole
cluster: what commits a record and who may lead without it must be the same for
every leader and every controller, whatever is in a node's own file.  So what the
founding nodes are configured with is agreed on with the founding (as Kafka does
since KIP-966).
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from streamline.cluster.commands import BROKER_CONFIGS, CLUSTER_WIDE, ChangeConfigs, ConfigChange
from streamline.config import BALANCED, BrokerConfig, TopicConfig
from streamline.settings import default_of, format_value, parse_value, settings_of
from streamline.values import frozen

if TYPE_CHECKING:
    from streamline.cluster.image import MetadataImage

MIN_ISR = "min.insync.replicas"
UNCLEAN = "unclean.leader.election.enable"
RECOVERY = "unclean.recovery.strategy"
KEPT_MAX = 1000
"""How many different rules are kept in mind."""
_SETTINGS = settings_of(TopicConfig)


@frozen
class Rules:
    """
    How one topic's partitions are to be led.

    @ivar min_isr: in-sync replicas that acks=all needs; a partition with fewer replicas needs them all.
    @ivar unclean: whether a replica that may lack records may be elected where no other is left.
    """

    min_isr: int
    unclean: bool


def rules_of(image: MetadataImage, topic: str) -> Rules:
    """Return the rules for a topic."""
    return _rules(_text(image, topic, MIN_ISR), _text(image, topic, UNCLEAN))


@lru_cache(maxsize=KEPT_MAX)
def _rules(min_isr: str | None, unclean: str | None) -> Rules:
    """Return what two settings say: the same for thousands of partitions, of which each asks."""
    return Rules(int(_value(MIN_ISR, min_isr)), bool(_value(UNCLEAN, unclean)))


def recovers(image: MetadataImage, topic: str) -> bool:
    """Say whether the best of those that are left is elected after all who had everything have lost power."""
    return bool(_value(RECOVERY, _text(image, topic, RECOVERY)) == BALANCED)


def _text(image: MetadataImage, topic: str, name: str) -> str | None:
    """Return what is agreed on for a topic; None where nothing is."""
    for configs in (image.configs.get(topic), image.broker_configs.get(CLUSTER_WIDE)):
        if configs is not None and name in configs:
            return configs[name]
    return None


def _value(name: str, text: str | None) -> Any:
    return default_of(_SETTINGS[name]) if text is None else parse_value(_SETTINGS[name], text)


def founding_rules(config: BrokerConfig) -> ChangeConfigs:
    """Return the command that makes what a node is configured with the rule for the whole cluster."""
    given = (
        (MIN_ISR, config.min_insync_replicas),
        (UNCLEAN, config.unclean_leader_election_enable),
        (RECOVERY, config.unclean_recovery_strategy),
    )
    return ChangeConfigs(
        resource_type=BROKER_CONFIGS,
        resource_name=CLUSTER_WIDE,
        changes=[ConfigChange(name=name, value=format_value(value)) for name, value in given],
    )
